/* offence - who may be shut out before he is answered.
 *
 * The one place that says so: the kernel jail, ClamQuotaDropAfter and the
 * page all ask here. Pure; figures and policy in, verdict out. Whose address
 * must never be shut out is another question: special.h, host/own.h. */
#ifndef CQ_OFFENCE_H
#define CQ_OFFENCE_H

#include "core/policy.h"

/* how long a client must be over before it counts (the contract's defaults) */
#define CQ_OFFENCE_GRACE_S 60
#define CQ_OFFENCE_AFTER 200

struct cq_offence_limits {
    int64_t grace_s;            /* over for at least so long, >= 0 */
    int64_t after;              /* refused at least so often since, in one
                                 * day, >= 1 */
};

/* what a row tells */
struct cq_offence_facts {
    int64_t used_bytes;
    int64_t over_since_s;       /* 0: not over in this period */
    int64_t refusals;           /* since then, of one day; busy ones don't
                                 * count */
    bool proxied;               /* seen through mod_remoteip */
};

enum cq_offence {
    CQ_OFFENCE_NONE = 0,        /* not over (any more), or never refused */
    CQ_OFFENCE_EXEMPT,          /* Unlimited, or its pool refuses nobody */
    CQ_OFFENCE_PROXIED,         /* the address is a proxy's, or behind one */
    CQ_OFFENCE_FEW,             /* over, but not refused often enough */
    CQ_OFFENCE_RECENT,          /* refused often enough, not yet over for
                                 * grace_s */
    CQ_OFFENCE_OFFENDER
};

/** Is this client an offender?
 * @param policy   what holds for it now
 * @param refuses  false: its pool only logs now
 * @param day      of the period, 1..31
 * @param due_s    for CQ_OFFENCE_RECENT: the unix second from which it is one;
 *                 may be NULL */
enum cq_offence cq_offence_of(const struct cq_offence_facts *facts,
                              const struct cq_policy *policy, bool refuses,
                              int day, int64_t now_s,
                              const struct cq_offence_limits *limits,
                              int64_t *due_s);

/** "none", "exempt", "proxied", "few", "recent", "offender". */
const char *cq_offence_word(enum cq_offence offence);

#endif
