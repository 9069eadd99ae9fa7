/* sync/plan: random worlds against a model that asks every question by brute
 * force; and a plan that was carried out leaves nothing to do. */
#include "sync_world.h"

/* xorshift64 by Marsaglia: the same worlds on every machine */
static uint64_t seed;

static unsigned below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}

/* few addresses, so that they meet: 10.0.0.0/28 in addresses, /30, /29, and
 * the same in IPv6 */
static struct cq_key random_key(void)
{
    static const uint8_t lengths[] = { 32, 32, 32, 32, 30, 29 };
    struct cq_prefixes p = { .v4_bits = lengths[below(6)] };
    uint8_t v4[4] = { 10, 0, 0, (uint8_t)below(16) };
    uint8_t v6[16] = { 0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)below(16) };
    struct cq_key key;

    p.v6_bits = (uint8_t)(p.v4_bits + 96);
    if (below(3) == 0) {
        ck_assert(cq_key_make(&key, v6, 16, p) == CQ_OK);
    }
    else {
        ck_assert(cq_key_make(&key, v4, 4, p) == CQ_OK);
    }
    return key;
}

/* Puts n random keys in order, each once, behind stride bytes each. */
static size_t random_keys(void *array, size_t stride, size_t n)
{
    struct cq_key keys[MOST];
    size_t i, j, kept = 0;

    for (i = 0; i < n; i++) {
        struct cq_key key = random_key();

        for (j = kept; j > 0 && cq_key_compare(&keys[j - 1], &key) > 0; j--) {
            keys[j] = keys[j - 1];
        }
        keys[j] = key;
        kept++;
        if (j > 0 && cq_key_compare(&keys[j - 1], &key) == 0) {
            memmove(&keys[j], &keys[j + 1], (kept - j - 1) * sizeof(key));
            kept--;
        }
    }
    for (i = 0; i < kept; i++) {
        memcpy((char *)array + i * stride, &keys[i], sizeof(keys[0]));
    }
    return kept;
}

static struct world *random_world(void)
{
    struct world *w = world_of("", "", "", "");
    struct cq_key never[MOST];
    size_t i, n;

    cq_net_free(&w->never);
    w->in.wanted_n = random_keys(w->wanted, sizeof(w->wanted[0]), below(20));
    w->in.present_n = random_keys(w->present, sizeof(w->present[0]),
                                  below(20));
    w->in.owned_n = random_keys(w->owned, sizeof(w->owned[0]), below(20));
    n = random_keys(never, sizeof(never[0]), below(3));
    for (i = 0; i < n; i++) {
        ck_assert(cq_net_add(&w->never, &never[i], 0) == CQ_OK);
    }
    ck_assert(cq_net_seal(&w->never, NULL) == CQ_OK);
    for (i = 0; i < w->in.wanted_n; i++) {
        w->wanted[i].by_hand = below(5) == 0;
        w->wanted[i].excess_bytes = (int64_t)below(3);
        w->wanted[i].last_hit_s = (int64_t)below(3);
    }
    for (i = 0; i < w->in.present_n; i++) {
        w->present[i].expires_in_s = below(3) ? JAIL_NO_EXPIRY
                                              : (int64_t)below(3600);
    }
    for (i = 0; i < w->in.owned_n; i++) {
        w->owned[i].renewed_at_s = NOW - (int64_t)below(3600);
    }
    w->in.places.v4 = below(3) ? (int64_t)below(16) : -1;
    w->in.places.v6 = below(3) ? (int64_t)below(8) : -1;
    w->in.places.shared = below(2) == 0;
    return w;
}

/* ---- the model: every question by brute force ---- */

