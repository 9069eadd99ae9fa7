/* row - the packed counters of one row, and their step into another period.
 *
 *   no step under way  =>  stamp(committed(row)) = stamp(used(row))
 *
 * The words used and before hold the counts of two stamps. A step moves used
 * to before and starts at 0 under a stamp that neither has, later or earlier.
 * A step of used and committed is two compare-and-swaps; the next process that
 * finds a row between the two finishes the step. Where before has the stamp in
 * force, a clock went wrong and came back: only turnover.c exchanges the two,
 * and requests count under the stamp that they find until then. */
#include "table/parts.h"

int64_t cq_row_used(const struct cq_hot *hot, uint16_t period_id)
{
    uint64_t d = atomic_load_explicit(&hot->used, memory_order_relaxed);

    return cq_stamp(d) == period_id
        ? cq_bytes(d) : cq_stamped_get(&hot->before, period_id);
}

uint64_t cq_row_over(const struct cq_table *t, uint32_t row,
                     uint16_t period_id)
{
    uint64_t over;

    if ((atomic_load_explicit(&t->hot[row].mark, memory_order_relaxed)
         & CQ_MARK_OVER) == 0) {
        return 0;
    }
    over = atomic_load_explicit(&t->cold[row].over, memory_order_relaxed);
    return cq_over_since_s(over) >= cq_calendar_start(t, period_id) ? over : 0;
}

struct cq_usage cq_row_others(const struct cq_table *t, uint32_t row,
                              uint16_t period_id, int64_t now_s)
{
    struct cq_usage others = { 0, 0 };
    int64_t sum = cq_row_is_pair(t, row)
        ? 0 : cq_stamped_get(&t->hot[row].others, period_id);
    cq_word *word;
    uint64_t flight;
    int64_t in_flight;

    if (sum == 0) {
        return others;
    }
    word = cq_row_flight(t, row);
    flight = word != NULL
        ? atomic_load_explicit(word, memory_order_relaxed) : 0;
    in_flight = (int64_t)(flight >> CQ_FLIGHT_SHIFT) << 10;
    in_flight = in_flight < sum ? in_flight : sum;
    others.used_bytes = sum - in_flight;
    if (now_s < (int64_t)(flight & ((UINT64_C(1) << CQ_FLIGHT_SHIFT) - 1))) {
        others.in_flight_bytes = in_flight;
    }
    return others;
}

/* committed follows used: what is in flight is all that goes along. This reads
 * used after committed. The caller may have read it before another process
 * stepped and reserved, and must not undo that. */
static void roll_committed(struct cq_hot *hot, uint16_t period_id)
{
    uint64_t c = atomic_load(&hot->committed);

    while (cq_stamp(c) != period_id
           && cq_stamp(atomic_load(&hot->used)) == period_id) {
        uint64_t before = atomic_load(&hot->before);
        int64_t bytes = cq_stamp(before) == cq_stamp(c)
                        ? cq_bytes(c) - cq_bytes(before) : 0;

        if (atomic_compare_exchange_weak(&hot->committed, &c,
                                         cq_stamped(period_id, bytes))) {
            return;
        }
    }
}

/* One try to step used from d. The count that is left behind is noted in
 * before first; before was read ahead of d, so when it is still the same
 * no process has stepped since, and when the step then succeeds before is
 * exactly what used was. */
static bool roll_used(struct cq_hot *hot, uint64_t before, uint64_t d,
                       uint16_t period_id)
{
    if (cq_stamp(d) != 0 && before != d
        && !atomic_compare_exchange_strong(&hot->before, &before, d)) {
        return false;
    }
    CQ_POINT("roll-remembered");
    return atomic_compare_exchange_strong(&hot->used, &d,
                                          cq_stamped(period_id, 0));
}

static void count_client(struct cq_table *t, uint32_t row,
                         uint16_t period_id)
{
    int64_t n;

    if (cq_row_is_pair(t, row)) {
        return;
    }
    if ((atomic_load(&t->hot[row].mark) & CQ_MARK_RAISED) != 0) {
        atomic_fetch_and(&t->hot[row].mark, ~CQ_MARK_RAISED);
    }
    /* the one word of its cold line that has no stamp of its own */
    atomic_fetch_and(&t->cold[row].seen,
                     (UINT64_C(1) << CQ_SEEN_SHIFT) - 1);
    n = cq_stamped_add(&t->header->clients_now, period_id, 1);
    if (n * 5 >= (int64_t)t->header->geometry.clients_n * 4) {
        cq_table_notice(t, CQ_NOTICE_FILL);
    }
}

uint16_t cq_row_roll(struct cq_table *t, uint32_t row, uint16_t period_id)
{
    struct cq_hot *hot = &t->hot[row];
    uint64_t before = atomic_load(&hot->before);
    uint64_t d = atomic_load(&hot->used);

    while (cq_stamp(d) != period_id) {
        /* the caller's look at the calendar may be older than midnight */
        uint32_t now = cq_row_is_pair(t, row)
            ? period_id + 1u : atomic_load(&t->header->period_id);

        if (now == cq_stamp(d) || cq_stamp(before) == period_id) {
            period_id = cq_stamp(d);
            break;
        }
        CQ_POINT("roll-read");
        roll_committed(hot, cq_stamp(d));   /* a step that another began */
        if (roll_used(hot, before, d, period_id)) {
            CQ_POINT("roll-used");
            count_client(t, row, period_id);
        }
        before = atomic_load(&hot->before);
        d = atomic_load(&hot->used);
    }
    if (cq_stamp(atomic_load(&hot->committed)) != period_id) {
        roll_committed(hot, period_id);
    }
    return period_id;
}
