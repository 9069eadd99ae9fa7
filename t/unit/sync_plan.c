/* sync/plan: each rule by itself, in words. */
#include "sync_world.h"

static void append(char *text, size_t size, const char *sign,
                   const struct cq_key *key)
{
    char address[CQ_KEY_TEXT_SIZE];
    size_t n = strlen(text);
    unsigned whole = key->family == 4 ? 32 : 128;

    snprintf(text + n, size - n, "%s%s%s", n > 0 ? " " : "", sign,
             key->prefix == whole
                 ? cq_key_format(key, address, sizeof(address))
                 : cq_key_format_cidr(key, address, sizeof(address)));
}

/* A plan in one line: "-a +b =c | owned: ..." */
static const char *plan_text(const struct plan *plan, char *text, size_t size)
{
    static const char *const signs[] = { [JAIL_ADD] = "+", [JAIL_RENEW] = "=",
                                         [JAIL_REMOVE] = "-" };
    size_t i;

    text[0] = '\0';
    for (i = 0; i < plan->change_n; i++) {
        append(text, size, signs[plan->changes[i].op],
               &plan->changes[i].key);
    }
    snprintf(text + strlen(text), size - strlen(text), " |");
    for (i = 0; i < plan->owned_n; i++) {
        append(text, size, "", &plan->owned[i].key);
    }
    return text;
}

struct plan_case {
    const char *wanted;
    const char *present;
    const char *owned;
    const char *never;
    const char *expected;       /* changes | owned */
    size_t jailed_n, left_out_n, never_n, foreign_n;
};

static void expect_plan(struct world *world, const struct plan_case *c)
{
    struct plan plan;
    char text[4096];

    ck_assert(plan_make(&world->in, &plan));
    ck_assert_str_eq(plan_text(&plan, text, sizeof(text)), c->expected);
    ck_assert_uint_eq(plan.jailed_n, c->jailed_n);
    ck_assert_uint_eq(plan.left_out_n, c->left_out_n);
    ck_assert_uint_eq(plan.never_n, c->never_n);
    ck_assert_uint_eq(plan.foreign_n, c->foreign_n);
    plan_free(&plan);
}

