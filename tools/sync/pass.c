/* pass - what a pass does with the jails: open, list, plan, write down, act.
 *
 * A jail that fails fails alone. What is to be ours is on disk before the
 * kernel has it. */
#include "sync/sync.h"

#include <stdlib.h>
#include <string.h>

static enum sync_exit exit_of(enum jail_status status)
{
    return (enum sync_exit)status;      /* the same numbers: jail.h */
}

static void jail_failed(struct sync *sync, struct sync_jail *sj,
                        enum jail_status status, const struct jail_why *why)
{
    say_trouble(&sync->say, "%s", why->text);
    sync_failed(sync, exit_of(status));
    if (status != JAIL_PARTLY) {
        /* it may be there again, and another one, at the next pass */
        sj->open = false;
        sj->listed = false;
    }
}

const char *sync_key_text(const struct sync_jail *sj,
                          const struct cq_key *key, char *text, size_t size)
{
    bool whole = key->prefix == (key->family == 4 ? 32 : 128);

    /* an xt_recent list holds a network as its first address */
    return whole || sj->jail->kind == &jail_recent
        ? cq_key_format(key, text, size)
        : cq_key_format_cidr(key, text, size);
}

/* ---- what is in it ---- */

static bool list_jail(struct sync *sync, struct sync_jail *sj, bool to_write)
{
    const struct jail_kind *kind = sj->jail->kind;
    struct jail_why why = { "" };
    enum jail_status status = JAIL_OK;

    jail_listing_free(&sj->listing);
    if (!sj->open) {
        status = kind->open(sj->jail, to_write, &why);
        sj->open = status == JAIL_OK;
    }
    if (status == JAIL_OK) {
        status = kind->list(sj->jail, &sj->listing, &why);
        if (status == JAIL_OK) {
            status = kind->figures(sj->jail, sync->options->status,
                                   &sj->figures, &why);
        }
        sj->listed = status == JAIL_OK;
    }
    sj->status = status;
    if (status != JAIL_OK) {
        sj->why = why;
        jail_failed(sync, sj, status, &why);
    }
    return status == JAIL_OK;
}

static int compare_present(const void *a, const void *b)
{
    const struct jail_present *one = a;
    const struct jail_present *other = b;

    return cq_key_compare(&one->key, &other->key);
}

/* Keeps the listing right after our own changes, for passes that don't list
 * anew. */
static void follow_changes(struct sync_jail *sj, int64_t lease_s)
{
    struct jail_listing *l = &sj->listing;
    const struct plan *plan = &sj->plan;
    struct jail_present *grown;
    size_t i, j, n = 0, added = 0;

    for (i = 0; i < plan->change_n; i++) {
        const struct jail_change *change = &plan->changes[i];
        struct jail_present wanted = { .key = change->key };
        struct jail_present *there = l->count == 0 ? NULL
            : bsearch(&wanted, l->entries, l->count, sizeof(wanted),
                      compare_present);

        if (!change->failed && change->op == JAIL_ADD) {
            added++;
        }
        else if (!change->failed && there != NULL
                 && there->expires_in_s != JAIL_NO_EXPIRY) {
            /* marked to go, or renewed */
            there->expires_in_s = change->op == JAIL_REMOVE ? 0 : lease_s;
        }
        if (!change->failed && there != NULL && change->op == JAIL_REMOVE) {
            there->key.family = 0;
        }
    }
    for (i = 0; i < l->count; i++) {
        if (l->entries[i].key.family != 0) {
            l->entries[n++] = l->entries[i];
        }
    }
    l->count = n;
    grown = reallocarray(l->entries, n + added + 1, sizeof(grown[0]));
    if (grown == NULL) {
        sj->listed = false;
        return;
    }
    l->entries = grown;
    for (j = 0; j < plan->change_n; j++) {
        if (plan->changes[j].op == JAIL_ADD && !plan->changes[j].failed) {
            l->entries[l->count].key = plan->changes[j].key;
            l->entries[l->count++].expires_in_s = JAIL_NO_EXPIRY;
        }
    }
    if (added > 0) {
        jail_listing_sort(l);
    }
}

/* ---- who is wanted in it ---- */

static bool owns(const struct state_jail *owned, const struct cq_key *key)
{
    size_t from = 0, to = owned->owned_n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = cq_key_compare(&owned->owned[middle].key, key);

        if (order == 0) {
            return true;
        }
        if (order < 0) {
            from = middle + 1;
        }
        else {
            to = middle;
        }
    }
    return false;
}

/* What a file asks for and can't be done is said; a client's network is told
 * by --status and -v. */
