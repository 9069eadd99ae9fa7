/* period - which day of which period it is.
 *
 * The caller passes the time; core never asks the clock. A struct cq_period
 * holds every midnight of its period, so that once it has been made (that is
 * where localtime is needed) day numbers and waiting times are arithmetic,
 * for processes without the time zone too: it is stored in the table. */
#ifndef CQ_PERIOD_H
#define CQ_PERIOD_H

#include "core/status.h"

#include <stdint.h>

enum cq_period_kind {
    CQ_PERIOD_MONTH = 1,    /* from the 1st: the 2012 rule */
    CQ_PERIOD_WEEK = 2,     /* from Monday */
    CQ_PERIOD_DAY = 3       /* midnight to midnight */
};

enum cq_zone {
    CQ_ZONE_LOCAL = 1,      /* the process's TZ */
    CQ_ZONE_UTC = 2
};

#define CQ_PERIOD_MAX_DAYS 31

/* Ids grow by one from period to period and are never 0 (0 = "no period" in
 * the table's stamps): month (year - 1970) * 12 + month + 1; week and day
 * count from the Monday of / the day 1970-01-01, from 1. 16 bits last until
 * 2149 for days. */
struct cq_period {
    uint16_t id;
    uint8_t kind;           /* enum cq_period_kind */
    uint8_t zone;           /* enum cq_zone */
    uint8_t days;           /* 1..31 */
    uint8_t reserved;
    uint16_t first_day;     /* civil days from 1970-01-01 to the first day of
                             * the period, plus 1: never 0 */
    /* midnight_s[0] = start, midnight_s[n] = start of day n + 1,
     * midnight_s[days] = end = start of the next period; unix seconds. Where
     * DST has no midnight: the first second of that local day. */
    int64_t midnight_s[CQ_PERIOD_MAX_DAYS + 1];
};

/** The period that contains now.
 * @param now_s  unix seconds, from 1970-01-02 until ids end
 * @return CQ_OK; CQ_ERANGE outside of that; CQ_EINVAL unknown kind or zone
 * Reads TZ through localtime_r() for CQ_ZONE_LOCAL; thread-safe. */
enum cq_status cq_period_at(enum cq_period_kind kind, enum cq_zone zone,
                            int64_t now_s, struct cq_period *period);

/** The period after this one, by the same kind and zone. */
enum cq_status cq_period_next(const struct cq_period *period,
                              struct cq_period *next);

/** Day number of now in the period, from 1. Before the start: 1, past the
 * end: the last day (a clock that is off changes no period by itself). Pure,
 * without localtime: a guess from now - start, put right by at most a step or
 * two. */
int cq_period_day(const struct cq_period *period, int64_t now_s);

/** How far east of UTC the quota's zone is at this moment, in seconds, as the
 * period's midnights show it: pure, so that tools with another TZ show the
 * times of the quota. Where clocks are put forward or back during a day, the
 * answer is that of its midnight until the next one; outside of the period
 * that of its first or last day. */
int64_t cq_period_offset_s(const struct cq_period *period, int64_t when_s);

/** Days from 1970-01-01 to the first of a month.
 * @param month  0..11
 * Pure, proleptic Gregorian calendar. */
int64_t cq_civil_from_date(int64_t year, int month);

/** "month", "week", "day"; "unknown" for anything else. */
const char *cq_period_kind_word(enum cq_period_kind kind);

/** Can this period have been made by cq_period_at()? (kind, zone, days and
 * midnights in range and ascending.) For readers of a file. */
int cq_period_is_valid(const struct cq_period *period);

/* ---- which period is in force, when the clock may lie ---- */

/* How long a period that the clock can't have reached by itself must be seen
 * before it is believed: long enough for a bad NTP minute and a boot with a
 * dead RTC battery, short enough for a real correction. */
#define CQ_CLOCK_DOUBT_S 300

/* Wall and boot clock may differ by this much between two looks and the step
 * still counts as explained by the time that passed (slewing, leap second). */
#define CQ_CLOCK_DRIFT_S 60

enum cq_clock_step {
    CQ_CLOCK_STAY,      /* nothing to do */
    CQ_CLOCK_ADOPT,     /* the period seen is from now on in force */
    CQ_CLOCK_DOUBT      /* a period that isn't believed yet was seen first: the
                         * caller logs it */
};

/* what the watcher remembers between two looks; all zero at a start */
struct cq_clock_watch {
    int64_t last_wall_s;
    int64_t last_boot_s;
    int64_t doubt_since_boot_s;
    uint16_t doubted_id;    /* 0: none */
};

/** Decides whether the period that the clock shows may replace the one in
 * force. Same id: STAY and doubt ends. Exactly the next one: ADOPT at once.
 * Anything else (back, or more than one ahead): ADOPT at once when as much
 * boot time passed since the last look as wall time did, to within
 * CQ_CLOCK_DRIFT_S (a suspended machine: CLOCK_BOOTTIME runs on), else after
 * the same id has been seen for CQ_CLOCK_DOUBT_S of boot time. A watch that
 * is all zero (first look) explains nothing.
 * @param watch        kept by the caller, updated by every call
 * @param in_force_id  period in force
 * @param seen_id      period that contains wall_s
 * @param wall_s       CLOCK_REALTIME in seconds
 * @param boot_s       CLOCK_BOOTTIME in seconds
 * One watcher at a time; not thread-safe. */
enum cq_clock_step cq_clock_observe(struct cq_clock_watch *watch,
                                    uint16_t in_force_id, uint16_t seen_id,
                                    int64_t wall_s, int64_t boot_s);

#endif
