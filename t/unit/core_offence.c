/* core/offence: offenders at each of the bounds, and spared addresses. */
#include "core/offence.h"

#include <check.h>
#include <stdlib.h>

#define NOW_S INT64_C(1794744000)

static const struct cq_policy policy = { 1000, 500 };
static const struct cq_offence_limits limits = { 60, 3 };

/* on day 2: 2,500 may be drawn */
static struct cq_offence_facts offender(void)
{
    struct cq_offence_facts facts = { .used_bytes = 2500,
                                      .over_since_s = NOW_S - 60,
                                      .refusals = 3 };

    return facts;
}

static enum cq_offence of(const struct cq_offence_facts *facts)
{
    return cq_offence_judge(facts, &policy, true, 2, NOW_S, &limits, NULL);
}

START_TEST(an_offender)
{
    struct cq_offence_facts facts = offender();

    ck_assert_int_eq(of(&facts), CQ_OFFENCE_OFFENDER);
    facts.refusals = INT64_MAX;
    facts.over_since_s = 1;
    facts.used_bytes = CQ_BYTES_MAX;
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_OFFENDER);
}
END_TEST

/* a client that may come again, by whatever way, is no offender */
START_TEST(not_over)
{
    struct cq_offence_facts facts = offender();
    struct cq_policy raised = { 1001, 500 };

    facts.used_bytes = 2499;
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_NONE);
    facts = offender();
    ck_assert_int_eq(cq_offence_judge(&facts, &policy, true, 3, NOW_S, &limits,
                                      NULL), CQ_OFFENCE_NONE);
    ck_assert_int_eq(cq_offence_judge(&facts, &raised, true, 2, NOW_S, &limits,
                                      NULL), CQ_OFFENCE_NONE);
    facts.over_since_s = 0;
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_NONE);
    facts = offender();
    facts.refusals = 0;
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_NONE);
}
END_TEST

START_TEST(few_refusals)
{
    struct cq_offence_facts facts = offender();
    struct cq_offence_limits one = { 60, 1 };

    facts.refusals = 2;
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_FEW);
    facts.refusals = 1;
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_FEW);
    ck_assert_int_eq(cq_offence_judge(&facts, &policy, true, 2, NOW_S, &one,
                                      NULL), CQ_OFFENCE_OFFENDER);
    /* "few refusals" comes first: there is no second from which it is an
     * offender */
    facts.refusals = 2;
    facts.over_since_s = NOW_S;
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_FEW);
}
END_TEST

START_TEST(over_since_a_moment)
{
    struct cq_offence_facts facts = offender();
    struct cq_offence_limits at_once = { 0, 3 };
    int64_t due_s = -1;

    facts.over_since_s = NOW_S - 59;
    ck_assert_int_eq(cq_offence_judge(&facts, &policy, true, 2, NOW_S, &limits,
                                      &due_s), CQ_OFFENCE_RECENT);
    ck_assert_int_eq(due_s, NOW_S + 1);
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_RECENT);
    ck_assert_int_eq(cq_offence_judge(&facts, &policy, true, 2, due_s, &limits,
                                      NULL), CQ_OFFENCE_OFFENDER);
    ck_assert_int_eq(cq_offence_judge(&facts, &policy, true, 2, due_s - 1,
                                      &limits, NULL), CQ_OFFENCE_RECENT);
    /* the clock was put back: not yet */
    facts.over_since_s = NOW_S + 3600;
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_RECENT);
    facts.over_since_s = NOW_S;
    ck_assert_int_eq(cq_offence_judge(&facts, &policy, true, 2, NOW_S, &at_once,
                                      NULL), CQ_OFFENCE_OFFENDER);
    /* told only where it is asked for */
    due_s = -1;
    facts = offender();
    ck_assert_int_eq(cq_offence_judge(&facts, &policy, true, 2, NOW_S, &limits,
                                      &due_s), CQ_OFFENCE_OFFENDER);
    ck_assert_int_eq(due_s, -1);
}
END_TEST

START_TEST(exempt)
{
    struct cq_offence_facts facts = offender();
    struct cq_policy unlimited = { CQ_UNLIMITED, 0 };
    struct cq_policy none = { 0, 500 };

    ck_assert_int_eq(cq_offence_judge(&facts, &unlimited, true, 2, NOW_S,
                                      &limits, NULL), CQ_OFFENCE_EXEMPT);
    ck_assert_int_eq(cq_offence_judge(&facts, &none, true, 2, NOW_S, &limits,
                                      NULL), CQ_OFFENCE_EXEMPT);
    ck_assert_int_eq(cq_offence_judge(&facts, &policy, false, 2, NOW_S, &limits,
                                      NULL), CQ_OFFENCE_EXEMPT);
    facts.exempt = true;
    ck_assert_int_eq(of(&facts), CQ_OFFENCE_EXEMPT);
}
END_TEST

/* Each fact by itself spares the address, and of two the first is the
 * reason. */
START_TEST(spared)
{
    struct cq_key key;
    const struct cq_address_facts free = { .key = &key, .client_bits = 32 };
    struct cq_address_facts facts = free;

    ck_assert_int_eq(cq_key_parse(&key, "192.0.2.7", NULL), CQ_OK);
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_NOT);
    facts.client_bits = 24;
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_PREFIX);
    facts.never = true;
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_NEVER);
    facts.own = true;
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_OWN);
    ck_assert_int_eq(cq_key_parse(&key, "127.0.0.1", NULL), CQ_OK);
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_RESERVED);
    facts.proxied = true;
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_PROXIED);
    facts.exempt = true;
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_EXEMPT);
    facts = free;
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_RESERVED);
    /* all addresses, as a prefix of 0 makes of each client */
    ck_assert_int_eq(cq_key_parse(&key, "0.0.0.0/0", NULL), CQ_OK);
    facts.client_bits = 0;
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_RESERVED);
    ck_assert_int_eq(cq_key_parse(&key, "198.51.100.0/24", NULL), CQ_OK);
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_PREFIX);
    facts.client_bits = -1;
    ck_assert_int_eq(cq_spared_reason(&facts), CQ_SPARED_NOT);
}
END_TEST

START_TEST(words)
{
    ck_assert_ptr_null(cq_spared_word(CQ_SPARED_NOT));
    ck_assert_str_eq(cq_spared_word(CQ_SPARED_EXEMPT), "exempt");
    ck_assert_str_eq(cq_spared_word(CQ_SPARED_PROXIED), "proxied");
    ck_assert_str_eq(cq_spared_word(CQ_SPARED_RESERVED), "reserved");
    ck_assert_str_eq(cq_spared_word(CQ_SPARED_OWN), "own");
    ck_assert_str_eq(cq_spared_word(CQ_SPARED_NEVER), "never");
    ck_assert_str_eq(cq_spared_word(CQ_SPARED_PREFIX), "prefix");
    ck_assert_str_eq(cq_spared_word((enum cq_spared)99), "unknown");
    ck_assert_ptr_null(cq_spared_text(CQ_SPARED_NOT));
    ck_assert_str_eq(cq_spared_text(CQ_SPARED_OWN),
                     "this machine or its default gateway");
    ck_assert_str_eq(cq_spared_text((enum cq_spared)99), "unknown");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/offence");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_test(all, an_offender);
    tcase_add_test(all, not_over);
    tcase_add_test(all, few_refusals);
    tcase_add_test(all, over_since_a_moment);
    tcase_add_test(all, exempt);
    tcase_add_test(all, spared);
    tcase_add_test(all, words);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
