/* show_nodes - which node of a cluster has how much of a client. The table has
 * only the sum of the others: the exchanger is asked for the rest. */
#include "clamquota/show.h"

#include "clamquota/client_words.h"
#include "render/cluster_cells.h"
#include "render/words.h"

#include <time.h>

/* for all pools together: two rounds of ClamQuotaSync's default, and some */
#define PATIENCE_MS 2000
#define STEP_MS 10

bool cq_show_ask_nodes(struct cq_show *show, uint16_t pool,
                       const struct cq_key *client,
                       struct cq_node_shares *answer)
{
    const struct timespec step = { 0, STEP_MS * 1000000L };
    char why[CQ_WHY_SIZE];
    uint32_t asked;
    bool is_there = false;

    /* without httpd no process answers */
    if (show->look->view.cluster == NULL
        || !cq_tablefile_is_served(show->look->table)) {
        return false;
    }
    if (show->asking == NULL
        && cq_attach_open(show->look->path, CQ_ATTACH_WRITE, &show->asking,
                          why, sizeof(why)) != CQ_EXIT_DONE) {
        return false;
    }
    asked = cq_shares_ask(show->asking, pool, client);
    while (asked != 0 && !is_there && show->waited_ms < PATIENCE_MS) {
        (void)nanosleep(&step, NULL);
        show->waited_ms += STEP_MS;
        is_there = cq_shares_answer(show->asking, asked, pool, client,
                                    answer);
        if (!is_there && (int32_t)(answer->asked - asked) >= 0) {
            /* another command asked since: the last question counts */
            asked = cq_shares_ask(show->asking, pool, client);
        }
    }
    return is_there && answer->shares_n > 0;
}

static void write_node(struct cq_writer *w,
                       const struct cq_cluster_status *cluster,
                       const struct cq_node_share *share)
{
    char id[CQ_NODE_ID_SIZE];
    size_t i;

    for (i = 0; i < cluster->nodes_n
         && cluster->nodes[i].id != share->node; i++) {
    }
    if (i == cluster->nodes_n) {
        cq_write_raw(w, cq_node_id(share->node, id));
        cq_write_raw(w, " (not seen by this node)");
    }
    else {
        cq_write_line(w, cluster->nodes[i].label);
        cq_write_raw(w, cluster->nodes[i].self ? " (this node)"
                     : cluster->nodes[i].alive ? "" : " (silent)");
    }
    cq_write_raw(w, ": ");
    cq_client_bytes(w, share->used_bytes, " used");
    if (share->in_flight_bytes > 0) {
        cq_write_raw(w, ", ");
        cq_client_bytes(w, share->in_flight_bytes, " in flight");
    }
}

void cq_show_nodes(struct cq_show *show, const struct cq_node_shares *answer)
{
    size_t i;

    for (i = 0; i < answer->shares_n; i++) {
        write_node(cq_show_line(show, i == 0 ? "nodes" : ""),
                   show->look->view.cluster, &answer->shares[i]);
        cq_show_end(show);
    }
}
