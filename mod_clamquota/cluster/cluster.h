/* cluster - one quota over many mirrors, through memcached.
 *
 * The exchange is a plain function that one process calls in a loop: httpd's
 * exchanger, beside the children. No request comes here. The children's part,
 * to mark the rows that moved and to add the other nodes' sum, is table/'s;
 * the figures of the exchange, for page and tools, are in table/shares.h. */
#ifndef CQ_CLUSTER_H
#define CQ_CLUSTER_H

#include "table/shares.h"

#include <stdbool.h>

/* ---- the directive's argument ---- */

#define CQ_CLUSTER_HOST_SIZE 256
/* libmemcached limits a prefix of keys to 128 bytes; keys here have 24 */
#define CQ_CLUSTER_NAMESPACE_SIZE 65
#define CQ_CLUSTER_PORT 11211

struct cq_cluster_server {
    /* as it was written, without --SERVER= and with a port: what page, log and
     * the other nodes know it by. "[::1]:11211" has brackets. */
    char name[CQ_CLUSTER_SERVER_SIZE];
    char host[CQ_CLUSTER_HOST_SIZE];    /* without brackets */
    uint16_t port;
};

struct cq_cluster_options {
    size_t servers_n;                   /* >= 1 */
    struct cq_cluster_server servers[CQ_CLUSTER_SERVERS_MAX];
    char name_space[CQ_CLUSTER_NAMESPACE_SIZE];     /* "": none */
};

/** Takes a ClamQuotaMemcached argument apart: --SERVER=HOST[:PORT] once for
 * each server and at most one --NAMESPACE=NAME, separated by blanks, in upper
 * or lower case. libmemcached's own parser is not used: it refuses one-letter
 * names and every IPv6 address.
 * @param options  result; untouched on failure
 * @param why      on failure a clause that follows the directive's name and
 *                 value: what is wrong, what is expected, an example
 * @return CQ_OK or CQ_EINVAL. Also without libmemcached at build time.
 * Pure; any thread. */
enum cq_status cq_cluster_parse(const char *text,
                                struct cq_cluster_options *options, char *why,
                                size_t why_size);

/** Was this built with libmemcached? If not, the directive is refused, and
 * cq_exchange_start() fails. */
bool cq_cluster_available(void);

/** A number for this machine, of /etc/machine-id, for
 * cq_tablefile_want.machine; 0: it has none. Reads a file. */
uint64_t cq_cluster_machine(void);

/* ---- the exchange ---- */

/* Worth a line in the log. Each event is raised once, and again only after its
 * end. */
enum cq_cluster_event {
    CQ_CLUSTER_SERVER_DOWN,     /* "10.0.0.1:11211: REASON" */
    CQ_CLUSTER_SERVER_UP,       /* "10.0.0.1:11211" */
    CQ_CLUSTER_ALL_DOWN,        /* no server answers: this node counts alone */
    CQ_CLUSTER_ALL_UP,          /* every server answers again */
    CQ_CLUSTER_NODE_DIFFERS,    /* "mirror2: SENTENCE": period, prefixes or
                                 * servers are not this node's */
    CQ_CLUSTER_NODE_AGREES,     /* "mirror2": the difference has ended */
    CQ_CLUSTER_NODE_RENEWED,    /* another machine runs with a copy of this
                                 * table: this node has a new id and counts
                                 * from nothing */
    CQ_CLUSTER_FULL             /* a sentence: more than 64 nodes, or more
                                 * acts than the log holds */
};

/** Called within cq_exchange_round(). The text is printable ASCII without
 * control characters, whatever the network sent. */
typedef void cq_cluster_report(void *baton, enum cq_cluster_event event,
                               const char *text);

struct cq_transport;            /* cluster/transport.h */

struct cq_exchange_want {
    const struct cq_cluster_options *options;   /* copied */
    const char *label;          /* ClamQuotaNode; what is not printable becomes
                                 * '?', cut to CQ_CLUSTER_LABEL_SIZE */
    int64_t interval_ms;        /* ClamQuotaSync, >= 10 */
    cq_cluster_report *report;  /* NULL: silent */
    void *baton;                /* of say */
    const struct cq_transport *transport;       /* NULL: libmemcached */
    void *world;                /* of the transport */
};

struct cq_exchange;

/** Prepares an exchange; connects to nothing yet. To be called in the process
 * that calls the rounds, after cq_table_enter(). Only one exchange may run on
 * a table: the caller sees to it (httpd's parent starts one exchanger).
 * Allocates 4 bytes for each row of the table.
 * @param table     of a cq_tablefile_open() with want.cluster, writable
 * @param exchange  result; NULL on failure
 * @param why       on failure one sentence
 * @return CQ_OK; CQ_EINVAL: no section for the cluster in this table, or built
 *         without libmemcached; CQ_ENOMEM */
enum cq_status cq_exchange_start(struct cq_table *table,
                                 const struct cq_exchange_want *want,
                                 struct cq_exchange **exchange, char *why,
                                 size_t why_size);

/** One round: heartbeats, acts, hints, the rows that moved, a slice of all
 * rows. Blocks on the network, at most some time past the deadline: one
 * time-out of a server (1 s). The next round begins where this one ended, and
 * should be called at once then; else every interval_ms.
 * @param now_ms       unix time in milliseconds
 * @param deadline_ms  for how long to go on, in milliseconds from now, e.g. ten
 *                     intervals; heartbeats go out once a round
 * @return true: all that moved before the round was exchanged, as far as
 *         servers answer; false: the deadline came first
 * Never fails: servers that don't answer show in the status. libmemcached may
 * abort the process; the next process goes on from the table alone. */
bool cq_exchange_round(struct cq_exchange *exchange, int64_t now_ms,
                       int64_t deadline_ms);

/** Closes the connections and frees. NULL does nothing. Rows that
 * were not exchanged stay marked in the table. */
void cq_exchange_stop(struct cq_exchange *exchange);

#endif
