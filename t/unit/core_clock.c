/* core/period, which period is in force when the clock may lie: jumps that
 * come back change nothing, real corrections are believed after a while. */
#include "core/period.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>

/* Inside of large loops: ck_assert() reports each success to its parent. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            ck_abort_msg("%s", #condition); \
        } \
    } while (0)

#define DAY INT64_C(86400)
#define HOUR INT64_C(3600)

/* 2026-11-23 12:00 UTC, and a machine that is up for a while */
#define WALL (20780 * DAY + 12 * HOUR)
#define BOOT INT64_C(500000)

static uint16_t id_at(enum cq_period_kind kind, int64_t wall_s)
{
    struct cq_period period;

    EXPECT(cq_period_at(kind, CQ_ZONE_UTC, wall_s, &period) == CQ_OK);
    return period.id;
}

/* a machine with its two clocks, and the period it works with */
struct machine {
    struct cq_clock_watch watch;
    enum cq_period_kind kind;
    uint16_t in_force;
    int64_t wall_s;
    int64_t boot_s;
};

static struct machine started(enum cq_period_kind kind, int64_t wall_s)
{
    struct machine m = { .kind = kind, .wall_s = wall_s, .boot_s = BOOT };

    m.in_force = id_at(kind, wall_s);
    return m;
}

/* Looks after that time by either clock. */
static enum cq_clock_step look(struct machine *m, int64_t wall_passed,
                               int64_t boot_passed)
{
    enum cq_clock_step step;
    uint16_t seen;

    m->wall_s += wall_passed;
    m->boot_s += boot_passed;
    seen = id_at(m->kind, m->wall_s);
    step = cq_clock_observe(&m->watch, m->in_force, seen, m->wall_s, m->boot_s);
    if (step == CQ_CLOCK_ADOPT) {
        m->in_force = seen;
    }
    return step;
}

START_TEST(a_quiet_year_of_days)
{
    struct machine m = started(CQ_PERIOD_DAY, WALL);
    int adopted = 0;

    for (int64_t t = 0; t < 365 * DAY; t += 300) {
        enum cq_clock_step step = look(&m, 300, 300);

        EXPECT(step != CQ_CLOCK_DOUBT);
        adopted += step == CQ_CLOCK_ADOPT;
        EXPECT(m.in_force == id_at(m.kind, m.wall_s));
    }
    EXPECT(adopted == 365);
}
END_TEST

START_TEST(next_is_adopted_at_once)
{
    static const enum cq_period_kind kinds[] = {
        CQ_PERIOD_MONTH, CQ_PERIOD_WEEK, CQ_PERIOD_DAY
    };

    for (size_t i = 0; i < 3; i++) {
        struct cq_period period;
        struct machine m;

        ck_assert_int_eq(cq_period_at(kinds[i], CQ_ZONE_UTC, WALL, &period),
                         CQ_OK);
        m = started(kinds[i], period.midnight_s[period.days] - 1);
        ck_assert_int_eq(look(&m, 0, 0), CQ_CLOCK_STAY);
        ck_assert_int_eq(look(&m, 1, 1), CQ_CLOCK_ADOPT);
        ck_assert_uint_eq(m.in_force, period.id + 1);
        ck_assert_int_eq(look(&m, 1, 1), CQ_CLOCK_STAY);
    }
}
END_TEST

START_TEST(next_also_at_the_first_look)
{
    struct cq_clock_watch watch = { 0 };

    ck_assert_int_eq(cq_clock_observe(&watch, 683, 684, WALL, BOOT),
                     CQ_CLOCK_ADOPT);
}
END_TEST

