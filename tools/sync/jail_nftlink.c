/* jail_nftlink - how messages to the kernel's nf_tables are built and read:
 * linux/netlink.h, linux/netfilter/nfnetlink.h. Lengths and types only; what
 * is in them is jail_nftelements.c's. */
#include "sync/jail_nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* NLMSG_ALIGN and NLA_ALIGN() without their signs: both are of four bytes */
#define ALIGNED(length) (((size_t)(length) + 3) & ~(size_t)3)
#define MESSAGE_HEADER (ALIGNED(sizeof(struct nlmsghdr)) \
                        + ALIGNED(sizeof(struct nfgenmsg)))
#define ATTR_HEADER ALIGNED(sizeof(struct nlattr))

uint8_t nft_link_family(const struct nft *nft)
{
    static const struct {
        const char *name;
        uint8_t number;
    } families[] = {
        { "ip", NFPROTO_IPV4 }, { "ip6", NFPROTO_IPV6 },
        { "inet", NFPROTO_INET }, { "bridge", NFPROTO_BRIDGE },
        { "netdev", NFPROTO_NETDEV }
    };
    size_t i;

    for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].name, nft->family) == 0) {
            return families[i].number;
        }
    }
    return NFPROTO_UNSPEC;
}

int nft_link_open(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
}

size_t nft_link_begin_message(struct jail_text *text, uint16_t type,
                              uint16_t flags, uint32_t sequence,
                              uint8_t family)
{
    size_t at = text->length;
    bool batch = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;
    struct nlmsghdr header = {
        .nlmsg_len = MESSAGE_HEADER,
        .nlmsg_type = type,
        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
        .nlmsg_seq = sequence
    };
    struct nfgenmsg body = {
        .nfgen_family = family,
        .version = NFNETLINK_V0,
        .res_id = batch ? htons(NFNL_SUBSYS_NFTABLES) : 0
    };

    jail_text_put(text, &header, sizeof(header));
    jail_text_put(text, &body, sizeof(body));
    return at;
}

void nft_link_end_message(struct jail_text *text, size_t at)
{
    uint32_t length = (uint32_t)(text->length - at);

    if (!text->failed) {
        memcpy(text->bytes + at + offsetof(struct nlmsghdr, nlmsg_len),
               &length, sizeof(length));
    }
}

size_t nft_link_begin_nest(struct jail_text *text, uint16_t type)
{
    size_t at = text->length;
    struct nlattr attr = { ATTR_HEADER, (uint16_t)(type | NLA_F_NESTED) };

    jail_text_put(text, &attr, sizeof(attr));
    return at;
}

void nft_link_end_nest(struct jail_text *text, size_t at)
{
    uint16_t length = (uint16_t)(text->length - at);

    if (!text->failed) {
        memcpy(text->bytes + at + offsetof(struct nlattr, nla_len), &length,
               sizeof(length));
    }
}

void nft_link_put(struct jail_text *text, uint16_t type, const void *value,
                  size_t length)
{
    struct nlattr attr = { (uint16_t)(ATTR_HEADER + length), type };

    jail_text_put(text, &attr, sizeof(attr));
    jail_text_put(text, value, length);
    jail_text_put(text, "\0\0\0", ALIGNED(length) - length);
}

bool nft_link_next(const char *bytes, size_t length, size_t *at,
                   uint16_t *type, const char **value, size_t *value_length)
{
    struct nlattr attr;

    if (*at + ATTR_HEADER > length) {
        return false;
    }
    memcpy(&attr, bytes + *at, sizeof(attr));
    if (attr.nla_len < ATTR_HEADER || attr.nla_len > length - *at) {
        return false;
    }
    *type = attr.nla_type & (uint16_t)NLA_TYPE_MASK;
    *value = bytes + *at + ATTR_HEADER;
    *value_length = attr.nla_len - ATTR_HEADER;
    *at += ALIGNED(attr.nla_len);
    return true;
}

/* NFTA_GEN_ID of the answer, or the errno that it is. */
static int read_generation(const char *answer, size_t n,
                           uint32_t *generation)
{
    size_t at = MESSAGE_HEADER, length;
    struct nlmsghdr header;
    const char *value;
    uint16_t type;
    int error;

    if (n < MESSAGE_HEADER) {
        return EIO;
    }
    memcpy(&header, answer, sizeof(header));
    if (header.nlmsg_type == NLMSG_ERROR) {
        memcpy(&error, answer + ALIGNED(sizeof(header)), sizeof(error));
        return error < 0 ? -error : EIO;
    }
    while (nft_link_next(answer, n, &at, &type, &value, &length)) {
        if (type == NFTA_GEN_ID && length == sizeof(*generation)) {
            memcpy(generation, value, sizeof(*generation));
            *generation = ntohl(*generation);
            return 0;
        }
    }
    return EIO;
}

int nft_generation(uint32_t *generation)
{
    struct jail_text question = { .bytes = NULL };
    char answer[1024];      /* three small attributes */
    int fd = nft_link_open();
    int error = fd < 0 ? errno : ENOMEM;
    ssize_t n;

    nft_link_begin_message(&question, NFT_LINK_TYPE(NFT_MSG_GETGEN), 0, 0,
                           0);
    if (fd >= 0 && !question.failed) {
        /* the kernel has answered before send() returns */
        n = send(fd, question.bytes, question.length, 0);
        if (n == (ssize_t)question.length) {
            n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
        }
        error = n < 0 ? errno
                      : read_generation(answer, (size_t)n, generation);
    }
    if (fd >= 0) {
        close(fd);
    }
    jail_text_free(&question);
    return error;
}
