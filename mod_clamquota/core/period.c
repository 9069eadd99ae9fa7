/* period - from a time to its period and day, and which period to believe.
 *
 * Civil days are counted from 1970-01-01 (day 0) in the proleptic Gregorian
 * calendar. The only file of the house that calls localtime_r(), and only to
 * find midnights; everything else is arithmetic on those. Asks no clock. */
#include "core/period.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#define DAY_S INT64_C(86400)

/* the first time that has a period: earlier, some zone's first day would have
 * to be counted before day 0 */
#define NOW_MIN_S DAY_S

/* first_day has 16 bits and is one more than the civil day */
#define FIRST_CIVIL_MAX (UINT16_MAX - 1)

/* POSIX lets a zone differ by up to 24:59:59 from UTC */
#define OFFSET_MAX_S (25 * INT64_C(3600))

/* Two changes of a zone's offset are never this close together. */
#define PROBE_S (8 * INT64_C(3600))

/* ---- civil calendar ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Howard Hinnant's days_from_civil: years begin in March, so that the leap
 * day is the last. */
int64_t cq_civil_from_date(int64_t year, int month)
{
    int64_t y = month < 2 ? year - 1 : year;
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t march_month = (month + 10) % 12;
    int64_t day_of_year = (153 * march_month + 2) / 5;

    return era * 146097 + year_of_era * 365 + year_of_era / 4
           - year_of_era / 100 + day_of_year - 719468;
}

/* year and month (0..11) of a civil day */
static void date_from_civil(int64_t civil, int64_t *year, int *month)
{
    int64_t days = civil + 719468;
    int64_t era = floor_div(days, 146097);
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460
                           + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4
                                        - year_of_era / 100);
    int march_month = (int)((5 * day_of_year + 2) / 153);

    *month = (march_month + 2) % 12;
    *year = year_of_era + era * 400 + (*month < 2);
}

/* 0 = Monday; 1970-01-01 was a Thursday */
static int64_t weekday(int64_t civil)
{
    return (civil + 3) - floor_div(civil + 3, 7) * 7;
}

/* ---- midnights ---- */

/* Seconds that the zone's clocks show, counted as if they were UTC's. */
static bool local_seconds(int64_t t_s, int64_t *local_s)
{
    time_t t = (time_t)t_s;
    struct tm tm;

    if (localtime_r(&t, &tm) == NULL) {
        return false;
    }
    *local_s = (cq_civil_from_date(tm.tm_year + INT64_C(1900), tm.tm_mon)
                + tm.tm_mday - 1) * DAY_S
               + tm.tm_hour * INT64_C(3600) + tm.tm_min * 60 + tm.tm_sec;
    return true;
}

/* The zone's offset in force at t: local minus UTC. */
static bool local_offset(int64_t t_s, int64_t *offset_s)
{
    if (!local_seconds(t_s, offset_s)) {
        return false;
    }
    *offset_s -= t_s;
    return true;
}

/* The first second of (from, to] at which the offset is no longer what it was
 * at from; it is known to have changed by to. */
static bool offset_change(int64_t from_s, int64_t to_s, int64_t offset_s,
                          int64_t *change_s)
{
    while (to_s - from_s > 1) {
        int64_t middle_s = from_s + (to_s - from_s) / 2;
        int64_t middle_offset_s;

        if (!local_offset(middle_s, &middle_offset_s)) {
            return false;
        }
        if (middle_offset_s == offset_s) {
            from_s = middle_s;
        }
        else {
            to_s = middle_s;
        }
    }
    *change_s = to_s;
    return true;
}

/* The first second at which the zone's clocks have reached this civil day.
 * That is 00:00 where it exists; the end of the gap where it does not; the
 * first of two where clocks go back over it, so that a day never begins
 * twice. Walks over the stretches of constant offset around UTC's midnight. */
static bool local_midnight(int64_t civil, int64_t *midnight_s)
{
    int64_t wanted_s = civil * DAY_S;
    int64_t from_s = wanted_s - OFFSET_MAX_S;
    int64_t offset_s;

    if (!local_offset(from_s, &offset_s)) {
        return false;
    }
    while (from_s <= wanted_s + OFFSET_MAX_S) {
        int64_t to_s = from_s + PROBE_S;
        int64_t next_offset_s;

        if (!local_offset(to_s, &next_offset_s)
            || (next_offset_s != offset_s
                && !offset_change(from_s, to_s, offset_s, &to_s))) {
            return false;
        }
        /* reached within this stretch, or jumped over at its beginning */
        if (wanted_s - offset_s < to_s) {
            *midnight_s = wanted_s - offset_s > from_s
                          ? wanted_s - offset_s : from_s;
            return true;
        }
        if (next_offset_s != offset_s && !local_offset(to_s, &offset_s)) {
            return false;
        }
        from_s = to_s;
    }
    return false;
}

