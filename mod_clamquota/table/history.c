/* history - what was counted in each of the last hours and days.
 *
 * The parent's housekeeping moves what the totals grew by into the hour and
 * the day that are being filled; between two rounds readers add the rest
 * themselves. */
#include "table/parts.h"

#include <string.h>

#define HOUR_S 3600

static const enum cq_total watched[4] = {
    CQ_TOTAL_SENT, CQ_TOTAL_FREE, CQ_TOTAL_HITS, CQ_TOTAL_REFUSED
};

/* as unsigned: a damaged file's sums may overflow */
static int64_t add_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t subtract_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static void sum_totals(const struct cq_table *t, int64_t sum[4])
{
    size_t n = cq_table_pool_count(t);
    size_t pool;
    int i;

    memset(sum, 0, 4 * sizeof(sum[0]));
    for (pool = 0; pool < n; pool++) {
        int64_t totals[CQ_TOTALS];

        cq_table_totals(t, (uint16_t)pool, totals);
        for (i = 0; i < 4; i++) {
            sum[i] = add_wrapping(sum[i], totals[watched[i]]);
        }
    }
}

static struct cq_hour_slot *hour_at(const struct cq_table *t, int64_t start_s)
{
    return &t->hours[(uint64_t)(start_s / HOUR_S) % CQ_HOURS];
}

static void begin_hour(struct cq_table *t, int64_t start_s)
{
    struct cq_hour_slot *slot = hour_at(t, start_s);
    int i;

    if (atomic_load(&slot->start_s) != start_s) {
        atomic_store(&slot->start_s, 0);
        for (i = 0; i < 4; i++) {
            atomic_store(&slot->count[i], 0);
        }
        atomic_store(&slot->start_s, start_s);
    }
    atomic_store(&t->header->hour_start_s, start_s);
}

static struct cq_day_slot *day_at(const struct cq_table *t, uint32_t day)
{
    return &t->days[day % CQ_DAYS];
}

static void begin_history_day(struct cq_table *t, const struct cq_clock *clock)
{
    struct cq_day_slot *slot = day_at(t, clock->day_stamp);
    int i;

    if (atomic_load(&slot->day) != clock->day_stamp) {
        atomic_store(&slot->day, 0);
        for (i = 0; i < 4; i++) {
            atomic_store(&slot->count[i], 0);
        }
        atomic_store(&slot->start_s, clock->day_start_s);
        atomic_store(&slot->day, clock->day_stamp);
    }
    atomic_store(&t->header->day_stamp, clock->day_stamp);
}

void cq_history_repair(struct cq_table *t)
{
    int64_t sum[4];
    int i;

    sum_totals(t, sum);
    for (i = 0; i < 4; i++) {
        if (atomic_load(&t->header->counted[i]) > sum[i]) {
            atomic_store(&t->header->counted[i], sum[i]);
        }
    }
}

void cq_history_tick(struct cq_table *t, const struct cq_clock *clock)
{
    int64_t filling_s = atomic_load(&t->header->hour_start_s);
    uint32_t filling_day = atomic_load(&t->header->day_stamp);
    int64_t start_s = clock->now_s / HOUR_S * HOUR_S;
    int64_t sum[4];
    int i;

    if (filling_s == 0) {
        begin_hour(t, start_s);
        filling_s = start_s;
    }
    if (filling_day == 0) {
        begin_history_day(t, clock);
        filling_day = clock->day_stamp;
    }
    sum_totals(t, sum);
    for (i = 0; i < 4; i++) {
        int64_t grown = subtract_wrapping(sum[i],
                                          atomic_load(&t->header->counted[i]));

        atomic_fetch_add(&hour_at(t, filling_s)->count[i], grown);
        atomic_fetch_add(&day_at(t, filling_day)->count[i], grown);
        atomic_store(&t->header->counted[i], sum[i]);
    }
    if (start_s != filling_s) {
        begin_hour(t, start_s);
    }
    if (clock->day_stamp != filling_day) {
        begin_history_day(t, clock);
    }
}

/* What a slot of hours or days counted, with what came since the last tick for
 * the one that is being filled.
 * @param sum  the totals now; NULL: another one */
static struct cq_hour read_slot(const struct cq_table *t, int64_t start_s,
                                const _Atomic int64_t *slot,
                                const int64_t *sum)
{
    int64_t count[4];
    int i;

    for (i = 0; i < 4; i++) {
        count[i] = atomic_load(&slot[i]);
        if (sum != NULL) {
            count[i] = add_wrapping(count[i],
                subtract_wrapping(sum[i], atomic_load(&t->header->counted[i])));
        }
    }
    return (struct cq_hour){ start_s, count[0], count[1], count[2], count[3] };
}

size_t cq_table_history(const struct cq_table *t, struct cq_hour *hours,
                        size_t max)
{
    int64_t filling_s = atomic_load(&t->header->hour_start_s);
    int64_t sum[4];
    size_t n = 0;
    uint32_t ago;

    sum_totals(t, sum);
    for (ago = CQ_HOURS; ago-- > 0;) {
        int64_t start_s = subtract_wrapping(filling_s, (int64_t)ago * HOUR_S);
        const struct cq_hour_slot *slot;

        if (start_s <= 0 || ago >= max || n == max) {
            continue;
        }
        slot = hour_at(t, start_s);
        if (atomic_load(&slot->start_s) != start_s) {
            continue;
        }
        hours[n++] = read_slot(t, start_s, slot->count, ago == 0 ? sum : NULL);
    }
    return n;
}

size_t cq_table_days(const struct cq_table *t, struct cq_hour *days,
                     size_t max)
{
    uint32_t filling = atomic_load(&t->header->day_stamp);
    int64_t sum[4];
    size_t n = 0;
    uint32_t ago;

    sum_totals(t, sum);
    for (ago = CQ_DAYS; ago-- > 0;) {
        const struct cq_day_slot *slot = day_at(t, filling - ago);

        if (filling <= ago || ago >= max || n == max
            || atomic_load(&slot->day) != filling - ago) {
            continue;
        }
        days[n++] = read_slot(t, atomic_load(&slot->start_s), slot->count,
                              ago == 0 ? sum : NULL);
    }
    return n;
}
