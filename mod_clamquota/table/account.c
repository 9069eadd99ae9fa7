/* account - one request's hold on its client's row, and the counting in it.
 *
 *   committed(row) = used(row) + sum of left_bytes of the entries that hold it
 *
 * so that one compare-and-swap on committed admits. An operation changes these
 * one after the other; until all agree its ledger entry is in motion, and
 * cq_table_settle() recomputes committed from used should the process die. */
#include "table/account.h"

/* how often a row may turn out to be another client's by the time it is held */
#define HOLDS_MAX 16

/* ---- holding ---- */

/* Holds the row if it is still this client's. */
static bool hold(struct cq_table *t, uint32_t entry, uint32_t row,
                 uint64_t hash)
{
    struct cq_entry *e = &t->ledger[entry];
    struct cq_hot *hot = &t->hot[row];
    bool ours;

    cq_entry_begin(e);
    atomic_store_explicit(&e->row, row, memory_order_relaxed);
    atomic_store_explicit(&e->left_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&e->purpose, CQ_ENTRY_HELD, memory_order_release);
    CQ_POINT("hold-noted");
    atomic_fetch_add(&hot->holders, CQ_TURN + 1);
    CQ_POINT("hold-held");
    ours = atomic_load(&hot->identity) == (hash | CQ_LIVE);
    if (!ours) {
        atomic_fetch_sub(&hot->holders, 1);
        atomic_store_explicit(&e->purpose, CQ_ENTRY_IDLE,
                              memory_order_release);
        atomic_store_explicit(&e->row, CQ_NO_ROW, memory_order_relaxed);
    }
    cq_entry_end(e);
    return ours;
}

uint64_t cq_table_identity(const struct cq_table *t, uint16_t pool,
                           const struct cq_key *key)
{
    return cq_identity(t, pool, key);
}

static void prefetch_home(const struct cq_table *t, uint32_t home)
{
    __builtin_prefetch(&t->hot[home], 1);
    __builtin_prefetch(&t->hot[home ^ 1], 1);
}

/* Finds or makes the row and holds it with the account's entry. */
static bool find_and_hold(struct cq_account *a, const struct cq_homes *homes,
                          const struct cq_subject *subject,
                          const struct cq_clock *clock)
{
    struct cq_table *t = a->table;
    int holds;

    for (holds = 0; holds < HOLDS_MAX; holds++) {
        uint32_t row = cq_window_find(t, homes, subject->hash);

        if (row == CQ_NO_ROW) {
            row = cq_claim_row(t, a->entry, subject, clock->period_id);
        }
        if (row == CQ_NO_ROW) {
            break;
        }
        if (hold(t, a->entry, row, subject->hash)) {
            a->row = row;
            roll_row(a, clock->period_id);
            return true;
        }
    }
    cq_entry_release(t, a->entry);
    a->entry = CQ_NO_ENTRY;
    if (subject->guest) {
        return false;
    }
    if (subject->region == &t->pairs) {
        atomic_fetch_add_explicit(&t->header->pairs_lost, 1,
                                  memory_order_relaxed);
        cq_table_notice(t, CQ_NOTICE_FILES);
        return false;
    }
    atomic_fetch_add_explicit(&t->header->untracked, 1, memory_order_relaxed);
    return false;
}

enum cq_status cq_account_open_subject(struct cq_table *t,
                                       const struct cq_subject *subject,
                                       const struct cq_clock *clock,
                                       struct cq_account *a)
{
    struct cq_homes homes = cq_window_homes(subject->region, subject->hash);

    a->table = t;
    a->row = CQ_NO_ROW;
    a->entry = CQ_NO_ENTRY;
    a->allowance_bytes = INT64_MAX;
    if (cq_table_health(t) == CQ_HEALTH_LOST) {
        return CQ_EIO;
    }
    prefetch_home(t, homes.row[0]); /* on its way during what follows */
    prefetch_home(t, homes.row[1]); /* one in seven is there */
    a->entry = cq_entry_acquire(t);
    if (a->entry == CQ_NO_ENTRY) {
        return CQ_ENOMEM;
    }
    return find_and_hold(a, &homes, subject, clock) ? CQ_OK : CQ_EFULL;
}

bool cq_account_open_row(struct cq_table *t, uint32_t row, uint64_t hash,
                         struct cq_account *a)
{
    a->table = t;
    a->row = row;
    a->allowance_bytes = INT64_MAX;
    a->entry = cq_entry_acquire(t);
    if (a->entry != CQ_NO_ENTRY && !hold(t, a->entry, row, hash)) {
        cq_entry_release(t, a->entry);
        a->entry = CQ_NO_ENTRY;
    }
    return cq_account_is_open(a);
}

enum cq_status cq_account_open(struct cq_table *t, uint16_t pool,
                               const struct cq_key *key,
                               const struct cq_clock *clock,
                               struct cq_account *a)
{
    struct cq_subject subject = cq_subject_make(t, cq_identity(t, pool, key),
                                                pool, key);

