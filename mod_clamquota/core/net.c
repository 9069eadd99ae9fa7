/* net - networks with a value each; the longest prefix wins.
 *
 * A sealed list is sorted by family, then the longest prefix first, then the
 * address: each prefix length of a family is one run. A lookup walks the runs
 * and searches each for the key cut to the run's length; the first hit is the
 * longest prefix. Nothing here is written after sealing. */
#include "core/net.h"

#include <stdlib.h>
#include <string.h>

/* first size of a list, doubled from there */
#define FIRST_CAPACITY 16

/* Order of a sealed list. */
static int compare_nets(const struct cq_key *a, const struct cq_key *b)
{
    if (a->family != b->family) {
        return a->family < b->family ? -1 : 1;
    }
    if (a->prefix != b->prefix) {
        return a->prefix > b->prefix ? -1 : 1;
    }
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static int compare_rules(const void *a, const void *b)
{
    const struct cq_net_rule *rule_a = a;
    const struct cq_net_rule *rule_b = b;

    return compare_nets(&rule_a->net, &rule_b->net);
}

enum cq_status cq_net_add(struct cq_net_list *list, const struct cq_key *net,
                          int64_t value)
{
    if (list->sealed || !cq_key_is_valid(net)) {
        return CQ_EINVAL;
    }
    if (list->count == list->capacity) {
        size_t capacity = FIRST_CAPACITY;
        struct cq_net_rule *rules;

        if (list->capacity > 0) {
            if (list->capacity > SIZE_MAX / 2 / sizeof(*rules)) {
                return CQ_ENOMEM;
            }
            capacity = 2 * list->capacity;
        }
        rules = realloc(list->rules, capacity * sizeof(*rules));
        if (rules == NULL) {
            return CQ_ENOMEM;
        }
        list->rules = rules;
        list->capacity = capacity;
    }
    list->rules[list->count].net = *net;
    list->rules[list->count].value = value;
    list->count++;
    return CQ_OK;
}

bool cq_net_has(const struct cq_net_list *list, const struct cq_key *net)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (compare_nets(&list->rules[i].net, net) == 0) {
            return true;
        }
    }
    return false;
}

enum cq_status cq_net_seal(struct cq_net_list *list, struct cq_key *twice)
{
    if (list->count > 1) {
        qsort(list->rules, list->count, sizeof(*list->rules), compare_rules);
    }
    for (size_t i = 1; i < list->count; i++) {
        if (compare_rules(&list->rules[i - 1], &list->rules[i]) == 0) {
            if (twice != NULL) {
                *twice = list->rules[i].net;
            }
            return CQ_EDUP;
        }
    }
    list->sealed = true;
    return CQ_OK;
}

/* The first rule from index `from` on that does not sort before net. */
static size_t lower_bound(const struct cq_net_list *list, size_t from,
                          const struct cq_key *net)
{
    size_t to = list->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (compare_nets(&list->rules[middle].net, net) < 0) {
            from = middle + 1;
        }
        else {
            to = middle;
        }
    }
    return from;
}

/* Where the first run of this family with at most this many bits starts: no
 * rule of a run sorts before the one that is all zero bytes. */
static size_t run_start(const struct cq_net_list *list, size_t from,
                        uint8_t family, uint8_t bits)
{
    struct cq_key first = { .family = family, .prefix = bits };

    return lower_bound(list, from, &first);
}

/* An empty list costs one load: most are, and are asked for each row. */
static bool can_hold(const struct cq_net_list *list, const struct cq_key *key)
{
    return list->count > 0 && list->sealed && cq_key_is_valid(key);
}

const struct cq_net_rule *cq_net_find(const struct cq_net_list *list,
                                      const struct cq_key *key)
{
    struct cq_key wanted;
    size_t i;

    if (!can_hold(list, key)) {
        return NULL;
    }
    /* Each turn leaves one prefix length behind: at most 129. */
    i = run_start(list, 0, key->family, key->prefix);
    while (i < list->count && list->rules[i].net.family == key->family) {
        wanted = cq_key_network(key, list->rules[i].net.prefix);
        i = lower_bound(list, i, &wanted);
        if (i < list->count
            && compare_nets(&list->rules[i].net, &wanted) == 0) {
            return &list->rules[i];
        }
        if (wanted.prefix == 0) {
            break;
        }
        i = run_start(list, i, key->family, (uint8_t)(wanted.prefix - 1));
    }
    return NULL;
}

bool cq_net_touches(const struct cq_net_list *list, const struct cq_key *key)
{
    size_t i = 0;

    if (!can_hold(list, key)) {
        return false;
    }
    if (cq_net_find(list, key) != NULL) {
        return true;
    }
    /* Of each run of longer prefixes the first that does not sort before the
     * key's own first address is inside of the key if any is. */
    i = run_start(list, 0, key->family, key->family == 4 ? 32 : 128);
    while (i < list->count && list->rules[i].net.family == key->family
           && list->rules[i].net.prefix > key->prefix) {
        struct cq_key first = *key;

        first.prefix = list->rules[i].net.prefix;
        i = lower_bound(list, i, &first);
        if (i < list->count && cq_key_contains(key, &list->rules[i].net)) {
            return true;
        }
        i = run_start(list, i, key->family, (uint8_t)(first.prefix - 1));
    }
    return false;
}

void cq_net_free(struct cq_net_list *list)
{
    free(list->rules);
    memset(list, 0, sizeof(*list));
}
