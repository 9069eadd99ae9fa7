/* turnover - what the housekeeping does to all rows, once, when another period
 * has come into force.
 *
 *   turned_id = period_id  =>  no row has the period in force in before
 *   erased_id = period_id  =>  a row of neither this period nor the last is
 *                              held by a request
 *
 * The first repairs a clock that went wrong and came back: the row counts again
 * under its former stamp. The second erases addresses, at once when the period
 * followed upon the last one, else a day later, as the clock may be wrong.
 * Requests count meanwhile; a request with an old look at the calendar may
 * break either line for its own row, until the next period. */
#include "table/account.h"

#define BELIEVED_AFTER_S 86400

static uint16_t stamp_for(const struct cq_table *t, uint32_t row,
                          const struct cq_clock *clock)
{
    return cq_row_is_pair(t, row) ? clock->day_stamp : clock->period_id;
}

/* Removes from before what a row has counted under a wrong clock, if that
 * period does not border on the one in force. A count of a bordering period
 * stays: the clock may have been wrong then, or may be wrong now.
 * @return the bytes removed */
static int64_t remove_stray(struct cq_hot *hot, uint16_t stamp)
{
    uint64_t left = atomic_load(&hot->before);

    return cq_stamp(left) != stamp && cq_stamp(left) + 1 != stamp
        && cq_stamp(left) != stamp + 1
        && atomic_compare_exchange_strong(&hot->before, &left, 0)
        ? cq_bytes(left) : 0;
}

/* Removes the old count from before, so that the row steps like any other, and
 * adds it again. A process that dies in between leaves the client with less. */
static void turn_row(struct cq_table *t, uint32_t row,
                     const struct cq_clock *clock)
{
    struct cq_hot *hot = &t->hot[row];
    uint64_t id = atomic_load_explicit(&hot->identity, memory_order_acquire);
    uint16_t stamp = stamp_for(t, row, clock);
    struct cq_account a;
    uint64_t before;

    if ((id & CQ_STATE_MASK) != CQ_LIVE
        || !cq_account_open_row(t, row, id & ~CQ_STATE_MASK, &a)) {
        return;
    }
    before = atomic_load(&hot->before);
    if (cq_stamp(before) == stamp
        && cq_stamp(atomic_load(&hot->used)) != stamp
        && atomic_compare_exchange_strong(&hot->before, &before, 0)) {
        int64_t bytes = cq_bytes(before);

        cq_row_roll(t, row, stamp);
        bytes += remove_stray(hot, stamp);
        cq_entry_begin(ledger_entry(&a));
        CQ_POINT("exchange-before");
        cq_row_commit(hot, bytes);
        CQ_POINT("exchange-committed");
        cq_stamped_add(&hot->used, stamp, bytes);
        cq_row_mark_moved(t, row);
        cq_entry_end(ledger_entry(&a));
    }
    cq_account_close(&a);
}

/* Clears a mark of being over quota that a former period left.
 * @return whether there was one */
static bool clear_old_mark(struct cq_table *t, uint32_t row, uint16_t period_id)
{
    _Atomic uint32_t *mark = &t->hot[row].mark;

    return (atomic_load_explicit(mark, memory_order_relaxed) & CQ_MARK_OVER)
            != 0
        && cq_row_over_since(t, row, period_id) == 0
        && (atomic_fetch_and(mark, ~(CQ_MARK_OVER | CQ_MARK_DROPPED))
            & CQ_MARK_OVER) != 0;
}

static void turn_rows(struct cq_table *t, const struct cq_clock *clock)
{
    struct cq_change change = { .kind = CQ_CHANGE_PERIOD,
                                .at_s = clock->now_s };
    int64_t clients = 0;
    uint64_t row;

    for (row = 0; row < t->all_rows_n; row++) {
        const struct cq_hot *hot = &t->hot[row];
        uint16_t stamp = stamp_for(t, (uint32_t)row, clock);
        uint16_t used = cq_stamp(atomic_load_explicit(
            &hot->used, memory_order_relaxed));

        if (used != stamp
            && cq_stamp(atomic_load_explicit(&hot->before,
                                             memory_order_relaxed))
                   == stamp) {
            turn_row(t, (uint32_t)row, clock);
            used = cq_stamp(atomic_load(&hot->used));
        }
        clients += row < t->rows_n && used == stamp;
        change.clients += row < t->rows_n
            && clear_old_mark(t, (uint32_t)row, clock->period_id);
    }
    if (change.clients > 0) {
        cq_change_note(t, &change);
    }
    atomic_store(&t->header->clients_now,
                 cq_stamped(clock->period_id, clients));
}

static void erase_old_rows(struct cq_table *t, const struct cq_clock *clock)
{
    uint32_t entry = cq_entry_acquire(t);
    uint64_t row;

    for (row = 0; entry != CQ_NO_ENTRY && row < t->all_rows_n; row++) {
        cq_row_erase(t, entry, (uint32_t)row,
                     stamp_for(t, (uint32_t)row, clock));
    }
    if (entry != CQ_NO_ENTRY) {
        atomic_store(&t->header->erased_id, clock->period_id);
        cq_entry_release(t, entry);
    }
}

void cq_turnover(struct cq_table *t, const struct cq_clock *clock)
{
    struct cq_header *h = t->header;
    uint16_t id = clock->period_id;
    uint32_t erased = atomic_load(&h->erased_id);
    /* else the clock shows a time outside the period in force: unsure */
    bool steady = clock->now_s >= clock->day_start_s
        && clock->now_s < clock->next_day_s;

    if (atomic_load(&h->turned_id) != id) {
        turn_rows(t, clock);
        atomic_store(&h->turned_s, clock->now_s);
        atomic_store(&h->turned_id, id);
    }
    if (erased != id
        && (id == erased + 1
            || (steady && clock->now_s - atomic_load(&h->turned_s)
                              >= BELIEVED_AFTER_S))) {
        erase_old_rows(t, clock);
    }
}