/* A bad minute from a time server. */
START_TEST(forty_years_ahead_for_a_minute)
{
    static const enum cq_period_kind kinds[] = {
        CQ_PERIOD_MONTH, CQ_PERIOD_WEEK, CQ_PERIOD_DAY
    };

    for (size_t i = 0; i < 3; i++) {
        struct machine m = started(kinds[i], WALL);
        uint16_t before = m.in_force;

        ck_assert_int_eq(look(&m, 5, 5), CQ_CLOCK_STAY);
        ck_assert_int_eq(look(&m, 40 * 365 * DAY, 5), CQ_CLOCK_DOUBT);
        for (int t = 5; t < 60; t += 5) {
            ck_assert_int_eq(look(&m, 5, 5), CQ_CLOCK_STAY);
        }
        ck_assert_int_eq(look(&m, 5 - 40 * 365 * DAY, 5), CQ_CLOCK_STAY);
        ck_assert_uint_eq(m.in_force, before);
        ck_assert_uint_eq(m.watch.doubted_id, 0);
        /* and nothing is left of it: a second time starts from zero */
        ck_assert_int_eq(look(&m, 40 * 365 * DAY, 290), CQ_CLOCK_DOUBT);
        ck_assert_int_eq(look(&m, 299, 299), CQ_CLOCK_STAY);
        ck_assert_uint_eq(m.in_force, before);
    }
}
END_TEST

/* It comes back while a midnight passes: only the next day has come. */
START_TEST(ahead_over_a_midnight)
{
    struct machine m = started(CQ_PERIOD_DAY, WALL + 12 * HOUR - 30);
    uint16_t before = m.in_force;

    ck_assert_int_eq(look(&m, 0, 0), CQ_CLOCK_STAY);
    ck_assert_int_eq(look(&m, 20 * DAY, 10), CQ_CLOCK_DOUBT);
    ck_assert_int_eq(look(&m, 60 - 20 * DAY, 50), CQ_CLOCK_ADOPT);
    ck_assert_uint_eq(m.in_force, before + 1);
}
END_TEST

/* 00:01 on the 1st becomes 23:59 of the last day again. */
START_TEST(back_two_minutes_over_the_first)
{
    struct machine m = started(CQ_PERIOD_MONTH, 20788 * DAY - 30);
    uint16_t november = m.in_force;

    ck_assert_uint_eq(november, 683);
    ck_assert_int_eq(look(&m, 0, 0), CQ_CLOCK_STAY);
    ck_assert_int_eq(look(&m, 90, 90), CQ_CLOCK_ADOPT);     /* 00:01 */
    ck_assert_int_eq(look(&m, -120 + 5, 5), CQ_CLOCK_DOUBT);
    for (int t = 5; t < 60; t += 5) {
        ck_assert_int_eq(look(&m, 5, 5), CQ_CLOCK_STAY);
        ck_assert_uint_eq(m.in_force, november + 1);
    }
    ck_assert_int_eq(look(&m, 5, 5), CQ_CLOCK_STAY);        /* 00:00 */
    ck_assert_uint_eq(m.in_force, november + 1);
    ck_assert_uint_eq(m.watch.doubted_id, 0);
}
END_TEST

/* CLOCK_BOOTTIME runs on while the machine sleeps. */
START_TEST(three_days_of_suspend)
{
    struct machine m = started(CQ_PERIOD_DAY, WALL);
    uint16_t before = m.in_force;

    ck_assert_int_eq(look(&m, 5, 5), CQ_CLOCK_STAY);
    ck_assert_int_eq(look(&m, 3 * DAY, 3 * DAY), CQ_CLOCK_ADOPT);
    ck_assert_uint_eq(m.in_force, before + 3);
    /* and a year of it */
    ck_assert_int_eq(look(&m, 365 * DAY, 365 * DAY), CQ_CLOCK_ADOPT);
    ck_assert_uint_eq(m.in_force, before + 368);
}
END_TEST

START_TEST(drift_that_is_explained)
{
    for (int64_t drift = -62; drift <= 62; drift++) {
        struct machine m = started(CQ_PERIOD_DAY, WALL);
        bool small = drift >= -CQ_CLOCK_DRIFT_S && drift <= CQ_CLOCK_DRIFT_S;

        ck_assert_int_eq(look(&m, 5, 5), CQ_CLOCK_STAY);
        ck_assert_int_eq(look(&m, 3 * DAY + drift, 3 * DAY),
                         small ? CQ_CLOCK_ADOPT : CQ_CLOCK_DOUBT);
    }
}
END_TEST