static void tell_unheld(struct sync *sync, const struct sync_jail *sj,
                        size_t by_hand_n, const struct cq_key *by_hand)
{
    char text[CQ_KEY_TEXT_SIZE], topic[SAY_SIZE];

    if (by_hand_n > 0) {
        cq_key_format_cidr(by_hand, text, sizeof(text));
        snprintf(topic, sizeof(topic), "%s cannot hold %s and %zu more",
                 sj->jail->spec, text, by_hand_n - 1);
        say_state(&sync->say, topic, "%s %s: %zu of the deny files' networks "
                  "are not jailed there, e.g. %s", sj->jail->spec,
                  sj->jail->kind->cannot_hold(sj->jail, by_hand), by_hand_n,
                  text);
    }
    if (sj->unheld_n > by_hand_n) {
        say_note(&sync->say, "%s %s: %zu clients are not jailed there",
                 sj->jail->spec, sj->unheld_why, sj->unheld_n - by_hand_n);
    }
}

static bool select_wanted(struct sync *sync, struct sync_jail *sj,
                          const struct state_jail *owned)
{
    struct cq_key by_hand = { .family = 0 };
    size_t i, by_hand_n = 0;

    sj->wanted.count = 0;
    sj->unheld_n = 0;
    for (i = 0; i < sync->wanted.count; i++) {
        const struct plan_wanted *w = &sync->wanted.entries[i];
        const char *why = sj->jail->kind->cannot_hold(sj->jail, &w->key);

        if (why != NULL) {
            if (sj->unheld_n++ == 0) {
                sj->unheld = w->key;
                sj->unheld_why = why;
            }
            if (w->by_hand && by_hand_n++ == 0) {
                by_hand = w->key;
            }
        }
        else if ((!sync->hold || owns(owned, &w->key))
                 && !wanted_add(&sj->wanted, w)) {
            return false;
        }
    }
    tell_unheld(sync, sj, by_hand_n, &by_hand);
    return true;
}

static void tell_places(struct sync *sync, const struct sync_jail *sj)
{
    char topic[SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    const struct plan *plan = &sj->plan;

    if (plan->left_out_n == 0) {
        return;
    }
    snprintf(topic, sizeof(topic), "no places in %s", sj->jail->spec);
    say_state(&sync->say, topic, "%s is full: %zu of %zu are jailed, the "
              "worst; %zu have no place, e.g. %s: %s", sj->jail->spec,
              plan->jailed_n, plan->jailed_n + plan->left_out_n,
              plan->left_out_n,
              cq_key_format(&plan->left_out[0], text, sizeof(text)),
              sj->figures.how_to_raise != NULL ? sj->figures.how_to_raise
                                               : "make it larger");
}

static void plan_jail(struct sync *sync, struct sync_jail *sj, int64_t now_s)
{
    const struct state_jail *owned = state_jail(&sync->state, sj->jail->spec);
    struct plan_input in = {
        .present = sj->listing.entries,
        .present_n = sj->listing.count,
        .never = &sync->never,
        .places = { .v4 = sj->figures.places_v4,
                    .v6 = sj->figures.places_v6,
                    .shared = sj->figures.shared_places },
        .now_s = now_s,
        .lease_s = sync->options->lease_s
    };

    plan_free(&sj->plan);
    sj->planned = false;
    if (owned != NULL && select_wanted(sync, sj, owned)) {
        in.wanted = sj->wanted.entries;
        in.wanted_n = sj->wanted.count;
        in.owned = owned->owned;
        in.owned_n = owned->owned_n;
        sj->planned = plan_make(&in, &sj->plan);
    }
    if (!sj->planned) {
        say_trouble(&sync->say, "%s: out of memory", sj->jail->spec);
        return;
    }
    tell_places(sync, sj);
    /* what has no place is told each minute: say_begin() */
    sj->settled = sj->plan.change_n == 0 && sj->plan.left_out_n == 0
        && sj->unheld_n == 0;
    sj->planned_s = now_s;
}

/* Is what is in it what was in it, in order, both, and nothing of it about to
 * go? */
static bool same_listing(const struct jail_listing *before,
                         const struct jail_listing *now, int64_t lease_s)
{
    size_t i;

    for (i = 0; i < before->count && i < now->count; i++) {
        const struct jail_present *there = &now->entries[i];

        if (memcmp(&before->entries[i].key, &there->key, sizeof(there->key))
                != 0
            || (there->expires_in_s != JAIL_NO_EXPIRY
                && there->expires_in_s <= lease_s / 2)) {
            return false;
        }
    }
    return before->count == now->count;
}

/* What is in the jail, and whether that is another question to the plan. */
static bool look_into(struct sync *sync, struct sync_jail *sj, bool to_write)
{
    struct jail_listing before = sj->listing;
    struct jail_figures figures = sj->figures;
    bool good;

    sj->listing = (struct jail_listing){ .entries = NULL };
    good = list_jail(sync, sj, to_write);
    sj->settled = sj->settled && good
        && figures.places_v4 == sj->figures.places_v4
        && figures.places_v6 == sj->figures.places_v6
        && figures.shared_places == sj->figures.shared_places
        && same_listing(&before, &sj->listing, sync->options->lease_s);
    jail_listing_free(&before);
    return good;
}

void sync_plan(struct sync *sync, int64_t now_s, bool to_write, bool relist)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        struct sync_jail *sj = &sync->jails[i];

        sj->planned = false;
        if ((sj->listed && !relist) || look_into(sync, sj, to_write)) {
            if (!sj->settled || now_s < sj->planned_s
                || now_s >= sj->plan.due_s) {
                plan_jail(sync, sj, now_s);
            }
        }
    }
}

