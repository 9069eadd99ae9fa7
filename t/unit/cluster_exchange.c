/* cluster: what nodes know of each other's clients, when all is well and when
 * one thing goes wrong. */
#include "cluster_world.h"
#include "table/exempt.h"

#define MB INT64_C(1000000)

struct cluster {
    struct world world;
    struct node nodes[4];
    size_t n;
};

static struct cluster *begin(size_t n)
{
    struct cluster *c = calloc(1, sizeof(*c));
    size_t i;

    world_begin(&c->world, 1);
    for (i = 0; i < n; i++) {
        node_begin(&c->nodes[i], &c->world, i + 1, THREE);
    }
    c->n = n;
    return c;
}

static void end(struct cluster *c)
{
    size_t i;

    for (i = 0; i < c->n; i++) {
        node_end(&c->nodes[i]);
    }
    world_end(&c->world);
    free(c);
}

static bool admits(struct node *node, uint32_t k, int64_t allowance,
                   struct cq_usage *usage)
{
    struct cq_clock clock = node_clock(node);
    struct cq_account a = open_client(node->table, k, &clock);
    bool admitted = cq_account_admit(&a, &clock, allowance, 0, usage) == CQ_OK;

    if (!admitted) {
        cq_account_count_refusal(&a, &clock, CQ_STATE_OVER);
    }
    cq_account_close(&a);
    return admitted;
}

/* All nodes that have the client say the same, and it is this. */
static void assert_sum(struct cluster *c, uint32_t k, int64_t bytes)
{
    size_t i;

    for (i = 0; i < c->n; i++) {
        int64_t sum = node_sum(&c->nodes[i], k);

        ck_assert_msg(sum == bytes || sum == -1, "node %zu: %lld of %lld", i,
                      (long long)sum, (long long)bytes);
    }
}

START_TEST(two_rounds)
{
    struct cluster *c = begin(3);
    struct cq_usage usage;

    node_charge(&c->nodes[0], 1, 40);
    node_charge(&c->nodes[1], 1, 7);
    node_charge(&c->nodes[2], 1, 500);
    rounds(c->nodes, 3, 2);
    assert_sum(c, 1, 547);
    ck_assert_int_eq(node_own(&c->nodes[1], 1), 7);
    /* what admits is the sum */
    ck_assert(!admits(&c->nodes[1], 1, 547, &usage));
    ck_assert_int_eq(usage.used_bytes, 547);
    ck_assert(admits(&c->nodes[1], 1, 548, &usage));
    ck_assert_int_eq(usage.in_flight_bytes, 0);
    rounds(c->nodes, 3, 4);
    ck_assert_int_eq(node_status(&c->nodes[0]).waiting, 0);
    ck_assert_int_eq(node_status(&c->nodes[0]).missing, 0);
    ck_assert_int_eq(node_status(&c->nodes[0]).failed_rounds, 0);
    ck_assert_uint_eq(node_status(&c->nodes[0]).nodes_n, 3);
    ck_assert_str_eq(c->nodes[0].said, "");
    end(c);
}
END_TEST

/* Over quota on one node: refused on another, which has never seen the client,
 * at its first request two intervals later. */
START_TEST(hint)
{
    struct cluster *c = begin(2);
    struct cq_usage usage;
    struct cq_clock clock;
    struct cq_row row;
    struct cq_key key = client(9);

    rounds(c->nodes, 2, 4);
    node_charge(&c->nodes[0], 9, 15 * MB);      /* day 15: all of it */
    rounds(c->nodes, 2, 2);
    clock = node_clock(&c->nodes[1]);
    ck_assert_int_eq(cq_table_row(c->nodes[1].table, 0, &key, &clock, &row),
                     CQ_OK);
    ck_assert_int_eq(row.used_bytes, 0);
    ck_assert_int_eq(row.others_used_bytes, 15 * MB);
    ck_assert_int_ne(row.over_since_s, 0);
    ck_assert(!admits(&c->nodes[1], 9, 15 * MB, &usage));
    /* none of which makes it an offender there */
    clock = node_clock(&c->nodes[1]);
    cq_table_row(c->nodes[1].table, 0, &key, &clock, &row);
    ck_assert_int_eq(row.over_refusals, 1);
    ck_assert_int_eq(row.used_bytes, 0);
    end(c);
}
END_TEST

