/* gather - who should be jailed: the table's offenders and the lists. */
#include "sync/sync.h"

#include "host/own.h"
#include "sync/deny.h"

#include <errno.h>
#include <string.h>

/* ---- lists ---- */

/* What a list says now, or else what it said last, is in the state. */
static void read_list(struct sync *sync, const char *path,
                      enum deny_form form)
{
    const struct key_list *before = state_file(&sync->state, path);
    struct key_list keys = { .keys = NULL };

    if (deny_read(path, form, &keys, &sync->say) == CQ_OK
        && (before == NULL || !key_list_equal(before, &keys))) {
        sync->new_lists = true;
        if (!state_remember(&sync->state, path, &keys)) {
            say_trouble(&sync->say, "%s: out of memory", path);
        }
    }
    key_list_free(&keys);
}

static bool add_keys(struct key_list *to, const struct key_list *from)
{
    size_t i;

    for (i = 0; i < from->count; i++) {
        if (!key_list_add(to, &from->keys[i])) {
            return false;
        }
    }
    return true;
}

/* This machine's own addresses. */
static bool add_own(struct sync *sync, struct key_list *keys)
{
    struct cq_net_list own = { .rules = NULL };
    enum cq_status status = cq_own_addresses(&own);
    bool added = true;
    size_t i;

    if (status != CQ_OK) {
        say_trouble(&sync->say, "this machine's own addresses are not known "
                    "(%s): nobody new is jailed", strerror(errno));
        sync->hold = true;
    }
    for (i = 0; i < own.count && added; i++) {
        added = key_list_add(keys, &own.rules[i].net);
    }
    cq_net_free(&own);
    return added;
}

/* Takes the keys over. */
static bool seal_never(struct sync *sync, struct key_list *keys)
{
    struct key_list before = sync->never_keys;
    size_t i;

    key_list_sort(keys);
    sync->new_lists |= !key_list_equal(&before, keys);
    sync->never_keys = *keys;
    *keys = before;
    keys = &sync->never_keys;
    cq_net_free(&sync->never);
    for (i = 0; i < keys->count; i++) {
        if (cq_net_add(&sync->never, &keys->keys[i], 0) != CQ_OK) {
            return false;
        }
    }
    return cq_net_seal(&sync->never, NULL) == CQ_OK;
}

void sync_read_lists(struct sync *sync)
{
    const struct options *o = sync->options;
    struct key_list never = { .keys = NULL };
    bool good = add_keys(&never, &o->never);
    bool held = sync->hold;
    size_t i;

    sync->hold = false;
    for (i = 0; i < o->deny_files.count; i++) {
        read_list(sync, o->deny_files.texts[i], DENY_ANY_FORM);
    }
    for (i = 0; i < o->never_files.count; i++) {
        const char *path = o->never_files.texts[i];
        const struct key_list *keys;

        read_list(sync, path, DENY_PLAIN_ONLY);
        keys = state_file(&sync->state, path);
        if (keys != NULL) {
            good = add_keys(&never, keys) && good;
        }
        else {
            say_trouble(&sync->say, "%s: was never read, so it is not known "
                        "who must not be jailed: nobody new is", path);
            sync->hold = true;
        }
    }
    good = add_own(sync, &never) && good;
    if (!good || !seal_never(sync, &never)) {
        say_trouble(&sync->say, "out of memory: nobody new is jailed");
        sync->hold = true;
    }
    /* Who was seen through a proxy in another pool than where he is an offender
     * shows in that other row only: once a minute all are asked. */
    sync->new_lists |= sync->hold != held
        || sync->source.look.rules.pool_n > 1;
    key_list_free(&never);
}

/* ---- the table ---- */

bool sync_attach(struct sync *sync)
{
    char why[CQ_WHY_SIZE];
    enum cq_status status;

    if (sync->source.table != NULL && source_is_named(&sync->source)) {
        return true;
    }
    source_detach(&sync->source);
    status = source_attach(&sync->source, sync->options->table, why,
                           sizeof(why));
    if (status != CQ_OK) {
        say_trouble(&sync->say, "%s", why);
        sync_failed(sync, status == CQ_EACCES ? SYNC_NOT_PERMITTED
                                              : SYNC_NO_TABLE);
    }
    return status == CQ_OK;
}

/* A name that is misspelled would jail nobody and say nothing. */
static void check_pools(struct sync *sync)
{
    char names[512];
    size_t i;

    for (i = 0; i < sync->options->pools.count; i++) {
        const char *name = sync->options->pools.texts[i];

        if (!source_has_pool(&sync->source, name, names, sizeof(names))) {
            say_trouble(&sync->say, "--pool %s: no such pool in %s, expected "
                        "one of: %s", name, sync->options->table, names);
        }
    }
}

static bool add_denied(struct sync *sync)
{
    const struct options *o = sync->options;
    struct plan_wanted wanted = { .by_hand = true };
    size_t i, j;

    for (i = 0; i < o->deny_files.count; i++) {
        const struct key_list *keys = state_file(&sync->state,
                                                 o->deny_files.texts[i]);

        for (j = 0; keys != NULL && j < keys->count; j++) {
            wanted.key = keys->keys[j];
            if (!wanted_add(&sync->wanted, &wanted)) {
                return false;
            }
        }
    }
    return true;
}

/* Is the last list as good as a new one? Not where places are short: who gets
 * one depends on figures that change. */
static bool is_same(struct sync *sync, const struct source_terms *terms,
                    int64_t now_s)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        if (sync->jails[i].plan.left_out_n > 0) {
            return false;
        }
    }
    return !sync->new_lists
        && source_is_same(&sync->source, terms, now_s, &sync->wanted.due_s);
}

static void tell_special(struct sync *sync)
{
    if (sync->special_n > 0) {
        say_note(&sync->say, "%zu addresses are left out: loopback, "
                 "link-local, multicast or none", sync->special_n);
    }
}

bool sync_gather(struct sync *sync, int64_t now_s)
{
    const struct options *o = sync->options;
    struct source_terms terms = {
        .limits = { .grace_s = o->grace_s, .after = o->after },
        .pools = o->pools.texts,
        .pool_n = o->pools.count
    };
    enum cq_status status;

    check_pools(sync);
    if (is_same(sync, &terms, now_s)) {
        tell_special(sync);
        return true;
    }
    sync_unsettle(sync);
    sync->wanted.count = 0;
    sync->wanted.due_s = 0;
    /* until all of it is there, also if it never will be */
    sync->new_lists = true;
    status = source_offenders(&sync->source, &terms, now_s, &sync->wanted);
    if (status == CQ_ECORRUPT) {
        say_trouble(&sync->say, "%s: was cut short while it was read, "
                    "expected a whole table", o->table);
        source_detach(&sync->source);
        sync_failed(sync, SYNC_NO_TABLE);
        return false;
    }
    if (status != CQ_OK || !add_denied(sync)) {
        say_trouble(&sync->say, "out of memory: nothing is done");
        return false;
    }
    sync->special_n = wanted_finish(&sync->wanted);
    tell_special(sync);
    sync->new_lists = false;
    return true;
}
