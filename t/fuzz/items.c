/* items - fuzzes what memcached holds for a client, and its list of nodes. The
 * seal is put right half the time, as by a program that can write to memcached
 * and read this source. An item that was read, written and read again
 * is the same. */
#include "input.h"

#include "cluster/bytes.h"
#include "cluster/list.h"

#define NOW_MS INT64_C(1794744000000)

static bool lives(const void *baton, uint64_t node, uint16_t boot)
{
    (void)baton;
    return (node ^ boot) & 1;
}

static void fuzz_item(uint8_t *value, size_t size,
                      const struct cq_item_key *key)
{
    static struct cq_item item, again;
    static uint8_t written[CQ_ITEM_SIZE_MAX];
    struct cq_item_entry own = { .node = 1, .used_bytes = 5 };
    size_t n;

    if (cq_item_decode(value, size, key, NOW_MS, &item) != CQ_ITEM_GOOD) {
        HOLDS(item.entries_n == 0);
        return;
    }
    n = cq_item_encode(&item, key, written);
    HOLDS(n <= sizeof(written));
    HOLDS(cq_item_decode(written, n, key, NOW_MS, &again) == CQ_ITEM_GOOD);
    HOLDS(again.entries_n == item.entries_n);
    (void)cq_item_add_up(&item, 1, 0, lives, NULL);
    if (cq_item_set(&item, &own)) {
        struct cq_item_sum sum = cq_item_add_up(&item, 1, 0, lives, NULL);

        HOLDS(sum.own != NULL && cq_item_equals(sum.own, &own));
    }
}

static void fuzz_list(uint8_t *value, size_t size)
{
    static struct cq_list list, again;
    static uint8_t written[CQ_LIST_SIZE_MAX];
    struct cq_item_key key;
    size_t i, n;

    cq_list_decode(value, size, &list);
    HOLDS(list.n <= CQ_CLUSTER_NODES_MAX);
    for (i = 0; i < list.n; i++) {
        const char *label = list.entries[i].label;

        HOLDS(memchr(label, '\0', sizeof(list.entries[i].label)) != NULL);
    }
    n = cq_list_encode(&list, written);
    HOLDS(n <= sizeof(written));
    cq_list_key(&key);
    cq_seal(written, n, &key.hash);
    cq_list_decode(written, n, &again);
    HOLDS(again.n == list.n && again.born == list.born);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cq_key client = { .family = 4, .prefix = 32,
                                          .bytes = { 192, 0, 2, 7 } };
    struct cq_item_seeds seeds = cq_item_seeds("default", 1, 2,
                                               (struct cq_prefixes){ 32, 64 });
    struct input in = { data, size };
    uint64_t kind = take(&in, 1);
    struct cq_item_key key;
    uint8_t *value = malloc(in.size > 0 ? in.size : 1);

    HOLDS(value != NULL);
    memcpy(value, in.at, in.size);
    if ((kind & 1) != 0) {
        cq_item_key(&seeds, &client, &key);
    }
    else {
        cq_list_key(&key);
    }
    if ((kind & 2) != 0 && in.size >= CQ_SEAL_SIZE) {
        cq_seal(value, in.size, &key.hash);
    }
    if ((kind & 1) != 0) {
        fuzz_item(value, in.size, &key);
    }
    else if (in.size <= CQ_LIST_SIZE_MAX) {
        fuzz_list(value, in.size);
    }
    free(value);
    return 0;
}
