/* collect - from table to view: figures, pools, history, then the rows. */
#include "render/collect.h"

#include "render/scan.h"
#include "table/jail.h"

#include <string.h>

/* Policies seen so far: most rows share a few, so that a table is asked once
 * for each and not once a row. Cells of one index, by pool, form a list. */
struct policy_cache {
    const struct cq_table *table;
    const struct cq_arena *arena;
    struct policy_cell **cells;     /* CQ_POLICIES_MAX + 1: others share the
                                     * last */
};

struct policy_cell {
    struct cq_policy_info info;
    uint16_t pool;
    uint16_t policy_index;
    struct policy_cell *next;
};

static void *alloc(const struct cq_arena *arena, size_t count, size_t size)
{
    /* a count of 0 asks for one, so that NULL always means no memory */
    size_t bytes = (count > 0 ? count : 1) * size;
    void *memory = arena->alloc(arena->baton, bytes);

    if (memory) {
        memset(memory, 0, bytes);
    }
    return memory;
}

static const struct cq_policy_info *policy_of(void *baton, uint16_t pool,
                                              uint16_t policy_index)
{
    struct policy_cache *cache = baton;
    struct policy_cell **at =
        &cache->cells[policy_index < CQ_POLICIES_MAX ? policy_index
                                                     : CQ_POLICIES_MAX];
    struct policy_cell *cell;

    for (cell = *at; cell; cell = cell->next) {
        if (cell->pool == pool && cell->policy_index == policy_index) {
            return &cell->info;
        }
    }
    cell = alloc(cache->arena, 1, sizeof(*cell));
    if (!cell) {
        return NULL;
    }
    cq_table_policy_info(cache->table, pool, policy_index, &cell->info);
    cell->pool = pool;
    cell->policy_index = policy_index;
    cell->next = *at;
    *at = cell;
    return &cell->info;
}

static void add_totals(struct cq_view_totals *sum,
                       const struct cq_view_totals *part)
{
    sum->sent_bytes += part->sent_bytes;
    sum->free_bytes += part->free_bytes;
    sum->hits += part->hits;
    sum->refused += part->refused;
    sum->would_refuse += part->would_refuse;
    sum->refused_bytes += part->refused_bytes;
    sum->handler_bytes += part->handler_bytes;
    sum->dropped += part->dropped;
}

static enum cq_status collect_pool(const struct cq_table *table,
                                   uint16_t index, struct cq_view_pool *pool,
                                   const struct cq_arena *arena)
{
    int64_t totals[CQ_TOTALS] = { 0 };
    struct cq_pool_info *info = alloc(arena, 1, sizeof(*info));

    if (!info) {
        return CQ_ENOMEM;
    }
    cq_table_pool_info(table, index, info);
    cq_table_totals(table, index, totals);
    pool->name = info->name;
    pool->daily_bytes = info->policy.daily_bytes;
    pool->grace_bytes = info->policy.grace_bytes;
    pool->totals.sent_bytes = totals[CQ_TOTAL_SENT];
    pool->totals.free_bytes = totals[CQ_TOTAL_FREE];
    pool->totals.hits = totals[CQ_TOTAL_HITS];
    pool->totals.refused = totals[CQ_TOTAL_REFUSED];
    pool->totals.would_refuse = totals[CQ_TOTAL_WOULD_REFUSE];
    pool->totals.refused_bytes = totals[CQ_TOTAL_REFUSED_BYTES];
    pool->totals.handler_bytes = totals[CQ_TOTAL_HANDLER_BYTES];
    pool->totals.dropped = totals[CQ_TOTAL_DROPPED];
    return CQ_OK;
}

static enum cq_status collect_pools(struct cq_view *view,
                                    const struct cq_table *table,
                                    const struct cq_arena *arena,
                                    struct cq_view_pool **result)
{
    size_t count = cq_table_pool_count(table);
    struct cq_view_pool *pools = alloc(arena, count, sizeof(*pools));
    size_t i;

    if (!pools) {
        return CQ_ENOMEM;
    }
    for (i = 0; i < count; i++) {
        if (collect_pool(table, (uint16_t)i, &pools[i], arena) != CQ_OK) {
            return CQ_ENOMEM;
        }
        add_totals(&view->totals, &pools[i].totals);
    }
    view->pools = pools;
    view->pool_count = count;
    *result = pools;
    return CQ_OK;
}

