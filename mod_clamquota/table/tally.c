/* tally - what an account counts beside its bytes: the free column, hits,
 * refusals, which policy was applied; and forgetting it all.
 *
 * Nothing here decides about a request, except what is left of the free small
 * ranges of a day. */
#include "table/account.h"

void cq_account_free(struct cq_account *a, const struct cq_clock *clock,
                     int64_t bytes)
{
    if (bytes > 0 && grip(a, clock)) {
        cq_stamped_add(&cold_of(a)->free, clock->period_id, bytes);
        ungrip(a);
    }
}

int64_t cq_account_free_range(struct cq_account *a,
                              const struct cq_clock *clock, int64_t bytes)
{
    uint16_t day = clock->day_stamp;
    cq_word *word;
    int64_t sum;

    if (!grip(a, clock)) {
        return 0;
    }
    word = &hot_of(a)->free_range;
    if (cq_stamp(atomic_load_explicit(word, memory_order_relaxed))
        == day + 1) {
        day++;          /* as in begin_day(): no day begins twice */
    }
    sum = bytes == 0 ? cq_stamped_get(word, day)
                     : cq_stamped_add(word, day, bytes);
    ungrip(a);
    return sum;
}

void cq_account_mark(struct cq_account *a, const struct cq_clock *clock,
                     uint16_t policy_index, bool proxied)
{
    uint32_t old, new;

    if (!grip(a, clock)) {
        return;
    }
    old = atomic_load_explicit(&hot_of(a)->mark, memory_order_relaxed);
    do {
        new = (old & ~CQ_MARK_POLICY) | policy_index
            | (proxied ? CQ_MARK_PROXIED : 0);
    } while (new != old
             && !atomic_compare_exchange_weak(&hot_of(a)->mark, &old, new));
    ungrip(a);
}

int64_t cq_account_hit(struct cq_account *a, const struct cq_clock *clock)
{
    int64_t hits;

    if (!grip(a, clock)) {
        return 0;
    }
    atomic_store_explicit(&cold_of(a)->last_hit_s, clock->now_s,
                          memory_order_relaxed);
    hits = cq_stamped_add(&cold_of(a)->hits, clock->period_id, 1);
    ungrip(a);
    return hits;
}

/* One more of this day. A look at the clock from before midnight begins no
 * day before once more.
 * @return how many */
static uint32_t count_refusal(struct cq_account *a,
                              const struct cq_clock *clock)
{
    cq_word *word = &cold_of(a)->over;
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    uint64_t new;

    do {
        new = cq_over_day(old) < clock->day
            ? cq_over(cq_over_since_s(old), clock->day, 1)
            : cq_over_refusals(old) < CQ_OVER_REFUSALS_MAX ? old + 1 : old;
    } while (!atomic_compare_exchange_weak(word, &old, new));
    return cq_over_refusals(new);
}

void cq_account_refused(struct cq_account *a, const struct cq_clock *clock,
                        enum cq_state state)
{
    if ((state != CQ_STATE_OVER && state != CQ_STATE_COPIES)
        || !grip(a, clock)) {
        return;
    }
    cq_stamped_add(&cold_of(a)->refused, clock->period_id, 1);
    CQ_POINT("refused-tallied");
    if (state == CQ_STATE_OVER) {
        set_over(a, clock);
        CQ_POINT("refused-over");
        cq_bell_ring(a->table, a->row, count_refusal(a, clock),
                     clock->now_s);
    }
    ungrip(a);
}

void cq_account_reset(struct cq_account *a, const struct cq_clock *clock)
{
    struct cq_hot *hot;
    struct cq_cold *cold;
    struct cq_entry *e;
    uint64_t before, d, c;

    if (!grip(a, clock)) {
        return;
    }
    hot = hot_of(a);
    e = entry_of(a);
    before = atomic_load(&hot->before);
    /* in motion until drawn and committed agree again: whoever finds us dead
     * in between recomputes committed from drawn */
    cq_entry_begin(e);
    d = atomic_load(&hot->drawn);
    while (!atomic_compare_exchange_weak(&hot->drawn, &d,
                                         cq_stamped(cq_stamp(d), 0))) {
    }
    CQ_POINT("reset-drawn");
    c = atomic_load(&hot->committed);
    while (!atomic_compare_exchange_weak(
        &hot->committed, &c,
        cq_stamped(cq_stamp(c), cq_bytes(c) - cq_bytes(d)))) {
    }
    CQ_POINT("reset-committed");
    cq_entry_end(e);
    /* unless somebody just stepped into another period and needs it */
    if (cq_stamp(before) != cq_stamp(d)) {
        atomic_compare_exchange_strong(&hot->before, &before, 0);
    }
    else {
        atomic_compare_exchange_strong(&hot->before, &before,
                                       cq_stamped(cq_stamp(d), 0));
    }
    if (!cq_row_is_pair(a->table, a->row)) {
        cold = cold_of(a);
        atomic_store(&hot->day_base, 0);
        atomic_store(&hot->free_range, 0);
        atomic_store(&cold->refused, 0);
        atomic_store(&cold->over, 0);
        atomic_fetch_and(&hot->mark, ~CQ_MARK_OVER);
    }
    ungrip(a);
}
