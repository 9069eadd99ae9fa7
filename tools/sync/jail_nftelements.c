/* jail_nftelements - what is in the sets, read from the kernel.
 *
 * A set with intervals is listed as first addresses and ends; put in order
 * they are ranges again, and a range is the fewest networks that make it up:
 * one for what we put in, several for what somebody else may have. */
#include "sync/jail_nft.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* the kernel fills at most this much at once: NLMSG_GOODSIZE up to 32 KiB */
#define ANSWER_SIZE 65536

/* a dump that somebody else's changes ran into is read again so often */
#define TRIES 5

struct edge {
    uint8_t bytes[16];
    bool is_end;            /* the address behind the range */
    int64_t expires_in_s;
};

struct edges {
    const struct nft_set *set;
    struct edge *list;
    size_t count, room;
    bool no_memory;
};

static void put_edge(struct edges *edges, const struct edge *edge)
{
    if (edges->count == edges->room) {
        size_t more = edges->room == 0 ? 128 : edges->room * 2;
        struct edge *grown = reallocarray(edges->list, more, sizeof(*grown));

        if (grown == NULL) {
            edges->no_memory = true;
            return;
        }
        edges->list = grown;
        edges->room = more;
    }
    edges->list[edges->count++] = *edge;
}

/* NFTA_SET_ELEM_KEY { NFTA_DATA_VALUE } of the set's length */
static bool read_key(const char *bytes, size_t length, struct edge *edge,
                     size_t expected)
{
    size_t at = 0, value_length;
    const char *value;
    uint16_t type;

    while (nft_link_next(bytes, length, &at, &type, &value, &value_length)) {
        if (type == NFTA_DATA_VALUE && value_length == expected) {
            memcpy(edge->bytes, value, expected);
            return true;
        }
    }
    return false;
}

static void read_element(struct edges *edges, const char *bytes,
                         size_t length)
{
    struct edge edge = { .expires_in_s = JAIL_NO_EXPIRY };
    size_t expected = edges->set->family == 4 ? 4 : 16;
    size_t at = 0, value_length;
    bool has_key = false;
    const char *value;
    uint64_t left_ms;
    uint32_t flags;
    uint16_t type;

    while (nft_link_next(bytes, length, &at, &type, &value, &value_length)) {
        if (type == NFTA_SET_ELEM_KEY) {
            has_key = read_key(value, value_length, &edge, expected);
        } else if (type == NFTA_SET_ELEM_FLAGS
                   && value_length == sizeof(flags)) {
            memcpy(&flags, value, sizeof(flags));
            edge.is_end = (ntohl(flags) & NFT_SET_ELEM_INTERVAL_END) != 0;
        } else if (type == NFTA_SET_ELEM_EXPIRATION
                   && value_length == sizeof(left_ms)) {
            memcpy(&left_ms, value, sizeof(left_ms));
            edge.expires_in_s = (int64_t)(be64toh(left_ms) / 1000);
        }
    }
    if (has_key) {
        put_edge(edges, &edge);
    }
}

/* One NFT_MSG_NEWSETELEM, behind its headers. */
static void read_message(struct edges *edges, const char *bytes,
                         size_t length)
{
    size_t at = 0, inner, value_length, element_length;
    const char *value, *element;
    uint16_t type;

    while (nft_link_next(bytes, length, &at, &type, &value, &value_length)) {
        if (type != NFTA_SET_ELEM_LIST_ELEMENTS) {
            continue;
        }
        inner = 0;
        while (nft_link_next(value, value_length, &inner, &type, &element,
                             &element_length)) {
            if (type == NFTA_LIST_ELEM) {
                read_element(edges, element, element_length);
            }
        }
    }
}

