/* nft_send - transactions: all of one is done, or nothing.
 *
 * Measured on Linux 6.18 and told of older ones: adding an element that is
 * there does not renew it, deleting one that is not there undoes the whole
 * transaction, and a time-out of an element cannot be changed before 6.12. So
 * every change is "add, delete" and, unless it is a removal, "add with the
 * time-out": between them no packet gets through, and nothing depends on a
 * listing that lacks elements because the kernel was growing its hash. */
#include "jail/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

/* elements of one message, so that their list has less than 64 KiB */
#define MESSAGE_ELEMENTS 1000

/* Bytes of an element in a message: four headers, 16 of an address, a time-out
 * or flags */
#define ELEMENT_SIZE 44

static bool begin(const struct cq_nft *nft, struct cq_messages *messages)
{
    struct nlmsghdr *message =
        cq_netlink_begin(messages, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
                         NFNL_SUBSYS_NFTABLES, 8);

    if (message != NULL) {
        mnl_attr_put_u32(message, NFNL_BATCH_GENID, htonl(nft->generation));
        cq_netlink_end(messages, message);
    }
    return message != NULL;
}

/* Sends what was put together, and notes the generation that it made. */
static int end(struct cq_nft *nft, struct cq_messages *messages, bool complete)
{
    struct nlmsghdr *message =
        cq_netlink_begin(messages, NFNL_MSG_BATCH_END, 0, AF_UNSPEC,
                         NFNL_SUBSYS_NFTABLES, 0);
    int error = ENOMEM;

    if (complete && message != NULL) {
        cq_netlink_end(messages, message);
        error = cq_netlink_ask(&nft->link, messages, NULL, NULL);
    }
    cq_messages_free(messages);
    if (error == 0) {
        nft->generation += nft->generation == UINT32_MAX ? 2 : 1;
    }
    return error;
}

/* Begins a message with elements of a set. */
static struct nlmsghdr *begin_elements(const struct cq_nft *nft,
                                       struct cq_messages *messages,
                                       uint16_t type, int set)
{
    struct nlmsghdr *message =
        cq_netlink_begin(messages, CQ_NFT_MESSAGE(type),
                         type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0,
                         nft->family, 0,
                         2 * CQ_NFT_NAME_ROOM
                         + MESSAGE_ELEMENTS * ELEMENT_SIZE);

    if (message != NULL) {
        mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, nft->table);
        mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET,
                          nft->sets[set].name);
    }
    return message;
}

static void put_element(struct nlmsghdr *message, const uint8_t *address,
                        size_t length, int64_t timeout_s, uint32_t flags)
{
    struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
    struct nlattr *key = mnl_attr_nest_start(message, NFTA_SET_ELEM_KEY);

    mnl_attr_put(message, NFTA_DATA_VALUE, length, address);
    mnl_attr_nest_end(message, key);
    if (timeout_s > 0) {
        mnl_attr_put_u64(message, NFTA_SET_ELEM_TIMEOUT,
                         htobe64((uint64_t)timeout_s * 1000));
    }
    if (flags != 0) {
        mnl_attr_put_u32(message, NFTA_SET_ELEM_FLAGS, htonl(flags));
    }
    mnl_attr_nest_end(message, element);
}

/* Puts the elements of one family: all of them, or those that are to stay.
 * @return false: no memory */
static bool put_changes(const struct cq_nft *nft, struct cq_messages *messages,
                        uint16_t type, int set, bool only_staying,
                        const struct cq_jail_change *changes, size_t count)
{
    size_t length = set == CQ_NFT_JAIL4 ? 4 : 16, i = 0;

    while (i < count) {
        struct nlmsghdr *message = NULL;
        struct nlattr *list = NULL;
        int n = 0;

        for (; i < count && n < MESSAGE_ELEMENTS; i++) {
            if (changes[i].has_failed
                || cq_jail_index(&changes[i].key) != set
                || (only_staying && changes[i].op == CQ_JAIL_REMOVE)) {
                continue;
            }
            /* a message without elements would delete all of them */
            if (n++ == 0) {
                message = begin_elements(nft, messages, type, set);
                if (message == NULL) {
                    return false;
                }
                list = mnl_attr_nest_start(message,
                                           NFTA_SET_ELEM_LIST_ELEMENTS);
            }
            put_element(message, changes[i].key.bytes, length,
                        type == NFT_MSG_NEWSETELEM ? nft->jail.lease_s : 0, 0);
        }
        if (message != NULL) {
            mnl_attr_nest_end(message, list);
            cq_netlink_end(messages, message);
        }
    }
    return true;
}

