/* core/period in UTC: ids, lengths, every second around every boundary, the
 * ends of the range, and what a reader of a file has to refuse. */
#include "core/period.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Inside of large loops: ck_assert() reports each success to its parent. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            ck_abort_msg("%s", #condition); \
        } \
    } while (0)

#define DAY INT64_C(86400)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* the last civil day that has an id, 2149-06-05, and its first second */
#define LAST_CIVIL 65534
#define LAST_S (LAST_CIVIL * DAY)

static const enum cq_period_kind kinds[] = {
    CQ_PERIOD_MONTH, CQ_PERIOD_WEEK, CQ_PERIOD_DAY
};

static struct cq_period at(enum cq_period_kind kind, int64_t now_s)
{
    struct cq_period period;

    ck_assert_msg(cq_period_at(kind, CQ_ZONE_UTC, now_s, &period) == CQ_OK,
                  "%s at %lld", cq_period_kind_word(kind), (long long)now_s);
    return period;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int month_days(int year, int month)
{
    static const int days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    return days[month] + (month == 1 && is_leap(year));
}

START_TEST(words)
{
    ck_assert_str_eq(cq_period_kind_word(CQ_PERIOD_MONTH), "month");
    ck_assert_str_eq(cq_period_kind_word(CQ_PERIOD_WEEK), "week");
    ck_assert_str_eq(cq_period_kind_word(CQ_PERIOD_DAY), "day");
    ck_assert_str_eq(cq_period_kind_word((enum cq_period_kind)0), "unknown");
    ck_assert_str_eq(cq_period_kind_word((enum cq_period_kind)4), "unknown");
}
END_TEST

/* Figures that a calendar on the wall agrees with. */
START_TEST(known_dates)
{
    static const struct {
        enum cq_period_kind kind;
        int64_t now_s;
        int id;
        int days;
        int day;
        int first_day;
        int64_t start_s;
    } cases[] = {
        /* Monday, 23 November 2026, 12:34:56 */
        { CQ_PERIOD_MONTH, 1795437296, 683, 30, 23, 20759, 1793491200 },
        { CQ_PERIOD_WEEK, 1795437296, 2970, 7, 1, 20781, 1795392000 },
        { CQ_PERIOD_DAY, 1795437296, 20781, 1, 1, 20781, 1795392000 },
        /* 2 January 1970, a Friday */
        { CQ_PERIOD_MONTH, 86400, 1, 31, 2, 1, 0 },
        { CQ_PERIOD_DAY, 86400, 2, 1, 1, 2, 86400 },
        /* Monday, 5 January 1970: the first week with a first_day */
        { CQ_PERIOD_WEEK, 345600, 2, 7, 1, 5, 345600 },
        /* 29 February 2024 and 28 February 2023, last seconds */
        { CQ_PERIOD_MONTH, 1709251199, 650, 29, 29, 19755, 1706745600 },
        { CQ_PERIOD_MONTH, 1677628799, 638, 28, 28, 19390, 1675209600 },
        /* 2000 was a leap year, 2100 is none */
        { CQ_PERIOD_MONTH, 951782400, 362, 29, 29, 10989, 949363200 },
        { CQ_PERIOD_MONTH, 4107542399, 1562, 28, 28, 47514, 4105123200 },
        /* Thursday, 1 January 2026 lies in the week of 29 December */
        { CQ_PERIOD_WEEK, 1767225600, 2923, 7, 4, 20452, 1766966400 },
        /* 19 January 2038, 03:14:08 */
        { CQ_PERIOD_MONTH, 2147483648, 817, 31, 19, 24838, 2145916800 },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct cq_period period = at(cases[i].kind, cases[i].now_s);

        ck_assert_int_eq(period.id, cases[i].id);
        ck_assert_int_eq(period.kind, cases[i].kind);
        ck_assert_int_eq(period.zone, CQ_ZONE_UTC);
        ck_assert_int_eq(period.days, cases[i].days);
        ck_assert_int_eq(period.first_day, cases[i].first_day);
        ck_assert_int_eq(period.reserved, 0);
        ck_assert_int_eq(period.midnight_s[0], cases[i].start_s);
        ck_assert_int_eq(cq_period_day(&period, cases[i].now_s),
                         cases[i].day);
    }
}
END_TEST

/* All months until ids end, counted by hand. */
START_TEST(every_month)
{
    int64_t start = 0;
    int id = 1;

    for (int year = 1970; year <= 2149; year++) {
        for (int month = 0; month < 12; month++, id++) {
            int days = month_days(year, month);
            struct cq_period period;

            if (year == 2149 && month > 5) {
                EXPECT(cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_UTC, start,
                                    &period) == CQ_ERANGE);
                return;
            }
            period = at(CQ_PERIOD_MONTH, start > 0 ? start : DAY);
            EXPECT(period.id == id);
            EXPECT(period.days == days);
            EXPECT(period.first_day == start / DAY + 1);
            for (int i = 0; i <= days; i++) {
                EXPECT(period.midnight_s[i] == start + i * DAY);
            }
            start += days * DAY;
        }
    }
    ck_abort_msg("ids end in 2149");
}
END_TEST

