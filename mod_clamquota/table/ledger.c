/* ledger - who holds what, so that a process may die at any instruction.
 *
 * An entry is written before the row that it speaks of. Only its owner writes
 * it; cq_table_settle() frees the entries of the dead and recomputes what
 * their rows hold from the entries of the living. */
#include "table/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many entries a request looks at for a free one before it is served
 * without: 4096 cache lines are some tens of microseconds at most. */
#define PROBES_MAX 4096u

/* A living process in the middle of a change is looked at again so often. */
#define SETTLE_TRIES 1000

/* Start time of a process in clock ticks since boot: with the pid it names
 * one process for good. 0 when it can't be read. */
static uint32_t start_time(int32_t pid)
{
    char path[32], text[1024];
    char *at;
    ssize_t n;
    int fd, field;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    /* field 22 (proc(5)); field 2 is the name in parentheses and may hold
     * anything, so count from the last one */
    at = strrchr(text, ')');
    for (field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? (uint32_t)strtoull(at + 1, NULL, 10) : 0;
}

static uint64_t owner_of(int32_t pid)
{
    return ((uint64_t)(uint32_t)pid << 32) | start_time(pid);
}

void cq_table_enter(struct cq_table *t)
{
    int32_t pid = (int32_t)getpid();

    t->owner = owner_of(pid);
    t->stripe = (uint32_t)pid % CQ_STRIPES;
    atomic_store(&t->spare, CQ_NO_ENTRY);
    /* processes begin their search apart from one another */
    atomic_store(&t->cursor, ((uint32_t)pid * 61u) % t->ledger_n);
}

static void raise_high(struct cq_table *t, uint32_t entry)
{
    uint32_t high = atomic_load_explicit(&t->header->ledger_high,
                                         memory_order_relaxed);

    while (high <= entry
           && !atomic_compare_exchange_weak(&t->header->ledger_high, &high,
                                            entry + 1)) {
    }
}

static bool take(struct cq_table *t, uint32_t entry)
{
    uint64_t nobody = 0;

    return atomic_load_explicit(&t->ledger[entry].owner,
                                memory_order_relaxed) == 0
        && atomic_compare_exchange_strong(&t->ledger[entry].owner, &nobody,
                                          t->owner);
}

uint32_t cq_entry_take(struct cq_table *t)
{
    uint32_t entry = atomic_exchange_explicit(&t->spare, CQ_NO_ENTRY,
                                              memory_order_relaxed);
    uint32_t probes;

    if (entry != CQ_NO_ENTRY && take(t, entry)) {
        return entry;
    }
    for (probes = 0; probes < PROBES_MAX && probes < t->ledger_n; probes++) {
        entry = atomic_fetch_add_explicit(&t->cursor, 1, memory_order_relaxed)
                % t->ledger_n;
        if (take(t, entry)) {
            raise_high(t, entry);
            return entry;
        }
    }
    atomic_fetch_add_explicit(&t->header->ledger_full, 1,
                              memory_order_relaxed);
    cq_table_notice(t, CQ_NOTICE_LEDGER);
    return CQ_NO_ENTRY;
}

void cq_entry_give(struct cq_table *t, uint32_t entry)
{
    atomic_store_explicit(&t->ledger[entry].purpose, CQ_ENTRY_IDLE,
                          memory_order_relaxed);
    atomic_store_explicit(&t->ledger[entry].owner, 0, memory_order_release);
    atomic_store_explicit(&t->spare, entry, memory_order_relaxed);
}

/* ---- settling ---- */

static bool is_alive(uint64_t owner)
{
    int32_t pid = (int32_t)(owner >> 32);
    uint32_t started;

    if (kill(pid, 0) != 0 && errno == ESRCH) {
        return false;
    }
    started = start_time(pid);
    return started == 0 || started == (uint32_t)owner;
}

/* What the living hold of a row. */
struct living {
    int64_t left_bytes;
    uint32_t holders;
    bool claims;                /* somebody is at making it another's */
    bool moving;                /* an entry changed while we looked */
};

static void sum_living(const struct cq_table *t, uint32_t row,
                       const uint64_t *dead, size_t dead_n, struct living *sum)
{
    uint32_t high = atomic_load(&t->header->ledger_high);
    uint32_t i;

    memset(sum, 0, sizeof(*sum));
    for (i = 0; i < high; i++) {
        const struct cq_entry *e = &t->ledger[i];
        uint64_t owner = atomic_load(&e->owner);
        uint32_t motion, purpose;
        size_t d;

        if (owner == 0 || atomic_load(&e->row) != row) {
            continue;
        }
        for (d = 0; d < dead_n && dead[d] != owner; d++) {
        }
        if (d < dead_n) {
            continue;
        }
        motion = atomic_load_explicit(&e->motion, memory_order_acquire);
        purpose = atomic_load(&e->purpose);
        if (motion % 2 != 0) {
            sum->moving = true;
        }
        if (purpose == CQ_ENTRY_CLAIMING || purpose == CQ_ENTRY_ZEROING) {
            sum->claims = true;
        }
        if (purpose == CQ_ENTRY_HELD) {
            sum->left_bytes += atomic_load(&e->left_bytes);
            sum->holders++;
        }
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load(&e->motion) != motion) {
            sum->moving = true;
        }
    }
}

