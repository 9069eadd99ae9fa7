/* parts - what the files of this room offer one another. Private to cluster/.
 *
 * A round (round.c) calls the others downwards: nodes.c, acts.c, hints.c,
 * rows.c, each of which exchanges one kind of items with servers; servers.c
 * opens and closes links. item.c and list.c are pure. */
#ifndef CQ_CLUSTER_PARTS_H
#define CQ_CLUSTER_PARTS_H

#include "cluster/bytes.h"
#include "cluster/item.h"
#include "cluster/transport.h"
#include "table/exchange.h"
#include "table/rules.h"

/* Larger values can be "stored" in a full server and be gone. */
#define CQ_VALUE_SIZE_MAX 16384u

/* A node lists no more clients over quota: 2 MB of a server. The others are
 * found out at their first request, as without hints. */
#ifndef CQ_HINTS_MAX
#define CQ_HINTS_MAX 65536u
#endif

/* Keys of one get to one server. */
#ifndef CQ_BATCH
#define CQ_BATCH 1000u
#endif

/* a value as it was read; size 0: there was none */
struct cq_value {
    unsigned char bytes[CQ_VALUE_SIZE_MAX];
    size_t size;
    uint64_t cas;
};

/* one client whose item is being asked for */
struct cq_pending {
    struct cq_share share;
    struct cq_item_key key;
};

struct cq_server {
    struct cq_cluster_server where;
    uint64_t seed;              /* of its name, for cq_item_place() */
    struct cq_link *link;       /* NULL: given up, or not tried yet */
    bool up;                    /* its last answer came and had the marker */
    bool reported_down;
    int64_t errors;
    int64_t retry_ms;           /* when to try again */
    int64_t pause_ms;           /* that was waited last; doubles */
    uint64_t born;              /* of its list of nodes; another one: it lost
                                 * its items. 0: not seen yet */
    bool has_written;           /* our heartbeat was seen there */
    int64_t first_ms;           /* when it was first looked for; 0: seen */
    bool has_acts;              /* all that we had when it was last asked */
    struct cq_pending *pending; /* CQ_BATCH */
    size_t pending_n;
};

/* a node as this one has seen it, itself included */
struct cq_node {
    struct cq_cluster_node shown;       /* id, label, ... */
    uint64_t session;
    int64_t since_ms;           /* unix time at which its session began */
    uint64_t beat;
    int64_t seen_ms;            /* our steady clock when its beat moved */
    int64_t differs_ms;         /* since when it differs; 0: it does not */
    bool reported_differs;
    bool other_names;           /* of servers */
    int64_t other_name_ms;      /* when it last called a server otherwise */
    bool acts_agree;
    uint64_t over_epoch;        /* of its list of clients over quota */
    uint32_t over_n;            /* how long that is */
    uint32_t over_read_n;       /* how far we have read it */
    uint64_t over_read_epoch;
};

struct cq_exchange {
    struct cq_table *table;
    struct cq_cluster_options options;
    struct cq_exchange_want want;
    const struct cq_transport *transport;
    void *world;
    char label[CQ_CLUSTER_LABEL_SIZE];
    size_t servers_n;
    struct cq_server servers[CQ_CLUSTER_SERVERS_MAX];
    uint64_t server_seeds[CQ_CLUSTER_SERVERS_MAX];
    uint64_t servers_hash;      /* of all names, in any order */
    bool all_down;
    bool any_down;

    /* of the round */
    int64_t now_ms;             /* unix time */
    struct cq_clock clock;
    struct cq_period period;
    uint16_t period_id;         /* that confirmed and the seeds are of */
    struct cq_rules rules;
    struct cq_item_seeds seeds[CQ_POOLS_MAX];
    uint64_t pool_hashes[CQ_POOLS_MAX];
    size_t pools_n;
    struct cq_net_list resets;  /* value: at_ms of the last reset */
    struct cq_net_list forgotten;   /* nodes; value: at_ms */
    uint64_t acts_digest;
    bool acts_loaded;
    bool failed;                /* a server failed in this round */

    /* this node */
    uint64_t node;
    uint64_t session;
    int64_t since_ms;
    uint64_t beat;
    int strikes;                /* how often another session wrote under our
                                 * id */
    size_t nodes_n;
    struct cq_node nodes[CQ_CLUSTER_NODES_MAX];
    bool reported_full;

    /* rows.c. confirmed: the print of the share that the row's item was last
     * seen to hold; 0: none */
    uint32_t *confirmed;
    uint64_t rows_n;
    uint64_t group;             /* where the search for moved groups goes on */
    uint64_t rotation;          /* where the rotation is */
    uint64_t sweep_n;           /* rows to be asked for at once: a server came
                                 * back */
    int64_t away_n;             /* groups that wait for a server to be back */
    int64_t complete_ms;        /* when the last complete round began */

