/* source - the table's offenders.
 *
 * The table is written by httpd's children and may be replaced, cut short or
 * filled with noise by whoever can write there: it is mapped read-only, a
 * file that shrinks under the mapping (SIGBUS) ends a look at it and nothing
 * else, and whose address must never be jailed is not taken from it. One
 * thread. */
#ifndef CQ_SYNC_SOURCE_H
#define CQ_SYNC_SOURCE_H

#include "core/offence.h"
#include "sync/plan.h"
#include "table/rules.h"
#include "table/tablefile.h"

#include <sys/types.h>

/* A row that was looked at. As long as its words stay, so does the answer,
 * unless time makes one of it. */
struct source_seen {
    struct cq_row_words words;
    uint32_t row;
    bool offender;
    bool recent;                /* will be one when --grace is over */
};

/* all that a list of offenders was made of */
struct source_look {
    bool valid;
    struct source_seen *seen;   /* rows of who is over, in the table's order */
    size_t seen_n;
    size_t seen_capacity;
    struct cq_rules rules;
    uint16_t period_id;
    int day;
    int64_t now_s;
};

struct source {
    struct cq_table *table;     /* NULL: not attached */
    const char *path;           /* the caller's */
    dev_t dev;                  /* of the file that is mapped */
    ino_t ino;
    struct source_look look;    /* the last source_offenders() */
};

/* who is wanted, and what the looks at the rows told beside it */
struct wanted_list {
    struct plan_wanted *entries;    /* malloc'd; wanted_free() */
    size_t count;
    size_t capacity;
    int64_t due_s;              /* when the first client that is inside of
                                 * --grace will have been over for so long;
                                 * 0: there is none */
};

struct source_terms {
    struct cq_offence_limits limits;
    const char *const *pools;   /* names; those of pools that don't exist
                                 * match nothing */
    size_t pool_n;              /* 0: all pools */
};

/** Maps the table.
 * @param why  on failure one sentence
 * @return as cq_tablefile_attach() */
enum cq_status source_attach(struct source *source, const char *path,
                             char *why, size_t why_size);

/** Does the path still name the file that is mapped? */
bool source_is_named(const struct source *source);

void source_detach(struct source *source);

/** Appends each offender, in any order, several times if it is one in several
 * pools.
 * @return CQ_OK; CQ_ECORRUPT: the file became shorter meanwhile, detach it;
 *         CQ_ENOMEM */
enum cq_status source_offenders(struct source *source,
                                const struct source_terms *terms,
                                int64_t now_s, struct wanted_list *list);

/** Would source_offenders() name the same clients as it did last? Their
 * figures may have changed. Much cheaper, for the usual case that nothing has
 * happened. What a row of the same client in another pool tells is not asked
 * again.
 * @param terms  those of that time
 * @param due_s  as in struct wanted_list; only if true */
bool source_is_same(struct source *source, const struct source_terms *terms,
                    int64_t now_s, int64_t *due_s);

/** Appends the client of one row that rang, if it is an offender. */
enum cq_status source_row(struct source *source,
                          const struct source_terms *terms, int64_t now_s,
                          uint32_t row, struct wanted_list *list);

/** Is there a pool of this name?
 * @param names  result for a sentence: all names, "a, b"; may be NULL */
bool source_has_pool(const struct source *source, const char *name,
                     char *names, size_t size);

/** Runs a function that touches a mapped file; not nested.
 * @return false: the file ended before its mapping did (SIGBUS), and work was
 *         left where it was */
bool source_guarded(void (*work)(void *data), void *data);

/** Appends one.
 * @return false: out of memory */
bool wanted_add(struct wanted_list *list, const struct plan_wanted *wanted);

/** Puts a list in order, joins what stands twice, leaves out special
 * addresses (special.h).
 * @return how many of those there were */
size_t wanted_finish(struct wanted_list *list);

void wanted_free(struct wanted_list *list);

#endif
