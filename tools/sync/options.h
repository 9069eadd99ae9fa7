/* options - the command line of clamquota-sync. */
#ifndef CQ_SYNC_OPTIONS_H
#define CQ_SYNC_OPTIONS_H

#include "cli/options.h"
#include "core/paths.h"

#define CQ_SYNC_STATE CQ_RUN_DIR "/clamquota-sync/state"
#define CQ_SYNC_JAIL "recent:DenyAccessClamAV"
#define CQ_SYNC_LEASE_S 3600

struct cq_sync_options {
    bool dry_run;               /* -n */
    bool verbose;               /* -v */
    bool watch;
    bool status;
    bool json;
    bool flush;
    const char *table;
    const char *state;
    struct cq_texts jails;      /* never empty */
    struct cq_texts pools;      /* empty: all */
    struct cq_texts deny_files;
    struct cq_texts never_files;
    struct cq_net_list never;   /* not sealed */
    int64_t after;              /* >= 1 */
    int64_t grace_s;            /* >= 0 */
    int64_t lease_s;            /* >= 1 */
};

/** Reads the command line; defaults for what it does not say.
 * @param argv  its order may be changed
 * @param out   gets --help and --version
 * @param err   gets the sentence */
enum cq_options_result cq_sync_options_read(struct cq_sync_options *options,
                                            int argc, char **argv, FILE *out,
                                            FILE *err);

void cq_sync_options_free(struct cq_sync_options *options);

#endif