static enum cq_status collect_history(struct cq_view *view,
                                      const struct cq_table *table,
                                      const struct cq_arena *arena)
{
    struct cq_hour hours[CQ_COLLECT_HOURS];
    size_t count = cq_table_history(table, hours, CQ_COLLECT_HOURS);
    struct cq_view_hour *history = alloc(arena, count, sizeof(*history));
    size_t i;

    if (!history) {
        return CQ_ENOMEM;
    }
    for (i = 0; i < count; i++) {
        history[i].start_s = hours[i].start_s;
        history[i].sent_bytes = hours[i].sent_bytes;
        history[i].free_bytes = hours[i].free_bytes;
        history[i].hits = hours[i].hits;
        history[i].refused = hours[i].refused;
    }
    view->history = history;
    view->history_count = count;
    return CQ_OK;
}

/* the scan over all rows; its best are left in scan->select */
static enum cq_status scan_rows(struct cq_scan *scan,
                                const struct cq_table *table,
                                const struct cq_clock *clock)
{
    uint64_t position = 0;
    struct cq_row row;

    cq_scan_begin(scan);
    while (cq_table_next_row(table, clock, &position, &row)) {
        if (cq_scan_row(scan, &row) != CQ_OK) {
            return CQ_ENOMEM;
        }
    }
    cq_select_finish(&scan->select);
    return CQ_OK;
}

static enum cq_status take_clients(struct cq_view *view,
                                   const struct cq_table *table,
                                   const struct cq_clock *clock,
                                   const struct cq_scan *scan,
                                   const struct cq_arena *arena)
{
    size_t count = scan->select.count;
    struct cq_view_client *clients = alloc(arena, count, sizeof(*clients));
    size_t i;

    if (!clients) {
        return CQ_ENOMEM;
    }
    for (i = 0; i < count; i++) {
        struct cq_row *row = &scan->select.rows[i];

        /* in another pool, too: it is the same address */
        row->proxied = row->proxied
            || (view->pool_count > 1
                && cq_table_seen_proxied(table, &row->key, clock));
        if (cq_scan_client(scan, row, &clients[i]) != CQ_OK) {
            return CQ_ENOMEM;
        }
    }
    view->clients = clients;
    view->client_count = count;
    view->clients_matched = scan->matched;
    view->totals.in_flight_bytes = scan->in_flight_bytes;
    return CQ_OK;
}

static enum cq_status collect_clients(struct cq_view *view,
                                      const struct cq_table *table,
                                      const struct cq_clock *clock,
                                      struct cq_view_pool *pools,
                                      const struct cq_arena *arena)
{
    struct policy_cache cache = { .table = table, .arena = arena };
    struct cq_scan scan = { .query = &view->query,
                            .period = &view->period,
                            .now_s = clock->now_s,
                            .day = clock->day,
                            .prefixes = cq_table_prefixes(table),
                            .own = view->facts.own,
                            .proxies = view->facts.proxies,
                            .shared = view->cluster != NULL,
                            .pools = pools,
                            .pool_count = view->pool_count,
                            .policy_of = policy_of,
                            .baton = &cache };
    struct cq_table_figures figures;
    size_t limit = (size_t)view->query.limit;
    struct cq_net_list exempt;
    enum cq_status status;
    struct cq_row *rows;

    cq_table_figures(table, &figures);
    if (figures.rows < (int64_t)limit) {
        limit = figures.rows > 0 ? (size_t)figures.rows : 1;
    }
    cache.cells = alloc(arena, CQ_POLICIES_MAX + 1, sizeof(*cache.cells));
    rows = alloc(arena, limit, sizeof(*rows));
    if (!cache.cells || !rows) {
        return CQ_ENOMEM;
    }
    if (cq_exempt_nets(table, clock->now_s, &exempt) != CQ_OK) {
        return CQ_ENOMEM;
    }
    scan.exempt = &exempt;
    cq_select_begin(&scan.select, rows, limit, view->query.sort);
    status = scan_rows(&scan, table, clock);
    if (status == CQ_OK) {
        status = take_clients(view, table, clock, &scan, arena);
    }
    cq_net_free(&exempt);
    return status;
}

