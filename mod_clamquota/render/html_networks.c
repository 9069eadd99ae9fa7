/* html_networks - clients added up by network. */
#include "render/html.h"

static void count_cell(struct cq_writer *w, const char *class_name,
                       int64_t count)
{
    cq_write_raw(w, "<td class=\"");
    cq_write_raw(w, class_name);
    cq_write_raw(w, "\">");
    cq_words_count(w, count);
    cq_write_raw(w, "</td>");
}

static void bytes_cell(struct cq_writer *w, const char *class_name,
                       int64_t bytes)
{
    cq_write_raw(w, "<td class=\"");
    cq_write_raw(w, class_name);
    cq_write_raw(w, "\">");
    cq_words_bytes(w, bytes);
    cq_write_raw(w, "</td>");
}

static void row(struct cq_writer *w, const struct cq_view *view,
                const struct cq_view_network *network)
{
    struct cq_link link = cq_link_find(view);
    char text[CQ_KEY_TEXT_SIZE];

    link.query.by_net = false;
    link.query.offset = 0;
    link.query.has_client = true;
    link.query.client = network->net;
    cq_write_raw(w, "<tr><th scope=\"row\" class=\"addr\"><a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "#clients\">");
    cq_write_html(w, cq_key_format_cidr(&network->net, text, sizeof(text)));
    cq_write_raw(w, "</a></th>");
    count_cell(w, "n", network->clients);
    count_cell(w, "n", network->over);
    bytes_cell(w, "n", network->used_bytes);
    bytes_cell(w, "n wide", network->today_bytes);
    bytes_cell(w, "n wide", network->free_bytes);
    count_cell(w, "n wide", network->hits);
    count_cell(w, "n", network->refused);
    cq_write_raw(w, "<td class=\"nw wide\">");
    cq_words_relative(w, network->last_hit_s, view->now_s);
    cq_write_raw(w, "</td></tr>\n");
}

void cq_html_networks(struct cq_writer *w, const struct cq_view *view)
{
    static const struct {
        const char *title;
        const char *class_name;
    } columns[] = {
        { "Network", "" }, { "Clients", "n" }, { "Over", "n" },
        { "Used", "n" }, { "Today", "n wide" }, { "Free", "n wide" },
        { "Hits", "n wide" }, { "Refused", "n" }, { "Last hit", "wide" }
    };
    size_t i;

    cq_write_raw(w, "<table><caption>Sums of the clients that match, the "
                    "largest first.");
    if (!view->networks_exact) {
        cq_write_raw(w, " There are too many networks to add up all of them: "
                        "figures are lower bounds.");
    }
    cq_write_raw(w, "</caption>\n<thead><tr>");
    for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        cq_write_raw(w, "<th scope=\"col\" class=\"");
        cq_write_raw(w, columns[i].class_name);
        cq_write_raw(w, "\">");
        cq_write_raw(w, columns[i].title);
        cq_write_raw(w, "</th>");
    }
    cq_write_raw(w, "</tr></thead>\n<tbody>\n");
    for (i = 0; i < view->network_count; i++) {
        row(w, view, &view->networks[i]);
    }
    cq_write_raw(w, "</tbody></table>\n");
}