/* At each boundary: one second before, at it, one second after. */
static void walk(enum cq_period_kind kind, int64_t from_s, int64_t to_s)
{
    struct cq_period period = at(kind, from_s);

    while (period.midnight_s[period.days] < to_s) {
        int64_t end = period.midnight_s[period.days];
        struct cq_period before = at(kind, end - 1);
        struct cq_period after = at(kind, end);
        struct cq_period later = at(kind, end + 1);
        struct cq_period next;

        EXPECT(memcmp(&before, &period, sizeof(period)) == 0);
        EXPECT(after.id == period.id + 1);
        EXPECT(after.first_day == period.first_day + period.days);
        EXPECT(after.midnight_s[0] == end);
        EXPECT(memcmp(&later, &after, sizeof(after)) == 0);
        EXPECT(cq_period_next(&period, &next) == CQ_OK);
        EXPECT(memcmp(&next, &after, sizeof(after)) == 0);
        EXPECT(cq_period_is_valid(&period));
        for (int day = 1; day <= period.days; day++) {
            int64_t midnight = period.midnight_s[day - 1];

            EXPECT(cq_period_day(&period, midnight) == day);
            EXPECT(cq_period_day(&period, midnight + 1) == day);
            EXPECT(cq_period_day(&period, midnight - 1)
                   == (day > 1 ? day - 1 : 1));
            EXPECT(cq_period_day(&period, midnight + DAY - 1) == day);
        }
        period = after;
    }
}

START_TEST(every_boundary)
{
    walk(CQ_PERIOD_MONTH, DAY, LAST_S - 40 * DAY);
    walk(CQ_PERIOD_WEEK, 4 * DAY, LAST_S - 10 * DAY);
    walk(CQ_PERIOD_DAY, DAY, LAST_S - DAY);
}
END_TEST

/* A result is made in place of the period it follows. */
START_TEST(next_in_place)
{
    struct cq_period period = at(CQ_PERIOD_MONTH, DAY);

    for (int id = 2; id <= 2154; id++) {
        ck_assert_int_eq(cq_period_next(&period, &period), CQ_OK);
        ck_assert_int_eq(period.id, id);
    }
    ck_assert_int_eq(cq_period_next(&period, &period), CQ_ERANGE);
    ck_assert_int_eq(period.id, 2154);
    period.days = 77;
    ck_assert_int_eq(cq_period_next(&period, &period), CQ_EINVAL);
}
END_TEST

START_TEST(where_ids_end)
{
    static const int64_t outside[] = {
        INT64_MIN, -DAY, -1, 0, 1, DAY - 1, INT64_C(70000) * DAY, INT64_MAX
    };
    struct cq_period period;
    struct cq_period before;

    memset(&period, 0xa5, sizeof(period));
    before = period;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        for (size_t i = 0; i < COUNT(outside); i++) {
            ck_assert_int_eq(cq_period_at(kinds[k], CQ_ZONE_UTC, outside[i],
                                          &period), CQ_ERANGE);
            ck_assert_int_eq(cq_period_at(kinds[k], CQ_ZONE_LOCAL, outside[i],
                                          &period), CQ_ERANGE);
        }
    }
    /* the week of 1 January 1970 began in 1969 */
    ck_assert_int_eq(cq_period_at(CQ_PERIOD_WEEK, CQ_ZONE_UTC, 4 * DAY - 1,
                                  &period), CQ_ERANGE);
    ck_assert_int_eq(cq_period_at(CQ_PERIOD_DAY, CQ_ZONE_UTC, LAST_S + DAY,
                                  &period), CQ_ERANGE);
    ck_assert_mem_eq(&period, &before, sizeof(period));

    ck_assert_int_eq(at(CQ_PERIOD_DAY, LAST_S + DAY - 1).id, UINT16_MAX);
    ck_assert_int_eq(at(CQ_PERIOD_DAY, LAST_S + DAY - 1).midnight_s[1],
                     LAST_S + DAY);
    ck_assert_int_eq(at(CQ_PERIOD_WEEK, LAST_S).days, 7);
    ck_assert_int_eq(at(CQ_PERIOD_MONTH, LAST_S).id, 2154);
}
END_TEST

