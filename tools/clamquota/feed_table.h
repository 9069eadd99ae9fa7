/* feed_table - the table in the hands of clamquota feed: opened and kept as
 * httpd's parent does, with one pool and one policy. Private to feed. */
#ifndef CQ_CLAMQUOTA_FEED_TABLE_H
#define CQ_CLAMQUOTA_FEED_TABLE_H

#include "cli/exit.h"
#include "table/tablefile.h"

#include <stdio.h>

struct cq_feed_table {
    /* what is wanted, set by the caller */
    const char *path;
    int64_t clients_n;          /* 0: as many as the table has */
    enum cq_period_kind kind;   /* 0: the table's */
    const char *pool_name;
    struct cq_policy policy;    /* CQ_UNLIMITED: counts only */
    FILE *err;

    /* all zero at first */
    struct cq_table *table;
    bool has_lock;              /* else another process has it */
    uint16_t pool;
    uint16_t policy_index;
    struct cq_clock_watch watch;
};

/** Opens the table, or makes it, and reports what is worth it.
 * @return CQ_EXIT_DONE, or NOT_PERMITTED or NO_TABLE with one sentence */
enum cq_exit cq_feed_table_open(struct cq_feed_table *t);

/** Releases the lock to the next feed and goes on counting beside it, as a
 * child of httpd does. */
enum cq_exit cq_feed_table_hand_over(struct cq_feed_table *t);

/** The housekeeping, each second: period, history, what dead processes left.
 * A table that was replaced or damaged is opened anew.
 * @return as cq_feed_table_open(); else the table is open */
enum cq_exit cq_feed_table_tick(struct cq_feed_table *t);

#endif