static enum cq_status collect_exemptions(struct cq_view *view,
                                         const struct cq_table *table,
                                         const struct cq_arena *arena)
{
    struct cq_exemption list[CQ_EXEMPTIONS_MAX];
    size_t n = cq_exempt_list(table, view->now_s, list);
    struct cq_exemption *copy = alloc(arena, n, sizeof(*copy));

    if (!copy) {
        return CQ_ENOMEM;
    }
    memcpy(copy, list, n * sizeof(*copy));
    view->exemptions = copy;
    view->exemption_count = n;
    return CQ_OK;
}

static enum cq_status collect_jail(struct cq_view *view,
                                   const struct cq_table *table,
                                   const struct cq_arena *arena)
{
    struct cq_jail_report *report = alloc(arena, 1, sizeof(*report));

    if (!report) {
        return CQ_ENOMEM;
    }
    if (cq_table_jail(table, report)) {
        view->jail.spec = report->spec;
        view->jail.jailed = report->jailed;
        view->jail.capacity = report->capacity;
        view->jail.dropped_packets = report->dropped_packets;
        view->jail.as_of_s = report->as_of_s;
    }
    return CQ_OK;
}

/* The figures are as of the last round. How old others' figures are can be no
 * less than the time since then, which the table has in whole seconds. */
static enum cq_status collect_cluster(struct cq_view *view,
                                      const struct cq_table *table,
                                      const struct cq_arena *arena)
{
    struct cq_cluster_status *cluster;
    int64_t since_ms;

    if (!cq_table_has_cluster(table)) {
        return CQ_OK;
    }
    cluster = alloc(arena, 1, sizeof(*cluster));
    if (!cluster) {
        return CQ_ENOMEM;
    }
    if (cq_cluster_status_read(table, cluster)) {
        since_ms = (view->now_s - cluster->last_round_s - 1) * 1000;
        if (cluster->last_round_s > 0 && cluster->lag_ms < since_ms) {
            cluster->lag_ms = since_ms;
        }
        view->cluster = cluster;
    }
    return CQ_OK;
}

/* What both begin with. */
static enum cq_status begin(struct cq_view *view, const struct cq_table *table,
                            const struct cq_clock *clock,
                            const struct cq_query *query,
                            const struct cq_view_facts *facts,
                            const struct cq_arena *arena,
                            struct cq_view_pool **pools)
{
    struct cq_table_figures figures;

    memset(view, 0, sizeof(*view));
    view->facts = *facts;
    view->now_s = clock->now_s;
    view->day = clock->day;
    view->next_day_s = clock->next_day_s;
    view->query = *query;
    if (view->query.limit < 1) {
        view->query.limit = 1;
    }
    cq_table_figures(table, &figures);
    view->table_capacity = figures.capacity;
    view->table_used = figures.clients;
    view->evictions = figures.evictions;
    view->untracked = figures.untracked;
    cq_table_period(table, &view->period);
    if (collect_jail(view, table, arena) != CQ_OK
        || collect_cluster(view, table, arena) != CQ_OK) {
        return CQ_ENOMEM;
    }
    return collect_pools(view, table, arena, pools);
}

enum cq_status cq_collect_totals(struct cq_view *view,
                                 const struct cq_table *table,
                                 const struct cq_clock *clock,
                                 const struct cq_query *query,
                                 const struct cq_view_facts *facts,
                                 const struct cq_arena *arena)
{
    struct cq_view_pool *pools;

    return begin(view, table, clock, query, facts, arena, &pools);
}

enum cq_status cq_collect(struct cq_view *view, const struct cq_table *table,
                          const struct cq_clock *clock,
                          const struct cq_query *query,
                          const struct cq_view_facts *facts,
                          const struct cq_arena *arena)
{
    struct cq_view_pool *pools;

    if (begin(view, table, clock, query, facts, arena, &pools) != CQ_OK ||
        collect_history(view, table, arena) != CQ_OK ||
        collect_exemptions(view, table, arena) != CQ_OK) {
        return CQ_ENOMEM;
    }
    return collect_clients(view, table, clock, pools, arena);
}