void sync_unsettle(struct sync *sync)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        sync->jails[i].settled = false;
    }
}

/* ---- acting ---- */

/* Notes for every jail what it will own. */
static bool write_ahead(struct sync *sync)
{
    bool good = true;
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        const struct sync_jail *sj = &sync->jails[i];

        good = (!sj->planned
                || state_own(&sync->state, sj->jail->spec, sj->plan.owned,
                             sj->plan.owned_n)) && good;
    }
    return good && (!sync->state.changed || sync_save(sync));
}

static void print_changes(const struct sync *sync, const struct sync_jail *sj)
{
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    for (i = 0; i < sj->plan.change_n; i++) {
        const struct jail_change *change = &sj->plan.changes[i];

        if (change->op != JAIL_RENEW && !change->failed) {
            fprintf(sync->out, "%c%s\n", change->op == JAIL_ADD ? '+' : '-',
                    sync_key_text(sj, &change->key, text, sizeof(text)));
        }
    }
}

static int compare_changes(const void *a, const void *b)
{
    const struct jail_change *one = a;
    const struct jail_change *other = b;

    return cq_key_compare(&one->key, &other->key);
}

void sync_print(const struct sync *sync)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        const struct sync_jail *sj = &sync->jails[i];

        if (sj->planned) {
            if (sync->jail_n > 1) {
                fprintf(sync->out, "# %s\n", sj->jail->spec);
            }
            if (sj->plan.change_n > 0) {
                qsort(sj->plan.changes, sj->plan.change_n,
                      sizeof(sj->plan.changes[0]), compare_changes);
            }
            print_changes(sync, sj);
        }
    }
    fflush(sync->out);
}

static void apply_one(struct sync *sync, struct sync_jail *sj, int64_t now_s)
{
    struct plan *plan = &sj->plan;
    struct jail_why why = { "" };
    enum jail_status status;

    if (plan->change_n == 0) {
        return;
    }
    status = sj->jail->kind->apply(sj->jail, plan->changes, plan->change_n,
                                   sync->options->lease_s, &why);
    if (status != JAIL_OK) {
        jail_failed(sync, sj, status, &why);
    }
    if (status > JAIL_PARTLY) {
        return;         /* nobody knows what was done: the note stays long */
    }
    if (sync->options->verbose) {
        print_changes(sync, sj);
        fflush(sync->out);
    }
    follow_changes(sj, sync->options->lease_s);
    plan_settle(plan, now_s);
    if (!state_own(&sync->state, sj->jail->spec, plan->owned,
                   plan->owned_n)) {
        say_trouble(&sync->say, "%s: out of memory", sj->jail->spec);
    }
}

void sync_apply(struct sync *sync, int64_t now_s)
{
    size_t i;

    if (!write_ahead(sync)) {
        /* What can't be written down must not be put in, or nobody would
         * take it out; but who is to be let go is. */
        say_trouble(&sync->say, "%s: cannot be written, so nobody new is "
                    "jailed", sync->options->state);
        for (i = 0; i < sync->jail_n; i++) {
            struct sync_jail *sj = &sync->jails[i];

            if (sj->planned) {
                plan_drop_additions(&sj->plan);
                (void)state_own(&sync->state, sj->jail->spec, sj->plan.owned,
                                sj->plan.owned_n);
            }
        }
    }
    for (i = 0; i < sync->jail_n; i++) {
        if (sync->jails[i].planned) {
            apply_one(sync, &sync->jails[i], now_s);
        }
    }
}
