/* jail_nftread - questions to the kernel's nf_tables: what sets there are,
 * what their rules have dropped, whether something has changed. */
#include "sync/jail_nft.h"

#include <errno.h>
#include <libnftnl/expr.h>
#include <libnftnl/gen.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

/* the kernel fills at most this much at once: NLMSG_GOODSIZE up to 32 KiB */
#define ANSWER_SIZE 65536

/* a list that somebody else's changes ran into is read again so often */
#define TRIES 10

/* What nft calls types of keys; the kernel only keeps the number. TYPE_IPADDR
 * and TYPE_IP6ADDR, include/datatype.h of nftables. */
#define TYPE_IPV4_ADDR 7
#define TYPE_IPV6_ADDR 8

enum jail_status nft_fail(const struct nft *nft, int error,
                          struct jail_why *why)
{
    if (error == EPERM || error == EACCES) {
        return jail_fail(why, JAIL_NOT_PERMITTED,
                         "nft table %s %s: not permitted, looking at it needs "
                         "root too; run clamquota-sync as root", nft->family,
                         nft->table);
    }
    if (error == ENOENT) {
        return jail_fail(why, JAIL_MISSING,
                         "nft table %s %s does not exist, or not with the set "
                         "%s; load it first, e.g. nft -f clamquota.nft",
                         nft->family, nft->table, nft->sets[0].name);
    }
    return jail_fail(why, JAIL_PARTLY, "nft table %s %s: %s", nft->family,
                     nft->table, error == EINTR
                     ? "it changes faster than it can be read"
                     : strerror(error));
}

static int ask_once(const struct nlmsghdr *question, mnl_cb_t take,
                    void *data)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
    /* the kernel answers before sending returns, and goes on with it as its
     * answers are read: there is nothing to wait for */
    struct mnl_socket *link = mnl_socket_open2(NETLINK_NETFILTER,
                                               SOCK_CLOEXEC | SOCK_NONBLOCK);
    int status = MNL_CB_OK;
    int error = 0;

    if (link == NULL) {
        return errno;
    }
    if (mnl_socket_sendto(link, question, question->nlmsg_len) < 0) {
        status = MNL_CB_ERROR;
    }
    while (status == MNL_CB_OK) {
        ssize_t n = mnl_socket_recvfrom(link, answer, sizeof(answer));

        status = n < 0 ? MNL_CB_ERROR
                       : mnl_cb_run(answer, (size_t)n, 0, 0, take, data);
    }
    if (status == MNL_CB_ERROR) {
        error = errno != 0 ? errno : EIO;
    }
    mnl_socket_close(link);
    return error;
}

int nft_ask(const struct nlmsghdr *question, void (*begin)(void *data),
            mnl_cb_t take, void *data)
{
    int error = EINTR;
    int tries;

    for (tries = 0; tries < TRIES && error == EINTR; tries++) {
        if (begin != NULL) {
            begin(data);
        }
        error = ask_once(question, take, data);
    }
    return error;
}

static int take_generation(const struct nlmsghdr *answer, void *data)
{
    uint32_t *generation = data;
    struct nftnl_gen *gen = nftnl_gen_alloc();
    int status = MNL_CB_ERROR;

    if (gen != NULL && nftnl_gen_nlmsg_parse(answer, gen) == 0
        && nftnl_gen_is_set(gen, NFTNL_GEN_ID)) {
        *generation = nftnl_gen_get_u32(gen, NFTNL_GEN_ID);
        status = MNL_CB_STOP;
    }
    if (gen != NULL) {
        nftnl_gen_free(gen);
    }
    return status;
}

int nft_generation(uint32_t *generation)
{
    _Alignas(struct nlmsghdr) char question[NFT_QUESTION_SIZE];

    return nft_ask(nftnl_nlmsg_build_hdr(question, NFT_MSG_GETGEN,
                                         NFPROTO_UNSPEC, 0, 0),
                   NULL, take_generation, generation);
}

static void describe(struct nft_set *set, const struct nftnl_set *found)
{
    uint32_t flags = nftnl_set_get_u32(found, NFTNL_SET_FLAGS);

    set->type = nftnl_set_get_u32(found, NFTNL_SET_KEY_TYPE);
    set->holds_networks = (flags & NFT_SET_INTERVAL) != 0;
    set->has_timeouts = (flags & NFT_SET_TIMEOUT) != 0;
    set->timeout_s = nftnl_set_is_set(found, NFTNL_SET_TIMEOUT)
        ? (int64_t)(nftnl_set_get_u64(found, NFTNL_SET_TIMEOUT) / 1000) : 0;
    set->size = nftnl_set_is_set(found, NFTNL_SET_DESC_SIZE)
        ? (int64_t)nftnl_set_get_u32(found, NFTNL_SET_DESC_SIZE) : -1;
}

static void begin_sets(void *data)
{
    struct nft *nft = data;

    nft->sets[0].type = nft->sets[1].type = 0;
}

static int take_set(const struct nlmsghdr *answer, void *data)
{
    struct nft *nft = data;
    struct nftnl_set *found = nftnl_set_alloc();
    int s;

    if (found == NULL) {
        return MNL_CB_ERROR;
    }
    /* one that the library cannot read is none of ours, nor is a map */
    if (nftnl_set_nlmsg_parse(answer, found) == 0
        && (nftnl_set_get_u32(found, NFTNL_SET_FLAGS)
            & (NFT_SET_MAP | NFT_SET_OBJECT)) == 0) {
        for (s = 0; s < 2; s++) {
            if (strcmp(nftnl_set_get_str(found, NFTNL_SET_NAME),
                       nft->sets[s].name) == 0) {
                describe(&nft->sets[s], found);
            }
        }
    }
    nftnl_set_free(found);
    return MNL_CB_OK;
}

