/* marks - leaves in the table what the page and the tools show: the JAILED
 * mark of each row, and the figures of the first jail. */
#include "sync/sync.h"

#include "table/jail.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

static bool is_jailed(const struct cq_sync *sync, size_t wanted)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        if (sync->jails[i].status <= CQ_JAIL_PARTLY
            && cq_plan_jails(&sync->jails[i].plan, wanted)) {
            return true;
        }
    }
    return false;
}

/* Clears the marks of all clients that are not jailed, and sets the others'.
 * Counts those that are refused all the same. */
static void mark_all(struct cq_sync *sync)
{
    struct cq_clock clock;
    uint64_t position = 0;
    struct cq_key client;
    size_t i;

    cq_table_clock(sync->table, (int64_t)time(NULL), &clock);
    while (cq_table_next_jailed(sync->table, &clock, &position, &client)) {
        const struct cq_wanted *wanted = cq_wanted_find(&sync->wanted,
                                                        &client);

        if (wanted == NULL
            || !is_jailed(sync, (size_t)(wanted - sync->wanted.entries))) {
            (void)cq_table_mark_jailed(sync->table, &client, false);
        }
    }
    sync->refused_n = 0;
    for (i = 0; i < sync->wanted.count; i++) {
        if (is_jailed(sync, i)
            && cq_table_mark_jailed(sync->table,
                                    &sync->wanted.entries[i].client, true)
            && sync->refused_n++ == 0) {
            sync->refused = sync->wanted.entries[i].client;
        }
    }
}

/* Between full passes: those that were added and removed. */
static void mark_changes(struct cq_sync *sync, const struct cq_sync_jail *sj)
{
    size_t i;

    for (i = 0; sj->is_planned && i < sj->plan.change_n; i++) {
        const struct cq_jail_change *change = &sj->plan.changes[i];
        struct cq_key client = cq_sync_client(sync, &change->key);

        if (!change->has_failed && change->op != CQ_JAIL_RENEW) {
            (void)cq_table_mark_jailed(sync->table, &client,
                                       change->op == CQ_JAIL_ADD);
        }
    }
}

static void report_refused(struct cq_sync *sync)
{
    char text[CQ_KEY_TEXT_SIZE];

    if (sync->refused_n > 0) {
        cq_say_state(&sync->say, "refused in the jail", "%zu jailed clients "
                     "are refused by httpd all the same, e.g. %s: no firewall "
                     "rule drops their connections (a rule for another port "
                     "or hook, an address that was translated on its way), or "
                     "they use connections that were open before",
                     sync->refused_n,
                     cq_key_format(&sync->refused, text, sizeof(text)));
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

void cq_sync_mark(struct cq_sync *sync, enum cq_depth depth, bool changed)
{
    size_t i;

    if (depth == CQ_FULL) {
        mark_all(sync);
        report_refused(sync);
    }
    else {
        for (i = 0; i < sync->jail_n; i++) {
            mark_changes(sync, &sync->jails[i]);
        }
    }
    if (changed || depth == CQ_FULL) {
        write_figures(sync);
    }
}
