/* wanted - the list of clients and networks that should be jailed: offenders
 * of the table, and what deny files name. */
#ifndef CQ_SYNC_WANTED_H
#define CQ_SYNC_WANTED_H

#include "core/key.h"

/* where a line of a file stands */
struct cq_source_line {
    uint32_t file;              /* 1 + index of the deny file; 0: no line, an
                                 * offender of the table */
    uint32_t line;              /* from 1 */
};

struct cq_wanted {
    struct cq_key client;       /* or a network */
    uint16_t pool;              /* of an offender */
    uint32_t refusals;          /* since it is over quota */
    struct cq_source_line from;
    /* Rank where places are short: deny files first, then the largest excess,
     * then the last hit, then by address. */
    int64_t excess_bytes;
    int64_t last_hit_s;
    int64_t over_since_s;
};

/* All zero bytes: empty. */
struct cq_wanted_list {
    struct cq_wanted *entries;  /* malloc'd; cq_wanted_free() */
    size_t count;
    size_t capacity;
};

/** Appends one, in any order.
 * @return false: out of memory */
bool cq_wanted_add(struct cq_wanted_list *list,
                   const struct cq_wanted *wanted);

/** Puts a list in the order of cq_key_compare() and joins equal keys. */
void cq_wanted_finish(struct cq_wanted_list *list);

/** The entry of a key in an ordered list, or NULL. */
const struct cq_wanted *cq_wanted_find(const struct cq_wanted_list *list,
                                       const struct cq_key *client);

void cq_wanted_free(struct cq_wanted_list *list);

#endif
