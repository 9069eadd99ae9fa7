/* cluster_cells - the nodes, servers and figures of a cluster in words, cell by
 * cell: what the page and clamquota cluster show alike. Words only, no markup.
 * A form puts the cells where its reader sees them. */
#ifndef CQ_CLUSTER_CELLS_H
#define CQ_CLUSTER_CELLS_H

#include "render/write.h"
#include "table/shares.h"

/* tables, with a row for each node, server or figure */
enum cq_cluster_part {
    CQ_CLUSTER_NODES,           /* label, id, seen, clock, settings */
    CQ_CLUSTER_SERVERS,         /* name, state, errors */
    CQ_CLUSTER_FIGURES          /* name, value */
};

enum cq_tone { CQ_TONE_PLAIN, CQ_TONE_GOOD, CQ_TONE_BAD };

struct cq_cells {
    void *baton;
    /** Ends the cell before, and begins one, row by row.
     * @return writes the cell's text */
    struct cq_writer *(*begin)(void *baton, enum cq_tone tone);
    /** Escapes a text that other nodes made. */
    void (*escape)(struct cq_writer *writer, const char *text);
};

void cq_cluster_cells(const struct cq_cells *cells, enum cq_cluster_part part,
                      const struct cq_cluster_status *cluster, int64_t now_s);

/** An id as "clamquota cluster --forget" takes it: 16 hexadecimal digits. */
#define CQ_NODE_ID_SIZE 17
const char *cq_node_id(uint64_t id, char *text);

#endif
