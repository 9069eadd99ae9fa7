/* cluster: more nodes, shares and acts than there is room for, rounds that
 * come to their deadline, and tables that cannot be exchanged. Each is
 * logged once and loses nothing else. */
#include "cluster/bytes.h"
#include "cluster/list.h"
#include "cluster/parts.h"
#include "cluster_world.h"
#include "table/exempt.h"

#define DAY_MS (DAY_S * 1000)

static struct world world;
static struct node nodes[2];

static void begin(size_t n, uint64_t clients)
{
    size_t i;

    world_begin(&world, 3);
    for (i = 0; i < n; i++) {
        node_begin_for(&nodes[i], &world, i + 1, THREE, clients);
    }
}

static void end(size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        node_end(&nodes[i]);
    }
    world_end(&world);
}

/* What another node would have put there. */
static void put_value(size_t server, const struct cq_item_key *key,
                      unsigned char *value, size_t size)
{
    struct item put = { .key_n = CQ_ITEM_KEY_LENGTH, .value = value,
                        .size = size };

    memcpy(put.key, key->text, CQ_ITEM_KEY_LENGTH);
    put.cas = find_item(&world, server, key->text, CQ_ITEM_KEY_LENGTH)->cas;
    cq_seal(value, size, &key->hash);
    store(&world, server, &put);
}

static bool shows(const struct node *node, uint64_t id)
{
    struct cq_cluster_status status = node_status(node);
    size_t i;

    for (i = 0; i < status.nodes_n && status.nodes[i].id != id; i++) {
    }
    return i < status.nodes_n;
}

/* 63 strangers and this node: the next one is in no list, and exchanges all
 * the same. A stranger without a sign of life for a day makes room for it. */
START_TEST(more_nodes_than_places)
{
    struct cq_item_key key;
    size_t server;
    uint64_t i;

    begin(2, 60);
    cq_list_key(&key);
    rounds(nodes, 1, 3);
    for (server = 0; server < SERVERS; server++) {
        static struct cq_list list;
        static unsigned char value[CQ_LIST_SIZE_MAX];
        struct item *item = find_item(&world, server, key.text,
                                      CQ_ITEM_KEY_LENGTH);

        cq_list_decode(item->value, item->size, &list);
        ck_assert_uint_eq(list.n, 1);
        for (i = 1; i < CQ_CLUSTER_NODES_MAX; i++) {
            list.entries[i] = list.entries[0];
            list.entries[i].node = i;
            list.entries[i].beat -= i;
        }
        list.n = CQ_CLUSTER_NODES_MAX;
        put_value(server, &key, value, cq_list_encode(&list, value));
    }
    node_charge(&nodes[1], 1, 10);
    node_charge(&nodes[0], 1, 100);
    rounds(nodes, 2, 6);
    ck_assert_str_eq(nodes[1].said, "7 there are 64 nodes: this one is in no "
                     "list of nodes\n");
    ck_assert_str_eq(nodes[0].said, "");
    ck_assert_uint_eq(node_status(&nodes[0]).nodes_n, 64);
    ck_assert(!shows(&nodes[0], cq_table_node(nodes[1].table)));
    ck_assert_int_eq(node_sum(&nodes[0], 1), 110);
    ck_assert_int_eq(node_sum(&nodes[1], 1), 110);

    pass_ms(&world, DAY_MS);
    rounds(nodes, 2, 6);
    ck_assert_uint_eq(node_status(&nodes[0]).nodes_n, 64);
    ck_assert(shows(&nodes[0], cq_table_node(nodes[1].table)));
    ck_assert_int_eq(nodes[1].said_n[CQ_CLUSTER_FULL], 1);
    end(2);
}
END_TEST

/* The item of a client in the pool "default" */
static struct cq_item_key key_of_client(const struct node *node, uint32_t k)
{
    struct cq_period period;
    struct cq_item_seeds seeds;
    struct cq_item_key key;
    struct cq_key name = client(k);

    cq_table_period(node->table, &period);
    seeds = cq_item_seeds("default", period.midnight_s[0],
                          period.midnight_s[period.days],
                          node->f.want.prefixes);
    cq_item_key(&seeds, &name, &key);
    return key;
}

/* 64 other nodes have shares of one client: it counts here with all of
 * them, and this node reports that no other node sees its own share. */
