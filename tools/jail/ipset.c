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

/* IPSET_ERR_HASH_FULL, linux/netfilter/ipset/ip_set_hash.h */
#define HASH_FULL IPSET_ERR_TYPE_SPECIFIC

/* Begins a message about jail->set. */
static struct nlmsghdr *begin(struct cq_jail *jail, int command, uint16_t flags)
{
    struct nlmsghdr *message = cq_netlink_begin(
        jail->link, NFNL_SUBSYS_IPSET, command, flags, NFPROTO_UNSPEC);

    mnl_attr_put_u8(message, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
    mnl_attr_put_strz(message, IPSET_ATTR_SETNAME, jail->names[jail->set]);
    return message;
}

/* @return 0 or an errno of kind.h */
static int ask(struct cq_jail *jail, mnl_cb_t answer)
{
    int error = cq_netlink_ask(jail->link, answer, jail);

    return error == HASH_FULL ? ENFILE
           : error >= IPSET_ERR_PRIVATE ? EPROTO : error;
}

/* --- reading -------------------------------------------------------------- */

static int read_element(const struct nlattr *element, void *data)
{
    struct cq_jail *jail = data;
    bool is_v4 = jail->set == CQ_JAIL_V4;
    int64_t left_s = (int64_t)cq_netlink_number(
        cq_netlink_find(element, IPSET_ATTR_TIMEOUT), 0);
    struct cq_key key;

    return jail->wrong != NULL
           || !cq_netlink_address(
                  cq_netlink_find(cq_netlink_find(element, IPSET_ATTR_IP),
                                  is_v4 ? IPSET_ATTR_IPADDR_IPV4
                                        : IPSET_ATTR_IPADDR_IPV6),
                  jail->set, &key)
           || cq_jail_add_element(jail, &key,
                                  left_s == 0 || left_s > 2 * jail->lease_s,
                                  left_s == 0 ? CQ_JAIL_PERMANENT
                                              : jail->now_s + left_s)
           ? MNL_CB_OK : MNL_CB_ERROR;
}

static void read_header(struct cq_jail *jail, const struct nlmsghdr *message,
                        const struct nlattr *header)
{
    bool is_v4 = jail->set == CQ_JAIL_V4;

    if (strcmp(cq_netlink_text(cq_netlink_attribute(message,
                                                    IPSET_ATTR_TYPENAME)),
               "hash:ip") != 0
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
static int read_message(const struct nlmsghdr *message, void *data)
{
    const struct nlattr *header = cq_netlink_attribute(message,
                                                       IPSET_ATTR_DATA);
    const struct nlattr *list = cq_netlink_attribute(message, IPSET_ATTR_ADT);

    if (header != NULL) {
        read_header(data, message, header);
    }
    return list == NULL ? MNL_CB_OK
           : mnl_attr_parse_nested(list, read_element, data);
}

static int read_set(struct cq_jail *jail)
{
    begin(jail, IPSET_CMD_LIST, NLM_F_DUMP);
    return ask(jail, read_message);
}

static int list(struct cq_jail *jail)
{
    jail->elements.count = 0;
    return cq_jail_for_sets(jail, read_set);
}

/* --- changes -------------------------------------------------------------- */

static void put_element(struct nlmsghdr *message, const struct cq_key *key,
                        int64_t timeout_s)
{
    struct nlattr *element = mnl_attr_nest_start(message, IPSET_ATTR_DATA);

    cq_netlink_put_address(message, IPSET_ATTR_IP, NLA_F_NET_BYTEORDER
                           | (key->family == 4 ? IPSET_ATTR_IPADDR_IPV4
                                               : IPSET_ATTR_IPADDR_IPV6), key);
    if (timeout_s > 0) {
        mnl_attr_put_u32(message, IPSET_ATTR_TIMEOUT | NLA_F_NET_BYTEORDER,
                         htonl((uint32_t)timeout_s));
    }
    mnl_attr_nest_end(message, element);
}

/* One message: the elements of jail->set to delete, or to add. The kernel
 * stops at the first that is bad. */
static void put_elements(struct cq_jail *jail, int command,
                         const struct cq_jail_change *changes, size_t count)
{
    struct nlmsghdr *message = begin(jail, command, 0);
    bool adds = command == IPSET_CMD_ADD;
    struct nlattr *elements;
    size_t i;

    mnl_attr_put_u32(message, IPSET_ATTR_LINENO, 0);
    elements = mnl_attr_nest_start(message, IPSET_ATTR_ADT);
    for (i = 0; i < count; i++) {
        if (!changes[i].has_failed
            && cq_jail_index(&changes[i].key) == jail->set
            && (changes[i].op != CQ_JAIL_REMOVE) == adds) {
            put_element(message, &changes[i].key, adds ? jail->lease_s : 0);
        }
    }
    mnl_attr_nest_end(message, elements);
}

static int commit(struct cq_jail *jail, const struct cq_jail_change *changes,
                  size_t count)
{
    int error = 0, i;

    for (i = 0; i < 2 && error == 0 && jail->names[i] != NULL; i++) {
        jail->set = i;
        put_elements(jail, IPSET_CMD_DEL, changes, count);
        put_elements(jail, IPSET_CMD_ADD, changes, count);
        error = ask(jail, NULL);
    }
    return error;
}

#define MAKE(family) "create it as in clamquota.ipset (hash:ip family " family \
                     " timeout 3600), ipset restore -exist <clamquota.ipset"

const struct cq_jail_kind cq_jail_ipset = {
    .prefix = "ipset:",
    .expected = "ipset:SET4[,SET6], e.g. ipset:clamquota4,clamquota6",
    .size = sizeof(struct cq_jail),
    .batch = CQ_NETLINK_ELEMENTS,
    .name_size = IPSET_MAXNAMELEN,
    .place = "ipset: the set ",
    .how_to_make = { MAKE("inet"), MAKE("inet6") },
    .how_to_raise = "create it anew with a larger maxelem",
    .list = list,
    .commit = commit
};
