/* jail_nftcommit - one transaction of additions and deletions.
 *
 * An element of a set with intervals is two in the kernel: its first address,
 * and the one behind its last with the flag "end". A message carries many of
 * them; the kernel tells which messages of a transaction are bad, all of them
 * at once, so whose message is bad goes alone the next time. */
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

/* Far below what an attribute can carry: 64 KiB, at most 92 bytes each. */
#define STEPS_PER_MESSAGE 256

/* the kernel's errors for 100,000 messages that are all bad */
#define ERRORS_ROOM (64 << 20)

enum part {
    MAKE_SURE,          /* add, so that the deletion finds it */
    DELETE,             /* who shall go, or stay with another timeout */
    PUT_IN              /* who shall be there afterwards */
};

struct message {
    size_t first, last;     /* the steps in it, and others in between */
    size_t count;
};

struct transaction {
    const struct nft *nft;
    struct nft_step *steps;
    size_t count;
    int64_t lease_s;
    struct jail_text text;
    struct message *messages;   /* message i has the sequence number i + 1 */
    size_t message_n, message_room;
};

static bool belongs(const struct nft_set *set,
                    const struct jail_change *change, enum part part)
{
    if (change->key.family != set->family) {
        return false;
    }
    if (part == PUT_IN) {
        return change->op != JAIL_REMOVE;
    }
    return change->op == JAIL_REMOVE
           || (change->op == JAIL_RENEW && set->has_timeouts);
}

/* The address behind the last one of a network; false: there is none. */
static bool end_of(const struct cq_key *key, uint8_t end[16])
{
    int length = key->family == 4 ? 4 : 16;
    int i;

    memcpy(end, key->bytes, 16);
    for (i = key->prefix; i < length * 8; i++) {
        end[i / 8] |= (uint8_t)(0x80u >> (i % 8));
    }
    for (i = length - 1; i >= 0; i--) {
        if (++end[i] != 0) {
            return true;
        }
    }
    return false;
}

static void put_key(struct jail_text *text, const uint8_t *bytes,
                    size_t length)
{
    size_t key = nft_link_begin_nest(text, NFTA_SET_ELEM_KEY);

    nft_link_put(text, NFTA_DATA_VALUE, bytes, length);
    nft_link_end_nest(text, key);
}

/* @param timeout_s  0: the set's own, or none */
static void put_element(struct jail_text *text, const struct nft_set *set,
                        const struct cq_key *key, int64_t timeout_s)
{
    size_t length = key->family == 4 ? 4 : 16;
    size_t at = nft_link_begin_nest(text, NFTA_LIST_ELEM);
    uint32_t flags = htonl(NFT_SET_ELEM_INTERVAL_END);
    uint8_t end[16];

    put_key(text, key->bytes, length);
    if (timeout_s > 0) {
        uint64_t timeout_ms = htobe64((uint64_t)timeout_s * 1000);

        nft_link_put(text, NFTA_SET_ELEM_TIMEOUT, &timeout_ms,
                     sizeof(timeout_ms));
    }
    nft_link_end_nest(text, at);
    if (set->holds_networks && end_of(key, end)) {
        at = nft_link_begin_nest(text, NFTA_LIST_ELEM);
        put_key(text, end, length);
        nft_link_put(text, NFTA_SET_ELEM_FLAGS, &flags, sizeof(flags));
        nft_link_end_nest(text, at);
    }
}

static struct message *new_message(struct transaction *t)
{
    if (t->message_n == t->message_room) {
        size_t more = t->message_room == 0 ? 64 : t->message_room * 2;
        struct message *grown =
            reallocarray(t->messages, more, sizeof(*grown));

        if (grown == NULL) {
            t->text.failed = true;
            return NULL;
        }
        t->messages = grown;
        t->message_room = more;
    }
    return &t->messages[t->message_n++];
}

/* One message with the steps from *next on that belong together. */
static void put_message(struct transaction *t, const struct nft_set *set,
                        enum part part, size_t *next)
{
    struct message *message = new_message(t);
    int64_t timeout_s = part == PUT_IN && set->has_timeouts
                        && set->timeout_s != t->lease_s ? t->lease_s : 0;
    size_t at, elements;

