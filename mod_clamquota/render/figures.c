/* figures - what a view has without a look at the rows: pools, history,
 * forecast, jail, cluster. */
#include "render/figures.h"

#include "render/forecast.h"
#include "table/exempt.h"
#include "table/jail.h"

#include <string.h>

#define FIGURE_MAX (INT64_C(1) << 61)

void *cq_arena_alloc(const struct cq_arena *arena, size_t count, size_t size)
{
    /* a count of 0 asks for one, so that NULL always means no memory */
    size_t bytes = (count > 0 ? count : 1) * size;
    void *memory = arena->alloc(arena->baton, bytes);

    if (memory) {
        memset(memory, 0, bytes);
    }
    return memory;
}

/* A figure of the table, which may be damaged: two of a view can be added, and
 * none is negative. */
static int64_t limit_figure(int64_t n)
{
    return n < 0 ? 0 : n < FIGURE_MAX ? n : FIGURE_MAX;
}

static void add(int64_t *sum, int64_t part)
{
    *sum = limit_figure(*sum + part);
}

static void add_totals(struct cq_view_totals *sum,
                       const struct cq_view_totals *part)
{
    add(&sum->sent_bytes, part->sent_bytes);
    add(&sum->free_bytes, part->free_bytes);
    add(&sum->hits, part->hits);
    add(&sum->refused, part->refused);
    add(&sum->would_refuse, part->would_refuse);
    add(&sum->refused_bytes, part->refused_bytes);
    add(&sum->handler_bytes, part->handler_bytes);
    add(&sum->dropped, part->dropped);
}

static enum cq_status collect_pool(const struct cq_table *table,
                                   uint16_t index, struct cq_view_pool *pool,
                                   const struct cq_arena *arena)
{
    int64_t totals[CQ_TOTALS] = { 0 };
    struct cq_pool_info *info = cq_arena_alloc(arena, 1, sizeof(*info));
    int i;

    if (!info) {
        return CQ_ENOMEM;
    }
    cq_table_pool_info(table, index, info);
    cq_table_totals(table, index, totals);
    for (i = 0; i < CQ_TOTALS; i++) {
        totals[i] = limit_figure(totals[i]);
    }
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
    struct cq_view_pool *pools = cq_arena_alloc(arena, count, sizeof(*pools));
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

static int count_or(int asked, int usual, int most)
{
    return asked <= 0 ? usual : asked < most ? asked : most;
}

static enum cq_status collect_slots(
    const struct cq_table *table, const struct cq_arena *arena, int max,
    size_t (*read)(const struct cq_table *, struct cq_hour *, size_t),
    const struct cq_view_hour **slots, size_t *slots_n)
{
    struct cq_hour *from = cq_arena_alloc(arena, (size_t)max, sizeof(*from));
    struct cq_view_hour *to = cq_arena_alloc(arena, (size_t)max, sizeof(*to));
    size_t i;

    if (!from || !to) {
        return CQ_ENOMEM;
    }
    *slots_n = read(table, from, (size_t)max);
    *slots = to;
    for (i = 0; i < *slots_n; i++) {
        to[i] = (struct cq_view_hour){ from[i].start_s,
                                       limit_figure(from[i].sent_bytes),
                                       limit_figure(from[i].free_bytes),
                                       limit_figure(from[i].hits),
                                       limit_figure(from[i].refused) };
    }
    return CQ_OK;
}

/* The pace is that of this period's days, as far as the history has them. */
static void forecast(struct cq_view *view, const struct cq_view_hour *days,
                     size_t day_count)
{
    int64_t start_s = view->period.midnight_s[0];
    int64_t end_s = view->period.midnight_s[view->period.days];
    struct cq_view_hour *sum = &view->this_period;
    size_t i = day_count;

    view->forecast_since_s = view->now_s;
    while (i > 0 && days[i - 1].start_s >= start_s) {
        i--;
        add(&sum->sent_bytes, days[i].sent_bytes);
        add(&sum->free_bytes, days[i].free_bytes);
        add(&sum->hits, days[i].hits);
        add(&sum->refused, days[i].refused);
        view->forecast_since_s = days[i].start_s;
    }
    sum->start_s = view->forecast_since_s;
    view->forecast_sent_bytes = limit_figure(cq_forecast_bytes(
        sum->sent_bytes, view->forecast_since_s, view->now_s, end_s));
    view->forecast_free_bytes = limit_figure(cq_forecast_bytes(
        sum->free_bytes, view->forecast_since_s, view->now_s, end_s));
}

static enum cq_status collect_history(struct cq_view *view,
                                      const struct cq_table *table,
                                      const struct cq_arena *arena)
{
    const struct cq_view_hour *days;
    size_t day_count;

    if (collect_slots(table, arena, count_or(view->query.hours, CQ_VIEW_HOURS,
                                             CQ_VIEW_HOURS_MAX),
                      cq_table_history, &view->history, &view->history_count)
            != CQ_OK
        || collect_slots(table, arena, CQ_VIEW_DAYS_MAX, cq_table_days, &days,
                         &day_count) != CQ_OK) {
        return CQ_ENOMEM;
    }
    forecast(view, days, day_count);
    view->day_count = (size_t)count_or(view->query.days, CQ_VIEW_DAYS,
                                       CQ_VIEW_DAYS_MAX);
    if (view->day_count > day_count) {
        view->day_count = day_count;
    }
    view->days = days + (day_count - view->day_count);
    return CQ_OK;
}

static enum cq_status collect_jail(struct cq_view *view,
                                   const struct cq_table *table,
                                   const struct cq_arena *arena)
{
    struct cq_jail_report *report = cq_arena_alloc(arena, 1, sizeof(*report));

    if (!report) {
        return CQ_ENOMEM;
    }
    if (cq_table_jail(table, report)) {
        view->jail.spec = report->spec;
        view->jail.jailed = limit_figure(report->jailed);
        view->jail.capacity = limit_figure(report->capacity);
        view->jail.dropped_packets = report->dropped_packets < 0
            ? -1 : limit_figure(report->dropped_packets);
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
    cluster = cq_arena_alloc(arena, 1, sizeof(*cluster));
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

static enum cq_status collect_exemptions(struct cq_view *view,
                                         const struct cq_table *table,
                                         const struct cq_arena *arena)
{
    struct cq_exemption list[CQ_EXEMPTIONS_MAX];
    size_t n = cq_exempt_list(table, view->now_s, list);
    struct cq_exemption *copy = cq_arena_alloc(arena, n, sizeof(*copy));

    if (!copy) {
        return CQ_ENOMEM;
    }
    memcpy(copy, list, n * sizeof(*copy));
    view->exemptions = copy;
    view->exemption_count = n;
    return CQ_OK;
}

enum cq_status cq_collect_figures(struct cq_view *view,
                                  const struct cq_table *table,
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
    if (view->query.offset < 0) {
        view->query.offset = 0;
    }
    cq_table_figures(table, &figures);
    view->table_capacity = figures.capacity;
    view->table_used = figures.clients;
    view->evictions = figures.evictions;
    view->untracked = figures.untracked;
    cq_table_period(table, &view->period);
    if (collect_jail(view, table, arena) != CQ_OK
        || collect_cluster(view, table, arena) != CQ_OK
        || collect_history(view, table, arena) != CQ_OK
        || collect_exemptions(view, table, arena) != CQ_OK) {
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

    return cq_collect_figures(view, table, clock, query, facts, arena, &pools);
}
