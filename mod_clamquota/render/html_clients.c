/* html_clients - the table of clients.
 *
 * Each row has links to the pages that reset and exempt it. On a narrow screen
 * a row is two lines; what has no room there stands on the client's own
 * page. */
#include "render/html_change.h"

#include "render/query.h"

#include <string.h>

static void head_plain(struct cq_writer *w, const char *class_name,
                       const char *title)
{
    cq_write_raw(w, "<th scope=\"col\"");
    cq_write_raw(w, class_name);
    cq_write_raw(w, ">");
    cq_write_raw(w, title);
    cq_write_raw(w, "</th>");
}

static void head_sort(struct cq_writer *w, const struct cq_view *view,
                      const char *class_name, enum cq_sort sort)
{
    struct cq_link link = cq_link_find(view);

    link.query.sort = sort;
    link.query.offset = 0;
    cq_write_raw(w, "<th scope=\"col\"");
    cq_write_raw(w, class_name);
    if (view->query.sort == sort) {
        cq_write_raw(w, " aria-sort=\"descending\"");
    }
    cq_write_raw(w, "><a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "\">");
    cq_write_raw(w, cq_html_sort_title(sort));
    cq_write_raw(w, "</a></th>");
}

static void table_head(struct cq_writer *w, const struct cq_view *view)
{
    cq_write_raw(w, "<thead><tr>");
    head_plain(w, "", "Client");
    head_plain(w, "", "State");
    head_sort(w, view, " class=\"use\"", CQ_SORT_USED);
    head_sort(w, view, " class=\"n\"", CQ_SORT_TODAY);
    head_plain(w, " class=\"n wide\"", "Free");
    head_sort(w, view, " class=\"n wide\"", CQ_SORT_HITS);
    head_sort(w, view, " class=\"n\"", CQ_SORT_REFUSED);
    head_sort(w, view, "", CQ_SORT_LAST);
    head_plain(w, " class=\"wide\"", "Admitted again");
    head_plain(w, " class=\"wide\"", "Pool");
    cq_write_raw(w, view->facts.changes ? "<td></td></tr></thead>\n"
                                        : "</tr></thead>\n");
}

static void cell(struct cq_writer *w, const char *class_name,
                 const char *label)
{
    cq_write_raw(w, "<td class=\"");
    cq_write_raw(w, class_name);
    cq_write_raw(w, "\" data-label=\"");
    cq_write_raw(w, label);
    cq_write_raw(w, "\">");
}

static void cell_bytes(struct cq_writer *w, const char *class_name,
                       const char *label, int64_t bytes)
{
    cell(w, class_name, label);
    cq_words_bytes(w, bytes);
    cq_write_raw(w, "</td>");
}

static void cell_count(struct cq_writer *w, const char *class_name,
                       const char *label, int64_t count)
{
    cell(w, class_name, label);
    cq_words_count(w, count);
    cq_write_raw(w, "</td>");
}

static void client_cell(struct cq_writer *w, const struct cq_view *view,
                        const struct cq_view_client *client)
{
    struct cq_link link = cq_link_find(view);
    char text[CQ_KEY_TEXT_SIZE];

    link.query.has_client = true;
    link.query.client = client->client;
    link.query.offset = 0;
    cq_write_raw(w, "<th scope=\"row\" class=\"addr\"><a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "\">");
    cq_write_html(w, cq_link_client(&client->client, text, sizeof(text)));
    cq_write_raw(w, "</a>");
    if (client->rule && strcmp(client->rule, "ClamQuotaDaily") != 0) {
        cq_write_raw(w, "<span class=\"rule soft wide\">");
        cq_write_html(w, client->rule);
        cq_write_raw(w, "</span>");
    }
    cq_write_raw(w, "</th>");
}

void cq_html_state(struct cq_writer *w, enum cq_state state)
{
    const char *badge = state == CQ_STATE_OVER     ? "b-over"
                        : state == CQ_STATE_EXEMPT ? "b-exempt"
                                                   : "b-ok";

    cq_write_raw(w, "<span class=\"badge ");
    cq_write_raw(w, badge);
    cq_write_raw(w, "\">");
    cq_write_raw(w, cq_state_word(state));
    cq_write_raw(w, "</span>");
}

