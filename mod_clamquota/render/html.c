/* html - the operator's page.
 *
 * Complete without script, image or font from anywhere. Whatever comes from
 * outside goes through cq_write_html(); links and forms through render/link. */
#include "render/html_change.h"

#include <string.h>

static int64_t count_over(const struct cq_view *view)
{
    int64_t over = 0;
    size_t i;

    for (i = 0; i < view->pool_count; i++) {
        over += view->pools[i].clients_over;
    }
    return over;
}

static int64_t count_exempt(const struct cq_view *view)
{
    int64_t exempt = 0;
    size_t i;

    for (i = 0; i < view->pool_count; i++) {
        exempt += view->pools[i].clients_exempt;
    }
    return exempt;
}

static void document_head(struct cq_writer *w, const struct cq_view *view)
{
    cq_write_raw(w, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
                    "<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" "
                    "content=\"width=device-width,initial-scale=1\">\n"
                    "<meta name=\"color-scheme\" content=\"light dark\">\n"
                    "<meta name=\"robots\" content=\"noindex,nofollow\">\n");
    if (view->facts.refresh_s > 0) {
        cq_write_raw(w, "<meta http-equiv=\"refresh\" content=\"");
        cq_write_int(w, view->facts.refresh_s);
        cq_write_raw(w, "\">\n");
    }
    cq_write_raw(w, "<title>ClamQuota: ");
    if (view->facts.counts) {
        cq_words_count(w, count_over(view));
        cq_write_raw(w, " over");
    }
    else {
        cq_write_html(w, view->facts.engine);
    }
    cq_write_raw(w, "</title>\n<link rel=\"icon\" href=\"data:,\">\n"
                    "<style");
    if (view->facts.nonce) {
        cq_write_raw(w, " nonce=\"");
        cq_write_raw(w, view->facts.nonce);
        cq_write_raw(w, "\"");
    }
    cq_write_raw(w, ">\n");
    cq_html_style(w);
    cq_write_raw(w, "</style></head>\n");
}

static void format_link(struct cq_writer *w, const struct cq_view *view,
                        const char *format, const char *title)
{
    struct cq_link link = cq_link_find(view);

    link.format = format;
    link.refresh_s = 0;
    cq_write_raw(w, "<a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "\">");
    cq_write_raw(w, title);
    cq_write_raw(w, "</a>\n");
}

/* one click to watch, one to stop */
static void refresh_link(struct cq_writer *w, const struct cq_view *view)
{
    struct cq_link link = cq_link_find(view);

    link.refresh_s = view->facts.refresh_s > 0 ? 0 : 30;
    cq_write_raw(w, "<a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "\">");
    if (view->facts.refresh_s > 0) {
        cq_write_raw(w, "Stop refreshing (every ");
        cq_words_duration(w, view->facts.refresh_s);
        cq_write_raw(w, ")");
    }
    else {
        cq_write_raw(w, "Refresh every 30 s");
    }
    cq_write_raw(w, "</a>\n");
}

static void engine_badge(struct cq_writer *w, const char *engine)
{
    const char *name = engine ? engine : "";
    const char *badge = "badge b-over";
    const char *says = " &ndash; requests are not counted";

    if (strcmp(name, "On") == 0) {
        badge = "badge b-ok";
        says = "";
    }
    else if (strcmp(name, "LogOnly") == 0) {
        badge = "badge b-warn";
        says = " &ndash; counts, refuses nothing";
    }
    else if (strcmp(name, "Off") == 0) {
        badge = "badge";
        says = " &ndash; neither counts nor refuses";
    }
    cq_write_raw(w, "<span class=\"");
    cq_write_raw(w, badge);
    cq_write_raw(w, "\">Engine ");
    cq_write_html(w, name);
    cq_write_raw(w, says);
    cq_write_raw(w, "</span>\n");
}

