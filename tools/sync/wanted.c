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

static int compare_keys(const void *a, const void *b)
{
    const struct cq_wanted *one = a;
    const struct cq_wanted *other = b;

    return cq_key_compare(&one->key, &other->key);
}

int cq_wanted_compare_rank(const struct cq_wanted *a,
                           const struct cq_wanted *b)
{
    if ((a->file != 0) != (b->file != 0)) {
        return a->file != 0 ? -1 : 1;
    }
    if (a->file == 0 && a->excess_bytes != b->excess_bytes) {
        return a->excess_bytes > b->excess_bytes ? -1 : 1;
    }
    if (a->file == 0 && a->last_hit_s != b->last_hit_s) {
        return a->last_hit_s > b->last_hit_s ? -1 : 1;
    }
    return compare_keys(a, b);
}

static void join_entry(struct cq_wanted *into, const struct cq_wanted *other)
{
    uint32_t last_hit_s = into->last_hit_s;

    if (cq_wanted_compare_rank(other, into) < 0) {
        *into = *other;
    }
    if (into->file == 0) {
        into->last_hit_s = last_hit_s > other->last_hit_s ? last_hit_s
                                                          : other->last_hit_s;
    }
}

void cq_wanted_finish(struct cq_wanted_list *list)
{
    size_t i, n = 0;

    if (list->count > 0) {
        qsort(list->entries, list->count, sizeof(list->entries[0]),
              compare_keys);
    }
    for (i = 0; i < list->count; i++) {
        struct cq_wanted *entry = &list->entries[i];

        if (n > 0 && compare_keys(&list->entries[n - 1], entry) == 0) {
            join_entry(&list->entries[n - 1], entry);
        }
        else {
            list->entries[n++] = *entry;
        }
    }
    list->count = n;
}

const struct cq_wanted *cq_wanted_find(const struct cq_wanted_list *list,
                                       const struct cq_key *key)
{
    const struct cq_wanted wanted = { .key = *key };

    return list->count == 0 ? NULL
        : bsearch(&wanted, list->entries, list->count,
                  sizeof(list->entries[0]), compare_keys);
}

void cq_wanted_free(struct cq_wanted_list *list)
{
    free(list->entries);
    memset(list, 0, sizeof(*list));
}