static int ask(int fd, const struct nft *nft, const struct nft_set *set)
{
    struct jail_text text = { .bytes = NULL };
    size_t at = nft_link_begin_message(&text,
                                       NFT_LINK_TYPE(NFT_MSG_GETSETELEM),
                                       NLM_F_DUMP, 1, nft_link_family(nft));
    int error = ENOMEM;

    nft_link_put(&text, NFTA_SET_ELEM_LIST_TABLE, nft->table,
                 strlen(nft->table) + 1);
    nft_link_put(&text, NFTA_SET_ELEM_LIST_SET, set->name,
                 strlen(set->name) + 1);
    nft_link_end_message(&text, at);
    if (!text.failed) {
        error = send(fd, text.bytes, text.length, 0) < 0 ? errno : 0;
    }
    jail_text_free(&text);
    return error;
}

/* Reads the answers to their end; EINTR: others changed it meanwhile. */
static int receive(int fd, struct edges *edges)
{
    static const size_t headers = NLMSG_HDRLEN + sizeof(struct nfgenmsg);
    char *answer = malloc(ANSWER_SIZE);
    int error = answer == NULL ? ENOMEM : 0;
    bool done = error != 0, torn = false;

    while (!done) {
        ssize_t n = recv(fd, answer, ANSWER_SIZE, 0);
        size_t at = 0;

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            error = n < 0 ? errno : EIO;
            break;
        }
        while (!done && at + NLMSG_HDRLEN + sizeof(int) <= (size_t)n) {
            struct nlmsghdr header;

            memcpy(&header, answer + at, sizeof(header));
            if (header.nlmsg_len < NLMSG_HDRLEN + sizeof(int)
                || header.nlmsg_len > (size_t)n - at) {
                break;
            }
            torn = torn || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
            if (header.nlmsg_type == NLMSG_DONE
                || header.nlmsg_type == NLMSG_ERROR) {
                memcpy(&error, answer + at + NLMSG_HDRLEN, sizeof(error));
                error = error < 0 ? -error : 0;
                done = true;
            } else if (header.nlmsg_len >= headers) {
                read_message(edges, answer + at + headers,
                             header.nlmsg_len - headers);
            }
            at += NLMSG_ALIGN(header.nlmsg_len);
        }
    }
    free(answer);
    return error == 0 && torn ? EINTR : error;
}

/* By address; what ends at one comes before what begins there. */
static int compare_edges(const void *a, const void *b)
{
    const struct edge *one = a;
    const struct edge *other = b;
    int order = memcmp(one->bytes, other->bytes, sizeof(one->bytes));

    return order != 0 ? order : other->is_end - one->is_end;
}

/* All bits behind the prefix set: the last address of a network. */
static void last_of(const struct cq_key *net, uint8_t last[16])
{
    int i;

    memcpy(last, net->bytes, 16);
    for (i = net->prefix; i < (net->family == 4 ? 32 : 128); i++) {
        last[i / 8] |= (uint8_t)(0x80u >> (i % 8));
    }
}

/* The widest network that begins at `from` and ends at `to` at the latest. */
static struct cq_key widest(uint8_t family, const uint8_t from[16],
                            const uint8_t to[16])
{
    size_t length = family == 4 ? 4 : 16;
    struct cq_key net = { .family = family,
                          .prefix = (uint8_t)(length * 8) };

    memcpy(net.bytes, from, length);
    while (net.prefix > 0) {
        unsigned bit = net.prefix - 1u;
        struct cq_key wider = net;
        uint8_t last[16];

        wider.prefix = (uint8_t)bit;
        last_of(&wider, last);
        if ((net.bytes[bit / 8] & (0x80u >> (bit % 8))) != 0
            || memcmp(last, to, length) > 0) {
            break;
        }
        net = wider;
    }
    return net;
}

/* false: that was the last address of all */
static bool step_on(uint8_t bytes[16], size_t length)
{
    size_t i = length;

    while (i > 0 && ++bytes[i - 1] == 0) {
        i--;
    }
    return i > 0;
}

