/* openmetrics - the ?openmetrics of the contract, OpenMetrics 1.0 text.
 *
 * Labels are pools and states, never addresses. The families about a cluster
 * are left out as long as there is none. Totals never go back while the table
 * lives; where it was made anew a scraper sees a counter reset. */
#include "render/write.h"

#include <string.h>

/* metadata of one family: # TYPE, # UNIT (NULL: none), # HELP */
static void family(struct cq_writer *w, const char *name, const char *type,
                   const char *unit, const char *help)
{
    cq_write_raw(w, "# TYPE ");
    cq_write_raw(w, name);
    cq_write_raw(w, " ");
    cq_write_raw(w, type);
    if (unit) {
        cq_write_raw(w, "\n# UNIT ");
        cq_write_raw(w, name);
        cq_write_raw(w, " ");
        cq_write_raw(w, unit);
    }
    cq_write_raw(w, "\n# HELP ");
    cq_write_raw(w, name);
    cq_write_raw(w, " ");
    cq_write_raw(w, help);
    cq_write_raw(w, "\n");
}

/* a sample without labels; suffix "" or "_total" */
static void sample(struct cq_writer *w, const char *name, const char *suffix,
                   int64_t value)
{
    cq_write_raw(w, name);
    cq_write_raw(w, suffix);
    cq_write_raw(w, " ");
    cq_write_int(w, value);
    cq_write_raw(w, "\n");
}

/* a counter of each pool */
struct pool_counter {
    const char *name;
    const char *unit;
    const char *help;
    size_t offset;      /* of the int64_t in struct cq_view_totals */
};

static const struct pool_counter pool_counters[] = {
    { "clamquota_sent_bytes", "bytes",
      "Bytes sent that count against an allowance.",
      offsetof(struct cq_view_totals, sent_bytes) },
    { "clamquota_free_bytes", "bytes",
      "Bytes sent that were counted apart as free.",
      offsetof(struct cq_view_totals, free_bytes) },
    { "clamquota_hits", NULL, "Responses that were counted.",
      offsetof(struct cq_view_totals, hits) },
    { "clamquota_refused", NULL, "Requests refused.",
      offsetof(struct cq_view_totals, refused) },
    { "clamquota_would_refuse", NULL,
      "Requests that LogOnly would have refused.",
      offsetof(struct cq_view_totals, would_refuse) },
    { "clamquota_refused_bytes", "bytes", "Bytes of refusals.",
      offsetof(struct cq_view_totals, refused_bytes) },
    { "clamquota_handler_bytes", "bytes",
      "Bytes of the page clamquota-status.",
      offsetof(struct cq_view_totals, handler_bytes) },
    { "clamquota_dropped", NULL,
      "Connections that were closed without an answer.",
      offsetof(struct cq_view_totals, dropped) },
};

static void write_pool_counter(struct cq_writer *w, const struct cq_view *view,
                               const struct pool_counter *counter)
{
    size_t i;

    family(w, counter->name, "counter", counter->unit, counter->help);
    for (i = 0; i < view->pool_count; i++) {
        const struct cq_view_pool *pool = &view->pools[i];
        int64_t value;

        memcpy(&value, (const char *)&pool->totals + counter->offset,
               sizeof(value));
        cq_write_raw(w, counter->name);
        cq_write_raw(w, "_total{pool=");
        cq_write_label(w, pool->name);
        cq_write_raw(w, "} ");
        cq_write_int(w, value);
        cq_write_raw(w, "\n");
    }
}

static void write_clients(struct cq_writer *w, const struct cq_view_pool *pool,
                          enum cq_state state, int64_t value)
{
    cq_write_raw(w, "clamquota_clients{pool=");
    cq_write_label(w, pool->name);
    cq_write_raw(w, ",state=");
    cq_write_label(w, cq_state_word(state));
    cq_write_raw(w, "} ");
    cq_write_int(w, value);
    cq_write_raw(w, "\n");
}

/* used / capacity with six digits, in integers: no locale, no rounding up to
 * a full table */
static void write_fill(struct cq_writer *w, const struct cq_view *view)
{
    int64_t capacity = view->table_capacity;
    int64_t used = view->table_used;
    int64_t rest = 0;
    int64_t unit;

    cq_write_raw(w, "clamquota_table_fill_ratio ");
    if (capacity <= 0 || used < 0) {
        cq_write_raw(w, "0.0\n");
        return;
    }
    cq_write_int(w, used / capacity);
    cq_write_raw(w, ".");
    rest = used % capacity;
    for (unit = 0; unit < 6; unit++) {
        /* capacity is a number of rows: ten times it can't overflow */
        rest *= 10;
        cq_write_int(w, rest / capacity);
        rest %= capacity;
    }
    cq_write_raw(w, "\n");
}

static void write_head(struct cq_writer *w, const struct cq_view *view)
{
    size_t i;

    family(w, "clamquota_up", "gauge", NULL,
           view->facts.notice && !view->facts.counts
               ? view->facts.notice : "1: requests are counted.");
    sample(w, "clamquota_up", "", view->facts.counts ? 1 : 0);
    family(w, "clamquota_build", "info", NULL,
           "Version of mod_clamquota and its engine's state.");
    cq_write_raw(w, "clamquota_build_info{version=");
    cq_write_label(w, view->facts.version);
    cq_write_raw(w, ",engine=");
    cq_write_label(w, view->facts.engine);
    cq_write_raw(w, "} 1\n");
    family(w, "clamquota_clients", "gauge", NULL,
           "Clients seen in this period, by state.");
    for (i = 0; i < view->pool_count; i++) {
        const struct cq_view_pool *pool = &view->pools[i];

        write_clients(w, pool, CQ_STATE_OK, pool->clients_ok);
        write_clients(w, pool, CQ_STATE_OVER, pool->clients_over);
        write_clients(w, pool, CQ_STATE_EXEMPT, pool->clients_exempt);
    }
}

