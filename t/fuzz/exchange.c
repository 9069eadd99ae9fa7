/* exchange - fuzzes everything that a memcached can answer to a node: lists of
 * nodes, acts, hints, clients' items. Each get takes its values from the
 * input, sealed for their key as by a program that knows how, or not. */
#include "exchange.h"

static struct input answers;

/* Of a value that this node has put: changed in one place by the input. */
static size_t change(uint8_t *value, size_t size)
{
    uint64_t n = take(&answers, 1);

    while (n-- % 8 > 0 && size > CQ_SEAL_SIZE) {
        size_t at = CQ_SEAL_SIZE + take(&answers, 2) % (size - CQ_SEAL_SIZE);

        value[at] = (uint8_t)take(&answers, 1);
    }
    return size;
}

static size_t make_up(uint8_t *value)
{
    size_t size = take(&answers, 2) % 512, i;

    for (i = 0; i < size; i++) {
        value[i] = (uint8_t)take(&answers, 1);
    }
    return size;
}

static bool fuzz_get(void *baton, struct cq_link *link,
                     const struct cq_key_text *keys, size_t n,
                     cq_found *found, void *what)
{
    size_t server = ((struct link_of_world *)link)->server;
    size_t i;

    (void)baton;
    for (i = 0; i < n; i++) {
        static uint8_t value[65536];
        const struct item *item = find_item(&world, server, keys[i].text,
                                            keys[i].length);
        uint64_t kind = take(&answers, 1);
        size_t size;

        if (kind % 16 == 15) {
            return no_answer(&node, link);
        }
        if (item->value != NULL && kind % 4 < 3) {
            memcpy(value, item->value, item->size);
            size = kind % 4 == 0 ? item->size : change(value, item->size);
        }
        else if (kind % 2 != 0) {
            size = make_up(value);
        }
        else {
            continue;           /* not found */
        }
        if (kind % 32 < 16 && size >= CQ_SEAL_SIZE) {
            struct cq_seed hash = hash_of(&keys[i]);

            cq_seal(value, size, &hash);
        }
        found(what, i, value, size, item->cas);
    }
    return true;
}

static const struct cq_transport fuzz_transport = {
    world_open, world_close, fuzz_get, world_put, world_flush, world_clock_ms
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int i;

    answers = (struct input){ data, size };
    begin(&fuzz_transport);
    node_charge(&node, 1, 5000);
    for (i = 0; i < 4; i++) {
        node_charge(&node, 2, 100);
        rounds(&node, 1, 1);
    }
    assert_no_offender();
    return 0;
}
