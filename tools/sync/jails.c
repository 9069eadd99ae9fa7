/* jails - what is in the jails, and what has to change. A jail that fails
 * fails alone. */
#include "sync/sync.h"

#include <stdlib.h>
#include <string.h>

static void jail_failed(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    cq_say_trouble(&sync->say, "%s", sj->why.text);
    cq_sync_failed(sync, (enum cq_exit)sj->status);     /* the same numbers */
    /* it may be there again, and another one, at the next pass */
    sj->is_open = sj->is_open && sj->status == CQ_JAIL_PARTLY;
    sj->has_figures = sj->has_figures && sj->is_open;
    sj->is_settled = false;
}

/* ---- networks of deny files ---- */

static int compare_keys(const void *a, const void *b)
{
    return cq_key_compare(a, b);
}

static void choose_network(struct cq_sync_jail *sj, const struct cq_key *key)
{
    const char *why = cq_jail_cannot_deny(sj->jail, key);

    if (why == NULL) {
        sj->networks[sj->network_n++] = *key;
    }
    else if (sj->network_not_held_n++ == 0) {
        sj->network_not_held = *key;
        sj->network_why = why;
    }
}

/* Those that the jail holds, with the addresses that it does not hold as
 * clients; none inside another. */
static bool choose_networks(const struct cq_sync *sync,
                            struct cq_sync_jail *sj)
{
    size_t i, n = 0;

    free(sj->networks);
    sj->network_n = sj->network_not_held_n = 0;
    sj->networks = calloc(sync->networks.count + sync->wanted.count + 1,
                          sizeof(sj->networks[0]));
    if (sj->networks == NULL) {
        return false;
    }
    for (i = 0; i < sync->networks.count; i++) {
        choose_network(sj, &sync->networks.entries[i].client);
    }
    for (i = 0; i < sync->wanted.count; i++) {
        const struct cq_wanted *wanted = &sync->wanted.entries[i];

        if (wanted->from.file != 0
            && cq_jail_cannot_hold(sj->jail, &wanted->client) != NULL) {
            choose_network(sj, &wanted->client);
        }
    }
    if (sj->network_n > 0) {
        qsort(sj->networks, sj->network_n, sizeof(sj->networks[0]),
              compare_keys);
    }
    /* a network sorts before what is inside of it */
    for (i = 0; i < sj->network_n; i++) {
        if (n == 0 || !cq_key_contains(&sj->networks[n - 1],
                                       &sj->networks[i])) {
            sj->networks[n++] = sj->networks[i];
        }
    }
    sj->network_n = n;
    return true;
}

/* Against the networks that are in it: a merge of two ordered lists. */
static bool compare_networks(struct cq_sync_jail *sj,
                             const struct cq_jail_element *present,
                             size_t present_n)
{
    size_t i = 0, p = 0;

    free(sj->network_changes);
    sj->network_change_n = 0;
    sj->network_changes = calloc(sj->network_n + present_n + 1,
                                 sizeof(sj->network_changes[0]));
    while (sj->network_changes != NULL
           && (i < sj->network_n || p < present_n)) {
        int order = i == sj->network_n ? 1 : p == present_n ? -1
            : cq_key_compare(&sj->networks[i], &present[p].key);

        if (order == 0) {
            i++;
            p++;
            continue;
        }
        sj->network_changes[sj->network_change_n++] = (struct cq_jail_change){
            .key = order < 0 ? sj->networks[i] : present[p].key,
            .op = order < 0 ? CQ_JAIL_ADD : CQ_JAIL_REMOVE
        };
        i += order < 0;
        p += order > 0;
    }
    return sj->network_changes != NULL;
}

/* @return false: there is no memory */
static bool plan_networks(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    if (!choose_networks(sync, sj)
        || !compare_networks(sj, sj->contents.networks,
                             sj->contents.network_n)) {
        cq_say_trouble(&sync->say, "%s: out of memory",
                       cq_jail_spec(sj->jail));
        return false;
    }
    if (!cq_lists_know_denied(&sync->lists)) {
        sj->network_change_n = 0;
    }
    return true;
}

/* ---- clients ---- */

static const char *cannot_hold(const void *baton, const struct cq_key *client)
{
    return cq_jail_cannot_hold(baton, client);
}

