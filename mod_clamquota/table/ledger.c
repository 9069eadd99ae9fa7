/* ledger - who holds what, so that a process may die at any instruction.
 *
 * An entry is written before the row that it speaks of. Only its owner writes
 * it; for the dead settle.c does. Here entries are taken and given, and
 * processes told apart. */
#include "table/parts.h"

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

/* what /proc/PID/stat tells of a process; all zero when it can't be read */
struct process {
    char state;                 /* R S D Z X ... */
    long threads;
    uint32_t started;           /* clock ticks since boot: with the pid it
                                 * names one process for good */
};

static struct process process_of(int32_t pid)
{
    struct process process = { 0 };
    char path[32], text[1024];
    char *at;
    ssize_t n;
    int fd, field;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return process;
    }
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0) {
        return process;
    }
    text[n] = '\0';
    /* fields 3, 20 and 22 (proc(5)); field 2 is the name in parentheses and
     * may hold anything, so count from the last one */
    at = strrchr(text, ')');
    for (field = 3; at != NULL && field <= 22; field++) {
        at = strchr(at + 1, ' ');
        if (at != NULL && field == 3) {
            process.state = at[1];
        }
        else if (at != NULL && field == 20) {
            process.threads = strtol(at + 1, NULL, 10);
        }
        else if (at != NULL && field == 22) {
            process.started = (uint32_t)strtoull(at + 1, NULL, 10);
        }
    }
    return process;
}

static uint64_t owner_of(int32_t pid)
{
    return ((uint64_t)(uint32_t)pid << 32) | process_of(pid).started;
}

void cq_table_enter(struct cq_table *t)
{
    int32_t pid = (int32_t)getpid();

    t->owner = owner_of(pid);
    t->stripe = (uint32_t)pid % CQ_STRIPES;
    atomic_store(&t->spare[0], CQ_NO_ENTRY);
    atomic_store(&t->spare[1], CQ_NO_ENTRY);
    /* Processes begin their search apart from one another, but all near the
     * beginning: whoever settles looks at every entry that was ever used. */
    atomic_store(&t->cursor, ((uint32_t)pid % 61u) * 64u
                                 % (t->ledger_n - CQ_LEDGER_BRIEF));
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
    /* Only a hint: of two threads that try it one goes on to the search, so
     * it need not be taken away from the other by a locked exchange. */
    uint32_t entry = atomic_load_explicit(&t->spare[0], memory_order_relaxed);
    uint32_t of_requests = t->ledger_n - CQ_LEDGER_BRIEF;
    uint32_t probes;

    if (entry != CQ_NO_ENTRY && take(t, entry)) {
        return entry;
    }
    entry = atomic_load_explicit(&t->spare[1], memory_order_relaxed);
    if (entry != CQ_NO_ENTRY && take(t, entry)) {
        return entry;
    }
    for (probes = 0; probes < PROBES_MAX && probes < of_requests; probes++) {
        entry = atomic_fetch_add_explicit(&t->cursor, 1, memory_order_relaxed)
                % of_requests;
        /* first the mark: who dies in between must be found by a scan */
        raise_high(t, entry);
        CQ_POINT("entry-marked");
        if (take(t, entry)) {
            CQ_POINT("entry-taken");
            return entry;
        }
    }
    atomic_fetch_add_explicit(&t->header->ledger_full, 1,
                              memory_order_relaxed);
    cq_table_notice(t, CQ_NOTICE_LEDGER);
    return CQ_NO_ENTRY;
}

uint32_t cq_entry_take_brief(struct cq_table *t)
{
    uint32_t i;

    raise_high(t, t->ledger_n - 1);
    for (i = 0; i < CQ_LEDGER_BRIEF; i++) {
        uint32_t entry = t->ledger_n - 1 - (t->stripe + i) % CQ_LEDGER_BRIEF;

        if (take(t, entry)) {
            return entry;
        }
    }
    return CQ_NO_ENTRY;
}

void cq_entry_give(struct cq_table *t, uint32_t entry)
{
    atomic_store_explicit(&t->ledger[entry].purpose, CQ_ENTRY_IDLE,
                          memory_order_relaxed);
    atomic_store_explicit(&t->ledger[entry].owner, 0, memory_order_release);
    if (entry < t->ledger_n - CQ_LEDGER_BRIEF) {
        /* neighbours, as two that are taken together are, don't put one
         * another out */
        atomic_store_explicit(&t->spare[entry % 2], entry,
                              memory_order_relaxed);
    }
}

uint32_t cq_ledger_high(const struct cq_table *t)
{
    uint32_t high = atomic_load(&t->header->ledger_high);

    return high < t->ledger_n ? high : t->ledger_n;
}

bool cq_owner_lives(uint64_t owner)
{
    uint32_t high = (uint32_t)(owner >> 32);
    struct process process;

    if (high == 0 || high > INT32_MAX) {
        return false;           /* no pid: a damaged file */
    }
    if (kill((pid_t)high, 0) != 0 && errno == ESRCH) {
        return false;
    }
    process = process_of((int32_t)high);
    /* Dead, and nobody has asked for its exit status yet. While threads of it
     * still run only its first one is a zombie. */
    if ((process.state == 'Z' || process.state == 'X')
        && process.threads <= 1) {
        return false;
    }
    return process.started == 0 || process.started == (uint32_t)owner;
}
