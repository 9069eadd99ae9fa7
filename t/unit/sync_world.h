/* sync_world - a jail's world in words, for the tests of the plan. */
#ifndef CQ_SYNC_WORLD_H
#define CQ_SYNC_WORLD_H

#include "sync/plan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1700000000)
#define LEASE INT64_C(3600)
#define MOST 64

/* a world, written as texts: "10.0.0.1 10.0.0.2" */
struct world {
    struct plan_wanted wanted[MOST];
    struct jail_present present[MOST];
    struct plan_owned owned[MOST];
    struct cq_net_list never;
    struct plan_input in;
};

static inline struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_msg(cq_key_parse(&key, text, NULL) == CQ_OK, "%s", text);
    return key;
}

/* Calls put() for each word of a text. */
static inline void each_word(const char *words, struct world *world,
                      void (*put)(struct world *, const struct cq_key *))
{
    char word[CQ_KEY_TEXT_SIZE];
    int length;

    while (sscanf(words, " %51s%n", word, &length) == 1) {
        struct cq_key key = key_of(word);

        put(world, &key);
        words += length;
    }
}

static inline void put_wanted(struct world *world, const struct cq_key *key)
{
    world->wanted[world->in.wanted_n++].key = *key;
}

static inline void put_present(struct world *world, const struct cq_key *key)
{
    world->present[world->in.present_n].key = *key;
    world->present[world->in.present_n++].expires_in_s = JAIL_NO_EXPIRY;
}

static inline void put_owned(struct world *world, const struct cq_key *key)
{
    world->owned[world->in.owned_n].key = *key;
    world->owned[world->in.owned_n++].renewed_at_s = NOW - 60;
}

static inline void put_never(struct world *world, const struct cq_key *key)
{
    ck_assert(cq_net_add(&world->never, key, 0) == CQ_OK);
}

static inline struct world *world_of(const char *wanted, const char *present,
                              const char *owned, const char *never)
{
    struct world *world = calloc(1, sizeof(*world));

    ck_assert(world != NULL);
    each_word(wanted, world, put_wanted);
    each_word(present, world, put_present);
    each_word(owned, world, put_owned);
    each_word(never, world, put_never);
    ck_assert(cq_net_seal(&world->never, NULL) == CQ_OK);
    world->in.wanted = world->wanted;
    world->in.present = world->present;
    world->in.owned = world->owned;
    world->in.never = &world->never;
    world->in.places.v4 = world->in.places.v6 = -1;
    world->in.now_s = NOW;
    world->in.lease_s = LEASE;
    return world;
}

static inline void free_world(struct world *world)
{
    cq_net_free(&world->never);
    free(world);
}

#endif
