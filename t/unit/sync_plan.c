/* sync/plan: each rule by itself, in words; and random worlds against a model
 * that asks every question by brute force. */
#include "sync/plan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(100000)
#define LEASE INT64_C(3600)
#define MOST 64

struct world {
    struct cq_wanted_list wanted;
    struct cq_jail_element present[MOST];
    struct cq_plan_input in;
    struct cq_plan plan;
    char text[4096];
};

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_msg(cq_key_parse(&key, text, NULL) == CQ_OK, "%s", text);
    return key;
}

/* Worlds in words: "10.0.0.1 10.0.0.2"; wanted in any order. A present one
 * with "!" is the operator's, with "~" its lease is nearly over. */
static struct world *world_of(const char *wanted, const char *present)
{
    struct world *w = calloc(1, sizeof(*w));
    char word[64];
    int length;

    ck_assert_ptr_nonnull(w);
    for (; sscanf(wanted, " %51s%n", word, &length) == 1; wanted += length) {
        struct cq_wanted one = { .key = key_of(word) };

        ck_assert(cq_wanted_add(&w->wanted, &one));
    }
    cq_wanted_finish(&w->wanted);
    for (; sscanf(present, " %51s%n", word, &length) == 1;
         present += length) {
        struct cq_jail_element *there = &w->present[w->in.present.element_n++];
        char *mark = strpbrk(word, "!~");

        there->is_operators = mark != NULL && *mark == '!';
        there->expires_at_s = there->is_operators ? CQ_JAIL_PERMANENT
            : NOW + (mark != NULL ? LEASE / 2 : LEASE / 2 + 1);
        if (mark != NULL) {
            *mark = '\0';
        }
        there->key = key_of(word);
    }
    w->in.wanted = w->wanted.entries;
    w->in.wanted_n = w->wanted.count;
    w->in.present.elements = w->present;
    w->in.present.capacity_v4 = w->in.present.capacity_v6 = -1;
    w->in.now_s = NOW;
    w->in.lease_s = LEASE;
    return w;
}

static void free_world(struct world *w)
{
    cq_wanted_free(&w->wanted);
    cq_plan_free(&w->plan);
    free(w);
}

/* Changes in words: "-10.0.0.1 +10.0.0.2 *10.0.0.3". */
static const char *text_of(struct world *w, size_t from, size_t count)
{
    static const char signs[] = { [CQ_JAIL_ADD] = '+', [CQ_JAIL_RENEW] = '*',
                                  [CQ_JAIL_REMOVE] = '-' };
    size_t i, n = 0;

    w->text[0] = '\0';
    for (i = from; i < from + count; i++) {
        char text[CQ_KEY_TEXT_SIZE];

        ck_assert(!w->plan.changes[i].has_failed);
        n += (size_t)snprintf(w->text + n, sizeof(w->text) - n, "%s%c%s",
                              i > from ? " " : "",
                              signs[w->plan.changes[i].op],
                              cq_key_format(&w->plan.changes[i].key, text,
                                            sizeof(text)));
    }
    return w->text;
}

/* Those of clients, of a plan that is made now. */
static const char *changes_of(struct world *w)
{
    cq_plan_free(&w->plan);
    ck_assert(cq_plan_make(&w->in, &w->plan));
    return text_of(w, 0, w->plan.change_n);
}

static const struct {
    const char *wanted;
    const char *present;
    const char *changes;
} rules[] = {
    { "", "", "" },
    { "10.0.0.2 10.0.0.1", "", "+10.0.0.1 +10.0.0.2" },
    { "10.0.0.1", "10.0.0.1", "" },
    { "10.0.0.1", "10.0.0.1~", "*10.0.0.1" },
    { "10.0.0.1", "10.0.0.1!", "" },
    /* no matter which program added it */
    { "", "10.0.0.1 10.0.0.2~", "-10.0.0.1 -10.0.0.2" },
    { "", "10.0.0.1!", "" },
    { "10.0.0.2", "10.0.0.1 10.0.0.3!", "-10.0.0.1 +10.0.0.2" },
    { "10.0.0.1 10.0.0.3", "10.0.0.2 10.0.0.3~",
      "-10.0.0.2 +10.0.0.1 *10.0.0.3" },
    /* a client that is a network stands as its first address */
    { "2001:db8::/64", "", "+2001:db8::" },
    { "2001:db8::/64 10.0.0.1", "10.0.0.1 2001:db8::", "" },
    { "2001:db8::/64", "2001:db8::1", "-2001:db8::1 +2001:db8::" },
};

