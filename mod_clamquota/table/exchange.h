/* exchange - what the exchanger does with the rows of a table.
 *
 *   a row differs from what its item was seen to hold  =>  its group is marked
 *
 * (layout_shares.h). Only the one process that exchanges (cluster/) calls this.
 * It names rows by their numbers, in groups of 16 that are marked together;
 * every call checks that a row is still its client's. It never makes a client
 * an offender: only this node's own refusals do. */
#ifndef CQ_TABLE_EXCHANGE_H
#define CQ_TABLE_EXCHANGE_H

#include "table/shares.h"

#define CQ_GROUP_ROWS 16u

/** Groups of clients' rows in a table with a cluster. */
uint64_t cq_groups_n(const struct cq_table *table);

/** The next group with a row that moved or was not read back.
 * @param group  where to begin; updated
 * @return false: there is none up to the last group */
bool cq_group_find(const struct cq_table *table, uint64_t *group);

bool cq_group_has_moved(const struct cq_table *table, uint64_t group);

/** Marks a group as being exchanged. What its rows are read for after that is
 * what moved before it. */
void cq_group_begin(struct cq_table *table, uint64_t group);

/** Ends the exchange of a group whose rows were all read back, unless one moved
 * again. */
void cq_group_end(struct cq_table *table, uint64_t group);

/* this node's share of a client */
struct cq_share {
    uint32_t row;
    uint32_t print;             /* cq_share_print() when it was read */
    uint64_t identity;
    struct cq_key key;
    uint16_t pool;
    int64_t used_bytes;
    int64_t in_flight_bytes;
    int64_t refused;
    bool over;                  /* marked as over quota */
};

/** A number for what a row's share is: the same number, the same share (but for
 * one in 2^32). 0: no client of this period has the row. */
uint32_t cq_share_print(const struct cq_table *table, uint32_t row,
                        uint16_t period_id);

/** Reads a row's share.
 * @return false: no client of this period has the row */
bool cq_share_read(const struct cq_table *table, uint32_t row,
                   const struct cq_clock *clock, struct cq_share *share);

/* what an item says of a client */
struct cq_share_update {
    bool forget;                /* of a reset that this row has not seen */
    int64_t own_bytes;          /* this node's own share has at least these */
    int64_t others_used_bytes;
    int64_t others_in_flight_bytes;
    int64_t until_s;            /* unix second at which those lapse */
    int64_t allowance_bytes;    /* used by all of them has reached it: over
                                 * quota. CQ_BYTES_MAX: never */
};

/** Writes into the row what its item says, unless the row is another client's
 * by now.
 * @param share   as read; updated to what the row has afterwards
 * @param raised  result: the row had less than its own share
 * @return false: it is another client's, or the ledger is full */
bool cq_share_apply(struct cq_table *table, struct cq_share *share,
                    const struct cq_share_update *update,
                    const struct cq_clock *clock, bool *raised);

/** Makes the row of a client that another node names, marked to be exchanged,
 * if there is none and a row is free: no other client's row is taken for it.
 * @param row  result: the row that the client has
 * @return false: there is no room, no such pool, or the key is no client's */
bool cq_guest_make(struct cq_table *table, uint16_t pool,
                   const struct cq_key *key, const struct cq_clock *clock,
                   uint32_t *row);

/** A question that has no answer yet.
 * @param question  result: asked, client and pool
 * @return false: there is none */
bool cq_question_read(const struct cq_table *table,
                      struct cq_node_shares *question);
void cq_question_answer(struct cq_table *table,
                        const struct cq_node_shares *answer);

/* ---- acts ---- */

/** Copies the acts of the log.
 * @param acts  CQ_ACTS_MAX of them
 * @return how many */
size_t cq_acts_read(const struct cq_table *table, struct cq_act *acts);

/** Applies the acts that this table has not seen to its rows, and ends those
 * that are past: resets of a period before, exemptions that have ended, acts
 * that a later one of the same kind covers.
 * @return how many were applied */
int cq_acts_apply(struct cq_table *table, const struct cq_clock *clock);

/* ---- node and figures ---- */

/** A random id for this node in place of the one it has, which another machine
 * with a copy of this table uses: all counters begin anew, as the cluster has
 * the shares under the former id. */
void cq_node_renew(struct cq_table *table);

/** This opening of the table: random, and the unix time in milliseconds. */
uint64_t cq_node_session(const struct cq_table *table, int64_t *opened_ms);

void cq_cluster_status_write(struct cq_table *table,
                             const struct cq_cluster_status *status);

/** How many rows of clients a table has. */
uint64_t cq_rows_n(const struct cq_table *table);

#endif
