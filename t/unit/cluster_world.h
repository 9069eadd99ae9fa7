/* cluster_world - memcached servers and a network that exist only here, and
 * nodes that exchange through them. Everything that goes wrong is drawn
 * from a seed, and time passes only when a test moves it. */
#ifndef CQ_CLUSTER_WORLD_H
#define CQ_CLUSTER_WORLD_H

#include "cluster/transport.h"
#include "table/exchange.h"
#include "table_fixture.h"

#ifndef ITEMS
#define SERVERS 3
#define ITEMS 4096
#define LATER 512
#endif
#define NOTHING { 0 }

struct item {
    char key[32];
    size_t key_n;
    unsigned char *value;       /* NULL: deleted */
    size_t size;
    uint64_t cas;
};

/* a put that is under way */
struct later {
    bool used;
    int64_t at_ms;
    size_t server;
    struct item item;           /* cas: that it must meet */
};

struct world {
    int64_t now_ms;             /* steady */
    int64_t unix_ms;
    uint64_t random;
    uint64_t cas;
    struct item items[SERVERS][ITEMS];
    struct later later[LATER];
    bool down[SERVERS];
    bool empty[SERVERS];        /* answers, and has and stores nothing */
    /* in 1000 */
    unsigned lose_answer, cut_answer, lose_put, delay_put, repeat_put, noise;
    int64_t gets, puts;
};

/* a node and how it sees the world */
struct node {
    struct world *world;
    struct fixture f;
    struct cq_table *table;
    struct cq_exchange *exchange;
    struct cq_cluster_options options;
    bool cut[SERVERS];          /* from this node */
    int64_t clock_off_ms;
    char said[2048];
    int said_n[16];
    uint64_t machine;
};

struct link_of_world {
    struct cq_link link;
    size_t server;
    uint64_t puts;
};

static inline bool chance(struct world *w, unsigned in_1000)
{
    return in_1000 > 0 && xorshift(&w->random) % 1000 < in_1000;
}

static inline struct item *find_item(struct world *w, size_t server,
                                     const char *key, size_t n)
{
    size_t i, at = 5381;

    ck_assert(n < sizeof(w->items[0][0].key));
    for (i = 0; i < n; i++) {
        at = at * 33 + (unsigned char)key[i];
    }
    for (i = 0; i < ITEMS; i++) {
        struct item *item = &w->items[server][(at + i) % ITEMS];

        if (item->key_n == 0
            || (item->key_n == n && memcmp(item->key, key, n) == 0)) {
            return item;
        }
    }
    ck_assert(false);
    return NULL;
}

/* What a server does with a cas or an add. */
static inline void store(struct world *w, size_t server,
                         const struct item *put)
{
    struct item *item = find_item(w, server, put->key, put->key_n);

    if (w->down[server] || w->empty[server]
        || (put->cas == 0 ? item->value != NULL
                          : item->value == NULL || item->cas != put->cas)) {
        return;
    }
    memcpy(item->key, put->key, sizeof(item->key));
    item->key_n = put->key_n;
    free(item->value);
    item->value = malloc(put->size > 0 ? put->size : 1);
    memcpy(item->value, put->value, put->size);
    item->size = put->size;
    item->cas = ++w->cas;
}

static inline void deliver(struct world *w)
{
    size_t i;

    for (i = 0; i < LATER; i++) {
        struct later *l = &w->later[i];

        if (l->used && l->at_ms <= w->now_ms) {
            store(w, l->server, &l->item);
            free(l->item.value);
            l->used = false;
        }
    }
}

static inline void put_later(struct world *w, size_t server,
                             const struct item *put, int64_t in_ms)
{
    size_t i;

    for (i = 0; i < LATER; i++) {
        struct later *l = &w->later[i];

        if (!l->used) {
            l->used = true;
            l->at_ms = w->now_ms + in_ms;
            l->server = server;
            l->item = *put;
            l->item.value = malloc(put->size > 0 ? put->size : 1);
            memcpy(l->item.value, put->value, put->size);
            return;
        }
    }
}

/* ---- the six functions ---- */

static inline struct cq_link *world_open(void *world,
                                         const struct cq_cluster_server *server,
                                         const char *name_space)
{
    struct link_of_world *link = calloc(1, sizeof(*link));

    (void)world;
    (void)name_space;
    link->server = server->port - 11211u;
    ck_assert(link->server < SERVERS);
    return &link->link;
}