    return cq_account_open_subject(t, &subject, clock, a);
}

void cq_account_close(struct cq_account *a)
{
    struct cq_entry *e;

    if (!cq_account_is_open(a)) {
        return;
    }
    e = ledger_entry(a);
    if (atomic_load_explicit(&e->left_bytes, memory_order_relaxed) > 0) {
        cq_account_reserve_at_most(a, 0);
    }
    cq_entry_begin(e);
    CQ_POINT("close-before");
    atomic_fetch_sub(&hot_row(a)->holders, 1);
    CQ_POINT("close-released");
    atomic_store_explicit(&e->row, CQ_NO_ROW, memory_order_relaxed);
    cq_entry_end(e);
    cq_entry_release(a->table, a->entry);
    a->entry = CQ_NO_ENTRY;
}

/* ---- counting ---- */

static void add_others(const struct cq_account *a, uint16_t period_id,
                       int64_t now_s, struct cq_usage *usage)
{
    struct cq_usage others;

    if (cq_stamped_get(&hot_row(a)->others, period_id) == 0) {
        return;
    }
    others = cq_row_others(a->table, a->row, period_id, now_s);
    usage->used_bytes = cq_sum_bytes(usage->used_bytes, others.used_bytes);
    usage->in_flight_bytes += others.in_flight_bytes;
}

/* Would a request be admitted on top of c? What other nodes have in flight is
 * asked for only where it decides. */
static bool has_reached(const struct cq_account *a,
                        const struct cq_clock *clock, uint64_t c,
                        int64_t allowance_bytes)
{
    int64_t others = cq_stamped_get(&hot_row(a)->others, cq_stamp(c));
    struct cq_usage now;

    if (cq_sum_bytes(cq_bytes(c), others) < allowance_bytes) {
        return false;
    }
    if (others == 0) {
        return true;
    }
    now = cq_row_others(a->table, a->row, cq_stamp(c), clock->now_s);
    return cq_sum_bytes(cq_bytes(c), now.used_bytes + now.in_flight_bytes)
        >= allowance_bytes;
}

void cq_account_usage(struct cq_account *a, const struct cq_clock *clock,
                      struct cq_usage *usage)
{
    uint64_t c, d;

    usage->used_bytes = 0;
    usage->in_flight_bytes = 0;
    if (!cq_account_is_open(a)) {
        return;
    }
    roll_row(a, clock->period_id);
    c = atomic_load(&hot_row(a)->committed);
    d = atomic_load(&hot_row(a)->used);
    usage->used_bytes = cq_bytes(d);
    if (cq_stamp(c) == cq_stamp(d) && cq_bytes(c) > cq_bytes(d)) {
        usage->in_flight_bytes = cq_bytes(c) - cq_bytes(d);
    }
    add_others(a, cq_stamp(d), clock->now_s, usage);
}

bool cq_account_has_room(const struct cq_account *a,
                         const struct cq_clock *clock,
                         int64_t allowance_bytes)
{
    return !has_reached(a, clock,
                        atomic_load_explicit(&hot_row(a)->committed,
                                             memory_order_relaxed),
                        allowance_bytes);
}

/* What a decision saw that was made with c. */
static void fill_usage(const struct cq_account *a, const struct cq_clock *clock,
                       uint64_t c, struct cq_usage *usage)
{
    int64_t used;

    if (usage == NULL) {
        return;
    }
    used = cq_bytes(atomic_load(&hot_row(a)->used));
    usage->used_bytes = used < cq_bytes(c) ? used : cq_bytes(c);
    usage->in_flight_bytes = cq_bytes(c) - usage->used_bytes;
    add_others(a, cq_stamp(c), clock->now_s, usage);
}

/* As much of n as the packed count can take. */
static int64_t clip_bytes(int64_t n, uint64_t word)
{
    int64_t room = CQ_BYTES_MAX - cq_bytes(word);

    return n < 0 ? 0 : n < room ? n : room;
}

enum cq_status cq_account_admit(struct cq_account *a,
                                const struct cq_clock *clock,
                                int64_t allowance_bytes, int64_t bytes,
                                struct cq_usage *usage)
{
    struct cq_hot *hot;
    struct cq_entry *e;
    uint64_t c;
    int64_t n;

    a->allowance_bytes = allowance_bytes;
    if (!cq_account_is_open(a)) {
        if (usage != NULL) {
            memset(usage, 0, sizeof(*usage));
        }
        return CQ_OK;
    }
    hot = hot_row(a);
    e = ledger_entry(a);
    roll_row(a, clock->period_id);
    cq_entry_begin(e);
    c = atomic_load_explicit(&hot->committed, memory_order_relaxed);
    do {
        if (has_reached(a, clock, c, allowance_bytes)) {
            cq_entry_end(e);
            fill_usage(a, clock, c, usage);
            return CQ_EFULL;
        }
        n = clip_bytes(bytes, c);
    } while (!atomic_compare_exchange_weak(
        &hot->committed, &c, cq_stamped(cq_stamp(c), cq_bytes(c) + n)));
    CQ_POINT("admit-committed");
    atomic_store_explicit(&e->left_bytes,
                          atomic_load_explicit(&e->left_bytes,
                                               memory_order_relaxed) + n,
                          memory_order_relaxed);
    CQ_POINT("admit-noted");
    cq_row_mark_moved(a->table, a->row);
    cq_entry_end(e);
    fill_usage(a, clock, c, usage);
    if ((atomic_load_explicit(&hot->mark, memory_order_relaxed)
         & CQ_MARK_OVER) != 0) {
        cq_account_clear_over(a, clock);
    }
    return CQ_OK;
}

