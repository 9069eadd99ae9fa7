/* nft_elements - what is in the sets. A set with intervals is kept as first
 * addresses and ends; in order they are ranges again. */
#include "jail/nft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct cq_nft *nft;
    int set;
    int64_t now_s;
    struct edge *edges;         /* of an interval set */
    size_t edge_n, edge_room;
};

/* An interval's first address, or the one behind its last. */
struct edge {
    uint8_t bytes[16];
    bool is_end;
};

/* One with a time-out other than the set's has it beside; one without a
 * time-out has no expiration. */
static bool read_client(struct reading *reading, const struct nlattr *element,
                        const struct nlattr *value)
{
    struct cq_nft *nft = reading->nft;
    uint64_t timeout_ms =
        (uint64_t)nft->sets[reading->set].timeout_s * 1000;
    uint64_t left_ms = 0;
    int64_t expires_at_s = CQ_JAIL_PERMANENT;
    struct cq_key key;

    cq_netlink_u64(cq_netlink_find(element, NFTA_SET_ELEM_TIMEOUT),
                   &timeout_ms);
    if (cq_netlink_u64(cq_netlink_find(element, NFTA_SET_ELEM_EXPIRATION),
                       &left_ms)) {
        /* rounded down: it is gone no sooner than believed here */
        expires_at_s = reading->now_s + (int64_t)(left_ms / 1000);
        if (expires_at_s < nft->first_expiry_s) {
            nft->first_expiry_s = expires_at_s;
        }
    }
    if (!cq_jail_address(&key, mnl_attr_get_payload(value),
                         reading->set == CQ_NFT_JAIL4 ? 4 : 6)) {
        return true;            /* mapped: of no packet */
    }
    return cq_jail_elements_add(&nft->jail.elements, &key,
                                expires_at_s == CQ_JAIL_PERMANENT
                                || timeout_ms
                                   > (uint64_t)nft->jail.lease_s * 2000,
                                expires_at_s);
}

static bool read_edge(struct reading *reading, const struct nlattr *element,
                      const struct nlattr *value)
{
    struct edge edge = { .is_end = false };
    uint32_t flags = 0;

    if (reading->edge_n == reading->edge_room) {
        size_t room = reading->edge_room == 0 ? 128 : reading->edge_room * 2;
        struct edge *edges = reallocarray(reading->edges, room,
                                          sizeof(*edges));

        if (edges == NULL) {
            return false;
        }
        reading->edges = edges;
        reading->edge_room = room;
    }
    cq_netlink_u32(cq_netlink_find(element, NFTA_SET_ELEM_FLAGS), &flags);
    edge.is_end = (flags & NFT_SET_ELEM_INTERVAL_END) != 0;
    memcpy(edge.bytes, mnl_attr_get_payload(value),
           reading->set == CQ_NFT_DENY4 ? 4 : 16);
    reading->edges[reading->edge_n++] = edge;
    return true;
}

static int read_elements(const struct nlmsghdr *message, void *data)
{
    const struct nlattr *list =
        cq_netlink_attribute(message, NFTA_SET_ELEM_LIST_ELEMENTS);
    struct reading *reading = data;
    size_t length = reading->set % 2 == 0 ? 4 : 16;
    const struct nlattr *element = NULL, *value;
    bool done = true;

    while ((element = cq_netlink_next(list, element)) != NULL) {
        value = cq_netlink_find(cq_netlink_find(element, NFTA_SET_ELEM_KEY),
                                NFTA_DATA_VALUE);
        if (value == NULL || mnl_attr_get_payload_len(value) != length) {
            continue;           /* the catch-all element has no key */
        }
        done = done && (reading->set >= CQ_NFT_DENY4
                        ? read_edge(reading, element, value)
                        : read_client(reading, element, value));
    }
    errno = ENOMEM;
    return done ? MNL_CB_OK : MNL_CB_ERROR;
}

