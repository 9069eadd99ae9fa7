/* options - the command line of clamquota-sync. */
#ifndef CQ_SYNC_OPTIONS_H
#define CQ_SYNC_OPTIONS_H

#include "core/paths.h"
#include "sync/keys.h"

#include <stdio.h>

#define OPTIONS_TABLE CQ_TABLE_PATH
#define OPTIONS_STATE CQ_STATE_DIR "/clamquota-sync.state"
#define OPTIONS_JAIL "recent:DenyAccessClamAV"
#define OPTIONS_LEASE_S 3600

/* how often each of the options that may be repeated is taken */
#define OPTIONS_LIST_MAX 64

struct options_list {
    const char *texts[OPTIONS_LIST_MAX];    /* of argv, or static */
    size_t count;
};

struct options {
    bool dry_run;               /* -n */
    bool verbose;               /* -v */
    bool watch;
    bool status;
    bool json;
    bool flush;
    const char *table;
    const char *state;
    bool own_state;             /* --state was given */
    struct options_list jails;  /* never empty */
    struct options_list pools;  /* empty: all */
    struct options_list deny_files;
    struct options_list never_files;
    struct key_list never;      /* ordered */
    int64_t after;              /* >= 1 */
    int64_t grace_s;            /* >= 0 */
    int64_t lease_s;            /* >= 1 */
};

enum options_result {
    OPTIONS_RUN,
    OPTIONS_DONE,               /* --help or --version: printed */
    OPTIONS_WRONG               /* one sentence was said; exit 2 */
};

/** Reads the command line; defaults for what it doesn't say.
 * @param argv  its order may be changed (getopt)
 * @param out   gets --help and --version
 * @param err   gets the sentence */
enum options_result options_read(struct options *options, int argc,
                                 char **argv, FILE *out, FILE *err);

void options_free(struct options *options);

#endif