/* ---- periods ---- */

/* First civil day of the period that a civil day lies in. */
static int64_t first_of_period(enum cq_period_kind kind, int64_t civil)
{
    int64_t year;
    int month;

    if (kind == CQ_PERIOD_DAY) {
        return civil;
    }
    if (kind == CQ_PERIOD_WEEK) {
        return civil - weekday(civil);
    }
    date_from_civil(civil, &year, &month);
    return cq_civil_from_date(year, month);
}

/* Fills in everything but the midnights.
 * @param civil  the period's first civil day, 0..FIRST_CIVIL_MAX */
static void name_period(enum cq_period_kind kind, enum cq_zone zone,
                        int64_t civil, struct cq_period *period)
{
    int64_t year;
    int month;

    memset(period, 0, sizeof(*period));
    period->kind = (uint8_t)kind;
    period->zone = (uint8_t)zone;
    period->first_day = (uint16_t)(civil + 1);
    if (kind == CQ_PERIOD_DAY) {
        period->id = (uint16_t)(civil + 1);
        period->days = 1;
    }
    else if (kind == CQ_PERIOD_WEEK) {
        /* 1970-01-01 lies in the week of Monday, civil day -3 */
        period->id = (uint16_t)((civil + 3) / 7 + 1);
        period->days = 7;
    }
    else {
        date_from_civil(civil, &year, &month);
        period->id = (uint16_t)((year - 1970) * 12 + month + 1);
        period->days = (uint8_t)(cq_civil_from_date(year + (month == 11),
                                                 (month + 1) % 12) - civil);
    }
}

/* The period that begins with this civil day. */
static enum cq_status make_period(enum cq_period_kind kind, enum cq_zone zone,
                                  int64_t civil, struct cq_period *period)
{
    /* the week of 1970-01-01 began in 1969 and has no first_day */
    if (civil < 0 || civil > FIRST_CIVIL_MAX) {
        return CQ_ERANGE;
    }
    name_period(kind, zone, civil, period);
    for (int i = 0; i <= period->days; i++) {
        if (zone == CQ_ZONE_UTC) {
            period->midnight_s[i] = (civil + i) * DAY_S;
        }
        else if (!local_midnight(civil + i, &period->midnight_s[i])) {
            return CQ_ERANGE;
        }
    }
    return CQ_OK;
}

static bool is_known(int kind, int zone)
{
    return (kind == CQ_PERIOD_MONTH || kind == CQ_PERIOD_WEEK
            || kind == CQ_PERIOD_DAY)
           && (zone == CQ_ZONE_LOCAL || zone == CQ_ZONE_UTC);
}

enum cq_status cq_period_at(enum cq_period_kind kind, enum cq_zone zone,
                            int64_t now_s, struct cq_period *period)
{
    struct cq_period made;
    int64_t local_s = now_s;
    int64_t civil;
    enum cq_status status;

    if (!is_known((int)kind, (int)zone)) {
        return CQ_EINVAL;
    }
    if (now_s < NOW_MIN_S || now_s > (FIRST_CIVIL_MAX + INT64_C(32)) * DAY_S
        || (zone == CQ_ZONE_LOCAL && !local_seconds(now_s, &local_s))) {
        return CQ_ERANGE;
    }
    civil = first_of_period(kind, floor_div(local_s, DAY_S));
    status = make_period(kind, zone, civil, &made);
    /* Where clocks go back over midnight they show the old day once more,
     * but the new one has begun. */
    if (status == CQ_OK && now_s >= made.midnight_s[made.days]) {
        status = make_period(kind, zone, civil + made.days, &made);
    }
    if (status == CQ_OK) {
        *period = made;
    }
    return status;
}

enum cq_status cq_period_next(const struct cq_period *period,
                              struct cq_period *next)
{
    if (!cq_period_is_valid(period)) {
        return CQ_EINVAL;
    }
    return cq_period_at((enum cq_period_kind)period->kind,
                        (enum cq_zone)period->zone,
                        period->midnight_s[period->days], next);
}

