/* claim - finding a subject's row, a client's or a pair's, and making one.
 *
 *   LIVE(row) and LIVE(other), of one identity   =>  row = other
 *   a row passes from one subject to another     =>  no entry holds it
 *
 * layout.h shows the states that ensure it. No call waits for another process:
 * where one is in the middle of a step, the search starts again, a bounded
 * number of times. Called by account.c for every request without a row. */
#include "table/parts.h"

#include <string.h>

/* How often a search begins again before the request is served uncounted.
 * What it waits for takes well under a microsecond unless its owner was
 * preempted or killed there. */
#define SEARCHES_MAX 64

/* After this number of searches another claimant of the same client counts as
 * dead, and its claim is killed. */
#define PATIENCE 32

/* A first bucket is filled up to this many of its 16 rows before the emptier
 * of the two is preferred: most clients are then found in their first. */
#define FIRST_FILL 12

enum row_class {
    ROW_EMPTY,
    ROW_PAST,           /* of a past period, not held */
    ROW_SMALL,          /* of this period, not held, not over quota */
    ROW_BUSY            /* any other: it stays */
};

static void pause_shortly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Does only a hint of another node know this client here? Such a row goes
 * first, over quota or not: hints fill no table. */
static bool is_guest(const struct cq_table *t, uint32_t row,
                     uint16_t period_id)
{
    return !cq_row_is_pair(t, row) && t->cluster != NULL
        && cq_row_used(&t->hot[row], period_id) == 0
        && cq_stamped_get(&t->cold[row].hits, period_id) == 0
        && cq_stamped_get(&t->cold[row].refused, period_id) == 0;
}

static enum row_class classify_row(const struct cq_table *t, uint32_t row,
                                   uint16_t period_id, int64_t *used_bytes)
{
    const struct cq_hot *hot = &t->hot[row];
    uint64_t id = atomic_load_explicit(&hot->identity, memory_order_acquire);

    if (id == CQ_EMPTY) {
        return ROW_EMPTY;
    }
    if ((id & CQ_STATE_MASK) != CQ_LIVE
        || (atomic_load_explicit(&hot->holders, memory_order_relaxed)
            & CQ_HOLDERS) != 0) {
        return ROW_BUSY;
    }
    if (!cq_row_is_current(hot, period_id)) {
        return ROW_PAST;
    }
    if (is_guest(t, row, period_id)) {
        *used_bytes = 0;
        return ROW_SMALL;
    }
    *used_bytes = cq_row_used(hot, period_id)
        + cq_stamped_get(&hot->others, period_id) + 1;
    return cq_row_over_since(t, row, period_id) != 0 ? ROW_BUSY : ROW_SMALL;
}

/* The /48 of an IPv6 client: its owner has 65,536 clients. 0 for IPv4, where
 * no network has many. */
static uint64_t network_number(const uint64_t facts[3])
{
    struct cq_key key;
    uint64_t network = 0;
    int i;

    memcpy(key.bytes, facts, sizeof(key.bytes));
    for (i = 0; i < 6 && (facts[2] >> 8 & 0xff) == 6; i++) {
        network = network << 8 | key.bytes[i];
    }
    return network;
}

static uint64_t read_network(const struct cq_table *t, uint32_t row)
{
    const struct cq_cold *cold = &t->cold[row];
    uint64_t facts[3];

    facts[0] = atomic_load_explicit(&cold->address[0], memory_order_relaxed);
    facts[1] = atomic_load_explicit(&cold->address[1], memory_order_relaxed);
    facts[2] = atomic_load_explicit(&cold->pool_prefix, memory_order_relaxed);
    return network_number(facts);
}

/* Whose row goes when all are taken: the one that used least, but one of the
 * newcomer's own network if it has any here. So a flood of new prefixes out of
 * one network puts out its own. */
static uint32_t choose_victim(const struct cq_table *t,
                              const struct cq_window *w,
                              const struct cq_subject *subject,
                              uint16_t period_id)
{
    uint64_t network = subject->region == &t->pairs
                       ? 0 : network_number(subject->facts);
    uint32_t smallest[2] = { CQ_NO_ROW, CQ_NO_ROW };
    int64_t least[2] = { INT64_MAX, INT64_MAX };
    uint32_t i, own;

    for (i = 0; i < CQ_WINDOW_ROWS; i++) {
        int64_t used_bytes = 0;
        uint32_t row = w->row[i];
        enum row_class class = classify_row(t, row, period_id, &used_bytes);

        own = network != 0 && read_network(t, row) == network;
        if (class == ROW_SMALL && used_bytes < least[own]) {
            least[own] = used_bytes;
            smallest[own] = row;
        }
    }
    return smallest[1] != CQ_NO_ROW ? smallest[1] : smallest[0];
}

