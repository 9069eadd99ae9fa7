/* jails - what is in the jails, what has to change, and its change. A jail
 * that fails fails alone. */
#include "sync/sync.h"

#include <time.h>

/* The next full pass would renew such a lease too late. */
#define SHORT_LEASE_S 240

/* Reports a failure, if it is one. After more than CQ_JAIL_PARTLY nothing is
 * known of the jail. */
static bool has_failed(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    if (sj->status == CQ_JAIL_OK) {
        return false;
    }
    cq_say_trouble(&sync->say, "%s", sj->why.text);
    cq_sync_failed(sync, (enum cq_exit)sj->status);     /* the same numbers */
    sj->is_settled = false;
    return true;
}

/* ---- plans ---- */

static enum cq_plan_fate fit(const void *jail, const struct cq_wanted *wanted)
{
    if (cq_jail_cannot_hold(jail, &wanted->client) == NULL) {
        return CQ_FATE_CLIENT;
    }
    return wanted->from.file != 0
        && cq_jail_cannot_deny(jail, &wanted->client) == NULL
        ? CQ_FATE_NETWORK : CQ_FATE_NOT_HELD;
}

static bool make_plan(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    struct timespec now;
    struct cq_plan_input in = {
        .wanted = sync->wanted.entries,
        .wanted_n = sync->wanted.count,
        .present = sj->contents,
        .lease_s = sync->options->lease_s,
        .holds_additions = !sync->knows_never,
        .holds_removals = !sync->knows_denied,
        .fit = fit,
        .baton = sj->jail
    };

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    in.now_s = now.tv_sec;
    if (!cq_plan_make(&in, &sj->plan)) {
        cq_say_trouble(&sync->say, "%s: out of memory",
                       cq_jail_spec(sj->jail));
        return false;
    }
    return true;
}

void cq_sync_plan(struct cq_sync *sync, enum cq_depth depth, bool changed)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        struct cq_sync_jail *sj = &sync->jails[i];

        /* may the plan of the last time have become another one? */
        sj->is_planned = depth == CQ_FULL || changed || !sj->is_settled
            || sync->options->lease_s < SHORT_LEASE_S
            || cq_jail_has_changed(sj->jail);
        if (!sj->is_planned) {
            continue;
        }
        cq_plan_free(&sj->plan);
        sj->status = cq_jail_list(sj->jail, &sj->contents, &sj->why);
        sj->is_planned = !has_failed(sync, sj) && make_plan(sync, sj);
        if (sj->is_planned) {
            sj->is_settled = sj->plan.change_n == 0
                && sj->plan.network_change_n == 0;
            cq_sync_report_plan(sync, sj);
        }
    }
}

/* ---- changes ---- */

static bool apply_one(struct cq_sync *sync, struct cq_sync_jail *sj,
                      enum cq_depth depth)
{
    struct cq_plan *plan = &sj->plan;

    if (depth == CQ_FULL) {
        cq_sync_report_takeover(sync, sj);
    }
    cq_sync_leave_feuds(sync, sj, depth);
    if (plan->change_n > 0) {
        sj->status = cq_jail_apply(sj->jail, plan->changes, plan->change_n,
                                   &sj->why);
        (void)has_failed(sync, sj);
        cq_sync_report_changes(sync, sj, 0, plan->change_n);
    }
    if (plan->network_change_n > 0 && sj->status <= CQ_JAIL_PARTLY) {
        sj->status = cq_jail_deny(sj->jail, plan->networks,
                                  plan->n[CQ_FATE_NETWORK], &sj->why);
        if (!has_failed(sync, sj)) {
            cq_sync_report_changes(sync, sj, plan->change_n, plan->change_n
                                   + plan->network_change_n);
        }
    }
    return plan->change_n > 0 || plan->network_change_n > 0;
}

bool cq_sync_apply(struct cq_sync *sync, enum cq_depth depth)
{
    bool changed = false;
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        if (sync->jails[i].is_planned) {
            changed |= apply_one(sync, &sync->jails[i], depth);
        }
    }
    return changed;
}