static void badge(struct cq_writer *w, const char *class_name,
                  const char *word)
{
    cq_write_raw(w, " <span class=\"badge ");
    cq_write_raw(w, class_name);
    cq_write_raw(w, "\">");
    cq_write_raw(w, word);
    cq_write_raw(w, "</span>");
}

void cq_html_badges(struct cq_writer *w, const struct cq_view_client *client)
{
    /* as the filter has it */
    if (client->state == CQ_STATE_OK && client->daily_bytes > 0
        && 5 * client->used_bytes > 4 * client->allowance_bytes) {
        badge(w, "b-warn", "near");
    }
    else {
        cq_html_state(w, client->state);
    }
    if (client->jailed) {
        badge(w, "b-over", "jailed");
    }
    if (client->copies_n > 0) {
        badge(w, "b-warn", "copies");
    }
}

static void state_cell(struct cq_writer *w, const struct cq_view *view,
                       const struct cq_view_client *client)
{
    cell(w, "state", "State");
    cq_write_raw(w, "<span>");
    cq_html_badges(w, client);
    if (client->state == CQ_STATE_OVER && client->over_since_s > 0) {
        cq_write_raw(w, "<span class=\"rule soft wide\">for <time datetime=\"");
        cq_words_iso(w, client->over_since_s);
        cq_write_raw(w, "\" title=\"since ");
        cq_words_iso(w, client->over_since_s);
        cq_write_raw(w, "\">");
        cq_words_duration(w, view->now_s - client->over_since_s);
        cq_write_raw(w, "</time></span>");
    }
    cq_write_raw(w, "</span></td>");
}

void cq_html_meter(struct cq_writer *w, int64_t used, int64_t allowance)
{
    cq_write_raw(w, "<meter aria-label=\"used of allowance\" max=\"");
    cq_write_int(w, allowance);
    cq_write_raw(w, "\" low=\"");
    cq_write_int(w, allowance / 4 * 3);
    cq_write_raw(w, "\" high=\"");
    cq_write_int(w, allowance - allowance / 100);
    cq_write_raw(w, "\" optimum=\"0\" value=\"");
    cq_write_int(w, used < allowance ? used : allowance);
    cq_write_raw(w, "\"></meter>");
}

static void use_cell(struct cq_writer *w, const struct cq_view_client *client)
{
    int64_t allowance = client->allowance_bytes;

    cell(w, "use", "Used");
    cq_write_raw(w, "<span class=\"nw\">");
    cq_words_bytes(w, client->used_bytes);
    if (client->daily_bytes < 0) {
        cq_write_raw(w, " <span class=\"soft\">unlimited</span></span>");
    }
    else {
        cq_write_raw(w, " <span class=\"soft\">of ");
        cq_words_bytes(w, allowance);
        cq_write_raw(w, "</span></span>");
    }
    if (client->daily_bytes >= 0 && allowance > 0) {
        cq_html_meter(w, client->used_bytes, allowance);
    }
    if (client->in_flight_bytes > 0) {
        cq_write_raw(w, "<span class=\"flight soft\">");
        cq_words_bytes(w, client->in_flight_bytes);
        cq_write_raw(w, " in flight</span>");
    }
    cq_write_raw(w, "</td>");
}

static void time_cells(struct cq_writer *w, const struct cq_view *view,
                       const struct cq_view_client *client)
{
    cell(w, "nw last", "Last hit");
    if (client->last_hit_s > 0) {
        cq_words_relative(w, client->last_hit_s, view->now_s);
    }
    else {
        cq_write_raw(w, "<span class=\"soft\">never</span>");
    }
    cq_write_raw(w, "</td>");
    cell(w, "nw wide", "Admitted again");
    if (client->retry_after_s > 0) {
        cq_words_relative(w, view->now_s + client->retry_after_s,
                          view->now_s);
    }
    else {
        cq_write_raw(w, "<span class=\"soft\">&ndash;</span>");
    }
    cq_write_raw(w, "</td>");
}

