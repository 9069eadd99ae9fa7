/* json - the ?json of the contract.
 *
 * Member names, nesting and order of what the contract lists are fixed; what
 * was added since stands at the end of its object. Every integer is exact. */
#include "render/json.h"

#include "render/cluster_cells.h"

/* ,"name": as it starts every member but the first */
static void member(struct cq_writer *w, const char *name, int64_t value)
{
    cq_write_raw(w, ", \"");
    cq_write_raw(w, name);
    cq_write_raw(w, "\": ");
    cq_write_int(w, value);
}

static void member_text(struct cq_writer *w, const char *name,
                        const char *value)
{
    cq_write_raw(w, ", \"");
    cq_write_raw(w, name);
    cq_write_raw(w, "\": ");
    cq_write_json(w, value);
}

static void member_null(struct cq_writer *w, const char *name)
{
    cq_write_raw(w, ", \"");
    cq_write_raw(w, name);
    cq_write_raw(w, "\": null");
}

static void member_bool(struct cq_writer *w, const char *name, bool value)
{
    cq_write_raw(w, ", \"");
    cq_write_raw(w, name);
    cq_write_raw(w, value ? "\": true" : "\": false");
}

static void member_word(struct cq_writer *w, const char *name,
                        const char *value)
{
    if (value) {
        member_text(w, name, value);
    }
    else {
        member_null(w, name);
    }
}

/* no quota is null, so that no program computes with -1 */
static void member_quota(struct cq_writer *w, const char *name, bool limited,
                         int64_t value)
{
    if (limited) {
        member(w, name, value);
    }
    else {
        member_null(w, name);
    }
}

/* digits in quotes: an id is no number to compute with */
static void member_id(struct cq_writer *w, uint64_t id)
{
    char digits[CQ_NODE_ID_SIZE];

    member_text(w, "id", cq_node_id(id, digits));
}

/* what stands before item i of an array, each item on a line of its own */
static void before_item(struct cq_writer *w, size_t i)
{
    cq_write_raw(w, i == 0 ? "\n    " : ",\n    ");
}

void cq_json_period(struct cq_writer *w, const struct cq_period *period,
                    int day, int64_t next_day_s)
{
    cq_write_raw(w, "\"period\": {\"kind\": ");
    cq_write_json(w, cq_period_kind_word((enum cq_period_kind)period->kind));
    member(w, "start", period->midnight_s[0]);
    member(w, "end", period->midnight_s[period->days]);
    member(w, "day", day);
    member(w, "next_day", next_day_s);
    member(w, "days", period->days);
    cq_write_raw(w, "}");
}

static void write_head(struct cq_writer *w, const struct cq_view *view)
{
    cq_write_raw(w, "{ \"version\": ");
    cq_write_json(w, view->facts.version);
    member(w, "now", view->now_s);
    member_text(w, "engine", view->facts.engine);
    cq_write_raw(w, ",\n  ");
    cq_json_period(w, &view->period, view->day, view->next_day_s);
}

static void write_pool(struct cq_writer *w, const struct cq_view_pool *pool)
{
    const struct cq_view_totals *totals = &pool->totals;

    cq_write_raw(w, "{\"pool\": ");
    cq_write_json(w, pool->name);
    member_quota(w, "daily", pool->daily_bytes > 0, pool->daily_bytes);
    member(w, "grace", pool->grace_bytes);
    member(w, "sent", totals->sent_bytes);
    member(w, "free", totals->free_bytes);
    member(w, "hits", totals->hits);
    member(w, "refused", totals->refused);
    member(w, "would_refuse", totals->would_refuse);
    member(w, "refused_bytes", totals->refused_bytes);
    member(w, "handler_bytes", totals->handler_bytes);
    member(w, "dropped", totals->dropped);
    member(w, "clients_ok", pool->clients_ok);
    member(w, "clients_over", pool->clients_over);
    member(w, "clients_exempt", pool->clients_exempt);
    cq_write_raw(w, "}");
}

static void write_node(struct cq_writer *w, const struct cq_cluster_node *node)
{
    cq_write_raw(w, "{\"node\": ");
    cq_write_json(w, node->label);
    member(w, "last_seen", node->last_seen_s);
    member_bool(w, "self", node->self);
    member_id(w, node->id);
    member_bool(w, "alive", node->alive);
    member(w, "offset_ms", node->offset_ms);
    member_bool(w, "other_period", node->other_period);
    member_bool(w, "other_servers", node->other_servers);
    member_bool(w, "other_daily", node->other_daily);
    cq_write_raw(w, "}");
}

