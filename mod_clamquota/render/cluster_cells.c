/* cluster_cells - the nodes, servers and figures of a cluster in words. */
#include "render/cluster_cells.h"

#include "render/words.h"

const char *cq_node_id(uint64_t id, char *text)
{
    int i;

    for (i = CQ_NODE_ID_SIZE - 2; i >= 0; i--) {
        text[i] = "0123456789abcdef"[id & 15];
        id >>= 4;
    }
    text[CQ_NODE_ID_SIZE - 1] = '\0';
    return text;
}

static void add_text(const struct cq_cells *cells, enum cq_tone tone,
                     const char *text)
{
    cq_write_raw(cells->begin(cells->baton, tone), text);
}

static void add_count(struct cq_writer *w, int64_t count, const char *unit)
{
    cq_words_count(w, count);
    cq_write_raw(w, unit);
}

static void add_seen(const struct cq_cells *cells,
                     const struct cq_cluster_node *node, int64_t now_s)
{
    struct cq_writer *w;

    if (node->self) {
        add_text(cells, CQ_TONE_PLAIN, "this node");
    }
    else if (node->last_seen_s == 0) {
        add_text(cells, CQ_TONE_BAD, "never");
    }
    else {
        w = cells->begin(cells->baton, node->alive ? CQ_TONE_GOOD
                                                   : CQ_TONE_BAD);
        cq_words_duration(w, now_s - node->last_seen_s);
        cq_write_raw(w, node->alive ? " ago" : " ago, silent");
    }
}

/* what an operator should look at */
static void add_settings(const struct cq_cells *cells,
                         const struct cq_cluster_node *node)
{
    bool is_bad = node->other_period || node->other_servers;

    add_text(cells, is_bad ? CQ_TONE_BAD : CQ_TONE_PLAIN,
             node->other_period
                 ? "other period, zone or prefix: shares nothing"
             : node->other_servers ? "other servers"
             : node->other_daily ? "other quota" : "as here");
}

static void add_nodes(const struct cq_cells *cells,
                      const struct cq_cluster_status *cluster, int64_t now_s)
{
    char id[CQ_NODE_ID_SIZE];
    size_t i;

    for (i = 0; i < cluster->nodes_n; i++) {
        const struct cq_cluster_node *node = &cluster->nodes[i];

        cells->escape(cells->begin(cells->baton, CQ_TONE_PLAIN), node->label);
        add_text(cells, CQ_TONE_PLAIN, cq_node_id(node->id, id));
        add_seen(cells, node, now_s);
        add_count(cells->begin(cells->baton, CQ_TONE_PLAIN), node->offset_ms,
                  " ms");
        add_settings(cells, node);
    }
}

static void add_servers(const struct cq_cells *cells,
                        const struct cq_cluster_status *cluster)
{
    size_t i;

    for (i = 0; i < cluster->servers_n; i++) {
        const struct cq_cluster_server_status *server = &cluster->servers[i];

        cells->escape(cells->begin(cells->baton, CQ_TONE_PLAIN), server->name);
        add_text(cells, server->up ? CQ_TONE_GOOD : CQ_TONE_BAD,
                 server->up ? "up" : "down");
        add_count(cells->begin(cells->baton, CQ_TONE_PLAIN), server->errors,
                  "");
    }
}

static void add_figures(const struct cq_cells *cells,
                        const struct cq_cluster_status *cluster)
{
    const struct {
        const char *name;
        int64_t value;
        const char *unit;
    } figures[] = {
        { "Lag", cluster->lag_ms, " ms" },
        { "Rounds", cluster->rounds, "" },
        { "Rounds that failed", cluster->failed_rounds, "" },
        { "Waiting", cluster->waiting, " groups of 16 rows" },
        { "Own shares that a server had lost", cluster->missing, "" },
        { "Rows raised to what the cluster knew", cluster->raised, "" }
    };
    size_t i;

    for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        add_text(cells, CQ_TONE_PLAIN, figures[i].name);
        add_count(cells->begin(cells->baton, CQ_TONE_PLAIN), figures[i].value,
                  figures[i].unit);
    }
}

void cq_cluster_cells(const struct cq_cells *cells, enum cq_cluster_part part,
                      const struct cq_cluster_status *cluster, int64_t now_s)
{
    switch (part) {
    case CQ_CLUSTER_NODES:
        add_nodes(cells, cluster, now_s);
        break;
    case CQ_CLUSTER_SERVERS:
        add_servers(cells, cluster);
        break;
    case CQ_CLUSTER_FIGURES:
        add_figures(cells, cluster);
        break;
    }
}