/* Each leads to a page that asks first. */
static void change_link(struct cq_writer *w, const struct cq_view *view,
                        const struct cq_view_client *client,
                        enum cq_change_action action, const char *word)
{
    struct cq_link here = cq_link_find(view);
    char text[CQ_KEY_TEXT_SIZE];
    const char *address = cq_link_client(&client->client, text, sizeof(text));

    here.change = cq_change_action_word(action);
    here.on = address;
    cq_write_raw(w, "<a class=\"do\" href=\"");
    cq_link_write(w, &here);
    cq_write_raw(w, "\" aria-label=\"");
    cq_write_raw(w, word);
    cq_write_raw(w, " ");
    cq_write_html(w, address);
    cq_write_raw(w, "\">");
    cq_write_raw(w, word);
    cq_write_raw(w, "</a>");
}

void cq_html_change_links(struct cq_writer *w, const struct cq_view *view,
                          const struct cq_view_client *client)
{
    change_link(w, view, client, CQ_ACTION_RESET, "Reset");
    cq_write_raw(w, " ");
    if (client->exempt_until_s > 0) {
        change_link(w, view, client, CQ_ACTION_UNEXEMPT, "End exemption");
    }
    else {
        change_link(w, view, client, CQ_ACTION_EXEMPT, "Exempt");
    }
}

static void client_row(struct cq_writer *w, const struct cq_view *view,
                       const struct cq_view_client *client)
{
    cq_write_raw(w, "<tr>");
    client_cell(w, view, client);
    state_cell(w, view, client);
    use_cell(w, client);
    cell_bytes(w, "n today", "today", client->today_bytes);
    cell_bytes(w, "n wide", "free", client->free_bytes);
    cell_count(w, "n wide", "hits", client->hits);
    cell_count(w, "n refused", "refused", client->refused);
    time_cells(w, view, client);
    cell(w, "wide", "Pool");
    cq_write_html(w, client->pool);
    cq_write_raw(w, "</td>");
    if (view->facts.changes) {
        cq_write_raw(w, "<td class=\"wide nw\">");
        cq_html_change_links(w, view, client);
        cq_write_raw(w, "</td>");
    }
    cq_write_raw(w, "</tr>\n");
}

static void empty_clients(struct cq_writer *w, const struct cq_view *view)
{
    const struct cq_query *query = &view->query;

    cq_write_raw(w, "<p class=\"empty\">");
    cq_write_raw(w, query->has_client || query->filter || query->pool
                        ? "No client of this period matches the filter."
                        : "There is no client in this period yet.");
    cq_write_raw(w, "</p>\n");
}

static void client_table(struct cq_writer *w, const struct cq_view *view)
{
    size_t i;

    cq_write_raw(w, "<div class=\"scroll\"><table class=\"rows\">"
                    "<caption>Used since the period began, against "
                    "today&#39;s allowance. ");
    cq_write_raw(w, view->query.sort == CQ_SORT_LAST
                        ? "The most recent first."
                        : "The largest first.");
    cq_write_raw(w, "</caption>\n");
    table_head(w, view);
    cq_write_raw(w, "<tbody>\n");
    for (i = 0; i < view->client_count; i++) {
        client_row(w, view, &view->clients[i]);
    }
    cq_write_raw(w, "</tbody></table></div>\n");
}

void cq_html_clients(struct cq_writer *w, const struct cq_view *view)
{
    bool by_net = view->query.by_net;
    int64_t shown = (int64_t)(by_net ? view->network_count
                                     : view->client_count);
    int64_t matched = by_net ? view->networks_matched : view->clients_matched;

    cq_write_raw(w, "<section class=\"card\" id=\"clients\"><h2>");
    cq_write_raw(w, by_net ? "Networks" : "Clients");
    cq_write_raw(w, " <small>");
    cq_words_count(w, shown);
    cq_write_raw(w, " of ");
    cq_words_count(w, matched);
    cq_write_raw(w, " shown</small></h2>\n");
    cq_html_filter(w, view);
    if (shown == 0) {
        empty_clients(w, view);
    }
    else if (by_net) {
        cq_html_networks(w, view);
    }
    else {
        client_table(w, view);
    }
    cq_html_paging(w, view, shown, matched);
    cq_write_raw(w, "</section>\n");
}
