/* import - reading a table of layout 2, so that its counters live on.
 *
 * Rows, pools, policies, totals and hours lie in both layouts alike (the last
 * hit's upper bits, which hold would_refuse now, were zero); what differs is
 * the header and where sections begin. The old file is mapped privately: it
 * stays as it is until the new one has its name. Its ledger is not read: the
 * processes that it names were of a server that has ended. */
#include "table/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEDGER_2_EXTRA 64u      /* entries behind ledger_n of them */

struct geometry_2 {
    uint64_t magic;
    uint32_t version;
    uint32_t ledger_n;
    uint64_t file_size;
    uint64_t clients_n;
    uint64_t rows_n;
    uint64_t files_n;
    uint64_t file_rows_n;
    uint64_t names_n;
    uint64_t pools_at;
    uint64_t stripes_at;
    uint64_t policies_at;
    uint64_t history_at;
    uint64_t ledger_at;
    uint64_t names_at;
    uint64_t hot_at;
    uint64_t cold_at;
    struct cq_seed seed;
    uint8_t period_kind;
    uint8_t zone;
    struct cq_prefixes prefixes;
    uint32_t reserved;
    uint64_t checksum;
};

struct header_2 {
    struct geometry_2 geometry;
    uint8_t gap[256 - sizeof(struct geometry_2)];
    uint32_t period_id;         /* at 256 */
    uint32_t pool_n;
    uint32_t policy_n;
    uint32_t notices;
    uint32_t ledger_high;
    uint32_t config;
    uint8_t bell[2216];
    uint64_t clients_now;       /* at 2496 */
    int64_t evictions;
    int64_t untracked;
    int64_t ledger_full;
    int64_t pairs_lost;
    int64_t counted[4];
    int64_t hour_start_s;
};
_Static_assert(offsetof(struct header_2, period_id) == 256
               && offsetof(struct header_2, clients_now) == 2496,
               "as layout 2 had it");

static bool is_layout_2(const struct geometry_2 *g, off_t size)
{
    static const struct cq_seed none;
    struct cq_geometry plan;
    uint64_t checksum = cq_hash_words(
        &none, (const uint64_t *)(const void *)g,
        offsetof(struct geometry_2, checksum) / sizeof(uint64_t));

    if (g->magic != CQ_MAGIC || g->version != 2 || g->checksum != checksum
        || g->clients_n == 0 || g->clients_n > CQ_CLIENTS_MAX
        || g->files_n > CQ_FILES_MAX || g->ledger_n == 0
        || g->ledger_n > CQ_LEDGER_MAX
        || (uint64_t)size != g->file_size) {
        return false;
    }
    /* sections of the same sizes as today's, but for the ledger, one behind
     * the other */
    memset(&plan, 0, sizeof(plan));
    cq_geometry_plan(&plan, g->clients_n, g->files_n,
                     g->ledger_n + LEDGER_2_EXTRA, false);
    return g->rows_n == plan.rows_n && g->file_rows_n == plan.file_rows_n
        && g->names_n == plan.names_n && g->pools_at == plan.pools_at
        && g->stripes_at == plan.stripes_at
        && g->policies_at == plan.policies_at
        && g->history_at == plan.history_at
        && g->ledger_at == plan.days_at
        && g->names_at - g->ledger_at == plan.names_at - plan.ledger_at
        && g->hot_at - g->names_at == plan.hot_at - plan.names_at
        && g->cold_at - g->hot_at == plan.cold_at - plan.hot_at
        && g->file_size - g->cold_at == plan.cluster_at - plan.cold_at
        && g->prefixes.v4_bits <= 32 && g->prefixes.v6_bits <= 128;
}

/* A header of today's for the rows of the old file. */
static void fill_header_from_2(struct cq_header *to,
                               const struct header_2 *from)
{
    struct cq_geometry *g = &to->geometry;
    int i;

    cq_geometry_plan(g, from->geometry.clients_n, from->geometry.files_n, 1,
                     false);
    g->seed = from->geometry.seed;
    g->period_kind = from->geometry.period_kind;
    g->zone = from->geometry.zone;
    g->prefixes = from->geometry.prefixes;
    atomic_store(&to->period_id, from->period_id & 0xffffu);
    atomic_store(&to->pool_n, from->pool_n <= CQ_POOLS_MAX
                              ? from->pool_n : CQ_POOLS_MAX);
    atomic_store(&to->policy_n, from->policy_n <= CQ_POLICIES_MAX
                                ? from->policy_n : CQ_POLICIES_MAX);
    atomic_store(&to->config, from->config);
    atomic_store(&to->clients_now, from->clients_now);
    atomic_store(&to->evictions, from->evictions);
    atomic_store(&to->untracked, from->untracked);
    atomic_store(&to->ledger_full, from->ledger_full);
    atomic_store(&to->pairs_lost, from->pairs_lost);
    for (i = 0; i < 4; i++) {
        atomic_store(&to->counted[i], from->counted[i]);
    }
    atomic_store(&to->hour_start_s, from->hour_start_s);
}

static void view_sections_2(struct cq_table *t, unsigned char *at,
                 const struct geometry_2 *g)
{
    struct cq_geometry sections = t->header->geometry;
    struct cq_header *header = t->header;

    sections.pools_at = g->pools_at;
    sections.stripes_at = g->stripes_at;
    sections.policies_at = g->policies_at;
    sections.history_at = g->history_at;
    sections.names_at = g->names_at;
    sections.hot_at = g->hot_at;
    sections.cold_at = g->cold_at;
    sections.ledger_at = g->ledger_at;
    sections.file_size = g->file_size;
    cq_table_view(t, at, &sections);
    t->header = header;
    t->ledger_n = 0;
    /* what layout 2 did not have */
    t->days = NULL;
    t->exemptions = NULL;
    t->changes = NULL;
}

enum cq_status cq_import_open(int fd, const char *path,
                              struct cq_import *import,
                              const struct cq_why *why)
{
    struct cq_table *t = &import->table;
    struct geometry_2 g;
    struct stat st;
    int64_t repaired;
    void *base;

    memset(import, 0, sizeof(*import));
    if (fstat(fd, &st) != 0
        || pread(fd, &g, sizeof(g), 0) != (ssize_t)sizeof(g)
        || !is_layout_2(&g, st.st_size) || g.file_size > SIZE_MAX) {
        return CQ_ECORRUPT;
    }
    t->header = calloc(1, sizeof(*t->header));
    t->condition = cq_condition_make();
    base = mmap(NULL, (size_t)g.file_size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE, fd, 0);
    if (t->header == NULL || t->condition == NULL || base == MAP_FAILED) {
        free(t->header);
        cq_condition_free(t->condition);
        return cq_fail(why, CQ_EIO, "%s: cannot be mapped: %s", path,
                       strerror(errno));
    }
    import->base = base;
    import->size = (size_t)g.file_size;
    cq_guard_begin(base, import->size, &t->condition->lost);
    fill_header_from_2(t->header, base);
    view_sections_2(t, base, &g);
    t->fd = fd;
    return cq_table_repair(t, &repaired);
}

void cq_import_close(struct cq_import *import)
{
    if (import->base != NULL) {
        cq_guard_end(import->base);
        munmap(import->base, import->size);
        free(import->table.header);
        cq_condition_free(import->table.condition);
    }
}
