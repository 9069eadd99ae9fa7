/* wanted - the list of clients and networks that should be jailed. */
#include "sync/wanted.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

bool cq_wanted_add(struct cq_wanted_list *list,
                   const struct cq_wanted *wanted)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity
                                             : FIRST_CAPACITY;
        struct cq_wanted *entries = reallocarray(list->entries, capacity,
                                                 sizeof(entries[0]));

        if (entries == NULL) {
            return false;
        }
        list->entries = entries;
        list->capacity = capacity;
    }
    list->entries[list->count++] = *wanted;
    return true;
}

static int compare_entries(const void *a, const void *b)
{
    const struct cq_wanted *one = a;
    const struct cq_wanted *other = b;

    return cq_key_compare(&one->client, &other->client);
}

/* A line of a deny file is the reason, and the worst pool counts. */
static void join_entry(struct cq_wanted *into, const struct cq_wanted *other)
{
    if (into->from.file == 0) {
        into->from = other->from;
    }
    if (into->excess_bytes < other->excess_bytes) {
        into->excess_bytes = other->excess_bytes;
        into->pool = other->pool;
        into->refusals = other->refusals;
        into->over_since_s = other->over_since_s;
    }
    if (into->last_hit_s < other->last_hit_s) {
        into->last_hit_s = other->last_hit_s;
    }
}

void cq_wanted_finish(struct cq_wanted_list *list)
{
    size_t i, n = 0;

    if (list->count > 0) {
        qsort(list->entries, list->count, sizeof(list->entries[0]),
              compare_entries);
    }
    for (i = 0; i < list->count; i++) {
        struct cq_wanted *entry = &list->entries[i];

        if (n > 0 && compare_entries(&list->entries[n - 1], entry) == 0) {
            join_entry(&list->entries[n - 1], entry);
        }
        else {
            list->entries[n++] = *entry;
        }
    }
    list->count = n;
}

const struct cq_wanted *cq_wanted_find(const struct cq_wanted_list *list,
                                       const struct cq_key *client)
{
    const struct cq_wanted key = { .client = *client };

    return list->count == 0 ? NULL
        : bsearch(&key, list->entries, list->count, sizeof(list->entries[0]),
                  compare_entries);
}

void cq_wanted_free(struct cq_wanted_list *list)
{
    free(list->entries);
    memset(list, 0, sizeof(*list));
}
