/* pools - names, policies, totals and notices: what the header keeps beside
 * the rows. Only the process that holds the table's lock writes pools and
 * policies; every process writes totals and notices. */
#include "table/parts.h"

#include <string.h>

#define POOL_RULE "ClamQuotaDaily"

bool cq_table_is_pool_name(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n < CQ_POOL_NAME_SIZE
        && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

enum cq_status cq_table_pool(struct cq_table *t, const char *name,
                             uint16_t *pool)
{
    uint32_t n = (uint32_t)cq_table_pool_count(t);
    uint32_t i;

    if (!cq_table_is_pool_name(name)) {
        return CQ_EINVAL;
    }
    for (i = 0; i < n; i++) {
        if (strncmp(t->pools[i].name, name, CQ_POOL_NAME_SIZE) == 0) {
            *pool = (uint16_t)i;
            return CQ_OK;
        }
    }
    if (n == CQ_POOLS_MAX) {
        return CQ_EFULL;
    }
    memcpy(t->pools[n].name, name, strlen(name) + 1);
    atomic_store(&t->header->pool_n, n + 1);
    *pool = (uint16_t)n;
    return CQ_OK;
}

/* Empties the places of rules that are no longer in force, if there are no
 * others: networks come and go with configurations, and the file stays. What
 * rows remember of such a rule goes first, so that none shows its successor's;
 * only a child of an older configuration can write such a number once more,
 * until that row's next request. */
static void recycle(struct cq_table *t)
{
    size_t row;
    uint32_t i;

    if (atomic_load(&t->header->policy_n) < CQ_POLICIES_MAX) {
        return;
    }
    for (row = 0; row < t->cold_rows_n; row++) {
        _Atomic uint32_t *mark = &t->hot[row].mark;
        uint32_t index = atomic_load(mark) & CQ_MARK_POLICY;

        if (index < CQ_POLICIES_MAX && !cq_policy_slot_in_force(t, index)) {
            atomic_fetch_or(mark, CQ_MARK_POLICY);      /* none of them */
        }
    }
    for (i = 0; i < CQ_POLICIES_MAX; i++) {
        if (!cq_policy_slot_in_force(t, i)) {
            memset(t->policies[i].rule, 0, CQ_RULE_SIZE);
        }
    }
}

void cq_table_policies_begin(struct cq_table *t)
{
    uint32_t n = atomic_load(&t->header->policy_n);
    uint32_t highest = atomic_load(&t->header->config);
    uint32_t i;

    /* past what a process set that died before the end */
    for (i = 0; i < n && i < CQ_POLICIES_MAX; i++) {
        uint32_t config = atomic_load(&t->policies[i].config);

        highest = config > highest ? config : highest;
    }
    t->config = highest + 1;
    recycle(t);
}

void cq_table_policies_end(struct cq_table *t)
{
    atomic_store(&t->header->config, t->config);
}

void cq_table_pool_refuses(struct cq_table *t, uint16_t pool, bool refuses)
{
    if (pool < CQ_POOLS_MAX) {
        atomic_store(&t->pools[pool].refuses, refuses);
    }
}

/* The header's number is read first: a slot that stands in this configuration
 * and in the next one has a number at least as high at every later moment. */
static bool is_in_force(const struct cq_table *t, const _Atomic uint32_t *slot)
{
    uint32_t config = atomic_load(&t->header->config);

    return atomic_load(slot) >= config;
}

bool cq_policy_slot_in_force(const struct cq_table *t, uint32_t i)
{
    return is_in_force(t, &t->policies[i].config);
}

enum cq_status cq_table_policy(struct cq_table *t, uint16_t pool,
                               const char *rule,
                               const struct cq_policy *policy,
                               uint16_t *policy_index)
{
    uint32_t n = atomic_load(&t->header->policy_n);
    uint32_t i, empty;

    n = n < CQ_POLICIES_MAX ? n : CQ_POLICIES_MAX;
    for (i = 0, empty = n; i < n; i++) {
        if (t->policies[i].pool == pool
            && strncmp(t->policies[i].rule, rule, CQ_RULE_SIZE) == 0) {
            break;
        }
        empty = t->policies[i].rule[0] == '\0' ? i : empty;
    }
    if (i == n) {
        i = empty;
        if (i == CQ_POLICIES_MAX || strlen(rule) >= CQ_RULE_SIZE) {
            return CQ_EFULL;
        }
        memcpy(t->policies[i].rule, rule, strlen(rule) + 1);
        t->policies[i].pool = pool;
    }
    atomic_store(&t->policies[i].daily_bytes, policy->daily_bytes);
    atomic_store(&t->policies[i].config, t->config);
    if (pool < CQ_POOLS_MAX) {
        atomic_store(&t->pools[pool].daily_bytes, policy->daily_bytes);
        atomic_store(&t->pools[pool].grace_bytes, policy->grace_bytes);
        atomic_store(&t->pools[pool].config, t->config);
    }
    if (i == n) {
        atomic_store(&t->header->policy_n, n + 1);
    }
    *policy_index = (uint16_t)i;
    return CQ_OK;
}

size_t cq_table_pool_count(const struct cq_table *t)
{
    uint32_t n = atomic_load(&t->header->pool_n);

    return n < CQ_POOLS_MAX ? n : CQ_POOLS_MAX;
}

void cq_table_pool_info(const struct cq_table *t, uint16_t pool,
                        struct cq_pool_info *info)
{
    memset(info, 0, sizeof(*info));
    if (pool < cq_table_pool_count(t)) {
        const struct cq_pool_slot *slot = &t->pools[pool];

        memcpy(info->name, slot->name, sizeof(info->name) - 1);
        if (is_in_force(t, &slot->config)) {
            info->policy.daily_bytes = atomic_load(&slot->daily_bytes);
            info->policy.grace_bytes = atomic_load(&slot->grace_bytes);
            info->refuses = atomic_load(&slot->refuses) != 0;
        }
    }
}

void cq_table_policy_info(const struct cq_table *t, uint16_t pool,
                          uint16_t policy_index, struct cq_policy_info *info)
{
    struct cq_pool_info of_pool;
    uint32_t n = atomic_load(&t->header->policy_n);

    memset(info, 0, sizeof(*info));
    cq_table_pool_info(t, pool, &of_pool);
    info->policy = of_pool.policy;
    memcpy(info->rule, POOL_RULE, sizeof(POOL_RULE));
    if (policy_index < n && policy_index < CQ_POLICIES_MAX) {
        const struct cq_policy_slot *slot = &t->policies[policy_index];

        memcpy(info->rule, slot->rule, sizeof(info->rule) - 1);
        info->policy.daily_bytes = atomic_load(&slot->daily_bytes);
    }
}

/* ---- totals ---- */

void cq_table_total_add(struct cq_table *t, uint16_t pool,
                        enum cq_total which, int64_t n)
{
    if (pool < CQ_POOLS_MAX) {
        atomic_fetch_add_explicit(
            &t->stripes[pool * CQ_STRIPES + t->stripe].count[which], n,
            memory_order_relaxed);
    }
}

void cq_table_totals(const struct cq_table *t, uint16_t pool,
                     int64_t totals[CQ_TOTALS])
{
    uint32_t s;
    int i;

    memset(totals, 0, CQ_TOTALS * sizeof(totals[0]));
    for (s = 0; pool < CQ_POOLS_MAX && s < CQ_STRIPES; s++) {
        for (i = 0; i < CQ_TOTALS; i++) {
            /* as unsigned: a damaged file's sums may overflow */
            totals[i] = (int64_t)((uint64_t)totals[i]
                + (uint64_t)atomic_load_explicit(
                    &t->stripes[pool * CQ_STRIPES + s].count[i],
                    memory_order_relaxed));
        }
    }
}

/* ---- notices ---- */

#define UNLOGGED_SHIFT 16

void cq_table_notice(struct cq_table *t, uint32_t notice)
{
    uint32_t old = atomic_load_explicit(&t->header->notices,
                                        memory_order_relaxed);

    while ((old & notice) == 0
           && !atomic_compare_exchange_weak(
               &t->header->notices, &old,
               old | notice | (notice << UNLOGGED_SHIFT))) {
    }
}

bool cq_table_notice_first(struct cq_table *t, enum cq_notice notice)
{
    return cq_table_health(t) != CQ_HEALTH_LOST
        && (atomic_load_explicit(&t->header->notices, memory_order_relaxed)
            & notice) == 0
        && (atomic_fetch_or(&t->header->notices, notice) & notice) == 0;
}

uint32_t cq_table_notices(struct cq_table *t)
{
    uint32_t old = atomic_load_explicit(&t->header->notices,
                                        memory_order_relaxed);

    if (old >> UNLOGGED_SHIFT == 0) {
        return 0;
    }
    old = atomic_fetch_and(&t->header->notices,
                           (UINT32_C(1) << UNLOGGED_SHIFT) - 1);
    /* of a request that was under way when the header became zeros */
    return cq_table_health(t) != CQ_HEALTH_LOST ? old >> UNLOGGED_SHIFT : 0;
}
