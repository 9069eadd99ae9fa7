/* gather - which clients are wanted: the table's offenders and the lists. */
#include "sync/sync.h"

#include "host/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- addresses that are never jailed ---- */

static bool are_equal(const struct cq_net_list *a, const struct cq_net_list *b)
{
    size_t i = 0;

    while (i < a->count && i < b->count
           && cq_key_compare(&a->rules[i].net, &b->rules[i].net) == 0) {
        i++;
    }
    return a->count == b->count && i == a->count;
}

/* Seals a list, in which networks may stand twice, and puts it in the place of
 * another one. */
static void replace(struct cq_sync *sync, struct cq_net_list *old,
                    struct cq_net_list *new)
{
    struct cq_key twice;

    while (cq_net_seal(new, &twice) != CQ_OK) {
        size_t i, n = 0;

        for (i = 0; i < new->count; i++) {
            if (n == 0 || cq_key_compare(&new->rules[n - 1].net,
                                         &new->rules[i].net) != 0) {
                new->rules[n++] = new->rules[i];
            }
        }
        new->count = n;
    }
    sync->has_new_lists |= !are_equal(old, new);
    cq_net_free(old);
    *old = *new;
}

static void read_own(struct cq_sync *sync)
{
    struct cq_net_list own = { .rules = NULL };

    sync->knows_own = cq_own_addresses(&own) == CQ_OK;
    if (!sync->knows_own) {
        cq_say_trouble(&sync->say, "this machine's own addresses are not "
                       "known (%s): no client is jailed anew",
                       strerror(errno));
        cq_net_free(&own);
        return;
    }
    replace(sync, &sync->own, &own);
}

static bool read_never(struct cq_sync *sync)
{
    struct cq_net_list never = { .rules = NULL };
    bool good = true;
    size_t i, j;

    for (i = 0; i < sync->options->never.count; i++) {
        good = cq_net_add(&never, &sync->options->never.rules[i].net, 0)
            == CQ_OK && good;
    }
    for (i = sync->lists.deny_n; i < sync->lists.count; i++) {
        const struct cq_deny_list *list = &sync->lists.files[i].entries;

        for (j = 0; j < list->count; j++) {
            good = cq_net_add(&never, &list->entries[j].key, 0) == CQ_OK
                && good;
        }
    }
    if (!good) {
        cq_net_free(&never);
        return false;
    }
    replace(sync, &sync->never, &never);
    return true;
}

void cq_sync_read_lists(struct cq_sync *sync, bool waits)
{
    bool knew = sync->knows_own && cq_lists_know_never(&sync->lists)
        && cq_lists_know_denied(&sync->lists);

    sync->has_new_lists |= cq_lists_read(&sync->lists, waits, &sync->say);
    read_own(sync);
    if (!read_never(sync)) {
        cq_say_trouble(&sync->say, "out of memory: no client is jailed anew");
        sync->knows_own = false;
    }
    /* A client seen through a proxy in another pool than the one where it is
     * an offender shows in that other row only: all are asked once a
     * minute. */
    sync->has_new_lists |= sync->source.rules.pool_n > 1
        || knew != (sync->knows_own && cq_lists_know_never(&sync->lists)
                    && cq_lists_know_denied(&sync->lists));
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

    return cq_offence_spared(&facts) != CQ_SPARED_NOT;
}

/* What a jail may hold as a client: a single address, or what is one in this
 * table. */
static bool is_client(const struct cq_sync *sync, const struct cq_key *key)
{
    struct cq_prefixes prefixes = cq_table_prefixes(sync->table);

    return key->prefix == (key->family == 4 ? 32 : 128)
        || key->prefix == (key->family == 4 ? prefixes.v4_bits
                                            : prefixes.v6_bits);
}

static int compare_networks(const void *a, const void *b)
{
    const struct cq_wanted *one = a;
    const struct cq_wanted *other = b;

    return cq_key_compare(&one->client, &other->client);
}

