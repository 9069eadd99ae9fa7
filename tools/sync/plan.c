/* plan - the difference between the clients that should be in a jail and its
 * elements: one merge of two ordered lists, after places were given. */
#include "sync/plan.h"

#include <stdlib.h>
#include <string.h>

/* everything that exists only while a plan is made */
struct work {
    const struct cq_plan_input *in;
    struct cq_plan *out;
    size_t *ranked;             /* indexes of wanted */
    size_t ranked_n;
};

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
    return cq_wanted_compare(&one->client, &other->client);
}

struct places {
    int64_t v4;                 /* -1: no limit */
    int64_t v6;
    bool shared;
};

/* Occupies the place of one key; false: there is none left. */
static bool occupy(struct places *left, const struct cq_key *key)
{
    int64_t *places = key->family == 4 || left->shared ? &left->v4
                                                       : &left->v6;

    if (*places > 0) {
        (*places)--;
        return true;
    }
    return *places < 0;
}

static bool is_enough(int64_t places, size_t n)
{
    return places < 0 || (uint64_t)places >= n;
}

/* The operator's elements take places, and what is not removed does. A wanted
 * one of them has its place already. */
static void occupy_kept(struct work *w, struct places *left)
{
    const struct cq_plan_input *in = w->in;
    size_t i, at = 0;

    for (i = 0; i < in->present_n; i++) {
        const struct cq_jail_element *there = &in->present[i];
        int order = -1;

        while (at < in->wanted_n
               && (order = cq_wanted_compare(&in->wanted[at].client,
                                             &there->key)) < 0) {
            at++;
        }
        if (there->is_operators) {
            w->out->operators_n++;
        }
        if (there->is_operators || (in->holds_removals && order != 0)) {
            (void)occupy(left, &there->key);
            if (at < in->wanted_n && order == 0) {
                w->out->fates[at] = CQ_FATE_JAILED;
            }
        }
    }
}

static void give_places(struct work *w)
{
    const struct cq_plan_input *in = w->in;
    struct places left = { in->capacity_v4, in->capacity_v6,
                           in->shares_capacity };
    size_t i, v6_n = 0;

    occupy_kept(w, &left);
    for (i = 0; i < in->wanted_n; i++) {
        const char *why = in->cannot_hold == NULL ? NULL
            : in->cannot_hold(in->baton, &in->wanted[i].client);

        if (why != NULL) {
            w->out->fates[i] = CQ_FATE_NOT_HELD;
            if (w->out->not_held_why == NULL) {
                w->out->not_held_why = why;
            }
        }
        else if (w->out->fates[i] == CQ_FATE_OPEN) {
            w->ranked[w->ranked_n++] = i;
            v6_n += in->wanted[i].client.family == 6;
        }
    }
    /* ranks matter only when a client has to stay outside */
    if (left.shared ? !is_enough(left.v4, w->ranked_n)
                    : !is_enough(left.v4, w->ranked_n - v6_n)
                      || !is_enough(left.v6, v6_n)) {
        qsort_r(w->ranked, w->ranked_n, sizeof(w->ranked[0]), compare_rank,
                w);
    }
    for (i = 0; i < w->ranked_n; i++) {
        w->out->fates[w->ranked[i]] =
            occupy(&left, &in->wanted[w->ranked[i]].client)
            ? CQ_FATE_JAILED : CQ_FATE_NO_PLACE;
    }
}

/* ---- the difference ---- */

static void put_change(struct cq_plan *out, enum cq_jail_op op,
                       const struct cq_key *client)
{
    struct cq_jail_change *change = &out->changes[out->change_n++];

    change->key = cq_jail_element_key(client);
    change->op = op;
    change->has_failed = false;
}

static void keep(const struct cq_plan_input *in,
                 const struct cq_jail_element *there, struct cq_plan *out)
{
    int64_t due_s;

    if (there->is_operators || there->expires_at_s == CQ_JAIL_PERMANENT) {
        return;
    }
    due_s = there->expires_at_s - in->lease_s / 2;
    if (due_s <= in->now_s) {
        put_change(out, CQ_JAIL_RENEW, &there->key);
        due_s = in->now_s + in->lease_s - in->lease_s / 2;
    }
    out->due_s = due_s < out->due_s ? due_s : out->due_s;
}

