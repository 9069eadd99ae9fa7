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
#include "core/offence.h"
#include "sync/wanted.h"
#include "table/rules.h"

/* A row that was looked at. As long as its words stay, the answer does, unless
 * time changes it. */
struct cq_seen {
    struct cq_row_words words;
    uint32_t row;
    uint8_t offence;            /* enum cq_offence */
    uint8_t spared;             /* enum cq_spared, of an offender */
};

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
    bool valid;                 /* all below is of the last full look */
    struct cq_seen *seen;       /* rows over quota, in the table's order */
    size_t seen_n;
    size_t seen_capacity;
    struct cq_rules rules;
    struct cq_clock clock;
    bool counts_pool[CQ_POOLS_MAX];
    int64_t due_s;              /* when the first client inside of --grace will
                                 * have been over quota for that long; 0: there
                                 * is none */
};

/** Looks at all rows and appends each offender that is not spared, in any
 * order, several times if it is one in several pools.
 * @return CQ_OK; CQ_ENOMEM */
enum cq_status cq_source_scan(struct cq_source *source, int64_t now_s,
                              struct cq_wanted_list *list);

/** Would cq_source_scan() name the same clients as it did last, with other
 * figures perhaps? Much cheaper, for the usual case that nothing happened. A
 * row of the same client in another pool is not asked again. */
bool cq_source_is_unchanged(struct cq_source *source, int64_t now_s);

/** Judges one row, e.g. one that rang.
 * @param wanted  result, if it is an offender that is not spared
 * @return true if so */
bool cq_source_row(struct cq_source *source, uint32_t row, int64_t now_s,
                   struct cq_wanted *wanted);

/** Why a client is not jailed (any more), as a clause: "is not over quota".
 * For a line about its release. */
const char *cq_source_reason(struct cq_source *source,
                             const struct cq_key *client, int64_t now_s);

/** The name of a pool, valid until the next look. */
const char *cq_source_pool(const struct cq_source *source, uint16_t pool);

/** The next client of the last look that is not jailed although it was
 * refused often enough.
 * @param at   0 to begin; updated
 * @param why  result: a clause that says why not
 * @return false at the end */
bool cq_source_next_spared(const struct cq_source *source, size_t *at,
                           struct cq_key *client, const char **why);

/** Forgets the last look: the next one is a full one. */
void cq_source_forget(struct cq_source *source);

#endif
