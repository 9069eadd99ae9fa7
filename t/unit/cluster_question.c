/* cluster: which node has how much of a client, as tools ask for it. */
#include "cluster/parts.h"

#include "cluster_world.h"

#define NODES 3

static struct world world;
static struct node nodes[NODES];

static void begin(void)
{
    size_t i;

    world_begin(&world, 1);
    for (i = 0; i < NODES; i++) {
        node_begin(&nodes[i], &world, i + 1, THREE);
    }
    rounds(nodes, NODES, 3);
}

static void end(void)
{
    size_t i;

    for (i = 0; i < NODES; i++) {
        node_end(&nodes[i]);
    }
    world_end(&world);
}

/* Asks, and lets a round pass.
 * @return how many nodes have a share; -1: no answer */
static int ask_key(size_t node, uint16_t pool, struct cq_key key,
                   struct cq_node_shares *answer)
{
    struct cq_table *table = nodes[node].table;
    uint32_t asked = cq_shares_ask(table, pool, &key);

    ck_assert_uint_ne(asked, 0);
    ck_assert(!cq_shares_answer(table, asked, pool, &key, answer));
    rounds(nodes, NODES, 1);
    return cq_shares_answer(table, asked, pool, &key, answer)
        ? (int)answer->shares_n : -1;
}

static int ask(size_t node, uint32_t k, struct cq_node_shares *answer)
{
    return ask_key(node, 0, client(k), answer);
}

/* -1: that node has no share */
static struct cq_node_share share_of(const struct cq_node_shares *answer,
                                     size_t node)
{
    struct cq_node_share none = { 0, -1, -1 };
    size_t i;

    for (i = 0; i < answer->shares_n; i++) {
        if (answer->shares[i].node == cq_table_node(nodes[node].table)) {
            return answer->shares[i];
        }
    }
    return none;
}

START_TEST(shares)
{
    struct cq_node_shares answer;

    begin();
    node_charge(&nodes[0], 1, 40);
    node_charge(&nodes[1], 1, 7);
    rounds(nodes, NODES, 2);
    ck_assert_int_eq(ask(1, 1, &answer), 2);
    ck_assert_int_eq(share_of(&answer, 0).used_bytes, 40);
    ck_assert_int_eq(share_of(&answer, 1).used_bytes, 7);
    ck_assert_int_eq(share_of(&answer, 0).in_flight_bytes, 0);
    ck_assert_int_eq(node_status(&nodes[1]).missing, 0);
    /* on a node that has never seen the client, which learns of it */
    ck_assert_int_eq(node_sum(&nodes[2], 1), -1);
    ck_assert_int_eq(ask(2, 1, &answer), 3);
    ck_assert_int_eq(share_of(&answer, 0).used_bytes, 40);
    ck_assert_int_eq(share_of(&answer, 2).used_bytes, 0);
    ck_assert_int_eq(node_sum(&nodes[2], 1), 47);
    /* of a client without a share there is nothing */
    ck_assert_int_eq(ask(2, 9, &answer), 1);
    ck_assert_int_eq(share_of(&answer, 2).used_bytes, 0);
    end();
}
END_TEST

/* An answer is about its own question, pool and client only. */
START_TEST(others_answers)
{
    struct cq_node_shares answer;
    struct cq_key one = client(1), two = client(2);
    struct cq_table *table;
    uint32_t asked;

    begin();
    table = nodes[1].table;
    node_charge(&nodes[1], 1, 7);
    ck_assert_int_eq(ask(1, 1, &answer), 1);
    asked = answer.asked;
    ck_assert(cq_shares_answer(table, asked - 1, 0, &one, &answer));
    ck_assert(!cq_shares_answer(table, asked + 1, 0, &one, &answer));
    ck_assert(!cq_shares_answer(table, asked, 1, &one, &answer));
    ck_assert(!cq_shares_answer(table, asked, 0, &two, &answer));
    /* the last question counts */
    asked = cq_shares_ask(table, 0, &one);
    ck_assert_uint_eq(cq_shares_ask(table, 0, &two), asked + 1);
    rounds(nodes, NODES, 1);
    ck_assert(!cq_shares_answer(table, asked, 0, &one, &answer));
    ck_assert(cq_shares_answer(table, asked + 1, 0, &two, &answer));
    end();
}
END_TEST

