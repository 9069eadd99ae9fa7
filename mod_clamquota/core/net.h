/* net - a list of networks with a value each; the longest prefix wins.
 *
 * Filled once at configuration, sealed, then only read: lookups of a sealed
 * list are safe from any thread. Cost of a lookup: two binary searches for each
 * distinct prefix length of the family. */
#ifndef CQ_NET_H
#define CQ_NET_H

#include "core/key.h"

struct cq_net_rule {
    struct cq_key net;
    int64_t value;      /* the caller's: bytes, CQ_UNLIMITED, an index ... */
};

struct cq_net_list {
    struct cq_net_rule *rules;
    size_t count;
    size_t capacity;
    bool sealed;
};

/** An empty list is all zero bytes.
 * @return CQ_OK, CQ_ENOMEM (list as before), CQ_EINVAL (sealed, or the net is
 *         not canonical) */
enum cq_status cq_net_add(struct cq_net_list *list, const struct cq_key *net,
                          int64_t value);

/** Is exactly this network in a list, sealed or not? Looks at every rule. */
bool cq_net_has(const struct cq_net_list *list, const struct cq_key *net);

/** Sorts the list and makes it ready for cq_net_find().
 * @param twice  on CQ_EDUP the network that stands in the list twice (the
 *               list is then not sealed); may be NULL
 * @return CQ_OK or CQ_EDUP */
enum cq_status cq_net_seal(struct cq_net_list *list, struct cq_key *twice);

/** The rule with the longest prefix that contains key, or NULL (also for a
 * list that is not sealed or empty). */
const struct cq_net_rule *cq_net_find(const struct cq_net_list *list,
                                      const struct cq_key *key);

/** Is the key inside of a network of the list, or holds it one? For lists of
 * addresses that are never shut out. False for a list that is not sealed. */
bool cq_net_touches(const struct cq_net_list *list, const struct cq_key *key);

/** Frees the rules; the list is empty again. */
void cq_net_free(struct cq_net_list *list);

#endif
