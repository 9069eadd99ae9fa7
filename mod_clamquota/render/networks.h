/* networks - rows added up by the network that their client lies in.
 *
 * In bounded memory: with more networks than there is room for, the smaller
 * half is dropped again and again, and figures are lower bounds from then
 * on. Knows rows only as plain data. */
#ifndef CQ_NETWORKS_H
#define CQ_NETWORKS_H

#include "render/view.h"
#include "table/table.h"

/* networks that are added up exactly: 7 MB */
#define CQ_NETWORKS_MAX 65536u

struct cq_networks {
    struct cq_view_network *entries;    /* the caller's, room for max */
    uint32_t *index;                    /* the caller's, 2 x max */
    size_t max;                         /* a power of two */
    size_t count;
    struct cq_seed seed;
    enum cq_sort sort;
    struct cq_prefixes bits;
    bool exact;
};

/** Starts with none. entries, index, max, seed, sort and bits are set by the
 * caller; a client that knows the seed could choose addresses that take
 * long. */
void cq_networks_begin(struct cq_networks *networks);

/** Adds the figures of a row to its network's. */
void cq_networks_add(struct cq_networks *networks, const struct cq_row *row,
                     enum cq_state state);

/** Sorts the networks, the largest first; nothing is added any more. */
void cq_networks_finish(struct cq_networks *networks);

#endif
