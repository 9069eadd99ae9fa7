/* core/period in local time: midnights that don't exist, come twice or are
 * taken back, a day that never was, zones at both ends of the world. The
 * figures were computed with another implementation of the zones. */
#include "core/period.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Inside of large loops: ck_assert() reports each success to its parent. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            ck_abort_msg("%s", #condition); \
        } \
    } while (0)

#define DAY INT64_C(86400)
#define HOUR INT64_C(3600)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Returns false where this system has no file for the zone: without one libc
 * would silently take UTC. */
static bool enter(const char *zone)
{
    char path[128];

    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", zone);
    if (strchr(zone, '/') != NULL && strchr(zone, ',') == NULL
        && access(path, R_OK) != 0) {
        return false;
    }
    ck_assert_int_eq(setenv("TZ", zone, 1), 0);
    tzset();
    return true;
}

static struct cq_period at(enum cq_period_kind kind, int64_t now_s)
{
    struct cq_period period;

    ck_assert_msg(cq_period_at(kind, CQ_ZONE_LOCAL, now_s, &period) == CQ_OK,
                  "%s: %lld", getenv("TZ"), (long long)now_s);
    EXPECT(cq_period_is_valid(&period));
    EXPECT(period.midnight_s[0] <= now_s);
    EXPECT(now_s < period.midnight_s[period.days]);
    return period;
}

static struct tm local(int64_t t_s)
{
    time_t t = (time_t)t_s;
    struct tm tm;

    ck_assert_ptr_nonnull(localtime_r(&t, &tm));
    return tm;
}

