/* once - a single pass, as cron starts it; and --flush. */
#include "sync/sync.h"

#include "table/jail.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* By hand each trouble is reported, whatever an earlier pass said. */
static void begin(struct cq_sync *sync)
{
    sync->say.repeats = sync->say.verbose || sync->options->dry_run
        || isatty(fileno(sync->say.err)) != 0;
}

enum cq_exit cq_sync_once(struct cq_sync *sync)
{
    const struct cq_sync_options *o = sync->options;
    enum cq_attach_access access = o->dry_run ? CQ_ATTACH_READ
                                              : CQ_ATTACH_WRITE;
    bool changed;

    begin(sync);
    if (!o->dry_run) {
        switch (cq_memory_lock(&sync->memory, o->state, !o->has_own_state,
                               false, &sync->say)) {
        case CQ_LOCK_HELD:
            cq_memory_load(&sync->memory, o->state, &sync->say);
            break;
        case CQ_LOCK_NONE:
            break;
        case CQ_LOCK_BUSY:
        case CQ_LOCK_INTERRUPTED:
            cq_say_note(&sync->say, "another clamquota-sync is at work with "
                        "%s", o->state);
            return CQ_EXIT_DONE;
        case CQ_LOCK_REFUSED:
            cq_sync_failed(sync, CQ_EXIT_NOT_PERMITTED);
            /* a missing table comes first in the order of exit codes */
            (void)cq_sync_attach(sync, CQ_ATTACH_READ);
            return sync->exit;
        }
    }
    if (cq_sync_attach(sync, access)) {
        cq_sync_read_lists(sync, true);
        if (cq_sync_gather(sync, (int64_t)time(NULL), &changed)) {
            cq_sync_plan(sync, CQ_FULL, true);
            if (o->dry_run) {
                cq_sync_print(sync);
            }
            else {
                cq_sync_apply(sync, CQ_FULL);
            }
        }
    }
    return cq_sync_end(sync);
}

/* ---- --flush ---- */

/* Plans to remove all that is not the operator's. */
static bool plan_removals(struct cq_sync_jail *sj)
{
    struct cq_plan_input in = { .capacity_v4 = -1, .capacity_v6 = -1 };

    sj->status = cq_jail_list(sj->jail, &sj->contents, &sj->why);
    if (sj->status != CQ_JAIL_OK) {
        return false;
    }
    in.present = sj->contents.elements;
    in.present_n = sj->contents.element_n;
    return cq_plan_make(&in, &sj->plan);
}

static void flush_one(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    const char *spec = cq_jail_spec(sj->jail);

    sj->is_planned = plan_removals(sj);
    if (sj->is_planned && !sync->options->dry_run) {
        sj->status = cq_jail_apply(sj->jail, sj->plan.changes,
                                   sj->plan.change_n, &sj->why);
        if (sj->status == CQ_JAIL_OK) {
            sj->status = cq_jail_deny(sj->jail, NULL, 0, &sj->why);
        }
        if (sj->status == CQ_JAIL_OK) {
            cq_say_info(&sync->say, "%s is empty now, but for %zu addresses "
                        "without a time-out or with a long one", spec,
                        sj->plan.operators_n);
        }
    }
    if (sj->status != CQ_JAIL_OK || !sj->is_planned) {
        cq_say_trouble(&sync->say, "%s", sj->status != CQ_JAIL_OK
                       ? sj->why.text : "out of memory");
        cq_sync_failed(sync, (enum cq_exit)sj->status);
    }
}

/* A table that is missing keeps no jail from being emptied. */
static void forget_marks(struct cq_sync *sync)
{
    struct cq_jail_report report;
    struct cq_clock clock;
    uint64_t position = 0;
    char why[CQ_WHY_SIZE];
    struct cq_key client;

    if (cq_attach_open(sync->options->table, CQ_ATTACH_WRITE, &sync->table,
                       why, sizeof(why)) != CQ_EXIT_DONE
        || !cq_table_is_writable(sync->table)) {
        return;
    }
    cq_table_clock(sync->table, (int64_t)time(NULL), &clock);
    while (cq_table_next_jailed(sync->table, &clock, &position, &client)) {
        (void)cq_table_mark_jailed(sync->table, &client, false);
    }
    if (cq_table_jail(sync->table, &report)) {
        report.jailed = 0;
        report.as_of_s = clock.now_s;
        cq_table_jail_set(sync->table, &report);
    }
}

enum cq_exit cq_sync_flush(struct cq_sync *sync)
{
    const struct cq_sync_options *o = sync->options;
    enum cq_lock lock = CQ_LOCK_NONE;
    size_t i;

    begin(sync);
    if (!o->dry_run) {
        lock = cq_memory_lock(&sync->memory, o->state, !o->has_own_state,
                              false, &sync->say);
    }
    if (lock == CQ_LOCK_BUSY) {
        cq_say_trouble(&sync->say, "another clamquota-sync is at work with %s "
                       "and would fill the jails again: stop it first",
                       o->state);
        return CQ_EXIT_PARTLY;
    }
    if (lock == CQ_LOCK_REFUSED) {
        return CQ_EXIT_NOT_PERMITTED;
    }
    for (i = 0; i < sync->jail_n; i++) {
        flush_one(sync, &sync->jails[i]);
    }
    if (o->dry_run) {
        cq_sync_print(sync);
    }
    else {
        forget_marks(sync);
    }
    return cq_sync_end(sync);
}