static bool m_owned(const struct world *w, const struct cq_key *key)
{
    for (size_t i = 0; i < w->in.owned_n; i++) {
        if (cq_key_compare(&w->owned[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

static const struct jail_present *m_present(const struct world *w,
                                            const struct cq_key *key)
{
    for (size_t i = 0; i < w->in.present_n; i++) {
        if (cq_key_compare(&w->present[i].key, key) == 0) {
            return &w->present[i];
        }
    }
    return NULL;
}

static bool m_never(const struct world *w, const struct cq_key *key)
{
    for (size_t i = 0; i < w->never.count; i++) {
        if (cq_key_contains(&w->never.rules[i].net, key)
            || cq_key_contains(key, &w->never.rules[i].net)) {
            return true;
        }
    }
    return false;
}

static bool m_in_foreign(const struct world *w, const struct cq_key *key)
{
    for (size_t i = 0; i < w->in.present_n; i++) {
        if (!m_owned(w, &w->present[i].key)
            && cq_key_contains(&w->present[i].key, key)) {
            return true;
        }
    }
    return false;
}

/* Is it in the running for a place of its own? */
static bool m_open(const struct world *w, size_t i)
{
    const struct cq_key *key = &w->wanted[i].key;

    if (m_never(w, key) || m_in_foreign(w, key)) {
        return false;
    }
    for (size_t j = 0; j < w->in.wanted_n; j++) {
        if (j != i && cq_key_contains(&w->wanted[j].key, key)
            && !m_never(w, &w->wanted[j].key)
            && !m_in_foreign(w, &w->wanted[j].key)) {
            return false;
        }
    }
    return true;
}

static bool m_worse(const struct plan_wanted *a, const struct plan_wanted *b)
{
    return a->by_hand != b->by_hand ? a->by_hand
        : a->excess_bytes != b->excess_bytes
            ? a->excess_bytes > b->excess_bytes
        : a->last_hit_s != b->last_hit_s ? a->last_hit_s > b->last_hit_s
        : cq_key_compare(&a->key, &b->key) < 0;
}

/* Does it get one? As many as are worse and need one of the same places must
 * leave one over. */
static bool m_jailed(const struct world *w, size_t i)
{
    const struct cq_key *key = &w->wanted[i].key;
    bool shared = w->in.places.shared;
    int64_t places = shared || key->family == 4 ? w->in.places.v4
                                                : w->in.places.v6;

    if (!m_open(w, i)) {
        return false;
    }
    if (places < 0) {
        return true;
    }
    for (size_t p = 0; p < w->in.present_n; p++) {
        if (!m_owned(w, &w->present[p].key)
            && (shared || w->present[p].key.family == key->family)) {
            places--;
        }
    }
    for (size_t j = 0; j < w->in.wanted_n; j++) {
        if (m_open(w, j) && m_worse(&w->wanted[j], &w->wanted[i])
            && (shared || w->wanted[j].key.family == key->family)) {
            places--;
        }
    }
    return places > 0;
}

static bool m_wanted(const struct world *w, const struct cq_key *key)
{
    for (size_t i = 0; i < w->in.wanted_n; i++) {
        if (cq_key_compare(&w->wanted[i].key, key) == 0) {
            return m_jailed(w, i);
        }
    }
    return false;
}

/* Is this the right thing to do about this key? */
static bool m_right(const struct world *w, const struct jail_change *change)
{
    const struct jail_present *there = m_present(w, &change->key);
    bool ours = m_owned(w, &change->key);

    switch (change->op) {
    case JAIL_ADD:
        return there == NULL && m_wanted(w, &change->key);
    case JAIL_REMOVE:
        return there != NULL && ours && !m_wanted(w, &change->key);
    case JAIL_RENEW:
        return there != NULL && ours && m_wanted(w, &change->key);
    }
    return false;
}

static size_t m_count(const struct world *w, enum jail_op op)
{
    size_t i, n = 0;

    for (i = 0; op == JAIL_ADD && i < w->in.wanted_n; i++) {
        n += m_jailed(w, i) && m_present(w, &w->wanted[i].key) == NULL;
    }
    for (i = 0; op == JAIL_REMOVE && i < w->in.owned_n; i++) {
        n += m_present(w, &w->owned[i].key) != NULL
            && !m_wanted(w, &w->owned[i].key);
    }
    for (i = 0; op == JAIL_RENEW && i < w->in.owned_n; i++) {
        const struct jail_present *there = m_present(w, &w->owned[i].key);

        n += there != NULL && m_wanted(w, &w->owned[i].key)
            && (NOW - w->owned[i].renewed_at_s >= LEASE / 2
                || (there->expires_in_s >= 0
                    && there->expires_in_s <= LEASE / 2));
    }
    return n;
}

static void compare_with_model(const struct world *w, const struct plan *plan)
{
    size_t i, counts[3] = { 0, 0, 0 };
    size_t never_n = 0;

    for (i = 0; i < plan->change_n; i++) {
        ck_assert(m_right(w, &plan->changes[i]));
        counts[plan->changes[i].op]++;
        ck_assert(i == 0 || plan->changes[i - 1].op != plan->changes[i].op
                  || cq_key_compare(&plan->changes[i - 1].key,
                                    &plan->changes[i].key) < 0);
    }
    for (i = 0; i < 3; i++) {
        ck_assert_uint_eq(counts[i], m_count(w, (enum jail_op)i));
    }
    for (i = 0; i < w->in.wanted_n; i++) {
        never_n += m_never(w, &w->wanted[i].key);
    }
    ck_assert_uint_eq(plan->never_n, never_n);
    ck_assert_uint_eq(plan->jailed_n + plan->left_out_n + plan->never_n,
                      w->in.wanted_n);
    for (i = 0; i < plan->owned_n; i++) {
        ck_assert(i == 0 || cq_key_compare(&plan->owned[i - 1].key,
                                           &plan->owned[i].key) < 0);
        ck_assert(m_present(w, &plan->owned[i].key) != NULL
                  ? m_owned(w, &plan->owned[i].key)
                  : m_wanted(w, &plan->owned[i].key));
    }
}

static int compare_present(const void *a, const void *b)
{
    return cq_key_compare(&((const struct jail_present *)a)->key,
                          &((const struct jail_present *)b)->key);
}

/* Carries the plan out in the model's world; then there is nothing left to
 * do, and what was somebody else's is still there. */
static void carry_out(struct world *w, struct plan *plan)
{
    struct world *next = world_of("", "", "", "");
    struct plan again;
    size_t i, foreign_n = plan->foreign_n;

    for (i = 0; i < w->in.present_n; i++) {
        bool gone = false;

        for (size_t c = 0; c < plan->change_n; c++) {
            gone |= plan->changes[c].op == JAIL_REMOVE
                && cq_key_compare(&plan->changes[c].key,
                                  &w->present[i].key) == 0;
        }
        if (!gone) {
            put_present(next, &w->present[i].key);
        }
    }
    for (i = 0; i < plan->change_n; i++) {
        if (plan->changes[i].op == JAIL_ADD) {
            put_present(next, &plan->changes[i].key);
        }
    }
    qsort(next->present, next->in.present_n, sizeof(next->present[0]),
          compare_present);
    plan_settle(plan, NOW);
    memcpy(w->present, next->present, sizeof(w->present));
    w->in.present_n = next->in.present_n;
    w->in.owned = plan->owned;
    w->in.owned_n = plan->owned_n;
    ck_assert(plan_make(&w->in, &again));
    ck_assert_uint_eq(again.change_n, 0);
    ck_assert_uint_eq(again.foreign_n, foreign_n);
    ck_assert_uint_eq(again.owned_n, plan->owned_n);
    plan_free(&again);
    free_world(next);
}

START_TEST(random_worlds)
{
    seed = UINT64_C(88172645463325252);
    for (int turn = 0; turn < 20000; turn++) {
        struct world *w = random_world();
        struct plan plan;

        ck_assert(plan_make(&w->in, &plan));
        compare_with_model(w, &plan);
        carry_out(w, &plan);
        plan_free(&plan);
        free_world(w);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/plan_random");
    TCase *at_random = tcase_create("random");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, at_random);
    tcase_set_timeout(at_random, 60);
    tcase_add_test(at_random, random_worlds);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