START_TEST(each_rule)
{
    struct world *w = world_of(rules[_i].wanted, rules[_i].present);

    ck_assert_str_eq(changes_of(w), rules[_i].changes);
    ck_assert_uint_eq(cq_plan_jailed_n(&w->plan), w->in.wanted_n);
    free_world(w);
}
END_TEST

/* While lists are not known, what depends on them waits; renewals too depend
 * on them only where the address is wanted. */
START_TEST(holding)
{
    struct world *w = world_of("10.0.0.1 10.0.0.2", "10.0.0.2~ 10.0.0.3");

    w->in.holds_additions = true;
    ck_assert_str_eq(changes_of(w), "-10.0.0.3 *10.0.0.2");
    ck_assert_uint_eq(cq_plan_jailed_n(&w->plan), 1);
    ck_assert_uint_eq(w->plan.fates[0], CQ_FATE_HELD_BACK);
    w->in.holds_removals = true;
    ck_assert_str_eq(changes_of(w), "*10.0.0.2");
    w->in.holds_additions = false;
    ck_assert_str_eq(changes_of(w), "+10.0.0.1 *10.0.0.2");
    free_world(w);
    /* one that is not added takes no place from one that is there */
    w = world_of("10.0.0.1 10.0.0.2", "10.0.0.2");
    w->wanted.entries[0].excess_bytes = 9;
    w->in.present.capacity_v4 = 1;
    ck_assert_str_eq(changes_of(w), "-10.0.0.2 +10.0.0.1");
    w->in.holds_additions = true;
    ck_assert_str_eq(changes_of(w), "");
    free_world(w);
}
END_TEST

START_TEST(places)
{
    struct world *w = world_of("10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4",
                               "10.0.0.2 10.0.0.9! 10.0.1.1");
    struct cq_wanted *wanted = w->wanted.entries;

    wanted[0].excess_bytes = 7;
    wanted[2].excess_bytes = 9;
    wanted[3].file = 1;
    w->in.present.capacity_v4 = 3;
    /* one place is the operator's */
    ck_assert_str_eq(changes_of(w),
                     "-10.0.0.2 -10.0.1.1 +10.0.0.3 +10.0.0.4");
    ck_assert_uint_eq(w->plan.n[CQ_FATE_NO_PLACE], 2);
    ck_assert_uint_eq(w->plan.operators_n, 1);
    ck_assert_uint_eq(w->plan.fates[0], CQ_FATE_NO_PLACE);
    wanted[1].last_hit_s = 1;
    w->in.present.capacity_v4 = 5;
    ck_assert_str_eq(changes_of(w),
                     "-10.0.1.1 +10.0.0.1 +10.0.0.3 +10.0.0.4");
    w->in.present.capacity_v4 = 4;
    ck_assert_str_eq(changes_of(w),
                     "-10.0.0.2 -10.0.1.1 +10.0.0.1 +10.0.0.3 +10.0.0.4");
    /* what is not removed keeps its place */
    w->in.present.capacity_v4 = 3;
    w->in.holds_removals = true;
    ck_assert_str_eq(changes_of(w), "-10.0.0.2 +10.0.0.4");
    w->in.present.capacity_v4 = 0;
    ck_assert_str_eq(changes_of(w), "-10.0.0.2");
    free_world(w);
    /* both families share them, or each has its own */
    w = world_of("10.0.0.1 10.0.0.2 2001:db8::/64", "");
    w->in.present.capacity_v4 = w->in.present.capacity_v6 = 1;
    ck_assert_str_eq(changes_of(w), "+10.0.0.1 +2001:db8::");
    w->in.present.shares_capacity = true;
    ck_assert_str_eq(changes_of(w), "+10.0.0.1");
    free_world(w);
}
END_TEST

