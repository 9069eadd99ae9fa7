/* html_cluster - what the page shows of the other nodes and of memcached. */
#include "render/html.h"

static void badge(struct cq_writer *w, bool good, const char *yes,
                  const char *no)
{
    cq_write_raw(w, good ? "<span class=\"badge b-ok\">"
                         : "<span class=\"badge b-over\">");
    cq_write_raw(w, good ? yes : no);
    cq_write_raw(w, "</span>");
}

static void table_head(struct cq_writer *w, const char *caption,
                       const char *const *columns, size_t count)
{
    size_t i;

    cq_write_raw(w, "<div class=\"scroll\"><table class=\"cards\"><caption>");
    cq_write_raw(w, caption);
    cq_write_raw(w, "</caption>\n<thead><tr>");
    for (i = 0; i < count; i++) {
        cq_write_raw(w, "<th scope=\"col\">");
        cq_write_raw(w, columns[i]);
        cq_write_raw(w, "</th>");
    }
    cq_write_raw(w, "</tr></thead>\n<tbody>\n");
}

static void name_cell(struct cq_writer *w, const char *name)
{
    cq_write_raw(w, "<tr><th scope=\"row\">");
    cq_write_html(w, name);
    cq_write_raw(w, "</th>");
}

static void cell(struct cq_writer *w, const char *label)
{
    cq_write_raw(w, "<td data-label=\"");
    cq_write_raw(w, label);
    cq_write_raw(w, "\">");
}

/* what an operator should look at */
static void settings(struct cq_writer *w, const struct cq_cluster_node *node)
{
    if (node->other_period) {
        cq_write_raw(w, "<b>other period, zone or prefix: shares nothing</b>");
    }
    else if (node->other_servers) {
        cq_write_raw(w, "<b>other servers</b>");
    }
    else if (node->other_daily) {
        cq_write_raw(w, "other quota");
    }
    else {
        cq_write_raw(w, "as here");
    }
}

static void node_row(struct cq_writer *w, const struct cq_cluster_node *node,
                     int64_t now_s)
{
    name_cell(w, node->label);
    cell(w, "Seen");
    if (node->self) {
        cq_write_raw(w, "this node");
    }
    else if (node->last_seen_s == 0) {
        badge(w, false, "", "never");
    }
    else {
        badge(w, node->alive, "alive", "silent");
        cq_write_raw(w, " ");
        cq_words_relative(w, node->last_seen_s, now_s);
    }
    cq_write_raw(w, "</td>");
    cell(w, "Clock");
    cq_words_count(w, node->offset_ms);
    cq_write_raw(w, " ms</td>");
    cell(w, "Settings");
    settings(w, node);
    cq_write_raw(w, "</td></tr>\n");
}

static void server_row(struct cq_writer *w,
                       const struct cq_cluster_server_status *server)
{
    name_cell(w, server->name);
    cell(w, "State");
    badge(w, server->up, "up", "down");
    cq_write_raw(w, "</td>");
    cell(w, "Errors");
    cq_words_count(w, server->errors);
    cq_write_raw(w, "</td></tr>\n");
}

static void term(struct cq_writer *w, const char *name, int64_t count)
{
    cq_write_raw(w, "<dt>");
    cq_write_raw(w, name);
    cq_write_raw(w, "</dt><dd>");
    cq_words_count(w, count);
    cq_write_raw(w, "</dd>");
}

void cq_html_cluster(struct cq_writer *w,
                     const struct cq_cluster_status *cluster, int64_t now_s)
{
    static const char *const node_columns[] = { "Node", "Seen", "Clock",
                                                "Settings" };
    static const char *const server_columns[] = { "memcached", "State",
                                                  "Errors" };
    size_t i;

    cq_write_raw(w, "<section class=\"card fill\"><h2>Cluster</h2>\n");
    table_head(w, "A client's used bytes are the sum of all nodes",
               node_columns, 4);
    for (i = 0; i < cluster->nodes_n; i++) {
        node_row(w, &cluster->nodes[i], now_s);
    }
    cq_write_raw(w, "</tbody></table></div>\n");
    table_head(w, "Servers", server_columns, 3);
    for (i = 0; i < cluster->servers_n; i++) {
        server_row(w, &cluster->servers[i]);
    }
    cq_write_raw(w, "</tbody></table></div>\n<dl>");
    term(w, "Lag, in milliseconds", cluster->lag_ms);
    term(w, "Rounds", cluster->rounds);
    term(w, "Rounds that failed", cluster->failed_rounds);
    term(w, "Rows waiting, in groups of 16", cluster->waiting);
    term(w, "Own shares that a server had lost", cluster->missing);
    cq_write_raw(w, "</dl></section>\n");
}