/* The row to take for a new client: one of the pairs where the search begins,
 * unless the bucket is rather full; an empty one, else one of a past period,
 * balanced between the two buckets; else choose_victim()'s. */
static uint32_t choose_row(const struct cq_table *t, const struct cq_window *w,
                           const struct cq_subject *subject, uint16_t period_id,
                           bool *evicts)
{
    uint32_t empty[2] = { CQ_NO_ROW, CQ_NO_ROW };
    uint32_t past[2] = { CQ_NO_ROW, CQ_NO_ROW };
    uint32_t full[2] = { 0, 0 };
    uint32_t i, b;

    for (i = 0; i < CQ_WINDOW_ROWS; i++) {
        int64_t used_bytes = 0;
        uint32_t row = w->row[i];

        b = i / CQ_BUCKET_ROWS;
        switch (classify_row(t, row, period_id, &used_bytes)) {
        case ROW_EMPTY:
            if (empty[b] == CQ_NO_ROW) {
                empty[b] = row;
            }
            break;
        case ROW_PAST:
            if (past[b] == CQ_NO_ROW) {
                past[b] = row;
            }
            break;
        case ROW_SMALL:
        case ROW_BUSY:
            full[b]++;
            break;
        }
    }
    *evicts = false;
    for (i = 0; i < 4; i++) {
        uint32_t home = w->row[i / 2 * CQ_BUCKET_ROWS + i % 2];

        if (full[i / 2] < FIRST_FILL
            && atomic_load(&t->hot[home].identity) == CQ_EMPTY) {
            return home;
        }
    }
    b = full[0] >= FIRST_FILL && full[1] < full[0] ? 1 : 0;
    if (empty[b] != CQ_NO_ROW) {
        return empty[b];
    }
    if (past[b] != CQ_NO_ROW) {
        return past[b];
    }
    if (empty[1 - b] != CQ_NO_ROW) {
        return empty[1 - b];
    }
    if (past[1 - b] != CQ_NO_ROW) {
        return past[1 - b];
    }
    *evicts = true;
    return subject->guest ? CQ_NO_ROW
                          : choose_victim(t, w, subject, period_id);
}