/* year, month and day in one number that grows with the date */
static int date_of(int64_t t_s)
{
    struct tm tm = local(t_s);

    return (tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 + tm.tm_mday;
}

static const struct {
    const char *zone;
    int date;
    int64_t midnight_s;
    int64_t length_s;
} known_days[] = {
    { "Europe/Berlin", 20260329, 1774738800, 82800 },
    { "Europe/Berlin", 20260330, 1774821600, 86400 },
    { "Europe/Berlin", 20261025, 1792879200, 90000 },
    { "Europe/Berlin", 20261026, 1792969200, 86400 },
    { "America/New_York", 20260308, 1772946000, 82800 },
    { "America/New_York", 20260309, 1773028800, 86400 },
    /* the 1st of a month has 25 hours */
    { "America/New_York", 20261101, 1793505600, 90000 },
    { "America/New_York", 20261102, 1793595600, 86400 },
    /* half an hour of summer time */
    { "Australia/Lord_Howe", 20260405, 1775307600, 88200 },
    { "Australia/Lord_Howe", 20260406, 1775395800, 86400 },
    { "Australia/Lord_Howe", 20261004, 1791034200, 84600 },
    { "Australia/Lord_Howe", 20261005, 1791118800, 86400 },
    /* no midnight: the day begins at 01:00 */
    { "America/Sao_Paulo", 20171015, 1508036400, 82800 },
    { "America/Sao_Paulo", 20171016, 1508119200, 86400 },
    { "America/Sao_Paulo", 20181104, 1541300400, 82800 },
    { "Asia/Beirut", 20260329, 1774735200, 82800 },
    { "Asia/Beirut", 20260330, 1774818000, 86400 },
    /* the hour before midnight twice: the day before has 25 hours */
    { "America/Sao_Paulo", 20180217, 1518832800, 90000 },
    { "America/Sao_Paulo", 20180218, 1518922800, 86400 },
    { "Asia/Beirut", 20261024, 1792789200, 90000 },
    { "Asia/Beirut", 20261025, 1792879200, 86400 },
    /* the hour after midnight twice: the first one begins the day */
    { "America/Havana", 20260308, 1772946000, 82800 },
    { "America/Havana", 20261101, 1793505600, 90000 },
    { "America/Havana", 20261102, 1793595600, 86400 },
    /* winter time in Ramadan */
    { "Africa/Casablanca", 20260215, 1771110000, 90000 },
    { "Africa/Casablanca", 20260216, 1771200000, 86400 },
    { "Africa/Casablanca", 20260322, 1774137600, 82800 },
    { "Africa/Casablanca", 20260323, 1774220400, 86400 },
    /* a new offset without any summer time */
    { "Asia/Kathmandu", 19860101, 504901800, 85500 },
    { "Asia/Kathmandu", 19860102, 504987300, 86400 },
    /* 23:01 followed 00:01: what has begun is not taken back */
    { "America/St_Johns", 20091031, 1256956200, 86400 },
    { "America/St_Johns", 20091101, 1257042600, 90000 },
    { "America/St_Johns", 20091102, 1257132600, 86400 },
    /* the 30th was left out */
    { "Pacific/Apia", 20111229, 1325152800, 86400 },
    { "Pacific/Apia", 20111231, 1325239200, 86400 },
    { "Pacific/Apia", 20120101, 1325325600, 86400 },
    /* as far east and west as zones go */
    { "Pacific/Kiritimati", 20260101, 1767175200, 86400 },
    { "Etc/GMT+12", 20260101, 1767268800, 86400 },
};

START_TEST(known_days_are_found)
{
    int tried = 0;

    for (size_t i = 0; i < COUNT(known_days); i++) {
        int64_t start = known_days[i].midnight_s;
        int64_t end = start + known_days[i].length_s;
        struct cq_period day;
        struct cq_period month;
        int n;

        if (!enter(known_days[i].zone)) {
            continue;
        }
        tried++;
        day = at(CQ_PERIOD_DAY, start);
        ck_assert_msg(day.midnight_s[0] == start && day.midnight_s[1] == end,
                      "%s %d: %lld .. %lld", known_days[i].zone,
                      known_days[i].date, (long long)day.midnight_s[0],
                      (long long)day.midnight_s[1]);
        ck_assert_int_eq(date_of(start), known_days[i].date);
        ck_assert_int_eq(at(CQ_PERIOD_DAY, end - 1).id, day.id);
        ck_assert_int_gt(at(CQ_PERIOD_DAY, end).id, day.id);
        ck_assert_int_lt(at(CQ_PERIOD_DAY, start - 1).id, day.id);
        /* the same day in its month */
        month = at(CQ_PERIOD_MONTH, start);
        n = known_days[i].date % 100;
        ck_assert_int_eq(month.midnight_s[n - 1], start);
        ck_assert_int_eq(month.midnight_s[n], end);
        ck_assert_int_eq(cq_period_day(&month, start), n);
        ck_assert_int_eq(cq_period_day(&month, end - 1), n);
        ck_assert_int_eq(month.first_day + n - 1, day.first_day);
    }
    ck_assert_msg(tried == (int)COUNT(known_days) || tried == 0,
                  "%d of %d zones are known here", tried,
                  (int)COUNT(known_days));
}
END_TEST

/* 1 November 2009 in Newfoundland: at 00:01 clocks went back to 23:01 of
 * October, but November has begun and stays. */
START_TEST(a_month_is_not_taken_back)
{
    int64_t midnight = 1257042600;

    if (!enter("America/St_Johns")) {
        return;
    }
    ck_assert_int_eq(date_of(midnight + 59), 20091101);
    ck_assert_int_eq(date_of(midnight + 60), 20091031);
    ck_assert_int_eq(date_of(midnight + HOUR - 1), 20091031);
    ck_assert_int_eq(date_of(midnight + HOUR), 20091101);
    for (int64_t t = midnight; t < midnight + 2 * HOUR; t++) {
        ck_assert_int_eq(at(CQ_PERIOD_DAY, t).midnight_s[0], midnight);
    }
    ck_assert_int_eq(at(CQ_PERIOD_MONTH, midnight - 1).id, 478);
    ck_assert_int_eq(at(CQ_PERIOD_MONTH, midnight).id, 479);
    ck_assert_int_eq(at(CQ_PERIOD_MONTH, midnight + 60).id, 479);
    ck_assert_int_eq(at(CQ_PERIOD_MONTH, midnight + HOUR - 1).id, 479);
    ck_assert_int_eq(at(CQ_PERIOD_MONTH, midnight + HOUR).id, 479);
}
END_TEST

/* Samoa crossed the date line: its month kept a day of no length. */
START_TEST(a_day_that_never_was)
{
    struct cq_period month;
    struct cq_period next;
    struct cq_period day;

    if (!enter("Pacific/Apia")) {
        return;
    }
    month = at(CQ_PERIOD_MONTH, 1325152800);
    ck_assert_int_eq(month.days, 31);
    ck_assert_int_eq(month.midnight_s[29], 1325239200);
    ck_assert_int_eq(month.midnight_s[30], 1325239200);
    ck_assert_int_eq(month.midnight_s[31], 1325325600);
    ck_assert_int_eq(cq_period_day(&month, 1325239199), 29);
    ck_assert_int_eq(cq_period_day(&month, 1325239200), 31);
    /* the only place where the id of a day is left out */
    day = at(CQ_PERIOD_DAY, 1325239199);
    ck_assert_int_eq(cq_period_next(&day, &next), CQ_OK);
    ck_assert_int_eq(next.id, day.id + 2);
    ck_assert_int_eq(next.midnight_s[0], day.midnight_s[1]);
}
END_TEST

/* Every boundary of a sweep of years: ids and days in order, the second
 * before belongs to the one before, and each midnight is the first second
 * that shows its date. */
static void sweep(enum cq_period_kind kind, int64_t from_s, int64_t to_s)
{
    struct cq_period period = at(kind, from_s);

    while (period.midnight_s[0] < to_s) {
        int64_t end = period.midnight_s[period.days];
        struct cq_period after = at(kind, end);
        struct cq_period other = at(kind, end - 1);
        struct cq_period next;

        EXPECT(memcmp(&other, &period, sizeof(period)) == 0);
        other = at(kind, end + 1);
        EXPECT(memcmp(&other, &after, sizeof(after)) == 0);
        EXPECT(after.id == period.id + 1);
        EXPECT(after.first_day == period.first_day + period.days);
        EXPECT(after.midnight_s[0] == end);
        EXPECT(cq_period_next(&period, &next) == CQ_OK);
        EXPECT(memcmp(&next, &after, sizeof(after)) == 0);
        for (int i = 0; i < period.days; i++) {
            int64_t midnight = period.midnight_s[i];
            int64_t length = period.midnight_s[i + 1] - midnight;
            struct tm tm = local(midnight);

            EXPECT(date_of(midnight - 1) < date_of(midnight));
            EXPECT(length >= 22 * HOUR);
            EXPECT(length <= 26 * HOUR);
            EXPECT(cq_period_day(&period, midnight) == i + 1);
            EXPECT(cq_period_day(&period, midnight + length - 1) == i + 1);
            if (kind == CQ_PERIOD_MONTH) {
                EXPECT(tm.tm_mday == i + 1);
            }
            if (kind == CQ_PERIOD_WEEK) {
                EXPECT(tm.tm_wday == (i + 1) % 7);
            }
        }
        period = after;
    }
}

static const char *const sweep_zones[] = {
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
    "America/Sao_Paulo", "Asia/Beirut", "Africa/Casablanca",
    "America/Havana", "America/St_Johns", "Pacific/Kiritimati", "Etc/GMT+12",
    /* rules without a file: clocks change at 00:00 and back at 00:00 */
    "UTC0", "AAA3BBB,M10.3.0/0,M2.3.0/0", "CCC-2DDD,M3.5.0/0,M10.5.0/0",
    "EEE24", "FFF-24", "GGG-5:45"
};

/* One test for each zone: Check runs them apart. */
START_TEST(every_boundary)
{
    if (!enter(sweep_zones[_i])) {
        return;
    }
    /* 2006 to 2011, 2025 to 2028 and over the end of 32 bits */
    sweep(CQ_PERIOD_MONTH, 1136073600, 1325289600);
    sweep(CQ_PERIOD_MONTH, 1735689600, 1861920000);
    sweep(CQ_PERIOD_MONTH, 2114380800, 2177452800);
    sweep(CQ_PERIOD_WEEK, 1735689600, 1861920000);
    sweep(CQ_PERIOD_DAY, 1735689600, 1861920000);
}
END_TEST

/* Every second of two days around each change of Berlin's clocks. */
START_TEST(every_second_of_a_change)
{
    static const int64_t changes[] = { 1774746000, 1792890000 };

    EXPECT(enter("CET-1CEST,M3.5.0,M10.5.0/3"));
    for (size_t i = 0; i < COUNT(changes); i++) {
        struct cq_period month = at(CQ_PERIOD_MONTH, changes[i]);

        for (int64_t t = changes[i] - DAY; t < changes[i] + DAY; t++) {
            EXPECT(cq_period_day(&month, t) == local(t).tm_mday);
        }
    }
}
END_TEST

/* Local and UTC agree where the zone is UTC, but say what they are. */
START_TEST(local_utc)
{
    ck_assert(enter("UTC0"));
    for (int64_t t = 5 * DAY; t < 65000 * DAY; t += 37 * DAY + 11) {
        struct cq_period here = at(CQ_PERIOD_MONTH, t);
        struct cq_period utc;

        ck_assert_int_eq(cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_UTC, t, &utc),
                         CQ_OK);
        ck_assert_int_eq(here.zone, CQ_ZONE_LOCAL);
        utc.zone = CQ_ZONE_LOCAL;
        ck_assert_mem_eq(&here, &utc, sizeof(utc));
    }
}
END_TEST

