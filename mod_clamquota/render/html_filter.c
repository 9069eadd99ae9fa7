/* html_filter - which rows are shown: the form, links for states, and pages.
 *
 * Everything keeps the rest of the query; what changes which rows match
 * begins at the first page. */
#include "render/html.h"

#include "render/query.h"

#include <string.h>

static const char *const sort_titles[] = { "Used", "Today", "Refused",
                                           "Hits", "Last hit" };

#define SORTS (sizeof(sort_titles) / sizeof(sort_titles[0]))

const char *cq_html_sort_title(enum cq_sort sort)
{
    return sort_titles[(size_t)sort < SORTS ? sort : CQ_SORT_USED];
}

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

static void hidden(struct cq_writer *w, const char *name, const char *value)
{
    if (*value) {
        cq_write_raw(w, "<input type=\"hidden\" name=\"");
        cq_write_raw(w, name);
        cq_write_raw(w, "\" value=\"");
        cq_write_raw(w, value);
        cq_write_raw(w, "\">\n");
    }
}

/* ---- links above the table ---- */

static void filter_link(struct cq_writer *w, const struct cq_view *view,
                        enum cq_filter filter, const char *text)
{
    struct cq_link link = cq_link_find(view);

    link.query.filter = filter;
    link.query.offset = 0;
    cq_write_raw(w, view->query.filter == filter
                        ? "<a aria-current=\"true\" href=\"" : "<a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "#clients\">");
    cq_write_raw(w, text);
    cq_write_raw(w, "</a>\n");
}

static void net_link(struct cq_writer *w, const struct cq_view *view)
{
    struct cq_link link = cq_link_find(view);

    link.query.by_net = !view->query.by_net;
    link.query.net_bits = (struct cq_prefixes){ 24, 48 };
    link.query.offset = 0;
    cq_write_raw(w, "<a class=\"net\" href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, view->query.by_net ? "#clients\">By client</a>\n"
                                       : "#clients\">By network</a>\n");
}

static void filter_links(struct cq_writer *w, const struct cq_view *view)
{
    cq_write_raw(w, "<nav class=\"links\" aria-label=\"Filters\">");
    filter_link(w, view, CQ_FILTER_ALL, "All");
    filter_link(w, view, CQ_FILTER_OK, "OK");
    filter_link(w, view, CQ_FILTER_NEAR, "Near");
    filter_link(w, view, CQ_FILTER_OVER, "Over");
    filter_link(w, view, CQ_FILTER_REFUSED, "Refused today");
    filter_link(w, view, CQ_FILTER_JAILED, "Jailed");
    filter_link(w, view, CQ_FILTER_EXEMPT, "Exempt");
    net_link(w, view);
    cq_write_raw(w, "</nav>\n");
}

static void page_link(struct cq_writer *w, const struct cq_view *view,
                      int64_t offset, const char *text)
{
    struct cq_link link = cq_link_find(view);

    link.query.offset = (int)offset;
    cq_write_raw(w, "<a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "#clients\">");
    cq_write_raw(w, text);
    cq_write_raw(w, "</a>\n");
}

/* "101 to 200 of 5,021", and the pages beside; rows 10,000 and on are reached
 * by a filter */
void cq_html_paging(struct cq_writer *w, const struct cq_view *view,
                    int64_t shown, int64_t matched)
{
    int64_t first = view->query.offset;
    int64_t limit = view->query.limit;

    if (first == 0 && shown >= matched) {
        return;
    }
    cq_write_raw(w, "<nav class=\"links\" aria-label=\"Pages\">\n");
    if (first > 0) {
        page_link(w, view, 0, "First");
        page_link(w, view, first > limit ? first - limit : 0, "Previous");
    }
    cq_write_raw(w, "<span>");
    if (shown > 0) {
        cq_words_count(w, first + 1);
        cq_write_raw(w, " to ");
        cq_words_count(w, first + shown);
    }
    else {
        cq_write_raw(w, "none");
    }
    cq_write_raw(w, " of ");
    cq_words_count(w, matched);
    cq_write_raw(w, "</span>\n");
    if (shown > 0 && first + shown < matched
        && first + limit <= CQ_QUERY_OFFSET_MAX) {
        page_link(w, view, first + limit, "Next");
    }
    cq_write_raw(w, "</nav>\n");
}

static void filter_form(struct cq_writer *w, const struct cq_view *view)
{
    const struct cq_query *query = &view->query;
    struct cq_link all = cq_link_find(view);
    char text[CQ_KEY_TEXT_SIZE];

    all.query.has_client = false;
    all.query.filter = CQ_FILTER_ALL;
    all.query.pool = NULL;
    all.query.offset = 0;
    cq_write_raw(w, "<form class=\"filter\" method=\"get\">\n"
                    "<label>Address or network<input name=\"client\" "
                    "autocomplete=\"off\" spellcheck=\"false\" "
                    "placeholder=\"192.0.2.0/24\" value=\"");
    if (query->has_client) {
        cq_write_html(w, cq_link_client(&query->client, text, sizeof(text)));
    }
    cq_write_raw(w, "\"></label>\n");
    hidden(w, "state", cq_query_filter_word(query->filter));
    pool_select(w, view);
    sort_select(w, view);
    cq_write_raw(w, "<label>Rows<input name=\"limit\" type=\"number\" "
                    "min=\"1\" max=\"10000\" value=\"");
    cq_write_int(w, query->limit);
    cq_write_raw(w, "\"></label>\n");
    if (query->by_net) {
        cq_write_raw(w, "<input type=\"hidden\" name=\"net\" value=\"");
        cq_write_int(w, query->net_bits.v4_bits);
        cq_write_raw(w, ",");
        cq_write_int(w, query->net_bits.v6_bits);
        cq_write_raw(w, "\">\n");
    }
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

void cq_html_filter(struct cq_writer *w, const struct cq_view *view)
{
    filter_form(w, view);
    filter_links(w, view);
}
