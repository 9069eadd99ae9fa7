/* netlink - questions to the kernel's netfilter, for nft and ipset. */
#ifndef CQ_NETLINK_H
#define CQ_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Messages on their way out; all zero bytes: empty. */
struct cq_messages {
    char *bytes;
    size_t length, room;
};

/* All zero bytes: not open; whatever asks opens it. */
struct cq_netlink {
    struct mnl_socket *socket;
    uint32_t sequence;
    size_t send_room;           /* bytes that one sending may have */
};

/** Opens the socket unless it is open.
 * @return 0 or an errno */
int cq_netlink_open(struct cq_netlink *link);

void cq_netlink_close(struct cq_netlink *link);

/** Begins a message of a netfilter subsystem; the messages may move.
 * @param size  bytes that its attributes take at most
 * @return NULL: no memory */
struct nlmsghdr *cq_netlink_begin(struct cq_messages *messages, uint16_t type,
                                  uint16_t flags, uint8_t family,
                                  uint16_t resource, size_t size);

/** Ends the message that was begun last. */
void cq_netlink_end(struct cq_messages *messages,
                    const struct nlmsghdr *message);

/** Sends messages and reads their answers. The kernel has answered when
 * sending returns, so this never waits.
 * @param answer  called for each answer, as by mnl_cb_run(); NULL: a
 *                transaction, which is answered only if a message failed
 * @return 0 or the first errno; EINTR: the listing was interrupted by another
 *         program's change */
int cq_netlink_ask(struct cq_netlink *link, const struct cq_messages *messages,
                   mnl_cb_t answer, void *data);

void cq_messages_free(struct cq_messages *messages);

/* A nested attribute may be left out or of a wrong length: what an answer is
 * read with trusts neither. Each returns false and leaves the value. */
bool cq_netlink_u32(const struct nlattr *attribute, uint32_t *value);
bool cq_netlink_u64(const struct nlattr *attribute, uint64_t *value);

/** The first attribute of this type in a netfilter message, or NULL. */
const struct nlattr *cq_netlink_attribute(const struct nlmsghdr *message,
                                          uint16_t type);

/** The attribute behind another inside a nest, or its first (NULL); NULL: none
 * is left. */
const struct nlattr *cq_netlink_next(const struct nlattr *nest,
                                     const struct nlattr *previous);

/** The first attribute of this type among those inside another, or NULL. */
const struct nlattr *cq_netlink_find(const struct nlattr *nest, uint16_t type);

#endif