/* Three days ahead, and it stays: believed after CQ_CLOCK_DOUBT_S. */
START_TEST(a_real_correction)
{
    for (int64_t jump = -20; jump <= 20; jump++) {
        for (int64_t every = 1; every <= 300; every += 23) {
            struct machine m = started(CQ_PERIOD_DAY, WALL);
            uint16_t before = m.in_force;
            int64_t t;

            if (jump == 0 || jump == 1) {
                continue;   /* nothing to doubt */
            }
            EXPECT(look(&m, 5, 5) == CQ_CLOCK_STAY);
            EXPECT(look(&m, jump * DAY + 5, 5) == CQ_CLOCK_DOUBT);
            for (t = every; t < CQ_CLOCK_DOUBT_S; t += every) {
                EXPECT(look(&m, every, every) == CQ_CLOCK_STAY);
                EXPECT(m.in_force == before);
            }
            EXPECT(look(&m, every, every) == CQ_CLOCK_ADOPT);
            EXPECT(m.in_force == before + jump);
            EXPECT(m.watch.doubted_id == 0);
            EXPECT(look(&m, every, every) == CQ_CLOCK_STAY);
            /* from then on it is measured from there */
            EXPECT(look(&m, 5 * DAY, 5 * DAY) == CQ_CLOCK_ADOPT);
        }
    }
}
END_TEST

START_TEST(doubt_ends_at_the_second)
{
    struct cq_clock_watch watch = { 0 };

    ck_assert_int_eq(cq_clock_observe(&watch, 100, 100, WALL, BOOT),
                     CQ_CLOCK_STAY);
    ck_assert_int_eq(cq_clock_observe(&watch, 100, 90, WALL - DAY, BOOT),
                     CQ_CLOCK_DOUBT);
    ck_assert_int_eq(cq_clock_observe(&watch, 100, 90, WALL - DAY,
                                      BOOT + CQ_CLOCK_DOUBT_S - 1),
                     CQ_CLOCK_STAY);
    ck_assert_int_eq(cq_clock_observe(&watch, 100, 90, WALL - DAY,
                                      BOOT + CQ_CLOCK_DOUBT_S),
                     CQ_CLOCK_ADOPT);
}
END_TEST

/* The wall clock's own pace is no proof: only boot time counts. */
START_TEST(a_racing_wall_clock_proves_nothing)
{
    struct machine m = started(CQ_PERIOD_MONTH, WALL);

    ck_assert_int_eq(look(&m, 5, 5), CQ_CLOCK_STAY);
    ck_assert_int_eq(look(&m, 400 * DAY, 1), CQ_CLOCK_DOUBT);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(look(&m, 1000, 1), CQ_CLOCK_STAY);
    }
}
END_TEST

/* A start explains nothing, however long the watcher then looks. */
START_TEST(first_look_explains_nothing)
{
    struct machine m = started(CQ_PERIOD_DAY, WALL);

    m.in_force = (uint16_t)(m.in_force - 3);
    ck_assert_int_eq(look(&m, 0, 0), CQ_CLOCK_DOUBT);
    ck_assert_int_eq(look(&m, 1, 1), CQ_CLOCK_STAY);
    ck_assert_int_eq(look(&m, 298, 298), CQ_CLOCK_STAY);
    ck_assert_int_eq(look(&m, 1, 1), CQ_CLOCK_ADOPT);

    /* even when the clocks show just what a watch of zeros would */
    m = started(CQ_PERIOD_DAY, WALL);
    m.in_force = (uint16_t)(m.in_force - 3);
    m.boot_s = WALL;
    ck_assert_int_eq(look(&m, 0, 0), CQ_CLOCK_DOUBT);
}
END_TEST

/* One clock at zero is a time like any other. */
START_TEST(a_look_at_the_second_of_the_boot)
{
    struct cq_clock_watch watch = { 0 };

    ck_assert_int_eq(cq_clock_observe(&watch, 100, 100, WALL, 0),
                     CQ_CLOCK_STAY);
    ck_assert_int_eq(cq_clock_observe(&watch, 100, 103, WALL + 3 * DAY,
                                      3 * DAY),
                     CQ_CLOCK_ADOPT);
}
END_TEST

