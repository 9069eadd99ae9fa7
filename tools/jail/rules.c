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
#include <stdlib.h>
#include <string.h>

#define MESSAGE(type) (NFNL_SUBSYS_NFTABLES << 8 | (type))

/* readings, if changes of other programs interrupt them */
#define TRIES 3

/* One reading of rules */
struct reading {
    struct cq_rules_use *uses;
    int count;
    bool of_recent;
};

/* One rule, up to the expression that is being read. */
struct rule {
    struct cq_rules_use *use;   /* the list that it refers to, or NULL */
    int mask_bits;              /* of the last mask; -1: none */
    int64_t packets;
    bool drops;
};

static bool is_text(const struct nlattr *attribute, const char *text)
{
    return attribute != NULL
           && mnl_attr_get_payload_len(attribute) == strlen(text) + 1
           && memcmp(mnl_attr_get_payload(attribute), text,
                     strlen(text) + 1) == 0;
}

static struct cq_rules_use *find_use(const struct reading *reading,
                                     const struct nlattr *name)
{
    int i;

    for (i = 0; i < reading->count; i++) {
        if (reading->uses[i].name[0] != '\0'
            && is_text(name, reading->uses[i].name)) {
            return &reading->uses[i];
        }
    }
    return NULL;
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

static void refer(struct rule *rule, struct cq_rules_use *use, int family,
                  int bits)
{
    rule->use = use;
    use->rules++;
    if (bits > 0 && bits < use->bits[family]) {
        use->bits[family] = (uint8_t)bits;
    }
}

/* The set's own length of keys is that of the mask in front of it. */
static void read_lookup(const struct reading *reading, struct rule *rule,
                        const struct nlattr *data)
{
    struct cq_rules_use *use =
        find_use(reading, cq_netlink_find(data, NFTA_LOOKUP_SET));
    uint32_t flags = 0;

    cq_netlink_u32(cq_netlink_find(data, NFTA_LOOKUP_FLAGS), &flags);
    if (use != NULL && !reading->of_recent
        && (flags & NFT_LOOKUP_F_INV) == 0) {
        refer(rule, use, 0, rule->mask_bits);
        refer(rule, use, 1, rule->mask_bits);
        use->rules--;           /* one rule, one reference */
    }
}

static void read_recent(const struct reading *reading, struct rule *rule,
                        int family, const struct nlattr *data)
{
    const struct nlattr *info = cq_netlink_find(data, NFTA_MATCH_INFO);
    struct cq_rules_use *use = reading->uses;
    struct xt_recent_mtinfo_v1 recent;
    size_t length = info == NULL ? 0 : mnl_attr_get_payload_len(info);
    int bits = 0;

    if (!reading->of_recent || length < sizeof(struct xt_recent_mtinfo)
        || !is_text(cq_netlink_find(data, NFTA_MATCH_NAME), "recent")) {
        return;
    }
    memset(&recent, 0, sizeof(recent));
    memcpy(&recent, mnl_attr_get_payload(info),
           length < sizeof(recent) ? length : sizeof(recent));
    if (strncmp(recent.name, use->name, sizeof(recent.name)) != 0
        || (recent.check_set & (XT_RECENT_CHECK | XT_RECENT_UPDATE)) == 0
        || recent.invert != 0) {
        return;
    }
    if (length >= sizeof(recent)) {
        bits = leading_bits(&recent.mask, family == 0 ? 4 : 16);
    }
    refer(rule, use, family, bits);
    if (recent.seconds > 0
        && (use->seconds == 0 || recent.seconds < use->seconds)) {
        use->seconds = recent.seconds;
    }
}

static void read_expression(const struct reading *reading, struct rule *rule,
                            int family, const struct nlattr *expression)
{
    const struct nlattr *name = cq_netlink_find(expression, NFTA_EXPR_NAME);
    const struct nlattr *data = cq_netlink_find(expression, NFTA_EXPR_DATA);
    const struct nlattr *value;
    uint64_t packets = 0;
    uint32_t verdict = NF_ACCEPT;

    if (is_text(name, "bitwise")) {
        value = cq_netlink_find(cq_netlink_find(data, NFTA_BITWISE_MASK),
                                NFTA_DATA_VALUE);
        rule->mask_bits = value == NULL ? -1
            : leading_bits(mnl_attr_get_payload(value),
                           mnl_attr_get_payload_len(value));
    } else if (is_text(name, "payload")) {
        rule->mask_bits = -1;   /* the mask was of something else */
    } else if (is_text(name, "lookup")) {
        read_lookup(reading, rule, data);
    } else if (is_text(name, "match")) {
        read_recent(reading, rule, family, data);
    } else if (is_text(name, "counter")) {
        cq_netlink_u64(cq_netlink_find(data, NFTA_COUNTER_PACKETS), &packets);
        rule->packets = (int64_t)packets;
    } else if (is_text(name, "immediate")) {
        value = cq_netlink_find(cq_netlink_find(data, NFTA_IMMEDIATE_DATA),
                                NFTA_DATA_VERDICT);
        cq_netlink_u32(cq_netlink_find(value, NFTA_VERDICT_CODE), &verdict);
        rule->drops = verdict == NF_DROP;
    } else if (is_text(name, "reject")) {
        rule->drops = true;
    } else if (is_text(name, "target")) {
        rule->drops = is_text(cq_netlink_find(data, NFTA_TARGET_NAME),
                              "REJECT");
    }
}

static int read_rule(const struct nlmsghdr *message, void *data)
{
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    struct rule rule = { .mask_bits = -1 };
    const struct nlattr *list = cq_netlink_attribute(message,
                                                     NFTA_RULE_EXPRESSIONS);
    const struct nlattr *expression = NULL;

    while ((expression = cq_netlink_next(list, expression)) != NULL) {
        read_expression(data, &rule, header->nfgen_family == NFPROTO_IPV6,
                        expression);
    }
    if (rule.use != NULL && rule.drops) {
        rule.use->dropped_packets += rule.packets;
    }
    return MNL_CB_OK;
}

static void clear(struct cq_rules_use *uses, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        uses[i] = (struct cq_rules_use){ .name = uses[i].name,
                                         .bits = { 32, 128 } };
    }
}

