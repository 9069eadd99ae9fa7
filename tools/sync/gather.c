/* gather - what is wanted: the table's offenders and the lists. */
#include "sync/sync.h"

#include "host/own.h"

#include <errno.h>
#include <string.h>

/* ---- addresses that are never jailed ---- */

/* @return false: they are as they were */
static bool read_own(struct cq_sync *sync)
{
    struct cq_net_list own = { .rules = NULL };

    if (cq_own_collect(&own) != CQ_OK) {
        cq_say_trouble(&sync->say, "this machine's own addresses are not "
                       "known (%s): no client is jailed anew",
                       strerror(errno));
        cq_net_free(&own);
        return false;
    }
    (void)cq_net_seal(&own, NULL);      /* none is in it twice */
    cq_net_free(&sync->own);
    sync->own = own;
    return true;
}

/* Options and files may name a network twice: a list of wanted ones joins
 * them. */
static bool read_never(struct cq_sync *sync)
{
    struct cq_wanted_list all = { .entries = NULL };
    struct cq_net_list never = { .rules = NULL };
    bool good = true;
    size_t i, j;

    for (i = 0; good && i < sync->options->never.count; i++) {
        const struct cq_wanted one = {
            .client = sync->options->never.rules[i].net
        };

        good = cq_wanted_add(&all, &one);
    }
    for (i = sync->lists.deny_n; i < sync->lists.count; i++) {
        const struct cq_deny_list *list = &sync->lists.files[i].entries;

        for (j = 0; good && j < list->count; j++) {
            const struct cq_wanted one = { .client = list->entries[j].net };

            good = cq_wanted_add(&all, &one);
        }
    }
    cq_wanted_finish(&all);
    for (i = 0; good && i < all.count; i++) {
        good = cq_net_add(&never, &all.entries[i].client, 0) == CQ_OK;
    }
    cq_wanted_free(&all);
    if (!good) {
        cq_net_free(&never);
        cq_say_trouble(&sync->say, "out of memory: no client is jailed anew");
        return false;
    }
    (void)cq_net_seal(&never, NULL);
    cq_net_free(&sync->never);
    sync->never = never;
    return true;
}

static void read_lists(struct cq_sync *sync)
{
    bool knows_own = read_own(sync);

    cq_lists_read(&sync->lists, &sync->say);
    sync->knows_denied = cq_lists_know(&sync->lists, CQ_DENY_FILE);
    sync->knows_never = read_never(sync) && knows_own
        && cq_lists_know(&sync->lists, CQ_NEVER_FILE);
}

/* ---- deny files ---- */

static bool is_spared(const struct cq_sync *sync, const struct cq_key *key)
{
    const struct cq_address_facts facts = {
        .key = key,
        .client_bits = -1,
        .own = cq_net_touches(&sync->own, key),
        .never = cq_net_touches(&sync->never, key)
    };

    return cq_spared_reason(&facts) != CQ_SPARED_NOT;
}

static bool add_denied(struct cq_sync *sync, enum cq_depth depth)
{
    size_t i, j, spared_n = 0;

    for (i = 0; i < sync->lists.deny_n; i++) {
        const struct cq_deny_list *list = &sync->lists.files[i].entries;

        for (j = 0; j < list->count; j++) {
            const struct cq_wanted wanted = {
                .client = list->entries[j].net,
                .from = { (uint32_t)i + 1, list->entries[j].line }
            };

            if (is_spared(sync, &wanted.client)) {
                spared_n++;
            }
            else if (!cq_wanted_add(&sync->wanted, &wanted)) {
                return false;
            }
        }
    }
    if (spared_n > 0 && depth == CQ_FULL && sync->say.verbose) {
        cq_say_info(&sync->say, "%zu addresses of deny files are left out: "
                    "they are own, reserved or on a never list", spared_n);
    }
    return true;
}

/* ---- the table ---- */

/* A name that is misspelled would jail no client and report nothing. */
static void check_pools(struct cq_sync *sync)
{
    const struct cq_rules *rules = &sync->source.rules;
    const struct cq_texts *pools = &sync->options->pools;
    size_t i, j;

    for (i = 0; i < pools->count; i++) {
        char names[512] = "";
        bool is_there = false;

        for (j = 0; j < rules->pool_n; j++) {
            size_t at = strlen(names);

            is_there |= strcmp(rules->pools[j].name, pools->texts[i]) == 0;
            snprintf(names + at, sizeof(names) - at, "%s%s",
                     j > 0 ? ", " : "", rules->pools[j].name);
        }
        if (!is_there) {
            cq_say_trouble(&sync->say, "--pool %s: no such pool in %s, "
                           "expected one of: %s", pools->texts[i],
                           sync->options->table, names);
        }
    }
}

/* Is what was read still the file's? A lost page reads as no offenders. */
static bool is_whole(struct cq_sync *sync)
{
    if (cq_attach_is_current(sync->table)) {
        return true;
    }
    cq_source_forget(&sync->source);
    cq_say_trouble(&sync->say, "%s: was cut short or replaced while it was "
                   "read; nothing is done until the next look",
                   sync->options->table);
    cq_sync_failed(sync, CQ_EXIT_NO_TABLE);
    return false;
}

bool cq_sync_gather(struct cq_sync *sync, enum cq_depth depth, int64_t now_s,
                    bool *changed)
{
    const struct cq_sync_options *o = sync->options;

    sync->source.table = sync->table;
    sync->source.terms = (struct cq_source_terms){
        .limits = { .grace_s = o->grace_s, .after = o->after },
        .pools = &o->pools, .own = &sync->own, .never = &sync->never
    };
    *changed = depth == CQ_FULL
        || !cq_source_is_unchanged(&sync->source, now_s);
    if (!*changed) {
        return is_whole(sync);
    }
    if (depth == CQ_FULL) {
        read_lists(sync);
    }
    sync->wanted.count = 0;
    if (cq_source_scan(&sync->source, now_s, &sync->wanted,
                       depth == CQ_FULL ? &sync->say : NULL) != CQ_OK
        || !add_denied(sync, depth)) {
        cq_source_forget(&sync->source);
        cq_say_trouble(&sync->say, "out of memory: nothing is done");
        return false;
    }
    if (!is_whole(sync)) {
        return false;
    }
    if (depth == CQ_FULL) {
        check_pools(sync);
    }
    cq_wanted_finish(&sync->wanted);
    return true;
}
