/* plan - the diff between who should be in a jail and who is.
 *
 * One merge over three ordered lists decides about every key once; who gets
 * the places when they are short is decided before it. */
#include "sync/plan.h"

#include <stdlib.h>
#include <string.h>

/* what becomes of a wanted key */
enum fate {
    FATE_OPEN,          /* in the running for a place */
    FATE_JAIL,          /* has one */
    FATE_FOREIGN,       /* is in already, put there by somebody else */
    FATE_INSIDE,        /* inside a network that is jailed anyway */
    FATE_NEVER,
    FATE_LEFT_OUT
};

/* everything that exists only while a plan is made */
struct work {
    const struct plan_input *in;
    struct plan *out;
    enum fate *fates;           /* by index of wanted */
    size_t *ranked;             /* indexes of wanted, the worst first */
    struct cq_key *never;       /* its networks in cq_key_compare() order */
    size_t never_n;
};

/* ---- never lists ---- */

static int compare_keys(const void *a, const void *b)
{
    return cq_key_compare(a, b);
}

static bool never_prepare(struct work *w)
{
    const struct cq_net_list *never = w->in->never;
    size_t i;

    w->never_n = never == NULL ? 0 : never->count;
    if (w->never_n == 0) {
        return true;
    }
    w->never = malloc(w->never_n * sizeof(w->never[0]));
    if (w->never == NULL) {
        return false;
    }
    for (i = 0; i < w->never_n; i++) {
        w->never[i] = never->rules[i].net;
    }
    qsort(w->never, w->never_n, sizeof(w->never[0]), compare_keys);
    return true;
}

/* Is the key inside a network that is never jailed, or such a one inside it?
 * In the order of keys the first one that is not before a network is inside
 * it if any is. */
static bool is_never(const struct work *w, const struct cq_key *key)
{
    size_t from = 0, to = w->never_n;

    if (w->never_n == 0) {
        return false;
    }
    if (cq_net_find(w->in->never, key) != NULL) {
        return true;
    }
    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (cq_key_compare(&w->never[middle], key) < 0) {
            from = middle + 1;
        }
        else {
            to = middle;
        }
    }
    return from < w->never_n && cq_key_contains(key, &w->never[from]);
}

/* ---- who gets a place ---- */

/* Is it ours? Asked in the order of keys; at: where the last answer was. */
static bool is_owned(const struct plan_input *in, const struct cq_key *key,
                     size_t *at)
{
    int order = -1;

    while (*at < in->owned_n
           && (order = cq_key_compare(&in->owned[*at].key, key)) < 0) {
        ++*at;
    }
    return *at < in->owned_n && order == 0;
}

/* Decides what needs no rank: never, present by somebody else, inside a
 * network. Networks stand before what is inside them, so one walk with the
 * last network of each kind in hand sees all. */
static void decide_fates(struct work *w)
{
    const struct plan_input *in = w->in;
    const struct cq_key *foreign_net = NULL, *wanted_net = NULL;
    size_t p = 0, o = 0, i;

    for (i = 0; i < in->wanted_n; i++) {
        const struct cq_key *key = &in->wanted[i].key;

        while (p < in->present_n
               && cq_key_compare(&in->present[p].key, key) <= 0) {
            const struct cq_key *there = &in->present[p++].key;

            if (!is_owned(in, there, &o)
                && (foreign_net == NULL
                    || !cq_key_contains(foreign_net, there))) {
                foreign_net = there;
            }
        }
        if (is_never(w, key)) {
            w->fates[i] = FATE_NEVER;
        }
        else if (foreign_net != NULL && cq_key_contains(foreign_net, key)) {
            w->fates[i] = FATE_FOREIGN;
        }
        else if (wanted_net != NULL && wanted_net->prefix < key->prefix
                 && cq_key_contains(wanted_net, key)) {
            w->fates[i] = FATE_INSIDE;
        }
        else {
            w->fates[i] = FATE_OPEN;
            wanted_net = key;
        }
    }
}

/* for qsort(), which hands nothing through */
static int compare_rank(const void *a, const void *b, void *data)
{
    const struct work *w = data;
    const struct plan_wanted *wanted = w->in->wanted;
    const struct plan_wanted *one = &wanted[*(const size_t *)a];
    const struct plan_wanted *other = &wanted[*(const size_t *)b];

    if (one->by_hand != other->by_hand) {
        return one->by_hand ? -1 : 1;
    }
    if (one->excess_bytes != other->excess_bytes) {
        return one->excess_bytes > other->excess_bytes ? -1 : 1;
    }
    if (one->last_hit_s != other->last_hit_s) {
        return one->last_hit_s > other->last_hit_s ? -1 : 1;
    }
    return cq_key_compare(&one->key, &other->key);
}