void cq_html_period(struct cq_writer *w, const struct cq_period *period,
                    int day, int64_t next_day_s, int64_t now_s)
{
    switch (period->kind) {
    case CQ_PERIOD_MONTH:
        cq_write_raw(w, "<b>Month, day ");
        break;
    case CQ_PERIOD_WEEK:
        cq_write_raw(w, "<b>Week, day ");
        break;
    default:
        cq_write_raw(w, "<b>By the day</b> &middot; counters are reset ");
        cq_words_relative(w, next_day_s, now_s);
        cq_write_raw(w, ", on ");
        break;
    }
    if (period->kind == CQ_PERIOD_MONTH || period->kind == CQ_PERIOD_WEEK) {
        cq_write_int(w, day);
        cq_write_raw(w, " of ");
        cq_write_int(w, period->days);
        cq_write_raw(w, "</b> &middot; next midnight ");
        cq_words_relative(w, next_day_s, now_s);
        cq_write_raw(w, " &middot; counters are reset on ");
    }
    cq_words_moment(w, period->midnight_s[period->days]);
    cq_write_raw(w, " &middot; as of ");
    cq_words_moment(w, now_s);
}

static void page_header(struct cq_writer *w, const struct cq_view *view)
{
    cq_write_raw(w, "<header><div class=\"head\"><h1>ClamQuota</h1>\n");
    engine_badge(w, view->facts.engine);
    cq_write_raw(w, "<nav aria-label=\"Other forms of this page\">\n");
    refresh_link(w, view);
    format_link(w, view, "json", "JSON");
    format_link(w, view, "auto", "Text");
    format_link(w, view, "openmetrics", "OpenMetrics");
    cq_write_raw(w, "</nav></div>\n");
    cq_write_raw(w, "<p class=\"period\">");
    cq_html_period(w, &view->period, view->day, view->next_day_s,
                   view->now_s);
    cq_write_raw(w, "</p>\n</header>\n");
}

/* "this month": figures of the tiles are of this period or of now */
static const char *period_words(const struct cq_view *view)
{
    return view->period.kind == CQ_PERIOD_MONTH ? "this month"
        : view->period.kind == CQ_PERIOD_WEEK ? "this week" : "today";
}

static void tile(struct cq_writer *w, const char *title, const char *when)
{
    cq_write_raw(w, "<div><dt>");
    cq_write_raw(w, title);
    cq_write_raw(w, " <span>");
    cq_write_raw(w, when);
    cq_write_raw(w, "</span></dt><dd>");
}

static void end_tile(struct cq_writer *w)
{
    cq_write_raw(w, "</dd></div>\n");
}

static void note(struct cq_writer *w)
{
    cq_write_raw(w, "</dd><dd>");
}

static void tile_bytes(struct cq_writer *w, const char *title,
                       const char *when, int64_t bytes, const char *text)
{
    tile(w, title, when);
    cq_words_bytes(w, bytes);
    note(w);
    cq_write_raw(w, text);
    end_tile(w);
}

