/* core/policy: allowances, where a client stands at the very byte, and how
 * long a refused one waits. */
#include "core/policy.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define M (INT64_C(1024) * 1024)
#define DAY INT64_C(86400)
#define HOUR INT64_C(3600)

/* November 2026 has 30 days; CQ_ZONE_UTC */
#define NOV_1 INT64_C(1793491200)

static struct cq_period period_at(enum cq_period_kind kind, int64_t now_s)
{
    struct cq_period period;

    ck_assert_int_eq(cq_period_at(kind, CQ_ZONE_UTC, now_s, &period), CQ_OK);
    return period;
}

/* Waiting time of an over client, without cap and jitter. */
static int64_t wait_over(const struct cq_policy *policy, int64_t used,
                         const struct cq_period *period, int64_t now_s)
{
    return cq_policy_retry_after_s(policy, used, CQ_STATE_OVER, period, now_s,
                                   NULL);
}

START_TEST(words)
{
    static const char *const expected[] = {
        "ok", "over", "busy", "copies", "free", "exempt", "logonly", "error"
    };

    for (int state = CQ_STATE_OK; state <= CQ_STATE_ERROR; state++) {
        ck_assert_str_eq(cq_state_word((enum cq_state)state),
                         expected[state]);
    }
    ck_assert_str_eq(cq_state_word((enum cq_state)8), "unknown");
    ck_assert_str_eq(cq_state_word((enum cq_state)-1), "unknown");
}
END_TEST

START_TEST(allowance_grows_daily)
{
    struct cq_policy policy = { 50 * M, 0 };
    struct cq_policy graceful = { 50 * M, 300 * M };

    for (int day = 1; day <= 31; day++) {
        ck_assert_int_eq(cq_policy_allowance(&policy, day), day * 50 * M);
        ck_assert_int_eq(cq_policy_allowance(&graceful, day),
                         day * 50 * M + 300 * M);
    }
    /* a day that no calendar has counts as the nearest one */
    ck_assert_int_eq(cq_policy_allowance(&policy, 0), 50 * M);
    ck_assert_int_eq(cq_policy_allowance(&policy, -5), 50 * M);
    ck_assert_int_eq(cq_policy_allowance(&policy, 32), 31 * 50 * M);
    ck_assert_int_eq(cq_policy_allowance(&policy, INT32_MAX), 31 * 50 * M);
}
END_TEST

START_TEST(allowance_saturates)
{
    int64_t largest = INT64_C(1) << 42;     /* CQ_SIZE_MAX_BYTES */
    struct cq_policy most = { largest, largest };
    struct cq_policy exactly = { 1, CQ_BYTES_MAX - 31 };
    struct cq_policy grace_only = { 1, CQ_BYTES_MAX };
    struct cq_policy damaged = { INT64_MAX, INT64_MAX };
    struct cq_policy no_grace = { INT64_MAX, 0 };
    struct cq_policy negative = { 100, INT64_MIN };

    /* what may be configured never gets there */
    ck_assert_int_eq(cq_policy_allowance(&most, 31), 32 * largest);
    ck_assert_int_lt(32 * largest, CQ_BYTES_MAX);
    ck_assert_int_eq(cq_policy_allowance(&exactly, 30), CQ_BYTES_MAX - 1);
    ck_assert_int_eq(cq_policy_allowance(&exactly, 31), CQ_BYTES_MAX);
    exactly.grace_bytes++;
    ck_assert_int_eq(cq_policy_allowance(&exactly, 31), CQ_BYTES_MAX);
    for (int day = 1; day <= 31; day++) {
        ck_assert_int_eq(cq_policy_allowance(&grace_only, day), CQ_BYTES_MAX);
        ck_assert_int_eq(cq_policy_allowance(&damaged, day), CQ_BYTES_MAX);
        ck_assert_int_eq(cq_policy_allowance(&no_grace, day), CQ_BYTES_MAX);
        ck_assert_int_eq(cq_policy_allowance(&negative, day), 100 * day);
    }
}
END_TEST

