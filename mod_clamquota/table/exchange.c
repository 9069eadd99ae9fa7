/* exchange - the exchanger's side of the rows: which moved, this node's share
 * of them, and what the others have. Only the exchanger calls it. */
#include "table/exchange.h"
#include "table/account.h"
#include "table/rules.h"

uint64_t cq_groups_n(const struct cq_table *t)
{
    return t->cluster != NULL ? t->rows_n / CQ_MOVED_ROWS : 0;
}

bool cq_group_has_moved(const struct cq_table *t, uint64_t group)
{
    return atomic_load_explicit(&t->moved[group], memory_order_relaxed)
        != CQ_READ_BACK;
}

bool cq_group_find(const struct cq_table *t, uint64_t *group)
{
    uint64_t n = cq_groups_n(t);
    uint64_t g = *group;

    while (g < n) {
        uint64_t eight;

        /* the array is filled up to whole pages */
        if (g % sizeof(eight) == 0) {
            memcpy(&eight, (const void *)(uintptr_t)&t->moved[g],
                   sizeof(eight));
            if (eight == 0) {
                g += sizeof(eight);
                continue;
            }
        }
        if (cq_group_has_moved(t, g)) {
            *group = g;
            return true;
        }
        g++;
    }
    *group = n;
    return false;
}

void cq_group_begin(struct cq_table *t, uint64_t group)
{
    atomic_exchange(&t->moved[group], CQ_IN_EXCHANGE);
    CQ_POINT("round-taken");
}

void cq_group_end(struct cq_table *t, uint64_t group)
{
    uint8_t marked = CQ_IN_EXCHANGE;

    atomic_compare_exchange_strong(&t->moved[group], &marked, CQ_READ_BACK);
}

uint64_t cq_rows_n(const struct cq_table *t)
{
    return t->rows_n;
}

/* ---- this node's share ---- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);   /* 2^64 / phi */
    return hash ^ hash >> 29;
}

uint32_t cq_share_print(const struct cq_table *t, uint32_t row,
                        uint16_t period_id)
{
    const struct cq_hot *hot = &t->hot[row];
    uint64_t id = atomic_load_explicit(&hot->identity, memory_order_acquire);
    uint64_t d = atomic_load_explicit(&hot->used, memory_order_relaxed);
    uint64_t hash;

    if ((id & CQ_STATE_MASK) != CQ_LIVE
        || (cq_stamp(d) != period_id
            && cq_stamp(atomic_load_explicit(&hot->before,
                                             memory_order_relaxed))
                   != period_id)) {
        return 0;
    }
    hash = mix(mix(mix(id, d),
                   atomic_load_explicit(&hot->committed,
                                        memory_order_relaxed)),
               cq_stamped_get(&t->cold[row].refused, period_id) > 0
                   ? atomic_load_explicit(&t->cold[row].refused,
                                          memory_order_relaxed) : 0);
    return (uint32_t)(hash >> 32) != 0 ? (uint32_t)(hash >> 32) : 1;
}

bool cq_share_read(const struct cq_table *t, uint32_t row,
                   const struct cq_clock *clock, struct cq_share *share)
{
    struct cq_row copy;

    memset(share, 0, sizeof(*share));
    share->row = row;
    /* before the words: what changes in between has another print later */
    share->print = cq_share_print(t, row, clock->period_id);
    share->identity = atomic_load(&t->hot[row].identity) & ~CQ_STATE_MASK;
    if (share->print == 0 || !cq_row_copy(t, row, clock, &copy)
        || copy.pool >= cq_table_pool_count(t)) {
        return false;
    }
    share->key = copy.key;
    share->pool = copy.pool;
    share->used_bytes = copy.used_bytes;
    share->in_flight_bytes = copy.in_flight_bytes;
    share->refused = copy.refused;
    share->over = copy.over_since_s != 0;
    return true;
}

/* ---- what the others have ---- */

/* The sum last, so that a reader in between finds too much used rather than
 * too little. */
