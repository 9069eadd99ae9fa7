/* settle - what dead processes left in the ledger.
 *
 *   afterwards, for each row r that a dead owner's entry named:
 *   committed(r) = used(r) + sum of left_bytes of the living that hold r
 *
 * Only the holder of the table's lock settles, one process at a time; should it
 * be killed, the next one begins again. An entry that was not in motion when
 * its owner died states exactly what to release, even in a row that living
 * processes change all the time (t/unit/table_stress.c). Of a row whose dead
 * entry was in motion only what the living hold is kept. */
#include "table/parts.h"

#include <stdlib.h>
#include <string.h>

/* A row that living processes keep changing is read again this number of times,
 * then left for the next round. */
#define SETTLE_TRIES 64

/* Owners in the ledger are few (one for each process) although entries are
 * many: each is asked for once. More dead ones wait for the next round. */
#define OWNERS_MAX 4096

struct owners {
    uint64_t dead[OWNERS_MAX];
    uint64_t alive[OWNERS_MAX];
    size_t dead_n;
    size_t alive_n;
};

static bool is_listed(const uint64_t *list, size_t n, uint64_t owner)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (list[i] == owner) {
            return true;
        }
    }
    return false;
}

static void collect_owners(const struct cq_table *t, struct owners *o)
{
    uint32_t high = cq_ledger_high(t);
    uint64_t last = 0;
    uint32_t i;

    for (i = 0; i < high; i++) {
        uint64_t owner = atomic_load(&t->ledger[i].owner);

        if (owner == 0 || owner == last || is_listed(o->dead, o->dead_n, owner)
            || is_listed(o->alive, o->alive_n, owner)) {
            continue;
        }
        last = owner;
        if (!cq_owner_lives(t, owner)) {
            if (o->dead_n < OWNERS_MAX) {
                o->dead[o->dead_n++] = owner;
            }
        }
        else if (o->alive_n < OWNERS_MAX) {
            o->alive[o->alive_n++] = owner;
        }
    }
}

/* ---- a snapshot of a row, and the sum of what entries hold in it ---- */

struct snapshot {
    uint64_t identity;
    uint64_t committed;
    uint64_t used;
    uint32_t holders;           /* with turns */
};

static struct snapshot read_snapshot(const struct cq_hot *hot)
{
    struct snapshot snapshot;

    snapshot.identity = atomic_load(&hot->identity);
    snapshot.committed = atomic_load(&hot->committed);
    snapshot.used = atomic_load(&hot->used);
    snapshot.holders = atomic_load(&hot->holders);
    return snapshot;
}

static bool snapshots_agree(const struct snapshot *a, const struct snapshot *b)
{
    return a->identity == b->identity && a->committed == b->committed
        && a->used == b->used && a->holders == b->holders;
}

/* What entries hold in a row. An entry of a dead process counts until its part
 * is released, but not if the process died in motion. */
struct row_holdings {
    uint64_t left_bytes;
    uint32_t holders;
    uint32_t motions;           /* sum of the counters */
    bool is_moving;             /* a living one is in the middle of something */
    bool has_claimant;          /* a living one may be making it its own */
};

static void add_entry(const struct cq_entry *e, bool dead,
                      struct row_holdings *v)
{
    uint32_t motion = atomic_load_explicit(&e->motion, memory_order_acquire);
    uint32_t purpose = atomic_load(&e->purpose);

    if (dead && motion % 2 != 0) {
        return;
    }
    v->motions += motion;
    if (motion % 2 != 0) {
        v->is_moving = true;
    }
    if (purpose == CQ_ENTRY_CLAIMING && !dead) {
        v->has_claimant = true;
    }
    if (purpose == CQ_ENTRY_HELD) {
        v->left_bytes += (uint64_t)atomic_load(&e->left_bytes);
        v->holders++;
    }
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load(&e->motion) != motion) {
        v->is_moving = true;
    }
}

