/* html_clients - the filter form and the table of clients.
 *
 * Each row can be reset by a form of its own; the shell checks where a POST
 * comes from. On a narrow screen a row is a card: cells carry their column's
 * name for that. */
#include "render/html_change.h"

#include "render/query.h"

#include <string.h>

static const char *const sort_titles[] = { "Used", "Today", "Refused",
                                           "Hits", "Last hit" };

#define SORTS (sizeof(sort_titles) / sizeof(sort_titles[0]))

static void option(struct cq_writer *w, const char *value, const char *text,
                   bool selected)
{
    cq_write_raw(w, "<option value=\"");
    cq_write_html(w, value);
    cq_write_raw(w, selected ? "\" selected>" : "\">");
    cq_write_html(w, text);
    cq_write_raw(w, "</option>");
}

static void pool_select(struct cq_writer *w, const struct cq_view *view)
{
    const char *chosen = view->query.pool;
    bool known = chosen == NULL;
    size_t i;

    cq_write_raw(w, "<label>Pool<select name=\"pool\">");
    option(w, "", "all", !chosen);
    for (i = 0; i < view->pool_count; i++) {
        const char *name = view->pools[i].name;
        bool selected = chosen && strcmp(chosen, name) == 0;

        option(w, name, name, selected);
        known = known || selected;
    }
    if (!known) {
        option(w, chosen, chosen, true);
    }
    cq_write_raw(w, "</select></label>\n");
}

static void sort_select(struct cq_writer *w, const struct cq_view *view)
{
    size_t i;

    cq_write_raw(w, "<label>Sort by<select name=\"sort\">");
    for (i = 0; i < SORTS; i++) {
        option(w, cq_query_sort_word((enum cq_sort)i), sort_titles[i],
               view->query.sort == (enum cq_sort)i);
    }
    cq_write_raw(w, "</select></label>\n");
}

static void filter_form(struct cq_writer *w, const struct cq_view *view)
{
    const struct cq_query *query = &view->query;
    struct cq_link all = cq_link_of(view);
    char text[CQ_KEY_TEXT_SIZE];

    all.query.has_client = false;
    all.query.filter = CQ_FILTER_ALL;
    all.query.pool = NULL;
    cq_write_raw(w, "<form class=\"filter\" method=\"get\">\n"
                    "<label>Address or network<input name=\"client\" "
                    "autocomplete=\"off\" spellcheck=\"false\" "
                    "placeholder=\"192.0.2.0/24\" value=\"");
    if (query->has_client) {
        cq_write_html(w, cq_link_client(&query->client, text, sizeof(text)));
    }
    cq_write_raw(w, "\"></label>\n<label>State<select name=\"state\">");
    option(w, "", "all", query->filter == CQ_FILTER_ALL);
    option(w, "over", "over", query->filter == CQ_FILTER_OVER);
    cq_write_raw(w, "</select></label>\n");
    pool_select(w, view);
    sort_select(w, view);
    cq_write_raw(w, "<label>Rows<input name=\"limit\" type=\"number\" "
                    "min=\"1\" max=\"10000\" value=\"");
    cq_write_int(w, query->limit);
    cq_write_raw(w, "\"></label>\n");
    if (view->facts.refresh_s > 0) {
        cq_write_raw(w, "<input type=\"hidden\" name=\"refresh\" value=\"");
        cq_write_int(w, view->facts.refresh_s);
        cq_write_raw(w, "\">\n");
    }
    cq_write_raw(w, "<button>Show</button>\n");
    if (query->has_client || query->filter || query->pool) {
        cq_write_raw(w, "<a href=\"");
        cq_link_write(w, &all);
        cq_write_raw(w, "\">Clear filter</a>\n");
    }
    cq_write_raw(w, "</form>\n");
}

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
    struct cq_link link = cq_link_of(view);

    link.query.sort = sort;
    cq_write_raw(w, "<th scope=\"col\"");
    cq_write_raw(w, class_name);
    if (view->query.sort == sort) {
        cq_write_raw(w, " aria-sort=\"descending\"");
    }
    cq_write_raw(w, "><a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "\">");
    cq_write_raw(w, sort_titles[sort]);
    cq_write_raw(w, "</a></th>");
}