START_TEST(more_shares_than_places)
{
    static struct cq_item item;
    unsigned char value[CQ_ITEM_SIZE_MAX];
    struct cq_item_key key;
    size_t server;
    uint64_t i;

    begin(1, 60);
    rounds(nodes, 1, 3);
    key = key_of_client(&nodes[0], 1);
    item.entries_n = CQ_ITEM_ENTRIES_MAX;
    for (i = 0; i < CQ_ITEM_ENTRIES_MAX; i++) {
        item.entries[i].node = i + 1;
        item.entries[i].used_bytes = 10;
    }
    for (server = 0; server < SERVERS; server++) {
        put_value(server, &key, value, cq_item_encode(&item, &key, value));
    }
    node_charge(&nodes[0], 1, 7);
    rounds(nodes, 1, 4);
    ck_assert_int_eq(node_sum(&nodes[0], 1), 647);
    ck_assert_str_eq(nodes[0].said, "7 64 other nodes have shares of one "
                     "client: this node shares nothing of it\n");
    end(1);
}
END_TEST

/* A log that is full of acts that are no older takes no more from a server. */
START_TEST(more_acts_than_places)
{
    struct cq_act act = { .kind = CQ_ACT_RESET };
    struct cq_key older = client(100000);
    uint32_t k;

    begin(2, 60);
    rounds(nodes, 2, 3);
    act.at_ms = world.unix_ms;
    for (k = 0; k < CQ_ACTS_MAX; k++) {
        act.net = client(k);
        ck_assert_int_eq(cq_act_note(nodes[0].table, &act, world.unix_ms),
                         CQ_OK);
    }
    act.net = client(k);
    ck_assert_int_eq(cq_act_note(nodes[0].table, &act, world.unix_ms),
                     CQ_EFULL);
    act.at_ms -= 1;
    act.net = older;
    ck_assert_int_eq(cq_act_note(nodes[1].table, &act, world.unix_ms), CQ_OK);
    rounds(&nodes[1], 1, 1);
    rounds(nodes, 2, 4);
    ck_assert_str_eq(nodes[0].said, "7 the log of resets and exemptions is "
                     "full: 1024\n");
    end(2);
}
END_TEST

/* A network is reset after one of its clients: a share of that client that
 * knows the earlier of the two only is no share any more. */
START_TEST(reset_of_a_network_after_one_of_a_client)
{
    static struct cq_item item;
    unsigned char value[CQ_ITEM_SIZE_MAX];
    struct cq_act act = { .net = client(1), .kind = CQ_ACT_RESET };
    struct cq_item_key key;
    size_t server;

    begin(1, 60);
    rounds(nodes, 1, 3);
    act.at_ms = world.unix_ms;
    ck_assert_int_eq(cq_act_note(nodes[0].table, &act, world.unix_ms), CQ_OK);
    act.net = cq_key_network(&act.net, 8);
    act.at_ms += 5;
    ck_assert_int_eq(cq_act_note(nodes[0].table, &act, world.unix_ms), CQ_OK);
    rounds(nodes, 1, 1);
    key = key_of_client(&nodes[0], 1);
    item.entries_n = 2;
    item.entries[0] = (struct cq_item_entry){ 1, 1000, 0, act.at_ms - 1, 0, 0 };
    item.entries[1] = (struct cq_item_entry){ 2, 30, 0, act.at_ms, 0, 0 };
    for (server = 0; server < SERVERS; server++) {
        put_value(server, &key, value, cq_item_encode(&item, &key, value));
    }
    node_charge(&nodes[0], 1, 7);
    rounds(nodes, 1, 3);
    ck_assert_int_eq(node_sum(&nodes[0], 1), 37);
    ck_assert_int_eq(node_own(&nodes[0], 1), 7);
    end(1);
}
END_TEST

/* An exchanger that is killed when the later reset is done and the earlier one
 * is not ended leaves both: the next one goes by the later. */
