/* kind - what all kinds share: names, the walk over the sets, elements. */
#include "jail/kind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LETTERS \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789"

bool cq_jail_is_name(const char *text, size_t size)
{
    size_t length = strspn(text, LETTERS "-.:");

    return strspn(text, LETTERS) > 0 && text[length] == '\0' && length < size;
}

int cq_jail_for_sets(struct cq_jail *jail, int (*read)(struct cq_jail *jail))
{
    int error = 0, i;

    for (i = 0; i < CQ_JAIL_SETS && error == 0; i++) {
        if (jail->names[i] != NULL) {
            jail->set = i;
            jail->wrong = NULL;
            error = read(jail);
            if (error == 0 && jail->wrong != NULL) {
                error = EMEDIUMTYPE;
            }
        }
    }
    return error;
}

int64_t cq_jail_now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

struct cq_key cq_jail_address(const void *bytes, int set)
{
    bool is_v4 = set % 2 == CQ_JAIL_V4;
    struct cq_key key = { .family = is_v4 ? 4 : 6, .prefix = is_v4 ? 32 : 128 };

    memcpy(key.bytes, bytes, is_v4 ? 4 : 16);
    return key;
}

/* @return false: no memory */
static bool append(struct cq_jail_elements *elements,
                   struct cq_jail_element element)
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
    elements->list[elements->count++] = element;
    return true;
}

bool cq_jail_add_element(struct cq_jail *jail, const struct cq_key *key,
                         bool is_operators, int64_t expires_at_s)
{
    const struct cq_jail_element element = {
        .key = *key, .is_operators = is_operators,
        .expires_at_s = expires_at_s
    };

    return jail->set > CQ_JAIL_V6 ? append(&jail->networks, element)
           : !cq_key_is_valid(key) || append(&jail->elements, element);
}

/* By key; of equal keys the one that was removed is the first, the one that
 * expires last is the last. */
static int compare(const void *a, const void *b)
{
    const struct cq_jail_element *one = a;
    const struct cq_jail_element *other = b;
    int order = cq_key_compare(&one->key, &other->key);

    return order != 0 ? order : (one->expires_at_s > other->expires_at_s)
                                - (one->expires_at_s < other->expires_at_s);
}

void cq_jail_elements_sort(struct cq_jail_elements *elements)
{
    struct cq_jail_element *list = elements->list;
    size_t i, next, n = 0;

    if (elements->is_sorted || elements->count == 0) {
        return;
    }
    qsort(list, elements->count, sizeof(*list), compare);
    for (i = 0; i < elements->count; i = next) {
        for (next = i + 1; next < elements->count
             && cq_key_compare(&list[i].key, &list[next].key) == 0; next++) {
        }
        if (list[i].expires_at_s != CQ_JAIL_GONE) {
            list[n++] = list[next - 1];
        }
    }
    elements->count = n;
    elements->is_sorted = true;
}
