/* select - the best rows of many, in bounded memory.
 *
 * Knows rows only as plain data and reads no table, so that it can be tried
 * with any rows. */
#ifndef CQ_SELECT_H
#define CQ_SELECT_H

#include "render/view.h"
#include "table/table.h"

/* a heap whose root is the worst of those kept */
struct cq_select {
    struct cq_row *rows;    /* the caller's, room for limit rows */
    size_t limit;
    size_t count;
    enum cq_sort sort;
};

/** Starts with no rows.
 * @param rows   room for limit rows; may be NULL when limit is 0 */
void cq_select_begin(struct cq_select *select, struct cq_row *rows,
                     size_t limit, enum cq_sort sort);

/** Would the row be among the best so far? */
bool cq_select_wants(const struct cq_select *select, const struct cq_row *row);

/** Keeps the row if it is among the best so far. */
void cq_select_offer(struct cq_select *select, const struct cq_row *row);

/** Sorts the rows that were kept, the best first; no more offers then. */
void cq_select_finish(struct cq_select *select);

/** Which row comes first: the larger by sort, then the smaller key, then the
 * smaller pool. Negative: a; 0 only for two rows of one client and pool. */
int cq_select_compare(enum cq_sort sort, const struct cq_row *a,
                      const struct cq_row *b);

#endif
