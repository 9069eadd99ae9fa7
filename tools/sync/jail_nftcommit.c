/* jail_nftcommit - one transaction of additions and deletions.
 *
 * An element of a set with intervals is two in the kernel: its first address,
 * and the one behind its last with the flag "end". A message carries many of
 * them; the kernel tells which messages of a transaction are bad, all of them
 * at once, so whose message is bad goes alone the next time. */
#include "sync/jail_nft.h"

#include <errno.h>
#include <libnftnl/batch.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <linux/netfilter/nf_tables.h>
#include <sys/socket.h>

/* Far below what an attribute can carry: 64 KiB, at most 92 bytes each. */
#define STEPS_PER_MESSAGE 256

/* a transaction is sent as pieces, IOV_MAX of them, each with room for one
 * message more: that is 1 GiB, 2 million additions */
#define PIECE_SIZE (1u << 20)
#define MESSAGE_LONGEST (1u << 17)
#define PIECES_MOST 1024

/* the kernel's errors for 100,000 messages that are all bad */
#define ERRORS_ROOM (64 << 20)

enum part {
    MAKE_SURE,          /* add, so that the deletion finds it */
    DELETE,             /* who shall go, or stay with another timeout */
    PUT_IN              /* who shall be there afterwards */
};

struct transaction {
    const struct nft *nft;
    struct nft_step *steps;
    size_t count;
    int64_t lease_s;
    struct nftnl_batch *batch;
    bool no_memory;
    int error;          /* the kernel's first; 0: none */
    bool learnt;
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

/* Who goes together: message i + 1 carries step i and others behind it, all
 * of one set; so its sequence number tells who is in it. */
static void number_messages(struct transaction *t)
{
    size_t message[2] = { 0, 0 };
    size_t room[2] = { 0, 0 };
    size_t i;

    for (i = 0; i < t->count; i++) {
        struct nft_step *step = &t->steps[i];
        bool six = step->change->key.family == 6;

        if (step->alone || room[six] == 0) {
            message[six] = i + 1;
            room[six] = step->alone ? 1 : STEPS_PER_MESSAGE;
        }
        step->message = message[six];
        room[six]--;
    }
}

/* The one behind step i in its message; t->count: it was the last. */
static size_t next_in_message(const struct transaction *t, size_t i)
{
    const struct nft_step *step = &t->steps[i];

    while (++i < t->count && t->steps[i].message != step->message) {
        if (t->steps[i].change->key.family == step->change->key.family) {
            return t->count;
        }
    }
    return i;
}

/* @param timeout_s  0: the set's own, or none */
static bool put_element(struct nftnl_set *elements, const uint8_t *bytes,
                        size_t length, int64_t timeout_s, uint32_t flags)
{
    struct nftnl_set_elem *element = nftnl_set_elem_alloc();

    if (element == NULL) {
        return false;
    }
    nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, bytes, (uint32_t)length);
    if (timeout_s > 0) {
        nftnl_set_elem_set_u64(element, NFTNL_SET_ELEM_TIMEOUT,
                               (uint64_t)timeout_s * 1000);
    }
    if (flags != 0) {
        nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS, flags);
    }
    nftnl_set_elem_add(elements, element);
    return true;
}

static bool put_key(struct nftnl_set *elements, const struct nft_set *set,
                    const struct cq_key *key, int64_t timeout_s)
{
    size_t length = key->family == 4 ? 4 : 16;
    uint8_t end[16];

    return put_element(elements, key->bytes, length, timeout_s, 0)
           && (!set->holds_networks || !nft_range_end(key, end)
               || put_element(elements, end, length, 0,
                              NFT_SET_ELEM_INTERVAL_END));
}

/* No elements, yet, of the set; NULL without memory. */
static struct nftnl_set *no_elements(const struct transaction *t,
                                     const struct nft_set *set)
{
    struct nftnl_set *elements = nftnl_set_alloc();

    if (elements != NULL
        && (nftnl_set_set_str(elements, NFTNL_SET_TABLE, t->nft->table) != 0
            || nftnl_set_set_str(elements, NFTNL_SET_NAME, set->name) != 0)) {
        nftnl_set_free(elements);
        elements = NULL;
    }
    return elements;
}

/* A message is complete. */
static void put_message(struct transaction *t, uint16_t type,
                        size_t message, struct nftnl_set *elements)
{
    struct nlmsghdr *header =
        nftnl_nlmsg_build_hdr(nftnl_batch_buffer(t->batch), type,
                              t->nft->family_number,
                              type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0,
                              (uint32_t)message);

    nftnl_set_elems_nlmsg_build_payload(header, elements);
    t->no_memory = nftnl_batch_update(t->batch) < 0;
}

/* The part of a message that begins with step i. */
static void put_steps(struct transaction *t, const struct nft_set *set,
                      enum part part, size_t i)
{
    struct nftnl_set *elements = no_elements(t, set);
    int64_t timeout_s = part == PUT_IN && set->has_timeouts
                        && set->timeout_s != t->lease_s ? t->lease_s : 0;
    size_t message = i + 1;
    bool any = false;

    t->no_memory = elements == NULL;
    for (; i < t->count && !t->no_memory; i = next_in_message(t, i)) {
        const struct jail_change *change = t->steps[i].change;

        if (belongs(set, change, part)) {
            any = true;
            t->no_memory = !put_key(elements, set, &change->key, timeout_s);
        }
    }
    /* to delete nothing would be to delete everything */
    if (any && !t->no_memory) {
        put_message(t, part == DELETE ? NFT_MSG_DELSETELEM
                                      : NFT_MSG_NEWSETELEM, message, elements);
    }
    if (elements != NULL) {
        nftnl_set_free(elements);
    }
}

