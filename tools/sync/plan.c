/* plan - the difference between what should be in a jail and its elements: one
 * merge of two ordered lists, after places were given. */
#include "sync/plan.h"

#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

/* everything that exists only while a plan is made */
struct work {
    const struct cq_plan_input *in;
    struct cq_plan *out;
    int64_t left[2];            /* places, of IPv6 in [1]; -1: no limit */
    /* the merge */
    size_t next_wanted, next_present;
    size_t wanted;              /* an index, or NONE */
    const struct cq_jail_element *there;        /* its element, or NULL */
};

/* How the jail can hold each, and the networks. A network sorts before what is
 * inside of it. */
static void choose_fates(struct work *w)
{
    const struct cq_plan_input *in = w->in;
    struct cq_plan *out = w->out;
    size_t i, n = 0;

    for (i = 0; in->fit != NULL && i < in->wanted_n; i++) {
        const struct cq_key *key = &in->wanted[i].key;

        out->fates[i] = (uint8_t)in->fit(in->baton, &in->wanted[i]);
        if (out->fates[i] == CQ_FATE_NETWORK
            && (n == 0 || !cq_key_contains(&out->networks[n - 1], key))) {
            out->networks[n++] = *key;
        }
    }
    out->network_n = n;
}

/* Goes on to the next client that is wanted, present or both, in order; behind
 * the last one it begins anew. */
static bool next_client(struct work *w)
{
    const struct cq_plan_input *in = w->in;
    const struct cq_jail_contents *present = &in->present;
    bool has_element = w->next_present < present->element_n;
    int order = 1;

    while (w->next_wanted < in->wanted_n
           && (w->out->fates[w->next_wanted] == CQ_FATE_NETWORK
               || w->out->fates[w->next_wanted] == CQ_FATE_NOT_HELD)) {
        w->next_wanted++;
    }
    if (w->next_wanted < in->wanted_n) {
        struct cq_key key =
            cq_jail_element_key(&in->wanted[w->next_wanted].key);

        order = !has_element ? -1
            : cq_key_compare(&key, &present->elements[w->next_present].key);
    }
    else if (!has_element) {
        w->next_wanted = w->next_present = 0;
        return false;
    }
    w->wanted = order <= 0 ? w->next_wanted++ : NONE;
    w->there = order >= 0 ? &present->elements[w->next_present++] : NULL;
    return true;
}

/* ---- places ---- */

/* Where the places of a key are counted. */
static int place_index(const struct work *w, const struct cq_key *key)
{
    return key->family == 6 && !w->in->present.shares_capacity;
}

/* Occupies the place of one key; false: there is none left. */
static bool occupy(struct work *w, const struct cq_key *key)
{
    int64_t *left = &w->left[place_index(w, key)];
    bool has_place = *left != 0;

    *left -= *left > 0;
    return has_place;
}

static int compare_rank(const void *a, const void *b, void *work)
{
    const struct work *w = work;

    return cq_wanted_compare_rank(&w->in->wanted[*(const size_t *)a],
                                  &w->in->wanted[*(const size_t *)b]);
}

/* The operator's elements have their places, as has what is not removed; the
 * clients get the others.
 * @param ranked  room for the indexes of wanted */
static void give_places(struct work *w, size_t *ranked)
{
    const struct cq_plan_input *in = w->in;
    uint8_t *fates = w->out->fates;
    int64_t needed[2] = { 0, 0 };
    size_t i, n = 0;

    while (next_client(w)) {
        if (w->there != NULL
            && (w->there->is_operators
                || (in->holds_removals && w->wanted == NONE))) {
            w->out->operators_n += w->there->is_operators;
            (void)occupy(w, &w->there->key);
        }
        else if (w->there == NULL && in->holds_additions) {
            fates[w->wanted] = CQ_FATE_HELD_BACK;
        }
        else if (w->wanted != NONE) {
            needed[place_index(w, &in->wanted[w->wanted].key)]++;
            ranked[n++] = w->wanted;
        }
    }
    /* ranks matter only when a client has to stay outside */
    if ((w->left[0] >= 0 && w->left[0] < needed[0])
        || (w->left[1] >= 0 && w->left[1] < needed[1])) {
        qsort_r(ranked, n, sizeof(ranked[0]), compare_rank, w);
    }
    for (i = 0; i < n; i++) {
        if (!occupy(w, &in->wanted[ranked[i]].key)) {
            fates[ranked[i]] = CQ_FATE_NO_PLACE;
        }
    }
}

/* ---- the difference ---- */

static void note_change(struct cq_plan *plan, enum cq_jail_op op,
                        const struct cq_key *key)
{
    plan->changes[plan->change_n++] = (struct cq_jail_change){ .key = *key,
                                                               .op = op };
}