START_TEST(unlimited)
{
    struct cq_policy policy = { CQ_UNLIMITED, 0 };
    struct cq_usage usage = { INT64_MAX, INT64_MAX };

    for (int day = 1; day <= 31; day++) {
        ck_assert_int_eq(cq_policy_allowance(&policy, day), CQ_BYTES_MAX);
        ck_assert_int_eq(cq_policy_state(&policy, &usage, day),
                         CQ_STATE_EXEMPT);
    }
    /* none at all is not the same */
    policy.daily_bytes = 0;
    ck_assert_int_eq(cq_policy_allowance(&policy, 3), 0);
    ck_assert_int_eq(cq_policy_state(&policy, &usage, 3), CQ_STATE_OVER);
    /* nothing else that is negative is a limit either */
    policy.daily_bytes = INT64_MIN;
    policy.grace_bytes = 5;
    ck_assert_int_eq(cq_policy_allowance(&policy, 3), CQ_BYTES_MAX);
    ck_assert_int_eq(cq_policy_state(&policy, &usage, 3), CQ_STATE_EXEMPT);
}
END_TEST

START_TEST(state_at_the_byte)
{
    struct cq_policy policy = { 100, 7 };

    for (int day = 1; day <= 31; day++) {
        int64_t allowance = 100 * day + 7;

        for (int64_t used = allowance - 3; used <= allowance + 3; used++) {
            for (int64_t in_flight = 0; in_flight <= 6; in_flight++) {
                struct cq_usage usage = { used, in_flight };

                ck_assert_int_eq(
                    cq_policy_state(&policy, &usage, day),
                    used >= allowance ? CQ_STATE_OVER
                    : used + in_flight >= allowance ? CQ_STATE_BUSY
                    : CQ_STATE_OK);
            }
        }
    }
}
END_TEST

START_TEST(state_at_the_ends)
{
    struct cq_policy policy = { 100, 0 };
    static const struct {
        int64_t used;
        int64_t in_flight;
        enum cq_state state;
    } cases[] = {
        { 0, 0, CQ_STATE_OK }, { 0, 99, CQ_STATE_OK },
        { 0, 100, CQ_STATE_BUSY }, { 99, 1, CQ_STATE_BUSY },
        { 99, 0, CQ_STATE_OK }, { 100, 0, CQ_STATE_OVER },
        { 100, 100, CQ_STATE_OVER }, { 0, INT64_MAX, CQ_STATE_BUSY },
        { 99, INT64_MAX, CQ_STATE_BUSY }, { INT64_MAX, 0, CQ_STATE_OVER },
        { INT64_MAX, INT64_MAX, CQ_STATE_OVER },
        /* impossible figures */
        { -5, 0, CQ_STATE_OK }, { INT64_MIN, 99, CQ_STATE_OK },
        { INT64_MIN, 100, CQ_STATE_BUSY }, { 50, -60, CQ_STATE_OK },
        { 50, INT64_MIN, CQ_STATE_OK },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cq_usage usage = { cases[i].used, cases[i].in_flight };

        ck_assert_int_eq(cq_policy_state(&policy, &usage, 1),
                         cases[i].state);
    }
    /* the counter's end is over quota also where the allowance is saturated */
    policy.grace_bytes = CQ_BYTES_MAX;
    ck_assert_int_eq(cq_policy_state(&policy, &(struct cq_usage){
        CQ_BYTES_MAX - 1, 0 }, 1), CQ_STATE_OK);
    ck_assert_int_eq(cq_policy_state(&policy, &(struct cq_usage){
        CQ_BYTES_MAX, 0 }, 1), CQ_STATE_OVER);
}
END_TEST

