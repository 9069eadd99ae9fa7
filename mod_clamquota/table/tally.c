/* tally - what an account counts beside its bytes: the free column, hits,
 * refusals, which policy was applied; and forgetting it all.
 *
 * Nothing here decides about a request, except what is left of the free small
 * ranges of a day. */
#include "table/account.h"

void cq_account_charge_free(struct cq_account *a, const struct cq_clock *clock,
                            int64_t bytes)
{
    if (bytes > 0 && cq_account_is_open(a)) {
        cq_stamped_add(&cold_row(a)->free, clock->period_id, bytes);
    }
}

int64_t cq_account_free_range(struct cq_account *a,
                              const struct cq_clock *clock, int64_t bytes)
{
    uint16_t day = clock->day_stamp;
    cq_word *word;
    int64_t sum;

    if (!cq_account_is_open(a)) {
        return 0;
    }
    word = &hot_row(a)->free_range;
    if (cq_stamp(atomic_load_explicit(word, memory_order_relaxed))
        == day + 1) {
        day++;          /* as in begin_day(): no day begins twice */
    }
    sum = bytes == 0 ? cq_stamped_get(word, day)
                     : cq_stamped_add(word, day, bytes);
    return sum;
}

void cq_account_mark(struct cq_account *a, uint16_t policy_index,
                     enum cq_origin origin)
{
    uint32_t old, new;

    if (!cq_account_is_open(a)) {
        return;
    }
    old = atomic_load_explicit(&hot_row(a)->mark, memory_order_relaxed);
    do {
        new = (old & ~CQ_MARK_POLICY) | policy_index
            | (origin == CQ_ORIGIN_PROXIED ? CQ_MARK_PROXIED : 0);
    } while (new != old
             && !atomic_compare_exchange_weak(&hot_row(a)->mark, &old, new));
}

int64_t cq_account_count_hit(struct cq_account *a, const struct cq_clock *clock)
{
    cq_word *word;
    uint64_t old, now_s = (uint64_t)clock->now_s;

    if (!cq_account_is_open(a)) {
        return 0;
    }
    word = &cold_row(a)->seen;
    old = atomic_load_explicit(word, memory_order_relaxed);
    while (cq_seen_s(old) != clock->now_s
           && !atomic_compare_exchange_weak(
               word, &old, (old >> CQ_SEEN_SHIFT << CQ_SEEN_SHIFT) | now_s)) {
    }
    return cq_stamped_add(&cold_row(a)->hits, clock->period_id, 1);
}

/* ---- over quota ---- */

CQ_SELDOM void cq_account_set_over(struct cq_account *a,
                                   const struct cq_clock *clock)
{
    int64_t start_s = cq_calendar_start(a->table, clock->period_id);
    uint64_t old = atomic_load(&cold_row(a)->over);
    bool is_first;

    if (cq_over_since_s(old) >= start_s
        && (atomic_load_explicit(&hot_row(a)->mark, memory_order_relaxed)
            & CQ_MARK_OVER) != 0) {
        return;
    }
    /* The mark may be left from a period before: then the word is, too, and
     * one of all callers changes it. */
    is_first = cq_over_since_s(old) < start_s
        && atomic_compare_exchange_strong(
            &cold_row(a)->over, &old, cq_over(clock->now_s, clock->day, 0));
    CQ_POINT("over-since");
    atomic_fetch_or(&hot_row(a)->mark, CQ_MARK_OVER);
    if (is_first) {
        cq_change_note_row(a->table, a->row, CQ_CHANGE_OVER, clock->now_s,
                           cq_row_used(hot_row(a), clock->period_id),
                           a->allowance_bytes);
    }
}

CQ_SELDOM void cq_account_clear_over(struct cq_account *a,
                                     const struct cq_clock *clock)
{
    bool was_over;
    uint32_t mark;

    /* in a damaged file a pair may be marked, which has no cold line */
    if (cq_row_is_pair(a->table, a->row)) {
        return;
    }
    was_over = cq_row_over_since(a->table, a->row, clock->period_id) != 0;
    atomic_store(&cold_row(a)->over, 0);
    mark = atomic_fetch_and(&hot_row(a)->mark,
                            ~(CQ_MARK_OVER | CQ_MARK_DROPPED));
    if (was_over && (mark & CQ_MARK_OVER) != 0) {
        cq_change_note_row(a->table, a->row, CQ_CHANGE_AGAIN, clock->now_s,
                           cq_row_used(hot_row(a), clock->period_id),
                           a->allowance_bytes);
    }
}