/* node and site are this node's label: site as "clamquota export" names it */
static void write_cluster(struct cq_writer *w,
                          const struct cq_cluster_status *cluster)
{
    size_t i;

    cq_write_raw(w, "{\"node\": ");
    cq_write_json(w, cluster->label);
    member_text(w, "site", cluster->label);
    cq_write_raw(w, ", \"nodes\": [");
    for (i = 0; i < cluster->nodes_n; i++) {
        before_item(w, i);
        write_node(w, &cluster->nodes[i]);
    }
    cq_write_raw(w, "],\n  \"servers\": [");
    for (i = 0; i < cluster->servers_n; i++) {
        before_item(w, i);
        cq_write_raw(w, "{\"server\": ");
        cq_write_json(w, cluster->servers[i].name);
        member_bool(w, "up", cluster->servers[i].up);
        member(w, "errors", cluster->servers[i].errors);
        cq_write_raw(w, "}");
    }
    cq_write_raw(w, "]");
    member(w, "lag_ms", cluster->lag_ms);
    member(w, "last_round", cluster->last_round_s);
    member(w, "rounds", cluster->rounds);
    member(w, "waiting", cluster->waiting);
    member(w, "failed_rounds", cluster->failed_rounds);
    member(w, "missing", cluster->missing);
    member(w, "raised", cluster->raised);
    member_id(w, cluster->node);
    cq_write_raw(w, "}");
}

static void write_figures(struct cq_writer *w, const struct cq_view *view)
{
    const struct cq_view_totals *totals = &view->totals;

    cq_write_raw(w, ",\n  \"table\": {\"capacity\": ");
    cq_write_int(w, view->table_capacity);
    member(w, "used", view->table_used);
    member(w, "evictions", view->evictions);
    member(w, "untracked", view->untracked);
    cq_write_raw(w, "},\n  \"totals\": {\"sent\": ");
    cq_write_int(w, totals->sent_bytes);
    member(w, "free", totals->free_bytes);
    member(w, "hits", totals->hits);
    member(w, "refused", totals->refused);
    member(w, "would_refuse", totals->would_refuse);
    member(w, "in_flight", totals->in_flight_bytes);
    member(w, "refused_bytes", totals->refused_bytes);
    member(w, "handler_bytes", totals->handler_bytes);
    member(w, "dropped", totals->dropped);
    cq_write_raw(w, "},\n  \"cluster\": ");
    if (view->cluster) {
        write_cluster(w, view->cluster);
    }
    else {
        cq_write_raw(w, "null");
    }
}

/* no limit and no knowledge are null */
static void write_jail(struct cq_writer *w, const struct cq_view_jail *jail)
{
    cq_write_raw(w, ",\n  \"jail\": ");
    if (!jail->spec) {
        cq_write_raw(w, "null");
        return;
    }
    cq_write_raw(w, "{\"spec\": ");
    cq_write_json(w, jail->spec);
    member(w, "jailed", jail->jailed);
    member_quota(w, "capacity", jail->capacity > 0, jail->capacity);
    member_quota(w, "dropped_packets", jail->dropped_packets >= 0,
                 jail->dropped_packets);
    member(w, "as_of", jail->as_of_s);
    cq_write_raw(w, "}");
}

static void write_hour(struct cq_writer *w, const struct cq_view_hour *hour)
{
    cq_write_raw(w, "{\"start\": ");
    cq_write_int(w, hour->start_s);
    member(w, "sent", hour->sent_bytes);
    member(w, "free", hour->free_bytes);
    member(w, "hits", hour->hits);
    member(w, "refused", hour->refused);
    cq_write_raw(w, "}");
}

static void write_copies(struct cq_writer *w,
                         const struct cq_view_client *client)
{
    size_t i;

    cq_write_raw(w, ", \"copies\": ");
    if (!client->copies) {
        cq_write_raw(w, "null");
        return;
    }
    cq_write_raw(w, "[");
    for (i = 0; i < client->copies_n; i++) {
        const struct cq_view_copy *copy = &client->copies[i];

        cq_write_raw(w, i == 0 ? "{\"path\": " : ", {\"path\": ");
        cq_write_json(w, copy->path);
        member(w, "size", copy->size_bytes);
        member(w, "mtime", copy->mtime_s);
        member(w, "used", copy->used_bytes);
        member(w, "allowance", copy->allowance_bytes);
        cq_write_raw(w, "}");
    }
    cq_write_raw(w, "]");
}