static bool add_denied(struct cq_sync *sync)
{
    size_t i, j;

    sync->networks.count = sync->spared_n = 0;
    for (i = 0; i < sync->lists.deny_n; i++) {
        const struct cq_deny_list *list = &sync->lists.files[i].entries;

        for (j = 0; j < list->count; j++) {
            struct cq_wanted wanted = {
                .client = list->entries[j].key,
                .from = { (uint32_t)i + 1, list->entries[j].line }
            };

            if (is_spared(sync, &wanted.client)) {
                sync->spared_n++;
            }
            else if (!cq_wanted_add(is_client(sync, &wanted.client)
                                    ? &sync->wanted : &sync->networks,
                                    &wanted)) {
                return false;
            }
        }
    }
    if (sync->networks.count > 0) {
        qsort(sync->networks.entries, sync->networks.count,
              sizeof(sync->networks.entries[0]), compare_networks);
    }
    return true;
}

/* ---- the table ---- */

/* A name that is misspelled would jail no client and report nothing. */
static void check_pools(struct cq_sync *sync)
{
    size_t i, j, n = cq_table_pool_count(sync->table);

    for (i = 0; i < sync->options->pools.count; i++) {
        const char *name = sync->options->pools.texts[i];
        char names[512] = "";
        bool is_there = false;
        size_t at = 0;

        for (j = 0; j < n; j++) {
            struct cq_pool_info info;

            cq_table_pool_info(sync->table, (uint16_t)j, &info);
            is_there |= strcmp(info.name, name) == 0;
            if (at < sizeof(names)) {
                at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s",
                                       j > 0 ? ", " : "", info.name);
            }
        }
        if (!is_there) {
            cq_say_trouble(&sync->say, "--pool %s: no such pool in %s, "
                           "expected one of: %s", name, sync->options->table,
                           names);
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

/* Is the last list as good as a new one? Not where places are short: which
 * clients get one depends on figures that change. */
static bool is_unchanged(struct cq_sync *sync, int64_t now_s)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        if (sync->jails[i].plan.no_place_n > 0) {
            return false;
        }
    }
    return !sync->has_new_lists && cq_source_is_unchanged(&sync->source, now_s);
}

/* With -v: the clients that are refused often enough and not jailed. */
static void report_spared(struct cq_sync *sync)
{
    char text[CQ_KEY_TEXT_SIZE];
    struct cq_key client;
    const char *why;
    size_t at = 0;

    while (sync->say.verbose
           && cq_source_next_spared(&sync->source, &at, &client, &why)) {
        cq_say_note(&sync->say, "%s is left out: %s",
                    cq_key_format(&client, text, sizeof(text)), why);
    }
    if (sync->spared_n > 0) {
        cq_say_note(&sync->say, "%zu addresses of deny files are left out: "
                    "they are own, reserved or on a never list",
                    sync->spared_n);
    }
}

bool cq_sync_gather(struct cq_sync *sync, int64_t now_s, bool *changed)
{
    const struct cq_sync_options *o = sync->options;

    sync->source.terms = (struct cq_source_terms){
        .limits = { .grace_s = o->grace_s, .after = o->after },
        .pools = &o->pools, .own = &sync->own, .never = &sync->never
    };
    check_pools(sync);
    *changed = false;
    if (is_unchanged(sync, now_s)) {
        return is_whole(sync);
    }
    *changed = true;
    sync->wanted.count = 0;
    /* until all of it is there, also if it never will be */
    sync->has_new_lists = true;
    if (cq_source_scan(&sync->source, now_s, &sync->wanted) != CQ_OK
        || !add_denied(sync)) {
        cq_say_trouble(&sync->say, "out of memory: nothing is done");
        return false;
    }
    if (!is_whole(sync)) {
        return false;
    }
    cq_wanted_finish(&sync->wanted);
    sync->has_new_lists = false;
    report_spared(sync);
    return true;
}

bool cq_sync_add_rows(struct cq_sync *sync, const uint32_t *rows, size_t n,
                      int64_t now_s, bool *added)
{
    size_t i;

    *added = false;
    for (i = 0; i < n; i++) {
        struct cq_wanted wanted;
        bool is_new;

        if (!cq_source_row(&sync->source, rows[i], now_s, &wanted)) {
            continue;
        }
        if (!cq_wanted_insert(&sync->wanted, &wanted, &is_new)) {
            return false;
        }
        *added |= is_new;
    }
    return is_whole(sync);
}
