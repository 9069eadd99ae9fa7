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
#include <stdlib.h>
#include <string.h>

#define MESSAGE(command) (NFNL_SUBSYS_IPSET << 8 | (command))

/* Elements of one message, so that they have less than 64 KiB; each has four
 * headers, 16 bytes of an address and a time-out. */
#define MESSAGE_ELEMENTS 1000
#define ELEMENT_SIZE 36

/* IPSET_ERR_HASH_FULL, linux/netfilter/ipset/ip_set_hash.h */
#define HASH_FULL IPSET_ERR_TYPE_SPECIFIC

struct ipset_set {
    char name[IPSET_MAXNAMELEN];    /* "": not named */
    uint32_t capacity;              /* maxelem */
};

struct ipset {
    struct cq_jail jail;
    struct ipset_set sets[2];
    struct cq_netlink link;
};

static struct cq_jail *parse(const char *names, const char **wrong)
{
    struct ipset *ipset = calloc(1, sizeof(*ipset));

    if (ipset == NULL) {
        return NULL;
    }
    if (!cq_jail_read_names(names, "-.:", ipset->sets[0].name,
                            ipset->sets[1].name,
                            sizeof(ipset->sets[0].name))) {
        *wrong = "the name of a set has 1 to 31 letters, digits and any of "
                 "_ - . : behind the first, and SET6 is another set";
        free(ipset);
        return NULL;
    }
    return &ipset->jail;
}

static enum cq_jail_status fail(int error, const char *name,
                                struct cq_jail_why *why)
{
    if (error == EPERM || error == EACCES) {
        return cq_jail_fail(why, CQ_JAIL_NOT_PERMITTED,
                            "ipset: not permitted, looking at a set needs "
                            "root too; run clamquota-sync as root");
    }
    if (error == ENOENT) {
        return cq_jail_fail(why, CQ_JAIL_MISSING,
                            "ipset: the set %s does not exist; create it "
                            "first, e.g. ipset restore -exist "
                            "<clamquota.ipset", name);
    }
    return cq_jail_fail(why, CQ_JAIL_PARTLY, "ipset: the set %s: %s", name,
                        error < IPSET_ERR_PRIVATE ? strerror(error)
                                                  : "refused by the kernel");
}

