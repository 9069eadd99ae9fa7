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

/* Bytes of a message: its headers, two names, and its elements */
#define MESSAGE_SIZE (64 + 2 * CQ_JAIL_NAME_SIZE \
                      + MESSAGE_ELEMENTS * ELEMENT_SIZE)

static void begin(struct cq_nft *nft)
{
    struct nlmsghdr *message =
        cq_netlink_begin(&nft->link, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
                         NFNL_SUBSYS_NFTABLES);

    mnl_attr_put_u32(message, NFNL_BATCH_GENID, htonl(nft->generation));
}

/* Sends what was put together, and notes the generation that it made. */
static int end(struct cq_nft *nft)
{
    int error;

    cq_netlink_begin(&nft->link, NFNL_MSG_BATCH_END, 0, AF_UNSPEC,
                     NFNL_SUBSYS_NFTABLES);
    error = cq_netlink_ask(&nft->link, NULL, NULL);
    if (error == 0) {
        nft->generation += nft->generation == UINT32_MAX ? 2 : 1;
    }
    return error == ERESTART ? EINTR : error;
}

/* Begins a message with elements of a set. */
static struct nlmsghdr *begin_elements(struct cq_nft *nft, uint16_t type,
                                       int set)
{
    struct nlmsghdr *message =
        cq_nft_begin(nft, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);

    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, nft->table);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, nft->jail.names[set]);
    return message;
}

static void put_element(struct nlmsghdr *message, const uint8_t *address,
                        int set, int64_t timeout_s, uint32_t flags)
{
    struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
    struct nlattr *key = mnl_attr_nest_start(message, NFTA_SET_ELEM_KEY);

    mnl_attr_put(message, NFTA_DATA_VALUE, set % 2 == 0 ? 4 : 16, address);
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

/* Puts the elements of one set: all of them, or those that are to stay. */
static void put_changes(struct cq_nft *nft, uint16_t type, int set,
                        int64_t timeout_s, const struct cq_jail_change *changes,
                        size_t count)
{
    struct nlmsghdr *message = NULL;
    struct nlattr *list = NULL;
    size_t i, n = 0;

    for (i = 0; i < count; i++) {
        if (changes[i].has_failed || cq_jail_index(&changes[i].key) != set
            || (timeout_s > 0 && changes[i].op == CQ_JAIL_REMOVE)) {
            continue;
        }
        /* a message without elements would delete all of them */
        if (n++ % MESSAGE_ELEMENTS == 0) {
            if (message != NULL) {
                mnl_attr_nest_end(message, list);
            }
            message = begin_elements(nft, type, set);
            list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
        }
        put_element(message, changes[i].key.bytes, set, timeout_s, 0);
    }
    if (message != NULL) {
        mnl_attr_nest_end(message, list);
    }
}

int cq_nft_send_changes(struct cq_nft *nft, const void *changes, size_t count)
{
    int set;

    begin(nft);
    for (set = CQ_JAIL_V4; set <= CQ_JAIL_V6; set++) {
        put_changes(nft, NFT_MSG_NEWSETELEM, set, 0, changes, count);
        put_changes(nft, NFT_MSG_DELSETELEM, set, 0, changes, count);
        put_changes(nft, NFT_MSG_NEWSETELEM, set, nft->jail.lease_s, changes,
                    count);
    }
    return end(nft);
}

size_t cq_nft_batch(const struct cq_nft *nft)
{
    /* three messages with each change, and the headers of all messages */
    size_t left = cq_netlink_left(&nft->link);
    size_t count = left < 32 * 1024 ? 1 : (left - 16 * 1024)
                                          / (3 * ELEMENT_SIZE);

    return count < 10000 ? count : 10000;
}

/* Puts networks of one family until the message is full.
 * @return how many */
static size_t put_networks(struct cq_nft *nft, const struct cq_key *networks,
                           size_t count)
{
    int set = CQ_JAIL_DENY4 + cq_jail_index(networks);
    struct nlmsghdr *message = begin_elements(nft, NFT_MSG_NEWSETELEM, set);
    struct nlattr *list = mnl_attr_nest_start(message,
                                              NFTA_SET_ELEM_LIST_ELEMENTS);
    uint8_t behind[16];
    size_t i;

    for (i = 0; i < count && i < MESSAGE_ELEMENTS / 2
         && networks[i].family == networks[0].family; i++) {
        put_element(message, networks[i].bytes, set, 0, 0);
        if (cq_nft_range_end(&networks[i], behind)) {
            put_element(message, behind, set, 0, NFT_SET_ELEM_INTERVAL_END);
        }
    }
    mnl_attr_nest_end(message, list);
    return i;
}

int cq_nft_send_networks(struct cq_nft *nft, const void *networks,
                         size_t count)
{
    const struct cq_key *keys = networks;
    size_t done = 0;
    int error;

    begin(nft);
    /* a deletion without elements deletes all of them */
    begin_elements(nft, NFT_MSG_DELSETELEM, CQ_JAIL_DENY4);
    begin_elements(nft, NFT_MSG_DELSETELEM, CQ_JAIL_DENY6);
    do {
        while (done < count
               && cq_netlink_left(&nft->link) > 2 * MESSAGE_SIZE) {
            done += put_networks(nft, keys + done, count - done);
        }
        error = end(nft);
        if (error == 0 && done < count) {
            begin(nft);
        }
    } while (error == 0 && done < count);
    return error;
}
