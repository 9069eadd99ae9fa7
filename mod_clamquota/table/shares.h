/* shares - what a table keeps about a cluster: this node's id, the acts (resets
 * and exemptions) that must reach every node, and the figures of the exchange.
 *
 * Only a table that was opened with want.cluster has the section; without it
 * every call here does nothing. The exchanger (cluster/) writes the figures,
 * every process may read them. */
#ifndef CQ_SHARES_H
#define CQ_SHARES_H

#include "table/table.h"

#include <stdbool.h>

#define CQ_CLUSTER_SERVERS_MAX 16
#define CQ_CLUSTER_NODES_MAX 64
#define CQ_CLUSTER_SERVER_SIZE 264      /* host, port, brackets, NUL */
#define CQ_CLUSTER_LABEL_SIZE 48        /* with NUL */

/** Does this table share its counters with other nodes? */
bool cq_table_has_cluster(const struct cq_table *table);

/** This node's id, random, never 0; kept in the table. */
uint64_t cq_table_node(const struct cq_table *table);

/* ---- acts ---- */

#ifndef CQ_ACTS_MAX
#define CQ_ACTS_MAX 1024
#endif

enum cq_act_kind {
    CQ_ACT_RESET = 1,
    CQ_ACT_EXEMPT = 2,
    CQ_ACT_FORGET = 3           /* a node: net is its id (cq_node_net()) */
};

/* The last writer of (kind, net) wins: the higher at_ms. */
struct cq_act {
    struct cq_key net;          /* of any prefix */
    uint32_t kind;              /* enum cq_act_kind; kinds of a later version
                                 * are passed on */
    int64_t at_ms;              /* unix time; later than every act known when
                                 * it was made, whatever the clock shows */
    int64_t until_s;            /* of an exemption; 0: it has ended */
};

/** Notes an act for the whole cluster. cq_table_reset() does it for the client
 * that it resets; the reset of a network is one act, noted by the caller.
 * @param at_ms  0: now_ms, or later than every act that is known
 * @return CQ_OK; CQ_EFULL: the log is full of acts that are no older;
 *         CQ_EINVAL: there is no cluster */
enum cq_status cq_act_note(struct cq_table *table, const struct cq_act *act,
                           int64_t now_ms);

/** Forgets a node that is gone for good, on all nodes: its place is free, and
 * what it has counted in this period no longer counts for any client. Without
 * this its shares count up to the period's end, which is right for a node that
 * is only away. If it starts again after all, its shares come back with it.
 * @param node  its id
 * @return CQ_OK; CQ_ENOENT: no such node is known; CQ_EDUP: it lives, or is
 *         this one; CQ_EFULL: the log of acts is full; CQ_EACCES: the table is
 *         read-only; CQ_EINVAL: there is no cluster */
enum cq_status cq_node_forget(struct cq_table *table, uint64_t node,
                              int64_t now_ms);

/** A node's id as the network of an act, so that acts on one node meet. */
struct cq_key cq_node_net(uint64_t node);

/* ---- which node has how much of a client ---- */

struct cq_node_share {
    uint64_t node;              /* its id */
    int64_t used_bytes;
    int64_t in_flight_bytes;    /* 0 of a node that is silent */
};

/* an answer of the exchanger */
struct cq_node_shares {
    uint32_t asked;             /* the question that it answers */
    uint32_t shares_n;
    struct cq_key client;
    uint16_t pool;
    struct cq_node_share shares[CQ_CLUSTER_NODES_MAX];
};

/** Asks the exchanger: it answers with its next round, unless the client's
 * server is away. A node that does not know the client learns of it.
 * @return number of the question; 0: there is no cluster, or the table is
 *         read-only */
uint32_t cq_shares_ask(struct cq_table *table, uint16_t pool,
                       const struct cq_key *client);

/** Copies the answer to a question.
 * @return false: there is none yet, or others asked for another client since */
bool cq_shares_answer(const struct cq_table *table, uint32_t asked,
                      uint16_t pool, const struct cq_key *client,
                      struct cq_node_shares *answer);

/* ---- what page and tools show ---- */

struct cq_cluster_node {
    uint64_t id;
    char label[CQ_CLUSTER_LABEL_SIZE];  /* printable ASCII */
    int64_t last_seen_s;        /* unix time; 0: never by this exchanger */
    int64_t offset_ms;          /* its clock less ours, as seen with its last
                                 * heartbeat; an interval of it can be delay */
    bool self;
    bool alive;                 /* its heartbeat advances */
    bool other_period;          /* its period, zone or prefixes differ: it
                                 * shares nothing with this node */
    bool other_servers;         /* it names servers that this node does not,
                                 * or names them otherwise */
    bool other_daily;           /* no fault: each node decides by its own */
};

struct cq_cluster_server_status {
    char name[CQ_CLUSTER_SERVER_SIZE];
    bool up;
    int64_t errors;             /* failed opens, requests and time-outs, since
                                 * the exchanger started */
};

struct cq_cluster_status {
    uint64_t node;
    char label[CQ_CLUSTER_LABEL_SIZE];
    size_t nodes_n;
    struct cq_cluster_node nodes[CQ_CLUSTER_NODES_MAX];
    size_t servers_n;
    struct cq_cluster_server_status servers[CQ_CLUSTER_SERVERS_MAX];
    int64_t lag_ms;             /* how old what others know of a row that moved
                                 * is, at most, as of the last round */
    int64_t last_round_s;       /* unix time; 0: there was none */
    int64_t rounds;             /* since the exchanger started, as are these */
    int64_t failed_rounds;      /* a server did not answer, or the deadline came
                                 * first */
    int64_t waiting;            /* marks (16 rows each) not read back yet; of
                                 * a server that is away each time anew */
    int64_t missing;            /* own shares found missing or too small on a
                                 * server that had confirmed them */
    int64_t raised;             /* rows raised to an own share: after a power
                                 * failure or from a backup */
};

/** Copies the figures. Of a tool as well as of a child.
 * @return false: the table has no cluster; status is all zero */
bool cq_cluster_status_read(const struct cq_table *table,
                            struct cq_cluster_status *status);

#endif
