/* calendar - which period is in force, for all processes at once.
 *
 * Owns header.period_id and the calendar beside it: the period in force and the
 * one after it with all their midnights, so that no request asks for the local
 * time. The first process that sees the end of a period steps into the next by
 * compare-and-swap. Only the housekeeping writes periods. */
#include "table/parts.h"

#include <string.h>

void cq_calendar_set(struct cq_table *t, const struct cq_period *period)
{
    struct cq_calendar_slot *slot =
        &t->header->calendar[period->id % CQ_CALENDAR];

    if (atomic_load(&slot->id) == period->id
        && memcmp(&slot->period, period, sizeof(*period)) == 0) {
        return;
    }
    /* No reader looks here now: with four slots this one held a period at least
     * two away from the one in force. A jump may break that; then id = 0
     * makes readers answer with day 1 for a moment. */
    atomic_store(&slot->id, 0);
    atomic_thread_fence(memory_order_seq_cst);
    slot->period = *period;
    atomic_store_explicit(&slot->id, period->id, memory_order_release);
}

static const struct cq_period *find_period(const struct cq_table *t,
                                           uint32_t id)
{
    const struct cq_calendar_slot *slot =
        &t->header->calendar[id % CQ_CALENDAR];

    /* the days are an index: a damaged file must not lead past the array */
    return id != 0
        && atomic_load_explicit(&slot->id, memory_order_acquire) == id
        && slot->period.days - 1u < CQ_PERIOD_MAX_DAYS
        ? &slot->period : NULL;
}

int64_t cq_calendar_start(const struct cq_table *t, uint16_t id)
{
    const struct cq_period *p = find_period(t, id);

    return p != NULL ? p->midnight_s[0] : 0;
}

bool cq_calendar_get(const struct cq_table *t, uint16_t id,
                     struct cq_period *period)
{
    const struct cq_period *p = find_period(t, id);

    if (p == NULL) {
        return false;
    }
    *period = *p;
    /* enough to be read safely; cq_table_check() asks for all of it */
    return find_period(t, id) == p && period->days >= 1
        && period->days <= CQ_PERIOD_MAX_DAYS;
}

bool cq_calendar_is_sound(const struct cq_table *t)
{
    uint32_t id = atomic_load(&t->header->period_id);
    uint32_t step;

    for (step = 0; step < 2; step++) {
        struct cq_period period;

        /* absent is no damage: its writer may be at it or have died there */
        if (cq_calendar_get(t, (uint16_t)(id + step), &period)
            && !cq_period_is_valid(&period)) {
            return false;
        }
    }
    return true;
}

void cq_calendar_prepare_next(struct cq_table *t)
{
    struct cq_period now, next;

    if (cq_calendar_get(t, (uint16_t)atomic_load(&t->header->period_id), &now)
        && cq_period_next(&now, &next) == CQ_OK) {
        cq_calendar_set(t, &next);
    }
}

void cq_table_clock(struct cq_table *t, int64_t now_s, struct cq_clock *clock)
{
    uint32_t id = atomic_load_explicit(&t->header->period_id,
                                       memory_order_acquire);
    const struct cq_period *p = find_period(t, id);

    if (p != NULL && now_s >= p->midnight_s[p->days]) {
        const struct cq_period *next = find_period(t, id + 1);

        if (next != NULL && now_s >= next->midnight_s[0]
            && now_s < next->midnight_s[next->days]) {
            if (t->writable) {
                atomic_compare_exchange_strong(&t->header->period_id, &id,
                                               id + 1);
                id = atomic_load(&t->header->period_id);
            }
            else {
                id++;           /* a tool sees the step and can't make it */
            }
            p = find_period(t, id);
        }
    }
    clock->now_s = now_s;
    clock->period_id = (uint16_t)id;
    if (p == NULL) {
        /* the housekeeping is writing it: day 1 for an instant */
        clock->day = 1;
        clock->day_stamp = 1;
        clock->day_start_s = now_s;
        clock->next_day_s = now_s + 1;
        return;
    }
    clock->day = cq_period_day(p, now_s);
    clock->day_stamp = (uint16_t)(p->first_day + clock->day - 1);
    clock->day_start_s = p->midnight_s[clock->day - 1];
    clock->next_day_s = p->midnight_s[clock->day];
}

void cq_table_period(const struct cq_table *t, struct cq_period *period)
{
    uint16_t id = (uint16_t)atomic_load(&t->header->period_id);

    memset(period, 0, sizeof(*period));
    if (!cq_calendar_get(t, id, period)) {
        cq_calendar_get(t, (uint16_t)atomic_load(&t->header->period_id),
                        period);
    }
}