static enum jail_status check(const struct nft *nft,
                              const struct nft_set *set, struct jail_why *why)
{
    char type[32];

    if (set->type == 0) {
        return jail_fail(why, JAIL_MISSING,
                         "nft table %s %s has no set %s; load it first, e.g. "
                         "nft -f clamquota.nft", nft->family, nft->table,
                         set->name);
    }
    if (set->type == (set->family == 4 ? TYPE_IPV4_ADDR : TYPE_IPV6_ADDR)) {
        return JAIL_OK;
    }
    snprintf(type, sizeof(type), "number %u", (unsigned)set->type);
    return jail_fail(why, JAIL_MISSING,
                     "nft table %s %s: set %s is of type %s, expected %s as "
                     "in clamquota.nft", nft->family, nft->table, set->name,
                     set->type == TYPE_IPV4_ADDR ? "ipv4_addr"
                     : set->type == TYPE_IPV6_ADDR ? "ipv6_addr" : type,
                     set->family == 4 ? "ipv4_addr" : "ipv6_addr");
}

enum jail_status nft_read_sets(struct nft *nft, struct jail_why *why)
{
    _Alignas(struct nlmsghdr) char buffer[NFT_QUESTION_SIZE] = "";
    struct nlmsghdr *question =
        nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETSET, nft->family_number,
                              NLM_F_DUMP, 0);
    enum jail_status status = JAIL_OK;
    int error, s;

    mnl_attr_put_strz(question, NFTA_SET_TABLE, nft->table);
    error = nft_ask(question, begin_sets, take_set, nft);
    if (error != 0) {
        return nft_fail(nft, error, why);
    }
    for (s = 0; s < 2 && status == JAIL_OK; s++) {
        if (nft->sets[s].name[0] != '\0') {
            status = check(nft, &nft->sets[s], why);
        }
    }
    return status;
}

/* What a rule does. */
struct rule {
    const struct nft *nft;
    bool looks, drops;          /* for who is in one of our sets */
    bool counts;
    uint64_t packets, bytes;
};

static bool looks_for_ours(const struct nft *nft,
                           const struct nftnl_expr *lookup)
{
    const char *set = nftnl_expr_get_str(lookup, NFTNL_EXPR_LOOKUP_SET);

    if (nftnl_expr_is_set(lookup, NFTNL_EXPR_LOOKUP_FLAGS)
        && (nftnl_expr_get_u32(lookup, NFTNL_EXPR_LOOKUP_FLAGS)
            & NFT_LOOKUP_F_INV) != 0) {
        return false;           /* for who is not */
    }
    return set != NULL && (strcmp(set, nft->sets[0].name) == 0
                           || strcmp(set, nft->sets[1].name) == 0);
}

static int take_expression(struct nftnl_expr *expr, void *data)
{
    const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
    struct rule *rule = data;

    if (strcmp(name, "lookup") == 0) {
        rule->looks = rule->looks || looks_for_ours(rule->nft, expr);
    } else if (strcmp(name, "counter") == 0) {
        rule->counts = true;
        rule->packets = nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_PACKETS);
        rule->bytes = nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_BYTES);
    } else if (strcmp(name, "reject") == 0) {
        rule->drops = true;
    } else if (strcmp(name, "immediate") == 0
               && nftnl_expr_is_set(expr, NFTNL_EXPR_IMM_VERDICT)) {
        rule->drops = rule->drops
            || nftnl_expr_get_u32(expr, NFTNL_EXPR_IMM_VERDICT) == NF_DROP;
    }
    return 0;
}

struct drops {
    const struct nft *nft;
    int64_t packets, bytes;     /* -1: no rule counts them */
};

static void begin_rules(void *data)
{
    struct drops *drops = data;

    drops->packets = drops->bytes = -1;
}

static int take_rule(const struct nlmsghdr *answer, void *data)
{
    struct drops *drops = data;
    struct rule rule = { .nft = drops->nft };
    struct nftnl_rule *found = nftnl_rule_alloc();

    if (found == NULL) {
        return MNL_CB_ERROR;
    }
    /* old kernels list the rules of all tables */
    if (nftnl_rule_nlmsg_parse(answer, found) == 0
        && strcmp(nftnl_rule_get_str(found, NFTNL_RULE_TABLE),
                  drops->nft->table) == 0) {
        nftnl_expr_foreach(found, take_expression, &rule);
    }
    nftnl_rule_free(found);
    if (rule.looks && rule.drops && rule.counts) {
        if (drops->packets < 0) {
            drops->packets = drops->bytes = 0;
        }
        drops->packets += (int64_t)rule.packets;
        drops->bytes += (int64_t)rule.bytes;
    }
    return MNL_CB_OK;
}

enum jail_status nft_read_counters(const struct nft *nft, int64_t *packets,
                                   int64_t *bytes, struct jail_why *why)
{
    _Alignas(struct nlmsghdr) char buffer[NFT_QUESTION_SIZE] = "";
    struct nlmsghdr *question =
        nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETRULE, nft->family_number,
                              NLM_F_DUMP, 0);
    struct drops drops = { .nft = nft };
    int error;

    mnl_attr_put_strz(question, NFTA_RULE_TABLE, nft->table);
    error = nft_ask(question, begin_rules, take_rule, &drops);
    *packets = drops.packets;
    *bytes = drops.bytes;
    return error == 0 ? JAIL_OK : nft_fail(nft, error, why);
}
