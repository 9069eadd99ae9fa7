/* clock - fuzzes times: periods as they are made, as a damaged file has them,
 * and what of them a clock that jumps makes the quota believe. The first byte
 * says the kind, and the second one the zone. */
#include "input.h"

#include "core/period.h"

#include <time.h>

#define DAY_S INT64_C(86400)
#define STEPS 16

/* The last two are as extreme as POSIX lets them be. */
static const char *const zones[] = {
    "UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia",
    "Asia/Kathmandu", "Africa/Cairo", "XXX24:59:59",
    "XXX-24:59:59YYY-23,M3.2.0/0,M11.1.0/0"
};

/* To read a zone takes longer than all that is done with it. */
static void enter_zone(uint64_t n)
{
    static uint64_t now = UINT64_MAX;

    n %= sizeof(zones) / sizeof(zones[0]);
    if (n != now) {
        now = n;
        setenv("TZ", zones[n], 1);
        tzset();
    }
}

static void check_period(const struct cq_period *period, int64_t now_s)
{
    struct cq_period again;
    int day = cq_period_day(period, now_s);
    int64_t offset_s = cq_period_offset_s(period, now_s);

    HOLDS(cq_period_is_valid(period));
    HOLDS(period->id != 0);
    HOLDS(period->midnight_s[0] <= now_s
          && now_s < period->midnight_s[period->days]);
    HOLDS(day >= 1 && day <= period->days);
    HOLDS(period->midnight_s[day - 1] <= now_s
          && now_s < period->midnight_s[day]);
    HOLDS(offset_s >= -25 * 3600 && offset_s <= 25 * 3600);
    if (cq_period_next(period, &again) == CQ_OK) {
        HOLDS(again.id == period->id + 1 && again.kind == period->kind);
        HOLDS(again.midnight_s[0] == period->midnight_s[period->days]);
    }
}

/* @return the period's id; 0: there is none */
static uint16_t make_period(uint64_t kind, uint64_t zone, int64_t now_s)
{
    struct cq_period period;
    enum cq_status status;

    enter_zone(zone >> 1);
    status = cq_period_at((enum cq_period_kind)(1 + kind % 3),
                          (zone & 1) != 0 ? CQ_ZONE_LOCAL : CQ_ZONE_UTC,
                          now_s, &period);
    HOLDS(status == CQ_OK || status == CQ_ERANGE);
    HOLDS(status == CQ_OK || now_s < 8 * DAY_S || now_s > 65500 * DAY_S
          || kind % 3 == 0);
    if (status != CQ_OK) {
        return 0;
    }
    check_period(&period, now_s);
    return period.id;
}

/* As a file has it: no byte of it is believed. */
static void use_damaged(struct input *in)
{
    struct cq_period period, next;
    int64_t now_s;
    size_t i;

    HOLDS(cq_period_at((enum cq_period_kind)(1 + take(in, 1) % 3),
                       CQ_ZONE_UTC, 1794744000, &period) == CQ_OK);
    while (in->size > 8) {
        i = take(in, 2) % sizeof(period);
        ((unsigned char *)&period)[i] = (unsigned char)take(in, 1);
    }
    now_s = (int64_t)take(in, 8);
    (void)cq_period_day(&period, now_s);
    if (cq_period_is_valid(&period)) {
        (void)cq_period_offset_s(&period, now_s);
        (void)cq_period_next(&period, &next);
    }
    else {
        HOLDS(cq_period_next(&period, &next) == CQ_EINVAL);
    }
}

/* A period that is not the next one needs CQ_CLOCK_DOUBT_S of boot time, or as
 * much boot time as the clock has gone. */
static void watch_clock(struct input *in, uint64_t kind)
{
    struct cq_clock_watch watch = { 0 };
    int64_t wall_s = 1794744000, boot_s = 1000, sound_s = boot_s;
    uint16_t in_force = make_period(kind, 0, wall_s);

    in->size = in->size < STEPS * 3 ? in->size : STEPS * 3;
    while (in->size > 0) {
        int64_t passed_s = (int64_t)take(in, 1);
        int64_t jump_s = (int16_t)take(in, 2) * INT64_C(3600);
        uint16_t seen;

        boot_s += passed_s;
        wall_s += passed_s + jump_s;
        seen = make_period(kind, 0, wall_s);
        if (cq_clock_observe(&watch, in_force, seen, wall_s, boot_s)
            == CQ_CLOCK_ADOPT) {
            HOLDS(seen != 0 && seen != in_force);
            HOLDS(seen == in_force + 1 || jump_s == 0
                  || boot_s - sound_s >= CQ_CLOCK_DOUBT_S
                  || watch.last_wall_s == wall_s);
            in_force = seen;
        }
        if (seen == in_force) {
            sound_s = boot_s;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    uint64_t kind = take(&in, 1), zone = take(&in, 1);

    switch (kind % 4) {
    case 0:
        watch_clock(&in, kind >> 2);
        break;
    case 1:
        use_damaged(&in);
        break;
    default:
        (void)make_period(kind >> 2, zone, (int64_t)take(&in, kind % 4 == 2
                                                              ? 4 : 8));
        break;
    }
    return 0;
}