    if (message == NULL) {
        *next = t->count;
        return;
    }
    *message = (struct message){ .first = *next };
    at = nft_link_begin_message(&t->text, part == DELETE
                                          ? NFT_LINK_TYPE(NFT_MSG_DELSETELEM)
                                          : NFT_LINK_TYPE(NFT_MSG_NEWSETELEM),
                                part == DELETE ? 0 : NLM_F_CREATE,
                                (uint32_t)t->message_n,
                                nft_link_family(t->nft));
    nft_link_put(&t->text, NFTA_SET_ELEM_LIST_TABLE, t->nft->table,
                 strlen(t->nft->table) + 1);
    nft_link_put(&t->text, NFTA_SET_ELEM_LIST_SET, set->name,
                 strlen(set->name) + 1);
    elements = nft_link_begin_nest(&t->text, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (; *next < t->count && message->count < STEPS_PER_MESSAGE; (*next)++) {
        const struct nft_step *step = &t->steps[*next];

        if (belongs(set, step->change, part)) {
            if (step->alone && message->count > 0) {
                break;
            }
            put_element(&t->text, set, &step->change->key, timeout_s);
            message->last = *next;
            message->count++;
            if (step->alone) {
                (*next)++;
                break;
            }
        }
    }
    nft_link_end_nest(&t->text, elements);
    nft_link_end_message(&t->text, at);
}

static void put_part(struct transaction *t, const struct nft_set *set,
                     enum part part)
{
    size_t next = 0;

    for (;;) {
        while (next < t->count
               && !belongs(set, t->steps[next].change, part)) {
            next++;
        }
        if (next == t->count) {
            return;
        }
        put_message(t, set, part, &next);
    }
}

static void build(struct transaction *t)
{
    size_t at = nft_link_begin_message(&t->text, NFNL_MSG_BATCH_BEGIN, 0, 0,
                                       0);
    int s;

    nft_link_end_message(&t->text, at);
    for (s = 0; s < 2; s++) {
        const struct nft_set *set = &t->nft->sets[s];

        put_part(t, set, MAKE_SURE);
        put_part(t, set, DELETE);
        put_part(t, set, PUT_IN);
    }
    at = nft_link_begin_message(&t->text, NFNL_MSG_BATCH_END, 0,
                                (uint32_t)t->message_n + 1, 0);
    nft_link_end_message(&t->text, at);
}

/* A message was bad: its only step, or one of its steps. */
static bool blame(struct transaction *t, uint32_t sequence, int error)
{
    const struct message *message;
    bool learnt = false;
    size_t i;

    if (sequence == 0 || sequence > t->message_n) {
        return false;
    }
    message = &t->messages[sequence - 1];
    if (message->count == 1) {
        learnt = t->steps[message->last].error == 0;
        t->steps[message->last].error = error;
        return learnt;
    }
    for (i = message->first; i <= message->last; i++) {
        learnt = learnt || !t->steps[i].alone;
        t->steps[i].alone = true;
    }
    return learnt;
}

/* The kernel's answers are there when send() returns; none: all is done. */
static int read_errors(struct transaction *t, int fd, bool *learnt)
{
    char answer[16384];
    int first = 0;

    for (;;) {
        ssize_t n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
        size_t at = 0;

        if (n < 0 && (errno == EINTR || errno == ENOBUFS)) {
            first = first == 0 && errno == ENOBUFS ? ENOBUFS : first;
            continue;
        }
        if (n <= 0) {
            return first;
        }
        while (at + NLMSG_HDRLEN + sizeof(int) <= (size_t)n) {
            struct nlmsghdr header;
            int error;

            memcpy(&header, answer + at, sizeof(header));
            memcpy(&error, answer + at + NLMSG_HDRLEN, sizeof(error));
            if (header.nlmsg_type == NLMSG_ERROR && error != 0) {
                first = first == 0 ? -error : first;
                *learnt = blame(t, header.nlmsg_seq, -error) || *learnt;
            }
            if (header.nlmsg_len < sizeof(header)) {
                break;
            }
            at += NLMSG_ALIGN(header.nlmsg_len);
        }
    }
}

static int transmit(struct transaction *t, bool *learnt)
{
    int fd = nft_link_open();
    int one = 1;
    int errors_room = ERRORS_ROOM;
    int send_room = t->text.length > (1u << 29) ? 1 << 29
                                                : (int)t->text.length + 4096;
    int error;

    if (fd < 0) {
        return errno;
    }
    /* the whole transaction is one message of the socket */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_room, sizeof(send_room));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &errors_room,
               sizeof(errors_room));
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
    if (send(fd, t->text.bytes, t->text.length, 0) < 0) {
        error = errno;
    } else {
        error = read_errors(t, fd, learnt);
    }
    close(fd);
    return error;
}

int nft_commit(const struct nft *nft, struct nft_step *steps, size_t count,
               int64_t lease_s, bool *learnt)
{
    struct transaction t = { .nft = nft, .steps = steps, .count = count,
                             .lease_s = lease_s };
    int error = ENOMEM;

    *learnt = false;
    build(&t);
    if (!t.text.failed) {
        error = transmit(&t, learnt);
    }
    jail_text_free(&t.text);
    free(t.messages);
    return error;
}
