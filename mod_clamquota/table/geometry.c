/* geometry - where the sections of a table file lie.
 *
 * Pure arithmetic on numbers: whether a file may be believed is decided in
 * tablefile.c. */
#include "table/parts.h"
#include "table/tablefile.h"

static uint64_t page_up(uint64_t n)
{
    return (n + CQ_PAGE - 1) / CQ_PAGE * CQ_PAGE;
}

/* whole buckets; at least two, so that the two choices of a client differ */
static uint64_t rows_for(uint64_t n)
{
    uint64_t rows_n = CQ_ROWS_FOR(n);

    rows_n = (rows_n + CQ_BUCKET_ROWS - 1) / CQ_BUCKET_ROWS * CQ_BUCKET_ROWS;
    return rows_n > CQ_WINDOW_ROWS ? rows_n : CQ_WINDOW_ROWS;
}

void cq_geometry_plan(struct cq_geometry *g, uint64_t clients_n,
                      uint64_t files_n, uint32_t ledger_n, bool cluster)
{
    uint64_t cold_n, hot_n;

    g->magic = CQ_MAGIC;
    g->version = CQ_LAYOUT_VERSION;
    g->clients_n = clients_n;
    g->ledger_n = ledger_n != 0 ? ledger_n : CQ_LEDGER_DEFAULT;
    g->rows_n = rows_for(clients_n);
    g->files_n = files_n;
    g->file_rows_n = files_n > 0 ? rows_for(files_n) : 0;
    g->names_n = files_n > 0 ? CQ_NAMES : 0;
    g->networks_n = 0;
    g->network_rows_n = 0;
    cold_n = g->rows_n + g->network_rows_n;
    hot_n = cold_n + g->file_rows_n;
    g->pools_at = CQ_PAGE;
    g->stripes_at = g->pools_at
        + page_up(CQ_POOLS_MAX * sizeof(struct cq_pool_slot));
    g->policies_at = g->stripes_at
        + page_up(CQ_POOLS_MAX * CQ_STRIPES * sizeof(struct cq_stripe));
    g->history_at = g->policies_at
        + page_up(CQ_POLICIES_MAX * sizeof(struct cq_policy_slot));
    g->days_at = g->history_at
        + page_up(CQ_HOURS * sizeof(struct cq_hour_slot));
    g->exempt_at = g->days_at
        + page_up(CQ_DAYS * sizeof(struct cq_day_slot));
    g->changes_at = g->exempt_at
        + page_up(CQ_EXEMPT_SLOTS * sizeof(struct cq_exempt_slot));
    g->ledger_at = g->changes_at
        + page_up(CQ_CHANGES * sizeof(struct cq_change_slot));
    g->names_at = g->ledger_at
        + page_up((uint64_t)g->ledger_n * sizeof(struct cq_entry));
    g->hot_at = g->names_at
        + page_up(g->names_n * sizeof(struct cq_name_slot));
    g->cold_at = g->hot_at + page_up(hot_n * sizeof(struct cq_hot));
    g->cluster_at = g->cold_at + page_up(cold_n * sizeof(struct cq_cold));
    g->cluster_size = !cluster ? 0
        : page_up(sizeof(struct cq_cluster_head))
            + page_up(g->rows_n * sizeof(cq_word))
            + page_up(hot_n / CQ_MOVED_ROWS);
    g->file_size = g->cluster_at + g->cluster_size;
}

uint64_t cq_geometry_checksum(const struct cq_geometry *g)
{
    static const struct cq_seed none;

    return cq_hash_words(&none, (const uint64_t *)(const void *)g,
                         offsetof(struct cq_geometry, checksum)
                             / sizeof(uint64_t));
}

void cq_table_view(struct cq_table *table, void *base,
                   const struct cq_geometry *g)
{
    unsigned char *at = base;

    table->header = base;
    table->pools = (void *)(at + g->pools_at);
    table->stripes = (void *)(at + g->stripes_at);
    table->policies = (void *)(at + g->policies_at);
    table->hours = (void *)(at + g->history_at);
    table->days = (void *)(at + g->days_at);
    table->exemptions = (void *)(at + g->exempt_at);
    table->changes = (void *)(at + g->changes_at);
    table->ledger = (void *)(at + g->ledger_at);
    table->hot = (void *)(at + g->hot_at);
    table->cold = (void *)(at + g->cold_at);
    table->names = (void *)(at + g->names_at);
    if (g->cluster_size > 0) {
        at += g->cluster_at;
        table->cluster = (void *)at;
        at += page_up(sizeof(struct cq_cluster_head));
        table->flights = (void *)at;
        table->moved = (void *)(at + page_up(g->rows_n * sizeof(cq_word)));
    }
    table->names_n = (uint32_t)g->names_n;
    table->rows_n = g->rows_n;
    table->cold_rows_n = g->rows_n + g->network_rows_n;
    table->all_rows_n = table->cold_rows_n + g->file_rows_n;
    table->clients.first = 0;
    table->clients.buckets_n = g->rows_n / CQ_BUCKET_ROWS;
    table->pairs.first = (uint32_t)table->cold_rows_n;
    table->pairs.buckets_n = g->file_rows_n / CQ_BUCKET_ROWS;
    table->ledger_n = g->ledger_n;
    table->size = g->file_size;
}

size_t cq_tablefile_view_size(void)
{
    return sizeof(struct cq_table) * 256 + CQ_LAYOUT_VERSION;
}
