/* networks - an array of sums, found through an index of open addressing. */
#include "render/networks.h"

#include <stdlib.h>
#include <string.h>

static int64_t rank(enum cq_sort sort, const struct cq_view_network *network)
{
    switch (sort) {
    case CQ_SORT_TODAY:
        return network->today_bytes;
    case CQ_SORT_REFUSED:
        return network->refused;
    case CQ_SORT_HITS:
        return network->hits;
    case CQ_SORT_LAST:
        return network->last_hit_s;
    case CQ_SORT_USED:
    default:
        return network->used_bytes;
    }
}

static int compare(enum cq_sort sort, const void *a, const void *b)
{
    const struct cq_view_network *one = a, *other = b;
    int64_t rank_one = rank(sort, one), rank_other = rank(sort, other);

    if (rank_one != rank_other) {
        return rank_one > rank_other ? -1 : 1;
    }
    return cq_key_compare(&one->net, &other->net);
}

/* qsort() hands its comparison nothing else */
#define BY(name, sort) \
    static int name(const void *a, const void *b) \
    { \
        return compare(sort, a, b); \
    }
BY(by_used, CQ_SORT_USED)
BY(by_today, CQ_SORT_TODAY)
BY(by_refused, CQ_SORT_REFUSED)
BY(by_hits, CQ_SORT_HITS)
BY(by_last, CQ_SORT_LAST)

static void sort_entries(struct cq_networks *networks)
{
    static int (*const orders[])(const void *, const void *) = {
        [CQ_SORT_USED] = by_used, [CQ_SORT_TODAY] = by_today,
        [CQ_SORT_REFUSED] = by_refused, [CQ_SORT_HITS] = by_hits,
        [CQ_SORT_LAST] = by_last
    };

    qsort(networks->entries, networks->count, sizeof(*networks->entries),
          orders[networks->sort]);
}

/* The place in the index of a network, or the free one where it belongs.
 * There is one: the index is at most half full. */
static uint32_t *find_place(const struct cq_networks *networks,
                          const struct cq_key *net)
{
    size_t mask = 2 * networks->max - 1;
    size_t at = cq_hash_key(&networks->seed, 0, net) & mask;

    while (networks->index[at] != 0
           && cq_key_compare(&networks->entries[networks->index[at] - 1].net,
                             net) != 0) {
        at = (at + 1) & mask;
    }
    return &networks->index[at];
}

static void drop_smaller_half(struct cq_networks *networks)
{
    uint32_t i;

    sort_entries(networks);
    networks->count /= 2;
    networks->exact = false;
    memset(networks->index, 0, 2 * networks->max * sizeof(uint32_t));
    for (i = 0; i < networks->count; i++) {
        *find_place(networks, &networks->entries[i].net) = i + 1;
    }
}

void cq_networks_begin(struct cq_networks *networks)
{
    networks->count = 0;
    networks->exact = true;
    memset(networks->index, 0, 2 * networks->max * sizeof(uint32_t));
}

void cq_networks_add(struct cq_networks *networks, const struct cq_row *row,
                     enum cq_state state)
{
    const struct cq_key net = cq_key_network(
        &row->key, row->key.family == 4 ? networks->bits.v4_bits
                                        : networks->bits.v6_bits);
    struct cq_view_network *network;
    uint32_t *place = find_place(networks, &net);

    if (*place == 0) {
        if (networks->count == networks->max) {
            drop_smaller_half(networks);
            place = find_place(networks, &net);
        }
        network = &networks->entries[networks->count++];
        memset(network, 0, sizeof(*network));
        network->net = net;
        *place = (uint32_t)networks->count;
    }
    network = &networks->entries[*place - 1];
    network->clients++;
    network->over += state == CQ_STATE_OVER;
    network->used_bytes += row->used_bytes + row->others_used_bytes;
    network->today_bytes += row->today_bytes;
    network->free_bytes += row->free_bytes;
    network->hits += row->hits;
    network->refused += row->refused;
    if (row->last_hit_s > network->last_hit_s) {
        network->last_hit_s = row->last_hit_s;
    }
}

void cq_networks_finish(struct cq_networks *networks)
{
    sort_entries(networks);
}