static void filter_link(struct cq_writer *w, const struct cq_view *view,
                        enum cq_filter filter, int64_t count,
                        const char *text)
{
    struct cq_link link = cq_link_find(view);

    link.query.filter = filter;
    link.query.offset = 0;
    cq_write_raw(w, "<a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "#clients\">");
    cq_words_count(w, count);
    cq_write_raw(w, text);
    cq_write_raw(w, "</a>");
}

static void tile_clients(struct cq_writer *w, const struct cq_view *view)
{
    tile(w, "Clients", period_words(view));
    cq_words_count(w, view->table_used);
    note(w);
    filter_link(w, view, CQ_FILTER_OVER, count_over(view), " over");
    cq_write_raw(w, ", ");
    filter_link(w, view, CQ_FILTER_EXEMPT, count_exempt(view), " exempt");
    end_tile(w);
}

static void tile_forecast(struct cq_writer *w, const struct cq_view *view)
{
    tile(w, "Forecast", period_words(view));
    cq_words_bytes(w, view->forecast_sent_bytes + view->forecast_free_bytes);
    note(w);
    cq_write_raw(w, "sent and free by its end, at the rate since ");
    cq_words_time(w, view->forecast_since_s, CQ_TIME_DAY_MINUTE);
    end_tile(w);
}

static void tile_refused(struct cq_writer *w, const struct cq_view *view)
{
    tile(w, "Refused", period_words(view));
    cq_words_count(w, view->this_period.refused);
    note(w);
    cq_words_percent(w, view->this_period.refused,
                     view->this_period.refused + view->this_period.hits);
    cq_write_raw(w, " of ");
    cq_words_count(w, view->this_period.refused + view->this_period.hits);
    cq_write_raw(w, " requests");
    end_tile(w);
}

static void tile_jailed(struct cq_writer *w, const struct cq_view *view)
{
    tile(w, "Jailed", "now");
    filter_link(w, view, CQ_FILTER_JAILED, view->jail.jailed, "");
    note(w);
    if (view->jail.dropped_packets >= 0) {
        cq_words_count(w, view->jail.dropped_packets);
        cq_write_raw(w, " packets dropped");
    }
    else {
        cq_write_raw(w, "clients and networks");
    }
    end_tile(w);
}

static void tile_count(struct cq_writer *w, const char *title,
                       const char *what, int64_t count)
{
    tile(w, title, what);
    cq_words_count(w, count);
    note(w);
    cq_write_raw(w, "since the table was made");
    end_tile(w);
}

static void tiles(struct cq_writer *w, const struct cq_view *view)
{
    const struct cq_view_totals *totals = &view->totals;

    cq_write_raw(w, "<dl class=\"tiles\">\n");
    tile_clients(w, view);
    tile_bytes(w, "Sent", period_words(view), view->this_period.sent_bytes,
               "counts against allowances");
    tile_bytes(w, "Free", period_words(view), view->this_period.free_bytes,
               "counted apart");
    tile_refused(w, view);
    tile_forecast(w, view);
    tile_bytes(w, "In flight", "now", totals->in_flight_bytes,
               "of open transfers");
    if (view->jail.spec) {
        tile_jailed(w, view);
    }
    if (totals->would_refuse > 0 ||
        (view->facts.engine && strcmp(view->facts.engine, "LogOnly") == 0)) {
        tile_count(w, "LogOnly", "would refuse", totals->would_refuse);
    }
    if (totals->dropped > 0) {
        tile_count(w, "Connections", "dropped", totals->dropped);
    }
    cq_write_raw(w, "</dl>\n");
}

static void pool_figure(struct cq_writer *w, const char *label, int64_t count)
{
    cq_write_raw(w, "<td class=\"n\" data-label=\"");
    cq_write_raw(w, label);
    cq_write_raw(w, "\">");
    cq_words_count(w, count);
    cq_write_raw(w, "</td>");
}

static void pool_size(struct cq_writer *w, const char *label, int64_t bytes)
{
    cq_write_raw(w, "<td class=\"n\" data-label=\"");
    cq_write_raw(w, label);
    cq_write_raw(w, "\">");
    cq_words_bytes(w, bytes);
    cq_write_raw(w, "</td>");
}

static void pool_row(struct cq_writer *w, const struct cq_view *view,
                     const struct cq_view_pool *pool)
{
    struct cq_link link = cq_link_find(view);

    link.query.pool = pool->name;
    link.query.offset = 0;
    cq_write_raw(w, "<tr><th scope=\"row\"><a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "\">");
    cq_write_html(w, pool->name);
    cq_write_raw(w, "</a></th>");
    if (pool->daily_bytes > 0) {
        pool_size(w, "Daily", pool->daily_bytes);
    }
    else {
        cq_write_raw(w, "<td class=\"n\" data-label=\"Daily\">"
                        "<span class=\"soft\">none now</span></td>");
    }
    pool_size(w, "Grace", pool->grace_bytes);
    pool_figure(w, "OK", pool->clients_ok);
    pool_figure(w, "Over", pool->clients_over);
    pool_figure(w, "Exempt", pool->clients_exempt);
    pool_size(w, "Sent", pool->totals.sent_bytes);
    pool_size(w, "Free", pool->totals.free_bytes);
    pool_figure(w, "Hits", pool->totals.hits);
    pool_figure(w, "Refused", pool->totals.refused);
    cq_write_raw(w, "</tr>\n");
}

static void pools(struct cq_writer *w, const struct cq_view *view)
{
    static const char *const columns[] = { "Daily", "Grace", "OK",
                                           "Over",  "Exempt", "Sent",
                                           "Free",  "Hits",  "Refused" };
    size_t i;

    cq_write_raw(w, "<section class=\"card\"><h2>Pools</h2>\n");
    if (view->pool_count == 0) {
        cq_write_raw(w, "<p class=\"empty\">No pool yet: ClamQuotaDaily "
                        "makes one.</p></section>\n");
        return;
    }
    cq_write_raw(w, "<div class=\"scroll\"><table class=\"cards\"><caption>"
                    "Clients of this period; totals since the table was made"
                    "</caption>\n<thead><tr><th scope=\"col\">Pool</th>");
    for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        cq_write_raw(w, "<th scope=\"col\" class=\"n\">");
        cq_write_raw(w, columns[i]);
        cq_write_raw(w, "</th>");
    }
    cq_write_raw(w, "</tr></thead>\n<tbody>\n");
    for (i = 0; i < view->pool_count; i++) {
        pool_row(w, view, &view->pools[i]);
    }
    cq_write_raw(w, "</tbody></table></div></section>\n");
}