static inline void world_close(void *world, struct cq_link *link)
{
    (void)world;
    free(link);
}

static inline bool no_answer(struct node *node, struct cq_link *link)
{
    node->world->now_ms += 1000;
    node->world->unix_ms += 1000;
    deliver(node->world);
    snprintf(link->why, sizeof(link->why), "timed out");
    return false;
}

static inline bool world_get(void *world, struct cq_link *link,
                             const struct cq_key_text *keys, size_t n,
                             cq_found *found, void *baton)
{
    struct node *node = world;
    struct world *w = node->world;
    size_t server = ((struct link_of_world *)link)->server;
    size_t i;

    if (w->down[server] || node->cut[server] || chance(w, w->lose_answer)) {
        return no_answer(node, link);
    }
    w->gets += (int64_t)n;
    for (i = 0; i < n; i++) {
        const struct item *item = find_item(w, server, keys[i].text,
                                            keys[i].length);
        unsigned char noise[64];

        if (chance(w, w->cut_answer)) {
            return no_answer(node, link);
        }
        if (item->value == NULL || w->empty[server]) {
            continue;
        }
        if (chance(w, w->noise)) {
            size_t k;

            for (k = 0; k < sizeof(noise); k++) {
                noise[k] = (unsigned char)xorshift(&w->random);
            }
            found(baton, i, noise, xorshift(&w->random) % sizeof(noise),
                  item->cas);
        }
        else {
            found(baton, i, item->value, item->size, item->cas);
        }
    }
    return true;
}

static inline bool world_put(void *world, struct cq_link *link,
                             const struct cq_key_text *key,
                             const unsigned char *value, size_t size,
                             uint32_t expiry_s, uint64_t cas)
{
    struct node *node = world;
    struct world *w = node->world;
    size_t server = ((struct link_of_world *)link)->server;
    struct item put = { .key_n = key->length, .value = malloc(size + 1),
                        .size = size, .cas = cas };

    ck_assert(expiry_s > 0 && expiry_s <= 30 * 86400);
    ck_assert(size <= 16384);
    w->puts++;
    memcpy(put.key, key->text, key->length);
    memcpy(put.value, value, size);
    if (node->cut[server]) {
        /* it may come out of a socket's buffer much later */
        put_later(w, server, &put, (int64_t)(xorshift(&w->random) % 9000));
    }
    else if (chance(w, w->delay_put)) {
        put_later(w, server, &put, (int64_t)(xorshift(&w->random) % 5000));
    }
    else if (!chance(w, w->lose_put)) {
        store(w, server, &put);
        if (chance(w, w->repeat_put)) {
            put_later(w, server, &put, (int64_t)(xorshift(&w->random) % 3000));
        }
    }
    free(put.value);
    return true;
}

static inline bool world_flush(void *world, struct cq_link *link)
{
    (void)world;
    (void)link;
    return true;
}

static inline int64_t world_clock_ms(void *world)
{
    return ((struct node *)world)->world->now_ms;
}

static const struct cq_transport world_transport = {
    world_open, world_close, world_get, world_put, world_flush, world_clock_ms
};

/* ---- nodes ---- */

static inline void world_begin(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->random = seed * 2 + 1;
    w->now_ms = 1000000;
    w->unix_ms = NOON_S * 1000;
}

static inline void lose_items(struct world *w, size_t server)
{
    size_t i;

    for (i = 0; i < ITEMS; i++) {
        free(w->items[server][i].value);
        memset(&w->items[server][i], 0, sizeof(w->items[server][i]));
    }
}

static inline void world_end(struct world *w)
{
    size_t i;

    for (i = 0; i < SERVERS; i++) {
        lose_items(w, i);
    }
    for (i = 0; i < LATER; i++) {
        if (w->later[i].used) {
            free(w->later[i].item.value);
        }
    }
}

static inline void node_hear(void *baton, enum cq_cluster_event event,
                        const char *text)
{
    struct node *node = baton;
    size_t n = strlen(node->said);

    node->said_n[event]++;
    snprintf(node->said + n, sizeof(node->said) - n, "%d %s\n", (int)event,
             text);
}