int cq_nft_send_changes(struct cq_nft *nft,
                        const struct cq_jail_change *changes, size_t count)
{
    struct cq_messages messages = { .bytes = NULL };
    bool complete = begin(nft, &messages);
    int set;

    for (set = CQ_NFT_JAIL4; set <= CQ_NFT_JAIL6; set++) {
        complete = complete
            && put_changes(nft, &messages, NFT_MSG_NEWSETELEM, set, false,
                           changes, count)
            && put_changes(nft, &messages, NFT_MSG_DELSETELEM, set, false,
                           changes, count)
            && put_changes(nft, &messages, NFT_MSG_NEWSETELEM, set, true,
                           changes, count);
    }
    return end(nft, &messages, complete);
}

size_t cq_nft_batch(const struct cq_nft *nft)
{
    /* three messages with each change, and the headers of all messages */
    size_t room = nft->link.send_room - 16 * 1024;
    size_t count = room / (3 * ELEMENT_SIZE);

    return nft->link.send_room < 32 * 1024 ? 1 : count < 10000 ? count : 10000;
}

/* Puts networks until they are as many as fit, or another family's. */
static bool put_networks(const struct cq_nft *nft,
                         struct cq_messages *messages,
                         const struct cq_key *networks, size_t *count)
{
    int set = CQ_NFT_DENY4 + cq_jail_index(networks);
    size_t length = set == CQ_NFT_DENY4 ? 4 : 16, most = *count, i;
    struct nlmsghdr *message = begin_elements(nft, messages,
                                              NFT_MSG_NEWSETELEM, set);
    struct nlattr *list;
    uint8_t behind[16];

    if (message == NULL) {
        return false;
    }
    list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (i = 0; i < most && i < MESSAGE_ELEMENTS / 2
         && networks[i].family == networks[0].family; i++) {
        put_element(message, networks[i].bytes, length, 0, 0);
        if (cq_nft_range_end(&networks[i], behind)) {
            put_element(message, behind, length, 0,
                        NFT_SET_ELEM_INTERVAL_END);
        }
    }
    mnl_attr_nest_end(message, list);
    cq_netlink_end(messages, message);
    *count = i;
    return true;
}

/* A deletion without elements deletes all of them. */
static bool put_flush(const struct cq_nft *nft, struct cq_messages *messages,
                      int set)
{
    struct nlmsghdr *message;

    if (nft->sets[set].name[0] == '\0') {
        return true;
    }
    message = begin_elements(nft, messages, NFT_MSG_DELSETELEM, set);
    if (message != NULL) {
        cq_netlink_end(messages, message);
    }
    return message != NULL;
}

int cq_nft_send_networks(struct cq_nft *nft, const struct cq_key *networks,
                         size_t count)
{
    struct cq_messages messages = { .bytes = NULL };
    bool complete = begin(nft, &messages)
                    && put_flush(nft, &messages, CQ_NFT_DENY4)
                    && put_flush(nft, &messages, CQ_NFT_DENY6);
    size_t done = 0, n;
    int error;

    do {
        while (complete && done < count
               && messages.length + MESSAGE_ELEMENTS * ELEMENT_SIZE
                  < nft->link.send_room) {
            n = count - done;
            complete = put_networks(nft, &messages, networks + done, &n);
            done += n;
        }
        error = end(nft, &messages, complete);
        complete = error == 0 && done < count && begin(nft, &messages);
    } while (complete);
    return error != 0 || done == count ? error : ENOMEM;
}
