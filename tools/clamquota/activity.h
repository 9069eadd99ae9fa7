/* activity - which clients download now: the rows of a table compared with
 * what they were at the last reading. One thread. */
#ifndef CQ_CLAMQUOTA_ACTIVITY_H
#define CQ_CLAMQUOTA_ACTIVITY_H

#include "table/table.h"

/* a client that downloaded, was refused, or has something in flight */
struct cq_active {
    struct cq_row row;
    int64_t bytes;              /* used and free since the last reading */
    int64_t refused;            /* since then */
};

/* All zero bytes: nothing was read yet. */
struct cq_activity {
    struct cq_activity_row *rows;   /* malloc'd, by number of row */
    size_t row_n;
    bool has_read;
    struct cq_active *active;   /* malloc'd: the most active first */
    size_t active_n;
    size_t limit;
    int64_t clients;            /* active, shown or not */
    int64_t in_flight_bytes;    /* of all */
};

/** Reads every row. After the first time nothing is active but what is in
 * flight.
 * @param limit  how many of the active clients to keep, the same each time
 * @return CQ_OK or CQ_ENOMEM */
enum cq_status cq_activity_read(struct cq_activity *activity,
                                const struct cq_table *table,
                                const struct cq_clock *clock, size_t limit);

void cq_activity_free(struct cq_activity *activity);

#endif