static inline void node_start(struct node *node)
{
    char label[16];
    char text[256];
    struct cq_exchange_want want = {
        .options = &node->options, .label = label, .interval_ms = 500,
        .report = node_hear, .baton = node, .transport = &world_transport,
        .world = node
    };

    snprintf(label, sizeof(label), "node%d", (int)(node->machine % 100));
    ck_assert_int_eq(cq_exchange_start(node->table, &want, &node->exchange,
                                       text, sizeof(text)), CQ_OK);
}

static inline void node_open(struct node *node)
{
    uint16_t pool;
    struct cq_policy policy = { 1000000, 0 };
    uint16_t index;

    node->f.want.now_s = (node->world->unix_ms + node->clock_off_ms) / 1000;
    node->table = fixture_open(&node->f, NULL);
    cq_table_policies_begin(node->table);
    ck_assert_int_eq(cq_table_pool(node->table, "default", &pool), CQ_OK);
    ck_assert_int_eq(cq_table_policy(node->table, pool, "ClamQuotaDaily",
                                     &policy, &index), CQ_OK);
    cq_table_pool_refuses(node->table, pool, true);
    cq_table_policies_end(node->table);
    node_start(node);
}

static inline void node_begin_for(struct node *node, struct world *w,
                                  uint64_t machine, const char *servers,
                                  uint64_t clients)
{
    char text[256];

    memset(node, 0, sizeof(*node));
    node->world = w;
    node->machine = machine;
    fixture_begin(&node->f, clients);
    node->f.want.cluster = true;
    node->f.want.machine = machine;
    ck_assert_msg(cq_cluster_parse(servers, &node->options, text, sizeof(text))
                  == CQ_OK, "%s", text);
    node_open(node);
}

static inline void node_begin(struct node *node, struct world *w,
                              uint64_t machine, const char *servers)
{
    node_begin_for(node, w, machine, servers, 60);
}

static inline void node_close(struct node *node)
{
    cq_exchange_stop(node->exchange);
    cq_tablefile_close(node->table);
    node->exchange = NULL;
    node->table = NULL;
}

static inline void node_end(struct node *node)
{
    cq_exchange_stop(node->exchange);
    if (node->table != NULL) {
        assert_sound(node->table);
    }
    fixture_end(&node->f, node->table);
}

static inline struct cq_clock node_clock(struct node *node)
{
    return clock_at(node->table,
                    (node->world->unix_ms + node->clock_off_ms) / 1000);
}

static inline bool node_round(struct node *node)
{
    deliver(node->world);
    return cq_exchange_round(node->exchange,
                             node->world->unix_ms + node->clock_off_ms, 5000);
}

static inline void pass_ms(struct world *w, int64_t ms)
{
    w->now_ms += ms;
    w->unix_ms += ms;
    deliver(w);
}

/* N rounds of each node, an interval apart. */
static inline void rounds(struct node *nodes, size_t n, int count)
{
    size_t i;

    while (count-- > 0) {
        pass_ms(nodes[0].world, 500);
        for (i = 0; i < n; i++) {
            if (nodes[i].exchange != NULL) {
                node_round(&nodes[i]);
            }
        }
    }
}

static inline void node_charge(struct node *node, uint32_t k, int64_t bytes)
{
    struct cq_clock clock = node_clock(node);
    struct cq_account a = open_client(node->table, k, &clock);

    cq_account_charge(&a, &clock, bytes);
    cq_account_count_hit(&a, &clock);
    cq_account_close(&a);
}

/* used here and elsewhere */
static inline int64_t node_sum(struct node *node, uint32_t k)
{
    struct cq_clock clock = node_clock(node);
    struct cq_key key = client(k);
    struct cq_row row;

    return cq_table_row(node->table, 0, &key, &clock, &row) == CQ_OK
        ? row.used_bytes + row.others_used_bytes : -1;
}

static inline int64_t node_own(struct node *node, uint32_t k)
{
    struct cq_clock clock = node_clock(node);
    struct cq_key key = client(k);
    struct cq_row row;

    return cq_table_row(node->table, 0, &key, &clock, &row) == CQ_OK
        ? row.used_bytes : 0;
}

static inline struct cq_cluster_status node_status(const struct node *node)
{
    struct cq_cluster_status status;

    ck_assert(cq_cluster_status_read(node->table, &status));
    return status;
}

#define THREE "--SERVER=127.0.0.1:11211 --SERVER=127.0.0.1:11212 " \
              "--SERVER=127.0.0.1:11213"

#endif