static int read_rules(struct cq_netlink *link, uint8_t family,
                      const char *table, struct reading *reading)
{
    struct cq_messages question = { .bytes = NULL };
    struct nlmsghdr *message =
        cq_netlink_begin(&question, MESSAGE(NFT_MSG_GETRULE), NLM_F_DUMP,
                         family, 0, 300);
    int error = message == NULL ? ENOMEM : EINTR, tries;

    if (message != NULL) {
        if (table != NULL) {
            mnl_attr_put_strz(message, NFTA_RULE_TABLE, table);
        }
        cq_netlink_end(&question, message);
    }
    for (tries = 0; tries < TRIES && error == EINTR; tries++) {
        clear(reading->uses, reading->count);
        error = cq_netlink_ask(link, &question, read_rule, reading);
    }
    if (error != 0) {
        clear(reading->uses, reading->count);
    }
    cq_messages_free(&question);
    return error;
}

int cq_rules_of_sets(struct cq_netlink *link, uint8_t family,
                     const char *table, struct cq_rules_use *uses, int count)
{
    struct reading reading = { .uses = uses, .count = count };

    return read_rules(link, family, table, &reading);
}

void cq_rules_of_recent(const char *name, struct cq_rules_use *use)
{
    struct reading reading = { .uses = use, .count = 1, .of_recent = true };
    struct cq_netlink link = { .socket = NULL };

    use->name = name;
    /* rules of both families may name one list */
    read_rules(&link, NFPROTO_UNSPEC, NULL, &reading);
    cq_netlink_close(&link);
}
