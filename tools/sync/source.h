/* source - the table's offenders, by core/offence and the rules that the
 * configuration in force has for them: a jailed client makes no request that
 * would decide its row anew.
 *
 * The table is written by httpd's children and may hold noise: a row is
 * believed if its address hashes to its identity and has the prefix of a
 * client. Use the result only if the table is current afterwards
 * (cli/attach.h). One thread. */
#ifndef CQ_SYNC_SOURCE_H
#define CQ_SYNC_SOURCE_H

#include "cli/say.h"
#include "sync/lists.h"
#include "sync/options.h"
#include "sync/wanted.h"
#include "table/rules.h"

/* a clause about a client; longer ones are cut */
#define CQ_SOURCE_CLAUSE_SIZE 256

/* All zero bytes, but for the pointers: nothing was looked at. */
struct cq_source {
    struct cq_table *table;     /* the caller's, as all three */
    const struct cq_sync_options *options;
    const struct cq_lists *lists;
    struct cq_rules rules;
    struct cq_clock clock;
    bool counts_pool[CQ_POOLS_MAX];
    uint64_t sum;               /* of rules, day and rows over quota at the
                                 * last scan; 0: none */
    int64_t due_s;              /* when the first client inside of --grace will
                                 * have been over quota for that long; 0: there
                                 * is none */
};

/** Looks at all rows and appends each offender that is not spared, in any
 * order, several times if it is one in several pools.
 * @param say  reports with -v which clients are left out, and why; may be NULL
 * @return CQ_OK; CQ_ENOMEM */
enum cq_status cq_source_scan(struct cq_source *source, int64_t now_s,
                              struct cq_wanted_list *list,
                              struct cq_say *say);

/** Is all as it was at the last scan, which would name the same clients? Much
 * cheaper, for the usual case that nothing happened. */
bool cq_source_is_unchanged(struct cq_source *source, int64_t now_s);

/** Reports names of --pool that the table does not have: one that is misspelled
 * would jail no client. After a scan. */
void cq_source_check_pools(const struct cq_source *source,
                           struct cq_say *say);

/** Says why a client is jailed, or is not (any more), as a clause: "it is not
 * over quota". For a line about it. */
void cq_source_explain(struct cq_source *source, const struct cq_key *client,
                       int64_t now_s, char clause[CQ_SOURCE_CLAUSE_SIZE]);

/** Forgets the last scan. */
void cq_source_forget(struct cq_source *source);

#endif
