/* nft - the jail of today's firewall: a plain set with time-outs for the
 * clients of each family, an interval set for the networks of each family.
 *
 * The kernel numbers every change of its tables: the generation. A transaction
 * carries the generation at which the sets' headers were checked
 * (NFNL_BATCH_GENID) and is refused at any other. So an address never gets into
 * a set that has become one of intervals, where it would begin a range up to
 * the last address. */
#include "jail/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

/* The most bytes of messages of both families with their elements: an attribute
 * has less than 64 KiB. */
#define MESSAGES_SIZE (2 * (UINT16_MAX + 1024))

static struct cq_nft *to_nft(struct cq_jail *jail)
{
    return (struct cq_nft *)jail;
}

/* FAMILY/TABLE/. The families whose packets have addresses. */
static const char *parse(struct cq_jail *jail, char **at)
{
    static const struct {
        const char *name;
        uint8_t number;
    } families[] = {
        { "ip", NFPROTO_IPV4 }, { "ip6", NFPROTO_IPV6 },
        { "inet", NFPROTO_INET }, { "bridge", NFPROTO_BRIDGE },
        { "netdev", NFPROTO_NETDEV }
    };
    const size_t family_n = sizeof(families) / sizeof(families[0]);
    struct cq_nft *nft = to_nft(jail);
    const char *family = strsep(at, "/");
    size_t i;

    for (i = 0; i < family_n && strcmp(family, families[i].name) != 0; i++) {
    }
    if (i == family_n) {
        return "FAMILY is ip, ip6, inet, bridge or netdev";
    }
    nft->family = families[i].number;
    nft->table = strsep(at, "/");
    if (*at == NULL || !cq_jail_is_name(nft->table, NFT_NAME_MAXLEN)) {
        return "TABLE and its sets have names";
    }
    snprintf(nft->place, sizeof(nft->place), "nft table %s %s: the set ",
             family, nft->table);
    jail->place = nft->place;
    return NULL;
}

static bool has_changed(struct cq_jail *jail)
{
    struct cq_nft *nft = to_nft(jail);
    uint32_t generation = 0;

    return cq_nft_read_generation(nft, &generation) != 0
           || generation != nft->generation || nft->has_expired_s == 0;
}

static int list(struct cq_jail *jail)
{
    struct cq_nft *nft = to_nft(jail);
    int error = cq_nft_check_sets(nft);

    if (error == 0 && jail->now_s >= nft->has_expired_s) {
        error = cq_nft_read_contents(nft);
        if (error == 0 && has_changed(jail)) {
            error = EINTR;
        }
    }
    return error != 0 ? error
           : cq_jail_read_rules(jail, nft->family, nft->table);
}

/* --- transactions: all of one is done, or nothing ------------------------- */

static void begin(struct cq_nft *nft)
{
    struct nlmsghdr *message = cq_netlink_begin(
        nft->jail.link, NFNL_SUBSYS_NONE, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC);
    struct nfgenmsg *header = mnl_nlmsg_get_payload(message);

    header->res_id = htons(NFNL_SUBSYS_NFTABLES);
    mnl_attr_put_u32(message, NFNL_BATCH_GENID, htonl(nft->generation));
}

/* Sends what was put together, and notes the generation that it made. */
static int end(struct cq_nft *nft)
{
    int error;

    cq_netlink_begin(nft->jail.link, NFNL_SUBSYS_NONE, NFNL_MSG_BATCH_END, 0,
                     AF_UNSPEC);
    error = cq_netlink_ask(nft->jail.link, NULL, NULL);
    if (error == 0) {
        nft->generation += nft->generation == UINT32_MAX ? 2 : 1;
    }
    return error == ERESTART ? EINTR : error;
}

/* Begins a message with elements of a set. */
static struct nlmsghdr *begin_elements(struct cq_nft *nft, int type, int set)
{
    struct nlmsghdr *message =
        cq_nft_begin(nft, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);

    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, nft->table);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, nft->jail.names[set]);
    return message;
}

static void put_element(struct nlmsghdr *message, const struct cq_key *address,
                        int64_t timeout_s, uint32_t flags)
{
    struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);

    cq_netlink_put_address(message, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE,
                           address);
    if (timeout_s > 0) {
        mnl_attr_put_u64(message, NFTA_SET_ELEM_TIMEOUT,
                         htobe64((uint64_t)timeout_s * 1000));
    }
    if (flags != 0) {
        mnl_attr_put_u32(message, NFTA_SET_ELEM_FLAGS, htonl(flags));
    }
    mnl_attr_nest_end(message, element);
}

/* Puts the elements of one set: all of them, or those that are to stay. */
static void put_changes(struct cq_nft *nft, int type, int set,
                        int64_t timeout_s, const struct cq_jail_change *changes,
                        size_t count)
{
    struct nlmsghdr *message = NULL;
    struct nlattr *list = NULL;
    size_t i;

    for (i = 0; i < count; i++) {
        if (changes[i].has_failed || cq_jail_index(&changes[i].key) != set
            || (timeout_s > 0 && changes[i].op == CQ_JAIL_REMOVE)) {
            continue;
        }
        /* a deletion without elements would delete all of them */
        if (message == NULL) {
            message = begin_elements(nft, type, set);
            list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
        }
        put_element(message, &changes[i].key, timeout_s, 0);
    }
    if (message != NULL) {
        mnl_attr_nest_end(message, list);
    }
}