static const struct plan_case cases[] = {
    { "", "", "", "", " |", 0, 0, 0, 0 },
    /* put in */
    { "10.0.0.1", "", "", "", "+10.0.0.1 | 10.0.0.1", 1, 0, 0, 0 },
    { "10.0.0.1 10.0.0.2", "10.0.0.2", "10.0.0.2", "",
      "+10.0.0.1 | 10.0.0.1 10.0.0.2", 2, 0, 0, 0 },
    /* nothing to do */
    { "10.0.0.1", "10.0.0.1", "10.0.0.1", "", " | 10.0.0.1", 1, 0, 0, 0 },
    /* let go */
    { "", "10.0.0.1", "10.0.0.1", "", "-10.0.0.1 | 10.0.0.1", 0, 0, 0, 0 },
    { "10.0.0.2", "10.0.0.1", "10.0.0.1", "",
      "-10.0.0.1 +10.0.0.2 | 10.0.0.1 10.0.0.2", 1, 0, 0, 0 },
    /* flushed behind our back: again; gone and not wanted: forgotten */
    { "10.0.0.1", "", "10.0.0.1", "", "+10.0.0.1 | 10.0.0.1", 1, 0, 0, 0 },
    { "", "", "10.0.0.1", "", " |", 0, 0, 0, 0 },
    /* somebody else's stays, wanted or not, and never becomes ours */
    { "", "10.0.0.1", "", "", " |", 0, 0, 0, 1 },
    { "10.0.0.1", "10.0.0.1", "", "", " |", 1, 0, 0, 1 },
    { "", "10.0.0.1", "", "10.0.0.1", " |", 0, 0, 0, 1 },
    { "10.0.0.1", "10.0.0.0/24", "", "", " |", 1, 0, 0, 1 },
    { "10.0.0.1 10.0.1.1", "10.0.0.0/24 10.0.0.9", "", "",
      "+10.0.1.1 | 10.0.1.1", 2, 0, 0, 2 },
    /* never: not put in, taken out, also as a network around it */
    { "10.0.0.1", "", "", "10.0.0.1", " |", 0, 0, 1, 0 },
    { "10.0.0.1", "", "", "10.0.0.0/8", " |", 0, 0, 1, 0 },
    { "10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.0/8",
      "-10.0.0.1 | 10.0.0.1", 0, 0, 1, 0 },
    { "10.0.0.0/24", "", "", "10.0.0.7", " |", 0, 0, 1, 0 },
    { "10.0.0.0/24", "10.0.0.0/24", "10.0.0.0/24", "10.0.0.255",
      "-10.0.0.0/24 | 10.0.0.0/24", 0, 0, 1, 0 },
    { "10.0.0.0/24", "", "", "10.0.1.0 9.255.255.255 10.1.0.0/16",
      "+10.0.0.0/24 | 10.0.0.0/24", 1, 0, 0, 0 },
    { "0.0.0.0/0 2001:db8::/64", "", "", "127.0.0.0/8",
      "+2001:db8::/64 | 2001:db8::/64", 1, 0, 1, 0 },
    { "2001:db8::/32", "", "", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
      " |", 0, 0, 1, 0 },
    /* a network that is jailed is enough for who is inside */
    { "10.0.0.0/24 10.0.0.1 10.0.0.128/25 10.0.1.0", "", "", "",
      "+10.0.0.0/24 +10.0.1.0 | 10.0.0.0/24 10.0.1.0", 4, 0, 0, 0 },
    { "10.0.0.0/24 10.0.0.1", "10.0.0.1", "10.0.0.1", "",
      "-10.0.0.1 +10.0.0.0/24 | 10.0.0.0/24 10.0.0.1", 2, 0, 0, 0 },
    /* a network that is not jailed is not */
    { "10.0.0.0/24 10.0.0.1", "", "", "10.0.0.9",
      "+10.0.0.1 | 10.0.0.1", 1, 0, 1, 0 },
    /* families don't mix */
    { "1.2.3.4 102:304::", "102:304::", "", "", "+1.2.3.4 | 1.2.3.4",
      2, 0, 0, 1 }
};

START_TEST(rules)
{
    const struct plan_case *c = &cases[_i];
    struct world *world = world_of(c->wanted, c->present, c->owned, c->never);

    expect_plan(world, c);
    /* no never list at all is as good as an empty one */
    if (c->never[0] == '\0') {
        world->in.never = NULL;
        expect_plan(world, c);
    }
    free_world(world);
}
END_TEST

/* Half of the lease: to the second, by the note or by what the jail says. */
START_TEST(renewal)
{
    static const struct {
        int64_t age_s, expires_in_s, lease_s;
        bool due;
    } looks[] = {
        { 0, JAIL_NO_EXPIRY, 3600, false },
        { 1799, JAIL_NO_EXPIRY, 3600, false },
        { 1800, JAIL_NO_EXPIRY, 3600, true },
        { 99999999, JAIL_NO_EXPIRY, 3600, true },
        /* a clock that was put back */
        { -1, JAIL_NO_EXPIRY, 3600, true },
        { 0, 1801, 3600, false }, { 0, 1800, 3600, true }, { 0, 0, 3600, true },
        /* a lease that is odd, or as short as can be */
        { 2, JAIL_NO_EXPIRY, 5, false }, { 3, JAIL_NO_EXPIRY, 5, true },
        { 0, JAIL_NO_EXPIRY, 1, false }, { 1, JAIL_NO_EXPIRY, 1, true }
    };

    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        struct world *w = world_of("10.0.0.1", "10.0.0.1", "10.0.0.1", "");
        struct plan plan;

        w->owned[0].renewed_at_s = NOW - looks[i].age_s;
        w->present[0].expires_in_s = looks[i].expires_in_s;
        w->in.lease_s = looks[i].lease_s;
        ck_assert(plan_make(&w->in, &plan));
        ck_assert_msg(plan.change_n == (looks[i].due ? 1 : 0), "look %zu", i);
        ck_assert(plan.change_n == 0 || plan.changes[0].op == JAIL_RENEW);
        ck_assert_int_eq(plan.owned[0].renewed_at_s, NOW - looks[i].age_s);
        /* and it is known before */
        ck_assert(looks[i].age_s < 0 || (plan.due_s <= NOW) == looks[i].due);
        plan_settle(&plan, NOW);
        ck_assert_int_eq(plan.owned[0].renewed_at_s,
                         looks[i].due ? NOW : NOW - looks[i].age_s);
        plan_free(&plan);
        free_world(w);
    }
}
END_TEST