/* Does the client need this change? */
static bool needs(const struct work *w, enum cq_jail_op op)
{
    const struct cq_plan_input *in = w->in;
    bool stays = w->wanted != NONE
        && w->out->fates[w->wanted] == CQ_FATE_JAILED;

    if (w->there == NULL) {
        return op == CQ_JAIL_ADD && stays;
    }
    if (w->there->is_operators) {
        return false;
    }
    if (stays) {
        return op == CQ_JAIL_RENEW
            && w->there->expires_at_s != CQ_JAIL_PERMANENT
            && w->there->expires_at_s - in->lease_s / 2 <= in->now_s;
    }
    return op == CQ_JAIL_REMOVE
        && (w->wanted != NONE || !in->holds_removals);
}

static void note_clients(struct work *w)
{
    static const enum cq_jail_op turns[] = { CQ_JAIL_REMOVE, CQ_JAIL_ADD,
                                             CQ_JAIL_RENEW };
    size_t i;

    for (i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
        while (next_client(w)) {
            struct cq_key key = w->there != NULL ? w->there->key
                : cq_jail_element_key(&w->in->wanted[w->wanted].key);

            if (needs(w, turns[i])) {
                note_change(w->out, turns[i], &key);
            }
        }
    }
}

/* They are replaced as a whole: not while something is unknown. */
static void note_networks(struct work *w)
{
    const struct cq_jail_contents *present = &w->in->present;
    struct cq_plan *out = w->out;
    size_t clients_n = out->change_n;
    size_t i = 0, p = 0;
    bool is_known = !w->in->holds_additions && !w->in->holds_removals;

    while (is_known && (i < out->network_n || p < present->network_n)) {
        const struct cq_jail_element *there = &present->networks[p];
        int order = i == out->network_n ? 1 : p == present->network_n ? -1
            : cq_key_compare(&out->networks[i], &there->key);

        if (order < 0) {
            note_change(out, CQ_JAIL_ADD, &out->networks[i]);
        }
        else if (order > 0) {
            note_change(out, CQ_JAIL_REMOVE, &there->key);
        }
        i += order <= 0;
        p += order >= 0;
    }
    out->network_change_n = out->change_n - clients_n;
    out->change_n = clients_n;
}

bool cq_plan_make(const struct cq_plan_input *in, struct cq_plan *plan)
{
    struct work w = { .in = in, .out = plan,
                      .left = { in->present.capacity_v4,
                                in->present.capacity_v6 } };
    /* one more, as malloc() of nothing may be NULL */
    size_t wanted_n = in->wanted_n + 1;
    size_t most_n = wanted_n + in->present.element_n + in->present.network_n;
    size_t *ranked = calloc(wanted_n, sizeof(ranked[0]));
    size_t i;
    bool done;

    *plan = (struct cq_plan){
        .changes = calloc(most_n, sizeof(plan->changes[0])),
        .networks = calloc(wanted_n, sizeof(plan->networks[0])),
        .fates = calloc(wanted_n, sizeof(plan->fates[0])),
        .wanted_n = in->wanted_n
    };
    done = ranked != NULL && plan->changes != NULL && plan->networks != NULL
        && plan->fates != NULL;
    if (done) {
        choose_fates(&w);
        give_places(&w, ranked);
        note_clients(&w);
        note_networks(&w);
        for (i = 0; i < in->wanted_n; i++) {
            plan->n[plan->fates[i]]++;
        }
    }
    else {
        cq_plan_free(plan);
    }
    free(ranked);
    return done;
}

bool cq_plan_jails(const struct cq_plan *plan, size_t wanted)
{
    return wanted < plan->wanted_n
        && (plan->fates[wanted] == CQ_FATE_JAILED
            || plan->fates[wanted] == CQ_FATE_NETWORK);
}

size_t cq_plan_jailed_n(const struct cq_plan *plan)
{
    return plan->n[CQ_FATE_JAILED] + plan->n[CQ_FATE_NETWORK];
}

void cq_plan_hold_back(struct cq_plan *plan, size_t wanted)
{
    plan->n[plan->fates[wanted]]--;
    plan->fates[wanted] = CQ_FATE_HELD_BACK;
    plan->n[CQ_FATE_HELD_BACK]++;
}

void cq_plan_forget_changes(struct cq_plan *plan)
{
    free(plan->changes);
    plan->changes = NULL;
    plan->change_n = plan->network_change_n = 0;
}

void cq_plan_free(struct cq_plan *plan)
{
    free(plan->changes);
    free(plan->networks);
    free(plan->fates);
    memset(plan, 0, sizeof(*plan));
}
