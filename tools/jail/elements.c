/* elements - what a jail holds, as an array in order. */
#include "jail/kind.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t cq_jail_now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

bool cq_jail_address(struct cq_key *key, const void *bytes, int set)
{
    bool is_v4 = set % 2 == CQ_JAIL_V4;

    *key = (struct cq_key){ .family = is_v4 ? 4 : 6,
                            .prefix = is_v4 ? 32 : 128 };
    memcpy(key->bytes, bytes, is_v4 ? 4 : 16);
    return cq_key_is_valid(key);
}

bool cq_jail_elements_add(struct cq_jail_elements *elements,
                          const struct cq_key *key, bool is_operators,
                          int64_t expires_at_s)
{
    if (elements->count == elements->room) {
        size_t room = elements->room == 0 ? 128 : elements->room * 2;
        struct cq_jail_element *list =
            reallocarray(elements->list, room, sizeof(*list));

        if (list == NULL) {
            return false;
        }
        elements->list = list;
        elements->room = room;
    }
    elements->is_sorted = false;
    elements->list[elements->count++] = (struct cq_jail_element){
        .key = *key, .is_operators = is_operators,
        .expires_at_s = expires_at_s
    };
    return true;
}

/* The bytes of a key from the least significant one in cq_key_compare(). */
#define KEY_BYTES 18

static uint8_t key_byte(const struct cq_key *key, int i)
{
    return i == 0 ? key->prefix : i == 17 ? key->family : key->bytes[16 - i];
}

/* Puts them in the order of one byte, those of equal bytes as they were.
 * @return false: all have the same, nothing was done */
static bool sort_by_byte(const struct cq_jail_element *from,
                         struct cq_jail_element *to, size_t count, int byte)
{
    size_t starts[257] = { 0 }, i;

    for (i = 0; i < count; i++) {
        starts[key_byte(&from[i].key, byte) + 1]++;
    }
    if (starts[key_byte(&from[0].key, byte) + 1] == count) {
        return false;
    }
    for (i = 0; i < 256; i++) {
        starts[i + 1] += starts[i];
    }
    for (i = 0; i < count; i++) {
        to[starts[key_byte(&from[i].key, byte)]++] = from[i];
    }
    return true;
}

/* A radix sort: a tenth of the time of qsort() for 100,000 addresses, and it
 * keeps the order of equal keys. */
bool cq_jail_elements_sort(struct cq_jail_elements *elements)
{
    struct cq_jail_element *from = elements->list, *to, *other;
    size_t i, n = 0;
    int byte;

    if (elements->is_sorted || elements->count == 0) {
        return true;
    }
    to = reallocarray(NULL, elements->room, sizeof(*to));
    if (to == NULL) {
        return false;
    }
    for (byte = 0; byte < KEY_BYTES; byte++) {
        if (sort_by_byte(from, to, elements->count, byte)) {
            other = from;
            from = to;
            to = other;
        }
    }
    free(to);
    elements->list = from;
    for (i = 0; i < elements->count; i++) {
        bool is_last = i + 1 == elements->count
            || cq_key_compare(&from[i].key, &from[i + 1].key) != 0;

        if (is_last && from[i].expires_at_s != CQ_JAIL_GONE) {
            from[n++] = from[i];
        }
    }
    elements->count = n;
    elements->is_sorted = true;
    return true;
}
