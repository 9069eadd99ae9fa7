/* nft_sets - questions to nf_tables: the generation, the sets' headers, how
 * rules mask what they look up. */
#include "jail/nft.h"

#include <errno.h>
#include <string.h>

/* What nft calls types of keys; the kernel only keeps the number. TYPE_IPADDR
 * and TYPE_IP6ADDR, include/datatype.h of nftables. */
static const uint32_t key_types[2] = { 7, 8 };

static const char *const type_names[2] = { "ipv4_addr", "ipv6_addr" };

enum cq_jail_status cq_nft_fail(const struct cq_nft *nft, int error,
                                struct cq_jail_why *why)
{
    if (error == EPERM || error == EACCES) {
        return cq_jail_fail(why, CQ_JAIL_NOT_PERMITTED,
                            "nft table %s %s: not permitted, looking at it "
                            "needs root too; run clamquota-sync as root",
                            nft->family_name, nft->table);
    }
    if (error == ENOENT) {
        return cq_jail_fail(why, CQ_JAIL_MISSING,
                            "nft table %s %s does not exist; load it first, "
                            "e.g. nft -f clamquota.nft", nft->family_name,
                            nft->table);
    }
    return cq_jail_fail(why, CQ_JAIL_PARTLY, "nft table %s %s: %s",
                        nft->family_name, nft->table,
                        error == EINTR || error == ERESTART
                        ? "others change the firewall faster than it can be "
                          "read; the next look tries again"
                        : strerror(error));
}

int cq_nft_ask(struct cq_nft *nft, uint16_t type, uint16_t flags,
               const char *set, mnl_cb_t answer, void *data)
{
    struct cq_messages question = { .bytes = NULL };
    struct nlmsghdr *message =
        cq_netlink_begin(&question, CQ_NFT_MESSAGE(type), flags, nft->family,
                         0, 2 * CQ_NFT_NAME_ROOM);
    int error = ENOMEM;

    if (message != NULL) {
        if (set != NULL) {
            /* NFTA_SET_TABLE and NFTA_SET_ELEM_LIST_TABLE are one number, as
             * are NFTA_SET_NAME and NFTA_SET_ELEM_LIST_SET */
            mnl_attr_put_strz(message, NFTA_SET_TABLE, nft->table);
            mnl_attr_put_strz(message, NFTA_SET_NAME, set);
        }
        cq_netlink_end(&question, message);
        error = cq_netlink_ask(&nft->link, &question, answer, data);
    }
    cq_messages_free(&question);
    return error;
}

static int read_generation(const struct nlmsghdr *message, void *data)
{
    return cq_netlink_u32(cq_netlink_attribute(message, NFTA_GEN_ID), data)
           ? MNL_CB_STOP : MNL_CB_ERROR;
}

int cq_nft_read_generation(struct cq_nft *nft, uint32_t *generation)
{
    return cq_nft_ask(nft, NFT_MSG_GETGEN, 0, NULL, read_generation,
                      generation);
}

/* --- headers -------------------------------------------------------------- */

struct header {
    uint32_t type, flags, size;
    uint64_t timeout_ms;
};

static int read_header(const struct nlmsghdr *message, void *data)
{
    struct header *header = data;

    cq_netlink_u32(cq_netlink_attribute(message, NFTA_SET_KEY_TYPE),
                   &header->type);
    cq_netlink_u32(cq_netlink_attribute(message, NFTA_SET_FLAGS),
                   &header->flags);
    cq_netlink_u32(cq_netlink_find(cq_netlink_attribute(message, NFTA_SET_DESC),
                                   NFTA_SET_DESC_SIZE), &header->size);
    cq_netlink_u64(cq_netlink_attribute(message, NFTA_SET_TIMEOUT),
                   &header->timeout_ms);
    return MNL_CB_STOP;
}