/* Networks of deny files, of IPv4 only; no IPv6 from there, no /25. */
static enum cq_plan_fate fit(const void *baton, const struct cq_wanted *wanted)
{
    ck_assert_ptr_null(baton);
    return wanted->key.family == 6 || wanted->key.prefix == 25
        ? CQ_FATE_NOT_HELD
        : wanted->key.prefix < 32 ? CQ_FATE_NETWORK : CQ_FATE_JAILED;
}

START_TEST(not_held)
{
    struct world *w = world_of("10.0.0.1 2001:db8::/64 2001:db8:1::/64", "");

    w->in.fit = fit;
    w->in.present.capacity_v4 = 1;
    w->in.present.shares_capacity = true;
    ck_assert_str_eq(changes_of(w), "+10.0.0.1");
    ck_assert_uint_eq(w->plan.n[CQ_FATE_NOT_HELD], 2);
    free_world(w);
}
END_TEST

/* Networks have no places, and none lies in another; a client may. */
START_TEST(networks)
{
    struct world *w = world_of("10.0.0.0/8 10.0.0.0 10.1.0.0/16 11.0.0.0/25 "
                               "12.0.0.0/24 13.0.0.0/24", "10.0.0.9");
    const struct cq_jail_element present[] = {
        { .key = key_of("9.0.0.0/24"), .expires_at_s = CQ_JAIL_PERMANENT },
        { .key = key_of("12.0.0.0/24"), .expires_at_s = CQ_JAIL_PERMANENT },
        { .key = key_of("13.0.0.0/16"), .expires_at_s = CQ_JAIL_PERMANENT }
    };

    w->in.fit = fit;
    w->in.present.capacity_v4 = 1;
    w->in.present.networks = present;
    w->in.present.network_n = 3;
    ck_assert_str_eq(changes_of(w), "-10.0.0.9 +10.0.0.0");
    ck_assert_uint_eq(w->plan.network_change_n, 4);
    ck_assert_str_eq(text_of(w, w->plan.change_n, 4),
                     "-9.0.0.0 +10.0.0.0 -13.0.0.0 +13.0.0.0");
    /* one lies in another */
    ck_assert_uint_eq(w->plan.n[CQ_FATE_NETWORK], 4);
    ck_assert_uint_eq(w->plan.network_n, 3);
    ck_assert_uint_eq(w->plan.n[CQ_FATE_NOT_HELD], 1);
    ck_assert_uint_eq(cq_plan_jailed_n(&w->plan), 5);
    ck_assert_uint_eq(w->plan.networks[2].bytes[0], 13);
    /* they are replaced as a whole: not while something is unknown */
    w->in.holds_additions = true;
    ck_assert_str_eq(changes_of(w), "-10.0.0.9");
    ck_assert_uint_eq(w->plan.network_change_n, 0);
    w->in.holds_additions = false;
    w->in.holds_removals = true;
    ck_assert_str_eq(changes_of(w), "");
    ck_assert_uint_eq(w->plan.network_change_n, 0);
    free_world(w);
}
END_TEST

/* ---- random worlds ---- */

static uint32_t next_number(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*state >> 33);
}

static struct world *random_world(uint64_t *state)
{
    struct world *w = world_of("", "");
    uint32_t i;

    for (i = 1; i <= 24; i++) {
        struct cq_key key = { .bytes = { 10, 0, 0, (uint8_t)i }, .family = 4,
                              .prefix = 32 };
        uint32_t r = next_number(state);

        if (r % 3 != 0) {
            struct cq_wanted one = { .key = key, .file = r >> 5 & 1,
                                     .excess_bytes = r >> 6 & 3 };

            ck_assert(cq_wanted_add(&w->wanted, &one));
        }
        if ((r >> 8) % 2 == 0) {
            w->present[w->in.present.element_n++] = (struct cq_jail_element){
                .key = key,
                .is_operators = (r >> 9) % 8 == 0,
                .expires_at_s = NOW + (r >> 12) % LEASE
            };
        }
    }
    w->in.wanted = w->wanted.entries;
    w->in.wanted_n = w->wanted.count;
    w->in.present.capacity_v4 = (int64_t)(next_number(state) % 32) - 8;
    if (w->in.present.capacity_v4 < 0) {
        w->in.present.capacity_v4 = -1;
    }
    w->in.holds_additions = next_number(state) % 8 == 0;
    w->in.holds_removals = next_number(state) % 8 == 0;
    return w;
}