void cq_account_reserve_at_most(struct cq_account *a, int64_t bytes)
{
    struct cq_entry *e;
    int64_t left;

    if (!cq_account_is_open(a)) {
        return;
    }
    e = ledger_entry(a);
    bytes = bytes > 0 ? bytes : 0;
    left = atomic_load_explicit(&e->left_bytes, memory_order_relaxed);
    if (left <= bytes) {
        return;
    }
    cq_entry_begin(e);
    CQ_POINT("refund-before");
    atomic_store_explicit(&e->left_bytes, bytes, memory_order_relaxed);
    CQ_POINT("refund-noted");
    cq_row_commit(hot_row(a), bytes - left);
    CQ_POINT("refund-given");
    cq_row_mark_moved(a->table, a->row);
    cq_entry_end(e);
}

void cq_account_reserve_at_least(struct cq_account *a, int64_t bytes)
{
    struct cq_entry *e;
    int64_t left;

    if (!cq_account_is_open(a)) {
        return;
    }
    e = ledger_entry(a);
    left = atomic_load_explicit(&e->left_bytes, memory_order_relaxed);
    if (left >= bytes) {
        return;
    }
    cq_entry_begin(e);
    CQ_POINT("raise-before");
    left += cq_row_commit(hot_row(a), bytes - left < CQ_BYTES_MAX
                                         ? bytes - left : CQ_BYTES_MAX);
    CQ_POINT("raise-committed");
    atomic_store_explicit(&e->left_bytes, left, memory_order_relaxed);
    cq_row_mark_moved(a->table, a->row);
    cq_entry_end(e);
}

/* Notes what was used when this day began. A look at the clock from before
 * midnight, or a clock put back over it for a moment, must not begin the day
 * before once more. */
static void begin_day(struct cq_hot *hot, uint16_t day_stamp)
{
    uint64_t base = atomic_load_explicit(&hot->day_base, memory_order_relaxed);

    if (cq_stamp(base) != day_stamp && cq_stamp(base) != day_stamp + 1) {
        uint64_t d = atomic_load(&hot->used);

        atomic_compare_exchange_strong(&hot->day_base, &base,
                                       cq_stamped(day_stamp, cq_bytes(d)));
    }
}

/* Adds to used under whatever stamp it has by now. */
static int64_t add_used(struct cq_hot *hot, int64_t bytes)
{
    uint64_t d = atomic_load_explicit(&hot->used, memory_order_relaxed);
    uint64_t new;

    do {
        new = cq_stamped(cq_stamp(d), cq_bytes(d) + bytes);
    } while (!atomic_compare_exchange_weak(&hot->used, &d, new));
    return cq_bytes(new);
}

void cq_account_charge(struct cq_account *a, const struct cq_clock *clock,
                       int64_t bytes)
{
    struct cq_hot *hot;
    struct cq_entry *e;
    int64_t left, rest, after;

    if (bytes <= 0 || !cq_account_is_open(a)) {
        return;
    }
    hot = hot_row(a);
    e = ledger_entry(a);
    roll_row(a, clock->period_id);
    begin_day(hot, clock->day_stamp);
    left = atomic_load_explicit(&e->left_bytes, memory_order_relaxed);
    rest = bytes > left ? bytes - left : 0;
    bytes -= rest;
    cq_entry_begin(e);
    CQ_POINT("charge-before");
    if (rest > 0) {
        /* first committed, so that it is never below used; past what it can
         * hold nothing is counted, in either */
        bytes += cq_row_commit(hot, rest < CQ_BYTES_MAX ? rest
                                                        : CQ_BYTES_MAX);
        CQ_POINT("charge-committed");
    }
    if (left > 0) {
        atomic_store_explicit(&e->left_bytes, rest > 0 ? 0 : left - bytes,
                              memory_order_relaxed);
        CQ_POINT("charge-noted");
    }
    after = add_used(hot, bytes);
    CQ_POINT("charge-used");
    cq_row_mark_moved(a->table, a->row);
    cq_entry_end(e);
    if (cq_stamped_get(&hot->others, clock->period_id) != 0) {
        after += cq_row_others(a->table, a->row, clock->period_id,
                               clock->now_s).used_bytes;
    }
    if (after >= a->allowance_bytes && after - bytes < a->allowance_bytes) {
        cq_account_set_over(a, clock);
    }
}