/* UTC does not read TZ. */
START_TEST(utc_everywhere)
{
    struct cq_period first;
    struct cq_period period;

    ck_assert_int_eq(cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_UTC, 1795437296,
                                  &first), CQ_OK);
    for (size_t i = 0; i < COUNT(sweep_zones); i++) {
        enter(sweep_zones[i]);
        ck_assert_int_eq(cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_UTC,
                                      1795437296, &period), CQ_OK);
        ck_assert_mem_eq(&period, &first, sizeof(first));
    }
}
END_TEST

/* Day number and validity need no zone: a tool may run in another. */
START_TEST(read_in_another_zone)
{
    struct cq_period month;

    ck_assert(enter("CET-1CEST,M3.5.0,M10.5.0/3"));
    month = at(CQ_PERIOD_MONTH, 1792890000);
    ck_assert(enter("AAA11"));
    ck_assert(cq_period_is_valid(&month));
    for (int day = 1; day <= 31; day++) {
        ck_assert_int_eq(cq_period_day(&month, month.midnight_s[day - 1]),
                         day);
        ck_assert_int_eq(cq_period_day(&month, month.midnight_s[day] - 1),
                         day);
    }
}
END_TEST

/* Nor does the zone of the quota itself. */
START_TEST(offset_in_another_zone)
{
    struct cq_period month;

    ck_assert(enter("CET-1CEST,M3.5.0,M10.5.0/3"));
    month = at(CQ_PERIOD_MONTH, 1792890000);
    ck_assert(enter("AAA11"));
    ck_assert_int_eq(month.midnight_s[24] % DAY, 22 * HOUR);
    ck_assert_int_eq(cq_period_offset_s(&month, month.midnight_s[24]),
                     2 * HOUR);
    ck_assert_int_eq(cq_period_offset_s(&month, month.midnight_s[25]), HOUR);
    ck_assert_int_eq(cq_period_offset_s(&month, 0), 2 * HOUR);
    ck_assert_int_eq(cq_period_offset_s(&month, INT64_MAX), HOUR);
    month = at(CQ_PERIOD_WEEK, 1792890000);
    ck_assert_int_eq(cq_period_offset_s(&month, 1792890000), -11 * HOUR);
    ck_assert_int_eq(cq_period_at(CQ_PERIOD_DAY, CQ_ZONE_UTC, 1792890000,
                                  &month), CQ_OK);
    ck_assert_int_eq(cq_period_offset_s(&month, 1792890000), 0);
}
END_TEST

