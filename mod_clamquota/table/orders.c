/* orders - what an operator orders: resets and exemptions.
 *
 * An order is an act for all nodes of a cluster (shares.h) and takes effect in
 * this table at once. Tools and the page call this; acts of other nodes are
 * applied by cq_acts_apply(), which must not note them again. */
#include "table/exempt.h"
#include "table/parts.h"
#include "table/shares.h"

enum cq_status cq_exempt_set(struct cq_table *t, const struct cq_key *net,
                             int64_t until_s, int64_t now_s)
{
    struct cq_act act = { *net, CQ_ACT_EXEMPT, 0, until_s };

    if (!t->writable) {
        return CQ_EACCES;
    }
    if (!cq_key_is_valid(net) || now_s < 0 || until_s <= now_s
        || until_s > CQ_EXEMPT_UNTIL_MAX_S) {
        return CQ_EINVAL;
    }
    cq_act_note(t, &act, now_s * 1000);
    return cq_exempt_apply(t, net, until_s, now_s);
}

enum cq_status cq_exempt_end(struct cq_table *t, const struct cq_key *net,
                             int64_t now_s)
{
    struct cq_act act = { *net, CQ_ACT_EXEMPT, 0, 0 };
    enum cq_status status;

    if (!t->writable) {
        return CQ_EACCES;
    }
    status = cq_exempt_apply(t, net, 0, now_s);
    if (status == CQ_OK) {
        cq_act_note(t, &act, now_s * 1000);
    }
    return status;
}

int cq_table_reset(struct cq_table *t, const struct cq_key *net,
                   const struct cq_clock *clock)
{
    struct cq_prefixes prefixes = t->header->geometry.prefixes;
    struct cq_key key = cq_key_network(net, net->family == 4
                                            ? prefixes.v4_bits
                                            : prefixes.v6_bits);
    struct cq_act act = { key, CQ_ACT_RESET, 0, 0 };

    /* noted first: what the exchanger reads of a row between the two counts
     * as from before the act */
    cq_act_note(t, &act, clock->now_s * 1000);
    return cq_reset_locally(t, &key, clock);
}
