/* exchange - a node whose memcached the fuzzer is, for exchange.c and hints.c.
 *
 * One table and one world for all inputs, put back to how they were: to make
 * them takes longer than what an input does with them. */
#ifndef CQ_FUZZ_EXCHANGE_H
#define CQ_FUZZ_EXCHANGE_H

#include "input.h"

#define CQ_PLAIN_ASSERT
#include "../unit/cluster_world.h"

#include "cluster/bytes.h"

static struct world world;
static struct node node;
static unsigned char *good;

/* The 128 bits that a key's text was made of. */
static inline struct cq_seed hash_of(const struct cq_key_text *key)
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

static inline void start(const struct cq_transport *transport)
{
    char text[256];
    struct cq_exchange_want want = {
        .options = &node.options, .label = "fuzz", .interval_ms = 500,
        .report = node_hear, .baton = &node, .transport = transport,
        .world = &node
    };

    cq_exchange_stop(node.exchange);
    HOLDS(cq_exchange_start(node.table, &want, &node.exchange, text,
                            sizeof(text)) == CQ_OK);
}

static inline void end_node(void)
{
    memcpy(node.table->header, good, node.table->size);
    free(good);
    node_end(&node);
    world_end(&world);
}

static inline void begin(const struct cq_transport *transport)
{
    if (good == NULL) {
        world_begin(&world, 1);
        node_begin(&node, &world, 1, "--SERVER=127.0.0.1:11211");
        good = malloc(node.table->size);
        HOLDS(good != NULL);
        memcpy(good, node.table->header, node.table->size);
        atexit(end_node);
    }
    world_end(&world);
    world_begin(&world, 1);
    memcpy(node.table->header, good, node.table->size);
    node.said[0] = '\0';
    start(transport);
}

#endif
