/* show - what the parts of clamquota show share: lines with a label. */
#ifndef CQ_CLAMQUOTA_SHOW_H
#define CQ_CLAMQUOTA_SHOW_H

#include "clamquota/look.h"

struct cq_show {
    struct cq_texts jails;      /* --jail */
    struct cq_texts deny_files; /* --deny-file */
    struct cq_look *look;
    struct cq_writer writer;    /* of the present line */
    struct cq_table *asking;    /* the table, attached to ask the exchanger;
                                 * NULL: not yet */
    int waited_ms;              /* for its answers */
};

/** Begins a line with a label, "" to go on below the one before.
 * @return writes its text, until cq_show_end() */
struct cq_writer *cq_show_line(struct cq_show *show, const char *label);
void cq_show_end(struct cq_show *show);

/** "2026-11-24 00:00 +01:00, in 5 h 39 min" */
void cq_show_moment(struct cq_show *show, int64_t when_s);

/** Asks the exchanger of a cluster which node has how much of a client, and
 * waits for its next round, for all questions together at most 2 s. A client
 * that this node has not seen has a row afterwards.
 * @return false: there is no cluster, or no answer */
bool cq_show_ask_nodes(struct cq_show *show, uint16_t pool,
                       const struct cq_key *client,
                       struct cq_node_shares *answer);

/** Prints the answer, a node a line. */
void cq_show_nodes(struct cq_show *show, const struct cq_node_shares *answer);

/** Prints which line of a deny file names an address or its network: of
 * --deny-file, else of the files that clamquota-sync reported.
 * @return one does */
bool cq_show_denied(struct cq_show *show, const struct cq_key *address);

/** Prints which jails hold a client, until when, and how to release it at
 * once: as the kernel says where it may be asked, else as clamquota-sync said.
 * @param is_marked  clamquota-sync said that it is jailed
 * @return it is jailed */
bool cq_show_jails(struct cq_show *show, const struct cq_key *client,
                   bool is_marked);

#endif