START_TEST(in_flight)
{
    struct cq_node_shares answer;
    struct cq_usage usage;
    struct cq_clock clock;
    struct cq_account a;

    begin();
    clock = node_clock(&nodes[0]);
    a = open_client(nodes[0].table, 1, &clock);
    ck_assert_int_eq(cq_account_admit(&a, &clock, 100000, 4096, &usage),
                     CQ_OK);
    rounds(nodes, NODES, 2);
    ck_assert_int_eq(ask(1, 1, &answer), 2);
    ck_assert_int_eq(share_of(&answer, 0).in_flight_bytes, 4096);
    ck_assert_int_eq(share_of(&answer, 0).used_bytes, 0);
    /* its node is silent */
    cq_exchange_stop(nodes[0].exchange);
    nodes[0].exchange = NULL;
    pass_ms(&world, 20000);
    rounds(nodes, NODES, 3);
    ck_assert_int_eq(ask(1, 1, &answer), 2);
    ck_assert_int_eq(share_of(&answer, 0).in_flight_bytes, 0);
    cq_account_close(&a);
    end();
}
END_TEST

START_TEST(reset)
{
    struct cq_node_shares answer;
    struct cq_clock clock;
    struct cq_key key = client(1);

    begin();
    node_charge(&nodes[0], 1, 40);
    node_charge(&nodes[1], 1, 7);
    rounds(nodes, NODES, 2);
    cq_exchange_stop(nodes[0].exchange);        /* it has not heard of it */
    nodes[0].exchange = NULL;
    clock = node_clock(&nodes[2]);
    cq_table_reset(nodes[2].table, &key, &clock);
    rounds(nodes, NODES, 3);
    ck_assert_int_eq(ask(1, 1, &answer), 2);
    ck_assert_int_eq(share_of(&answer, 0).used_bytes, 0);
    ck_assert_int_eq(share_of(&answer, 1).used_bytes, 0);
    end();
}
END_TEST

/* The words of a question come from a file: one that is no client's has an
 * answer without shares, and makes no row. */
START_TEST(no_client)
{
    struct cq_node_shares answer;
    struct cq_key key = client(1), net = cq_key_network(&key, 24);
    struct cq_key none = { .family = 9, .prefix = 32 };

    begin();
    ck_assert_int_eq(ask_key(1, 0, net, &answer), 0);
    ck_assert_int_eq(ask_key(1, 0, none, &answer), 0);
    ck_assert_int_eq(ask_key(1, 63, key, &answer), 0);
    ck_assert_int_eq(node_sum(&nodes[1], 1), -1);
    end();
}
END_TEST

/* While the client's server is away there is no answer; then it comes. */
START_TEST(server_away)
{
    struct cq_node_shares answer;
    struct cq_key key = client(1);
    size_t i;

    begin();
    node_charge(&nodes[0], 1, 40);
    rounds(nodes, NODES, 2);
    for (i = 0; i < SERVERS; i++) {
        world.down[i] = true;
    }
    ck_assert_int_eq(ask(1, 1, &answer), -1);
    rounds(nodes, NODES, 5);
    ck_assert(!cq_shares_answer(nodes[1].table, 1, 0, &key, &answer));
    /* nor does a question that waits look like rows that do */
    ck_assert_int_eq(node_status(&nodes[1]).waiting, 0);
    for (i = 0; i < SERVERS; i++) {
        world.down[i] = false;
    }
    pass_ms(&world, 30000);
    rounds(nodes, NODES, 2);
    ck_assert(cq_shares_answer(nodes[1].table, 1, 0, &key, &answer));
    ck_assert_int_eq(share_of(&answer, 0).used_bytes, 40);
    end();
}
END_TEST

/* The row of the question is another client's by the time that its item is
 * read: the next round answers. */
START_TEST(row_of_another)
{
    struct cq_item item = { 0 };
    struct cq_item_sum sum = { 0 };
    struct cq_node_shares answer;
    struct cq_share share = { .key = client(2) };
    struct cq_key key = client(1);
    struct cq_exchange *x;
    uint32_t asked;

    begin();
    node_charge(&nodes[0], 1, 40);
    rounds(nodes, NODES, 2);
    x = nodes[1].exchange;
    asked = cq_shares_ask(nodes[1].table, 0, &key);
    cq_question_begin(x);
    share.row = x->question_row;
    cq_question_end(x, &share, &item, &sum);
    ck_assert(!cq_shares_answer(nodes[1].table, asked, 0, &key, &answer));
    rounds(nodes, NODES, 1);
    ck_assert(cq_shares_answer(nodes[1].table, asked, 0, &key, &answer));
    ck_assert_int_eq(share_of(&answer, 0).used_bytes, 40);
    end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cluster: question");
    TCase *t = tcase_create("question");

    tcase_add_test(t, shares);
    tcase_add_test(t, others_answers);
    tcase_add_test(t, in_flight);
    tcase_add_test(t, reset);
    tcase_add_test(t, no_client);
    tcase_add_test(t, server_away);
    tcase_add_test(t, row_of_another);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
