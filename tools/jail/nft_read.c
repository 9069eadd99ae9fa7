/* nft_read - questions to nf_tables: the generation, the sets' headers, what
 * is in the sets. */
#include "jail/nft.h"

#include <errno.h>
#include <string.h>

/* For this long after others' change a listing may lack elements, because the
 * kernel still grows its hash (measured; lib/rhashtable.c); a later listing
 * reads all of them once more. */
#define UNSETTLED_S 2

/* A rule may add and remove elements when packets arrive, which is no new
 * generation. The elements are read again at this interval in any case. */
#define READ_AGAIN_S 600

struct nlmsghdr *cq_nft_begin(struct cq_nft *nft, int type, uint16_t flags)
{
    return cq_netlink_begin(nft->jail.link, NFNL_SUBSYS_NFTABLES, type, flags,
                            nft->family);
}

/* Asks about jail->set: NFTA_SET_TABLE and NFTA_SET_ELEM_LIST_TABLE are one
 * number, as are NFTA_SET_NAME and NFTA_SET_ELEM_LIST_SET. */
static int ask(struct cq_jail *jail, int type, uint16_t flags, mnl_cb_t answer)
{
    struct cq_nft *nft = (struct cq_nft *)jail;
    struct nlmsghdr *message = cq_nft_begin(nft, type, flags);

    mnl_attr_put_strz(message, NFTA_SET_TABLE, nft->table);
    mnl_attr_put_strz(message, NFTA_SET_NAME, jail->names[jail->set]);
    return cq_netlink_ask(jail->link, answer, nft);
}

static int read_generation(const struct nlmsghdr *message, void *data)
{
    *(uint32_t *)data = (uint32_t)cq_netlink_number(
        cq_netlink_attribute(message, NFTA_GEN_ID), 0);
    return MNL_CB_STOP;
}

int cq_nft_read_generation(struct cq_nft *nft, uint32_t *generation)
{
    cq_nft_begin(nft, NFT_MSG_GETGEN, 0);
    return cq_netlink_ask(nft->jail.link, read_generation, generation);
}

/* --- headers -------------------------------------------------------------- */

/* What nft calls types of keys; the kernel only keeps the number. TYPE_IPADDR
 * and TYPE_IP6ADDR, include/datatype.h of nftables. */
static const uint64_t key_types[2] = { 7, 8 };

/* NULL, or why the set cannot be used. */
static const char *check_header(int set, uint64_t type, uint64_t flags)
{
    bool has_intervals = (flags & NFT_SET_INTERVAL) != 0;
    bool has_timeout = (flags & NFT_SET_TIMEOUT) != 0;

    if (type != key_types[set % 2] || (flags & NFT_SET_MAP) != 0) {
        return "is not of that type";
    }
    if ((flags & NFT_SET_CONSTANT) != 0) {
        return "is constant";
    }
    if (set >= CQ_JAIL_DENY4) {
        return !has_intervals ? "has no flag interval, which networks need"
               : has_timeout ? "has the flag timeout, so that networks would "
                               "get lost" : NULL;
    }
    return has_intervals ? "has the flag interval, which would turn an address "
                           "into a range; clients need a plain set"
           : !has_timeout ? "has no flag timeout, so that an address would "
                            "stay for ever" : NULL;
}

static int read_header_answer(const struct nlmsghdr *message, void *data)
{
    const struct nlattr *size = cq_netlink_find(
        cq_netlink_attribute(message, NFTA_SET_DESC), NFTA_SET_DESC_SIZE);
    struct cq_nft *nft = data;
    int set = nft->jail.set;

    nft->jail.wrong = check_header(
        set,
        cq_netlink_number(cq_netlink_attribute(message, NFTA_SET_KEY_TYPE), 0),
        cq_netlink_number(cq_netlink_attribute(message, NFTA_SET_FLAGS), 0));
    if (set <= CQ_JAIL_V6) {
        nft->jail.capacity[set] = (int64_t)cq_netlink_number(size, 0);
        if (nft->jail.capacity[set] == 0) {
            nft->jail.capacity[set] = -1;
        }
        nft->timeout_s[set] = (int64_t)cq_netlink_number(
            cq_netlink_attribute(message, NFTA_SET_TIMEOUT), 0) / 1000;
    }
    return MNL_CB_STOP;
}

static int read_header(struct cq_jail *jail)
{
    return ask(jail, NFT_MSG_GETSET, 0, read_header_answer);
}

int cq_nft_check_sets(struct cq_nft *nft)
{
    uint32_t generation = 0;
    int error = cq_nft_read_generation(nft, &generation);

    if (error == 0 && generation != nft->generation) {
        nft->generation = 0;        /* the kernel's is never 0 */
        nft->has_expired_s = 0;
        nft->changed_s = cq_jail_now_s();
        error = cq_jail_for_sets(&nft->jail, read_header);
    }
    if (error == 0) {
        nft->generation = generation;
    }
    return error;
}