int cq_period_day(const struct cq_period *period, int64_t now_s)
{
    const int64_t *midnight_s = period->midnight_s;
    int days = period->days;
    uint64_t gone;
    int day;

    /* unsound only in a damaged file; then never read past the array */
    if (days < 1 || days > CQ_PERIOD_MAX_DAYS || now_s < midnight_s[0]) {
        return 1;
    }
    if (now_s >= midnight_s[days]) {
        return days;
    }
    gone = ((uint64_t)now_s - (uint64_t)midnight_s[0]) / (uint64_t)DAY_S;
    day = gone < (uint64_t)days ? (int)gone + 1 : days;
    while (day > 1 && now_s < midnight_s[day - 1]) {
        day--;
    }
    while (day < days && now_s >= midnight_s[day]) {
        day++;
    }
    return day;
}

int64_t cq_period_offset_s(const struct cq_period *period, int64_t when_s)
{
    int day = cq_period_day(period, when_s);

    return ((int64_t)period->first_day + day - 2) * DAY_S
        - period->midnight_s[day - 1];
}

const char *cq_period_kind_word(enum cq_period_kind kind)
{
    switch (kind) {
    case CQ_PERIOD_MONTH:
        return "month";
    case CQ_PERIOD_WEEK:
        return "week";
    case CQ_PERIOD_DAY:
        return "day";
    }
    return "unknown";
}

int cq_period_is_valid(const struct cq_period *period)
{
    int64_t civil = period->first_day - INT64_C(1);
    int64_t slack_s = period->zone == CQ_ZONE_LOCAL ? OFFSET_MAX_S : 0;
    enum cq_period_kind kind = (enum cq_period_kind)period->kind;
    struct cq_period expected;

    if (!is_known(period->kind, period->zone) || period->first_day == 0
        || first_of_period(kind, civil) != civil) {
        return 0;
    }
    name_period(kind, (enum cq_zone)period->zone, civil, &expected);
    if (period->id != expected.id || period->days != expected.days
        || period->reserved != 0) {
        return 0;
    }
    for (int i = 0; i <= period->days; i++) {
        int64_t utc_s = (civil + i) * DAY_S;

        /* a day may be empty (Samoa had no 30 December 2011) */
        if (period->midnight_s[i] < utc_s - slack_s
            || period->midnight_s[i] > utc_s + slack_s
            || (i > 0 && period->midnight_s[i] < period->midnight_s[i - 1])) {
            return 0;
        }
    }
    return period->midnight_s[0] < period->midnight_s[period->days];
}

/* ---- which period is in force, when the clock may lie ---- */

/* Has as much boot time as wall time passed since the last believed time? */
static bool is_explained(const struct cq_clock_watch *watch, int64_t wall_s,
                         int64_t boot_s)
{
    int64_t drift_s = (wall_s - watch->last_wall_s)
                      - (boot_s - watch->last_boot_s);

    if (watch->last_wall_s == 0 && watch->last_boot_s == 0) {
        return false;
    }
    return drift_s >= -CQ_CLOCK_DRIFT_S && drift_s <= CQ_CLOCK_DRIFT_S;
}

/* Only believed times are kept to measure from: seconds that pass while a
 * period is not believed explain nothing. */
static void believe(struct cq_clock_watch *watch, int64_t wall_s,
                    int64_t boot_s)
{
    watch->last_wall_s = wall_s;
    watch->last_boot_s = boot_s;
    watch->doubted_id = 0;
}

enum cq_clock_step cq_clock_observe(struct cq_clock_watch *watch,
                                    uint16_t in_force_id, uint16_t seen_id,
                                    int64_t wall_s, int64_t boot_s)
{
    /* no period at all (a clock before 1970-01-02): nothing to adopt */
    if (seen_id == 0) {
        watch->doubted_id = 0;
        return CQ_CLOCK_STAY;
    }
    if (seen_id == in_force_id) {
        believe(watch, wall_s, boot_s);
        return CQ_CLOCK_STAY;
    }
    if (seen_id == in_force_id + 1 || is_explained(watch, wall_s, boot_s)
        || (watch->doubted_id == seen_id
            && boot_s - watch->doubt_since_boot_s >= CQ_CLOCK_DOUBT_S)) {
        believe(watch, wall_s, boot_s);
        return CQ_CLOCK_ADOPT;
    }
    if (watch->doubted_id == seen_id) {
        return CQ_CLOCK_STAY;
    }
    watch->doubted_id = seen_id;
    watch->doubt_since_boot_s = boot_s;
    return CQ_CLOCK_DOUBT;
}
