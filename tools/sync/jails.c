/* jails - lists the jails, makes and carries out their plans, and marks the
 * result in the table. A jail that fails fails alone. */
#include "sync/sync.h"

#include "table/jail.h"

#include <limits.h>
#include <stdlib.h>
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
    /* the same numbers */
    sync->exit = cq_exit_worse(sync->exit, (enum cq_exit)sj->status);
    sj->is_settled = false;
    return true;
}

/* ---- plans ---- */

static enum cq_plan_fate fit(const void *jail, const struct cq_wanted *wanted)
{
    if (cq_jail_cannot_hold(jail, &wanted->key) == NULL) {
        return CQ_FATE_JAILED;
    }
    return wanted->file != 0 && cq_jail_cannot_deny(jail, &wanted->key) == NULL
        ? CQ_FATE_NETWORK : CQ_FATE_NOT_HELD;
}

static bool make_plan(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    const struct cq_sync_options *o = sync->options;
    struct timespec now;
    struct cq_plan_input in = {
        .wanted = sync->wanted.entries,
        .wanted_n = sync->wanted.count,
        .present = sj->contents,
        .lease_s = o->lease_s,
        .holds_additions = !o->flush && !sync->lists.knows_never,
        .holds_removals = !o->flush && !sync->lists.knows_denied,
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

/* A client whose addition is among these changes and failed is not jailed. */
static void hold_back(struct cq_sync *sync, struct cq_plan *plan,
                      const struct cq_jail_change *changes, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const struct cq_wanted *one = changes[i].has_failed
            && changes[i].op == CQ_JAIL_ADD
            ? cq_sync_find_wanted(sync, &changes[i].key) : NULL;

        if (one != NULL) {
            cq_plan_hold_back(plan, (size_t)(one - sync->wanted.entries));
        }
    }
}

static void apply_networks(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    struct cq_plan *plan = &sj->plan;
    struct cq_jail_change *changes = plan->changes + plan->change_n;
    size_t i;

    sj->status = cq_jail_deny(sj->jail, plan->networks, plan->network_n,
                              &sj->why);
    if (has_failed(sync, sj)) {
        for (i = 0; i < plan->network_change_n; i++) {
            changes[i].has_failed = true;
        }
        hold_back(sync, plan, changes, plan->network_change_n);
    }
    cq_sync_report_changes(sync, changes, plan->network_change_n);
}

bool cq_sync_apply(struct cq_sync *sync, struct cq_sync_jail *sj,
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
        hold_back(sync, plan, plan->changes, plan->change_n);
        cq_sync_report_changes(sync, plan->changes, plan->change_n);
    }
    if (plan->network_change_n > 0 && sj->status <= CQ_JAIL_PARTLY) {
        apply_networks(sync, sj);
    }
    return plan->change_n > 0 || plan->network_change_n > 0;
}

/* ---- marks in the table ---- */

static bool is_jailed(const struct cq_sync *sync, const struct cq_wanted *one)
{
    size_t i;

    for (i = 0; one != NULL && i < sync->jail_n; i++) {
        if (sync->jails[i].status <= CQ_JAIL_PARTLY
            && cq_plan_jails(&sync->jails[i].plan,
                             (size_t)(one - sync->wanted.entries))) {
            return true;
        }
    }
    return false;
}

static void report_refused(struct cq_sync *sync, size_t refused_n,
                           const struct cq_key *first)
{
    char text[CQ_KEY_TEXT_SIZE];

    cq_say_state(&sync->say, "refused in the jail", "%zu jailed clients are "
                 "refused by httpd all the same, e.g. %s: no firewall rule "
                 "drops their connections (a rule for another port or hook, "
                 "an address that was translated on its way), or they use "
                 "connections that were open before", refused_n,
                 cq_key_format(first, text, sizeof(text)));
}

/* Clears the marks of all clients that are not jailed, and sets the others'. */
static void mark_all(struct cq_sync *sync)
{
    const struct cq_wanted *first = NULL;
    struct cq_clock clock;
    uint64_t position = 0;
    struct cq_key client;
    size_t i, refused_n = 0;

    cq_table_clock(sync->table, (int64_t)time(NULL), &clock);
    while (cq_table_next_jailed(sync->table, &clock, &position, &client)) {
        if (!is_jailed(sync, cq_wanted_find(&sync->wanted, &client))) {
            (void)cq_table_mark_jailed(sync->table, &client, false);
        }
    }
    for (i = 0; i < sync->wanted.count; i++) {
        const struct cq_wanted *one = &sync->wanted.entries[i];

        if (is_jailed(sync, one)
            && cq_table_mark_jailed(sync->table, &one->key, true)) {
            first = refused_n++ == 0 ? one : first;
        }
    }
    if (first != NULL) {
        report_refused(sync, refused_n, &first->key);
    }
}

/* Those that were added and removed. */
static void mark_changes(struct cq_sync *sync, const struct cq_plan *plan)
{
    size_t i;

    for (i = 0; i < plan->change_n; i++) {
        const struct cq_jail_change *change = &plan->changes[i];
        struct cq_key client = cq_sync_client(sync, &change->key);

        /* what one jail releases, another may hold */
        if (!change->has_failed && change->op != CQ_JAIL_RENEW) {
            (void)cq_table_mark_jailed(sync->table, &client,
                is_jailed(sync, cq_sync_find_wanted(sync, &change->key)));
        }
    }
}

/* The first jail is the one that the page shows. */
static void write_figures(struct cq_sync *sync)
{
    const struct cq_sync_jail *sj = &sync->jails[0];
    const struct cq_jail_contents *f = &sj->contents;
    struct cq_jail_report report = {
        .jailed = (int64_t)cq_plan_jailed_n(&sj->plan),
        .dropped_packets = f->dropped_packets,
        .as_of_s = (int64_t)time(NULL)
    };
    size_t i;

    if (sj->status > CQ_JAIL_PARTLY || !sj->is_planned) {
        return;
    }
    if (f->capacity_v4 >= 0 && f->capacity_v6 >= 0) {
        report.capacity = f->capacity_v4
            + (f->shares_capacity ? 0 : f->capacity_v6);
    }
    snprintf(report.spec, sizeof(report.spec), "%s", cq_jail_spec(sj->jail));
    for (i = 0; i < sync->lists.deny_n; i++) {
        char path[PATH_MAX];

        if (realpath(sync->lists.files[i].path, path) != NULL) {
            cq_jail_report_file(&report, path);
        }
    }
    cq_table_jail_set(sync->table, &report);
}

void cq_sync_mark(struct cq_sync *sync, enum cq_depth depth)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        if (depth == CQ_LOOK && sync->jails[i].is_planned) {
            mark_changes(sync, &sync->jails[i].plan);
        }
        cq_plan_forget_changes(&sync->jails[i].plan);
    }
    if (depth == CQ_FULL) {
        mark_all(sync);
    }
    write_figures(sync);
}
