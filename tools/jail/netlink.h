/* netlink - questions to the kernel's netfilter, for nft, ipset and rules. */
#ifndef CQ_NETLINK_H
#define CQ_NETLINK_H

#include "jail/kind.h"

#include <libmnl/libmnl.h>

/* Bytes that are sent at once: about 45,000 networks. */
#ifndef CQ_NETLINK_ROOM
#define CQ_NETLINK_ROOM (4 * 1024 * 1024)
#endif

/* Elements of one message: their list has less than 64 KiB, and a transaction
 * of three such messages fits into the socket of a user namespace. */
#define CQ_NETLINK_ELEMENTS 1000

/* All zero bytes: not open; whatever asks opens it. */
struct cq_netlink {
    struct mnl_socket *socket;
    uint32_t sequence;
    size_t send_room;           /* bytes that the socket takes at once; 0: not
                                 * known before the first question */
    struct nlmsghdr *last;      /* of the messages in `out`, which may still
                                 * grow; NULL: there is none */
    _Alignas(struct nlmsghdr) char out[CQ_NETLINK_ROOM];
};

/** Closes the socket; NULL does nothing. */
void cq_netlink_close(struct cq_netlink *link);

/** Begins a message of a netfilter subsystem, behind those that were begun
 * since the last question. Attributes are put behind it with libmnl. */
struct nlmsghdr *cq_netlink_begin(struct cq_netlink *link, int subsystem,
                                  int type, uint16_t flags, uint8_t family);

/** How many bytes of messages the socket still takes, 0 for none. */
size_t cq_netlink_left(const struct cq_netlink *link);

/** Sends the messages and reads their answers. The kernel has answered when
 * sending returns, so this never waits.
 * @param answer  called for each answer, as by mnl_cb_run(); NULL: changes,
 *                which are answered only if one failed
 * @return 0 or the first errno; EINTR: the listing was interrupted by another
 *         program's change */
int cq_netlink_ask(struct cq_netlink *link, mnl_cb_t answer, void *data);

/** Puts an address, as the attribute `type` inside one `nest`. */
void cq_netlink_put_address(struct nlmsghdr *message, uint16_t nest,
                            uint16_t type, const struct cq_key *key);

/* What an answer is read with: an attribute may be left out (NULL) or be of a
 * wrong length. */

/** The first attribute of this type in a netfilter message, or NULL. */
const struct nlattr *cq_netlink_attribute(const struct nlmsghdr *message,
                                          uint16_t type);

/** The first attribute of this type among those inside another, or NULL. */
const struct nlattr *cq_netlink_find(const struct nlattr *nest, uint16_t type);

/** A number in network order, of 1 to 8 bytes, or the one for none. */
uint64_t cq_netlink_number(const struct nlattr *attribute, uint64_t none);

/** A text that ends with its NUL, or "". */
const char *cq_netlink_text(const struct nlattr *attribute);

/** Reads an address of the set's family; a mapped one is not valid.
 * @return false: it is none */
bool cq_netlink_address(const struct nlattr *attribute, int set,
                        struct cq_key *key);

#endif