START_TEST(waits_for_the_first_midnight_that_admits)
{
    struct cq_period nov = period_at(CQ_PERIOD_MONTH, NOV_1);
    struct cq_policy policy = { 100, 0 };
    int64_t noon_3 = NOV_1 + 2 * DAY + 12 * HOUR;

    ck_assert_int_eq(nov.midnight_s[0], NOV_1);
    ck_assert_int_eq(nov.days, 30);
    /* day 3 allows 300; day n + 1 begins n days after the start */
    ck_assert_int_eq(wait_over(&policy, 300, &nov, noon_3), 12 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 399, &nov, noon_3), 12 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 400, &nov, noon_3), DAY + 12 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 2899, &nov, noon_3),
                     25 * DAY + 12 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 2999, &nov, noon_3),
                     26 * DAY + 12 * HOUR);
    /* more than the month allows: when it ends */
    ck_assert_int_eq(wait_over(&policy, 3000, &nov, noon_3),
                     27 * DAY + 12 * HOUR);
    ck_assert_int_eq(wait_over(&policy, CQ_BYTES_MAX, &nov, noon_3),
                     27 * DAY + 12 * HOUR);
    ck_assert_int_eq(wait_over(&policy, INT64_MAX, &nov, noon_3),
                     27 * DAY + 12 * HOUR);
    /* a grace moves it by its three days */
    policy.grace_bytes = 300;
    ck_assert_int_eq(wait_over(&policy, 600, &nov, noon_3), 12 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 699, &nov, noon_3), 12 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 700, &nov, noon_3), DAY + 12 * HOUR);
}
END_TEST

/* Against the definition, for each day, kind and amount: after the wait the
 * client is admitted, one second before it is not. */
START_TEST(waits_exactly)
{
    static const enum cq_period_kind kinds[] = {
        CQ_PERIOD_MONTH, CQ_PERIOD_WEEK, CQ_PERIOD_DAY
    };

    for (size_t k = 0; k < 3; k++) {
        struct cq_period period = period_at(kinds[k], NOV_1 + 5 * DAY);
        int64_t start = period.midnight_s[0];
        int64_t end = period.midnight_s[period.days];

        for (int64_t now = start; now < end; now += 6 * HOUR + 1) {
            for (int64_t used = 0; used < 3300; used += 50) {
                struct cq_policy policy = { 100, used % 70 };
                int day = cq_period_day(&period, now);
                struct cq_usage usage = { used, 0 };
                int64_t wait;

                if (cq_policy_state(&policy, &usage, day) != CQ_STATE_OVER) {
                    continue;
                }
                wait = wait_over(&policy, used, &period, now);
                ck_assert_int_ge(wait, 1);
                ck_assert_int_le(now + wait, end);
                day = cq_period_day(&period, now + wait - 1);
                ck_assert_int_eq(cq_policy_state(&policy, &usage, day),
                                 CQ_STATE_OVER);
                day = cq_period_day(&period, now + wait);
                ck_assert(now + wait == end
                          || cq_policy_state(&policy, &usage, day)
                             == CQ_STATE_OK);
            }
        }
    }
}
END_TEST

START_TEST(day_and_week_wait)
{
    struct cq_policy policy = { 100, 0 };
    struct cq_period day = period_at(CQ_PERIOD_DAY, NOV_1 + 3 * DAY);
    struct cq_period week = period_at(CQ_PERIOD_WEEK, NOV_1 + DAY);

    ck_assert_int_eq(wait_over(&policy, 100, &day, NOV_1 + 3 * DAY), DAY);
    ck_assert_int_eq(wait_over(&policy, 9999, &day, NOV_1 + 4 * DAY - 1), 1);
    /* Monday, 2 November 2026 */
    ck_assert_int_eq(week.midnight_s[0], NOV_1 + DAY);
    ck_assert_int_eq(wait_over(&policy, 100, &week, NOV_1 + DAY), DAY);
    ck_assert_int_eq(wait_over(&policy, 699, &week, NOV_1 + DAY), 6 * DAY);
    ck_assert_int_eq(wait_over(&policy, 700, &week, NOV_1 + DAY), 7 * DAY);
}
END_TEST

/* The day before a change has 24 hours, the day of it 23 or 25. */
START_TEST(days_of_23_and_25_hours)
{
    struct cq_policy policy = { 100, 0 };
    struct cq_period march;
    struct cq_period october;

    ck_assert_int_eq(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
    tzset();
    ck_assert_int_eq(cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_LOCAL,
                                  INT64_C(1774742400), &march), CQ_OK);
    ck_assert_int_eq(cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_LOCAL,
                                  INT64_C(1792900000), &october), CQ_OK);
    /* 29 March and 25 October 2026 */
    ck_assert_int_eq(wait_over(&policy, 2900, &march, march.midnight_s[28]),
                     23 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 2800, &march, march.midnight_s[27]),
                     24 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 2900, &march, march.midnight_s[27]),
                     47 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 2500, &october,
                               october.midnight_s[24]), 25 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 2500, &october,
                               october.midnight_s[23]), 49 * HOUR);
    ck_assert_int_eq(wait_over(&policy, 9999, &october,
                               october.midnight_s[0]), 31 * DAY + HOUR);
}
END_TEST

