/* jail_nftelements - what is in the sets, read from the kernel.
 *
 * A set with intervals is listed as first addresses and ends; put in order
 * they are ranges again, and a range is the fewest networks that make it up:
 * one for what we put in, several for what somebody else may have. */
#include "sync/jail_nft.h"

#include <errno.h>
#include <libnftnl/set.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

struct edge {
    uint8_t bytes[16];
    bool is_end;            /* the address behind the range */
    int64_t expires_in_s;
};

struct edges {
    const struct nft_set *set;
    struct edge *list;
    size_t count, room;
};

static int put_edge(struct edges *edges, const struct edge *edge)
{
    if (edges->count == edges->room) {
        size_t more = edges->room == 0 ? 128 : edges->room * 2;
        struct edge *grown = reallocarray(edges->list, more, sizeof(*grown));

        if (grown == NULL) {
            return -1;
        }
        edges->list = grown;
        edges->room = more;
    }
    edges->list[edges->count++] = *edge;
    return 0;
}

static int take_element(struct nftnl_set_elem *element, void *data)
{
    struct edges *edges = data;
    struct edge edge = { .expires_in_s = JAIL_NO_EXPIRY };
    uint32_t length = 0;
    const void *key =
        nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &length);

    if (key == NULL || length != (edges->set->family == 4 ? 4 : 16)) {
        return 0;
    }
    memcpy(edge.bytes, key, length);
    if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_FLAGS)) {
        edge.is_end = (nftnl_set_elem_get_u32(element, NFTNL_SET_ELEM_FLAGS)
                       & NFT_SET_ELEM_INTERVAL_END) != 0;
    }
    if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_EXPIRATION)) {
        edge.expires_in_s = (int64_t)
            (nftnl_set_elem_get_u64(element, NFTNL_SET_ELEM_EXPIRATION)
             / 1000);
    }
    return put_edge(edges, &edge);
}

static void begin_elements(void *data)
{
    struct edges *edges = data;

    edges->count = 0;
}

/* Some of a set's elements. */
static int take_elements(const struct nlmsghdr *answer, void *data)
{
    struct nftnl_set *part = nftnl_set_alloc();
    int status = MNL_CB_ERROR;

    if (part == NULL) {
        return status;
    }
    if (nftnl_set_elems_nlmsg_parse(answer, part) == 0
        && nftnl_set_elem_foreach(part, take_element, data) == 0) {
        status = MNL_CB_OK;
    }
    nftnl_set_free(part);
    return status;
}

/* By address; what ends at one comes before what begins there. */
static int compare_edges(const void *a, const void *b)
{
    const struct edge *one = a;
    const struct edge *other = b;
    int order = memcmp(one->bytes, other->bytes, sizeof(one->bytes));

    return order != 0 ? order : other->is_end - one->is_end;
}

/* All bits behind the prefix set: the last address of a network. */
static void last_of(const struct cq_key *net, uint8_t last[16])
{
    int i;

    memcpy(last, net->bytes, 16);
    for (i = net->prefix; i < (net->family == 4 ? 32 : 128); i++) {
        last[i / 8] |= (uint8_t)(0x80u >> (i % 8));
    }
}

/* The widest network that begins at `from` and ends at `to` at the latest. */
static struct cq_key widest(uint8_t family, const uint8_t from[16],
                            const uint8_t to[16])
{
    size_t length = family == 4 ? 4 : 16;
    struct cq_key net = { .family = family,
                          .prefix = (uint8_t)(length * 8) };

    memcpy(net.bytes, from, length);
    while (net.prefix > 0) {
        unsigned bit = net.prefix - 1u;
        struct cq_key wider = net;
        uint8_t last[16];

        wider.prefix = (uint8_t)bit;
        last_of(&wider, last);
        if ((net.bytes[bit / 8] & (0x80u >> (bit % 8))) != 0
            || memcmp(last, to, length) > 0) {
            break;
        }
        net = wider;
    }
    return net;
}

/* false: that was the last address of all */
static bool step_on(uint8_t bytes[16], size_t length)
{
    size_t i = length;

    while (i > 0 && ++bytes[i - 1] == 0) {
        i--;
    }
    return i > 0;
}

bool nft_range_end(const struct cq_key *net, uint8_t end[16])
{
    last_of(net, end);
    return step_on(end, net->family == 4 ? 4 : 16);
}

static void step_back(uint8_t bytes[16], size_t length)
{
    size_t i = length;

    while (i > 0 && bytes[i - 1]-- == 0) {
        i--;
    }
}

/* The fewest networks of the range from..to. A mapped address is none of
 * any packet, and in no form that a key may have. */
static bool put_range(struct jail_listing *listing, size_t *room,
                      uint8_t family, const struct edge *from,
                      const uint8_t to[16])
{
    size_t length = family == 4 ? 4 : 16;
    uint8_t at[16];

    memcpy(at, from->bytes, sizeof(at));
    do {
        struct cq_key net = widest(family, at, to);

        if (cq_key_valid(&net)
            && !jail_listing_put(listing, room, &net, from->expires_in_s)) {
            return false;
        }
        last_of(&net, at);
    } while (memcmp(at, to, length) < 0 && step_on(at, length));
    return true;
}

/* Sorted edges into ranges. What begins and never ends goes on to the last
 * address; the end at 0 that nft puts first ends nothing. */
static bool put_edges(struct edges *edges, struct jail_listing *listing,
                      size_t *room)
{
    size_t length = edges->set->family == 4 ? 4 : 16;
    size_t i;

    if (edges->count > 0) {
        qsort(edges->list, edges->count, sizeof(edges->list[0]),
              compare_edges);
    }
    for (i = 0; i < edges->count; i++) {
        const struct edge *from = &edges->list[i];
        uint8_t to[16];

        if (from->is_end) {
            continue;
        }
        memset(to, 0xff, sizeof(to));
        if (!edges->set->holds_networks) {
            memcpy(to, from->bytes, sizeof(to));
        } else if (i + 1 < edges->count) {
            memcpy(to, from[1].bytes, sizeof(to));
            step_back(to, length);
        }
        if (!put_range(listing, room, edges->set->family, from, to)) {
            return false;
        }
    }
    return true;
}

static int read_set(const struct nft *nft, const struct nft_set *set,
                    struct jail_listing *listing, size_t *room)
{
    _Alignas(struct nlmsghdr) char buffer[NFT_QUESTION_SIZE] = "";
    struct nlmsghdr *question =
        nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETSETELEM, nft->family_number,
                              NLM_F_DUMP, 0);
    struct edges edges = { .set = set };
    int error;

    mnl_attr_put_strz(question, NFTA_SET_ELEM_LIST_TABLE, nft->table);
    mnl_attr_put_strz(question, NFTA_SET_ELEM_LIST_SET, set->name);
    error = nft_ask(question, begin_elements, take_elements, &edges);
    if (error == 0 && !put_edges(&edges, listing, room)) {
        error = ENOMEM;
    }
    free(edges.list);
    return error;
}

enum jail_status nft_read_elements(const struct nft *nft,
                                   struct jail_listing *listing,
                                   struct jail_why *why)
{
    size_t room = 0;
    int error = 0;
    int s;

    *listing = (struct jail_listing){ .entries = NULL };
    for (s = 0; s < 2 && error == 0; s++) {
        if (nft->sets[s].name[0] != '\0') {
            error = read_set(nft, &nft->sets[s], listing, &room);
        }
    }
    if (error != 0) {
        jail_listing_free(listing);
        return nft_fail(nft, error, why);
    }
    jail_listing_sort(listing);
    return JAIL_OK;
}