/* A reservation elsewhere makes a client busy here, and lapses with its
 * node. */
START_TEST(in_flight)
{
    struct cluster *c = begin(2);
    struct cq_clock clock = node_clock(&c->nodes[0]);
    struct cq_account a;
    struct cq_usage usage;

    rounds(c->nodes, 2, 3);
    node_charge(&c->nodes[1], 3, 10);
    clock = node_clock(&c->nodes[0]);
    a = open_client(c->nodes[0].table, 3, &clock);
    ck_assert_int_eq(cq_account_admit(&a, &clock, 2000, 1500, &usage), CQ_OK);
    rounds(c->nodes, 2, 2);
    node_charge(&c->nodes[1], 3, 10);
    rounds(c->nodes, 2, 2);
    ck_assert(!admits(&c->nodes[1], 3, 1000, &usage));
    ck_assert_int_eq(usage.used_bytes, 20);
    ck_assert_int_eq(usage.in_flight_bytes, 2048);      /* in whole KiB */
    /* its node is gone */
    cq_exchange_stop(c->nodes[0].exchange);
    c->nodes[0].exchange = NULL;
    rounds(c->nodes, 2, 40);
    ck_assert(admits(&c->nodes[1], 3, 1000, &usage));
    ck_assert_int_eq(usage.in_flight_bytes, 0);
    ck_assert_int_eq(node_sum(&c->nodes[1], 3), 20);
    cq_account_close(&a);
    end(c);
}
END_TEST

/* The exchanger of this node is gone: what others had in flight lapses in the
 * row by itself. */
START_TEST(in_flight_lapses)
{
    struct cluster *c = begin(2);
    struct cq_clock clock;
    struct cq_account a;
    struct cq_usage usage;

    rounds(c->nodes, 2, 3);
    clock = node_clock(&c->nodes[0]);
    a = open_client(c->nodes[0].table, 3, &clock);
    cq_account_admit(&a, &clock, 2000, 1500, &usage);
    node_charge(&c->nodes[1], 3, 10);
    rounds(c->nodes, 2, 2);
    ck_assert(!admits(&c->nodes[1], 3, 1000, &usage));
    ck_assert_int_eq(usage.used_bytes, 10);
    pass_ms(&c->world, 20000);
    ck_assert(admits(&c->nodes[1], 3, 1000, &usage));
    ck_assert_int_eq(usage.in_flight_bytes, 0);
    cq_account_close(&a);
    end(c);
}
END_TEST

START_TEST(reset)
{
    struct cluster *c = begin(3);
    struct cq_key key = client(5);
    struct cq_clock clock;

    node_charge(&c->nodes[0], 5, 100);
    node_charge(&c->nodes[1], 5, 200);
    rounds(c->nodes, 3, 3);
    assert_sum(c, 5, 300);
    /* while one node is away */
    memset(c->nodes[1].cut, true, sizeof(c->nodes[1].cut));
    rounds(c->nodes, 3, 3);
    clock = node_clock(&c->nodes[0]);
    cq_table_reset(c->nodes[0].table, &key, &clock);
    ck_assert_int_eq(node_sum(&c->nodes[0], 5), 0);
    rounds(c->nodes, 3, 4);
    ck_assert_int_eq(node_sum(&c->nodes[0], 5), 0);
    node_charge(&c->nodes[0], 5, 11);
    memset(c->nodes[1].cut, false, sizeof(c->nodes[1].cut));
    rounds(c->nodes, 3, 70);
    assert_sum(c, 5, 11);
    ck_assert_int_eq(node_own(&c->nodes[1], 5), 0);
    /* it does not come back when the servers have lost all */
    lose_items(&c->world, 0);
    lose_items(&c->world, 1);
    lose_items(&c->world, 2);
    rounds(c->nodes, 3, 10);
    assert_sum(c, 5, 11);
    end(c);
}
END_TEST

