/* readers - copies of rows and figures for the page and the tools.
 *
 * A row may change or even become another client's while it is copied: the
 * copy is believed only if the identity stayed and the address hashes to
 * it. */
#include "table/parts.h"

#include <string.h>
#include <sys/mman.h>

static void copy_key(const struct cq_cold *cold, struct cq_key *key,
                     uint16_t *pool)
{
    uint64_t packed = atomic_load_explicit(&cold->pool_prefix,
                                           memory_order_relaxed);
    uint64_t address[2];

    address[0] = atomic_load_explicit(&cold->address[0], memory_order_relaxed);
    address[1] = atomic_load_explicit(&cold->address[1], memory_order_relaxed);
    *key = cq_key_unpack(address, packed);
    *pool = (uint16_t)(packed >> 16);
}

static void copy_figures(const struct cq_table *t, uint32_t i,
                         const struct cq_clock *clock, struct cq_row *row)
{
    const struct cq_hot *hot = &t->hot[i];
    const struct cq_cold *cold = &t->cold[i];
    uint64_t c = atomic_load_explicit(&hot->committed, memory_order_relaxed);
    uint64_t d = atomic_load_explicit(&hot->used, memory_order_relaxed);
    uint64_t base = atomic_load_explicit(&hot->day_base,
                                         memory_order_relaxed);
    uint32_t mark = atomic_load_explicit(&hot->mark, memory_order_relaxed);
    uint64_t over = cq_row_over(t, i, clock->period_id);
    uint64_t seen = atomic_load_explicit(&cold->seen, memory_order_relaxed);
    struct cq_usage others;

    row->used_bytes = cq_row_used(hot, clock->period_id);
    if (cq_stamp(base) == clock->day_stamp
        && cq_bytes(base) < row->used_bytes) {
        row->today_bytes = row->used_bytes - cq_bytes(base);
    }
    if (cq_stamp(c) == cq_stamp(d) && cq_bytes(c) > cq_bytes(d)) {
        row->in_flight_bytes = cq_bytes(c) - cq_bytes(d);
    }
    others = cq_row_others(t, i, clock->period_id, clock->now_s);
    row->others_used_bytes = others.used_bytes;
    row->others_in_flight_bytes = others.in_flight_bytes;
    row->policy_index = (uint16_t)(mark & CQ_MARK_POLICY);
    row->proxied = (mark & CQ_MARK_PROXIED) != 0;
    row->free_bytes = cq_stamped_get(&cold->free, clock->period_id);
    row->hits = cq_stamped_get(&cold->hits, clock->period_id);
    row->refused = cq_stamped_get(&cold->refused, clock->period_id);
    row->last_hit_s = cq_seen_s(seen);
    row->would_refuse = cq_row_is_current(hot, clock->period_id)
                        ? (int64_t)(seen >> CQ_SEEN_SHIFT) : 0;
    row->jailed = (mark & CQ_MARK_JAILED) != 0;
    row->over_since_s = cq_over_since_s(over);
    row->refused_today = cq_over_day(over) == clock->day
        ? cq_over_refusals(over) : 0;
    /* a share that only memcached vouches for makes no offender: else a program
     * that can write there could have any client jailed */
    row->over_refusals = (mark & CQ_MARK_RAISED) == 0
        ? cq_over_refusals(over) : 0;
}

/* @return the identity of the row, which the copy is of; 0: of no client */
static uint64_t copy_unproven(const struct cq_table *t, uint32_t i,
                              const struct cq_clock *clock, struct cq_row *row)
{
    uint64_t id = atomic_load_explicit(&t->hot[i].identity,
                                       memory_order_acquire);

    if ((id & CQ_STATE_MASK) != CQ_LIVE) {
        return 0;
    }
    memset(row, 0, sizeof(*row));
    copy_key(&t->cold[i], &row->key, &row->pool);
    copy_figures(t, i, clock, row);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&t->hot[i].identity, memory_order_relaxed)
            == id && cq_key_is_valid(&row->key) ? id : 0;
}

bool cq_row_copy(const struct cq_table *t, uint32_t i,
                 const struct cq_clock *clock, struct cq_row *row)
{
    uint64_t id = copy_unproven(t, i, clock, row);

    return id != 0
        && cq_identity(t, row->pool, &row->key) == (id & ~CQ_STATE_MASK);
}

/* rows of a tool's scan that stay mapped: 8 MiB of hot and cold lines */
#define SCAN_ROWS 65536u

/* A tool that reads ten million rows needs no 1.9 GB of memory for it: what it
 * has passed is unmapped again, and stays in the page cache. Not in httpd,
 * whose children touch these pages all the time. */
static void unmap_passed(const struct cq_table *t, uint64_t position)
{
    if (!t->writable && position > 0 && position % SCAN_ROWS == 0) {
        (void)madvise((void *)(uintptr_t)&t->hot[position - SCAN_ROWS],
                      SCAN_ROWS * sizeof(t->hot[0]), MADV_DONTNEED);
        (void)madvise((void *)(uintptr_t)&t->cold[position - SCAN_ROWS],
                      SCAN_ROWS * sizeof(t->cold[0]), MADV_DONTNEED);
    }
}

