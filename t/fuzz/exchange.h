/* exchange - a node whose memcached the fuzzer is, for exchange.c and hints.c.
 *
 * One table and one world for all inputs, put back to how they were: to make
 * them takes longer than what an input does with them. */
#ifndef CQ_FUZZ_EXCHANGE_H
#define CQ_FUZZ_EXCHANGE_H

#include "input.h"

#define CQ_PLAIN_ASSERT
#define SERVERS 1
#define ITEMS 256
#define LATER 8
#include "../unit/cluster_world.h"

#include "cluster/bytes.h"
#include "core/offence.h"

#define CLIENTS 10
#define DAILY_BYTES 1000000     /* node_open() */

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
    put_back(node.table->header, good, node.table->size);
    free(good);
    node_end(&node);
    world_end(&world);
}

static inline void begin(const struct cq_transport *transport)
{
    if (good == NULL) {
        world_begin(&world, 1);
        node_begin_for(&node, &world, 1, "--SERVER=127.0.0.1:11211",
                       CLIENTS);
        good = malloc(node.table->size);
        HOLDS(good != NULL);
        memcpy(good, node.table->header, node.table->size);
        atexit(end_node);
    }
    world_end(&world);
    world_begin(&world, 1);
    put_back(node.table->header, good, node.table->size);
    node.said[0] = '\0';
    start(transport);
}

/* The table is in order, and no client is an offender by what others said of
 * it: not even once it is refused by that. */
static inline void assert_no_offender(void)
{
    static const struct cq_offence_limits limits = { 0, 1 };
    static const struct cq_policy policy = { DAILY_BYTES, 0 };
    struct cq_clock clock = node_clock(&node);
    struct cq_row row;
    uint64_t position = 0;

    assert_sound(node.table);
    while (cq_table_next_row(node.table, &clock, &position, &row)) {
        struct cq_account account;
        struct cq_offence_facts facts;

        HOLDS(row.refused == 0);
        if (cq_account_open(node.table, row.pool, &row.key, &clock, &account)
            != CQ_OK) {
            continue;
        }
        cq_account_count_refusal(&account, &clock, CQ_STATE_OVER);
        cq_account_close(&account);
        HOLDS(cq_table_row(node.table, row.pool, &row.key, &clock, &row)
              == CQ_OK && row.refused == 1);
        facts = (struct cq_offence_facts){
            .used_bytes = row.used_bytes, .over_since_s = row.over_since_s,
            .refusals = row.over_refusals
        };
        HOLDS(cq_offence_judge(&facts, &policy, true, clock.day,
                               clock.now_s + DAY_S, &limits, NULL)
              != CQ_OFFENCE_OFFENDER);
    }
    assert_sound(node.table);
}

#endif
