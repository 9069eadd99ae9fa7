/* changes - the last changes of clients' states: over quota, jailed, admitted
 * again, exempt, reset, with their figures.
 *
 * A ring of the last CQ_CHANGES_MAX in the table; httpd's children, its parent
 * and the tools write it, without a lock. httpd's parent logs each once. */
#ifndef CQ_TABLE_CHANGES_H
#define CQ_TABLE_CHANGES_H

#include "table/table.h"

#define CQ_CHANGES_MAX 8192

enum cq_change_kind {
    CQ_CHANGE_OVER = 1,         /* used has reached the allowance */
    CQ_CHANGE_AGAIN,            /* was over quota, is admitted again */
    CQ_CHANGE_DROPPED,          /* over quota, and its connections are closed
                                 * (ClamQuotaDropAfter) */
    CQ_CHANGE_JAILED,           /* clamquota-sync has put it into the jail */
    CQ_CHANGE_RELEASED,         /* and taken it out */
    CQ_CHANGE_EXEMPT,           /* a network is exempt, until another time if
                                 * it was before */
    CQ_CHANGE_EXEMPT_END,
    CQ_CHANGE_RESET,            /* what a network has used is forgotten */
    CQ_CHANGE_PERIOD,           /* another period began: clients that were over
                                 * quota are admitted again */
    CQ_CHANGE_KINDS
};

struct cq_change {
    uint32_t number;            /* of this one: counts up, and wraps */
    enum cq_change_kind kind;
    int64_t at_s;               /* unix seconds */
    struct cq_key net;          /* a client, or a network that was reset or
                                 * exempted; family 0 of CQ_CHANGE_PERIOD */
    uint16_t pool;              /* CQ_ANY_POOL: all of them */
    uint16_t policy_index;
    int64_t used_bytes;         /* of a reset: until then */
    int64_t allowance_bytes;    /* CQ_BYTES_MAX or more: without a limit */
    int64_t until_s;            /* of an exemption */
    int64_t clients;            /* of CQ_CHANGE_PERIOD: how many */
};

/** For people: "over", "admitted again". */
const char *cq_change_word(enum cq_change_kind kind);

/** Notes a change; number is not looked at. Only into a table that is attached
 * writable. */
void cq_change_note(struct cq_table *table, const struct cq_change *change);

/** Copies the last changes, newest first.
 * @param client  NULL: all; else those of this client, of networks that hold
 *                it, and of another period
 * @param max     of list, at most CQ_CHANGES_MAX are there
 * @return how many */
size_t cq_changes_read(const struct cq_table *table,
                       const struct cq_key *client, struct cq_change *list,
                       size_t max);

/** The next change that was not logged yet. For httpd's parent alone.
 * @param lost  updated: changes that came too fast to be logged, or whose
 *              writer died or was not done
 * @return false: there is none */
bool cq_changes_next(struct cq_table *table, struct cq_change *change,
                     int64_t *lost);

#endif