/* Begins a message about a set. */
static struct nlmsghdr *begin(struct cq_messages *messages, int command,
                              uint16_t flags, const char *name, size_t size)
{
    struct nlmsghdr *message =
        cq_netlink_begin(messages, (uint16_t)MESSAGE(command), flags,
                         NFPROTO_UNSPEC, 0, IPSET_MAXNAMELEN + 64 + size);

    if (message != NULL) {
        mnl_attr_put_u8(message, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
        mnl_attr_put_strz(message, IPSET_ATTR_SETNAME, name);
    }
    return message;
}

/* --- reading -------------------------------------------------------------- */

struct reading {
    struct cq_jail *jail;
    struct ipset_set *set;
    int family;                 /* 0: IPv4, 1: IPv6 */
    bool headers_only;
    const char *wrong;          /* what is wrong with the set */
    int64_t now_s;
};

static bool read_element(const struct reading *reading,
                         const struct nlattr *element)
{
    const struct nlattr *address =
        cq_netlink_find(cq_netlink_find(element, IPSET_ATTR_IP),
                        reading->family == 0 ? IPSET_ATTR_IPADDR_IPV4
                                             : IPSET_ATTR_IPADDR_IPV6);
    size_t length = reading->family == 0 ? 4 : 16;
    uint32_t left_s = 0;
    struct cq_key key;

    cq_netlink_u32(cq_netlink_find(element, IPSET_ATTR_TIMEOUT), &left_s);
    if (address == NULL || mnl_attr_get_payload_len(address) < length
        || !cq_jail_address(&key, mnl_attr_get_payload(address),
                            reading->family == 0 ? 4 : 6)) {
        return true;
    }
    return cq_jail_elements_add(&reading->jail->elements, &key,
                                left_s == 0
                                || left_s > 2 * reading->jail->lease_s,
                                left_s == 0 ? CQ_JAIL_PERMANENT
                                            : reading->now_s + left_s);
}

static void read_header(struct reading *reading, const struct nlattr *type,
                        const struct nlattr *family, const struct nlattr *data)
{
    const struct nlattr *netmask = cq_netlink_find(data, IPSET_ATTR_NETMASK);

    if (type == NULL || strcmp(mnl_attr_get_str(type), "hash:ip") != 0
        || family == NULL || mnl_attr_get_u8(family)
           != (reading->family == 0 ? NFPROTO_IPV4 : NFPROTO_IPV6)) {
        reading->wrong = "is not hash:ip of that family";
    } else if (cq_netlink_find(data, IPSET_ATTR_TIMEOUT) == NULL) {
        reading->wrong = "has no timeout, so that an address would stay for "
                         "ever";
    }
    reading->jail->bits[reading->family] =
        netmask != NULL ? mnl_attr_get_u8(netmask)
        : reading->family == 0 ? 32 : 128;
    cq_netlink_u32(cq_netlink_find(data, IPSET_ATTR_MAXELEM),
                   &reading->set->capacity);
}

/* The first message of a set has its header, all have elements. */
static int read_set(const struct nlmsghdr *message, void *data)
{
    const struct nlattr *header = cq_netlink_attribute(message,
                                                       IPSET_ATTR_DATA);
    const struct nlattr *list = cq_netlink_attribute(message, IPSET_ATTR_ADT);
    struct reading *reading = data;
    const struct nlattr *element = NULL;

    if (header != NULL) {
        read_header(reading,
                    cq_netlink_attribute(message, IPSET_ATTR_TYPENAME),
                    cq_netlink_attribute(message, IPSET_ATTR_FAMILY), header);
    }
    if (list == NULL || reading->headers_only || reading->wrong != NULL) {
        return MNL_CB_OK;
    }
    while ((element = cq_netlink_next(list, element)) != NULL) {
        if (!read_element(reading, element)) {
            errno = ENOMEM;
            return MNL_CB_ERROR;
        }
    }
    return MNL_CB_OK;
}

static enum cq_jail_status read_one(struct ipset *ipset, int family,
                                    bool headers_only,
                                    struct cq_jail_why *why)
{
    struct ipset_set *set = &ipset->sets[family];
    struct reading reading = { .jail = &ipset->jail, .set = set,
                               .family = family, .headers_only = headers_only,
                               .now_s = cq_jail_now_s() };
    struct cq_messages question = { .bytes = NULL };
    struct nlmsghdr *message = begin(&question, IPSET_CMD_LIST, NLM_F_DUMP,
                                     set->name, 0);
    int error = ENOMEM;

    if (message != NULL) {
        if (headers_only) {
            mnl_attr_put_u32(message, IPSET_ATTR_FLAGS,
                             htonl(IPSET_FLAG_LIST_HEADER));
        }
        cq_netlink_end(&question, message);
        error = cq_netlink_ask(&ipset->link, &question, read_set, &reading);
    }
    cq_messages_free(&question);
    if (error != 0) {
        return fail(error, set->name, why);
    }
    return reading.wrong == NULL ? CQ_JAIL_OK
           : cq_jail_fail(why, CQ_JAIL_MISSING, "ipset: the set %s %s; create "
                          "it as in clamquota.ipset (hash:ip family %s "
                          "timeout 3600)", set->name, reading.wrong,
                          family == 0 ? "inet" : "inet6");
}

static enum cq_jail_status read_sets(struct ipset *ipset, bool headers_only,
                                     struct cq_jail_why *why)
{
    enum cq_jail_status status = CQ_JAIL_OK;
    int i;

    ipset->jail.elements.count = 0;
    for (i = 0; i < 2 && status == CQ_JAIL_OK; i++) {
        if (ipset->sets[i].name[0] != '\0') {
            status = read_one(ipset, i, headers_only, why);
        }
    }
    return status;
}

static enum cq_jail_status open_sets(struct cq_jail *jail,
                                     struct cq_jail_why *why)
{
    jail->batch = MESSAGE_ELEMENTS;
    jail->bits[1] = 0;
    return read_sets((struct ipset *)jail, true, why);
}

static enum cq_jail_status list(struct cq_jail *jail, struct cq_jail_why *why)
{
    enum cq_jail_status status = read_sets((struct ipset *)jail, false, why);

    cq_jail_elements_sort(&jail->elements);
    return status;
}

/* --- changes -------------------------------------------------------------- */

static void put_element(struct nlmsghdr *message,
                        const struct cq_key *key, int64_t timeout_s)
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

/* One message: the elements of one family to delete, or to add. The kernel
 * stops at the first that is bad. */
static int send_elements(struct ipset *ipset, int command, int family,
                         const struct cq_jail_change *changes, size_t count)
{
    struct cq_messages messages = { .bytes = NULL };
    struct nlmsghdr *message =
        begin(&messages, command, NLM_F_ACK, ipset->sets[family].name,
              count * ELEMENT_SIZE);
    struct nlattr *list;
    int error = message == NULL ? ENOMEM : 0;
    size_t i, n = 0;

    if (message != NULL) {
        mnl_attr_put_u32(message, IPSET_ATTR_LINENO, 0);
        list = mnl_attr_nest_start(message, IPSET_ATTR_ADT);
        for (i = 0; i < count; i++) {
            if (!changes[i].has_failed
                && cq_jail_index(&changes[i].key) == family
                && (changes[i].op == CQ_JAIL_REMOVE)
                   == (command == IPSET_CMD_DEL)) {
                put_element(message, &changes[i].key,
                            command == IPSET_CMD_ADD ? ipset->jail.lease_s
                                                     : 0);
                n++;
            }
        }
        mnl_attr_nest_end(message, list);
        cq_netlink_end(&messages, message);
    }
    if (n > 0) {
        error = cq_netlink_ask(&ipset->link, &messages, ignore, NULL);
    }
    cq_messages_free(&messages);
    return error;
}

static enum cq_jail_status commit(struct cq_jail *jail,
                                  struct cq_jail_change *changes, size_t count,
                                  struct cq_jail_why *why)
{
    struct ipset *ipset = (struct ipset *)jail;
    int error = 0, family;

    for (family = 0; family < 2 && error == 0; family++) {
        if (ipset->sets[family].name[0] == '\0') {
            continue;
        }
        error = send_elements(ipset, IPSET_CMD_DEL, family, changes, count);
        if (error == 0) {
            error = send_elements(ipset, IPSET_CMD_ADD, family, changes,
                                  count);
        }
    }
    if (error == 0) {
        return CQ_JAIL_OK;
    }
    family--;
    if (error == HASH_FULL) {
        jail->is_full[family] = count == 1;
        return cq_jail_fail(why, CQ_JAIL_PARTLY, "ipset: the set %s is full; "
                            "create it anew with a larger maxelem",
                            ipset->sets[family].name);
    }
    return fail(error, ipset->sets[family].name, why);
}

/* --- the rest ------------------------------------------------------------- */

static bool has_changed(struct cq_jail *jail)
{
    (void)jail;         /* the kernel does not tell; the next look reads */
    return false;
}

static enum cq_jail_status figures(struct cq_jail *jail,
                                   struct cq_jail_figures *figures,
                                   struct cq_jail_why *why)
{
    struct ipset *ipset = (struct ipset *)jail;

    (void)why;
    *figures = (struct cq_jail_figures){
        .capacity_v4 = ipset->sets[0].capacity,
        .capacity_v6 = ipset->sets[1].capacity,
        .dropped_packets = -1,      /* only iptables itself can tell */
        .how_to_raise = "create the set anew with a larger maxelem"
    };
    return CQ_JAIL_OK;
}

static void close_sets(struct cq_jail *jail)
{
    cq_netlink_close(&((struct ipset *)jail)->link);
}

const struct cq_jail_kind cq_jail_ipset = {
    .name = "ipset",
    .expected = "ipset:SET4[,SET6], e.g. ipset:clamquota4,clamquota6",
    .parse = parse,
    .open = open_sets,
    .list = list,
    .commit = commit,
    .has_changed = has_changed,
    .figures = figures,
    .close = close_sets
};