/* Takes the place of one key; false: there is none left. */
static bool take_place(struct plan_places *left, const struct cq_key *key)
{
    int64_t *places = key->family == 4 || left->shared ? &left->v4
                                                       : &left->v6;

    if (*places > 0) {
        (*places)--;
        return true;
    }
    return *places < 0;
}

/* What somebody else put in takes places, wanted or not. */
static void count_foreign(struct work *w, struct plan_places *left)
{
    const struct plan_input *in = w->in;
    size_t i, o = 0;

    for (i = 0; i < in->present_n; i++) {
        const struct cq_key *key = &in->present[i].key;

        if (!is_owned(in, key, &o)) {
            w->out->foreign_n++;
            (void)take_place(left, key);
        }
    }
}

static bool is_enough(int64_t places, size_t n)
{
    return places < 0 || (uint64_t)places >= n;
}

static void give_places(struct work *w)
{
    const struct plan_input *in = w->in;
    struct plan_places left = in->places;
    size_t i, v6_n = 0, n = 0;

    count_foreign(w, &left);
    for (i = 0; i < in->wanted_n; i++) {
        if (w->fates[i] == FATE_OPEN) {
            w->ranked[n++] = i;
            v6_n += in->wanted[i].key.family == 6;
        }
    }
    /* ranks matter only when somebody has to stay outside */
    if (left.shared ? !is_enough(left.v4, n)
                    : !is_enough(left.v4, n - v6_n)
                      || !is_enough(left.v6, v6_n)) {
        qsort_r(w->ranked, n, sizeof(w->ranked[0]), compare_rank, w);
    }
    for (i = 0; i < n; i++) {
        w->fates[w->ranked[i]] =
            take_place(&left, &in->wanted[w->ranked[i]].key) ? FATE_JAIL
                                                             : FATE_LEFT_OUT;
    }
}

/* Who lies inside a network that got no place is as left out as it is. */
static void follow_networks(struct work *w)
{
    const struct plan_input *in = w->in;
    const struct cq_key *outside = NULL;
    size_t i;

    for (i = 0; i < in->wanted_n; i++) {
        if (w->fates[i] == FATE_LEFT_OUT) {
            outside = &in->wanted[i].key;
        }
        else if (w->fates[i] == FATE_INSIDE && outside != NULL
                 && cq_key_contains(outside, &in->wanted[i].key)) {
            w->fates[i] = FATE_LEFT_OUT;
        }
    }
}

static void count_fates(struct work *w)
{
    struct plan *out = w->out;
    size_t i;

    for (i = 0; i < w->in->wanted_n; i++) {
        switch (w->fates[i]) {
        case FATE_NEVER:
            out->never_n++;
            break;
        case FATE_LEFT_OUT:
            out->left_out[out->left_out_n++] = w->in->wanted[i].key;
            break;
        case FATE_JAIL:
        case FATE_FOREIGN:
        case FATE_INSIDE:
        case FATE_OPEN:
            out->jailed_n++;
            break;
        }
    }
}

/* ---- the diff ---- */

static void put_change(struct plan *out, enum jail_op op,
                       const struct cq_key *key)
{
    struct jail_change *change = &out->changes[out->change_n++];

    memset(change, 0, sizeof(*change));
    change->op = op;
    change->key = *key;
}

static void put_owned(struct plan *out, const struct cq_key *key,
                      int64_t renewed_at_s)
{
    out->owned[out->owned_n].key = *key;
    out->owned[out->owned_n++].renewed_at_s = renewed_at_s;
}

/* A note from the future means that the clock was put back: renew, too. */
static bool is_due(const struct plan_input *in, const struct plan_owned *owned,
                   const struct jail_present *present)
{
    int64_t half_s = in->lease_s - in->lease_s / 2;

    return owned->renewed_at_s > in->now_s
        || in->now_s - owned->renewed_at_s >= half_s
        || (present->expires_in_s >= 0
            && present->expires_in_s <= in->lease_s - half_s);
}

/* One key, with what each of the three lists has of it (NULL: nothing). */
struct place {
    const struct cq_key *key;
    const struct plan_wanted *wanted;   /* and has a place */
    const struct jail_present *present;
    const struct plan_owned *owned;
};

static void note_due(const struct plan_input *in, const struct place *place,
                     struct plan *out)
{
    int64_t half_s = in->lease_s - in->lease_s / 2;
    int64_t due_s = place->owned->renewed_at_s + half_s;

