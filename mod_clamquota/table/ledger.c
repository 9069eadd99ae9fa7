/* ledger - which process holds which row, so that each may die at any
 * instruction.
 *
 *   a row's holders and reserved bytes  =  those of the entries that name it
 *
 * A process writes its entry before the row. Only the owner writes an entry;
 * settle.c does for dead owners. Owns acquiring and releasing entries, and the
 * tickets by which processes are known. Every thread calls it. */
#include "table/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* How many entries a request looks at for a free one before it is served
 * without: 4096 cache lines are some tens of microseconds at most. */
#define PROBES_MAX 4096u

static struct flock make_lock(uint64_t ticket)
{
    struct flock lock;

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = (off_t)ticket;
    lock.l_len = 1;
    return lock;
}

/* A ticket that no living process has: the lock is the proof. Numbers begin
 * anew after 2^30 processes. */
static uint64_t acquire_ticket(struct cq_table *t)
{
    for (;;) {
        uint64_t ticket = atomic_fetch_add(&t->header->ticket, 1)
                          % CQ_TICKET_MAX + 1;
        struct flock lock = make_lock(ticket);

        if (fcntl(t->fd, F_SETLK, &lock) == 0) {
            return ticket;
        }
        if (errno != EACCES && errno != EAGAIN) {
            return 0;
        }
    }
}

bool cq_table_enter(struct cq_table *t)
{
    uint32_t pid = (uint32_t)getpid();

    atomic_store(&t->header->closed, 0);
    t->owner = acquire_ticket(t);
    t->stripe = pid % CQ_STRIPES;
    atomic_store(&t->spare[0], CQ_NO_ENTRY);
    atomic_store(&t->spare[1], CQ_NO_ENTRY);
    /* Processes begin their search apart from one another, but all near the
     * beginning: settling reads every entry that was ever used. */
    atomic_store(&t->cursor, pid % 61u * 64u % t->ledger_n);
    return t->owner != 0;
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

static bool try_acquire(struct cq_table *t, uint32_t entry)
{
    uint64_t nobody = 0;

    return atomic_load_explicit(&t->ledger[entry].owner,
                                memory_order_relaxed) == 0
        && atomic_compare_exchange_strong(&t->ledger[entry].owner, &nobody,
                                          t->owner);
}

uint32_t cq_entry_acquire(struct cq_table *t)
{
    /* Only a hint: of two threads that try it one goes on to the search, so
     * it need not be taken away from the other by a locked exchange. */
    uint32_t entry = atomic_load_explicit(&t->spare[0], memory_order_relaxed);
    uint32_t probes;

    if (t->owner == 0) {
        return CQ_NO_ENTRY;     /* no proof that this process is alive */
    }
    if (entry != CQ_NO_ENTRY && try_acquire(t, entry)) {
        return entry;
    }
    entry = atomic_load_explicit(&t->spare[1], memory_order_relaxed);
    if (entry != CQ_NO_ENTRY && try_acquire(t, entry)) {
        return entry;
    }
    for (probes = 0; probes < PROBES_MAX && probes < t->ledger_n; probes++) {
        entry = atomic_fetch_add_explicit(&t->cursor, 1, memory_order_relaxed)
                % t->ledger_n;
        /* first the mark: a scan must find the entry if this process dies */
        raise_high(t, entry);
        CQ_POINT("entry-marked");
        if (try_acquire(t, entry)) {
            CQ_POINT("entry-taken");
            return entry;
        }
    }
    atomic_fetch_add_explicit(&t->header->ledger_full, 1,
                              memory_order_relaxed);
    cq_table_notice(t, CQ_NOTICE_LEDGER);
    return CQ_NO_ENTRY;
}

void cq_entry_release(struct cq_table *t, uint32_t entry)
{
    atomic_store_explicit(&t->ledger[entry].purpose, CQ_ENTRY_IDLE,
                          memory_order_relaxed);
    atomic_store_explicit(&t->ledger[entry].owner, 0, memory_order_release);
    /* neighbours, as two that are taken together are, don't put one another
     * out */
    atomic_store_explicit(&t->spare[entry % 2], entry, memory_order_relaxed);
}

uint32_t cq_ledger_high(const struct cq_table *t)
{
    uint32_t high = atomic_load(&t->header->ledger_high);

    return high < t->ledger_n ? high : t->ledger_n;
}

int64_t cq_table_transfers(const struct cq_table *t)
{
    uint32_t high = cq_ledger_high(t);
    int64_t transfers = 0;
    uint32_t i;

    for (i = 0; i < high; i++) {
        const struct cq_entry *e = &t->ledger[i];

        /* with Copies a transfer has a second entry, of a pair */
        if (atomic_load_explicit(&e->owner, memory_order_relaxed) != 0
            && atomic_load_explicit(&e->purpose, memory_order_relaxed)
                == CQ_ENTRY_HELD
            && atomic_load_explicit(&e->row, memory_order_relaxed) < t->rows_n
            && atomic_load_explicit(&e->left_bytes, memory_order_relaxed)
                > 0) {
            transfers++;
        }
    }
    return transfers;
}

bool cq_owner_lives(const struct cq_table *t, uint64_t owner)
{
    struct flock lock;

    if (owner == 0 || owner > CQ_TICKET_MAX) {
        return false;           /* no ticket: a damaged file */
    }
    if (owner == t->owner) {
        return true;            /* F_GETLK doesn't tell of one's own */
    }
    lock = make_lock(owner);
    /* an owner that can't be asked for counts as alive */
    return fcntl(t->fd, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}