/* Makes a row hold what the living hold of it: holders, and committed = drawn
 * + their reservations. The CAS on a word read before the sum fails if a
 * living one changed it meanwhile; a charge meanwhile moves bytes from an
 * entry to drawn and leaves the sum as it is. */
static bool recompute(struct cq_table *t, uint32_t row, const uint64_t *dead,
                      size_t dead_n)
{
    struct cq_hot *hot = &t->hot[row];
    int tries;

    for (tries = 0; tries < SETTLE_TRIES; tries++) {
        uint64_t c = atomic_load(&hot->committed);
        uint64_t d = atomic_load(&hot->drawn);
        uint32_t h = atomic_load(&hot->holders);
        struct living first, second;

        sum_living(t, row, dead, dead_n, &first);
        sum_living(t, row, dead, dead_n, &second);
        if (first.moving || second.moving
            || first.left_bytes != second.left_bytes
            || first.holders != second.holders
            || d != atomic_load(&hot->drawn)) {
            continue;
        }
        if (cq_stamp(c) != cq_stamp(d)) {
            /* died in the middle of a step into another period: finish it */
            cq_row_roll(t, row, cq_stamp(d));
            continue;
        }
        if (atomic_compare_exchange_strong(
                &hot->committed, &c,
                cq_stamped(cq_stamp(d), cq_bytes(d) + first.left_bytes))
            && atomic_compare_exchange_strong(&hot->holders, &h,
                                              first.holders)) {
            return true;
        }
    }
    return false;
}

/* Ends what a dead claimant or reclaimer began. */
static bool finish_claim(struct cq_table *t, uint32_t row, uint32_t purpose,
                         const uint64_t *dead, size_t dead_n)
{
    struct cq_hot *hot = &t->hot[row];
    uint64_t id = atomic_load(&hot->identity);
    struct living living;

    if (id == CQ_EMPTY || (id & CQ_STATE_MASK) == CQ_LIVE) {
        return true;
    }
    sum_living(t, row, dead, dead_n, &living);
    if (living.claims) {
        return false;           /* perhaps his; looked at again next time */
    }
    if ((id & CQ_STATE_MASK) == CQ_RECLAIM && purpose == CQ_ENTRY_CLAIMING) {
        /* taken, but not yet a word of it changed */
        return atomic_compare_exchange_strong(&hot->identity, &id,
                                              id | CQ_LIVE);
    }
    cq_row_zero(t, row);
    atomic_store(&hot->identity, CQ_EMPTY);
    return true;
}

static bool settle_entry(struct cq_table *t, uint32_t entry,
                         const uint64_t *dead, size_t dead_n)
{
    struct cq_entry *e = &t->ledger[entry];
    uint32_t purpose = atomic_load(&e->purpose);
    uint32_t row = atomic_load(&e->row);
    bool done = true;

    if (row < t->rows_n) {
        if (purpose == CQ_ENTRY_CLAIMING || purpose == CQ_ENTRY_ZEROING) {
            done = finish_claim(t, row, purpose, dead, dead_n);
        }
        else if (purpose == CQ_ENTRY_HELD) {
            done = recompute(t, row, dead, dead_n);
        }
    }
    if (done) {
        atomic_store(&e->row, CQ_NO_ROW);
        atomic_store(&e->left_bytes, 0);
        atomic_store(&e->motion, 0);
        atomic_store(&e->purpose, CQ_ENTRY_IDLE);
        atomic_store(&e->owner, 0);
    }
    return done;
}

/* Owners seen in the ledger are few (one for each process) although entries
 * are many: each is asked for once. */
#define OWNERS_MAX 4096

struct owners {
    uint64_t dead[OWNERS_MAX];
    uint64_t alive[OWNERS_MAX];
    size_t dead_n;
    size_t alive_n;
};

static bool known(const uint64_t *list, size_t n, uint64_t owner)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (list[i] == owner) {
            return true;
        }
    }
    return false;
}

static void collect_owners(const struct cq_table *t, int32_t pid,
                           struct owners *o)
{
    uint32_t high = atomic_load(&t->header->ledger_high);
    uint32_t i;

    for (i = 0; i < high; i++) {
        uint64_t owner = atomic_load(&t->ledger[i].owner);

        if (owner == 0 || known(o->dead, o->dead_n, owner)
            || known(o->alive, o->alive_n, owner)) {
            continue;
        }
        if (pid != 0 ? (int32_t)(owner >> 32) == pid : !is_alive(owner)) {
            if (o->dead_n < OWNERS_MAX) {
                o->dead[o->dead_n++] = owner;
            }
        }
        else if (o->alive_n < OWNERS_MAX) {
            o->alive[o->alive_n++] = owner;
        }
    }
}

int cq_table_settle(struct cq_table *t, int32_t pid)
{
    struct owners *o = calloc(1, sizeof(*o));
    uint32_t high = atomic_load(&t->header->ledger_high);
    uint32_t i;
    int settled = 0;

    if (o == NULL) {
        return 0;
    }
    collect_owners(t, pid, o);
    for (i = 0; o->dead_n > 0 && i < high; i++) {
        if (known(o->dead, o->dead_n, atomic_load(&t->ledger[i].owner))
            && settle_entry(t, i, o->dead, o->dead_n)) {
            settled++;
        }
    }
    free(o);
    return settled;
}
