/* bell - how a tool learns of offenders at once, without asking. */
#include "table/bell.h"
#include "table/parts.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* not FUTEX_PRIVATE: the watcher is another process */
static long futex(_Atomic uint32_t *word, int op, uint32_t value,
                  const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* ---- the module's end ---- */

void cq_bell_ring(struct cq_table *t, uint32_t row, uint32_t refusals,
                  int64_t now_s)
{
    struct cq_bell_words *bell = &t->header->bell;
    uint32_t after = atomic_load_explicit(&bell->after, memory_order_relaxed);
    uint32_t place, asleep = 1;

    if (after == 0 || refusals < after
        || atomic_load_explicit(&bell->until_s, memory_order_relaxed)
            < now_s) {
        return;
    }
    place = atomic_fetch_add(&bell->rung, 1);
    CQ_POINT("bell-rung");
    atomic_store(&bell->ring[place % CQ_RING],
                 cq_ring_word(place, row));
    /* The watcher sets sleeping, then reads rung once more; this process counts
     * rung up, then reads sleeping: one of the two sees the other. */
    if (atomic_load(&bell->sleeping) != 0
        && atomic_compare_exchange_strong(&bell->sleeping, &asleep, 0)) {
        CQ_POINT("bell-waking");
        (void)futex(&bell->rung, FUTEX_WAKE, 1, NULL);
    }
}

/* ---- the watcher's ---- */

enum cq_status cq_bell_open(struct cq_bell *b, struct cq_table *table)
{
    if (!table->writable) {
        return CQ_EACCES;
    }
    b->table = table;
    b->heard = atomic_load(&table->header->bell.rung);
    return CQ_OK;
}

void cq_bell_watch(struct cq_bell *b, uint32_t after, int64_t until_s)
{
    struct cq_bell_words *bell = &b->table->header->bell;

    atomic_store(&bell->until_s, until_s);
    atomic_store(&bell->after, after);
}

enum cq_ring cq_bell_next(struct cq_bell *b, uint32_t *row)
{
    struct cq_bell_words *bell = &b->table->header->bell;
    uint32_t rung = atomic_load(&bell->rung);
    uint64_t word;

    if (rung == b->heard) {
        return CQ_RING_NONE;
    }
    word = atomic_load(&bell->ring[b->heard % CQ_RING]);
    *row = (uint32_t)word;
    /* The writer of the place has not filled it yet or was killed before, or a
     * later round has written over it. */
    if (rung - b->heard > CQ_RING || word != cq_ring_word(b->heard, *row)) {
        b->heard = rung;
        return CQ_RING_MISSED;
    }
    b->heard++;
    return CQ_RING_ROW;
}

void cq_bell_wait(struct cq_bell *b, int timeout_ms)
{
    struct cq_bell_words *bell = &b->table->header->bell;
    struct timespec timeout = { timeout_ms / 1000,
                                timeout_ms % 1000 * 1000000L };

    atomic_store(&bell->sleeping, 1);
    if (atomic_load(&bell->rung) == b->heard) {
        (void)futex(&bell->rung, FUTEX_WAIT, b->heard, &timeout);
    }
    atomic_store(&bell->sleeping, 0);
}

void cq_bell_close(struct cq_bell *b)
{
    if (b->table != NULL) {
        atomic_store(&b->table->header->bell.after, 0);
        atomic_store(&b->table->header->bell.until_s, 0);
        b->table = NULL;
    }
}
