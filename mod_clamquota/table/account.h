/* account - what the files that count share: an account's row, its entry, its
 * step into the period in force. Private to table/. */
#ifndef CQ_TABLE_ACCOUNT_H
#define CQ_TABLE_ACCOUNT_H

#include "table/parts.h"

static inline struct cq_hot *hot_row(const struct cq_account *a)
{
    return &a->table->hot[a->row];
}

static inline struct cq_cold *cold_row(const struct cq_account *a)
{
    return &a->table->cold[a->row];
}

static inline struct cq_entry *ledger_entry(const struct cq_account *a)
{
    return &a->table->ledger[a->entry];
}

/* The stamp check of every operation: the slow path once per row and month. */
static inline uint16_t roll_row(const struct cq_account *a, uint16_t period_id)
{
    const struct cq_hot *hot = hot_row(a);

    if (cq_stamp(atomic_load_explicit(&hot->used, memory_order_relaxed))
            == period_id
        && cq_stamp(atomic_load_explicit(&hot->committed,
                                         memory_order_relaxed))
            == period_id) {
        return period_id;
    }
    return cq_row_roll(a->table, a->row, period_id);
}

/* tally.c */

/** Marks the account's client as over quota, and notes it, once in a period. */
void cq_account_set_over(struct cq_account *account,
                         const struct cq_clock *clock);

/** Takes the mark away: the client was admitted. */
void cq_account_clear_over(struct cq_account *account,
                           const struct cq_clock *clock);

#endif
