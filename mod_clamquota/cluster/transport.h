/* transport - one memcached server, as the exchange sees it: six functions.
 *
 * memcached.c has them in front of libmemcached, the unit tests in front of a
 * world of their own that loses, delays, repeats and lies. A link is one
 * server's own handle; after any failure it is closed, never repaired. */
#ifndef CQ_CLUSTER_TRANSPORT_H
#define CQ_CLUSTER_TRANSPORT_H

#include "cluster/cluster.h"

/* the first member of a transport's own link */
struct cq_link {
    char why[160];              /* the reason of the last failure, a clause */
};

/* A key and the length of it. */
struct cq_key_text {
    const char *text;
    size_t length;
};

/** Called for each key of a fetch that was found.
 * @param i      number of the key in the fetch
 * @param value  valid during the call
 * @param cas    for the store that replaces this value */
typedef void cq_found(void *baton, size_t i, const unsigned char *value,
                      size_t size, uint64_t cas);

struct cq_transport {
    /** Makes a link; it may connect later. @return NULL: out of memory */
    struct cq_link *(*open)(void *world,
                            const struct cq_cluster_server *server,
                            const char *name_space);

    /** Closes and frees. Values that were stored and not flushed may be
     * lost. */
    void (*close)(void *world, struct cq_link *link);

    /** Fetches keys in one exchange. A key that was not found may be missing,
     * or lost on the way: only an answer with the server's marker shows
     * which.
     * @return false: the server failed, or its answer did not end; keys that
     *         were found before that were found */
    bool (*fetch)(void *world, struct cq_link *link,
                  const struct cq_key_text *keys, size_t n, cq_found *found,
                  void *baton);

    /** Replaces the value that had this cas, or adds it (cas 0), without
     * waiting for an answer: the next fetch shows whether it was stored.
     * @param expiry_s  seconds from now, at most 30 days
     * @return false: the server failed */
    bool (*store)(void *world, struct cq_link *link,
                  const struct cq_key_text *key, const unsigned char *value,
                  size_t size, uint32_t expiry_s, uint64_t cas);

    /** Sends what was stored. @return false: the server failed */
    bool (*flush)(void *world, struct cq_link *link);

    /** Milliseconds of a clock that never goes back. */
    int64_t (*clock_ms)(void *world);
};

/** The transport in front of libmemcached; its world is not used. NULL: built
 * without it. */
const struct cq_transport *cq_memcached(void);

#endif