START_TEST(reset_of_a_network_by_a_killed_exchanger)
{
    static struct cq_item item;
    unsigned char value[CQ_ITEM_SIZE_MAX];
    struct cq_act act = { .net = client(1), .kind = CQ_ACT_RESET };
    struct cq_item_key key;
    size_t server, i, done = 0;

    begin(1, 60);
    rounds(nodes, 1, 3);
    act.at_ms = world.unix_ms;
    ck_assert_int_eq(cq_act_note(nodes[0].table, &act, world.unix_ms), CQ_OK);
    rounds(nodes, 1, 1);
    act.net = cq_key_network(&act.net, 8);
    act.at_ms += 5;
    ck_assert_int_eq(cq_act_note(nodes[0].table, &act, world.unix_ms), CQ_OK);
    cq_exchange_stop(nodes[0].exchange);
    for (i = 0; i < CQ_ACTS_MAX; i++) {
        _Atomic uint64_t *state = &nodes[0].table->cluster->acts[i].state;

        if ((*state & 3) == CQ_ACT_NEW) {
            *state = (*state & ~UINT64_C(3)) | CQ_ACT_DONE;
        }
        done += (*state & 3) == CQ_ACT_DONE;
    }
    ck_assert_uint_eq(done, 2);
    node_start(&nodes[0]);
    key = key_of_client(&nodes[0], 1);
    item.entries_n = 1;
    item.entries[0] = (struct cq_item_entry){
        cq_table_node(nodes[0].table), 1000, 0, act.at_ms - 5, 0, 0 };
    for (server = 0; server < SERVERS; server++) {
        put_value(server, &key, value, cq_item_encode(&item, &key, value));
    }
    node_charge(&nodes[0], 1, 7);
    rounds(nodes, 1, 3);
    ck_assert_int_eq(node_own(&nodes[0], 1), 7);
    end(1);
}
END_TEST

/* The deadline comes first: the round reports it, the next one continues
 * behind it, and all is exchanged in the end. */
START_TEST(deadline_before_the_last_group)
{
    struct cq_exchange *x;
    int64_t failed;
    uint32_t k;
    int incomplete = 0;

    begin(2, 4000);
    rounds(nodes, 2, 3);
    for (k = 0; k < 2500; k++) {
        node_charge(&nodes[0], k, 100 + k);
        node_charge(&nodes[1], k, 1);
    }
    x = nodes[0].exchange;
    failed = node_status(&nodes[0]).failed_rounds;
    while (!cq_exchange_round(x, world.unix_ms, 0)) {
        incomplete++;
        ck_assert_int_eq(node_status(&nodes[0]).failed_rounds,
                         failed + incomplete);
        ck_assert_int_lt(incomplete, 100);
    }
    /* at least 2500 clients in groups of 16, 64 groups a round */
    ck_assert_int_ge(incomplete, 2);
    rounds(nodes, 2, 130);          /* a turn of all rows */
    for (k = 0; k < 2500; k++) {
        ck_assert_int_eq(node_sum(&nodes[0], k), 101 + k);
        ck_assert_int_eq(node_sum(&nodes[1], k), 101 + k);
    }
    ck_assert_int_eq(node_status(&nodes[0]).waiting, 0);

    /* rows that did not move are asked for in turn, as far as the time goes */
    cq_exchange_stop(x);
    node_start(&nodes[0]);
    ck_assert(cq_exchange_round(nodes[0].exchange, world.unix_ms, 0));
    ck_assert(cq_exchange_round(nodes[0].exchange, world.unix_ms, 0));
    ck_assert_int_eq(node_status(&nodes[0]).failed_rounds, 0);
    ck_assert_int_eq(node_status(&nodes[0]).missing, 0);
    end(2);
}
END_TEST

/* The rest of a table that lost pages is no share of this node. */
START_TEST(lost_table)
{
    begin(2, 60);
    node_charge(&nodes[0], 1, 100);
    rounds(nodes, 2, 3);
    ck_assert_int_eq(node_status(&nodes[0]).failed_rounds, 0);
    node_charge(&nodes[0], 1, 5);
    atomic_store(&nodes[0].table->condition->lost, 1);
    rounds(nodes, 2, 3);
    ck_assert_int_eq(node_status(&nodes[0]).failed_rounds, 3);
    ck_assert_int_eq(node_sum(&nodes[1], 1), -1);
    node_charge(&nodes[1], 1, 1);
    rounds(nodes, 2, 3);
    ck_assert_int_eq(node_sum(&nodes[1], 1), 101);
    end(2);
}
END_TEST

/* ---- every call to a server fails once, in turn ---- */

enum call { CALL_GET, CALL_PUT, CALL_FLUSH, CALLS };

static long calls_left[CALLS];  /* until the one that fails; 0: none does */

static bool fails(enum call call, struct cq_link *link)
{
    if (calls_left[call] == 0 || --calls_left[call] > 0) {
        return false;
    }
    snprintf(link->why, sizeof(link->why), "failed\x01");
    return true;
}

static bool failing_get(void *node, struct cq_link *link,
                        const struct cq_key_text *keys, size_t n,
                        cq_found *found, void *baton)
{
    return !fails(CALL_GET, link)
        && world_get(node, link, keys, n, found, baton);
}