START_TEST(never_less_than_a_second)
{
    struct cq_period nov = period_at(CQ_PERIOD_MONTH, NOV_1);
    struct cq_policy policy = { 100, 0 };
    struct cq_retry zero = { 0, 0, 0 };
    struct cq_retry negative = { -5, -5, 77 };
    int64_t end = nov.midnight_s[30];

    ck_assert_int_eq(wait_over(&policy, 3000, &nov, end - 1), 1);
    ck_assert_int_eq(wait_over(&policy, 3000, &nov, end), 1);
    ck_assert_int_eq(wait_over(&policy, 3000, &nov, end + 1), 1);
    ck_assert_int_eq(wait_over(&policy, 3000, &nov, end + 90 * DAY), 1);
    ck_assert_int_eq(wait_over(&policy, 3000, &nov, INT64_MAX), 1);
    /* admitted at this very moment, as the day changed meanwhile */
    ck_assert_int_eq(wait_over(&policy, 299, &nov, NOV_1 + 2 * DAY), 1);
    /* a clock that is behind waits for the calendar */
    ck_assert_int_eq(wait_over(&policy, 100, &nov, NOV_1 - 10), DAY + 10);
    ck_assert_int_eq(wait_over(&policy, 100, &nov, INT64_MIN), INT64_MAX);
    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 100, CQ_STATE_OVER,
                                             &nov, NOV_1, &zero), 1);
    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 100, CQ_STATE_BUSY,
                                             &nov, NOV_1, &negative), 1);
    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 9999, CQ_STATE_OVER,
                                             &nov, end + 5, &zero), 1);
}
END_TEST

START_TEST(cap_and_jitter)
{
    struct cq_period nov = period_at(CQ_PERIOD_MONTH, NOV_1);
    struct cq_policy policy = { 100, 0 };
    int64_t now = NOV_1 + DAY - HOUR;
    struct cq_retry retry = { 6 * HOUR, 600, 0 };
    bool seen[601] = { false };

    for (uint64_t spread = 0; spread < 1803; spread++) {
        int64_t wait;

        retry.spread = UINT64_C(0x9e3779b97f4a7c15) * 601 + spread;
        wait = cq_policy_retry_after_s(&policy, 100, CQ_STATE_OVER, &nov, now,
                                       &retry);
        ck_assert_int_eq(wait, HOUR + (int64_t)(retry.spread % 601));
        seen[wait - HOUR] = true;
        /* counts down with the clock */
        ck_assert_int_eq(cq_policy_retry_after_s(&policy, 100, CQ_STATE_OVER,
                                                 &nov, now + 60, &retry),
                         wait - 60);
    }
    for (size_t i = 0; i <= 600; i++) {
        ck_assert(seen[i]);
    }
    /* the cap holds for the sum */
    retry = (struct cq_retry){ HOUR + 100, 600, 100 };
    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 100, CQ_STATE_OVER,
                                             &nov, now, &retry), HOUR + 100);
    retry.spread = 99;
    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 100, CQ_STATE_OVER,
                                             &nov, now, &retry), HOUR + 99);
    retry.spread = 101;
    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 100, CQ_STATE_OVER,
                                             &nov, now, &retry), HOUR + 100);
    retry = (struct cq_retry){ 60, 0, UINT64_MAX };
    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 100, CQ_STATE_OVER,
                                             &nov, now, &retry), 60);
    /* no jitter, no addition */
    retry = (struct cq_retry){ 6 * HOUR, 0, UINT64_MAX };
    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 100, CQ_STATE_OVER,
                                             &nov, now, &retry), HOUR);
    /* the widest of everything */
    retry = (struct cq_retry){ INT64_MAX, INT64_MAX, INT64_MAX };
    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 100, CQ_STATE_OVER,
                                             &nov, now, &retry), INT64_MAX);
}
END_TEST