static void step_back(uint8_t bytes[16], size_t length)
{
    size_t i = length;

    while (i > 0 && bytes[i - 1]-- == 0) {
        i--;
    }
}

/* The fewest networks of the range from..to. A mapped address is none of
 * any packet, and in no form that a key may have. */
static bool put_range(struct jail_listing *listing, size_t *room,
                      uint8_t family, const struct edge *from,
                      const uint8_t to[16])
{
    size_t length = family == 4 ? 4 : 16;
    uint8_t at[16];

    memcpy(at, from->bytes, sizeof(at));
    do {
        struct cq_key net = widest(family, at, to);

        if (cq_key_valid(&net)
            && !jail_listing_put(listing, room, &net, from->expires_in_s)) {
            return false;
        }
        last_of(&net, at);
    } while (memcmp(at, to, length) < 0 && step_on(at, length));
    return true;
}

/* Sorted edges into ranges. What begins and never ends goes on to the last
 * address; the end at 0 that nft puts first ends nothing. */
static bool put_edges(struct edges *edges, struct jail_listing *listing,
                      size_t *room)
{
    size_t length = edges->set->family == 4 ? 4 : 16;
    size_t i;

    if (edges->count > 0) {
        qsort(edges->list, edges->count, sizeof(edges->list[0]),
              compare_edges);
    }
    for (i = 0; i < edges->count; i++) {
        const struct edge *from = &edges->list[i];
        uint8_t to[16];

        if (from->is_end) {
            continue;
        }
        memset(to, 0xff, sizeof(to));
        if (!edges->set->holds_networks) {
            memcpy(to, from->bytes, sizeof(to));
        } else if (i + 1 < edges->count) {
            memcpy(to, from[1].bytes, sizeof(to));
            step_back(to, length);
        }
        if (!put_range(listing, room, edges->set->family, from, to)) {
            return false;
        }
    }
    return true;
}

static enum jail_status read_set(const struct nft *nft,
                                 const struct nft_set *set,
                                 struct jail_listing *listing, size_t *room,
                                 struct jail_why *why)
{
    struct edges edges = { .set = set };
    int error = EINTR;
    int tries;

    for (tries = 0; tries < TRIES && error == EINTR; tries++) {
        int fd = nft_link_open();

        edges.count = 0;
        error = fd < 0 ? errno : ask(fd, nft, set);
        if (error == 0) {
            error = receive(fd, &edges);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    /* a torn listing is better than none: the next pass sees the rest */
    if ((error == 0 || error == EINTR)
        && (edges.no_memory || !put_edges(&edges, listing, room))) {
        error = ENOMEM;
    }
    free(edges.list);
    if (error == 0 || error == EINTR) {
        return JAIL_OK;
    }
    if (error == EPERM || error == EACCES) {
        return jail_fail(why, JAIL_NOT_PERMITTED,
                         "nft table %s %s: not permitted; run clamquota-sync "
                         "as root", nft->family, nft->table);
    }
    return jail_fail(why, error == ENOENT ? JAIL_MISSING : JAIL_PARTLY,
                     "nft table %s %s: the set %s cannot be read: %s; load it "
                     "first, e.g. nft -f clamquota.nft", nft->family,
                     nft->table, set->name, strerror(error));
}

enum jail_status nft_read_elements(const struct nft *nft,
                                   struct jail_listing *listing,
                                   struct jail_why *why)
{
    enum jail_status status = JAIL_OK;
    size_t room = 0;
    int s;

    *listing = (struct jail_listing){ .entries = NULL };
    for (s = 0; s < 2 && status == JAIL_OK; s++) {
        if (nft->sets[s].name[0] != '\0') {
            status = read_set(nft, &nft->sets[s], listing, &room, why);
        }
    }
    if (status != JAIL_OK) {
        jail_listing_free(listing);
        return status;
    }
    jail_listing_sort(listing);
    return JAIL_OK;
}