/* --- contents ------------------------------------------------------------- */

/* An element with a time-out other than the set's has it beside; one without a
 * time-out has no expiration.
 *
 * A set with intervals is kept as edges: an interval's first address, and the
 * one behind its last. They stand among the networks until all are known; an
 * end has prefix 0, so that it sorts before what begins there. */
static int read_element(const struct nlattr *element, void *data)
{
    struct cq_nft *nft = data;
    struct cq_jail *jail = &nft->jail;
    uint64_t timeout_ms = cq_netlink_number(
        cq_netlink_find(element, NFTA_SET_ELEM_TIMEOUT),
        (uint64_t)nft->timeout_s[jail->set % 2] * 1000);
    uint64_t left_ms = cq_netlink_number(
        cq_netlink_find(element, NFTA_SET_ELEM_EXPIRATION), UINT64_MAX);
    int64_t expires_at_s = CQ_JAIL_PERMANENT;
    struct cq_key key;

    if (!cq_netlink_address(
            cq_netlink_find(cq_netlink_find(element, NFTA_SET_ELEM_KEY),
                            NFTA_DATA_VALUE), jail->set, &key)) {
        return MNL_CB_OK;       /* the catch-all element has no key */
    }
    if ((cq_netlink_number(cq_netlink_find(element, NFTA_SET_ELEM_FLAGS), 0)
         & NFT_SET_ELEM_INTERVAL_END) != 0) {
        key.prefix = 0;
    }
    if (left_ms != UINT64_MAX) {
        /* rounded up; what is still there then is read once more */
        expires_at_s = jail->now_s + (int64_t)(left_ms + 999) / 1000;
        if (expires_at_s < nft->has_expired_s) {
            nft->has_expired_s = expires_at_s;
        }
    }
    return cq_jail_add_element(jail, &key,
                               left_ms == UINT64_MAX
                               || timeout_ms > (uint64_t)jail->lease_s * 2000,
                               expires_at_s)
           ? MNL_CB_OK : MNL_CB_ERROR;
}

static int read_elements_answer(const struct nlmsghdr *message, void *data)
{
    const struct nlattr *list =
        cq_netlink_attribute(message, NFTA_SET_ELEM_LIST_ELEMENTS);

    return list == NULL ? MNL_CB_OK
           : mnl_attr_parse_nested(list, read_element, data);
}

static int read_elements(struct cq_jail *jail)
{
    return ask(jail, NFT_MSG_GETSETELEM, NLM_F_DUMP, read_elements_answer);
}

bool cq_nft_range_end(const struct cq_key *net, uint8_t end[16])
{
    int i;

    memcpy(end, net->bytes, 16);
    for (i = net->prefix; i < (net->family == 4 ? 32 : 128); i++) {
        end[i / 8] |= (uint8_t)(0x80u >> (i % 8));
    }
    for (i = net->family == 4 ? 4 : 16; i-- > 0 && ++end[i] == 0;) {
    }
    return i >= 0;
}

/* The network from one edge to the next (all zero: to the last address), or
 * one of prefix 0 for a range that is no network. */
static struct cq_key read_network(const struct cq_key *from,
                                  const struct cq_key *to)
{
    struct cq_key net = *from;
    uint8_t end[16];

    while (net.prefix > 0 && memcmp(net.bytes, from->bytes, 16) == 0) {
        (void)cq_nft_range_end(&net, end);
        if (memcmp(end, to->bytes, sizeof(end)) == 0) {
            return net;
        }
        net = cq_key_network(from, (uint8_t)(net.prefix - 1));
    }
    return (struct cq_key){ .family = from->family };
}

/* Makes networks of edges, in their place. */
static void join_edges(struct cq_jail_elements *edges)
{
    size_t i, n = 0;

    cq_jail_elements_sort(edges);
    for (i = 0; i < edges->count; i++) {
        struct cq_key from = edges->list[i].key;
        struct cq_key to = { .family = from.family };

        if (i + 1 < edges->count
            && edges->list[i + 1].key.family == from.family) {
            to = edges->list[i + 1].key;
        }
        if (from.prefix != 0) { /* nft puts an end at 0, which ends nothing */
            edges->list[n++].key = read_network(&from, &to);
        }
    }
    edges->count = n;
}

int cq_nft_read_contents(struct cq_nft *nft)
{
    struct cq_jail *jail = &nft->jail;
    int error;

    /* or when the first of them expires */
    nft->has_expired_s = jail->now_s < nft->changed_s + UNSETTLED_S
                         ? nft->changed_s + UNSETTLED_S
                         : jail->now_s + READ_AGAIN_S;
    jail->elements.count = jail->networks.count = 0;
    error = cq_jail_for_sets(jail, read_elements);
    join_edges(&jail->networks);
    if (error != 0) {
        nft->has_expired_s = 0;
    }
    return error;
}
