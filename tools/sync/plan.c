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
    enum cq_jail_op op;         /* the changes that are noted now */
    int64_t left[2];            /* places, of IPv6 in [1]; -1: no limit */
};

/* ---- the merge ---- */

typedef void visitor(struct work *w, size_t i,
                     const struct cq_jail_element *there);

static bool belongs(enum cq_plan_fate fate, bool to_networks)
{
    return to_networks ? fate == CQ_FATE_NETWORK
        : fate != CQ_FATE_NETWORK && fate != CQ_FATE_INSIDE
          && fate != CQ_FATE_NOT_HELD;
}

/* Visits each wanted one (NONE) with its element (NULL), in order; of clients
 * or of networks. */
static void walk(struct work *w, bool are_networks, visitor *visit)
{
    const struct cq_plan_input *in = w->in;
    const struct cq_jail_element *present = are_networks
        ? in->present.networks : in->present.elements;
    size_t present_n = are_networks ? in->present.network_n
                                    : in->present.element_n;
    size_t i = 0, p = 0;

    while (i < in->wanted_n || p < present_n) {
        int order = 1;

        if (i < in->wanted_n && !belongs(w->out->fates[i], are_networks)) {
            i++;
            continue;
        }
        if (i < in->wanted_n) {
            struct cq_key key = in->wanted[i].client;

            if (!are_networks) {
                key = cq_jail_element_key(&key);
            }
            order = p == present_n ? -1 : cq_key_compare(&key,
                                                         &present[p].key);
        }
        visit(w, order <= 0 ? i : NONE, order >= 0 ? &present[p] : NULL);
        i += order <= 0;
        p += order >= 0;
    }
}

/* ---- places ---- */

static int compare_rank(const void *a, const void *b, void *data)
{
    const struct work *w = data;
    const struct cq_wanted *one = &w->in->wanted[*(const size_t *)a];
    const struct cq_wanted *other = &w->in->wanted[*(const size_t *)b];

    if ((one->from.file != 0) != (other->from.file != 0)) {
        return one->from.file != 0 ? -1 : 1;
    }
    if (one->excess_bytes != other->excess_bytes) {
        return one->excess_bytes > other->excess_bytes ? -1 : 1;
    }
    if (one->last_hit_s != other->last_hit_s) {
        return one->last_hit_s > other->last_hit_s ? -1 : 1;
    }
    return cq_key_compare(&one->client, &other->client);
}

static int place_index(const struct work *w, const struct cq_key *key)
{
    return key->family == 6 && !w->in->present.shares_capacity;
}

/* Occupies the place of one key; false: there is none left. */
static bool occupy(struct work *w, const struct cq_key *key)
{
    int64_t *left = &w->left[place_index(w, key)];

    if (*left > 0) {
        (*left)--;
        return true;
    }
    return *left < 0;
}

/* The operator's elements take places, and what is not removed does. A wanted
 * one of them has its place already. */
static void occupy_kept(struct work *w, size_t i,
                        const struct cq_jail_element *there)
{
    if (there == NULL) {
        return;
    }
    w->out->operators_n += there->is_operators;
    if (there->is_operators || (w->in->holds_removals && i == NONE)) {
        (void)occupy(w, &there->key);
        if (i != NONE) {
            w->out->fates[i] = CQ_FATE_JAILED;
        }
    }
}

/* @param ranked  room for the indexes of wanted */
static void give_places(struct work *w, size_t *ranked)
{
    const struct cq_plan_input *in = w->in;
    int64_t needed[2] = { 0, 0 };
    size_t i, n = 0;

    for (i = 0; i < in->wanted_n; i++) {
        if (w->out->fates[i] == CQ_FATE_CLIENT) {
            ranked[n++] = i;
            needed[place_index(w, &in->wanted[i].client)]++;
        }
    }
    /* ranks matter only when a client has to stay outside */
    if ((w->left[0] >= 0 && w->left[0] < needed[0])
        || (w->left[1] >= 0 && w->left[1] < needed[1])) {
        qsort_r(ranked, n, sizeof(ranked[0]), compare_rank, w);
    }
    for (i = 0; i < n; i++) {
        w->out->fates[ranked[i]] =
            occupy(w, &in->wanted[ranked[i]].client) ? CQ_FATE_JAILED
                                                     : CQ_FATE_NO_PLACE;
    }
}

/* How the jail can hold each, and the networks. A network sorts before what is
 * inside of it. */