static void set_others(struct cq_table *t, uint32_t row, uint16_t period_id,
                       const struct cq_share_update *update)
{
    int64_t kib = (update->others_in_flight_bytes + 1023) >> 10;
    uint64_t flight, sum;

    kib = kib < CQ_FLIGHT_KIB_MAX ? kib : CQ_FLIGHT_KIB_MAX;
    flight = kib > 0 && update->until_s > 0
        ? (uint64_t)kib << CQ_FLIGHT_SHIFT | (uint64_t)update->until_s : 0;
    kib = flight != 0 ? kib : 0;
    sum = update->others_used_bytes + kib > 0
        ? cq_stamped(period_id, cq_sum_bytes(kib << 10,
                                             update->others_used_bytes)) : 0;
    /* only what changed, so that a file's pages stay clean */
    if (atomic_load(&t->flights[row]) != flight) {
        atomic_store(&t->flights[row], flight);
    }
    CQ_POINT("round-others");
    if (atomic_load(&t->hot[row].others) != sum) {
        atomic_store(&t->hot[row].others, sum);
    }
}

static void raise_used(struct cq_account *a, const struct cq_clock *clock,
                       int64_t bytes)
{
    struct cq_hot *hot = hot_row(a);

    /* as a charge without a reservation: in motion until both agree */
    cq_entry_begin(ledger_entry(a));
    CQ_POINT("round-raise-noted");
    bytes = cq_row_commit(hot, bytes);
    CQ_POINT("round-raise-committed");
    cq_stamped_add(&hot->used, clock->period_id, bytes);
    CQ_POINT("round-raise-used");
    atomic_fetch_or(&hot->mark, CQ_MARK_RAISED);
    cq_row_mark_moved(a->table, a->row);
    cq_entry_end(ledger_entry(a));
}

bool cq_share_apply(struct cq_table *t, struct cq_share *share,
                    const struct cq_share_update *update,
                    const struct cq_clock *clock, bool *raised)
{
    struct cq_account a;
    int64_t used;

    *raised = false;
    if (!cq_account_open_row(t, share->row, share->identity, &a)) {
        return false;
    }
    if (roll_row(&a, clock->period_id) != clock->period_id) {
        cq_account_close(&a);
        return false;           /* midnight in between, or a wrong clock's */
    }
    if (update->forget) {
        cq_account_reset(&a);
    }
    used = cq_row_used(hot_row(&a), clock->period_id);
    if (used < update->own_bytes) {
        raise_used(&a, clock, update->own_bytes - used);
        *raised = true;
    }
    set_others(t, share->row, clock->period_id, update);
    used = cq_row_used(hot_row(&a), clock->period_id);
    if (cq_sum_bytes(used, update->others_used_bytes) >= update->allowance_bytes
        && update->allowance_bytes < CQ_BYTES_MAX) {
        cq_account_set_over(&a, clock);
    }
    cq_account_close(&a);
    return cq_share_read(t, share->row, clock, share);
}

/* ---- rows that only other nodes know ---- */

bool cq_guest_make(struct cq_table *t, uint16_t pool, const struct cq_key *key,
                   const struct cq_clock *clock, uint32_t *row)
{
    struct cq_prefixes prefixes = cq_table_prefixes(t);
    struct cq_subject subject;
    struct cq_account a;

    if (pool >= cq_table_pool_count(t) || !cq_key_is_valid(key)
        || key->prefix != (key->family == 4 ? prefixes.v4_bits
                                            : prefixes.v6_bits)) {
        return false;
    }
    subject = cq_subject_make(t, cq_identity(t, pool, key), pool, key);
    subject.guest = true;
    if (cq_account_open_subject(t, &subject, clock, &a) != CQ_OK) {
        return false;
    }
    if ((atomic_load(&hot_row(&a)->mark) & CQ_MARK_POLICY) == 0) {
        cq_account_mark(&a, cq_rules_index(t, pool, key), CQ_ORIGIN_PEER);
    }
    CQ_POINT("round-guest");
    cq_row_mark_moved(t, a.row);
    *row = a.row;
    cq_account_close(&a);
    return true;
}