static void count_would_refuse(struct cq_account *a)
{
    cq_word *word = &cold_row(a)->seen;
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

    while (old >> CQ_SEEN_SHIFT < CQ_WOULD_REFUSE_MAX
           && !atomic_compare_exchange_weak(
               word, &old, old + (UINT64_C(1) << CQ_SEEN_SHIFT))) {
    }
}

/* One more of this day. A look at the clock from before midnight, when the
 * day's first refusal is noted already, begins no day before once more; a
 * clock that was ahead by more is not believed any longer than it is.
 * @return how many */
static uint32_t count_refusal(struct cq_account *a,
                              const struct cq_clock *clock)
{
    cq_word *word = &cold_row(a)->over;
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    uint64_t new;

    do {
        new = cq_over_day(old) != clock->day
                && cq_over_day(old) != clock->day + 1
            ? cq_over(cq_over_since_s(old), clock->day, 1)
            : cq_over_refusals(old) < CQ_OVER_REFUSALS_MAX ? old + 1 : old;
    } while (!atomic_compare_exchange_weak(word, &old, new));
    return cq_over_refusals(new);
}

void cq_account_count_refusal(struct cq_account *a,
                              const struct cq_clock *clock,
                              enum cq_state state)
{
    if (!cq_account_is_open(a)) {
        return;
    }
    if (state == CQ_STATE_LOGONLY) {
        count_would_refuse(a);
    }
    if (state != CQ_STATE_OVER && state != CQ_STATE_COPIES) {
        return;
    }
    cq_stamped_add(&cold_row(a)->refused, clock->period_id, 1);
    cq_row_mark_moved(a->table, a->row); /* to hear of the others sooner */
    CQ_POINT("refused-tallied");
    if (state == CQ_STATE_OVER) {
        cq_account_set_over(a, clock);
        CQ_POINT("refused-over");
        cq_bell_ring(a->table, a->row, count_refusal(a, clock),
                     clock->now_s);
    }
}

void cq_account_reset(struct cq_account *a)
{
    struct cq_hot *hot;
    struct cq_cold *cold;
    struct cq_entry *e;
    cq_word *flight;
    uint64_t before, d, c;

    if (!cq_account_is_open(a)) {
        return;
    }
    hot = hot_row(a);
    e = ledger_entry(a);
    before = atomic_load(&hot->before);
    /* in motion until used and committed agree again: if this process dies in
     * between, cq_table_settle() recomputes committed from used */
    cq_entry_begin(e);
    d = atomic_load(&hot->used);
    while (!atomic_compare_exchange_weak(&hot->used, &d,
                                         cq_stamped(cq_stamp(d), 0))) {
    }
    CQ_POINT("reset-used");
    c = atomic_load(&hot->committed);
    while (!atomic_compare_exchange_weak(
        &hot->committed, &c,
        cq_stamped(cq_stamp(c), cq_bytes(c) - cq_bytes(d)))) {
    }
    CQ_POINT("reset-committed");
    cq_row_mark_moved(a->table, a->row);
    cq_entry_end(e);
    /* unless another process just stepped into another period and needs it */
    if (cq_stamp(before) != cq_stamp(d)) {
        atomic_compare_exchange_strong(&hot->before, &before, 0);
    }
    else {
        atomic_compare_exchange_strong(&hot->before, &before,
                                       cq_stamped(cq_stamp(d), 0));
    }
    if (!cq_row_is_pair(a->table, a->row)) {
        cold = cold_row(a);
        flight = cq_row_flight(a->table, a->row);
        atomic_store(&hot->others, 0);
        if (flight != NULL) {
            atomic_store(flight, 0);        /* part of that sum */
        }
        atomic_store(&hot->day_base, 0);
        atomic_store(&hot->free_range, 0);
        atomic_store(&cold->refused, 0);
        atomic_store(&cold->over, 0);
        atomic_fetch_and(&hot->mark, ~(CQ_MARK_OVER | CQ_MARK_RAISED
                                      | CQ_MARK_DROPPED));
    }
}