static void table_head(struct cq_writer *w, const struct cq_view *view)
{
    cq_write_raw(w, "<thead><tr>");
    head_plain(w, "", "Client");
    head_plain(w, "", "Pool");
    head_plain(w, "", "State");
    head_sort(w, view, " class=\"use\"", CQ_SORT_USED);
    head_sort(w, view, " class=\"n\"", CQ_SORT_TODAY);
    head_plain(w, " class=\"n\"", "Free");
    head_sort(w, view, " class=\"n\"", CQ_SORT_HITS);
    head_sort(w, view, " class=\"n\"", CQ_SORT_REFUSED);
    head_sort(w, view, "", CQ_SORT_LAST);
    head_plain(w, "", "Retry");
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

static void cell_bytes(struct cq_writer *w, const char *label, int64_t bytes)
{
    cell(w, "n", label);
    cq_words_bytes(w, bytes);
    cq_write_raw(w, "</td>");
}

static void cell_count(struct cq_writer *w, const char *label, int64_t count)
{
    cell(w, "n", label);
    cq_words_count(w, count);
    cq_write_raw(w, "</td>");
}

static void client_cell(struct cq_writer *w, const struct cq_view *view,
                        const struct cq_view_client *client)
{
    struct cq_link link = cq_link_of(view);
    char text[CQ_KEY_TEXT_SIZE];

    link.query.has_client = true;
    link.query.client = client->client;
    cq_write_raw(w, "<th scope=\"row\" class=\"addr\"><a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "\">");
    cq_write_html(w, cq_link_client(&client->client, text, sizeof(text)));
    cq_write_raw(w, "</a>");
    if (client->rule && strcmp(client->rule, "ClamQuotaDaily") != 0) {
        cq_write_raw(w, "<span class=\"rule soft\">");
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

static void state_cell(struct cq_writer *w, const struct cq_view *view,
                       const struct cq_view_client *client)
{
    cell(w, "nw", "State");
    cq_write_raw(w, "<span>");
    cq_html_state(w, client->state);
    if (client->state == CQ_STATE_OVER && client->over_since_s > 0) {
        cq_write_raw(w, "<span class=\"rule soft\">for <time datetime=\"");
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
    cell(w, "nw", "Last hit");
    if (client->last_hit_s > 0) {
        cq_words_relative(w, client->last_hit_s, view->now_s);
    }
    else {
        cq_write_raw(w, "<span class=\"soft\">never</span>");
    }
    cq_write_raw(w, "</td>");
    cell(w, "nw", "Retry");
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
    struct cq_link here = cq_link_of(view);
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

static void change_cell(struct cq_writer *w, const struct cq_view *view,
                        const struct cq_view_client *client)
{
    cq_write_raw(w, "<td>");
    change_link(w, view, client, CQ_ACTION_RESET, "Reset");
    cq_write_raw(w, " ");
    change_link(w, view, client, CQ_ACTION_EXEMPT, "Exempt");
    cq_write_raw(w, "</td>");
}

static void client_row(struct cq_writer *w, const struct cq_view *view,
                       const struct cq_view_client *client)
{
    cq_write_raw(w, "<tr>");
    client_cell(w, view, client);
    cell(w, "", "Pool");
    cq_write_html(w, client->pool);
    cq_write_raw(w, "</td>");
    state_cell(w, view, client);
    use_cell(w, client);
    cell_bytes(w, "Today", client->today_bytes);
    cell_bytes(w, "Free", client->free_bytes);
    cell_count(w, "Hits", client->hits);
    cell_count(w, "Refused", client->refused);
    time_cells(w, view, client);
    if (view->facts.changes) {
        change_cell(w, view, client);
    }
    cq_write_raw(w, "</tr>\n");
}

static void empty_clients(struct cq_writer *w, const struct cq_view *view)
{
    const struct cq_query *query = &view->query;

    cq_write_raw(w, "<p class=\"empty\">");
    cq_write_raw(w, query->has_client || query->filter || query->pool
                        ? "No client of this period matches the filter."
                        : "No client has come in this period yet.");
    cq_write_raw(w, "</p>\n");
}

void cq_html_clients(struct cq_writer *w, const struct cq_view *view)
{
    size_t i;

    cq_write_raw(w, "<section class=\"card\" id=\"clients\"><h2>Clients "
                    "<small>");
    cq_words_count(w, (int64_t)view->client_count);
    cq_write_raw(w, " of ");
    cq_words_count(w, view->clients_matched);
    cq_write_raw(w, view->clients_matched == 1 ? " client" : " clients");
    cq_write_raw(w, " shown</small></h2>\n");
    filter_form(w, view);
    if (view->client_count == 0) {
        empty_clients(w, view);
    }
    else {
        cq_write_raw(w, "<div class=\"scroll\"><table class=\"cards\">"
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
    cq_write_raw(w, "</section>\n");
}
