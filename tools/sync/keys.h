/* keys - a list of addresses and networks that grows. */
#ifndef CQ_SYNC_KEYS_H
#define CQ_SYNC_KEYS_H

#include "core/key.h"

/* All zero bytes: an empty list. */
struct key_list {
    struct cq_key *keys;        /* malloc'd; key_list_free() */
    size_t count;
    size_t capacity;
};

/** Appends one.
 * @return false: out of memory, the list is as before */
bool key_list_add(struct key_list *list, const struct cq_key *key);

/** Puts the list in cq_key_compare() order and drops what stands twice. */
void key_list_sort(struct key_list *list);

/** Same keys in the same order? */
bool key_list_equal(const struct key_list *a, const struct key_list *b);

/** So large a network that shutting it out is a mistake or an attack, whoever
 * asks for it: 0.0.0.0/1, 2000::/3 (which is all of today's IPv6). */
bool key_is_vast(const struct cq_key *key);

void key_list_free(struct key_list *list);

#endif