void cq_json_client(struct cq_writer *w, const struct cq_view_client *client)
{
    char text[CQ_KEY_TEXT_SIZE];
    bool limited = client->daily_bytes >= 0;

    cq_write_raw(w, "{\"client\": ");
    cq_write_json(w, cq_key_format(&client->client, text, sizeof(text)));
    member(w, "prefix", client->client.prefix);
    member_text(w, "pool", client->pool);
    member(w, "used", client->used_bytes);
    member(w, "today", client->today_bytes);
    member(w, "free", client->free_bytes);
    member(w, "in_flight", client->in_flight_bytes);
    member_quota(w, "daily", limited, client->daily_bytes);
    member_quota(w, "allowance", limited, client->allowance_bytes);
    member_text(w, "rule", client->rule);
    member(w, "hits", client->hits);
    member(w, "refused", client->refused);
    member(w, "last_hit", client->last_hit_s);
    member_text(w, "state", cq_state_word(client->state));
    member(w, "over_since", client->over_since_s);
    member(w, "retry_after", client->retry_after_s);
    member_bool(w, "jailable", client->spared == CQ_SPARED_NOT);
    member_word(w, "spared", cq_spared_word(client->spared));
    member_bool(w, "jailed", client->jailed);
    member(w, "exempt_until", client->exempt_until_s);
    member(w, "would_refuse", client->would_refuse);
    member(w, "refused_today", client->refused_today);
    write_copies(w, client);
    if (client->shared) {
        cq_write_raw(w, ", \"here\": {\"used\": ");
        cq_write_int(w, client->here_used_bytes);
        member(w, "in_flight", client->here_in_flight_bytes);
        member(w, "refused", client->refused);
        cq_write_raw(w, "}");
    }
    cq_write_raw(w, "}");
}

static void write_exemptions(struct cq_writer *w, const struct cq_view *view)
{
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    cq_write_raw(w, ",\n  \"exemptions\": [");
    for (i = 0; i < view->exemption_count; i++) {
        before_item(w, i);
        cq_write_raw(w, "{\"net\": ");
        cq_write_json(w, cq_key_format_cidr(&view->exemptions[i].net, text,
                                            sizeof(text)));
        member(w, "until", view->exemptions[i].until_s);
        cq_write_raw(w, "}");
    }
    cq_write_raw(w, "]");
}

static void write_forecast(struct cq_writer *w, const struct cq_view *view)
{
    cq_write_raw(w, ",\n  \"forecast\": {\"sent_by_period_end\": ");
    cq_write_int(w, view->forecast_sent_bytes);
    member(w, "free_by_period_end", view->forecast_free_bytes);
    member(w, "since", view->forecast_since_s);
    cq_write_raw(w, "}");
}

/* hours, or what ?days= asks for */
static void write_history(struct cq_writer *w, const struct cq_view *view)
{
    bool days = view->query.days > 0;
    size_t n = days ? view->day_count : view->history_count;
    size_t i;

    cq_write_raw(w, ",\n  \"history\": [");
    for (i = 0; i < n; i++) {
        before_item(w, i);
        write_hour(w, days ? &view->days[i] : &view->history[i]);
    }
    cq_write_raw(w, "]");
}

static void write_networks(struct cq_writer *w, const struct cq_view *view)
{
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    cq_write_raw(w, ",\n  \"networks\": [");
    for (i = 0; i < view->network_count; i++) {
        const struct cq_view_network *network = &view->networks[i];

        before_item(w, i);
        cq_write_raw(w, "{\"network\": ");
        cq_write_json(w, cq_key_format_cidr(&network->net, text,
                                            sizeof(text)));
        member(w, "clients", network->clients);
        member(w, "over", network->over);
        member(w, "used", network->used_bytes);
        member(w, "today", network->today_bytes);
        member(w, "free", network->free_bytes);
        member(w, "hits", network->hits);
        member(w, "refused", network->refused);
        member(w, "last_hit", network->last_hit_s);
        cq_write_raw(w, "}");
    }
    cq_write_raw(w, "]");
    member(w, "networks_matched", view->networks_matched);
    member_bool(w, "networks_exact", view->networks_exact);
}

static void write_shares(struct cq_writer *w, const struct cq_view *view)
{
    size_t i;

    cq_write_raw(w, ", \"shares\": [");
    for (i = 0; i < CQ_VIEW_SHARES; i++) {
        cq_write_raw(w, i == 0 ? "" : ", ");
        cq_write_int(w, view->shares[i]);
    }
    cq_write_raw(w, "]");
}

void cq_render_json(const struct cq_view *view, const struct cq_sink *sink)
{
    struct cq_writer writer;
    struct cq_writer *w = &writer;
    size_t i;

    cq_write_begin(w, sink);
    write_head(w, view);
    cq_write_raw(w, ",\n  \"pools\": [");
    for (i = 0; i < view->pool_count; i++) {
        before_item(w, i);
        write_pool(w, &view->pools[i]);
    }
    cq_write_raw(w, "]");
    write_figures(w, view);
    write_jail(w, &view->jail);
    write_exemptions(w, view);
    write_forecast(w, view);
    write_history(w, view);
    cq_write_raw(w, ",\n  \"clients\": [");
    for (i = 0; i < view->client_count; i++) {
        before_item(w, i);
        cq_json_client(w, &view->clients[i]);
    }
    cq_write_raw(w, "]");
    if (view->query.by_net) {
        write_networks(w, view);
    }
    member(w, "clients_matched", view->clients_matched);
    write_shares(w, view);
    member_bool(w, "up", view->facts.counts);
    member_word(w, "notice", view->facts.notice);
    cq_write_raw(w, " }\n");
    cq_write_end(w);
}