static void rank(struct world *w, const char *text, bool by_hand,
                 int64_t excess_bytes, int64_t last_hit_s)
{
    struct cq_key key = key_of(text);

    for (size_t i = 0; i < w->in.wanted_n; i++) {
        if (cq_key_compare(&w->wanted[i].key, &key) == 0) {
            w->wanted[i].by_hand = by_hand;
            w->wanted[i].excess_bytes = excess_bytes;
            w->wanted[i].last_hit_s = last_hit_s;
        }
    }
}

/* Who gets the places: by hand, then excess, then last hit, then the key. */
START_TEST(who_gets_places)
{
    static const struct {
        int64_t v4, v6;
        bool shared;
        const char *expected;
    } sizes[] = {
        { 0, 0, false, " |" },
        { 1, 0, false, "+10.0.0.5 | 10.0.0.5" },
        { 2, 0, false, "+10.0.0.4 +10.0.0.5 | 10.0.0.4 10.0.0.5" },
        { 3, 0, false, "+10.0.0.3 +10.0.0.4 +10.0.0.5"
                       " | 10.0.0.3 10.0.0.4 10.0.0.5" },
        { 4, 0, false, "+10.0.0.1 +10.0.0.3 +10.0.0.4 +10.0.0.5"
                       " | 10.0.0.1 10.0.0.3 10.0.0.4 10.0.0.5" },
        { 0, 1, false, "+2001:db8::/64 | 2001:db8::/64" },
        { -1, 0, false, "+10.0.0.1 +10.0.0.2 +10.0.0.3 +10.0.0.4 +10.0.0.5"
                        " | 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5" },
        { 0, -1, false, "+2001:db8::/64 | 2001:db8::/64" },
        /* the network hit last of the three that are equal but for that */
        { 4, 99, true, "+10.0.0.3 +10.0.0.4 +10.0.0.5 +2001:db8::/64"
                       " | 10.0.0.3 10.0.0.4 10.0.0.5 2001:db8::/64" },
        { 5, 0, true, "+10.0.0.1 +10.0.0.3 +10.0.0.4 +10.0.0.5 +2001:db8::/64"
                      " | 10.0.0.1 10.0.0.3 10.0.0.4 10.0.0.5 2001:db8::/64" }
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct world *w = world_of("10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 "
                                   "10.0.0.5 2001:db8::/64", "", "", "");
        struct plan plan;
        char text[1024];

        rank(w, "10.0.0.1", false, 5, 100);
        rank(w, "10.0.0.2", false, 5, 100);
        rank(w, "10.0.0.3", false, 5, 102);
        rank(w, "10.0.0.4", false, 6, 1);
        rank(w, "10.0.0.5", true, 0, 0);
        rank(w, "2001:db8::/64", false, 5, 101);
        w->in.places.v4 = sizes[i].v4;
        w->in.places.v6 = sizes[i].v6;
        w->in.places.shared = sizes[i].shared;
        ck_assert(plan_make(&w->in, &plan));
        ck_assert_str_eq(plan_text(&plan, text, sizeof(text)),
                         sizes[i].expected);
        ck_assert_uint_eq(plan.jailed_n + plan.left_out_n, 6);
        plan_free(&plan);
        free_world(w);
    }
}
END_TEST

