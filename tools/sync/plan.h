/* plan - what has to change in a jail: a pure difference.
 *
 * No clock, no kernel, no files: wanted and present in, changes out. The list
 * belongs to clamquota-sync: an element that is not wanted is removed, unless
 * it is the operator's. */
#ifndef CQ_SYNC_PLAN_H
#define CQ_SYNC_PLAN_H

#include "jail/jail.h"
#include "sync/wanted.h"

/* what becomes of one that is wanted */
enum cq_plan_fate {
    CQ_FATE_JAILED,             /* is in the jail, or will be */
    CQ_FATE_NETWORK,            /* likewise, as a network or inside of one */
    CQ_FATE_HELD_BACK,          /* by holds_additions, or adding it failed */
    CQ_FATE_NO_PLACE,
    CQ_FATE_NOT_HELD,           /* the jail cannot hold it */
    CQ_FATES
};

struct cq_plan_input {
    const struct cq_wanted *wanted;     /* ordered, each key once */
    size_t wanted_n;
    struct cq_jail_contents present;    /* as cq_jail_list() has them */
    int64_t now_s;              /* CLOCK_MONOTONIC, as in the elements */
    int64_t lease_s;            /* renewed at half of it */
    bool holds_additions;       /* never lists are not known */
    bool holds_removals;        /* deny files are not known */
    /* How can the jail hold this: CQ_FATE_JAILED, NETWORK or NOT_HELD? NULL:
     * it can hold all as clients */
    enum cq_plan_fate (*fit)(const void *baton,
                             const struct cq_wanted *wanted);
    const void *baton;
};

struct cq_plan {
    struct cq_jail_change *changes;     /* of clients: removals first, as they
                                         * make room, then additions, then
                                         * renewals, each in order; behind them
                                         * those of networks, in order */
    size_t change_n;            /* of clients */
    size_t network_change_n;
    struct cq_key *networks;    /* all that the jail is to hold; none lies
                                 * inside another */
    size_t network_n;
    uint8_t *fates;             /* enum cq_plan_fate, by index of wanted */
    size_t wanted_n;
    size_t n[CQ_FATES];         /* of each fate */
    size_t operators_n;         /* present, and never changed */
};

/** Makes the plan. With more clients wanted than places, those of the lowest
 * rank get none; one that is outranked and present is removed. Networks stay
 * as they are while additions or removals are held.
 * @param plan  result; cq_plan_free()
 * @return false: out of memory */
bool cq_plan_make(const struct cq_plan_input *input, struct cq_plan *plan);

/** Is the one of this index in the jail, or will be? */
bool cq_plan_jails(const struct cq_plan *plan, size_t wanted);

/** How many are. */
size_t cq_plan_jailed_n(const struct cq_plan *plan);

/** Notes that the one of this index could not be added. */
void cq_plan_hold_back(struct cq_plan *plan, size_t wanted);

/** Frees the changes, when they are carried out; what it jails stays known. */
void cq_plan_forget_changes(struct cq_plan *plan);

/** Frees it; it is empty again. */
void cq_plan_free(struct cq_plan *plan);

#endif