/* Exempt on one node, exempt on all, also on one that was away; and ended by
 * another one. */
START_TEST(exemption)
{
    struct cluster *c = begin(3);
    struct cq_key net = client(0), key = client(9);
    struct cq_clock clock = node_clock(&c->nodes[0]);
    int64_t until_s = clock.now_s + 86400;
    size_t i;

    net = cq_key_network(&net, 24);
    rounds(c->nodes, 3, 3);
    memset(c->nodes[1].cut, true, sizeof(c->nodes[1].cut));
    ck_assert_int_eq(cq_exempt_set(c->nodes[0].table, &net, until_s,
                                   clock.now_s), CQ_OK);
    rounds(c->nodes, 3, 4);
    ck_assert_int_eq(cq_exempt_until(c->nodes[2].table, &key), until_s);
    ck_assert_int_eq(cq_exempt_until(c->nodes[1].table, &key), 0);
    memset(c->nodes[1].cut, false, sizeof(c->nodes[1].cut));
    lose_items(&c->world, 0);
    lose_items(&c->world, 1);
    lose_items(&c->world, 2);
    rounds(c->nodes, 3, 40);
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(cq_exempt_until(c->nodes[i].table, &key), until_s);
    }
    clock = node_clock(&c->nodes[1]);
    ck_assert_int_eq(cq_exempt_end(c->nodes[1].table, &net, clock.now_s),
                     CQ_OK);
    rounds(c->nodes, 3, 4);
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(cq_exempt_until(c->nodes[i].table, &key), 0);
    }
    /* and once more: an act that is later than the end */
    ck_assert_int_eq(cq_exempt_set(c->nodes[2].table, &net, until_s + 5,
                                   clock.now_s), CQ_OK);
    rounds(c->nodes, 3, 4);
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(cq_exempt_until(c->nodes[i].table, &key),
                         until_s + 5);
    }
    end(c);
}
END_TEST

/* A node that is gone for good: its shares go with it. It lives again: they
 * come back. */
START_TEST(forgotten_node)
{
    struct cluster *c = begin(3);
    struct node *gone = &c->nodes[2];
    uint64_t id = cq_table_node(gone->table);
    struct cq_clock clock;
    int64_t now_ms;

    node_charge(&c->nodes[0], 5, 100);
    node_charge(&c->nodes[1], 5, 10);
    node_charge(gone, 5, 1000);
    rounds(c->nodes, 3, 5);
    assert_sum(c, 5, 1110);
    now_ms = node_clock(&c->nodes[0]).now_s * 1000;
    ck_assert_int_eq(cq_node_forget(c->nodes[0].table, id, now_ms), CQ_EDUP);
    ck_assert_int_eq(cq_node_forget(c->nodes[0].table, 4711, now_ms),
                     CQ_ENOENT);
    cq_exchange_stop(gone->exchange);
    gone->exchange = NULL;
    while (node_status(&c->nodes[0]).nodes_n == 3
           && cq_node_forget(c->nodes[0].table, id, now_ms) == CQ_EDUP) {
        rounds(c->nodes, 2, 10);
        now_ms = node_clock(&c->nodes[0]).now_s * 1000;
    }
    rounds(c->nodes, 2, 70);
    ck_assert_int_eq(node_sum(&c->nodes[0], 5), 110);
    ck_assert_int_eq(node_sum(&c->nodes[1], 5), 110);
    ck_assert_uint_eq(node_status(&c->nodes[0]).nodes_n, 2);
    ck_assert_uint_eq(node_status(&c->nodes[1]).nodes_n, 2);

    pass_ms(&c->world, 5000);
    clock = node_clock(gone);
    ck_assert_int_gt(clock.now_s * 1000, now_ms);
    node_start(gone);
    rounds(c->nodes, 3, 70);
    assert_sum(c, 5, 1110);
    ck_assert_uint_eq(node_status(&c->nodes[0]).nodes_n, 3);
    end(c);
}
END_TEST

/* A reset of a network by a node whose clock is behind, after one of a node
 * whose clock is ahead. */