/* milliseconds as seconds, without a locale */
static void write_seconds(struct cq_writer *w, const char *name, int64_t ms)
{
    int64_t unit;

    ms = ms > 0 ? ms : 0;
    cq_write_raw(w, name);
    cq_write_raw(w, " ");
    cq_write_int(w, ms / 1000);
    cq_write_raw(w, ".");
    for (unit = 100; unit > 0; unit /= 10) {
        cq_write_int(w, ms / unit % 10);
    }
    cq_write_raw(w, "\n");
}

static void write_cluster(struct cq_writer *w,
                          const struct cq_cluster_status *cluster)
{
    size_t i;

    family(w, "clamquota_cluster_up", "gauge", NULL,
           "1: this memcached answered in the last round.");
    for (i = 0; i < cluster->servers_n; i++) {
        cq_write_raw(w, "clamquota_cluster_up{server=");
        cq_write_label(w, cluster->servers[i].name);
        cq_write_raw(w, cluster->servers[i].up ? "} 1\n" : "} 0\n");
    }
    family(w, "clamquota_cluster_lag_seconds", "gauge", "seconds",
           "Age of this node's oldest figure that others do not have yet.");
    write_seconds(w, "clamquota_cluster_lag_seconds", cluster->lag_ms);
    family(w, "clamquota_cluster_nodes", "gauge", NULL,
           "Nodes seen, including this one.");
    sample(w, "clamquota_cluster_nodes", "", (int64_t)cluster->nodes_n);
    family(w, "clamquota_cluster_rounds", "counter", NULL,
           "Rounds of the exchange with memcached.");
    sample(w, "clamquota_cluster_rounds", "_total", cluster->rounds);
    family(w, "clamquota_cluster_failed_rounds", "counter", NULL,
           "Rounds in which a server did not answer in time.");
    sample(w, "clamquota_cluster_failed_rounds", "_total",
           cluster->failed_rounds);
    family(w, "clamquota_cluster_missing_shares", "counter", NULL,
           "Own shares that a server had lost.");
    sample(w, "clamquota_cluster_missing_shares", "_total", cluster->missing);
}

static void write_jail(struct cq_writer *w, const struct cq_view_jail *jail)
{
    if (!jail->spec) {
        return;
    }
    family(w, "clamquota_jailed", "gauge", NULL,
           "Clients and networks in the jail.");
    sample(w, "clamquota_jailed", "", jail->jailed);
    if (jail->capacity > 0) {
        family(w, "clamquota_jail_capacity", "gauge", NULL,
               "Clients and networks that the jail has room for.");
        sample(w, "clamquota_jail_capacity", "", jail->capacity);
    }
    if (jail->dropped_packets >= 0) {
        family(w, "clamquota_jail_dropped_packets", "counter", "packets",
               "Packets that the rules of the jail dropped.");
        sample(w, "clamquota_jail_dropped_packets", "_total",
               jail->dropped_packets);
    }
    family(w, "clamquota_jail_report_timestamp_seconds", "gauge", "seconds",
           "Time of the last report of clamquota-sync on the jail, in unix "
           "time.");
    sample(w, "clamquota_jail_report_timestamp_seconds", "", jail->as_of_s);
}

static void write_forecast(struct cq_writer *w, const struct cq_view *view)
{
    family(w, "clamquota_forecast_bytes", "gauge", "bytes",
           "Bytes, free ones too, that this node will have sent by the end of "
           "the period at the rate so far.");
    sample(w, "clamquota_forecast_bytes", "",
           view->forecast_sent_bytes + view->forecast_free_bytes);
    family(w, "clamquota_exemptions", "gauge", NULL,
           "Clients and networks that are exempt for a time.");
    sample(w, "clamquota_exemptions", "", (int64_t)view->exemption_count);
}

void cq_render_openmetrics(const struct cq_view *view,
                           const struct cq_sink *sink)
{
    struct cq_writer writer;
    struct cq_writer *w = &writer;
    size_t i;

    cq_write_begin(w, sink);
    write_head(w, view);
    for (i = 0; i < sizeof(pool_counters) / sizeof(pool_counters[0]); i++) {
        write_pool_counter(w, view, &pool_counters[i]);
    }
    family(w, "clamquota_in_flight_bytes", "gauge", "bytes",
           "Bytes reserved by open transfers.");
    sample(w, "clamquota_in_flight_bytes", "", view->totals.in_flight_bytes);
    family(w, "clamquota_table_fill_ratio", "gauge", "ratio",
           "Clients of this period against ClamQuotaClients.");
    write_fill(w, view);
    family(w, "clamquota_evictions", "counter", NULL,
           "Clients of a running period that lost their row.");
    sample(w, "clamquota_evictions", "_total", view->evictions);
    family(w, "clamquota_untracked", "counter", NULL,
           "Requests served uncounted because no row was free.");
    sample(w, "clamquota_untracked", "_total", view->untracked);
    write_forecast(w, view);
    write_jail(w, &view->jail);
    if (view->cluster) {
        write_cluster(w, view->cluster);
    }
    cq_write_raw(w, "# EOF\n");
    cq_write_end(w);
}
