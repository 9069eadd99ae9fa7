/* collect - the rows of a view: counted, selected, and what belongs to each. */
#include "render/collect.h"

#include "render/copies.h"
#include "render/figures.h"
#include "render/scan.h"

#include <string.h>

/* Policies seen so far: most rows share a few, so that a table is asked once
 * for each and not once a row. Cells of one index, by pool, form a list. */
struct policy_cache {
    const struct cq_table *table;
    const struct cq_arena *arena;
    struct policy_cell **cells;     /* CQ_POLICIES_MAX + 1: others share the
                                     * last */
    const struct cq_clock *clock;
};

struct policy_cell {
    struct cq_policy_info info;
    uint16_t pool;
    uint16_t policy_index;
    struct policy_cell *next;
};

static const struct cq_policy_info *find_policy(void *baton, uint16_t pool,
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
    cell = cq_arena_alloc(cache->arena, 1, sizeof(*cell));
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

static bool is_proven(void *baton, const struct cq_row *row)
{
    const struct policy_cache *cache = baton;
    struct cq_row again;

    return cq_table_row(cache->table, row->pool, &row->key, cache->clock,
                        &again) == CQ_OK;
}

/* the scan over all rows; its best are left in scan->select */
static enum cq_status scan_rows(struct cq_scan *scan,
                                const struct cq_table *table,
                                const struct cq_clock *clock)
{
    uint64_t position = 0;
    struct cq_row row;

    cq_scan_begin(scan);
    while (cq_table_next_row_unproven(table, clock, &position, &row)) {
        if (cq_scan_row(scan, &row) != CQ_OK) {
            return CQ_ENOMEM;
        }
    }
    if (scan->networks != NULL) {
        cq_networks_finish(scan->networks);
    }
    else {
        cq_select_finish(&scan->select);
    }
    return CQ_OK;
}

static enum cq_status collect_copies(struct cq_copies_source *source,
                                     const struct cq_arena *arena,
                                     const struct cq_row *row,
                                     struct cq_view_client *client)
{
    static const struct cq_view_copy none;
    struct cq_view_copy found[CQ_COPIES_SHOWN_MAX], *kept;
    size_t n;

    if (!cq_copies_used_up(source, row, found, &n)) {
        return CQ_OK;
    }
    client->copies = &none;
    if (n == 0) {
        return CQ_OK;
    }
    kept = cq_arena_alloc(arena, n, sizeof(*kept));
    if (!kept) {
        return CQ_ENOMEM;
    }
    memcpy(kept, found, n * sizeof(*kept));
    client->copies = kept;
    client->copies_n = n;
    return CQ_OK;
}

static enum cq_status take_clients(struct cq_view *view,
                                   const struct cq_table *table,
                                   const struct cq_clock *clock,
                                   const struct cq_scan *scan,
                                   const struct cq_arena *arena)
{
    struct cq_copies_source copies;
    size_t first = (size_t)view->query.offset;
    size_t count = scan->select.count > first ? scan->select.count - first : 0;
    struct cq_view_client *clients =
        cq_arena_alloc(arena, count, sizeof(*clients));
    size_t i;

    if (!clients
        || cq_copies_source_begin(&copies, table, clock,
                                  view->facts.document_root, arena)
            != CQ_OK) {
        return CQ_ENOMEM;
    }
    for (i = 0; i < count; i++) {
        struct cq_row *row = &scan->select.rows[first + i];

        /* in another pool, too: it is the same address */
        row->proxied = row->proxied
            || (view->pool_count > 1
                && cq_table_seen_proxied(table, &row->key, clock));
        if (cq_scan_client(scan, row, &clients[i]) != CQ_OK
            || collect_copies(&copies, arena, row, &clients[i]) != CQ_OK) {
            return CQ_ENOMEM;
        }
    }
    view->clients = clients;
    view->client_count = count;
    return CQ_OK;
}

/* more are in the log */
#define CHANGES_SHOWN_MAX 20

static enum cq_status collect_changes(struct cq_view *view,
                                      const struct cq_table *table,
                                      const struct cq_arena *arena)
{
    struct cq_change *changes;

    if (!view->query.has_client) {
        return CQ_OK;
    }
    changes = cq_arena_alloc(arena, CHANGES_SHOWN_MAX, sizeof(*changes));
    if (!changes) {
        return CQ_ENOMEM;
    }
    view->changes = changes;
    view->change_count = cq_changes_read(table, &view->query.client, changes,
                                         CHANGES_SHOWN_MAX);
    return CQ_OK;
}

static void take_networks(struct cq_view *view,
                          const struct cq_networks *networks)
{
    size_t first = (size_t)view->query.offset;
    size_t count = networks->count > first ? networks->count - first : 0;
    size_t limit = (size_t)view->query.limit;

    view->networks = networks->entries + first;
    view->network_count = count < limit ? count : limit;
    view->networks_matched = (int64_t)networks->count;
    view->networks_exact = networks->exact;
}

static enum cq_status begin_networks(struct cq_networks *networks,
                                     const struct cq_table *table,
                                     const struct cq_query *query,
                                     const struct cq_arena *arena)
{
    const struct cq_key any = { .family = 4 };

    networks->max = CQ_NETWORKS_MAX;
    networks->entries = cq_arena_alloc(arena, networks->max,
                              sizeof(*networks->entries));
    networks->index = cq_arena_alloc(arena, 2 * networks->max,
                            sizeof(*networks->index));
    if (!networks->entries || !networks->index) {
        return CQ_ENOMEM;
    }
    /* the table's own secret, at second hand */
    networks->seed.k0 = cq_table_identity(table, 0, &any);
    networks->seed.k1 = cq_table_identity(table, 1, &any);
    networks->sort = query->sort;
    networks->bits = query->net_bits;
    cq_networks_begin(networks);
    return CQ_OK;
}

static enum cq_status begin_select(struct cq_select *select,
                                   const struct cq_table *table,
                                   const struct cq_query *query,
                                   const struct cq_arena *arena)
{
    size_t limit = (size_t)query->limit + (size_t)query->offset;
    struct cq_table_figures figures;
    struct cq_row *rows;

    cq_table_figures(table, &figures);
    if (figures.rows < (int64_t)limit) {
        limit = figures.rows > 0 ? (size_t)figures.rows : 1;
    }
    rows = cq_arena_alloc(arena, limit, sizeof(*rows));
    if (!rows) {
        return CQ_ENOMEM;
    }
    cq_select_begin(select, rows, limit, query->sort);
    return CQ_OK;
}

static enum cq_status collect_clients(struct cq_view *view,
                                      const struct cq_table *table,
                                      const struct cq_clock *clock,
                                      struct cq_view_pool *pools,
                                      const struct cq_arena *arena)
{
    struct policy_cache cache = { .table = table, .arena = arena,
                                  .clock = clock };
    struct cq_networks networks;
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
                            .policy_of = find_policy,
                            .is_proven = is_proven,
                            .baton = &cache,
                            .networks = view->query.by_net ? &networks
                                                           : NULL };
    struct cq_net_list exempt;
    enum cq_status status;

    cache.cells = cq_arena_alloc(arena, CQ_POLICIES_MAX + 1,
                                 sizeof(*cache.cells));
    if (!cache.cells
        || (scan.networks
            ? begin_networks(&networks, table, &view->query, arena)
            : begin_select(&scan.select, table, &view->query, arena)) != CQ_OK
        || cq_exempt_nets(table, clock->now_s, &exempt) != CQ_OK) {
        return CQ_ENOMEM;
    }
    scan.exempt = &exempt;
    status = scan_rows(&scan, table, clock);
    view->clients_matched = scan.matched;
    view->totals.in_flight_bytes = scan.in_flight_bytes;
    memcpy(view->shares, scan.shares, sizeof(view->shares));
    if (status == CQ_OK && scan.networks) {
        take_networks(view, &networks);
    }
    else if (status == CQ_OK) {
        status = take_clients(view, table, clock, &scan, arena);
    }
    cq_net_free(&exempt);
    return status;
}

enum cq_status cq_collect(struct cq_view *view, const struct cq_table *table,
                          const struct cq_clock *clock,
                          const struct cq_query *query,
                          const struct cq_view_facts *facts,
                          const struct cq_arena *arena)
{
    struct cq_view_pool *pools;

    if (cq_collect_figures(view, table, clock, query, facts, arena, &pools)
        != CQ_OK) {
        return CQ_ENOMEM;
    }
    if (collect_changes(view, table, arena) != CQ_OK) {
        return CQ_ENOMEM;
    }
    return collect_clients(view, table, clock, pools, arena);
}