static const struct cq_jail_change *change_of(const struct world *w,
                                              const struct cq_key *key)
{
    const struct cq_jail_change *found = NULL;
    size_t i;

    for (i = 0; i < w->plan.change_n; i++) {
        if (cq_key_compare(&w->plan.changes[i].key, key) == 0) {
            ck_assert_ptr_null(found);      /* each key once */
            found = &w->plan.changes[i];
        }
    }
    return found;
}

static const struct cq_wanted *wanted_of(const struct world *w,
                                         const struct cq_key *key)
{
    return cq_wanted_find(&w->wanted, key);
}

/* Is another wanted one without a place worse than this one, which has one? */
static bool is_outranked(const struct world *w, const struct cq_wanted *one)
{
    size_t i;

    for (i = 0; i < w->in.wanted_n; i++) {
        const struct cq_wanted *other = &w->in.wanted[i];

        if (w->plan.fates[i] == CQ_FATE_NO_PLACE
            && cq_wanted_compare_rank(other, one) < 0) {
            return true;
        }
    }
    return false;
}

static void check_world(struct world *w, size_t *changes_n)
{
    size_t i, after_n = 0;

    (void)changes_of(w);
    *changes_n += w->plan.change_n;
    for (i = 0; i < w->in.present.element_n; i++) {
        const struct cq_jail_element *there = &w->present[i];
        const struct cq_jail_change *change = change_of(w, &there->key);
        const struct cq_wanted *wanted = wanted_of(w, &there->key);

        if (there->is_operators) {
            ck_assert_ptr_null(change);
        }
        else if (wanted == NULL) {
            ck_assert(w->in.holds_removals
                      ? change == NULL : change->op == CQ_JAIL_REMOVE);
        }
        else if (w->plan.fates[wanted - w->in.wanted] == CQ_FATE_JAILED) {
            ck_assert(there->expires_at_s - NOW <= LEASE / 2
                      ? change->op == CQ_JAIL_RENEW : change == NULL);
        }
        else {
            ck_assert(change->op == CQ_JAIL_REMOVE);
        }
        after_n += change == NULL || change->op != CQ_JAIL_REMOVE;
    }
    for (i = 0; i < w->in.wanted_n; i++) {
        const struct cq_jail_change *change =
            change_of(w, &w->in.wanted[i].key);
        bool added = change != NULL && change->op == CQ_JAIL_ADD;

        after_n += added;
        ck_assert(!added || w->plan.fates[i] == CQ_FATE_JAILED);
        ck_assert(!added || !w->in.holds_additions);
        ck_assert(!added || !is_outranked(w, &w->in.wanted[i]));
    }
    /* never more than it holds, unless more is in it that may not go */
    ck_assert(w->in.present.capacity_v4 < 0
              || (int64_t)after_n <= w->in.present.capacity_v4
              || w->in.holds_removals || w->plan.operators_n > 0);
}

START_TEST(random_worlds)
{
    uint64_t state = 20121;
    size_t changes_n = 0;
    int i;

    for (i = 0; i < 5000; i++) {
        struct world *w = random_world(&state);

        check_world(w, &changes_n);
        free_world(w);
    }
    ck_assert_uint_gt(changes_n, 25000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/plan");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_loop_test(all, each_rule, 0,
                        (int)(sizeof(rules) / sizeof(rules[0])));
    tcase_add_test(all, holding);
    tcase_add_test(all, places);
    tcase_add_test(all, not_held);
    tcase_add_test(all, networks);
    tcase_add_test(all, random_worlds);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