void cq_row_zero(struct cq_table *t, uint32_t row)
{
    struct cq_hot *hot = &t->hot[row];
    cq_word *flight = cq_row_flight(t, row);
    struct cq_cold *cold;

    /* not holders: a process that found the old identity may be adding and
     * removing its one at this moment */
    atomic_store_explicit(&hot->committed, 0, memory_order_relaxed);
    atomic_store_explicit(&hot->used, 0, memory_order_relaxed);
    atomic_store_explicit(&hot->before, 0, memory_order_relaxed);
    atomic_store_explicit(&hot->day_base, 0, memory_order_relaxed);
    atomic_store_explicit(&hot->free_range, 0, memory_order_relaxed);
    atomic_store_explicit(&hot->mark, 0, memory_order_relaxed);
    atomic_store_explicit(&hot->others, 0, memory_order_relaxed);
    CQ_POINT("zero-hot");
    if (cq_row_is_pair(t, row)) {
        atomic_thread_fence(memory_order_release);
        return;
    }
    cold = &t->cold[row];
    atomic_store_explicit(&cold->address[0], 0, memory_order_relaxed);
    atomic_store_explicit(&cold->address[1], 0, memory_order_relaxed);
    atomic_store_explicit(&cold->pool_prefix, 0, memory_order_relaxed);
    atomic_store_explicit(&cold->free, 0, memory_order_relaxed);
    atomic_store_explicit(&cold->hits, 0, memory_order_relaxed);
    atomic_store_explicit(&cold->refused, 0, memory_order_relaxed);
    atomic_store_explicit(&cold->seen, 0, memory_order_relaxed);
    atomic_store_explicit(&cold->over, 0, memory_order_relaxed);
    if (flight != NULL) {
        atomic_store_explicit(flight, 0, memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_release);
}

static void tally_eviction(struct cq_table *t, uint32_t row,
                           uint16_t period_id)
{
    if (cq_row_is_pair(t, row)) {
        atomic_fetch_add_explicit(&t->header->pairs_lost, 1,
                                  memory_order_relaxed);
        cq_table_notice(t, CQ_NOTICE_FILES);
        return;
    }
    cq_stamped_add(&t->header->clients_now, period_id, -1);
    atomic_fetch_add_explicit(&t->header->evictions, 1, memory_order_relaxed);
    cq_table_notice(t, CQ_NOTICE_EVICT);
}

/* Writes down whose row it is. */
static void name_row(struct cq_table *t, uint32_t row,
                     const uint64_t facts[3])
{
    if (cq_row_is_pair(t, row)) {
        atomic_store_explicit(&t->hot[row].client, facts[0],
                              memory_order_relaxed);
        atomic_store_explicit(&t->hot[row].name_number, facts[1],
                              memory_order_relaxed);
        return;
    }
    atomic_store_explicit(&t->cold[row].address[0], facts[0],
                          memory_order_relaxed);
    atomic_store_explicit(&t->cold[row].address[1], facts[1],
                          memory_order_relaxed);
    atomic_store_explicit(&t->cold[row].pool_prefix, facts[2],
                          memory_order_relaxed);
}

/* Makes a row that no entry holds this process's claim. */
static bool reclaim(struct cq_table *t, uint32_t row, uint64_t hash,
                    uint16_t period_id, bool evicts)
{
    struct cq_hot *hot = &t->hot[row];
    uint64_t old = atomic_load_explicit(&hot->identity, memory_order_acquire);
    int64_t used_bytes = 0;
    enum row_class class = classify_row(t, row, period_id, &used_bytes);

    if ((old & CQ_STATE_MASK) != CQ_LIVE
        || class != (evicts ? ROW_SMALL : ROW_PAST)) {
        return false;
    }
    CQ_POINT("reclaim-before");
    if (!atomic_compare_exchange_strong(&hot->identity, &old,
                                        (old & ~CQ_STATE_MASK) | CQ_RECLAIM)) {
        return false;
    }
    CQ_POINT("reclaim-taken");
    /* A holder counts itself, then reads the identity; this process changed the
     * identity and now reads the holders: one of the two sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    if ((atomic_load(&hot->holders) & CQ_HOLDERS) != 0
        || (evicts ? cq_row_over_since(t, row, period_id) != 0
                         && !is_guest(t, row, period_id)
                   : cq_row_is_current(hot, period_id))) {
        atomic_store(&hot->identity, old);
        CQ_POINT("reclaim-refused");
        return false;
    }
    CQ_POINT("reclaim-zeroing");
    cq_row_zero(t, row);
    CQ_POINT("reclaim-zeroed");
    atomic_store_explicit(&hot->identity, hash | CQ_CLAIM,
                          memory_order_release);
    CQ_POINT("reclaim-claimed");
    if (evicts) {
        tally_eviction(t, row, period_id);
    }
    return true;
}

/* Is a row's count of neither this period nor the one before? */
static bool is_old(const struct cq_hot *hot, uint16_t stamp)
{
    uint16_t used = cq_stamp(atomic_load(&hot->used));
    uint16_t before = cq_stamp(atomic_load(&hot->before));

    return used != stamp && used + 1 != stamp && before != stamp
        && before + 1 != stamp;
}

bool cq_row_erase(struct cq_table *t, uint32_t entry, uint32_t row,
                  uint16_t stamp)
{
    struct cq_entry *e = &t->ledger[entry];
    struct cq_hot *hot = &t->hot[row];
    uint64_t old = atomic_load_explicit(&hot->identity, memory_order_acquire);
    bool erased = false;

    if ((old & CQ_STATE_MASK) != CQ_LIVE || !is_old(hot, stamp)
        || (atomic_load(&hot->holders) & CQ_HOLDERS) != 0) {
        return false;
    }
    atomic_store_explicit(&e->row, row, memory_order_relaxed);
    atomic_store_explicit(&e->purpose, CQ_ENTRY_CLAIMING,
                          memory_order_release);
    atomic_fetch_add(&hot->holders, CQ_TURN);
    if (atomic_compare_exchange_strong(&hot->identity, &old,
                                       (old & ~CQ_STATE_MASK) | CQ_RECLAIM)) {
        CQ_POINT("erase-taken");
        atomic_thread_fence(memory_order_seq_cst);      /* as in reclaim() */
        erased = (atomic_load(&hot->holders) & CQ_HOLDERS) == 0
            && is_old(hot, stamp);
        if (erased) {
            cq_row_zero(t, row);
            CQ_POINT("erase-zeroed");
        }
        atomic_store_explicit(&hot->identity, erased ? CQ_EMPTY : old,
                              memory_order_release);
    }
    atomic_store_explicit(&e->purpose, CQ_ENTRY_IDLE, memory_order_release);
    return erased;
}

/* Empties the row of a claim that has lost. Nothing was counted in it. */
static void abandon_claim(struct cq_table *t, uint32_t row)
{
    cq_row_zero(t, row);
    CQ_POINT("claim-zeroed");
    atomic_store_explicit(&t->hot[row].identity, CQ_EMPTY,
                          memory_order_release);
}

/* Kills the claims of this subject that lose against this process's claim in
 * the row own: of several claims the one in the lowest row wins.
 * @param impatient  all others lose: their processes count as dead
 * @return false: a row of the subject is left that does not lose */
static bool kill_rivals(struct cq_table *t, const struct cq_window *w,
                        uint32_t own, uint64_t hash, bool impatient)
{
    uint32_t i;

    for (i = 0; i < CQ_WINDOW_ROWS; i++) {
        uint32_t row = w->row[i];
        uint64_t id;

        if (row == own) {
            continue;
        }
        id = atomic_load(&t->hot[row].identity);
        while (id == (hash | CQ_CLAIM) && (own < row || impatient)) {
            if (atomic_compare_exchange_weak(&t->hot[row].identity, &id,
                                             hash | CQ_KILLED)) {
                id = CQ_EMPTY;
            }
        }
        if (id == (hash | CQ_LIVE) || id == (hash | CQ_CLAIM)
            || id == (hash | CQ_RECLAIM)) {
            return false;
        }
    }
    return true;
}

/* One try to make a row. */
static void try_claim(struct cq_table *t, uint32_t entry,
                      const struct cq_subject *subject,
                      const struct cq_window *w, uint16_t period_id,
                      bool impatient)
{
    struct cq_entry *e = &t->ledger[entry];
    uint64_t hash = subject->hash;
    bool evicts;
    uint32_t row = choose_row(t, w, subject, period_id, &evicts);
    uint64_t expected = CQ_EMPTY;

    if (row == CQ_NO_ROW) {
        if (subject->region == &t->clients && !subject->guest) {
            cq_table_notice(t, CQ_NOTICE_UNTRACKED);    /* it is full */
        }
        return;
    }
    atomic_store_explicit(&e->row, row, memory_order_relaxed);
    atomic_store_explicit(&e->purpose, CQ_ENTRY_CLAIMING,
                          memory_order_release);
    CQ_POINT("claim-noted");
    /* before the first try to take it: see finish_claim() in settle.c */
    atomic_fetch_add(&t->hot[row].holders, CQ_TURN);
    if (atomic_compare_exchange_strong(&t->hot[row].identity, &expected,
                                       hash | CQ_CLAIM)
        || reclaim(t, row, hash, period_id, evicts)) {
        CQ_POINT("claim-claimed");
        name_row(t, row, subject->facts);
        CQ_POINT("claim-named");
        expected = hash | CQ_CLAIM;
        atomic_thread_fence(memory_order_seq_cst);
        if (!kill_rivals(t, w, row, hash, impatient)
            || !atomic_compare_exchange_strong(&t->hot[row].identity,
                                               &expected, hash | CQ_LIVE)) {
            CQ_POINT("claim-lost");
            abandon_claim(t, row);
        }
    }
    CQ_POINT("claim-done");
    atomic_store_explicit(&e->purpose, CQ_ENTRY_IDLE, memory_order_release);
}

uint32_t cq_claim_row(struct cq_table *t, uint32_t entry,
                      const struct cq_subject *subject, uint16_t period_id)
{
    uint64_t hash = subject->hash;
    struct cq_window w;
    int searches;

    cq_window_fill(subject->region, hash, &w);
    for (searches = 0; searches < SEARCHES_MAX; searches++) {
        bool in_motion = false;
        uint32_t i;

        for (i = 0; i < CQ_WINDOW_ROWS; i++) {
            uint64_t id = atomic_load_explicit(
                &t->hot[w.row[i]].identity, memory_order_acquire);

            if (id == (hash | CQ_LIVE)) {
                return w.row[i];
            }
            if (id == (hash | CQ_RECLAIM)
                || (id == (hash | CQ_CLAIM) && searches < PATIENCE)) {
                in_motion = true;
            }
        }
        if (in_motion) {
            pause_shortly();
        }
        else {
            try_claim(t, entry, subject, &w, period_id,
                      searches >= PATIENCE);
        }
    }
    return CQ_NO_ROW;
}