START_TEST(busy_wait)
{
    struct cq_period nov = period_at(CQ_PERIOD_MONTH, NOV_1);
    struct cq_policy policy = { 100, 0 };
    struct cq_retry retry = { 6 * HOUR, 0, 0 };

    ck_assert_int_eq(cq_policy_retry_after_s(&policy, 50, CQ_STATE_BUSY, &nov,
                                             NOV_1, NULL), 30);
    /* its own spread, whatever the configured jitter */
    for (uint64_t spread = 0; spread < 33; spread++) {
        retry.spread = spread;
        retry.jitter_s = spread % 2 == 0 ? 0 : 600;
        ck_assert_int_eq(cq_policy_retry_after_s(&policy, 50, CQ_STATE_BUSY,
                                                 &nov, NOV_1, &retry),
                         30 + (int64_t)(spread % 11));
    }
    for (int64_t max = 1; max <= 45; max++) {
        retry = (struct cq_retry){ max, 600, 10 };
        ck_assert_int_eq(cq_policy_retry_after_s(&policy, 50, CQ_STATE_BUSY,
                                                 &nov, NOV_1, &retry),
                         max < 40 ? max : 40);
    }
}
END_TEST

START_TEST(copies_wait_for_the_day_to_end)
{
    struct cq_period nov = period_at(CQ_PERIOD_MONTH, NOV_1);
    struct cq_policy policy = { 100, 0 };
    struct cq_retry retry = { 48 * HOUR, 600, 7 };

    /* whatever was drawn, also on the last day and in its last second */
    ck_assert_int_eq(cq_policy_retry_after_s(
        &policy, 0, CQ_STATE_COPIES, &nov, NOV_1, NULL), 24 * HOUR);
    ck_assert_int_eq(cq_policy_retry_after_s(
        &policy, 5000, CQ_STATE_COPIES, &nov, NOV_1 + 5 * HOUR, &retry),
        19 * HOUR + 7);
    ck_assert_int_eq(cq_policy_retry_after_s(
        &policy, 5000, CQ_STATE_COPIES, &nov, NOV_1 + 30 * 24 * HOUR - 1,
        NULL), 1);
    retry.max_s = HOUR;
    ck_assert_int_eq(cq_policy_retry_after_s(
        &policy, 5000, CQ_STATE_COPIES, &nov, NOV_1, &retry), HOUR);
}
END_TEST

START_TEST(others_do_not_wait)
{
    struct cq_period nov = period_at(CQ_PERIOD_MONTH, NOV_1);
    struct cq_policy policy = { 100, 0 };
    struct cq_retry retry = { 6 * HOUR, 600, 5 };

    for (int state = CQ_STATE_OK; state <= CQ_STATE_ERROR; state++) {
        if (state != CQ_STATE_OVER && state != CQ_STATE_BUSY
            && state != CQ_STATE_COPIES) {
            ck_assert_int_eq(cq_policy_retry_after_s(
                &policy, 5000, (enum cq_state)state, &nov, NOV_1, &retry), 0);
            ck_assert_int_eq(cq_policy_retry_after_s(
                &policy, 5000, (enum cq_state)state, &nov, NOV_1, NULL), 0);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/policy");
    TCase *verdict = tcase_create("verdict");
    TCase *retry = tcase_create("retry");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, verdict);
    tcase_add_test(verdict, words);
    tcase_add_test(verdict, allowance_grows_daily);
    tcase_add_test(verdict, allowance_saturates);
    tcase_add_test(verdict, unlimited);
    tcase_add_test(verdict, state_at_the_byte);
    tcase_add_test(verdict, state_at_the_ends);
    suite_add_tcase(suite, retry);
    tcase_add_test(retry, waits_for_the_first_midnight_that_admits);
    tcase_add_test(retry, waits_exactly);
    tcase_add_test(retry, day_and_week_wait);
    tcase_add_test(retry, days_of_23_and_25_hours);
    tcase_add_test(retry, never_less_than_a_second);
    tcase_add_test(retry, cap_and_jitter);
    tcase_add_test(retry, busy_wait);
    tcase_add_test(retry, copies_wait_for_the_day_to_end);
    tcase_add_test(retry, others_do_not_wait);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