static void put_part(struct transaction *t, const struct nft_set *set,
                     enum part part)
{
    size_t i;

    for (i = 0; i < t->count && !t->no_memory; i++) {
        if (t->steps[i].message == i + 1
            && t->steps[i].change->key.family == set->family) {
            put_steps(t, set, part, i);
        }
    }
}

/* A message was bad: its only step, or one of its steps. */
static int blame(const struct nlmsghdr *answer, void *data)
{
    const struct nlmsgerr *bad = mnl_nlmsg_get_payload(answer);
    struct transaction *t = data;
    size_t i = answer->nlmsg_seq - 1u;

    if (mnl_nlmsg_get_payload_len(answer) < sizeof(*bad) || bad->error == 0) {
        return MNL_CB_OK;
    }
    if (t->error == 0) {
        t->error = -bad->error;
    }
    if (i < t->count && t->steps[i].alone) {
        t->learnt = t->learnt || t->steps[i].error == 0;
        t->steps[i].error = -bad->error;
        return MNL_CB_OK;
    }
    for (; i < t->count; i = next_in_message(t, i)) {
        t->learnt = true;
        t->steps[i].alone = true;
    }
    return MNL_CB_OK;
}

/* The kernel's answers are there when sending returns; none: all is done. */
static void read_errors(struct transaction *t, struct mnl_socket *link)
{
    mnl_cb_t control[] = { [NLMSG_ERROR] = blame };
    _Alignas(struct nlmsghdr) char answer[8192];
    ssize_t n;

    for (;;) {
        n = mnl_socket_recvfrom(link, answer, sizeof(answer));
        if (n < 0 && errno == ENOBUFS) {
            t->error = t->error == 0 ? ENOBUFS : t->error;
        } else if (n <= 0) {
            return;
        } else {
            mnl_cb_run2(answer, (size_t)n, 0, 0, NULL, t, control,
                        MNL_ARRAY_SIZE(control));
        }
    }
}

static void transmit(struct transaction *t)
{
    struct mnl_socket *link = mnl_socket_open2(NETLINK_NETFILTER,
                                               SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct iovec pieces[PIECES_MOST];
    struct msghdr message = { .msg_iov = pieces };
    int one = 1, send_room, errors_room = ERRORS_ROOM;
    int fd;

    if (link == NULL) {
        t->error = errno;
        return;
    }
    fd = mnl_socket_get_fd(link);
    message.msg_iovlen = (size_t)nftnl_batch_iovec_len(t->batch);
    nftnl_batch_iovec(t->batch, pieces, PIECES_MOST);
    /* the whole transaction is one message of the socket */
    send_room = (int)((message.msg_iovlen + 1) * PIECE_SIZE);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_room, sizeof(send_room));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &errors_room,
               sizeof(errors_room));
    mnl_socket_setsockopt(link, NETLINK_CAP_ACK, &one, sizeof(one));
    if (sendmsg(fd, &message, 0) < 0) {
        t->error = errno;
    } else {
        read_errors(t, link);
    }
    mnl_socket_close(link);
}

/* Has the sets' messages put in between, and sends it all.
 * @return 0 or an errno */
static int carry_out(struct transaction *t,
                     void (*put)(struct transaction *t,
                                 const struct nft_set *set))
{
    int s;

    t->batch = nftnl_batch_alloc(PIECE_SIZE, MESSAGE_LONGEST);
    if (t->batch == NULL) {
        return ENOMEM;
    }
    nftnl_batch_begin(nftnl_batch_buffer(t->batch), 0);
    t->no_memory = nftnl_batch_update(t->batch) < 0;
    for (s = 0; s < 2; s++) {
        if (t->nft->sets[s].name[0] != '\0' && !t->no_memory) {
            put(t, &t->nft->sets[s]);
        }
    }
    if (t->no_memory) {
        t->error = ENOMEM;
    } else {
        nftnl_batch_end(nftnl_batch_buffer(t->batch), 0);
        t->error = nftnl_batch_update(t->batch) < 0 ? ENOMEM : 0;
    }
    if (t->error == 0) {
        transmit(t);
    }
    nftnl_batch_free(t->batch);
    return t->error;
}

static void put_changes(struct transaction *t, const struct nft_set *set)
{
    put_part(t, set, MAKE_SURE);
    put_part(t, set, DELETE);
    put_part(t, set, PUT_IN);
}

int nft_commit(const struct nft *nft, struct nft_step *steps, size_t count,
               int64_t lease_s, bool *learnt)
{
    struct transaction t = { .nft = nft, .steps = steps, .count = count,
                             .lease_s = lease_s };
    int error;

    number_messages(&t);
    error = carry_out(&t, put_changes);
    *learnt = t.learnt;
    return error;
}

/* to delete none is to delete all */
static void put_flush(struct transaction *t, const struct nft_set *set)
{
    struct nftnl_set *none = no_elements(t, set);

    t->no_memory = none == NULL;
    if (none != NULL) {
        put_message(t, NFT_MSG_DELSETELEM, 0, none);
        nftnl_set_free(none);
    }
}

int nft_flush(const struct nft *nft)
{
    struct transaction t = { .nft = nft };

    return carry_out(&t, put_flush);
}
