/* wanted - the list of clients and networks that should be jailed: offenders
 * of the table, and what deny files name. */
#ifndef CQ_SYNC_WANTED_H
#define CQ_SYNC_WANTED_H

#include "core/key.h"

/* There may be a hundred thousand: 32 bytes. A report asks the table for more
 * (cq_source_explain()). */
struct cq_wanted {
    struct cq_key key;          /* of a client, or a network */
    uint16_t file;              /* 1 + index of the deny file that names it; 0:
                                 * an offender of the table */
    union {
        uint32_t line;          /* of that file */
        uint32_t last_hit_s;    /* of an offender, unix seconds */
    };
    int64_t excess_bytes;       /* of an offender, over its allowance */
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

/** Puts a list in the order of cq_key_compare() and joins equal keys: a line
 * of a deny file is the reason, and of several pools the worst counts. */
void cq_wanted_finish(struct cq_wanted_list *list);

/** The entry of a key in an ordered list, or NULL. */
const struct cq_wanted *cq_wanted_find(const struct cq_wanted_list *list,
                                       const struct cq_key *key);

/** Rank where places are short: deny files first, then the largest excess, then
 * the last hit, then by address. Below 0: `a` ranks before `b`. */
int cq_wanted_compare_rank(const struct cq_wanted *a,
                           const struct cq_wanted *b);

void cq_wanted_free(struct cq_wanted_list *list);

#endif