START_TEST(unknown_kind_or_zone)
{
    struct cq_period period;
    struct cq_period before;

    memset(&period, 0xa5, sizeof(period));
    before = period;
    for (int n = -1; n <= 300; n++) {
        if (n < CQ_PERIOD_MONTH || n > CQ_PERIOD_DAY) {
            ck_assert_int_eq(cq_period_at((enum cq_period_kind)n, CQ_ZONE_UTC,
                                          9 * DAY, &period), CQ_EINVAL);
        }
        if (n != CQ_ZONE_LOCAL && n != CQ_ZONE_UTC) {
            ck_assert_int_eq(cq_period_at(CQ_PERIOD_DAY, (enum cq_zone)n,
                                          9 * DAY, &period), CQ_EINVAL);
        }
    }
    ck_assert_mem_eq(&period, &before, sizeof(period));
}
END_TEST

START_TEST(day_outside_of_the_period)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct cq_period period = at(kinds[k], 20780 * DAY);
        int64_t start = period.midnight_s[0];
        int64_t end = period.midnight_s[period.days];
        int64_t far[] = { 1, DAY, 400 * DAY, INT64_C(40) * 366 * DAY };

        for (size_t i = 0; i < COUNT(far); i++) {
            ck_assert_int_eq(cq_period_day(&period, start - far[i]), 1);
            ck_assert_int_eq(cq_period_day(&period, end + far[i] - 1),
                             period.days);
        }
        ck_assert_int_eq(cq_period_day(&period, INT64_MIN), 1);
        ck_assert_int_eq(cq_period_day(&period, INT64_MAX), period.days);
        /* a damaged length leads nowhere */
        period.days = 0;
        ck_assert_int_eq(cq_period_day(&period, end), 1);
        period.days = 255;
        ck_assert_int_eq(cq_period_day(&period, end), 1);
    }
}
END_TEST

/* Midnights of a damaged file, so far back that a day number as an int, or the
 * time since then, overflows. */
START_TEST(day_since_a_damaged_midnight)
{
    static const int64_t midnights_s[] = {
        -(INT64_C(1) << 31) * DAY, -(INT64_C(3) << 31) * DAY, INT64_MIN
    };
    struct cq_period period = at(CQ_PERIOD_MONTH, 20780 * DAY);
    int64_t now_s = period.midnight_s[period.days] - 1;

    for (size_t i = 0; i < COUNT(midnights_s); i++) {
        period.midnight_s[0] = midnights_s[i];
        ck_assert_int_eq(cq_period_day(&period, now_s), period.days);
        ck_assert_int_eq(cq_period_day(&period, midnights_s[i]), 1);
    }
}
END_TEST

/* A day number that is pure arithmetic, also where days have odd lengths. */
START_TEST(day_of_any_midnights)
{
    struct cq_period period = at(CQ_PERIOD_WEEK, 20780 * DAY);

    for (int n = 1; n < 7; n++) {
        period.midnight_s[n] += (n % 3 - 1) * 2 * INT64_C(3600);
    }
    for (int64_t t = period.midnight_s[0]; t < period.midnight_s[7]; t += 97) {
        int day = cq_period_day(&period, t);

        EXPECT(day >= 1);
        EXPECT(day <= 7);
        EXPECT(period.midnight_s[day - 1] <= t);
        EXPECT(t < period.midnight_s[day]);
    }
}
END_TEST

static void expect_invalid(const struct cq_period *period, const char *what)
{
    struct cq_period next;

    ck_assert_msg(!cq_period_is_valid(period), "%s, %s",
                  cq_period_kind_word((enum cq_period_kind)period->kind),
                  what);
    ck_assert_int_eq(cq_period_next(period, &next), CQ_EINVAL);
}