START_TEST(flapping)
{
    struct machine m = started(CQ_PERIOD_DAY, WALL);
    uint16_t before = m.in_force;

    ck_assert_int_eq(look(&m, 5, 5), CQ_CLOCK_STAY);
    /* between right and wrong: for hours, never believed */
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(look(&m, 9 * DAY, 100), CQ_CLOCK_DOUBT);
        ck_assert_int_eq(look(&m, 100, 100), CQ_CLOCK_STAY);
        ck_assert_int_eq(look(&m, -9 * DAY, 100), CQ_CLOCK_STAY);
        ck_assert_uint_eq(m.in_force, before);
    }
    /* between two wrong ones: each look is a first one */
    ck_assert_int_eq(look(&m, 9 * DAY, 200), CQ_CLOCK_DOUBT);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(look(&m, 20 * DAY, 200), CQ_CLOCK_DOUBT);
        ck_assert_int_eq(look(&m, -20 * DAY, 200), CQ_CLOCK_DOUBT);
        ck_assert_uint_eq(m.in_force, before);
    }
    /* and back: as if nothing had been */
    ck_assert_int_eq(look(&m, -9 * DAY, 5), CQ_CLOCK_STAY);
    ck_assert_uint_eq(m.in_force, before);
}
END_TEST

/* The true time explains itself also after a time of doubt. */
START_TEST(back_from_doubt_days_later)
{
    struct machine m = started(CQ_PERIOD_DAY, WALL);
    uint16_t before = m.in_force;

    ck_assert_int_eq(look(&m, 5, 5), CQ_CLOCK_STAY);
    ck_assert_int_eq(look(&m, 900 * DAY, 5), CQ_CLOCK_DOUBT);
    ck_assert_int_eq(look(&m, 5 + 3 * DAY - 900 * DAY, 3 * DAY),
                     CQ_CLOCK_ADOPT);
    ck_assert_uint_eq(m.in_force, before + 3);
}
END_TEST

START_TEST(no_period_is_never_adopted)
{
    struct cq_clock_watch watch = { 0 };

    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(cq_clock_observe(&watch, 683, 0, 5, BOOT + 100 * i),
                         CQ_CLOCK_STAY);
    }
    /* ids do not wrap: 0 is not what follows the last one */
    ck_assert_int_eq(cq_clock_observe(&watch, UINT16_MAX, 0, WALL, BOOT),
                     CQ_CLOCK_STAY);
    ck_assert_int_eq(cq_clock_observe(&watch, UINT16_MAX - 1, UINT16_MAX, WALL,
                                      BOOT), CQ_CLOCK_ADOPT);
    ck_assert_int_eq(cq_clock_observe(&watch, UINT16_MAX, 1, WALL - DAY, BOOT),
                     CQ_CLOCK_DOUBT);
    /* a doubt does not outlive it */
    ck_assert_int_eq(cq_clock_observe(&watch, UINT16_MAX, 0, 5, BOOT + 100),
                     CQ_CLOCK_STAY);
    ck_assert_int_eq(cq_clock_observe(&watch, UINT16_MAX, 1, WALL - DAY,
                                      BOOT + 400), CQ_CLOCK_DOUBT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/period: clock");
    TCase *clock = tcase_create("clock");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, clock);
    tcase_add_test(clock, a_quiet_year_of_days);
    tcase_add_test(clock, next_is_adopted_at_once);
    tcase_add_test(clock, next_also_at_the_first_look);
    tcase_add_test(clock, forty_years_ahead_for_a_minute);
    tcase_add_test(clock, ahead_over_a_midnight);
    tcase_add_test(clock, back_two_minutes_over_the_first);
    tcase_add_test(clock, three_days_of_suspend);
    tcase_add_test(clock, drift_that_is_explained);
    tcase_add_test(clock, a_real_correction);
    tcase_add_test(clock, doubt_ends_at_the_second);
    tcase_add_test(clock, a_racing_wall_clock_proves_nothing);
    tcase_add_test(clock, first_look_explains_nothing);
    tcase_add_test(clock, a_look_at_the_second_of_the_boot);
    tcase_add_test(clock, flapping);
    tcase_add_test(clock, back_from_doubt_days_later);
    tcase_add_test(clock, no_period_is_never_adopted);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