static bool plan_clients(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    const struct cq_plan_input in = {
        .wanted = sync->wanted.entries,
        .wanted_n = sync->wanted.count,
        .present = sj->contents.elements,
        .present_n = sj->contents.element_n,
        .capacity_v4 = sj->figures.capacity_v4,
        .capacity_v6 = sj->figures.capacity_v6,
        .shares_capacity = sj->figures.shares_capacity,
        .now_s = cq_sync_now_s(),
        .lease_s = sync->options->lease_s,
        .holds_additions = !sync->knows_own
            || !cq_lists_know_never(&sync->lists),
        .holds_removals = !cq_lists_know_denied(&sync->lists),
        .cannot_hold = cannot_hold,
        .baton = sj->jail
    };

    cq_plan_free(&sj->plan);
    if (!cq_plan_make(&in, &sj->plan)) {
        cq_say_trouble(&sync->say, "%s: out of memory",
                       cq_jail_spec(sj->jail));
        return false;
    }
    return true;
}

/* Lists the jail, and asks for its figures where they are needed. */
static bool use_jail(struct cq_sync *sync, struct cq_sync_jail *sj,
                     enum cq_depth depth)
{
    sj->status = cq_jail_list(sj->jail, &sj->contents, &sj->why);
    sj->is_open = sj->status == CQ_JAIL_OK;
    if (sj->is_open && (!sj->has_figures || depth == CQ_FULL)) {
        sj->status = cq_jail_figures(sj->jail, &sj->figures, &sj->why);
        sj->has_figures = sj->status == CQ_JAIL_OK;
    }
    if (sj->status != CQ_JAIL_OK) {
        jail_failed(sync, sj);
        return false;
    }
    return plan_networks(sync, sj);
}

/* ---- what is reported of a plan ---- */

static void report_places(struct cq_sync *sync, const struct cq_sync_jail *sj)
{
    const char *spec = cq_jail_spec(sj->jail);
    const struct cq_plan *plan = &sj->plan;
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    size_t first = cq_plan_first(plan, CQ_FATE_NO_PLACE);

    if (plan->no_place_n > 0) {
        snprintf(topic, sizeof(topic), "no places in %s", spec);
        cq_say_state(&sync->say, topic, "%s is full: %zu of %zu are jailed, "
                     "the worst; %zu have no place, e.g. %s: %s", spec,
                     plan->jailed_n, plan->jailed_n + plan->no_place_n,
                     plan->no_place_n,
                     cq_key_format(&sync->wanted.entries[first].client, text,
                                   sizeof(text)),
                     sj->figures.how_to_raise != NULL
                     ? sj->figures.how_to_raise : "make it larger");
    }
}

/* Of the table's clients that the jail cannot hold; those of deny files are
 * reported as networks. */
static size_t count_not_held(const struct cq_sync *sync,
                             const struct cq_sync_jail *sj)
{
    size_t i, n = 0;

    for (i = 0; sj->plan.not_held_n > 0 && i < sj->plan.wanted_n; i++) {
        n += sj->plan.fates[i] == CQ_FATE_NOT_HELD
            && sync->wanted.entries[i].from.file == 0;
    }
    return n;
}

static void report_not_held(struct cq_sync *sync,
                            const struct cq_sync_jail *sj)
{
    const char *spec = cq_jail_spec(sj->jail);
    size_t clients_n = count_not_held(sync, sj);
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];

    if (sj->network_not_held_n > 0) {
        cq_sync_text(&sj->network_not_held, text, sizeof(text));
        snprintf(topic, sizeof(topic), "%s cannot hold %s and %zu more", spec,
                 text, sj->network_not_held_n - 1);
        cq_say_state(&sync->say, topic, "%s %s: %zu of the deny files' "
                     "addresses and networks are not jailed there, e.g. %s",
                     spec, sj->network_why, sj->network_not_held_n, text);
    }
    if (clients_n > 0) {
        cq_say_note(&sync->say, "%s %s: %zu clients are not jailed there",
                    spec, sj->plan.not_held_why, clients_n);
    }
}

/* ---- all jails ---- */

/* May the plan of the last time have become another one? */
static bool needs_plan(struct cq_sync_jail *sj, enum cq_depth depth,
                       bool changed)
{
    return depth == CQ_FULL || changed || !sj->is_open || !sj->is_settled
        || cq_sync_now_s() >= sj->plan.due_s || cq_jail_has_changed(sj->jail);
}

void cq_sync_plan(struct cq_sync *sync, enum cq_depth depth, bool changed)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        struct cq_sync_jail *sj = &sync->jails[i];

        sj->is_planned = needs_plan(sj, depth, changed)
            && use_jail(sync, sj, depth) && plan_clients(sync, sj);
        if (!sj->is_planned) {
            continue;
        }
        sj->is_settled = sj->plan.change_n == 0 && sj->network_change_n == 0;
        report_places(sync, sj);
        report_not_held(sync, sj);
    }
}
