/* rules - which policy holds for a client now. */
#include "table/rules.h"
#include "table/parts.h"

#include <string.h>

#define CLIENT_RULE "ClamQuotaClient "

/* The network of a ClamQuotaClient rule, if it is one and whole. */
static bool parse_rule_net(const struct cq_policy_slot *slot,
                           struct cq_key *net)
{
    char rule[CQ_RULE_SIZE];

    memcpy(rule, slot->rule, sizeof(rule));
    rule[sizeof(rule) - 1] = '\0';
    return slot->pool == CQ_ANY_POOL
        && strncmp(rule, CLIENT_RULE, sizeof(CLIENT_RULE) - 1) == 0
        && cq_key_parse(net, rule + sizeof(CLIENT_RULE) - 1, NULL) == CQ_OK;
}

enum cq_status cq_rules_read(const struct cq_table *t, int64_t now_s,
                             struct cq_rules *rules)
{
    uint32_t n = atomic_load(&t->header->policy_n);
    uint32_t i;

    memset(rules, 0, sizeof(*rules));
    if (cq_exempt_nets(t, now_s, &rules->exempt) != CQ_OK) {
        return CQ_ENOMEM;
    }
    for (i = 0; i < n && i < CQ_POLICIES_MAX; i++) {
        int64_t daily_bytes = atomic_load(&t->policies[i].daily_bytes);
        struct cq_key net;

        if (cq_policy_slot_in_force(t, i) && parse_rule_net(&t->policies[i],
                                                            &net)
            && cq_net_add(&rules->nets, &net, daily_bytes) == CQ_ENOMEM) {
            cq_rules_free(rules);
            return CQ_ENOMEM;
        }
    }
    /* The module writes no network twice. Of two in a damaged file neither is
     * known to be right: none holds, and the pool's own Daily does. */
    if (cq_net_seal(&rules->nets, NULL) != CQ_OK) {
        cq_net_free(&rules->nets);
    }
    rules->pool_n = cq_table_pool_count(t);
    for (i = 0; i < rules->pool_n; i++) {
        cq_table_pool_info(t, (uint16_t)i, &rules->pools[i]);
    }
    return CQ_OK;
}

struct cq_policy cq_rules_policy(const struct cq_rules *rules, uint16_t pool,
                                 const struct cq_key *key, bool *refuses)
{
    struct cq_policy policy = { 0, 0 };
    const struct cq_net_rule *rule;

    *refuses = false;
    if (pool >= rules->pool_n) {
        return policy;
    }
    policy = rules->pools[pool].policy;
    *refuses = rules->pools[pool].refuses;
    rule = cq_net_find(&rules->nets, key);
    if (rule != NULL) {
        policy.daily_bytes = rule->value;
    }
    return policy;
}

uint16_t cq_rules_index(const struct cq_table *t, uint16_t pool,
                        const struct cq_key *key)
{
    uint32_t n = atomic_load(&t->header->policy_n);
    int longest = -2;           /* -1: the pool's own */
    uint32_t i, found = 0;

    for (i = 0; i < n && i < CQ_POLICIES_MAX; i++) {
        const struct cq_policy_slot *slot = &t->policies[i];
        struct cq_key net;
        int length = -2;

        if (slot->pool == pool) {
            length = -1;
        }
        else if (parse_rule_net(slot, &net) && cq_key_contains(&net, key)) {
            length = net.prefix;
        }
        if (length > longest && cq_policy_slot_in_force(t, i)) {
            longest = length;
            found = i;
        }
    }
    return (uint16_t)found;
}

void cq_rules_free(struct cq_rules *rules)
{
    cq_net_free(&rules->nets);
    cq_net_free(&rules->exempt);
    rules->pool_n = 0;
}