static struct row_holdings sum_holdings(const struct cq_table *t, uint32_t row,
                                        const struct owners *o)
{
    struct row_holdings v = { 0 };
    uint32_t high = cq_ledger_high(t);
    uint32_t i;

    for (i = 0; i < high; i++) {
        const struct cq_entry *e = &t->ledger[i];
        uint64_t owner;

        if (atomic_load_explicit(&e->row, memory_order_acquire) != row) {
            continue;
        }
        owner = atomic_load(&e->owner);
        if (owner != 0) {
            add_entry(e, is_listed(o->dead, o->dead_n, owner), &v);
        }
    }
    return v;
}

/* ---- releasing ---- */

/* Sets a row to what the living hold. Two equal sums of holdings show that no
 * process counted in between, equal snapshots (turns included) that none came
 * or went: so the snapshot in the middle shows what is held and what is too
 * much. That stays too much whatever the living do afterwards. */
static bool recompute_row(struct cq_table *t, uint32_t row,
                          const struct owners *o)
{
    struct cq_hot *hot = &t->hot[row];
    int tries;

    for (tries = 0; tries < SETTLE_TRIES; tries++) {
        struct snapshot before = read_snapshot(hot);
        struct row_holdings first = sum_holdings(t, row, o);
        struct snapshot snapshot = read_snapshot(hot);
        struct row_holdings second = sum_holdings(t, row, o);
        struct snapshot after = read_snapshot(hot);
        int64_t due;

        if (snapshot.identity != CQ_EMPTY
            && (snapshot.identity & CQ_STATE_MASK) != CQ_LIVE) {
            return false;       /* being made another's: next time */
        }
        if (!snapshots_agree(&before, &snapshot) || !snapshots_agree(&snapshot,
                                                                     &after)
            || first.is_moving || second.is_moving
            || first.motions != second.motions
            || first.holders != second.holders
            || first.left_bytes != second.left_bytes) {
            continue;
        }
        if (cq_stamp(snapshot.committed) != cq_stamp(snapshot.used)) {
            /* a process died in a step into another period: finish it */
            cq_row_roll(t, row, cq_stamp(snapshot.used));
            continue;
        }
        due = first.left_bytes > (uint64_t)CQ_BYTES_MAX
            ? CQ_BYTES_MAX : (int64_t)first.left_bytes;
        if (atomic_compare_exchange_strong(
                &hot->committed, &snapshot.committed,
                cq_stamped(cq_stamp(snapshot.used),
                           cq_bytes(snapshot.used) + due))
            && atomic_compare_exchange_strong(
                &hot->holders, &snapshot.holders,
                (snapshot.holders & ~CQ_HOLDERS)
                    | (first.holders & CQ_HOLDERS))) {
            return true;
        }
    }
    return false;
}

/* Does a dead entry state by itself what to release? */
static bool is_consistent(const struct cq_table *t, const struct cq_entry *e,
                          uint32_t row)
{
    struct snapshot snapshot = read_snapshot(&t->hot[row]);
    int64_t left = atomic_load(&e->left_bytes);

    return atomic_load(&e->motion) % 2 == 0
        && (snapshot.identity & CQ_STATE_MASK) == CQ_LIVE
        && (snapshot.holders & CQ_HOLDERS) != 0
        && left >= 0 && left <= cq_bytes(snapshot.committed);
}

static bool release_holding(struct cq_table *t, struct cq_entry *e,
                            uint32_t row,
                            const struct owners *o)
{
    struct cq_hot *hot = &t->hot[row];
    bool consistent = is_consistent(t, e, row);
    uint64_t d;

    /* in motion, as if its owner did it: it has no voice from now on, and if
     * we die here the next one recomputes */
    if (atomic_load(&e->motion) % 2 == 0) {
        cq_entry_begin(e);
    }
    if (!consistent) {
        return recompute_row(t, row, o);
    }
    CQ_POINT("settle-begun");
    cq_row_commit(hot, -atomic_load(&e->left_bytes));
    CQ_POINT("settle-given");
    d = atomic_load(&hot->used);
    if (cq_stamp(atomic_load(&hot->committed)) != cq_stamp(d)) {
        cq_row_roll(t, row, cq_stamp(d));
    }
    atomic_fetch_sub(&hot->holders, 1);
    CQ_POINT("settle-released");
    return true;
}