/* Measured on Linux 6.18 and told of older ones: adding an element that is
 * there does not renew it, deleting one that is not there undoes the whole
 * transaction, and a time-out of an element cannot be changed before 6.12. So
 * every change is "add, delete" and, unless it is a removal, "add with the
 * time-out": between them no packet gets through, and nothing depends on a
 * listing that lacks elements because the kernel was growing its hash. */
static int send_changes(struct cq_nft *nft,
                        const struct cq_jail_change *changes, size_t count)
{
    int set;

    begin(nft);
    for (set = CQ_JAIL_V4; set <= CQ_JAIL_V6; set++) {
        put_changes(nft, NFT_MSG_NEWSETELEM, set, 0, changes, count);
        put_changes(nft, NFT_MSG_DELSETELEM, set, 0, changes, count);
        put_changes(nft, NFT_MSG_NEWSETELEM, set, nft->jail.lease_s, changes,
                    count);
    }
    return end(nft);
}

static int commit(struct cq_jail *jail, const struct cq_jail_change *changes,
                  size_t count)
{
    struct cq_nft *nft = to_nft(jail);
    int64_t expires_at_s;
    int error = cq_nft_check_sets(nft);
    size_t i;

    if (error == 0) {
        error = send_changes(nft, changes, count);
        /* that of a single change */
        jail->set = cq_jail_index(&changes[0].key);
    }
    if (error != 0) {
        return error;
    }
    /* what was listed changes with it: to list 100,000 takes 0.3 s */
    expires_at_s = cq_jail_now_s() + jail->lease_s;
    if (nft->has_expired_s > expires_at_s) {
        nft->has_expired_s = expires_at_s;
    }
    for (i = 0; i < count && nft->has_expired_s != 0; i++) {
        jail->set = cq_jail_index(&changes[i].key);
        if (!changes[i].has_failed
            && !cq_jail_add_element(jail, &changes[i].key, false,
                                    changes[i].op == CQ_JAIL_REMOVE
                                    ? CQ_JAIL_GONE : expires_at_s)) {
            nft->has_expired_s = 0;
        }
    }
    return 0;
}

/* Puts networks of one family until the message is full.
 * @return how many */
static size_t put_networks(struct cq_nft *nft, const struct cq_key *networks,
                           size_t count)
{
    int set = CQ_JAIL_DENY4 + cq_jail_index(networks);
    struct nlmsghdr *message = begin_elements(nft, NFT_MSG_NEWSETELEM, set);
    struct nlattr *list = mnl_attr_nest_start(message,
                                              NFTA_SET_ELEM_LIST_ELEMENTS);
    struct cq_key behind = networks[0];
    size_t i;

    for (i = 0; i < count && i < CQ_NETLINK_ELEMENTS / 2
         && networks[i].family == networks[0].family; i++) {
        put_element(message, &networks[i], 0, 0);
        if (cq_nft_range_end(&networks[i], behind.bytes)) {
            put_element(message, &behind, 0, NFT_SET_ELEM_INTERVAL_END);
        }
    }
    mnl_attr_nest_end(message, list);
    return i;
}

/* Empties the interval sets and puts networks in; in several transactions if
 * they are more than the socket takes. */
static int deny(struct cq_jail *jail, const struct cq_key *networks,
                size_t count)
{
    struct cq_nft *nft = to_nft(jail);
    int error = cq_nft_check_sets(nft);
    size_t done = 0;

    nft->has_expired_s = 0;
    if (error != 0) {
        return error;
    }
    jail->set = CQ_JAIL_DENY4;
    begin(nft);
    /* a deletion without elements deletes all of them */
    begin_elements(nft, NFT_MSG_DELSETELEM, CQ_JAIL_DENY4);
    begin_elements(nft, NFT_MSG_DELSETELEM, CQ_JAIL_DENY6);
    do {
        while (done < count && cq_netlink_left(jail->link) > MESSAGES_SIZE) {
            done += put_networks(nft, networks + done, count - done);
        }
        error = end(nft);
        if (error == 0 && done < count) {
            begin(nft);
        }
    } while (error == 0 && done < count);
    return error;
}

#define MAKE(rest) "load it first, nft -f clamquota.nft, or make it with " \
                   "\"type " rest ";\""

const struct cq_jail_kind cq_jail_nft = {
    .prefix = "nft:",
    .expected = "nft:FAMILY/TABLE/SET4[,SET6[,DENY4,DENY6]], e.g. "
                "nft:inet/clamquota/jail4,jail6,deny4,deny6",
    .size = sizeof(struct cq_nft),
    .batch = CQ_NETLINK_ELEMENTS,
    .name_size = NFT_NAME_MAXLEN,
    .place = "",
    .how_to_make = {
        MAKE("ipv4_addr; flags timeout"), MAKE("ipv6_addr; flags timeout"),
        MAKE("ipv4_addr; flags interval"), MAKE("ipv6_addr; flags interval")
    },
    .how_to_raise = "raise its size, or leave it out",
    .parse = parse,
    .list = list,
    .commit = commit,
    .deny = deny,
    .has_changed = has_changed
};