static void choose_fates(struct work *w)
{
    const struct cq_plan_input *in = w->in;
    struct cq_plan *out = w->out;
    size_t i, n = 0;

    for (i = 0; i < in->wanted_n; i++) {
        const struct cq_key *key = &in->wanted[i].client;
        enum cq_plan_fate fate = in->fit == NULL ? CQ_FATE_CLIENT
            : in->fit(in->baton, &in->wanted[i]);

        if (fate == CQ_FATE_NETWORK && n > 0
            && cq_key_contains(&out->networks[n - 1], key)) {
            fate = CQ_FATE_INSIDE;
        }
        else if (fate == CQ_FATE_NETWORK) {
            out->networks[n++] = *key;
        }
        out->fates[i] = (uint8_t)fate;
    }
}

/* ---- the difference ---- */

static void note_change(struct work *w, enum cq_jail_op op,
                        const struct cq_key *key, size_t i)
{
    if (op == w->op) {
        size_t at = w->out->change_n++;

        w->out->changes[at] = (struct cq_jail_change){ .key = *key, .op = op };
        w->out->of[at] = i;
    }
}

static void note_addition(struct work *w, size_t i)
{
    struct cq_key key = w->in->wanted[i].client;

    if (w->in->holds_additions) {
        w->out->fates[i] = CQ_FATE_HELD_BACK;
        return;
    }
    if (w->out->fates[i] == CQ_FATE_JAILED) {
        key = cq_jail_element_key(&key);
    }
    note_change(w, CQ_JAIL_ADD, &key, i);
}

static void note_difference(struct work *w, size_t i,
                            const struct cq_jail_element *there)
{
    bool stays = i != NONE && cq_plan_jails(w->out, i);

    if (there == NULL) {
        if (stays) {
            note_addition(w, i);
        }
    }
    else if (stays) {
        if (!there->is_operators && there->expires_at_s != CQ_JAIL_PERMANENT
            && there->expires_at_s - w->in->lease_s / 2 <= w->in->now_s) {
            note_change(w, CQ_JAIL_RENEW, &there->key, NONE);
        }
    }
    else if (!there->is_operators
             && (i != NONE || !w->in->holds_removals)) {
        note_change(w, CQ_JAIL_REMOVE, &there->key, NONE);
    }
}

/* Removals first: they make room. */
static void make_changes(struct work *w)
{
    static const enum cq_jail_op turns[] = { CQ_JAIL_REMOVE, CQ_JAIL_ADD,
                                             CQ_JAIL_RENEW };
    struct cq_plan *out = w->out;
    size_t i, clients_n;

    for (i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
        w->op = turns[i];
        walk(w, false, note_difference);
    }
    clients_n = out->change_n;
    if (!w->in->holds_additions && !w->in->holds_removals) {
        for (i = 0; i < 2; i++) {
            w->op = turns[i];
            walk(w, true, note_difference);
        }
    }
    out->network_change_n = out->change_n - clients_n;
    out->change_n = clients_n;
    for (i = 0; i < out->wanted_n; i++) {
        out->n[out->fates[i]]++;
    }
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
    bool done;

    *plan = (struct cq_plan){
        .changes = calloc(most_n, sizeof(plan->changes[0])),
        .of = calloc(most_n, sizeof(plan->of[0])),
        .networks = calloc(wanted_n, sizeof(plan->networks[0])),
        .fates = calloc(wanted_n, sizeof(plan->fates[0])),
        .wanted_n = in->wanted_n
    };
    done = ranked != NULL && plan->changes != NULL && plan->of != NULL
        && plan->networks != NULL && plan->fates != NULL;
    if (done) {
        choose_fates(&w);
        walk(&w, false, occupy_kept);
        give_places(&w, ranked);
        make_changes(&w);
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
            || plan->fates[wanted] == CQ_FATE_NETWORK
            || plan->fates[wanted] == CQ_FATE_INSIDE);
}

size_t cq_plan_jailed_n(const struct cq_plan *plan)
{
    return plan->n[CQ_FATE_JAILED] + plan->n[CQ_FATE_NETWORK]
        + plan->n[CQ_FATE_INSIDE];
}

void cq_plan_free(struct cq_plan *plan)
{
    free(plan->changes);
    free(plan->of);
    free(plan->networks);
    free(plan->fates);
    memset(plan, 0, sizeof(*plan));
}