    if (place->present->expires_in_s >= 0) {
        int64_t left_s = place->present->expires_in_s - in->lease_s + half_s;

        due_s = in->now_s + left_s < due_s ? in->now_s + left_s : due_s;
    }
    out->due_s = due_s < out->due_s ? due_s : out->due_s;
}

/* Steps to the next key of any list; false at the end. at: three indexes. */
static bool next_place(const struct work *w, size_t at[3],
                       struct place *place)
{
    const struct plan_input *in = w->in;
    const struct cq_key *heads[3];
    const struct cq_key *first = NULL;
    int i;

    heads[0] = at[0] < in->wanted_n ? &in->wanted[at[0]].key : NULL;
    heads[1] = at[1] < in->present_n ? &in->present[at[1]].key : NULL;
    heads[2] = at[2] < in->owned_n ? &in->owned[at[2]].key : NULL;
    for (i = 0; i < 3; i++) {
        if (heads[i] != NULL
            && (first == NULL || cq_key_compare(heads[i], first) < 0)) {
            first = heads[i];
        }
    }
    memset(place, 0, sizeof(*place));
    if (first == NULL) {
        return false;
    }
    place->key = first;
    if (heads[0] != NULL && cq_key_compare(heads[0], first) == 0) {
        place->wanted = w->fates[at[0]] == FATE_JAIL ? &in->wanted[at[0]]
                                                     : NULL;
        at[0]++;
    }
    if (heads[1] != NULL && cq_key_compare(heads[1], first) == 0) {
        place->present = &in->present[at[1]++];
    }
    if (heads[2] != NULL && cq_key_compare(heads[2], first) == 0) {
        place->owned = &in->owned[at[2]++];
    }
    return true;
}

/* What is to be done about one key, and whether it is ours from now on. */
static void decide(const struct work *w, const struct place *place,
                   struct plan *out)
{
    bool ours = place->present != NULL && place->owned != NULL;

    if (place->wanted != NULL && place->present == NULL) {
        put_change(out, JAIL_ADD, place->key);
        put_owned(out, place->key, w->in->now_s);
    }
    else if (ours) {
        if (place->wanted == NULL) {
            put_change(out, JAIL_REMOVE, place->key);
        }
        else if (is_due(w->in, place->owned, place->present)) {
            put_change(out, JAIL_RENEW, place->key);
        }
        put_owned(out, place->key, place->owned->renewed_at_s);
        note_due(w->in, place, out);
    }
}

/* Removals first: they make room, and a network may take the place of an
 * address inside it. */
static bool order_changes(struct plan *out)
{
    static const enum jail_op turns[] = { JAIL_REMOVE, JAIL_ADD, JAIL_RENEW };
    struct jail_change *ordered;
    size_t turn, i, n = 0;

    if (out->change_n == 0) {
        return true;
    }
    ordered = malloc(out->change_n * sizeof(ordered[0]));
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

static bool make_diff(const struct work *w)
{
    size_t at[3] = { 0, 0, 0 };
    struct place place;

    while (next_place(w, at, &place)) {
        decide(w, &place, w->out);
    }
    return order_changes(w->out);
}

/* malloc() of nothing may be NULL, which is no failure here */
static void *array(size_t n, size_t size)
{
    return calloc(n == 0 ? 1 : n, size);
}

bool plan_make(const struct plan_input *input, struct plan *plan)
{
    struct work w = { .in = input, .out = plan };
    size_t most = input->wanted_n + input->owned_n;
    bool done = false;

    memset(plan, 0, sizeof(*plan));
    plan->due_s = INT64_MAX;
    plan->changes = array(most, sizeof(plan->changes[0]));
    plan->owned = array(most, sizeof(plan->owned[0]));
    plan->left_out = array(input->wanted_n, sizeof(plan->left_out[0]));
    w.fates = array(input->wanted_n, sizeof(w.fates[0]));
    w.ranked = array(input->wanted_n, sizeof(w.ranked[0]));
    if (plan->changes != NULL && plan->owned != NULL
        && plan->left_out != NULL && w.fates != NULL && w.ranked != NULL
        && never_prepare(&w)) {
        decide_fates(&w);
        give_places(&w);
        follow_networks(&w);
        count_fates(&w);
        done = make_diff(&w);
    }
    free(w.fates);
    free(w.ranked);
    free(w.never);
    if (!done) {
        plan_free(plan);
    }
    return done;
}

void plan_free(struct plan *plan)
{
    free(plan->changes);
    free(plan->owned);
    free(plan->left_out);
    memset(plan, 0, sizeof(*plan));
}
