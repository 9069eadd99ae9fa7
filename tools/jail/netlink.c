/* netlink - a socket to netfilter, the messages through it, their answers. */
#include "jail/netlink.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

/* a transaction of 10,000 elements of IPv6 has less than 2 MiB */
#define SEND_ROOM (4 * 1024 * 1024)

/* one error for each message of a transaction; what is lost is ENOBUFS */
#define ANSWER_ROOM (1024 * 1024)

/* the kernel fills at most 32 KiB of a listing at once (NLMSG_GOODSIZE) */
#define ANSWER_SIZE 65536

void cq_netlink_close(struct cq_netlink *link)
{
    if (link->socket != NULL) {
        mnl_socket_close(link->socket);
        link->socket = NULL;
    }
}

int cq_netlink_open(struct cq_netlink *link)
{
    int room = SEND_ROOM, one = 1, fd;
    socklen_t size = sizeof(room);

    if (link->socket != NULL) {
        return 0;
    }
    link->socket = mnl_socket_open2(NETLINK_NETFILTER,
                                    SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (link->socket == NULL
        || mnl_socket_bind(link->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int error = errno;

        cq_netlink_close(link);
        return error;
    }
    fd = mnl_socket_get_fd(link->socket);
    /* FORCE needs the rights of the first user namespace; without them the
     * system's limit holds, and a transaction is cut to what is granted */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, size) != 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, size);
    }
    room = ANSWER_ROOM;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, size);
    mnl_socket_setsockopt(link->socket, NETLINK_CAP_ACK, &one, sizeof(one));
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &size) != 0) {
        room = 64 * 1024;
    }
    /* netlink_sendmsg() refuses what is longer than sk_sndbuf - 32 */
    link->send_room = (size_t)room - 32;
    return 0;
}

/* NLMSG_ALIGN, without its mixture of signs */
static size_t aligned(const struct nlmsghdr *message)
{
    return (message->nlmsg_len + 3u) & ~(size_t)3;
}

struct nlmsghdr *cq_netlink_begin(struct cq_messages *messages, uint16_t type,
                                  uint16_t flags, uint8_t family,
                                  uint16_t resource, size_t size)
{
    size_t needed = messages->length + 64 + size;   /* two headers */
    struct nlmsghdr *message;
    struct nfgenmsg *netfilter;

    if (needed > messages->room) {
        size_t room = needed + messages->room;
        char *bytes = realloc(messages->bytes, room);

        if (bytes == NULL) {
            return NULL;
        }
        messages->bytes = bytes;
        messages->room = room;
    }
    message = mnl_nlmsg_put_header(messages->bytes + messages->length);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    netfilter = mnl_nlmsg_put_extra_header(message, sizeof(*netfilter));
    netfilter->nfgen_family = family;
    netfilter->version = NFNETLINK_V0;
    netfilter->res_id = htons(resource);
    return message;
}

void cq_netlink_end(struct cq_messages *messages,
                    const struct nlmsghdr *message)
{
    messages->length += aligned(message);
}

void cq_messages_free(struct cq_messages *messages)
{
    free(messages->bytes);
    *messages = (struct cq_messages){ .bytes = NULL };
}

/* Reads what there is; for a question, to its end. */
static int read_answers(struct cq_netlink *link, mnl_cb_t answer, void *data)
{
    _Alignas(struct nlmsghdr) char bytes[ANSWER_SIZE];
    unsigned port = mnl_socket_get_portid(link->socket);
    int status = MNL_CB_OK;

    while (status == MNL_CB_OK) {
        ssize_t n = mnl_socket_recvfrom(link->socket, bytes, sizeof(bytes));

        if (n < 0 && answer == NULL && errno == EAGAIN) {
            return 0;       /* a transaction that nothing was wrong with */
        }
        errno = n < 0 ? errno : 0;
        status = n < 0 ? MNL_CB_ERROR
                 : mnl_cb_run(bytes, (size_t)n, link->sequence, port, answer,
                              data);
    }
    if (status == MNL_CB_ERROR) {
        return errno != 0 ? errno : EPROTO;
    }
    return 0;
}

int cq_netlink_ask(struct cq_netlink *link, const struct cq_messages *messages,
                   mnl_cb_t answer, void *data)
{
    int error = cq_netlink_open(link);
    struct nlmsghdr *message;
    size_t at = 0;

    if (error != 0) {
        return error;
    }
    link->sequence++;
    while (at < messages->length) {
        message = (struct nlmsghdr *)(void *)(messages->bytes + at);
        message->nlmsg_seq = link->sequence;
        at += aligned(message);
    }
    if (mnl_socket_sendto(link->socket, messages->bytes,
                          messages->length) < 0) {
        error = errno;
    } else {
        error = read_answers(link, answer, data);
    }
    if (error != 0) {
        /* what is left of the answers goes with the socket */
        cq_netlink_close(link);
    }
    return error;
}

bool cq_netlink_u32(const struct nlattr *attribute, uint32_t *value)
{
    uint32_t read;

    if (attribute == NULL || mnl_attr_get_payload_len(attribute)
                             < sizeof(read)) {
        return false;
    }
    memcpy(&read, mnl_attr_get_payload(attribute), sizeof(read));
    *value = ntohl(read);
    return true;
}

bool cq_netlink_u64(const struct nlattr *attribute, uint64_t *value)
{
    uint64_t read;

    if (attribute == NULL || mnl_attr_get_payload_len(attribute)
                             < sizeof(read)) {
        return false;
    }
    memcpy(&read, mnl_attr_get_payload(attribute), sizeof(read));
    *value = be64toh(read);
    return true;
}

/* The attribute that begins at `at`, if it is whole before `end`. */
static const struct nlattr *read_attribute(const char *at, const char *end)
{
    const struct nlattr *attribute = (const struct nlattr *)(const void *)at;

    return mnl_attr_ok(attribute, (int)(end - at)) ? attribute : NULL;
}

static const struct nlattr *find(const char *at, const char *end,
                                 uint16_t type)
{
    const struct nlattr *attribute = read_attribute(at, end);

    while (attribute != NULL && mnl_attr_get_type(attribute) != type) {
        attribute = read_attribute((const char *)mnl_attr_next(attribute),
                                   end);
    }
    return attribute;
}

const struct nlattr *cq_netlink_next(const struct nlattr *nest,
                                     const struct nlattr *previous)
{
    const char *begin;

    if (nest == NULL) {
        return NULL;
    }
    begin = mnl_attr_get_payload(nest);
    return read_attribute(previous == NULL ? begin
                          : (const char *)mnl_attr_next(previous),
                          begin + mnl_attr_get_payload_len(nest));
}

const struct nlattr *cq_netlink_attribute(const struct nlmsghdr *message,
                                          uint16_t type)
{
    const char *at = mnl_nlmsg_get_payload_offset(message,
                                                  sizeof(struct nfgenmsg));

    return find(at, mnl_nlmsg_get_payload_tail(message), type);
}

const struct nlattr *cq_netlink_find(const struct nlattr *nest, uint16_t type)
{
    const char *at;

    if (nest == NULL) {
        return NULL;
    }
    at = mnl_attr_get_payload(nest);
    return find(at, at + mnl_attr_get_payload_len(nest), type);
}
