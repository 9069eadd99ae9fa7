/* auto - "Key: value" lines for scripts, for ?auto and for mod_status's.
 *
 * Totals only, no address, and nothing that takes a look at every row. Numbers
 * of pools are their places in the table,
 * which stay for the life of the file. */
#include "render/write.h"

static void line(struct cq_writer *w, const char *key, int64_t value)
{
    cq_write_raw(w, "ClamQuota");
    cq_write_raw(w, key);
    cq_write_raw(w, ": ");
    cq_write_int(w, value);
    cq_write_raw(w, "\n");
}

static void line_text(struct cq_writer *w, const char *key, const char *value)
{
    cq_write_raw(w, "ClamQuota");
    cq_write_raw(w, key);
    cq_write_raw(w, ": ");
    cq_write_line(w, value);
    cq_write_raw(w, "\n");
}

/* ClamQuotaPool2SentBytes: ... */
static void pool_key(struct cq_writer *w, size_t number, const char *key)
{
    cq_write_raw(w, "ClamQuotaPool");
    cq_write_int(w, (int64_t)number);
    cq_write_raw(w, key);
    cq_write_raw(w, ": ");
}

static void pool_line(struct cq_writer *w, size_t number, const char *key,
                      int64_t value)
{
    pool_key(w, number, key);
    cq_write_int(w, value);
    cq_write_raw(w, "\n");
}

static void write_pool(struct cq_writer *w, size_t number,
                       const struct cq_view_pool *pool)
{
    pool_key(w, number, "Name");
    cq_write_line(w, pool->name);
    cq_write_raw(w, "\n");
    pool_line(w, number, "DailyBytes", pool->daily_bytes);
    pool_line(w, number, "GraceBytes", pool->grace_bytes);
    pool_line(w, number, "SentBytes", pool->totals.sent_bytes);
    pool_line(w, number, "FreeBytes", pool->totals.free_bytes);
    pool_line(w, number, "Hits", pool->totals.hits);
    pool_line(w, number, "Refused", pool->totals.refused);
    pool_line(w, number, "WouldRefuse", pool->totals.would_refuse);
    pool_line(w, number, "Dropped", pool->totals.dropped);
}

static void write_totals(struct cq_writer *w,
                         const struct cq_view_totals *totals)
{
    line(w, "SentBytes", totals->sent_bytes);
    line(w, "FreeBytes", totals->free_bytes);
    line(w, "Hits", totals->hits);
    line(w, "Refused", totals->refused);
    line(w, "WouldRefuse", totals->would_refuse);
    line(w, "RefusedBytes", totals->refused_bytes);
    line(w, "HandlerBytes", totals->handler_bytes);
    line(w, "Dropped", totals->dropped);
}

static void write_cluster(struct cq_writer *w,
                          const struct cq_cluster_status *cluster)
{
    line_text(w, "ClusterNode", cluster->label);
    line(w, "ClusterNodes", (int64_t)cluster->nodes_n);
    line(w, "ClusterServers", (int64_t)cluster->servers_n);
    line(w, "ClusterServersUp", cq_view_servers_up(cluster));
    line(w, "ClusterLagMs", cluster->lag_ms);
    line(w, "ClusterLastRound", cluster->last_round_s);
    line(w, "ClusterRounds", cluster->rounds);
    line(w, "ClusterFailedRounds", cluster->failed_rounds);
    line(w, "ClusterWaiting", cluster->waiting);
    line(w, "ClusterMissing", cluster->missing);
}

void cq_render_auto(const struct cq_view *view, const struct cq_sink *sink)
{
    struct cq_writer writer;
    struct cq_writer *w = &writer;
    const struct cq_period *period = &view->period;
    size_t i;

    cq_write_begin(w, sink);
    line_text(w, "Version", view->facts.version);
    line_text(w, "Engine", view->facts.engine);
    line(w, "Up", view->facts.counts ? 1 : 0);
    if (view->facts.notice) {
        line_text(w, "Notice", view->facts.notice);
    }
    line(w, "Now", view->now_s);
    line_text(w, "PeriodKind",
              cq_period_kind_word((enum cq_period_kind)period->kind));
    line(w, "PeriodStart", period->midnight_s[0]);
    line(w, "PeriodEnd", period->midnight_s[period->days]);
    line(w, "PeriodDay", view->day);
    line(w, "PeriodDays", period->days);
    line(w, "NextDay", view->next_day_s);
    write_totals(w, &view->totals);
    line(w, "ForecastSentBytes", view->forecast_sent_bytes);
    line(w, "ForecastFreeBytes", view->forecast_free_bytes);
    line(w, "TableCapacity", view->table_capacity);
    line(w, "TableUsed", view->table_used);
    line(w, "Evictions", view->evictions);
    line(w, "Untracked", view->untracked);
    if (view->jail.spec) {
        line_text(w, "Jail", view->jail.spec);
        line(w, "Jailed", view->jail.jailed);
        line(w, "JailCapacity", view->jail.capacity);
        line(w, "JailDroppedPackets", view->jail.dropped_packets);
        line(w, "JailAsOf", view->jail.as_of_s);
    }
    if (view->cluster) {
        write_cluster(w, view->cluster);
    }
    line(w, "Pools", (int64_t)view->pool_count);
    for (i = 0; i < view->pool_count; i++) {
        write_pool(w, i + 1, &view->pools[i]);
    }
    cq_write_end(w);
}