/* ---- unfinished rows ---- */

/* Ends what a dead claimant or reclaimer began. A living one notes the row in
 * its entry, adds a turn and only then touches the identity. So a row whose
 * identity and turns did not change while no living entry named it is a dead
 * one's, and no other process leaves its state. */
static bool finish_claim(struct cq_table *t, uint32_t row,
                         const struct owners *o)
{
    struct cq_hot *hot = &t->hot[row];
    struct snapshot before = read_snapshot(hot);
    struct row_holdings v;
    struct snapshot after;
    uint64_t id = before.identity;

    if (id == CQ_EMPTY || (id & CQ_STATE_MASK) == CQ_LIVE) {
        return true;
    }
    v = sum_holdings(t, row, o);
    after = read_snapshot(hot);
    if (v.has_claimant || v.is_moving || after.identity != id
        || (after.holders & ~CQ_HOLDERS) != (before.holders & ~CQ_HOLDERS)) {
        return false;           /* perhaps a living one's: next time */
    }
    if ((id & CQ_STATE_MASK) == CQ_RECLAIM && v.holders > 0) {
        /* Its holder, dead or alive, came before the reclaimer, which has seen
         * that and has not changed a word. */
        return atomic_compare_exchange_strong(&hot->identity, &id,
                                              id | CQ_LIVE);
    }
    cq_row_zero(t, row);
    CQ_POINT("settle-zeroed");
    atomic_store(&hot->identity, CQ_EMPTY);
    return true;
}

/* ---- entries ---- */

static void free_entry(struct cq_entry *e)
{
    /* first the row: with none of it there is nothing left to settle, should
     * we die before the owner is gone */
    atomic_store(&e->row, CQ_NO_ROW);
    CQ_POINT("settle-freed");
    atomic_store(&e->left_bytes, 0);
    atomic_store(&e->purpose, CQ_ENTRY_IDLE);
    if (atomic_load(&e->motion) % 2 != 0) {
        cq_entry_end(e);
    }
    atomic_store(&e->owner, 0);
}

static bool settle_entry(struct cq_table *t, uint32_t entry, bool has_claimant,
                         const struct owners *o)
{
    struct cq_entry *e = &t->ledger[entry];
    uint32_t purpose = atomic_load(&e->purpose);
    uint32_t row = atomic_load(&e->row);
    bool is_claim = purpose == CQ_ENTRY_CLAIMING;
    bool done = true;

    if (is_claim != has_claimant) {
        return false;
    }
    if (row < t->all_rows_n && is_claim) {
        done = finish_claim(t, row, o);
    }
    else if (row < t->all_rows_n && purpose == CQ_ENTRY_HELD) {
        done = release_holding(t, e, row, o);
    }
    if (row < t->all_rows_n) {
        cq_row_mark_moved(t, row); /* the dead one may have come no farther */
    }
    if (done) {
        free_entry(e);
    }
    return done;
}

int cq_table_settle(struct cq_table *t)
{
    struct owners *o = calloc(1, sizeof(*o));
    uint32_t high = cq_ledger_high(t);
    uint32_t i;
    int round, settled = 0;

    if (o == NULL || cq_table_health(t) == CQ_HEALTH_LOST) {
        free(o);
        return 0;
    }
    collect_owners(t, o);
    /* unfinished rows first: what entries hold of them can be released only
     * when they are whole */
    for (round = 0; o->dead_n > 0 && round < 2; round++) {
        for (i = 0; i < high; i++) {
            if (is_listed(o->dead, o->dead_n, atomic_load(&t->ledger[i].owner))
                && settle_entry(t, i, round == 0, o)) {
                settled++;
            }
        }
    }
    free(o);
    return settled;
}
