/* ipset - the jail for a firewall of iptables: a set hash:ip with time-outs
 * for each family, over the kernel's own messages, so that the program ipset
 * is not needed.
 *
 * To add an element that is there renews it, to delete one that is not there
 * is no error, unless NLM_F_EXCL asks for it (ip_set_core.c). iptables cannot
 * mask what it looks up; a set with a netmask does. */
#include "jail/kind.h"
#include "jail/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

/* Elements of one message, so that they have less than 64 KiB; each has four
 * headers, 16 bytes of an address and a time-out. */
#define MESSAGE_ELEMENTS 1000

/* IPSET_ERR_HASH_FULL, linux/netfilter/ipset/ip_set_hash.h */
#define HASH_FULL IPSET_ERR_TYPE_SPECIFIC

struct ipset {
    struct cq_jail jail;
    struct cq_netlink link;
};

/* Begins a message about a set. */
static struct nlmsghdr *begin(struct ipset *ipset, int command, uint16_t flags,
                              int set)
{
    struct nlmsghdr *message = cq_netlink_begin(
        &ipset->link, (uint16_t)(NFNL_SUBSYS_IPSET << 8 | command), flags,
        NFPROTO_UNSPEC, 0);

    mnl_attr_put_u8(message, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
    mnl_attr_put_strz(message, IPSET_ATTR_SETNAME, ipset->jail.names[set]);
    return message;
}

/* Asks about jail->set. @return 0 or an errno of kind.h */
static int ask(struct ipset *ipset, mnl_cb_t answer, void *data)
{
    int error = cq_netlink_ask(&ipset->link, answer, data);

    return error == HASH_FULL ? ENFILE
           : error >= IPSET_ERR_PRIVATE ? EPROTO : error;
}

/* --- reading -------------------------------------------------------------- */

static int read_element(const struct nlattr *element, void *data)
{
    struct cq_jail *jail = data;
    const struct nlattr *address =
        cq_netlink_find(cq_netlink_find(element, IPSET_ATTR_IP),
                        jail->set == CQ_JAIL_V4 ? IPSET_ATTR_IPADDR_IPV4
                                                : IPSET_ATTR_IPADDR_IPV6);
    int64_t left_s = (int64_t)cq_netlink_number(
        cq_netlink_find(element, IPSET_ATTR_TIMEOUT), 0);
    struct cq_key key;

    if (jail->wrong != NULL || address == NULL
        || mnl_attr_get_payload_len(address)
           != (jail->set == CQ_JAIL_V4 ? 4 : 16)
        || !cq_jail_address(&key, mnl_attr_get_payload(address), jail->set)) {
        return MNL_CB_OK;
    }
    return cq_jail_elements_add(&jail->elements, &key,
                                left_s == 0 || left_s > 2 * jail->lease_s,
                                left_s == 0 ? CQ_JAIL_PERMANENT
                                            : jail->now_s + left_s)
           ? MNL_CB_OK : MNL_CB_ERROR;
}

static void read_header(struct cq_jail *jail, const struct nlmsghdr *message,
                        const struct nlattr *header)
{
    const struct nlattr *type = cq_netlink_attribute(message,
                                                     IPSET_ATTR_TYPENAME);
    bool is_v4 = jail->set == CQ_JAIL_V4;

    if (type == NULL || strcmp(mnl_attr_get_str(type), "hash:ip") != 0
        || cq_netlink_number(cq_netlink_attribute(message, IPSET_ATTR_FAMILY),
                             0) != (is_v4 ? NFPROTO_IPV4 : NFPROTO_IPV6)) {
        jail->wrong = "is not hash:ip of that family";
    } else if (cq_netlink_find(header, IPSET_ATTR_TIMEOUT) == NULL) {
        jail->wrong = "has no timeout, so that an address would stay for ever";
    }
    jail->bits[jail->set] = (uint8_t)cq_netlink_number(
        cq_netlink_find(header, IPSET_ATTR_NETMASK), is_v4 ? 32 : 128);
    jail->capacity[jail->set] = (int64_t)cq_netlink_number(
        cq_netlink_find(header, IPSET_ATTR_MAXELEM), 0);
}

/* The first message of a set has its header, all have elements. */
static int read_set(const struct nlmsghdr *message, void *data)
{
    const struct nlattr *header = cq_netlink_attribute(message,
                                                       IPSET_ATTR_DATA);

    if (header != NULL) {
        read_header(data, message, header);
    }
    return cq_netlink_for_each(message, IPSET_ATTR_ADT, read_element, data);
}

static int list(struct cq_jail *jail)
{
    int error = 0, i;

    jail->batch = MESSAGE_ELEMENTS;
    jail->elements.count = 0;
    jail->wrong = NULL;
    for (i = 0; i < 2 && error == 0 && jail->names[i][0] != '\0'; i++) {
        jail->set = i;
        begin((struct ipset *)jail, IPSET_CMD_LIST, NLM_F_DUMP, i);
        error = ask((struct ipset *)jail, read_set, jail);
        if (error == 0 && jail->wrong != NULL) {
            error = EMEDIUMTYPE;
        }
    }
    return error;
}

/* --- changes -------------------------------------------------------------- */

static void put_element(struct nlmsghdr *message, const struct cq_key *key,
                        int64_t timeout_s)
{
    struct nlattr *element = mnl_attr_nest_start(message, IPSET_ATTR_DATA);
    struct nlattr *address = mnl_attr_nest_start(message, IPSET_ATTR_IP);

    mnl_attr_put(message, NLA_F_NET_BYTEORDER
                 | (key->family == 4 ? IPSET_ATTR_IPADDR_IPV4
                                     : IPSET_ATTR_IPADDR_IPV6),
                 key->family == 4 ? 4 : 16, key->bytes);
    mnl_attr_nest_end(message, address);
    if (timeout_s > 0) {
        mnl_attr_put_u32(message, IPSET_ATTR_TIMEOUT | NLA_F_NET_BYTEORDER,
                         htonl((uint32_t)timeout_s));
    }
    mnl_attr_nest_end(message, element);
}

/* An acknowledgement has nothing in it. */
static int ignore(const struct nlmsghdr *message, void *data)
{
    (void)message;
    (void)data;
    return MNL_CB_OK;
}

/* One message: the elements of one set to delete, or to add. The kernel stops
 * at the first that is bad. */
static int send_elements(struct ipset *ipset, int command, int set,
                         const struct cq_jail_change *changes, size_t count)
{
    struct nlmsghdr *message = begin(ipset, command, NLM_F_ACK, set);
    bool adds = command == IPSET_CMD_ADD;
    struct nlattr *elements;
    size_t i;

    ipset->jail.set = set;
    mnl_attr_put_u32(message, IPSET_ATTR_LINENO, 0);
    elements = mnl_attr_nest_start(message, IPSET_ATTR_ADT);
    for (i = 0; i < count; i++) {
        if (!changes[i].has_failed && cq_jail_index(&changes[i].key) == set
            && (changes[i].op != CQ_JAIL_REMOVE) == adds) {
            put_element(message, &changes[i].key,
                        adds ? ipset->jail.lease_s : 0);
        }
    }
    mnl_attr_nest_end(message, elements);
    return ask(ipset, ignore, NULL);
}

static int commit(struct cq_jail *jail, const struct cq_jail_change *changes,
                  size_t count)
{
    struct ipset *ipset = (struct ipset *)jail;
    int error = 0, i;

    for (i = 0; i < 2 && error == 0 && jail->names[i][0] != '\0'; i++) {
        error = send_elements(ipset, IPSET_CMD_DEL, i, changes, count);
        if (error == 0) {
            error = send_elements(ipset, IPSET_CMD_ADD, i, changes, count);
        }
    }
    return error;
}

static void close_sets(struct cq_jail *jail)
{
    cq_netlink_close(&((struct ipset *)jail)->link);
}

#define MAKE(family) "create it as in clamquota.ipset (hash:ip family " family \
                     " timeout 3600), ipset restore -exist <clamquota.ipset"

const struct cq_jail_kind cq_jail_ipset = {
    .name = "ipset",
    .expected = "ipset:SET4[,SET6], e.g. ipset:clamquota4,clamquota6",
    .size = sizeof(struct ipset),
    .set_most = 2,
    .name_size = IPSET_MAXNAMELEN,
    .name_also = "-.:",
    .place = "ipset: the set ",
    .how_to_make = { MAKE("inet"), MAKE("inet6") },
    .how_to_raise = "create it anew with a larger maxelem",
    .list = list,
    .commit = commit,
    .close = close_sets
};
