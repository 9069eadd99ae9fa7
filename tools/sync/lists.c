/* lists - deny files, never files, and this machine's own addresses. */
#include "sync/lists.h"

#include "host/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool cq_lists_open(struct cq_lists *lists,
                   const struct cq_sync_options *options)
{
    const struct cq_texts *deny = &options->deny_files;
    const struct cq_texts *never = &options->never_files;
    size_t i;

    lists->files = calloc(deny->count + never->count + 1,
                          sizeof(lists->files[0]));
    if (lists->files == NULL) {
        return false;
    }
    lists->deny_n = deny->count;
    lists->count = deny->count + never->count;
    for (i = 0; i < lists->count; i++) {
        bool is_deny = i < deny->count;

        lists->files[i].path = is_deny ? deny->texts[i]
                                       : never->texts[i - deny->count];
        lists->files[i].form = is_deny ? CQ_DENY_FILE : CQ_NEVER_FILE;
    }
    return true;
}

/* ---- reading ---- */

/* Notes would fill the journal each minute. */
static void report(void *baton, enum cq_deny_finding finding,
                   const char *sentence)
{
    struct cq_say *say = baton;

    switch (finding) {
    case CQ_DENY_WRONG:
        cq_say_trouble(say, "%s", sentence);
        break;
    case CQ_DENY_LEFT_OUT:
        cq_say_state(say, sentence, "%s", sentence);
        break;
    case CQ_DENY_NOTE:
        if (say->verbose) {
            cq_say_info(say, "%s", sentence);
        }
        break;
    }
}

/* @return it is known */
static bool read_file(struct cq_list *list, struct cq_say *say)
{
    const char *why;

    if (cq_deny_read(list->path, list->form, &list->entries, report, say,
                     &why)) {
        list->is_known = true;
    }
    else {
        cq_say_trouble(say, "%s: cannot be read: %s; %s", list->path, why,
                       list->is_known ? "its last contents still hold"
                       : list->form == CQ_DENY_FILE
                       ? "until it can, no address is released"
                       : "until it can, no further client is jailed");
    }
    return list->is_known;
}

/* @return false: they are as they were */
static bool read_own(struct cq_lists *lists, struct cq_say *say)
{
    struct cq_net_list own = { .rules = NULL };

    if (cq_own_collect(&own) != CQ_OK) {
        cq_say_trouble(say, "this machine's own addresses are not known (%s): "
                       "no further client is jailed", strerror(errno));
        cq_net_free(&own);
        return false;
    }
    (void)cq_net_seal(&own, NULL);      /* none is in it twice */
    cq_net_free(&lists->own);
    lists->own = own;
    return true;
}

/* Options and files may name a network twice: a list of wanted ones joins
 * them. */
static bool make_never(struct cq_lists *lists, const struct cq_net_list *nets,
                       struct cq_say *say)
{
    struct cq_wanted_list all = { .entries = NULL };
    struct cq_net_list never = { .rules = NULL };
    bool good = true;
    size_t i, j;

    for (i = 0; good && i < nets->count; i++) {
        good = cq_wanted_add(&all, &(struct cq_wanted){
            .key = nets->rules[i].net });
    }
    for (i = lists->deny_n; i < lists->count; i++) {
        const struct cq_deny_list *list = &lists->files[i].entries;

        for (j = 0; good && j < list->count; j++) {
            good = cq_wanted_add(&all, &(struct cq_wanted){
                .key = list->entries[j].net });
        }
    }
    cq_wanted_finish(&all);
    for (i = 0; good && i < all.count; i++) {
        good = cq_net_add(&never, &all.entries[i].key, 0) == CQ_OK;
    }
    cq_wanted_free(&all);
    if (!good) {
        cq_net_free(&never);
        cq_say_trouble(say, "out of memory: no further client is jailed");
        return false;
    }
    (void)cq_net_seal(&never, NULL);
    cq_net_free(&lists->never);
    lists->never = never;
    return true;
}

void cq_lists_read(struct cq_lists *lists,
                   const struct cq_sync_options *options, struct cq_say *say)
{
    size_t i;

    lists->knows_denied = true;
    lists->knows_never = read_own(lists, say);
    for (i = 0; i < lists->count; i++) {
        bool *knows = i < lists->deny_n ? &lists->knows_denied
                                        : &lists->knows_never;

        *knows &= read_file(&lists->files[i], say);
    }
    lists->knows_never &= make_never(lists, &options->never, say);
}

/* ---- asking ---- */

enum cq_spared cq_lists_spared(const struct cq_lists *lists,
                               const struct cq_key *key, int client_bits,
                               bool proxied)
{
    const struct cq_address_facts facts = {
        .key = key,
        .client_bits = client_bits,
        .proxied = proxied,
        .own = cq_net_touches(&lists->own, key),
        .never = cq_net_touches(&lists->never, key)
    };

    return cq_spared_reason(&facts);
}

bool cq_lists_add_denied(const struct cq_lists *lists,
                         const struct cq_net_list *exempt,
                         struct cq_wanted_list *wanted, struct cq_say *say)
{
    const struct cq_deny_entry *first = NULL;
    const char *path = NULL, *why = NULL;
    size_t i, j, spared_n = 0;

    for (i = 0; i < lists->deny_n; i++) {
        const struct cq_deny_list *list = &lists->files[i].entries;

        for (j = 0; j < list->count; j++) {
            const struct cq_wanted one = {
                .key = list->entries[j].net, .file = (uint16_t)(i + 1),
                .line = list->entries[j].line
            };
            enum cq_spared spared = cq_net_touches(exempt, &one.key)
                ? CQ_SPARED_EXEMPT
                : cq_lists_spared(lists, &one.key, -1, false);

            if (spared != CQ_SPARED_NOT) {
                if (spared_n++ == 0) {
                    first = &list->entries[j];
                    path = lists->files[i].path;
                    why = cq_spared_text(spared);
                }
            }
            else if (!cq_wanted_add(wanted, &one)) {
                return false;
            }
        }
    }
    if (first != NULL && say != NULL && say->verbose) {
        char text[CQ_KEY_TEXT_SIZE];

        cq_say_info(say, "%zu addresses of deny files are left out, e.g. %s "
                    "(%s:%u): %s", spared_n,
                    cq_key_format_cidr(&first->net, text, sizeof(text)), path,
                    first->line, why);
    }
    return true;
}

void cq_lists_close(struct cq_lists *lists)
{
    size_t i;

    for (i = 0; i < lists->count; i++) {
        cq_deny_free(&lists->files[i].entries);
    }
    free(lists->files);
    cq_net_free(&lists->own);
    cq_net_free(&lists->never);
    memset(lists, 0, sizeof(*lists));
}
