/* nft_read - questions to nf_tables: the generation, the sets' headers, what
 * is in the sets. */
#include "jail/nft.h"

#include <errno.h>
#include <string.h>

struct nlmsghdr *cq_nft_begin(struct cq_nft *nft, uint16_t type,
                              uint16_t flags)
{
    return cq_netlink_begin(&nft->link,
                            (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
                            flags, nft->family, 0);
}

/* Asks about jail->set: NFTA_SET_TABLE and NFTA_SET_ELEM_LIST_TABLE are one
 * number, as are NFTA_SET_NAME and NFTA_SET_ELEM_LIST_SET. */
static int ask(struct cq_nft *nft, uint16_t type, uint16_t flags,
               mnl_cb_t answer, void *data)
{
    struct nlmsghdr *message = cq_nft_begin(nft, type, flags);

    mnl_attr_put_strz(message, NFTA_SET_TABLE, nft->table);
    mnl_attr_put_strz(message, NFTA_SET_NAME, nft->jail.names[nft->jail.set]);
    return cq_netlink_ask(&nft->link, answer, data);
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
    return cq_netlink_ask(&nft->link, read_generation, generation);
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

static int read_header(const struct nlmsghdr *message, void *data)
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

/* Does this for each set that is named. */
static int for_sets(struct cq_nft *nft, uint16_t type, uint16_t flags,
                    mnl_cb_t answer, void *data)
{
    int error = 0, i;

    for (i = 0; i < CQ_JAIL_SETS && error == 0; i++) {
        if (nft->jail.names[i][0] != '\0') {
            nft->jail.set = i;
            nft->jail.wrong = NULL;
            error = ask(nft, type, flags, answer, data);
            if (error == 0 && nft->jail.wrong != NULL) {
                error = EMEDIUMTYPE;
            }
        }
    }
    return error;
}

int cq_nft_check_sets(struct cq_nft *nft)
{
    uint32_t before = 0, after = 0;
    int error = cq_nft_read_generation(nft, &before);

    if (error != 0 || before == nft->generation) {
        return error;
    }
    nft->has_expired_s = 0;
    nft->generation = 0;            /* the kernel's is never 0 */
    nft->changed_s = cq_jail_now_s();
    error = for_sets(nft, NFT_MSG_GETSET, 0, read_header, nft);
    if (error == 0) {
        error = cq_nft_read_generation(nft, &after);
    }
    if (error == 0 && after != before) {
        error = EINTR;
    }
    nft->generation = error == 0 ? before : 0;
    return error;
}

/* --- contents ------------------------------------------------------------- */

/* One with a time-out other than the set's has it beside; one without a
 * time-out has no expiration. */
static bool read_client(struct cq_nft *nft, const struct nlattr *element,
                        const struct cq_key *key)
{
    struct cq_jail *jail = &nft->jail;
    uint64_t timeout_ms = cq_netlink_number(
        cq_netlink_find(element, NFTA_SET_ELEM_TIMEOUT),
        (uint64_t)nft->timeout_s[jail->set] * 1000);
    uint64_t left_ms = cq_netlink_number(
        cq_netlink_find(element, NFTA_SET_ELEM_EXPIRATION), UINT64_MAX);
    int64_t expires_at_s = CQ_JAIL_PERMANENT;

    if (left_ms != UINT64_MAX) {
        /* rounded up: it is gone when it is believed here */
        expires_at_s = jail->now_s + (int64_t)(left_ms / 1000) + 1;
        if (expires_at_s < nft->has_expired_s) {
            nft->has_expired_s = expires_at_s;
        }
    }
    return cq_jail_elements_add(&jail->elements, key,
                                left_ms == UINT64_MAX
                                || timeout_ms > (uint64_t)jail->lease_s * 2000,
                                expires_at_s);
}

/* A set with intervals is kept as edges: an interval's first address, and the
 * one behind its last. They stand among the networks until all are known; an
 * end has prefix 0, so that it sorts before what begins there. */
static int read_element(const struct nlattr *element, void *data)
{
    struct cq_nft *nft = data;
    struct cq_jail *jail = &nft->jail;
    const struct nlattr *value = cq_netlink_find(
        cq_netlink_find(element, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE);
    bool is_client = jail->set <= CQ_JAIL_V6, is_valid;
    struct cq_key key;

    if (value == NULL || mnl_attr_get_payload_len(value)
                         != (jail->set % 2 == 0 ? 4 : 16)) {
        return MNL_CB_OK;       /* the catch-all element has no key */
    }
    is_valid = cq_jail_address(&key, mnl_attr_get_payload(value), jail->set);
    if (is_client && !is_valid) {
        return MNL_CB_OK;       /* mapped: of no packet */
    }
    if ((cq_netlink_number(cq_netlink_find(element, NFTA_SET_ELEM_FLAGS), 0)
         & NFT_SET_ELEM_INTERVAL_END) != 0) {
        key.prefix = 0;
    }
    return (is_client ? read_client(nft, element, &key)
            : cq_jail_elements_add(&jail->networks, &key, false,
                                   CQ_JAIL_PERMANENT))
           ? MNL_CB_OK : MNL_CB_ERROR;
}

static int read_elements(const struct nlmsghdr *message, void *data)
{
    return cq_netlink_for_each(message, NFTA_SET_ELEM_LIST_ELEMENTS,
                               read_element, data);
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

/* The number of its leading bits that are not all zero behind. */
static int significant_bits(const struct cq_key *key)
{
    int bits = key->family == 4 ? 32 : 128;

    while (bits > 0
           && (key->bytes[(bits - 1) / 8] & 0x80u >> (bits - 1) % 8) == 0) {
        bits--;
    }
    return bits;
}

/* The network from one edge to the next (all zero: to the last address), or
 * one of prefix 0 for a range that is no network. The length of a network is
 * the lowest bit that is set in one of them. */
static struct cq_key read_network(const struct cq_key *from,
                                  const struct cq_key *to)
{
    struct cq_key net = *from;
    int from_bits = significant_bits(from), to_bits = significant_bits(to);
    uint8_t end[16];

    net.prefix = (uint8_t)(from_bits > to_bits ? from_bits : to_bits);
    (void)cq_nft_range_end(&net, end);
    return memcmp(end, to->bytes, sizeof(end)) == 0 ? net
           : (struct cq_key){ .family = from->family };
}

/* Makes networks of edges, in their place. */
static bool join_edges(struct cq_jail_elements *edges)
{
    size_t i, n = 0;

    if (!cq_jail_elements_sort(edges)) {
        return false;
    }
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
    return true;
}

int cq_nft_read_contents(struct cq_nft *nft)
{
    int error;

    nft->jail.elements.count = nft->jail.networks.count = 0;
    error = for_sets(nft, NFT_MSG_GETSETELEM, NLM_F_DUMP, read_elements, nft);
    return error == 0 && !join_edges(&nft->jail.networks) ? ENOMEM : error;
}
