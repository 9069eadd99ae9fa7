/* plan - what has to change in a jail: a pure difference.
 *
 * No clock, no kernel, no files: wanted and present in, changes out. The list
 * belongs to clamquota-sync: an element that is not wanted is removed, unless
 * it is the operator's. */
#ifndef CQ_SYNC_PLAN_H
#define CQ_SYNC_PLAN_H

#include "jail/jail.h"
#include "sync/wanted.h"

struct cq_plan_input {
    const struct cq_wanted *wanted;     /* ordered, each element once */
    size_t wanted_n;
    const struct cq_jail_element *present;  /* as cq_jail_list() has them */
    size_t present_n;
    int64_t capacity_v4;        /* as in struct cq_jail_figures */
    int64_t capacity_v6;
    bool shares_capacity;
    int64_t now_s;              /* CLOCK_MONOTONIC, as in the elements */
    int64_t lease_s;            /* renewed at half of it */
    bool holds_additions;       /* never lists are not known */
    bool holds_removals;        /* deny files are not known */
    /* NULL: the jail can hold this client; else why not (static) */
    const char *(*cannot_hold)(const void *baton,
                               const struct cq_key *client);
    const void *baton;
};

enum cq_plan_fate {
    CQ_FATE_OPEN = 0,           /* only while a plan is made */
    CQ_FATE_JAILED,             /* is in the jail, or will be */
    CQ_FATE_HELD_BACK,          /* holds_additions */
    CQ_FATE_NO_PLACE,
    CQ_FATE_NOT_HELD            /* the jail cannot hold it */
};

struct cq_plan {
    struct cq_jail_change *changes;     /* removals first, then additions,
                                         * then renewals; each in order */
    size_t change_n;
    uint8_t *fates;             /* enum cq_plan_fate, by index of wanted */
    size_t wanted_n;
    size_t jailed_n;            /* by fate */
    size_t no_place_n;
    size_t not_held_n;
    const char *not_held_why;   /* of the first one */
    size_t operators_n;         /* present, and never changed */
    int64_t due_s;              /* when the first renewal is due, by now_s's
                                 * clock; INT64_MAX: never */
};

/** Makes the plan. With more clients wanted than places, those of the lowest
 * rank get none; one that is outranked and present is removed.
 * @param plan  result; cq_plan_free()
 * @return false: out of memory */
bool cq_plan_make(const struct cq_plan_input *input, struct cq_plan *plan);

/** The index of the first wanted client with this fate, or wanted_n. */
size_t cq_plan_first(const struct cq_plan *plan, enum cq_plan_fate fate);

void cq_plan_free(struct cq_plan *plan);

#endif
