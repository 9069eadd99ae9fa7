/* netlink - a socket to netfilter, the messages through it, their answers. */
#include "jail/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>

/* the kernel fills at most 32 KiB of a listing at once (NLMSG_GOODSIZE) */
#define ANSWER_SIZE 65536

void cq_netlink_close(struct cq_netlink *link)
{
    if (link != NULL && link->socket != NULL) {
        mnl_socket_close(link->socket);
        link->socket = NULL;
    }
}

/* @return 0 or an errno */
static int open_socket(struct cq_netlink *link)
{
    int room = CQ_NETLINK_ROOM, one = 1, fd;
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
    /* an error does not repeat its message, so that all of them have room */
    mnl_socket_setsockopt(link->socket, NETLINK_CAP_ACK, &one, sizeof(one));
    getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &size);
    /* the kernel doubles what is asked for; netlink_sendmsg() refuses what is
     * longer than sk_sndbuf - 32 */
    link->send_room = room < CQ_NETLINK_ROOM ? (size_t)room - 32
                                             : CQ_NETLINK_ROOM;
    return 0;
}

/* Bytes of all messages that were begun. */
static size_t count_bytes(const struct cq_netlink *link)
{
    return link->last == NULL ? 0
           : (size_t)((char *)mnl_nlmsg_get_payload_tail(link->last)
                      - link->out);
}

size_t cq_netlink_left(const struct cq_netlink *link)
{
    size_t n = count_bytes(link);

    return n < link->send_room ? link->send_room - n : 0;
}

struct nlmsghdr *cq_netlink_begin(struct cq_netlink *link, int subsystem,
                                  int type, uint16_t flags, uint8_t family)
{
    struct nfgenmsg *netfilter;

    link->last = mnl_nlmsg_put_header(link->out + count_bytes(link));
    link->last->nlmsg_type = (uint16_t)(subsystem << 8 | type);
    link->last->nlmsg_flags = NLM_F_REQUEST | flags;
    link->last->nlmsg_seq = link->sequence;
    netfilter = mnl_nlmsg_put_extra_header(link->last, sizeof(*netfilter));
    netfilter->nfgen_family = family;
    netfilter->version = NFNETLINK_V0;
    return link->last;
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
            return 0;       /* changes that nothing was wrong with */
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

int cq_netlink_ask(struct cq_netlink *link, mnl_cb_t answer, void *data)
{
    int error = open_socket(link);
    size_t length = count_bytes(link);

    link->last = NULL;
    if (error != 0) {
        return error;
    }
    error = mnl_socket_sendto(link->socket, link->out, length) < 0
            ? errno : read_answers(link, answer, data);
    link->sequence++;
    if (error != 0) {
        /* what is left of the answers goes with the socket */
        cq_netlink_close(link);
    }
    return error;
}

struct wanted {
    uint16_t type;
    const struct nlattr *found;
};

static int match(const struct nlattr *attribute, void *data)
{
    struct wanted *wanted = data;

    if (mnl_attr_get_type(attribute) != wanted->type) {
        return MNL_CB_OK;
    }
    wanted->found = attribute;
    return MNL_CB_STOP;
}

const struct nlattr *cq_netlink_attribute(const struct nlmsghdr *message,
                                          uint16_t type)
{
    struct wanted wanted = { .type = type };

    mnl_attr_parse(message, sizeof(struct nfgenmsg), match, &wanted);
    return wanted.found;
}

const struct nlattr *cq_netlink_find(const struct nlattr *nest, uint16_t type)
{
    struct wanted wanted = { .type = type };

    if (nest != NULL) {
        mnl_attr_parse_nested(nest, match, &wanted);
    }
    return wanted.found;
}

uint64_t cq_netlink_number(const struct nlattr *attribute, uint64_t none)
{
    size_t length = attribute == NULL ? 0
                    : mnl_attr_get_payload_len(attribute), i;
    const uint8_t *bytes;
    uint64_t number = 0;

    if (length < 1 || length > sizeof(number)) {
        return none;
    }
    bytes = mnl_attr_get_payload(attribute);
    for (i = 0; i < length; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

const char *cq_netlink_text(const struct nlattr *attribute)
{
    return attribute != NULL
           && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0
           ? mnl_attr_get_str(attribute) : "";
}

bool cq_netlink_address(const struct nlattr *attribute, int set,
                        struct cq_key *key)
{
    if (attribute == NULL
        || mnl_attr_get_payload_len(attribute) != (set % 2 == 0 ? 4 : 16)) {
        return false;
    }
    *key = cq_jail_address(mnl_attr_get_payload(attribute), set);
    return true;
}

void cq_netlink_put_address(struct nlmsghdr *message, uint16_t nest,
                            uint16_t type, const struct cq_key *key)
{
    struct nlattr *address = mnl_attr_nest_start(message, nest);

    mnl_attr_put(message, type, key->family == 4 ? 4 : 16, key->bytes);
    mnl_attr_nest_end(message, address);
}
