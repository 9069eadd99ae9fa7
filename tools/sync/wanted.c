/* wanted - the list of who should be jailed. */
#include "sync/source.h"

#include "core/special.h"
#include "sync/keys.h"

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

/* ---- putting in order ----
 *
 * A hundred thousand clients are sorted every two seconds by --watch: for
 * IPv4 by digits of the address, which is ten times as fast as qsort(). */

#define DIGIT_BITS 11           /* three of them make 32 bits */
#define DIGITS (1u << DIGIT_BITS)

static uint32_t digit_of(const struct plan_wanted *entry, unsigned shift)
{
    const uint8_t *b = entry->key.bytes;
    uint32_t address = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16
        | (uint32_t)b[2] << 8 | b[3];

    return address >> shift & (DIGITS - 1);
}

/* One pass of a radix sort; keeps the order of what has the same digit. */
static void sort_by_digit(const struct plan_wanted *from,
                          struct plan_wanted *to, size_t n, unsigned shift)
{
    size_t starts[DIGITS] = { 0 };
    size_t i, at = 0;

    for (i = 0; i < n; i++) {
        starts[digit_of(&from[i], shift)]++;
    }
    for (i = 0; i < DIGITS; i++) {
        size_t here = starts[i];

        starts[i] = at;
        at += here;
    }
    for (i = 0; i < n; i++) {
        to[starts[digit_of(&from[i], shift)]++] = from[i];
    }
}

static bool in_order(const struct wanted_list *list)
{
    size_t i;

    for (i = 1; i < list->count; i++) {
        if (compare(&list->entries[i - 1], &list->entries[i]) > 0) {
            return false;
        }
    }
    return true;
}

/* Sorts what it can by digits; what is left (IPv6, two networks that begin
 * with the same address, no memory) is not in order yet. */
static void sort_addresses(struct wanted_list *list)
{
    struct plan_wanted *other = reallocarray(NULL, list->count,
                                             sizeof(other[0]));
    unsigned shift;

    if (other == NULL) {
        return;
    }
    for (shift = 0; shift < 32; shift += DIGIT_BITS) {
        struct plan_wanted *sorted = other;

        sort_by_digit(list->entries, sorted, list->count, shift);
        other = list->entries;
        list->entries = sorted;
    }
    list->capacity = list->count;
    free(other);
}

static void sort(struct wanted_list *list)
{
    if (list->count > 1 && !in_order(list)) {
        sort_addresses(list);
        if (!in_order(list)) {
            qsort(list->entries, list->count, sizeof(list->entries[0]),
                  compare);
        }
    }
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

    sort(list);
    for (i = 0; i < list->count; i++) {
        struct plan_wanted *entry = &list->entries[i];

        if (n > 0 && compare(&list->entries[n - 1], entry) == 0) {
            join(&list->entries[n - 1], entry);
        }
        else if (cq_special_word(&entry->key) != NULL
                 || key_is_vast(&entry->key)) {
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