static void add(const struct cq_plan_input *in, size_t i, struct cq_plan *out)
{
    int64_t due_s = in->now_s + in->lease_s - in->lease_s / 2;

    if (in->holds_additions) {
        out->fates[i] = CQ_FATE_HELD_BACK;
        return;
    }
    put_change(out, CQ_JAIL_ADD, &in->wanted[i].client);
    out->due_s = due_s < out->due_s ? due_s : out->due_s;
}

static void make_difference(const struct work *w)
{
    const struct cq_plan_input *in = w->in;
    struct cq_plan *out = w->out;
    size_t i = 0, p = 0;

    while (i < in->wanted_n || p < in->present_n) {
        int order = i == in->wanted_n ? 1 : p == in->present_n ? -1
            : cq_wanted_compare(&in->wanted[i].client, &in->present[p].key);

        if (order < 0) {
            if (out->fates[i] == CQ_FATE_JAILED) {
                add(in, i, out);
            }
            i++;
        }
        else if (order == 0 && out->fates[i] == CQ_FATE_JAILED) {
            keep(in, &in->present[p++], out);
            i++;
        }
        else {
            if (!in->present[p].is_operators
                && (order == 0 || !in->holds_removals)) {
                put_change(out, CQ_JAIL_REMOVE, &in->present[p].key);
            }
            p++;
            i += order == 0;
        }
    }
}

/* Removals first: they make room. */
static bool order_changes(struct cq_plan *out)
{
    static const enum cq_jail_op turns[] = { CQ_JAIL_REMOVE, CQ_JAIL_ADD,
                                             CQ_JAIL_RENEW };
    struct cq_jail_change *ordered;
    size_t turn, i, n = 0;

    if (out->change_n == 0) {
        return true;
    }
    ordered = reallocarray(NULL, out->change_n, sizeof(ordered[0]));
    if (ordered == NULL) {
        return false;
    }
    for (turn = 0; turn < sizeof(turns) / sizeof(turns[0]); turn++) {
        for (i = 0; i < out->change_n; i++) {
            if (out->changes[i].op == turns[turn]) {
                ordered[n++] = out->changes[i];
            }
        }
    }
    free(out->changes);
    out->changes = ordered;
    return true;
}

static void count_fates(struct cq_plan *out)
{
    size_t i;

    for (i = 0; i < out->wanted_n; i++) {
        out->jailed_n += out->fates[i] == CQ_FATE_JAILED;
        out->no_place_n += out->fates[i] == CQ_FATE_NO_PLACE;
        out->not_held_n += out->fates[i] == CQ_FATE_NOT_HELD;
    }
}

bool cq_plan_make(const struct cq_plan_input *input, struct cq_plan *plan)
{
    struct work w = { .in = input, .out = plan };
    bool done = false;

    memset(plan, 0, sizeof(*plan));
    plan->due_s = INT64_MAX;
    plan->wanted_n = input->wanted_n;
    /* one more, as malloc() of nothing may be NULL */
    plan->changes = calloc(input->wanted_n + input->present_n + 1,
                           sizeof(plan->changes[0]));
    plan->fates = calloc(input->wanted_n + 1, sizeof(plan->fates[0]));
    w.ranked = calloc(input->wanted_n + 1, sizeof(w.ranked[0]));
    if (plan->changes != NULL && plan->fates != NULL && w.ranked != NULL) {
        give_places(&w);
        make_difference(&w);
        count_fates(plan);
        done = order_changes(plan);
    }
    free(w.ranked);
    if (!done) {
        cq_plan_free(plan);
    }
    return done;
}

size_t cq_plan_first(const struct cq_plan *plan, enum cq_plan_fate fate)
{
    size_t i = 0;

    while (i < plan->wanted_n && plan->fates[i] != fate) {
        i++;
    }
    return i;
}

void cq_plan_free(struct cq_plan *plan)
{
    free(plan->changes);
    free(plan->fates);
    memset(plan, 0, sizeof(*plan));
}