/* NULL, or why the set cannot be used, and how it is to be made. */
static const char *check_header(const struct header *header, int i)
{
    bool is_deny = i >= CQ_NFT_DENY4;

    if (header->type != key_types[i % 2] || (header->flags & NFT_SET_MAP)) {
        return "is not of that type";
    }
    if (header->flags & NFT_SET_CONSTANT) {
        return "is constant";
    }
    if (!is_deny && (header->flags & NFT_SET_INTERVAL)) {
        return "has the flag interval, which would turn an address into a "
               "range; clients need a plain set";
    }
    if (!is_deny && !(header->flags & NFT_SET_TIMEOUT)) {
        return "has no flag timeout, so that an address would stay for ever";
    }
    if (is_deny && !(header->flags & NFT_SET_INTERVAL)) {
        return "has no flag interval, which networks need";
    }
    if (is_deny && (header->flags & NFT_SET_TIMEOUT)) {
        return "has the flag timeout, so that networks would get lost";
    }
    return NULL;
}

static enum cq_jail_status read_set(struct cq_nft *nft, int i,
                                    struct cq_jail_why *why)
{
    struct cq_nft_set *set = &nft->sets[i];
    struct header header = { .size = 0 };
    int error = cq_nft_ask(nft, NFT_MSG_GETSET, 0, set->name, read_header,
                           &header);
    const char *wrong = error == ENOENT ? "does not exist"
                        : error == 0 ? check_header(&header, i) : NULL;

    if (error != 0 && error != ENOENT) {
        return cq_nft_fail(nft, error, why);
    }
    if (wrong != NULL) {
        return cq_jail_fail(why, CQ_JAIL_MISSING,
                            "nft table %s %s: the set %s %s; load it first, "
                            "nft -f clamquota.nft, or make it with \"type %s; "
                            "flags %s;\"", nft->family_name, nft->table,
                            set->name, wrong, type_names[i % 2],
                            i >= CQ_NFT_DENY4 ? "interval" : "timeout");
    }
    set->size = header.size == 0 ? -1 : (int64_t)header.size;
    set->timeout_s = (int64_t)(header.timeout_ms / 1000);
    return CQ_JAIL_OK;
}

/* How rules mask a client's address decides which clients the sets hold. */
static int read_masks(struct cq_nft *nft)
{
    struct cq_rules_use uses[2] = { { .name = nft->sets[CQ_NFT_JAIL4].name },
                                    { .name = nft->sets[CQ_NFT_JAIL6].name } };
    int error = cq_rules_of_sets(&nft->link, nft->family, nft->table, uses, 2);

    nft->jail.bits[0] = uses[0].bits[0];
    nft->jail.bits[1] = nft->sets[CQ_NFT_JAIL6].name[0] == '\0' ? 0
                        : uses[1].rules == 0 ? 64 : uses[1].bits[1];
    return error;
}

enum cq_jail_status cq_nft_read_sets(struct cq_nft *nft,
                                     struct cq_jail_why *why)
{
    enum cq_jail_status status = CQ_JAIL_OK;
    uint32_t before, after = 0;
    int error = EINTR, tries, i;

    for (tries = 0; tries < CQ_NFT_TRIES && error == EINTR; tries++) {
        error = cq_nft_read_generation(nft, &before);
        if (error != 0 || before == nft->generation) {
            break;
        }
        nft->has_elements = nft->has_networks = false;
        nft->generation = 0;            /* the kernel's is never 0 */
        nft->changed_s = cq_jail_now_s();
        for (i = 0; i < CQ_NFT_SETS && status == CQ_JAIL_OK; i++) {
            if (nft->sets[i].name[0] != '\0') {
                status = read_set(nft, i, why);
            }
        }
        if (status != CQ_JAIL_OK) {
            return status;
        }
        error = read_masks(nft);
        if (error == 0) {
            error = cq_nft_read_generation(nft, &after);
        }
        if (error == 0 && after != before) {
            error = EINTR;
        }
        nft->generation = error == 0 ? before : 0;
    }
    return error == 0 ? CQ_JAIL_OK : cq_nft_fail(nft, error, why);
}
