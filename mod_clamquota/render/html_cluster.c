/* html_cluster - what the page shows of the other nodes and of memcached. */
#include "render/html.h"

#include "render/cluster_cells.h"

static const struct part {
    const char *caption;
    const char *titles[6];
} parts[] = {
    [CQ_CLUSTER_NODES] = { "A client's used bytes are the sum of all nodes",
                           { "Node", "Id", "Seen", "Clock", "Settings" } },
    [CQ_CLUSTER_SERVERS] = { "Servers", { "memcached", "State", "Errors" } },
    [CQ_CLUSTER_FIGURES] = { "Exchange",
                             { "Figure", "Value" } }
};

struct page_cells {
    struct cq_writer *writer;
    const struct part *part;
    size_t column;              /* of the next cell */
    const char *end;            /* of the cell before */
};

static struct cq_writer *begin_cell(void *baton, enum cq_tone tone)
{
    struct page_cells *p = baton;
    struct cq_writer *w = p->writer;

    cq_write_raw(w, p->end);
    if (p->part->titles[p->column] == NULL) {
        cq_write_raw(w, "</tr>\n");
        p->column = 0;
    }
    if (p->column++ == 0) {
        cq_write_raw(w, "<tr><th scope=\"row\">");
        p->end = "</th>";
        return w;
    }
    cq_write_raw(w, "<td data-label=\"");
    cq_write_raw(w, p->part->titles[p->column - 1]);
    cq_write_raw(w, tone == CQ_TONE_PLAIN ? "\">"
                 : tone == CQ_TONE_GOOD ? "\"><span class=\"badge b-ok\">"
                 : "\"><span class=\"badge b-over\">");
    p->end = tone == CQ_TONE_PLAIN ? "</td>" : "</span></td>";
    return w;
}

void cq_html_cluster(struct cq_writer *w,
                     const struct cq_cluster_status *cluster, int64_t now_s)
{
    int i, j;

    cq_write_raw(w, "<section class=\"card fill\"><h2>Cluster</h2>\n");
    for (i = CQ_CLUSTER_NODES; i <= CQ_CLUSTER_FIGURES; i++) {
        struct page_cells page = { w, &parts[i], 0, "" };
        const struct cq_cells cells = { &page, begin_cell, cq_write_html };

        cq_write_raw(w, i == CQ_CLUSTER_FIGURES
                     ? "<div class=\"scroll\"><table><caption>"
                     : "<div class=\"scroll\"><table class=\"cards\">"
                       "<caption>");
        cq_write_raw(w, parts[i].caption);
        cq_write_raw(w, "</caption>\n<thead><tr>");
        for (j = 0; parts[i].titles[j] != NULL; j++) {
            cq_write_raw(w, "<th scope=\"col\">");
            cq_write_raw(w, parts[i].titles[j]);
            cq_write_raw(w, "</th>");
        }
        cq_write_raw(w, "</tr></thead>\n<tbody>\n");
        cq_cluster_cells(&cells, (enum cq_cluster_part)i, cluster, now_s);
        cq_write_raw(w, page.end);
        cq_write_raw(w, page.column > 0 ? "</tr>\n</tbody></table></div>\n"
                                        : "</tbody></table></div>\n");
    }
    cq_write_raw(w, "</section>\n");
}
