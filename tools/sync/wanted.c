/* wanted - the list of clients that should be jailed. */
#include "sync/wanted.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

int cq_wanted_compare(const struct cq_key *a, const struct cq_key *b)
{
    if (a->family != b->family) {
        return a->family < b->family ? -1 : 1;
    }
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

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

    return cq_wanted_compare(&one->client, &other->client);
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

/* The first entry that does not sort before this element. */
static size_t lower_bound(const struct cq_wanted_list *list,
                          const struct cq_key *element)
{
    size_t from = 0, to = list->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (cq_wanted_compare(&list->entries[middle].client, element) < 0) {
            from = middle + 1;
        }
        else {
            to = middle;
        }
    }
    return from;
}

static bool is_at(const struct cq_wanted_list *list, size_t at,
                  const struct cq_key *element)
{
    return at < list->count
        && cq_wanted_compare(&list->entries[at].client, element) == 0;
}

bool cq_wanted_insert(struct cq_wanted_list *list,
                      const struct cq_wanted *wanted, bool *added)
{
    size_t at = lower_bound(list, &wanted->client);

    *added = !is_at(list, at, &wanted->client);
    if (!*added) {
        join_entry(&list->entries[at], wanted);
        return true;
    }
    if (!cq_wanted_add(list, wanted)) {
        return false;
    }
    memmove(&list->entries[at + 1], &list->entries[at],
            (list->count - 1 - at) * sizeof(list->entries[0]));
    list->entries[at] = *wanted;
    return true;
}

const struct cq_wanted *cq_wanted_find(const struct cq_wanted_list *list,
                                       const struct cq_key *element)
{
    size_t at = lower_bound(list, element);

    return is_at(list, at, element) ? &list->entries[at] : NULL;
}

void cq_wanted_free(struct cq_wanted_list *list)
{
    free(list->entries);
    memset(list, 0, sizeof(*list));
}
