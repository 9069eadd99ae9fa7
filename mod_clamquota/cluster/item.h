/* item - what is stored for a client: every node's share of it, side by side.
 *
 * Pure: bytes in, entries out. Bytes come from the network; a value that is
 * cut, altered, another key's or made up is no item. */
#ifndef CQ_CLUSTER_ITEM_H
#define CQ_CLUSTER_ITEM_H

#include "core/hash.h"
#include "table/shares.h"

#include <stdbool.h>

/* "cq" and 128 bits, 6 to a letter */
#define CQ_ITEM_KEY_LENGTH 24

/* A value, little endian:
 *   0  seal:32 (bytes.h)
 *   4  version:8 entries:8 day:16     day: of the last write, modulo 2^16
 *   8  entries of 32 bytes, in the order of their ids:
 *        0 node id:64   8 used:48   14 in flight:48   20 reset_ms:48
 *       26 boot:16     28 refusals:32
 * With one node 40 bytes, with 64 nodes 2,056. */
#define CQ_ITEM_VERSION 1
#define CQ_ITEM_ENTRIES_MAX CQ_CLUSTER_NODES_MAX
#define CQ_ITEM_SIZE_MAX (8 + 32 * CQ_ITEM_ENTRIES_MAX)

/* A reset that lies farther ahead than this is made up, or of a clock that is
 * of no use: nodes' clocks may differ, and the act that follows one of a clock
 * that is ahead is given a later time still. */
#define CQ_RESET_AHEAD_MS (INT64_C(86400) * 1000)

struct cq_item_entry {
    uint64_t node;              /* never 0 */
    int64_t used_bytes;         /* since reset_ms, in this period */
    int64_t in_flight_bytes;    /* counts while the node lives */
    int64_t reset_ms;           /* the last reset that the node knows; 0 */
    uint16_t boot;              /* of the node's session */
    uint32_t refusals;          /* to show; stops at 2^32 - 1 */
};

struct cq_item {
    uint16_t day;
    size_t entries_n;
    struct cq_item_entry entries[CQ_ITEM_ENTRIES_MAX];
};

/* what the key of a client in a pool is hashed with */
struct cq_item_seeds {
    struct cq_seed seed[2];
};

/** The seeds of a pool in a period: nodes that differ in any of these don't
 * meet. */
struct cq_item_seeds cq_item_seeds(const char *pool, int64_t period_start_s,
                                   int64_t period_end_s,
                                   struct cq_prefixes prefixes);

/* a client's key */
struct cq_item_key {
    struct cq_seed hash;        /* the 128 bits */
    char text[CQ_ITEM_KEY_LENGTH];      /* no NUL */
};

void cq_item_key(const struct cq_item_seeds *seeds, const struct cq_key *client,
                 struct cq_item_key *key);

/** Writes the value.
 * @param value  CQ_ITEM_SIZE_MAX bytes
 * @return its size */
size_t cq_item_encode(const struct cq_item *item, const struct cq_item_key *key,
                      unsigned char *value);

enum cq_item_kind {
    CQ_ITEM_GOOD,
    CQ_ITEM_BAD,                /* no item: may be written over */
    CQ_ITEM_NEWER               /* of a later version: left alone */
};

/** Reads a value.
 * @param now_ms  unix time: resets of another age are made up
 * @param item    result, also when bad: then empty */
enum cq_item_kind cq_item_decode(const unsigned char *value, size_t size,
                                 const struct cq_item_key *key, int64_t now_ms,
                                 struct cq_item *item);

/* what an item says to one of its nodes */
struct cq_item_sum {
    const struct cq_item_entry *own;    /* NULL: not there */
    int64_t reset_ms;           /* the highest of all and what was known */
    int64_t used_bytes;         /* of the others since then, saturating at
                                 * CQ_BYTES_MAX */
    int64_t in_flight_bytes;    /* of the others that live */
};

/** Does this session of a node live, as far as this node has seen? */
typedef bool cq_item_lives(const void *baton, uint64_t node, uint16_t boot);

/** Adds up what the others have.
 * @param reset_ms  the last reset of the client that this node knows */
struct cq_item_sum cq_item_add_up(const struct cq_item *item, uint64_t node,
                                  int64_t reset_ms, cq_item_lives *lives,
                                  const void *baton);

/** Do two entries of one node state the same? */
bool cq_item_equals(const struct cq_item_entry *a,
                    const struct cq_item_entry *b);

/** Puts a node's own entry in, in place of the one it had. When there are too
 * many, one that a reset has made worthless goes; its node will notice.
 * @return false: 64 other nodes have shares */
bool cq_item_set(struct cq_item *item, const struct cq_item_entry *entry);

/** Which server of n has a key: the same on every node that names the same
 * servers, in whatever order, and for most keys also when there is one more or
 * less (rendezvous hashing: the highest score wins).
 * @param seeds  of the servers, cq_hash_text() of their names */
size_t cq_item_place(uint64_t hash, const uint64_t *seeds, size_t n);

#endif