/* Foreign entries take places; who is outranked goes, and only once. */
START_TEST(short_of_places)
{
    struct world *w = world_of("10.0.0.1 10.0.0.2 10.0.0.3",
                               "10.0.0.1 10.0.0.2 192.0.2.1",
                               "10.0.0.1 10.0.0.2", "");
    struct plan plan;
    char text[1024];

    rank(w, "10.0.0.1", false, 1, 0);
    rank(w, "10.0.0.2", false, 2, 0);
    rank(w, "10.0.0.3", false, 3, 0);
    w->in.places.v4 = 3;
    w->in.places.shared = true;
    ck_assert(plan_make(&w->in, &plan));
    ck_assert_str_eq(plan_text(&plan, text, sizeof(text)),
        "-10.0.0.1 +10.0.0.3 | 10.0.0.1 10.0.0.2 10.0.0.3");
    ck_assert_uint_eq(plan.left_out_n, 1);
    ck_assert(cq_key_compare(&plan.left_out[0], &w->wanted[0].key) == 0);
    plan_settle(&plan, NOW);
    ck_assert_str_eq(plan_text(&plan, text, sizeof(text)) + strlen(text) - 18,
                     " 10.0.0.2 10.0.0.3");
    plan_free(&plan);

    /* more foreign ones than places: ours go, nothing overflows */
    w->in.places.v4 = 0;
    ck_assert(plan_make(&w->in, &plan));
    ck_assert_str_eq(plan_text(&plan, text, sizeof(text)),
        "-10.0.0.1 -10.0.0.2 | 10.0.0.1 10.0.0.2");
    plan_free(&plan);
    free_world(w);

    /* a network without a place leaves out who is inside it */
    w = world_of("10.0.0.0/24 10.0.0.1 10.0.1.1", "", "", "");
    rank(w, "10.0.1.1", true, 0, 0);
    w->in.places.v4 = 1;
    ck_assert(plan_make(&w->in, &plan));
    ck_assert_str_eq(plan_text(&plan, text, sizeof(text)),
                     "+10.0.1.1 | 10.0.1.1");
    ck_assert_uint_eq(plan.left_out_n, 2);
    ck_assert_uint_eq(plan.jailed_n, 1);
    plan_free(&plan);
    free_world(w);
}
END_TEST

/* What is owned after every way in which a change can end. */
START_TEST(settling)
{
    struct world *w = world_of(
        "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4",
        "10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6",
        "10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6", "");
    struct plan plan;
    char text[1024];

    w->owned[0].renewed_at_s = w->owned[1].renewed_at_s = NOW - 3000;
    ck_assert(plan_make(&w->in, &plan));
    ck_assert_str_eq(plan_text(&plan, text, sizeof(text)),
        "-10.0.0.5 -10.0.0.6 +10.0.0.1 +10.0.0.2 =10.0.0.3 =10.0.0.4 | "
        "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6");
    plan.changes[1].failed = plan.changes[3].failed = true;
    plan.changes[5].failed = true;
    plan_settle(&plan, NOW + 7);
    plan.change_n = 0;
    ck_assert_str_eq(plan_text(&plan, text, sizeof(text)),
        " | 10.0.0.1 10.0.0.3 10.0.0.4 10.0.0.6");
    ck_assert_int_eq(plan.owned[0].renewed_at_s, NOW + 7);
    ck_assert_int_eq(plan.owned[1].renewed_at_s, NOW + 7);
    ck_assert_int_eq(plan.owned[2].renewed_at_s, NOW - 3000);
    ck_assert_int_eq(plan.owned[3].renewed_at_s, NOW - 60);
    plan_free(&plan);

    /* nothing can be written down: nobody goes in, the rest is done */
    w->owned[0].renewed_at_s = w->owned[1].renewed_at_s = NOW - 3000;
    ck_assert(plan_make(&w->in, &plan));
    plan_drop_additions(&plan);
    ck_assert_str_eq(plan_text(&plan, text, sizeof(text)),
        "-10.0.0.5 -10.0.0.6 =10.0.0.3 =10.0.0.4 | "
        "10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6");
    ck_assert_uint_eq(plan.jailed_n, 2);
    plan_free(&plan);
    free_world(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/plan");
    TCase *by_rule = tcase_create("rules");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, by_rule);
    tcase_add_loop_test(by_rule, rules, 0,
                        (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(by_rule, renewal);
    tcase_add_test(by_rule, who_gets_places);
    tcase_add_test(by_rule, short_of_places);
    tcase_add_test(by_rule, settling);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
