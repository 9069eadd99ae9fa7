/* offence - the one verdict on a row: is its client an offender, and may its
 * address be shut out?
 *
 * clamquota-sync, ClamQuotaDropAfter, the page and the tools all ask here.
 * Pure: figures, policy and facts about the address in, verdict out. A client
 * is shut out if it is an offender and its address is not spared. */
#ifndef CQ_OFFENCE_H
#define CQ_OFFENCE_H

#include "core/key.h"
#include "core/policy.h"

/* how long a client must be over quota, and how many refusals it must have had,
 * to be an offender (the contract's defaults) */
#define CQ_OFFENCE_GRACE_S 60
#define CQ_OFFENCE_AFTER 200

struct cq_offence_limits {
    int64_t grace_s;            /* over quota for at least this, >= 0 */
    int64_t after;              /* refusals since then, in one day: at least
                                 * this number, >= 1 */
};

/* what a row has of a client */
struct cq_offence_facts {
    int64_t used_bytes;
    int64_t over_since_s;       /* 0: not over in this period */
    int64_t refusals;           /* since then, of one day; busy ones don't
                                 * count */
    bool exempt;                /* no quota holds for it now (table/exempt.h) */
};

enum cq_offence {
    CQ_OFFENCE_NONE = 0,        /* not over (any more), or never refused */
    CQ_OFFENCE_EXEMPT,          /* exempt, Unlimited, or its pool refuses no
                                 * client */
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
enum cq_offence cq_offence_judge(const struct cq_offence_facts *facts,
                                 const struct cq_policy *policy, bool refuses,
                                 int day, int64_t now_s,
                                 const struct cq_offence_limits *limits,
                                 int64_t *due_s);

/* Why an address is never shut out, whatever its client does; of several
 * reasons the first one here. */
enum cq_spared {
    CQ_SPARED_NOT = 0,          /* it may be */
    CQ_SPARED_EXEMPT,           /* its client is Unlimited or exempt */
    CQ_SPARED_PROXIED,          /* other clients share it: a proxy, or a client
                                 * seen through one, whose packets have
                                 * another source address */
    CQ_SPARED_RESERVED,         /* loopback, link-local, multicast ...:
                                 * special.h */
    CQ_SPARED_OWN,              /* this machine, or its default gateway */
    CQ_SPARED_NEVER,            /* on a never list */
    CQ_SPARED_PREFIX            /* no client of this table: cut otherwise */
};

/* Facts about an address that no row has alone; the ones that a caller cannot
 * know stay false. */
struct cq_address_facts {
    const struct cq_key *key;   /* a client, or a network of a deny file */
    int client_bits;            /* prefix of a client of this family in the
                                 * table; -1: of any length */
    bool exempt;
    bool proxied;
    bool own;                   /* host/own.h, and proxies of mod_remoteip;
                                 * ask with cq_net_touches() */
    bool never;                 /* ask with cq_net_touches() */
};

/** May this address be shut out ("jailable"), and if not, why not? */
enum cq_spared cq_spared_reason(const struct cq_address_facts *facts);

/** "exempt", "proxied", "reserved", "own", "never", "prefix"; NULL for
 * CQ_SPARED_NOT. */
const char *cq_spared_word(enum cq_spared spared);

/** The same in words for people: "this machine or its default gateway". */
const char *cq_spared_text(enum cq_spared spared);

#endif
