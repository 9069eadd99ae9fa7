/* sync - clamquota-sync: which clients are wanted, what is in the jails, and
 * what has to change.
 *
 * Calls run downwards: main -> once, watch, status -> apply, jails, gather ->
 * frame -> lists, source, plan, memory. One thread. */
#ifndef CQ_SYNC_SYNC_H
#define CQ_SYNC_SYNC_H

#include "cli/attach.h"
#include "sync/lists.h"
#include "sync/memory.h"
#include "sync/options.h"
#include "sync/plan.h"
#include "sync/source.h"

/* An element that others put back after each removal. */
struct cq_feud {
    struct cq_key key;
    int64_t at_s;               /* of the last removal, monotonic */
    int removals;               /* without a pause */
};

/* removals that are watched for being undone; of more, none are */
#define CQ_FEUDS_MAX 256

/* a jail, and what is known of it */
struct cq_sync_jail {
    struct cq_jail *jail;
    bool is_open;
    enum cq_jail_status status; /* of the last attempt to use it */
    struct cq_jail_why why;     /* unless that is CQ_JAIL_OK */
    bool has_figures;
    struct cq_jail_figures figures;
    struct cq_jail_contents contents;
    bool is_planned;            /* what follows is of this pass */
    struct cq_plan plan;
    struct cq_key *networks;    /* of deny files, that it is to hold */
    size_t network_n;
    struct cq_jail_change *network_changes;     /* against what it holds */
    size_t network_change_n;
    size_t network_not_held_n;
    struct cq_key network_not_held;     /* the first of them */
    const char *network_why;    /* why not; static */
    bool is_settled;            /* the plan had nothing to do, nor has the next
                                 * one for the same wanted clients */
    struct cq_feud feuds[CQ_FEUDS_MAX];
    size_t feud_n;
};

struct cq_sync {
    const struct cq_sync_options *options;
    FILE *out;                  /* -n, --status */
    struct cq_say say;
    struct cq_memory memory;
    struct cq_table *table;     /* NULL: none */
    struct cq_lists lists;
    struct cq_source source;
    struct cq_net_list own;     /* sealed */
    struct cq_net_list never;   /* sealed: options and files */
    bool knows_own;
    struct cq_wanted_list wanted;       /* ordered */
    struct cq_wanted_list networks;     /* of deny files, not spared; ordered
                                         * by cq_key_compare() */
    size_t spared_n;            /* addresses of deny files that are spared */
    bool has_new_lists;         /* not what wanted was made of */
    bool has_marked;            /* the marks in the table are of this process */
    size_t refused_n;           /* jailed, and refused all the same */
    struct cq_key refused;      /* the first of them */
    struct cq_sync_jail *jails;
    size_t jail_n;
    enum cq_exit exit;          /* the worst of this pass */
};

/* ---- frame.c: what every way to run begins and ends with ---- */

/** Parses the jails.
 * @return CQ_EXIT_DONE, else after a sentence */
enum cq_exit cq_sync_open(struct cq_sync *sync,
                          const struct cq_sync_options *options, FILE *out,
                          FILE *err);
void cq_sync_close(struct cq_sync *sync);

/** Remembers what went wrong. */
void cq_sync_failed(struct cq_sync *sync, enum cq_exit exit);

/** Maps the table; none is mapped.
 * @return false after a sentence */
bool cq_sync_attach(struct cq_sync *sync, enum cq_attach_access access);

/** Unmaps it, e.g. one that is not current any more. */
void cq_sync_detach(struct cq_sync *sync);

/** Begins a pass: nothing has failed yet.  */
void cq_sync_begin(struct cq_sync *sync);

/** Ends it: saves what was reported.
 * @return what the pass ends with */
enum cq_exit cq_sync_end(struct cq_sync *sync);

/* ---- gather.c: which clients are wanted ---- */

/** Reads this machine's addresses, the never and the deny files.
 * @param waits  as in cq_lists_read() */
void cq_sync_read_lists(struct cq_sync *sync, bool waits);

/** Fills in sync->wanted and sync->networks from the table and the lists.
 * @param changed  result: they are not what they were
 * @return false: the table went away meanwhile, or there is no memory; after a
 *         sentence */
bool cq_sync_gather(struct cq_sync *sync, int64_t now_s, bool *changed);

/** Adds the clients of rows that rang to sync->wanted.
 * @param added  result: at least one was not wanted before
 * @return false: the table went away meanwhile, or there is no memory */
bool cq_sync_add_rows(struct cq_sync *sync, const uint32_t *rows, size_t n,
                      int64_t now_s, bool *added);

/* ---- jails.c: what is in the jails, and what has to change ---- */

enum cq_depth {
    CQ_LOOK,                    /* only where something has changed */
    CQ_FULL                     /* figures, marks, and all that is reported */
};

/** Opens and lists the jails, and makes the plans of those that can be used.
 * @param changed  other clients are wanted than at the last plan */
void cq_sync_plan(struct cq_sync *sync, enum cq_depth depth, bool changed);

/* ---- apply.c ---- */

/** Carries out the plans, and notes in the table what is jailed. */
void cq_sync_apply(struct cq_sync *sync, enum cq_depth depth);

/** Prints what the plans would do: -n. */
void cq_sync_print(const struct cq_sync *sync);

/** CLOCK_MONOTONIC, which the jails' elements count in. */
int64_t cq_sync_now_s(void);

/** An element or a network: without the prefix of a single address. */
const char *cq_sync_text(const struct cq_key *key, char *text, size_t size);

/* ---- what the program is started for ---- */

enum cq_exit cq_sync_once(struct cq_sync *sync);        /* once.c: also -n */
enum cq_exit cq_sync_flush(struct cq_sync *sync);       /* once.c */
enum cq_exit cq_sync_watch(struct cq_sync *sync);       /* watch.c */
enum cq_exit cq_sync_status(struct cq_sync *sync);      /* status.c */

#endif
