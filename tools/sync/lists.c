/* lists - reads the deny and never files. */
#include "sync/lists.h"

#include <stdlib.h>
#include <string.h>

bool cq_lists_open(struct cq_lists *lists, const struct cq_texts *deny,
                   const struct cq_texts *never)
{
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
        lists->files[i].form = is_deny ? CQ_DENY_FILE
                                       : CQ_NEVER_FILE;
    }
    return true;
}

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

static void read_list(struct cq_list *list, struct cq_say *say)
{
    const char *why;

    if (cq_deny_read(list->path, list->form, &list->entries, report, say,
                     &why)) {
        list->is_known = true;
        return;
    }
    cq_say_trouble(say, "%s: cannot be read: %s; %s", list->path, why,
                   list->is_known ? "what it said before still holds"
                   : list->form == CQ_DENY_FILE
                   ? "until it can, no address is released"
                   : "until it can, no client is jailed anew");
}

void cq_lists_read(struct cq_lists *lists, struct cq_say *say)
{
    size_t i;

    for (i = 0; i < lists->count; i++) {
        read_list(&lists->files[i], say);
    }
}

bool cq_lists_know(const struct cq_lists *lists, enum cq_deny_form form)
{
    size_t i;

    for (i = 0; i < lists->count; i++) {
        if (lists->files[i].form == form && !lists->files[i].is_known) {
            return false;
        }
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
    memset(lists, 0, sizeof(*lists));
}