START_TEST(invalid_periods)
{
    struct cq_period zero = { .id = 0 };

    expect_invalid(&zero, "zero");
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct cq_period good = at(kinds[k], 20780 * DAY);
        struct cq_period bad;

        for (int n = 0; n <= 255; n++) {
            bad = good;
            bad.kind = (uint8_t)n;
            EXPECT(cq_period_is_valid(&bad) == (n == good.kind));
            bad = good;
            bad.zone = (uint8_t)n;
            EXPECT(cq_period_is_valid(&bad)
                   == (n == CQ_ZONE_LOCAL || n == CQ_ZONE_UTC));
            bad = good;
            bad.days = (uint8_t)n;
            EXPECT(cq_period_is_valid(&bad) == (n == good.days));
            bad = good;
            bad.reserved = (uint8_t)n;
            EXPECT(cq_period_is_valid(&bad) == (n == 0));
        }
        for (int n = 0; n <= UINT16_MAX; n++) {
            bad = good;
            bad.id = (uint16_t)n;
            EXPECT(cq_period_is_valid(&bad) == (n == good.id));
            bad = good;
            bad.first_day = (uint16_t)n;
            EXPECT(cq_period_is_valid(&bad) == (n == good.first_day));
        }
        for (int i = 0; i <= good.days; i++) {
            bad = good;
            bad.midnight_s[i]++;
            expect_invalid(&bad, "late");
            bad.midnight_s[i] -= 2;
            expect_invalid(&bad, "early");
            bad.midnight_s[i] = INT64_MIN;
            expect_invalid(&bad, "INT64_MIN");
            bad.midnight_s[i] = INT64_MAX;
            expect_invalid(&bad, "INT64_MAX");
        }
    }
}
END_TEST

START_TEST(invalid_local_midnights)
{
    struct cq_period good = at(CQ_PERIOD_MONTH, 20780 * DAY);
    struct cq_period bad;

    good.zone = CQ_ZONE_LOCAL;
    ck_assert(cq_period_is_valid(&good));
    for (int i = 0; i <= good.days; i++) {
        /* as far as a zone may lie, and a second more */
        bad = good;
        bad.midnight_s[i] += 25 * INT64_C(3600) + 1;
        expect_invalid(&bad, "too far ahead");
        bad = good;
        bad.midnight_s[i] -= 25 * INT64_C(3600) + 1;
        expect_invalid(&bad, "too far behind");
        if (i > 0) {
            bad = good;
            bad.midnight_s[i] = bad.midnight_s[i - 1] - 1;
            expect_invalid(&bad, "not ascending");
        }
    }
    /* a week that begins on Tuesday, with midnights that could be its own */
    bad = at(CQ_PERIOD_WEEK, 20780 * DAY);
    bad.zone = CQ_ZONE_LOCAL;
    ck_assert(cq_period_is_valid(&bad));
    bad.first_day++;
    expect_invalid(&bad, "from Tuesday");
    /* one empty day is known on this earth; a period is never empty */
    bad = good;
    bad.midnight_s[12] = bad.midnight_s[11];
    ck_assert(cq_period_is_valid(&bad));
    bad = at(CQ_PERIOD_DAY, 20780 * DAY);
    bad.zone = CQ_ZONE_LOCAL;
    ck_assert(cq_period_is_valid(&bad));
    bad.midnight_s[1] = bad.midnight_s[0];
    expect_invalid(&bad, "empty");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/period");
    TCase *calendar = tcase_create("calendar");
    TCase *limits = tcase_create("limits");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, calendar);
    tcase_add_test(calendar, words);
    tcase_add_test(calendar, known_dates);
    tcase_add_test(calendar, every_month);
    tcase_add_test(calendar, every_boundary);
    tcase_add_test(calendar, next_in_place);
    tcase_add_test(calendar, day_of_any_midnights);
    suite_add_tcase(suite, limits);
    tcase_add_test(limits, where_ids_end);
    tcase_add_test(limits, unknown_kind_or_zone);
    tcase_add_test(limits, day_outside_of_the_period);
    tcase_add_test(limits, day_since_a_damaged_midnight);
    tcase_add_test(limits, invalid_periods);
    tcase_add_test(limits, invalid_local_midnights);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
