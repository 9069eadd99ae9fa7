/* sync - one pass: who is wanted, what is in the jails, what has to change.
 *
 * gather.c asks the table and the lists, pass.c deals with the jails; once.c,
 * watch.c and status.c are what the program is started for. One thread. */
#ifndef CQ_SYNC_SYNC_H
#define CQ_SYNC_SYNC_H

#include "sync/jail.h"
#include "sync/options.h"
#include "sync/source.h"
#include "sync/state.h"

/* what the program ends with: the contract's numbers */
enum sync_exit {
    SYNC_DONE = 0,
    SYNC_PARTLY = 1,
    SYNC_USAGE = 2,
    SYNC_MISSING = 3,
    SYNC_NOT_PERMITTED = 4,
    SYNC_READ_ONLY = 5,
    SYNC_NO_TABLE = 6
};

/* a jail and what this pass knows of it */
struct sync_jail {
    struct jail *jail;
    bool open;
    enum jail_status status;    /* of opening and listing it */
    struct jail_why why;        /* unless that is JAIL_OK */
    bool listed;                /* listing and figures are of this pass, or
                                 * of an earlier one and kept up */
    struct jail_listing listing;
    struct jail_figures figures;
    struct wanted_list wanted;  /* whom it can hold */
    size_t unheld_n;            /* wanted, and it can't */
    struct cq_key unheld;       /* the first of them */
    const char *unheld_why;     /* its reason; static */
    bool planned;
    struct plan plan;
    bool settled;               /* the last plan had nothing to do: nor has
                                 * the next one for the same wanted */
    int64_t planned_s;          /* when that was */
};

struct sync {
    const struct options *options;
    FILE *out;                  /* -n, -v, --status */
    struct say say;
    struct state state;
    struct source source;
    struct sync_jail *jails;
    size_t jail_n;
    struct cq_net_list never;   /* sealed: lists, options, own addresses */
    struct key_list never_keys; /* what it was made of */
    struct wanted_list wanted;  /* ordered */
    size_t special_n;           /* addresses that were left out of it */
    bool new_lists;             /* they say something else than when wanted
                                 * was made */
    bool hold;                  /* nobody new is jailed: we don't know who
                                 * must not be, or can't write down who is */
    enum sync_exit exit;        /* the worst of this pass */
    uint64_t said_sum;          /* of the lines that the state file holds */
};

/** Makes the jails out of the options.
 * @return SYNC_DONE, or SYNC_USAGE after a sentence */
enum sync_exit sync_setup(struct sync *sync, const struct options *options,
                          FILE *out, FILE *err);

void sync_free(struct sync *sync);

/** Remembers what went wrong; of several the first in the contract's order:
 * 2, 6, 4, 5, 3, 1. */
void sync_failed(struct sync *sync, enum sync_exit exit);

/** Takes the lock and reads the state; to be asked for only once.
 * @param read_only  -n, --status: no lock, and a state that we may not read
 *                   is an empty one
 * @return STATE_OK or STATE_BUSY; else after a sentence, with sync_failed() */
enum state_result sync_load(struct sync *sync, bool read_only);

/** Begins a pass: nothing has failed, all may be said. */
void sync_begin(struct sync *sync);

/** Ends it: saves the state if anything in it has changed.
 * @return what the pass ends with */
enum sync_exit sync_end(struct sync *sync);

/** Saves the state if it is not what the file holds.
 * @return false after a sentence */
bool sync_save(struct sync *sync);

/* ---- gather.c ---- */

/** Maps the table unless the one that is mapped still has the name.
 * @return false after a sentence, with sync_failed() */
bool sync_attach(struct sync *sync);

/** Reads the lists of files, and who is never jailed. */
void sync_read_lists(struct sync *sync);

/** Fills sync->wanted from the table and the lists that were read.
 * @return false: the table went away meanwhile, or there is no memory */
bool sync_gather(struct sync *sync, int64_t now_s);

/* ---- pass.c ---- */

/** Makes the plan of every jail that can be opened and listed.
 * @param to_write  what the jails are opened for
 * @param relist    false: what they listed last, with what we changed since,
 *                  is good enough */
void sync_plan(struct sync *sync, int64_t now_s, bool to_write, bool relist);

/** Notes what is about to be ours, then carries out the plans. */
void sync_apply(struct sync *sync, int64_t now_s);

/** The next plans are made anew: who is wanted is not what it was. */
void sync_unsettle(struct sync *sync);

/** Prints what the plans would do: -n. */
void sync_print(const struct sync *sync);

/** An address as this jail gets it. */
const char *sync_key_text(const struct sync_jail *sj,
                          const struct cq_key *key, char *text, size_t size);

/* ---- what the program is started for ---- */

enum sync_exit sync_once(struct sync *sync);        /* once.c */
enum sync_exit sync_flush(struct sync *sync);       /* once.c */
enum sync_exit sync_watch(struct sync *sync);       /* watch.c */
enum sync_exit sync_status(struct sync *sync);      /* status.c */

#endif