static void term(struct cq_writer *w, const char *name, int64_t count)
{
    cq_write_raw(w, "<dt>");
    cq_write_raw(w, name);
    cq_write_raw(w, "</dt><dd>");
    cq_words_count(w, count);
    cq_write_raw(w, "</dd>");
}

static void table_fill(struct cq_writer *w, const struct cq_view *view)
{
    int64_t capacity = view->table_capacity > 0 ? view->table_capacity : 1;

    cq_write_raw(w, "<section class=\"card fill\"><h2>Table</h2>\n<b>");
    cq_words_percent(w, view->table_used, view->table_capacity);
    cq_write_raw(w, "</b> <span class=\"soft\">full</span>\n"
                    "<meter aria-label=\"table fill\" max=\"");
    cq_write_int(w, capacity);
    cq_write_raw(w, "\" low=\"");
    cq_write_int(w, capacity / 5 * 4);
    cq_write_raw(w, "\" high=\"");
    cq_write_int(w, capacity - capacity / 50);
    cq_write_raw(w, "\" optimum=\"0\" value=\"");
    cq_write_int(w, view->table_used < capacity ? view->table_used
                                                : capacity);
    cq_write_raw(w, "\"></meter>\n<dl>");
    term(w, "Clients of this period", view->table_used);
    term(w, "ClamQuotaClients", view->table_capacity);
    term(w, "Evictions", view->evictions);
    term(w, "Untracked requests", view->untracked);
    cq_write_raw(w, "</dl></section>\n");
}

static void figures(struct cq_writer *w, const struct cq_view *view)
{
    cq_html_client(w, view);
    tiles(w, view);
    cq_html_clients(w, view);
    cq_html_history(w, view);
    cq_write_raw(w, "<div class=\"pair\">\n");
    pools(w, view);
    table_fill(w, view);
    cq_write_raw(w, "</div>\n");
    if (view->jail.spec) {
        cq_html_jail(w, view);
    }
    if (view->exemption_count > 0) {
        cq_html_exemptions(w, view);
    }
    if (view->cluster) {
        cq_html_cluster(w, view->cluster, view->now_s);
    }
}

void cq_render_html(const struct cq_view *view, const struct cq_sink *sink)
{
    struct cq_writer writer;
    struct cq_writer *w = &writer;

    cq_write_begin(w, sink);
    w->period = &view->period;
    document_head(w, view);
    cq_write_raw(w, "<body><div class=\"page\">\n");
    page_header(w, view);
    cq_write_raw(w, "<main>\n");
    if (view->facts.done != CQ_ACTION_NONE) {
        cq_html_done(w, view->facts.done, &view->facts.done_on);
    }
    if (view->facts.notice) {
        cq_write_raw(w, "<p class=\"card\" role=\"status\"><b>");
        cq_write_html(w, view->facts.notice);
        cq_write_raw(w, "</b></p>\n");
    }
    if (view->facts.readable) {
        figures(w, view);
    }
    cq_write_raw(w, "</main>\n<footer>mod_clamquota ");
    cq_write_html(w, view->facts.version);
    cq_write_raw(w, "</footer>\n</div></body></html>\n");
    cq_write_end(w);
}
