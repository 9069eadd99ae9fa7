/* plan - what has to change in a jail: a pure diff.
 *
 * No clock, no kernel, no files: wanted, present, owned and never in, changes
 * out. Unit-tested without root. All lists are ordered by cq_key_compare()
 * and hold each key once. */
#ifndef CQ_SYNC_PLAN_H
#define CQ_SYNC_PLAN_H

#include "core/net.h"
#include "sync/jail.h"

/* who should be in the jail */
struct plan_wanted {
    struct cq_key key;
    /* Rank when places are short: deny files first, then who drew most past
     * his allowance, then who hit last, then by key. */
    bool by_hand;               /* from a deny file */
    int64_t excess_bytes;
    int64_t last_hit_s;
};

/* whom we put in, out of the state file */
struct plan_owned {
    struct cq_key key;
    int64_t renewed_at_s;       /* unix seconds */
};

/* How much the jail holds, of which what is present and not ours takes a part;
 * as in struct jail_figures. All zero bytes stand for a jail without places. */
struct plan_places {
    int64_t v4;                 /* -1: no limit */
    int64_t v6;
    bool shared;                /* v4 is the limit of both together */
};

struct plan_input {
    const struct plan_wanted *wanted;
    size_t wanted_n;
    const struct jail_present *present;
    size_t present_n;
    const struct plan_owned *owned;
    size_t owned_n;
    const struct cq_net_list *never;    /* sealed: nobody inside is jailed,
                                         * and no network that holds one */
    struct plan_places places;
    int64_t now_s;
    int64_t lease_s;            /* renewed at half of it */
};

struct plan {
    struct jail_change *changes;    /* removals first, then additions, then
                                     * renewals */
    size_t change_n;
    struct plan_owned *owned;   /* to be written to the state file BEFORE the
                                 * changes are carried out: what we own now
                                 * and what we are about to add; what is to
                                 * be removed stays until it is gone */
    size_t owned_n;
    size_t jailed_n;            /* wanted and in the jail afterwards, also as
                                 * a part of a network */
    size_t left_out_n;          /* wanted, and no place */
    struct cq_key *left_out;    /* who they are, in order */
    int64_t due_s;              /* when the first of what is ours is to be
                                 * renewed; INT64_MAX: nothing is ours */
    size_t never_n;             /* wanted, and on a never list */
    size_t foreign_n;           /* present and put in by somebody else */
};

/** Makes the plan.
 *  - wanted, not never, not present: ADD, owned from now on
 *  - wanted and present, ours: RENEW when half the lease is over, by our own
 *    note or by what the jail tells
 *  - wanted and present, not ours: counts as jailed, is left alone, not owned;
 *    so does who lies in a network that is present and not ours
 *  - wanted, and inside a wanted network: that one is enough (sets of
 *    intervals take no overlap)
 *  - ours, present, and no longer wanted, or never: REMOVE
 *  - ours and neither present nor wanted: forgotten
 *  - nobody else's entry is ever removed
 *  - more wanted than places: the worst by rank, deterministically; who is
 *    outranked and ours goes
 * @param plan  result; plan_free()
 * @return false: out of memory */
bool plan_make(const struct plan_input *input, struct plan *plan);

/** After apply: a failed addition is not owned, a done removal neither; what
 * was added or renewed counts from now.
 * @param plan  its owned list is changed in place */
void plan_settle(struct plan *plan, int64_t now_s);

/** Takes all additions out again: what can't be written down must not be put
 * in. Before apply. */
void plan_drop_additions(struct plan *plan);

void plan_free(struct plan *plan);

#endif
