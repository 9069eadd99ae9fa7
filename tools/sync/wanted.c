/* wanted - the list of who should be jailed. */
#include "sync/source.h"

#include "core/special.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

bool wanted_add(struct wanted_list *list, const struct plan_wanted *wanted)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity
                                             : FIRST_CAPACITY;
        struct plan_wanted *entries = reallocarray(list->entries, capacity,
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

static int compare(const void *a, const void *b)
{
    const struct plan_wanted *one = a;
    const struct plan_wanted *other = b;

    return cq_key_compare(&one->key, &other->key);
}

static void join(struct plan_wanted *into, const struct plan_wanted *other)
{
    into->by_hand |= other->by_hand;
    if (into->excess_bytes < other->excess_bytes) {
        into->excess_bytes = other->excess_bytes;
    }
    if (into->last_hit_s < other->last_hit_s) {
        into->last_hit_s = other->last_hit_s;
    }
}

size_t wanted_finish(struct wanted_list *list)
{
    size_t i, n = 0, special = 0;

    if (list->count > 0) {
        qsort(list->entries, list->count, sizeof(list->entries[0]), compare);
    }
    for (i = 0; i < list->count; i++) {
        struct plan_wanted *entry = &list->entries[i];

        if (n > 0 && compare(&list->entries[n - 1], entry) == 0) {
            join(&list->entries[n - 1], entry);
        }
        else if (cq_special_word(&entry->key) != NULL) {
            special++;
        }
        else {
            list->entries[n++] = *entry;
        }
    }
    list->count = n;
    return special;
}

void wanted_free(struct wanted_list *list)
{
    free(list->entries);
    memset(list, 0, sizeof(*list));
}
