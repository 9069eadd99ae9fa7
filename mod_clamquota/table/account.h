/* account - what the files that count share: looking at an account's
 * row. Private to table/. */
#ifndef CQ_TABLE_ACCOUNT_H
#define CQ_TABLE_ACCOUNT_H

#include "table/parts.h"

static inline struct cq_hot *hot_of(const struct cq_account *a)
{
    return &a->table->hot[a->row];
}

static inline struct cq_cold *cold_of(const struct cq_account *a)
{
    return &a->table->cold[a->row];
}

static inline struct cq_entry *entry_of(const struct cq_account *a)
{
    return &a->table->ledger[a->entry];
}

/* The stamp check of every operation: the slow path once per row and month. */
static inline uint16_t roll(const struct cq_account *a, uint16_t period_id)
{
    const struct cq_hot *hot = hot_of(a);

    if (cq_stamp(atomic_load_explicit(&hot->drawn, memory_order_relaxed))
            == period_id
        && cq_stamp(atomic_load_explicit(&hot->committed,
                                         memory_order_relaxed))
            == period_id) {
        return period_id;
    }
    return cq_row_roll(a->table, a->row, period_id);
}

/* The mark may be left from a period before: then it begins anew. */
static inline void set_over(struct cq_account *a,
                            const struct cq_clock *clock)
{
    if (cq_row_over_since(a->table, a->row, clock->period_id) == 0) {
        atomic_store(&cold_of(a)->over,
                     cq_over(clock->now_s, clock->day, 0));
        CQ_POINT("over-since");
        atomic_fetch_or(&hot_of(a)->mark, CQ_MARK_OVER);
    }
}

#endif