/* The first and the last ids, from both ends of the world. */
START_TEST(limits)
{
    struct cq_period period;

    ck_assert(enter("AAA12"));
    ck_assert_int_eq(at(CQ_PERIOD_DAY, DAY).id, 1);
    ck_assert_int_eq(at(CQ_PERIOD_DAY, 65534 * DAY + 36 * HOUR - 1).id,
                     UINT16_MAX);
    ck_assert_int_eq(cq_period_at(CQ_PERIOD_DAY, CQ_ZONE_LOCAL,
                                  65534 * DAY + 36 * HOUR, &period),
                     CQ_ERANGE);
    ck_assert(enter("BBB-14"));
    ck_assert_int_eq(at(CQ_PERIOD_DAY, DAY).id, 2);
    ck_assert_int_eq(at(CQ_PERIOD_MONTH, DAY).midnight_s[0], -14 * HOUR);
    ck_assert_int_eq(at(CQ_PERIOD_DAY, 65534 * DAY + 10 * HOUR - 1).id,
                     UINT16_MAX);
    ck_assert_int_eq(cq_period_at(CQ_PERIOD_DAY, CQ_ZONE_LOCAL,
                                  65534 * DAY + 10 * HOUR, &period),
                     CQ_ERANGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/period: zones");
    TCase *zones = tcase_create("zones");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, zones);
    tcase_add_test(zones, known_days_are_found);
    tcase_add_test(zones, a_month_is_not_taken_back);
    tcase_add_test(zones, a_day_that_never_was);
    tcase_add_loop_test(zones, every_boundary, 0, (int)COUNT(sweep_zones));
    tcase_add_test(zones, every_second_of_a_change);
    tcase_add_test(zones, local_utc);
    tcase_add_test(zones, utc_everywhere);
    tcase_add_test(zones, read_in_another_zone);
    tcase_add_test(zones, offset_in_another_zone);
    tcase_add_test(zones, limits);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
