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

#include "cli/options.h"
#include "cli/say.h"
#include "core/offence.h"
#include "sync/wanted.h"
#include "table/rules.h"

struct cq_source_terms {
    struct cq_offence_limits limits;
    const struct cq_texts *pools;       /* count 0: all */
    const struct cq_net_list *own;      /* sealed */
    const struct cq_net_list *never;    /* sealed */
};

/* All zero bytes: nothing was looked at. */
struct cq_source {
    struct cq_table *table;     /* the caller's */
    struct cq_source_terms terms;
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

/** Why a client is not jailed (any more), as a clause: "is not over quota".
 * For a line about its release. */
const char *cq_source_reason(struct cq_source *source,
                             const struct cq_key *client, int64_t now_s);

/** The name of a pool, valid until the next look. */
const char *cq_source_pool(const struct cq_source *source, uint16_t pool);

/** Forgets the last scan. */
void cq_source_forget(struct cq_source *source);

#endif
