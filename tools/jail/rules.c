/* rules - what the firewall's rules do with a jail's sets: how they mask
 * addresses, how long an entry of xt_recent matches, what they have dropped.
 * The kernel keeps a rule as a list of expressions:
 *
 *     ip6 saddr and ffff:ffff:ffff:ffff:: @jail6 counter drop
 *     payload, bitwise, lookup, counter, immediate     nft
 *     match, match, counter, immediate                 iptables-nft */
#include "jail/kind.h"
#include "jail/netlink.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_recent.h>
#include <string.h>

#define PREFIX_V6 64        /* ClamQuotaPrefix 32 64, and the rules of conf/ */

/* readings, if changes of other programs interrupt them */
#define TRIES 3

/* One rule, up to the expression that is being read. */
struct rule {
    struct cq_jail *jail;
    bool is_nft;                /* a look into a list of xt_recent counts for
                                 * no set of nft, nor the other way */
    int family;                 /* of its packets, if it is of iptables */
    bool refers, drops;
    int mask_bits;              /* of the last mask; 0: none */
    int64_t packets;
};

static const uint8_t whole[2] = { 32, 128 };

static bool is_text(const struct nlattr *attribute, const char *text)
{
    return strcmp(cq_netlink_text(attribute), text) == 0;
}

static int count_leading_bits(const void *mask, size_t length)
{
    const uint8_t *bytes = mask;
    int bits = 0;

    while (bits < (int)length * 8
           && (bytes[bits / 8] & (0x80u >> (bits % 8))) != 0) {
        bits++;
    }
    return bits;
}

/* The smaller of two, of which 0 is none. */
static int64_t pick_smaller(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The rule looks into the set of this name.
 * @param family  of the address, -1: the set's */
static void refer(struct rule *rule, const char *name, int family, int bits,
                  int64_t seconds)
{
    struct cq_jail *jail = rule->jail;
    int set;

    for (set = 0; set < CQ_JAIL_SETS; set++) {
        int i = family < 0 ? set % 2 : family;

        if (jail->names[set] == NULL || strcmp(name, jail->names[set]) != 0) {
            continue;
        }
        rule->refers = true;
        if (set == i || jail->shares_capacity) {
            jail->bits[i] = (uint8_t)pick_smaller(
                jail->bits[i], bits > 0 ? bits : whole[i]);
        }
        jail->rule_s[set] = pick_smaller(jail->rule_s[set], seconds);
    }
}

static void read_lookup(struct rule *rule, const struct nlattr *data)
{
    if (rule->is_nft
        && (cq_netlink_number(cq_netlink_find(data, NFTA_LOOKUP_FLAGS), 0)
            & NFT_LOOKUP_F_INV) == 0) {
        refer(rule, cq_netlink_text(cq_netlink_find(data, NFTA_LOOKUP_SET)),
              -1, rule->mask_bits, 0);
    }
}

static void read_match(struct rule *rule, const struct nlattr *data)
{
    const struct nlattr *info = cq_netlink_find(data, NFTA_MATCH_INFO);
    struct xt_recent_mtinfo_v1 recent = { .seconds = 0 };
    size_t length = info == NULL ? 0 : mnl_attr_get_payload_len(info);

    if (rule->is_nft || length < sizeof(struct xt_recent_mtinfo)
        || !is_text(cq_netlink_find(data, NFTA_MATCH_NAME), "recent")) {
        return;
    }
    memcpy(&recent, mnl_attr_get_payload(info),
           length < sizeof(recent) ? length : sizeof(recent));
    recent.name[sizeof(recent.name) - 1] = '\0';
    if ((recent.check_set & (XT_RECENT_CHECK | XT_RECENT_UPDATE)) != 0
        && recent.invert == 0) {
        refer(rule, recent.name, rule->family,
              count_leading_bits(&recent.mask, rule->family == 0 ? 4 : 16),
              recent.seconds);
    }
}

static int read_expression(const struct nlattr *expression, void *baton)
{
    struct rule *rule = baton;
    const struct nlattr *name = cq_netlink_find(expression, NFTA_EXPR_NAME);
    const struct nlattr *data = cq_netlink_find(expression, NFTA_EXPR_DATA);
    const struct nlattr *value;

    if (is_text(name, "bitwise")) {
        value = cq_netlink_find(cq_netlink_find(data, NFTA_BITWISE_MASK),
                                NFTA_DATA_VALUE);
        rule->mask_bits = value == NULL ? 0
            : count_leading_bits(mnl_attr_get_payload(value),
                           mnl_attr_get_payload_len(value));
    } else if (is_text(name, "payload")) {
        rule->mask_bits = 0;    /* the mask was of something else */
    } else if (is_text(name, "lookup")) {
        read_lookup(rule, data);
    } else if (is_text(name, "match")) {
        read_match(rule, data);
    } else if (is_text(name, "counter")) {
        rule->packets = (int64_t)cq_netlink_number(
            cq_netlink_find(data, NFTA_COUNTER_PACKETS), 0);
    } else if (is_text(name, "immediate")) {
        value = cq_netlink_find(cq_netlink_find(data, NFTA_IMMEDIATE_DATA),
                                NFTA_DATA_VERDICT);
        rule->drops = cq_netlink_number(
            cq_netlink_find(value, NFTA_VERDICT_CODE), NF_ACCEPT) == NF_DROP;
    } else if (is_text(name, "reject")
               || (is_text(name, "target")
                   && is_text(cq_netlink_find(data, NFTA_TARGET_NAME),
                              "REJECT"))) {
        rule->drops = true;
    }
    return MNL_CB_OK;
}

static int read_rule(const struct nlmsghdr *message, void *begun)
{
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *list =
        cq_netlink_attribute(message, NFTA_RULE_EXPRESSIONS);
    struct rule rule = *(const struct rule *)begun;

    rule.family = header->nfgen_family == NFPROTO_IPV6;
    if (list != NULL) {
        mnl_attr_parse_nested(list, read_expression, &rule);
    }
    if (rule.refers) {
        rule.jail->dropped_packets += (rule.jail->dropped_packets < 0)
                                      + (rule.drops ? rule.packets : 0);
    }
    return MNL_CB_OK;
}

static void forget_rules(struct cq_jail *jail)
{
    memset(jail->bits, 0, sizeof(jail->bits));
    memset(jail->rule_s, 0, sizeof(jail->rule_s));
    jail->dropped_packets = -1;
}

int cq_jail_read_rules(struct cq_jail *jail, uint8_t family, const char *table)
{
    struct rule begun = { .jail = jail, .is_nft = table != NULL };
    int error = EINTR, tries;

    for (tries = 0; tries < TRIES && error == EINTR; tries++) {
        struct nlmsghdr *message = cq_netlink_begin(
            jail->link, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE, NLM_F_DUMP,
            family);

        if (table != NULL) {
            mnl_attr_put_strz(message, NFTA_RULE_TABLE, table);
        }
        forget_rules(jail);
        error = cq_netlink_ask(jail->link, read_rule, &begun);
    }
    if (error != 0) {
        forget_rules(jail);
    }
    if (jail->bits[0] == 0) {
        jail->bits[0] = whole[0];
    }
    if (jail->bits[1] == 0) {
        jail->bits[1] = jail->shares_capacity ? whole[1]
                        : jail->names[CQ_JAIL_V6] == NULL ? 0 : PREFIX_V6;
    }
    return error;
}
