/* bell - how a tool learns of offenders at once, without asking. */
#include "table/bell.h"
#include "table/file.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct cq_bell {
    struct cq_header *header;
    uint32_t heard;             /* places of the ring taken so far */
    _Atomic uint32_t lost;      /* the page was: nothing rings any more */
};

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
    /* The watcher says that he sleeps, then looks at the ring once more; we
     * ring, then look whether he sleeps: one of the two sees the other. */
    if (atomic_load(&bell->sleeping) != 0
        && atomic_compare_exchange_strong(&bell->sleeping, &asleep, 0)) {
        CQ_POINT("bell-waking");
        (void)futex(&bell->rung, FUTEX_WAKE, 1, NULL);
    }
}

/* ---- the watcher's ---- */

enum cq_status cq_bell_open(const char *path, const struct cq_table *table,
                            struct cq_bell **bell, char *why_text,
                            size_t why_size)
{
    struct cq_why why = { why_text, why_size };
    struct cq_bell *b = calloc(1, sizeof(*b));
    struct stat mapped, named;
    enum cq_status status;
    void *base;
    int fd;

    *bell = NULL;
    if (b == NULL) {
        return cq_fail(&why, CQ_ENOMEM, "%s: out of memory", path);
    }
    status = cq_file_open(path, true, &fd, &why);
    if (status != CQ_OK) {
        free(b);
        return status;
    }
    if (fstat(fd, &named) != 0 || fstat(table->fd, &mapped) != 0
        || named.st_dev != mapped.st_dev || named.st_ino != mapped.st_ino) {
        close(fd);
        free(b);
        return cq_fail(&why, CQ_ENOENT, "%s: was replaced by another table "
                       "at this moment", path);
    }
    base = mmap(NULL, CQ_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (base == MAP_FAILED) {
        free(b);
        return cq_fail(&why, CQ_EIO, "%s: cannot be mapped: %s", path,
                       strerror(errno));
    }
    cq_guard_begin(base, CQ_PAGE, &b->lost);
    b->header = base;
    b->heard = atomic_load(&b->header->bell.rung);
    *bell = b;
    return CQ_OK;
}

void cq_bell_watch(struct cq_bell *b, uint32_t after, int64_t until_s)
{
    struct cq_bell_words *bell = &b->header->bell;

    atomic_store(&bell->until_s, until_s);
    atomic_store(&bell->after, after);
}

enum cq_ring cq_bell_next(struct cq_bell *b, uint32_t *row)
{
    struct cq_bell_words *bell = &b->header->bell;
    uint32_t rung = atomic_load(&bell->rung);
    uint64_t word;

    if (rung == b->heard) {
        return CQ_RING_NONE;
    }
    word = atomic_load(&bell->ring[b->heard % CQ_RING]);
    *row = (uint32_t)word;
    /* a place that its writer has not filled yet, was killed before he did or
     * that was written over since */
    if (rung - b->heard > CQ_RING || word != cq_ring_word(b->heard, *row)) {
        b->heard = rung;
        return CQ_RING_MISSED;
    }
    b->heard++;
    return CQ_RING_ROW;
}

void cq_bell_wait(struct cq_bell *b, int timeout_ms)
{
    struct cq_bell_words *bell = &b->header->bell;
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
    if (b == NULL) {
        return;
    }
    atomic_store(&b->header->bell.after, 0);
    atomic_store(&b->header->bell.until_s, 0);
    cq_guard_end(b->header);
    munmap(b->header, CQ_PAGE);
    free(b);
}