bool cq_table_next_row(const struct cq_table *t, const struct cq_clock *clock,
                       uint64_t *position, struct cq_row *row)
{
    while (*position < t->rows_n) {
        unmap_passed(t, *position);
        if (cq_row_copy(t, (uint32_t)(*position)++, clock, row)) {
            return true;
        }
    }
    return false;
}

bool cq_table_next_row_unproven(const struct cq_table *t,
                                const struct cq_clock *clock,
                                uint64_t *position, struct cq_row *row)
{
    while (*position < t->rows_n) {
        unmap_passed(t, *position);
        if (copy_unproven(t, (uint32_t)(*position)++, clock, row) != 0) {
            return true;
        }
    }
    return false;
}

bool cq_table_row_at(const struct cq_table *t, uint32_t row,
                     const struct cq_clock *clock, struct cq_row *copy)
{
    return row < t->rows_n && cq_row_copy(t, row, clock, copy);
}

bool cq_table_next_over(const struct cq_table *t, uint64_t *position,
                        uint32_t *row)
{
    uint64_t i;

    for (i = *position; i < t->rows_n; i++) {
        if ((atomic_load_explicit(&t->hot[i].mark, memory_order_relaxed)
             & CQ_MARK_OVER) != 0) {
            *row = (uint32_t)i;
            *position = i + 1;
            return true;
        }
    }
    *position = i;
    return false;
}

void cq_table_unmap_rows(const struct cq_table *t)
{
    (void)madvise((void *)(uintptr_t)t->hot, t->rows_n * sizeof(t->hot[0]),
                  MADV_DONTNEED);
    (void)madvise((void *)(uintptr_t)t->cold, t->rows_n * sizeof(t->cold[0]),
                  MADV_DONTNEED);
}

void cq_table_row_words(const struct cq_table *t, uint32_t row,
                        struct cq_row_words *words)
{
    const struct cq_hot *hot = &t->hot[row];
    const struct cq_cold *cold = &t->cold[row];
    const cq_word *all[] = {
        &hot->identity, &hot->used, &hot->before, &cold->address[0],
        &cold->address[1], &cold->pool_prefix, &cold->over, &cold->seen
    };
    size_t i, n = sizeof(all) / sizeof(all[0]);

    for (i = 0; i < n; i++) {
        words->words[i] = atomic_load_explicit(all[i], memory_order_acquire);
    }
    /* what clamquota-sync itself marks makes no offender */
    words->words[n] = atomic_load_explicit(&hot->mark, memory_order_relaxed)
        & ~CQ_MARK_OF_JAIL;
}

enum cq_status cq_table_row(const struct cq_table *t, uint16_t pool,
                            const struct cq_key *key,
                            const struct cq_clock *clock, struct cq_row *row)
{
    uint64_t hash = cq_identity(t, pool, key);
    struct cq_window w;
    uint32_t i;

    cq_window_fill(&t->clients, hash, &w);
    for (i = 0; i < CQ_WINDOW_ROWS; i++) {
        if (atomic_load_explicit(&t->hot[w.row[i]].identity,
                                 memory_order_relaxed) == (hash | CQ_LIVE)
            && cq_row_copy(t, w.row[i], clock, row)
            && cq_key_compare(&row->key, key) == 0) {
            return CQ_OK;
        }
    }
    return CQ_ENOENT;
}

bool cq_table_seen_proxied(const struct cq_table *t, const struct cq_key *key,
                           const struct cq_clock *clock)
{
    size_t n = cq_table_pool_count(t);
    size_t pool;
    struct cq_row row;

    for (pool = 0; pool < n; pool++) {
        if (cq_table_row(t, (uint16_t)pool, key, clock, &row) == CQ_OK
            && row.proxied) {
            return true;
        }
    }
    return false;
}

void cq_table_figures(const struct cq_table *t,
                      struct cq_table_figures *figures)
{
    const struct cq_header *h = t->header;

    figures->capacity = (int64_t)h->geometry.clients_n;
    figures->rows = (int64_t)t->rows_n;
    figures->clients = cq_stamped_get(&h->clients_now,
                                      (uint16_t)atomic_load(&h->period_id));
    figures->evictions = atomic_load(&h->evictions);
    figures->untracked = atomic_load(&h->untracked);
    figures->ledger_full = atomic_load(&h->ledger_full);
    figures->files = (int64_t)h->geometry.files_n;
    figures->pairs_lost = atomic_load(&h->pairs_lost);
}

bool cq_table_is_writable(const struct cq_table *t)
{
    return t->writable;
}

struct cq_prefixes cq_table_prefixes(const struct cq_table *t)
{
    return t->header->geometry.prefixes;
}