    /* hints.c: clients over quota that this node served, in the order in which
     * they became so */
    struct cq_hint *hints;
    uint8_t *hinted;            /* a bit for each row */
    uint32_t hints_n;
    uint32_t hints_stored_n;
    uint32_t hints_check;
    uint64_t hints_epoch;
    int hints_day;

    /* question.c */
    bool has_question;          /* that this round answers */
    uint32_t question_row;
    struct cq_node_shares answer;

    struct cq_cluster_status status;
};

/* a client over quota, as it is passed on */
struct cq_hint {
    uint64_t pool_hash;
    struct cq_key key;
};

/* ---- servers.c ---- */

/** The steady clock, in milliseconds. */
int64_t cq_steady_ms(const struct cq_exchange *x);

/** How many milliseconds without a heartbeat end a node's life: a round may
 * last ten intervals, and a time-out of each server. */
int64_t cq_lapse_ms(const struct cq_exchange *x);

/** Opens a link unless it is too early to try again. */
bool cq_server_try(struct cq_exchange *x, struct cq_server *server);

/** Closes a link that failed. @return false */
bool cq_server_fail(struct cq_exchange *x, struct cq_server *server);

/** Notes that a server answered with its marker. */
void cq_server_answered(struct cq_exchange *x, struct cq_server *server);

/** Reports when no server answers, and when all of them do again. */
void cq_servers_report(struct cq_exchange *x);

void cq_report(const struct cq_exchange *x, enum cq_cluster_event event,
               const char *format, ...) __attribute__((format(printf, 3, 4)));

struct cq_server *cq_server_find(struct cq_exchange *x, uint64_t hash);

/** Asks one server for one key; a value that is too long reads as one of no
 * bytes. @return false: the server failed, and was given up */
bool cq_server_fetch(struct cq_exchange *x, struct cq_server *server,
                     const struct cq_item_key *key, struct cq_value *value);

/** Seals a value and sends it, to replace the one with this cas.
 * @return false: the server failed, and was given up */
bool cq_server_store(struct cq_exchange *x, struct cq_server *server,
                   const struct cq_item_key *key, struct cq_value *value,
                   int64_t expiry_s);

/** How long an item of the period in force is kept: a day longer than that, at
 * most the 30 days beyond which memcached takes it for a date. */
uint32_t cq_expiry_s(const struct cq_exchange *x);

/* ---- nodes.c ---- */

/** Reads a server's list of nodes and writes this node's heartbeat into it.
 * @return false: the server failed */
bool cq_nodes_exchange(struct cq_exchange *x, struct cq_server *server);

/** Judges which nodes live, and which of them differ. */
void cq_nodes_judge(struct cq_exchange *x);

/** cq_item_lives() of an exchange. */
bool cq_node_lives(const void *exchange, uint64_t node, uint16_t boot);

/* ---- acts.c ---- */

/** Reads the log: what resets are known, and its digest. */
bool cq_acts_load(struct cq_exchange *x);

/** Merges the log with a server's. */
void cq_acts_exchange(struct cq_exchange *x, struct cq_server *server);

/** The last reset of a client that this node knows; 0: none. */
int64_t cq_acts_reset_ms(const struct cq_exchange *x,
                         const struct cq_key *client);

/** Was this node forgotten, and has neither lived nor started since? */
bool cq_node_is_forgotten(const struct cq_exchange *x, uint64_t id);

/* ---- hints.c ---- */

/** Notes a client over quota that this node served. */
void cq_hint_add(struct cq_exchange *x, const struct cq_share *share);

/** Stores what was noted. @return true: other nodes must hear that it grew */
bool cq_hints_store(struct cq_exchange *x);

/** Reads what other nodes have noted, and makes rows for it. */
void cq_hints_read(struct cq_exchange *x);

/* ---- question.c ---- */

/** Looks for a question, and has the client's item read in this round. */
void cq_question_begin(struct cq_exchange *x);

/** Answers it, if it is about this client.
 * @param item, sum  as they were read, without forgotten nodes */
void cq_question_end(struct cq_exchange *x, const struct cq_share *share,
                     const struct cq_item *item,
                     const struct cq_item_sum *sum);

/* ---- rows.c ---- */

/** Exchanges the rows that moved and a slice of the others.
 * @return false: the deadline came first */
bool cq_rows_exchange(struct cq_exchange *x, int64_t until_ms);

#endif
