/* exchange - fuzzes everything that a memcached can answer to a node: lists of
 * nodes, acts, hints, clients' items. Each get takes its values from the
 * input, sealed for their key as by a program that knows how, or not. After four
 * rounds the table is in order, and no client is an offender by what others
 * said of it. */
#include "input.h"

#define CQ_PLAIN_ASSERT
#include "../unit/cluster_world.h"

#include "cluster/bytes.h"

static struct input answers;

/* The 128 bits that a key's text was made of. */
static struct cq_seed hash_of(const struct cq_key_text *key)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789-_";
    struct cq_seed hash = { 0, 0 };
    size_t i;

    for (i = key->length; i-- > 2;) {
        const char *letter = strchr(letters, key->text[i]);

        HOLDS(letter != NULL);
        hash.k1 = hash.k1 << 6 | hash.k0 >> 58;
        hash.k0 = hash.k0 << 6 | (uint64_t)(letter - letters);
    }
    return hash;
}

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

static bool fuzz_get(void *world, struct cq_link *link,
                     const struct cq_key_text *keys, size_t n,
                     cq_found *found, void *baton)
{
    struct node *node = world;
    size_t server = ((struct link_of_world *)link)->server;
    size_t i;

    for (i = 0; i < n; i++) {
        static uint8_t value[65536];
        const struct item *item = find_item(node->world, server, keys[i].text,
                                            keys[i].length);
        uint64_t kind = take(&answers, 1);
        size_t size;

        if (kind % 16 == 15) {
            return no_answer(node, link);
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
        found(baton, i, value, size, item->cas);
    }
    return true;
}

static const struct cq_transport fuzz_transport = {
    world_open, world_close, fuzz_get, world_put, world_flush, world_clock_ms
};

static void start(struct node *node)
{
    char text[256];
    struct cq_exchange_want want = {
        .options = &node->options, .label = "fuzz", .interval_ms = 500,
        .report = node_hear, .baton = node, .transport = &fuzz_transport,
        .world = node
    };

    cq_exchange_stop(node->exchange);
    HOLDS(cq_exchange_start(node->table, &want, &node->exchange, text,
                            sizeof(text)) == CQ_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct node node;
    struct cq_clock clock;
    struct cq_row row;
    uint64_t position = 0;
    int i;

    answers = (struct input){ data, size };
    world_begin(&world, 1);
    node_begin(&node, &world, 1, "--SERVER=127.0.0.1:11211");
    start(&node);
    node_charge(&node, 1, 5000);
    for (i = 0; i < 4; i++) {
        node_charge(&node, 2, 100);
        rounds(&node, 1, 1);
    }
    clock = node_clock(&node);
    while (cq_table_next_row(node.table, &clock, &position, &row)) {
        HOLDS(row.refused == 0);
    }
    node_end(&node);
    world_end(&world);
    return 0;
}