START_TEST(later_reset_of_a_slow_clock)
{
    struct cluster *c = begin(2);
    struct cq_act act = { .net = { .family = 4, .bytes = { 10 },
                                   .prefix = 8 },
                          .kind = CQ_ACT_RESET };
    int i;

    c->nodes[0].clock_off_ms = 40000;
    for (i = 0; i < 2; i++) {
        node_charge(&c->nodes[0], 5, 100);
        rounds(c->nodes, 2, 3);
        ck_assert_int_eq(cq_act_note(c->nodes[i].table, &act,
                                     c->world.unix_ms
                                         + c->nodes[i].clock_off_ms), CQ_OK);
        rounds(c->nodes, 2, 4);
        assert_sum(c, 5, 0);
    }
    end(c);
}
END_TEST

START_TEST(servers_lose_all)
{
    struct cluster *c = begin(3);
    uint32_t k;

    for (k = 0; k < 40; k++) {
        node_charge(&c->nodes[k % 3], k, 100 + k);
        node_charge(&c->nodes[(k + 1) % 3], k, 1000);
    }
    rounds(c->nodes, 3, 3);
    lose_items(&c->world, 0);
    lose_items(&c->world, 2);
    rounds(c->nodes, 3, 6);
    for (k = 0; k < 40; k++) {
        assert_sum(c, k, 1100 + k);
    }
    ck_assert_int_gt(node_status(&c->nodes[0]).missing, 0);
    end(c);
}
END_TEST

/* A server at its limit of connections answers like an empty one: no share
 * counts as lost. */
START_TEST(answer_without_a_marker)
{
    struct cluster *c = begin(2);
    int i;

    node_charge(&c->nodes[0], 1, 100);
    node_charge(&c->nodes[1], 1, 10);
    rounds(c->nodes, 2, 3);
    for (i = 0; i < SERVERS; i++) {
        c->world.empty[i] = true;
    }
    node_charge(&c->nodes[1], 1, 1);
    rounds(c->nodes, 2, 10);
    ck_assert_int_eq(node_sum(&c->nodes[1], 1), 111);
    ck_assert_int_eq(node_status(&c->nodes[1]).missing, 0);
    ck_assert_int_eq(c->nodes[1].said_n[CQ_CLUSTER_ALL_DOWN], 1);
    for (i = 0; i < SERVERS; i++) {
        c->world.empty[i] = false;
    }
    rounds(c->nodes, 2, 80);
    assert_sum(c, 1, 111);
    ck_assert_int_eq(c->nodes[1].said_n[CQ_CLUSTER_ALL_UP], 1);
    ck_assert_int_eq(c->nodes[1].said_n[CQ_CLUSTER_SERVER_UP], SERVERS);
    end(c);
}
END_TEST

START_TEST(server_down)
{
    struct cluster *c = begin(2);
    uint32_t k;

    c->world.down[1] = true;
    for (k = 0; k < 30; k++) {
        node_charge(&c->nodes[0], k, 100);
        node_charge(&c->nodes[1], k, 10);
    }
    rounds(c->nodes, 2, 10);
    ck_assert(!node_status(&c->nodes[0]).servers[1].up);
    ck_assert(node_status(&c->nodes[0]).servers[0].up);
    ck_assert_int_eq(c->nodes[0].said_n[CQ_CLUSTER_SERVER_DOWN], 1);
    c->world.down[1] = false;
    rounds(c->nodes, 2, 80);
    for (k = 0; k < 30; k++) {
        assert_sum(c, k, 110);
    }
    end(c);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cluster: exchange");
    TCase *t = tcase_create("exchange");

    tcase_add_test(t, two_rounds);
    tcase_add_test(t, hint);
    tcase_add_test(t, in_flight);
    tcase_add_test(t, in_flight_lapses);
    tcase_add_test(t, reset);
    tcase_add_test(t, exemption);
    tcase_add_test(t, forgotten_node);
    tcase_add_test(t, later_reset_of_a_slow_clock);
    tcase_add_test(t, servers_lose_all);
    tcase_add_test(t, answer_without_a_marker);
    tcase_add_test(t, server_down);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
