/* rules - reads rules as the kernel keeps them: a list of expressions, of
 * which those count that load a mask, look into a set or a list, count, drop.
 *
 *     ip6 saddr and ffff:ffff:ffff:ffff:: @jail6 counter drop
 *     payload, bitwise, lookup, counter, immediate     nft
 *     match, match, counter, immediate                 iptables-nft */
#include "jail/rules.h"

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

struct reading {
    const struct cq_jail *jail;
    bool of_recent;
    int bits[CQ_JAIL_SETS][2];          /* the shortest mask, by the family of
                                         * the address; 0: no rule refers to
                                         * it */
    int64_t seconds[CQ_JAIL_SETS];
    int64_t dropped_packets;            /* -1: no rule refers to any */
};

/* One rule, up to the expression that is being read. */
struct rule {
    struct reading *reading;
    int family;                 /* of its packets, if it is of iptables */
    bool refers, drops;
    int mask_bits;              /* of the last mask; 0: none */
    int64_t packets;
};

static bool is_text(const struct nlattr *attribute, const char *text)
{
    return attribute != NULL
           && mnl_attr_get_payload_len(attribute) == strlen(text) + 1
           && memcmp(mnl_attr_get_payload(attribute), text,
                     strlen(text) + 1) == 0;
}

static int leading_bits(const void *mask, size_t length)
{
    const uint8_t *bytes = mask;
    int bits = 0;

    while (bits < (int)length * 8
           && (bytes[bits / 8] & (0x80u >> (bits % 8))) != 0) {
        bits++;
    }
    return bits;
}

static const int whole[2] = { 32, 128 };

/* A rule that looks into the list of this name.
 * @param family  of the address, -1: the set's */
static void refer(struct rule *rule, const char *name, int family, int bits,
                  int64_t seconds)
{
    struct reading *reading = rule->reading;
    int set, i;

    for (set = 0; set < CQ_JAIL_SETS; set++) {
        if (strcmp(name, reading->jail->names[set]) != 0) {
            continue;
        }
        rule->refers = true;
        i = family < 0 ? set % 2 : family;
        bits = bits > 0 ? bits : whole[i];
        if (reading->bits[set][i] == 0 || bits < reading->bits[set][i]) {
            reading->bits[set][i] = bits;
        }
        if (seconds > 0 && (reading->seconds[set] == 0
                            || seconds < reading->seconds[set])) {
            reading->seconds[set] = seconds;
        }
    }
}

static void read_lookup(struct rule *rule, const struct nlattr *data)
{
    const struct nlattr *name = cq_netlink_find(data, NFTA_LOOKUP_SET);

    if (!rule->reading->of_recent && name != NULL
        && mnl_attr_validate(name, MNL_TYPE_NUL_STRING) == 0
        && (cq_netlink_number(cq_netlink_find(data, NFTA_LOOKUP_FLAGS), 0)
            & NFT_LOOKUP_F_INV) == 0) {
        refer(rule, mnl_attr_get_str(name), -1, rule->mask_bits, 0);
    }
}

static void read_recent(struct rule *rule, const struct nlattr *data)
{
    const struct nlattr *info = cq_netlink_find(data, NFTA_MATCH_INFO);
    struct xt_recent_mtinfo_v1 recent = { .seconds = 0 };
    size_t length = info == NULL ? 0 : mnl_attr_get_payload_len(info);

    if (!rule->reading->of_recent || length < sizeof(struct xt_recent_mtinfo)
        || !is_text(cq_netlink_find(data, NFTA_MATCH_NAME), "recent")) {
        return;
    }
    memcpy(&recent, mnl_attr_get_payload(info),
           length < sizeof(recent) ? length : sizeof(recent));
    recent.name[sizeof(recent.name) - 1] = '\0';
    if ((recent.check_set & (XT_RECENT_CHECK | XT_RECENT_UPDATE)) != 0
        && recent.invert == 0) {
        refer(rule, recent.name, rule->family,
              leading_bits(&recent.mask, rule->family == 0 ? 4 : 16),
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
            : leading_bits(mnl_attr_get_payload(value),
                           mnl_attr_get_payload_len(value));
    } else if (is_text(name, "payload")) {
        rule->mask_bits = 0;    /* the mask was of something else */
    } else if (is_text(name, "lookup")) {
        read_lookup(rule, data);
    } else if (is_text(name, "match")) {
        read_recent(rule, data);
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

static int read_rule(const struct nlmsghdr *message, void *data)
{
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    struct reading *reading = data;
    struct rule rule = {
        .reading = reading, .family = header->nfgen_family == NFPROTO_IPV6
    };

    cq_netlink_for_each(message, NFTA_RULE_EXPRESSIONS, read_expression,
                        &rule);
    if (rule.refers) {
        reading->dropped_packets += (reading->dropped_packets < 0)
                                    + (rule.drops ? rule.packets : 0);
    }
    return MNL_CB_OK;
}

int cq_jail_read_rules(struct cq_jail *jail, struct cq_netlink *link,
                       uint8_t family, const char *table, int64_t seconds[2])
{
    const struct reading none = { .jail = jail, .of_recent = table == NULL,
                                  .dropped_packets = -1 };
    bool is_one_list = jail->names[CQ_JAIL_V6][0] == '\0';
    struct reading reading = none;
    int error = EINTR, tries, bits;

    for (tries = 0; tries < TRIES && error == EINTR; tries++) {
        struct nlmsghdr *message = cq_netlink_begin(
            link, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, NLM_F_DUMP,
            family, 0);

        if (table != NULL) {
            mnl_attr_put_strz(message, NFTA_RULE_TABLE, table);
        }
        reading = none;
        error = cq_netlink_ask(link, read_rule, &reading);
    }
    if (error != 0) {
        reading = none;
    }
    bits = reading.bits[CQ_JAIL_V4][0];
    jail->bits[0] = (uint8_t)(bits > 0 ? bits : whole[0]);
    /* one list of xt_recent holds both families, a set of nft one */
    bits = reading.bits[is_one_list ? CQ_JAIL_V4 : CQ_JAIL_V6][1];
    jail->bits[1] = (uint8_t)(is_one_list && table != NULL ? 0
                              : bits > 0 ? bits
                              : is_one_list ? whole[1] : PREFIX_V6);
    jail->dropped_packets = reading.dropped_packets;
    if (seconds != NULL) {
        memcpy(seconds, reading.seconds, 2 * sizeof(seconds[0]));
    }
    return error;
}
