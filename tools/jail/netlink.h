/* netlink - questions to the kernel's netfilter, for nft, ipset and rules. */
#ifndef CQ_NETLINK_H
#define CQ_NETLINK_H

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that are sent at once: a transaction of 10,000 elements of IPv6 has
 * less than 2 MiB. */
#define CQ_NETLINK_ROOM (4 * 1024 * 1024)

/* All zero bytes: not open; whatever asks opens it. */
struct cq_netlink {
    struct mnl_socket *socket;
    uint32_t sequence;
    size_t send_room;           /* bytes that the socket takes at once; 0: not
                                 * known before the first question */
    size_t length;              /* of the messages in `out`, but for the last */
    struct nlmsghdr *last;      /* one that may still grow, or NULL */
    _Alignas(struct nlmsghdr) char out[CQ_NETLINK_ROOM];
};

void cq_netlink_close(struct cq_netlink *link);

/** Begins a message of a netfilter subsystem, behind those that were begun
 * since the last question. Attributes are put behind it with libmnl. */
struct nlmsghdr *cq_netlink_begin(struct cq_netlink *link, uint16_t type,
                                  uint16_t flags, uint8_t family,
                                  uint16_t resource);

/** How many bytes of messages the socket still takes, 0 for none. */
size_t cq_netlink_left(const struct cq_netlink *link);

/** Sends the messages and reads their answers. The kernel has answered when
 * sending returns, so this never waits.
 * @param answer  called for each answer, as by mnl_cb_run(); NULL: a
 *                transaction, which is answered only if a message failed
 * @return 0 or the first errno; EINTR: the listing was interrupted by another
 *         program's change */
int cq_netlink_ask(struct cq_netlink *link, mnl_cb_t answer, void *data);

/* What an answer is read with: an attribute may be left out (NULL) or be of a
 * wrong length. */

/** The first attribute of this type in a netfilter message, or NULL. */
const struct nlattr *cq_netlink_attribute(const struct nlmsghdr *message,
                                          uint16_t type);

/** The first attribute of this type among those inside another, or NULL. */
const struct nlattr *cq_netlink_find(const struct nlattr *nest, uint16_t type);

/** Calls a function for each attribute inside the one of this type, as
 * mnl_attr_parse_nested() does. @return what that returned last */
int cq_netlink_for_each(const struct nlmsghdr *message, uint16_t type,
                        mnl_attr_cb_t one, void *data);

/** A number in network order, of 1 to 8 bytes, or the one for none. */
uint64_t cq_netlink_number(const struct nlattr *attribute, uint64_t none);

#endif
