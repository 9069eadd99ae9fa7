/* keys - a list of addresses and networks that grows. */
#include "sync/keys.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

/* The largest networks that one holder was ever given: IPv4's class A, and of
 * IPv6 nobody has more than a /16 of 2000::/3. */
#define LEAST_V4_BITS 8
#define LEAST_V6_BITS 16

bool key_is_vast(const struct cq_key *key)
{
    return key->prefix < (key->family == 4 ? LEAST_V4_BITS : LEAST_V6_BITS);
}

bool key_list_add(struct key_list *list, const struct cq_key *key)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity
                                             : FIRST_CAPACITY;
        struct cq_key *keys = reallocarray(list->keys, capacity,
                                           sizeof(keys[0]));

        if (keys == NULL) {
            return false;
        }
        list->keys = keys;
        list->capacity = capacity;
    }
    list->keys[list->count++] = *key;
    return true;
}

static int compare(const void *a, const void *b)
{
    return cq_key_compare(a, b);
}

void key_list_sort(struct key_list *list)
{
    size_t i, n = 0;

    if (list->count > 0) {
        qsort(list->keys, list->count, sizeof(list->keys[0]), compare);
    }
    for (i = 0; i < list->count; i++) {
        if (n == 0 || compare(&list->keys[n - 1], &list->keys[i]) != 0) {
            list->keys[n++] = list->keys[i];
        }
    }
    list->count = n;
}

bool key_list_equal(const struct key_list *a, const struct key_list *b)
{
    size_t i;

    if (a->count != b->count) {
        return false;
    }
    for (i = 0; i < a->count; i++) {
        if (compare(&a->keys[i], &b->keys[i]) != 0) {
            return false;
        }
    }
    return true;
}

void key_list_free(struct key_list *list)
{
    free(list->keys);
    memset(list, 0, sizeof(*list));
}
