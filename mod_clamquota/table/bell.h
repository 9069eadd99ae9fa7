/* bell - how a tool learns of offenders at once, without asking.
 *
 * The module rings (layout.h shows it) for each refusal of a client whose
 * refusals have reached the number that the watcher set. A watcher:
 *
 *     cq_bell_open(); then for ever:
 *         cq_bell_watch(now + some minutes)
 *         while ((ring = cq_bell_next(&row)) == CQ_RING_ROW)  look at the row
 *         if (ring == CQ_RING_MISSED)                      look at all rows
 *         cq_bell_wait(until something is due)
 *
 * One process watches a table; two would each miss rings. A watcher that dies
 * counts as one until its until_s. */
#ifndef CQ_BELL_H
#define CQ_BELL_H

#include "table/table.h"

struct cq_bell {
    struct cq_table *table;     /* NULL: closed; all zero bytes are */
    uint32_t heard;             /* places of the ring taken so far */
};

/** Opens the bell of a table, which outlives it. Rings from now on are heard.
 * @return CQ_OK; CQ_EACCES: the table is not attached writable */
enum cq_status cq_bell_open(struct cq_bell *bell, struct cq_table *table);

/** Starts or renews watching.
 * @param after    ring for a client from this number of refusals on, counted
 *                 since it is over quota; >= 1
 * @param until_s  unix second at which watching ends unless it is renewed */
void cq_bell_watch(struct cq_bell *bell, uint32_t after, int64_t until_s);

enum cq_ring {
    CQ_RING_NONE = 0,           /* nothing new */
    CQ_RING_ROW,                /* this row was refused */
    CQ_RING_MISSED              /* more rang than the ring holds: any row */
};

/** Takes what rang next. After CQ_RING_MISSED it goes on with the newest. */
enum cq_ring cq_bell_next(struct cq_bell *bell, uint32_t *row);

/** Sleeps until it rings, a signal comes or the time-out ends; returns at once
 * if it rang since the last cq_bell_next() that said CQ_RING_NONE.
 * @param timeout_ms  >= 0 */
void cq_bell_wait(struct cq_bell *bell, int timeout_ms);

/** Ends watching. A closed bell stays closed. */
void cq_bell_close(struct cq_bell *bell);

#endif