static bool failing_put(void *node, struct cq_link *link,
                        const struct cq_key_text *key,
                        const unsigned char *value, size_t size,
                        uint32_t expiry_s, uint64_t cas)
{
    return !fails(CALL_PUT, link)
        && world_put(node, link, key, value, size, expiry_s, cas);
}

static bool failing_flush(void *node, struct cq_link *link)
{
    return !fails(CALL_FLUSH, link) && world_flush(node, link);
}

static const struct cq_transport failing_transport = {
    world_open, world_close, failing_get, failing_put, failing_flush,
    world_clock_ms
};

/* Shares, a client over quota, a reset and an exemption reach the other node,
 * whichever call fails.
 * @return false: there was no such call */
static bool passes_on_in_spite_of(enum call call, long n)
{
    const int64_t over_bytes = 15 * INT64_C(1000000);
    struct cq_clock clock;
    struct cq_key key = client(3), exempt = client(4);
    int64_t until_s;
    bool failed;

    begin(2, 60);
    nodes[0].exchange->transport = &failing_transport;
    calls_left[call] = n;
    node_charge(&nodes[0], 1, 100);
    node_charge(&nodes[1], 1, 10);
    node_charge(&nodes[0], 2, over_bytes);
    node_charge(&nodes[0], 3, 7);
    node_charge(&nodes[1], 3, 8);
    rounds(nodes, 2, 3);
    clock = node_clock(&nodes[0]);
    until_s = clock.now_s + 86400;
    cq_table_reset(nodes[0].table, &key, &clock);
    ck_assert_int_eq(cq_exempt_set(nodes[0].table, &exempt, until_s,
                                   clock.now_s), CQ_OK);
    node_charge(&nodes[0], 1, 1);
    rounds(nodes, 2, 2);
    failed = calls_left[call] == 0;
    calls_left[call] = 0;
    rounds(nodes, 2, 8);
    ck_assert_int_eq(node_sum(&nodes[0], 1), 111);
    ck_assert_int_eq(node_sum(&nodes[1], 1), 111);
    ck_assert_int_eq(node_sum(&nodes[1], 2), over_bytes);
    ck_assert_int_eq(node_sum(&nodes[0], 3), 0);
    ck_assert_int_eq(node_sum(&nodes[1], 3), 0);
    ck_assert_int_eq(cq_exempt_until(nodes[1].table, &exempt), until_s);
    ck_assert_int_eq(nodes[0].said_n[CQ_CLUSTER_SERVER_DOWN], failed);
    ck_assert_int_eq(nodes[0].said_n[CQ_CLUSTER_SERVER_UP], failed);
    if (failed) {
        ck_assert_ptr_nonnull(strstr(nodes[0].said, ": failed?\n"));
        ck_assert_int_ge(node_status(&nodes[0]).failed_rounds, 1);
    }
    end(2);
    return failed;
}

START_TEST(every_call_fails_once)
{
    int call;

    for (call = 0; call < CALLS; call++) {
        long n = 0;

        while (passes_on_in_spite_of((enum call)call, ++n)) {
        }
        /* there are some of each */
        ck_assert_int_gt(n, 10);
    }
}
END_TEST

START_TEST(table_without_a_cluster)
{
    struct cq_cluster_options options;
    struct cq_exchange_want want = { .options = &options, .label = "a",
                                     .transport = &world_transport };
    struct cq_exchange *x = (struct cq_exchange *)&want;
    struct cq_table *table;
    struct fixture f;
    char why[128] = "";

    ck_assert_int_eq(cq_cluster_parse("--SERVER=a", &options, why,
                                      sizeof(why)), CQ_OK);
    table = fixture_table(&f, 60);
    ck_assert_int_eq(cq_exchange_start(table, &want, &x, why, sizeof(why)),
                     CQ_EINVAL);
    ck_assert_ptr_null(x);
    ck_assert_str_eq(why, "the table has no section for a cluster");
    fixture_end(&f, table);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cluster: limits");
    TCase *t = tcase_create("limits");

    tcase_add_test(t, more_nodes_than_places);
    tcase_add_test(t, more_shares_than_places);
    tcase_add_test(t, more_acts_than_places);
    tcase_add_test(t, reset_of_a_network_after_one_of_a_client);
    tcase_add_test(t, reset_of_a_network_by_a_killed_exchanger);
    tcase_add_test(t, deadline_before_the_last_group);
    tcase_add_test(t, lost_table);
    tcase_add_test(t, every_call_fails_once);
    tcase_add_test(t, table_without_a_cluster);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
