/* sync - clamquota-sync: source -> plan -> jail. The table's offenders and the
 * lists say what is wanted, a plan is the difference to what a jail holds, and
 * the jail carries it out.
 *
 * Calls run downwards: main -> watch, status -> pass -> jails -> report ->
 * source, lists, plan, memory. One thread. */
#ifndef CQ_SYNC_SYNC_H
#define CQ_SYNC_SYNC_H

#include "cli/attach.h"
#include "sync/memory.h"
#include "sync/plan.h"
#include "sync/source.h"
#include "table/bell.h"

/* a jail, and what is known of it */
struct cq_sync_jail {
    struct cq_jail *jail;
    enum cq_jail_status status; /* of the last attempt to use it */
    struct cq_jail_why why;     /* unless that is CQ_JAIL_OK */
    struct cq_jail_contents contents;   /* valid while it is planned */
    bool is_planned;            /* the plan is of this pass */
    struct cq_plan plan;        /* of the last one; empty after a failure */
    bool is_settled;            /* the plan had nothing to do, nor has the next
                                 * one for the same wanted clients */
};

struct cq_sync {
    const struct cq_sync_options *options;
    FILE *out;                  /* -n, --status */
    struct cq_say say;
    struct cq_memory memory;
    struct cq_table *table;     /* NULL: none */
    struct cq_bell bell;        /* --watch: the table's */
    struct cq_lists lists;
    struct cq_source source;
    struct cq_wanted_list wanted;       /* ordered */
    struct cq_sync_jail *jails;
    size_t jail_n;
    enum cq_exit exit;          /* the worst of this pass */
};

enum cq_depth {
    CQ_LOOK,                    /* only where something has changed */
    CQ_FULL                     /* files, figures, marks, and all that is
                                 * reported */
};

/* ---- pass.c: what every way to run is made of ---- */

/** Parses the jails.
 * @return CQ_EXIT_DONE, else after a sentence */
enum cq_exit cq_sync_open(struct cq_sync *sync,
                          const struct cq_sync_options *options, FILE *out,
                          FILE *err);
void cq_sync_close(struct cq_sync *sync);

/** Takes the lock and remembers what was reported.
 * @param stop  as in cq_memory_lock()
 * @return false: there is nothing to be done; cq_sync_end() says how it
 *         ended */
bool cq_sync_start(struct cq_sync *sync, const volatile sig_atomic_t *stop);

/** Looks at the table that has the name now and, at CQ_FULL, at the lists; and
 * makes the jails' plans. With --flush nothing is wanted.
 * @return false after a sentence: nothing can be done */
bool cq_sync_prepare(struct cq_sync *sync, enum cq_depth depth, int64_t now_s);

/** Carries out the plans and leaves marks and figures in the table. */
void cq_sync_act(struct cq_sync *sync, enum cq_depth depth);

/** Ends a pass: saves what was reported.
 * @return what the pass ends with */
enum cq_exit cq_sync_end(struct cq_sync *sync);

/* ---- jails.c: the jails, and the table's marks of them ---- */

/** Lists the jails, and makes the plans of those that can be used.
 * @param changed  other clients are wanted than at the last plan */
void cq_sync_plan(struct cq_sync *sync, enum cq_depth depth, bool changed);

/** Carries out a jail's plan.
 * @return true: there was something to do */
bool cq_sync_apply(struct cq_sync *sync, struct cq_sync_jail *sj,
                   enum cq_depth depth);

/** Leaves in the table what the page and the tools show: the JAILED marks of
 * the rows, all of them at CQ_FULL, and the figures of the first jail. */
void cq_sync_mark(struct cq_sync *sync, enum cq_depth depth);

/* ---- report.c: lines about clients ---- */

/** What cannot be in a jail, and why: no places, not held. */
void cq_sync_report_plan(struct cq_sync *sync, const struct cq_sync_jail *sj);

/** The first pass on a list that others filled: what it takes out. */
void cq_sync_report_takeover(struct cq_sync *sync,
                             const struct cq_sync_jail *sj);

/** Keeps which lists were taken over: also a pass that comes to no plan must
 * not forget it. */
void cq_sync_keep_takeovers(struct cq_sync *sync);

/** What was done, one line each.
 * @param changes  of the jail's plan, count of them */
void cq_sync_report_changes(struct cq_sync *sync,
                            const struct cq_jail_change *changes,
                            size_t count);

/** Counts removals of the same address running, reports those that others
 * undo each time, and at CQ_LOOK takes them out of the plan: they stay until
 * the next full pass. */
void cq_sync_leave_feuds(struct cq_sync *sync, struct cq_sync_jail *sj,
                         enum cq_depth depth);

/** An element or a network: without the prefix of a single address. */
const char *cq_sync_text(const struct cq_key *key, char *text, size_t size);

/** The client of the table that an element stands for. */
struct cq_key cq_sync_client(const struct cq_sync *sync,
                             const struct cq_key *element);

/** The wanted one that an element or a network stands for, or NULL. */
const struct cq_wanted *cq_sync_find_wanted(const struct cq_sync *sync,
                                            const struct cq_key *key);

/* ---- what the program is started for ---- */

enum cq_exit cq_sync_watch(struct cq_sync *sync);   /* watch.c */
enum cq_exit cq_sync_status(struct cq_sync *sync);  /* status.c */

#endif
