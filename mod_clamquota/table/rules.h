/* rules - which policy holds for a client now, for callers that can't wait for
 * its next request: a jailed client makes none.
 *
 * A row remembers the policy last applied to it; after a graceful restart
 * another may hold. This is a copy of what the configuration in force says,
 * with nothing believed of the file: rules that can't be read are left out. */
#ifndef CQ_TABLE_RULES_H
#define CQ_TABLE_RULES_H

#include "table/exempt.h"

struct cq_rules {
    struct cq_net_list nets;    /* ClamQuotaClient: daily_bytes by network */
    struct cq_pool_info pools[CQ_POOLS_MAX];
    size_t pool_n;
    struct cq_net_list exempt;  /* until_s by network (exempt.h) */
};

/** Copies the rules in force, and the exemptions that last. Allocates.
 * @return CQ_OK or CQ_ENOMEM */
enum cq_status cq_rules_read(const struct cq_table *table, int64_t now_s,
                             struct cq_rules *rules);

/** What holds for a client in a pool.
 * @param refuses  result: does the pool refuse clients now?
 * @return daily 0: nothing holds there now */
struct cq_policy cq_rules_policy(const struct cq_rules *rules, uint16_t pool,
                                 const struct cq_key *key, bool *refuses);

/** The index of the rule that would be noted in a client's row now: of the
 * longest ClamQuotaClient that holds it, or of its pool. 0: there is none. */
uint16_t cq_rules_index(const struct cq_table *table, uint16_t pool,
                        const struct cq_key *key);

void cq_rules_free(struct cq_rules *rules);

#endif