int cq_nft_read_elements(struct cq_nft *nft)
{
    struct reading reading = { .nft = nft, .now_s = cq_jail_now_s() };
    int error = 0;

    nft->jail.elements.count = nft->sorted_n = 0;
    nft->first_expiry_s = INT64_MAX;
    for (; reading.set <= CQ_NFT_JAIL6 && error == 0; reading.set++) {
        if (nft->sets[reading.set].name[0] != '\0') {
            error = cq_nft_ask(nft, NFT_MSG_GETSETELEM, NLM_F_DUMP,
                        nft->sets[reading.set].name, read_elements, &reading);
        }
    }
    nft->read_s = reading.now_s;
    return error;
}

/* --- networks ------------------------------------------------------------- */

bool cq_nft_range_end(const struct cq_key *net, uint8_t end[16])
{
    static const uint8_t zero[16];
    int i;

    memcpy(end, net->bytes, 16);
    for (i = net->prefix; i < (net->family == 4 ? 32 : 128); i++) {
        end[i / 8] |= (uint8_t)(0x80u >> (i % 8));
    }
    for (i = net->family == 4 ? 4 : 16; i-- > 0 && ++end[i] == 0;) {
    }
    return memcmp(end, zero, sizeof(zero)) != 0;
}

/* By address; what ends at one comes before what begins there. */
static int compare_edges(const void *a, const void *b)
{
    const struct edge *one = a;
    const struct edge *other = b;
    int order = memcmp(one->bytes, other->bytes, sizeof(one->bytes));

    return order != 0 ? order : other->is_end - one->is_end;
}

/* The network from one edge to the next (NULL: to the last address), or one of
 * prefix 0 for a range that is no network. */
static struct cq_key read_network(uint8_t family, const struct edge *from,
                                  const struct edge *to)
{
    const uint8_t *end = to == NULL ? (const uint8_t[16]){ 0 } : to->bytes;
    struct cq_key net = { .family = family };
    int whole = family == 4 ? 32 : 128, i;
    uint8_t last[16], net_end[16];

    memcpy(last, end, sizeof(last));
    for (i = whole / 8; i-- > 0 && last[i]-- == 0;) {
    }
    for (i = 0; i < whole
         && ((from->bytes[i / 8] ^ last[i / 8]) & 0x80u >> i % 8) == 0; i++) {
    }
    memcpy(net.bytes, from->bytes, sizeof(net.bytes));
    net.prefix = (uint8_t)i;
    cq_nft_range_end(&net, net_end);
    return cq_key_valid(&net) && memcmp(net_end, end, sizeof(net_end)) == 0
           ? net : (struct cq_key){ .family = family };
}

static bool add_networks(struct reading *reading, uint8_t family)
{
    size_t i;

    qsort(reading->edges, reading->edge_n, sizeof(*reading->edges),
          compare_edges);
    for (i = 0; i < reading->edge_n; i++) {
        const struct edge *edge = &reading->edges[i];
        struct cq_key net;

        if (edge->is_end) {     /* nft puts an end at 0, which ends nothing */
            continue;
        }
        net = read_network(family, edge,
                           i + 1 < reading->edge_n ? edge + 1 : NULL);
        if (!cq_jail_elements_add(&reading->nft->jail.networks, &net, false,
                                  CQ_JAIL_PERMANENT)) {
            return false;
        }
    }
    return true;
}

int cq_nft_read_networks(struct cq_nft *nft)
{
    int error = 0, i;

    nft->jail.networks.count = 0;
    for (i = CQ_NFT_DENY4; i <= CQ_NFT_DENY6 && error == 0; i++) {
        struct reading reading = { .nft = nft, .set = i };

        if (nft->sets[i].name[0] == '\0') {
            continue;
        }
        error = cq_nft_ask(nft, NFT_MSG_GETSETELEM, NLM_F_DUMP,
                           nft->sets[i].name, read_elements, &reading);
        if (error == 0 && reading.edge_n > 0
            && !add_networks(&reading, i == CQ_NFT_DENY4 ? 4 : 6)) {
            error = ENOMEM;
        }
        free(reading.edges);
    }
    return error;
}
