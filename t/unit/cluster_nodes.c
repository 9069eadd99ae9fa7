/* cluster: which node is which. Copies of a table, backups, nodes that
 * differ, periods that end, and what servers say that no node has written. */
#include "cluster/bytes.h"
#include "cluster/item.h"
#include "cluster_world.h"

#include <fcntl.h>

static struct world world;
static struct node nodes[3];

static void begin(size_t n)
{
    size_t i;

    world_begin(&world, 7);
    for (i = 0; i < n; i++) {
        node_begin(&nodes[i], &world, i + 1, THREE);
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

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0640);
    ssize_t n;

    ck_assert(in >= 0 && out >= 0);
    while ((n = read(in, bytes, sizeof(bytes))) > 0) {
        ck_assert_int_eq(write(out, bytes, (size_t)n), n);
    }
    close(in);
    close(out);
}

/* A node with a copy of another one's table. */
static void begin_copy(struct node *copy, const struct node *original,
                       uint64_t machine)
{
    char text[256];

    memset(copy, 0, sizeof(*copy));
    copy->world = &world;
    copy->machine = machine;
    fixture_begin(&copy->f, 60);
    copy->f.want.cluster = true;
    copy->f.want.machine = machine;
    ck_assert_int_eq(cq_cluster_parse(THREE, &copy->options, text,
                                      sizeof(text)), CQ_OK);
    copy_file(original->f.path, copy->f.path);
    node_open(copy);
}

START_TEST(copy_on_another_machine)
{
    uint64_t id;

    begin(2);
    node_charge(&nodes[0], 1, 100);
    node_charge(&nodes[1], 1, 10);
    rounds(nodes, 2, 3);
    id = cq_table_node(nodes[0].table);
    begin_copy(&nodes[2], &nodes[0], 77);
    ck_assert_uint_ne(cq_table_node(nodes[2].table), id);
    ck_assert_int_eq(node_own(&nodes[2], 1), 0);
    node_charge(&nodes[2], 1, 1);
    rounds(nodes, 3, 5);
    ck_assert_int_eq(node_sum(&nodes[2], 1), 111);
    ck_assert_int_eq(node_sum(&nodes[0], 1), 111);
    ck_assert_uint_eq(cq_table_node(nodes[0].table), id);
    end(3);
}
END_TEST

/* Machines that nothing tells apart: seen by the heartbeat, while both run. The
 * younger session goes. */
START_TEST(copy_that_runs)
{
    uint64_t id;

    begin(2);
    node_charge(&nodes[0], 1, 100);
    rounds(nodes, 2, 3);
    id = cq_table_node(nodes[0].table);
    pass_ms(&world, 60000);
    begin_copy(&nodes[2], &nodes[0], 1);
    ck_assert_uint_eq(cq_table_node(nodes[2].table), id);
    node_charge(&nodes[0], 1, 5);
    node_charge(&nodes[2], 1, 3);
    rounds(nodes, 3, 8);
    ck_assert_uint_eq(cq_table_node(nodes[0].table), id);
    ck_assert_uint_ne(cq_table_node(nodes[2].table), id);
    ck_assert_int_eq(nodes[2].said_n[CQ_CLUSTER_NODE_RENEWED], 1);
    ck_assert_int_eq(nodes[0].said_n[CQ_CLUSTER_NODE_RENEWED], 0);
    node_charge(&nodes[2], 1, 1000);
    node_charge(&nodes[0], 1, 0);
    rounds(nodes, 3, 5);
    /* not the 100 twice; the 3 may have gone with the former id */
    ck_assert_int_ge(node_sum(&nodes[2], 1), 1105);
    ck_assert_int_le(node_sum(&nodes[2], 1), 1108);
    ck_assert_int_eq(node_sum(&nodes[0], 1), node_sum(&nodes[2], 1));
    end(3);
}
END_TEST

static void refuse(struct node *node, uint32_t k, int n)
{
    struct cq_clock clock = node_clock(node);
    struct cq_account a = open_client(node->table, k, &clock);

    while (n-- > 0) {
        cq_account_count_refusal(&a, &clock, CQ_STATE_OVER);
    }
    cq_account_close(&a);
}

static uint32_t refusals_of(struct node *node, uint32_t k)
{
    struct cq_clock clock = node_clock(node);

    return row_of(node->table, k, &clock).over_refusals;
}

/* The power fails, or a backup is restored: the row has less than the node has
 * told the others. */
START_TEST(own_share_raises_the_row)
{
    char older[128];

    begin(2);
    node_charge(&nodes[0], 1, 100);
    rounds(nodes, 2, 3);
    snprintf(older, sizeof(older), "%s/older", nodes[0].f.dir);
    copy_file(nodes[0].f.path, older);
    node_charge(&nodes[0], 1, 23);
    node_charge(&nodes[0], 2, 5);
    rounds(nodes, 2, 3);
    node_close(&nodes[0]);
    ck_assert_int_eq(rename(older, nodes[0].f.path), 0);
    node_open(&nodes[0]);
    ck_assert_int_eq(node_own(&nodes[0], 1), 100);
    node_charge(&nodes[0], 2, 0);
    rounds(nodes, 2, 5);
    ck_assert_int_eq(node_own(&nodes[0], 1), 123);
    ck_assert_int_ge(node_status(&nodes[0]).raised, 1);
    assert_sound(nodes[0].table);
    /* as any program that can write to memcached could do that */
    refuse(&nodes[0], 1, 300);
    ck_assert_uint_eq(refusals_of(&nodes[0], 1), 0);
    node_charge(&nodes[0], 7, 1);
    refuse(&nodes[0], 7, 300);
    ck_assert_uint_eq(refusals_of(&nodes[0], 7), 300);
    /* over with the period */
    world.unix_ms = (NEXT_MONTH_S + 10) * 1000;
    node_charge(&nodes[0], 1, 1);
    refuse(&nodes[0], 1, 300);
    ck_assert_uint_eq(refusals_of(&nodes[0], 1), 300);
    end(2);
}
END_TEST

/* A row that was evicted gets what it had as soon as its client is back. */
START_TEST(evicted_row)
{
    uint32_t k;

    begin(1);
    node_charge(&nodes[0], 1, 7);
    rounds(nodes, 1, 3);
    for (k = 100; k < 400; k++) {
        node_charge(&nodes[0], k, 1000);
    }
    ck_assert_int_eq(node_sum(&nodes[0], 1), -1);
    node_charge(&nodes[0], 1, 5000);
    rounds(nodes, 1, 3);
    ck_assert_int_eq(node_own(&nodes[0], 1), 5000);     /* 7 of it, or more */
    end(1);
}
END_TEST

START_TEST(servers_of_other_names)
{
    char text[256];

    begin(2);
    node_close(&nodes[1]);
    ck_assert_int_eq(cq_cluster_parse(
        "--SERVER=127.0.0.1:11211 --SERVER=localhost:11212 "
        "--SERVER=127.0.0.1:11213", &nodes[1].options, text, sizeof(text)),
        CQ_OK);
    node_open(&nodes[1]);
    rounds(nodes, 2, 10);
    ck_assert_int_eq(nodes[0].said_n[CQ_CLUSTER_NODE_DIFFERS], 0);
    rounds(nodes, 2, 30);
    ck_assert_int_eq(nodes[0].said_n[CQ_CLUSTER_NODE_DIFFERS], 1);
    ck_assert_int_eq(nodes[1].said_n[CQ_CLUSTER_NODE_DIFFERS], 1);
    ck_assert_ptr_nonnull(strstr(nodes[0].said, "node2: it does not name"));
    ck_assert_ptr_nonnull(strstr(nodes[1].said, "node1: it does not name"));
    /* put right */
    node_close(&nodes[1]);
    cq_cluster_parse(THREE, &nodes[1].options, text, sizeof(text));
    pass_ms(&world, 2000);
    node_open(&nodes[1]);
    rounds(nodes, 2, 40);
    ck_assert_int_eq(nodes[0].said_n[CQ_CLUSTER_NODE_AGREES], 1);
    end(2);
}
END_TEST

START_TEST(other_prefixes)
{
    begin(1);
    node_begin(&nodes[1], &world, 2, THREE);
    node_close(&nodes[1]);
    nodes[1].f.want.prefixes.v6_bits = 56;
    node_open(&nodes[1]);
    node_charge(&nodes[0], 1, 10);
    node_charge(&nodes[1], 1, 5);
    rounds(nodes, 2, 40);
    ck_assert_int_eq(nodes[0].said_n[CQ_CLUSTER_NODE_DIFFERS], 1);
    ck_assert_ptr_nonnull(strstr(nodes[1].said,
                                 "node1: its period, time zone or prefixes"));
    ck_assert_int_eq(node_sum(&nodes[0], 1), 10);
    end(2);
}
END_TEST

/* Clocks 2 s apart over the 1st: each changes the period by its own, and
 * neither reports that the other differs. */
START_TEST(over_the_first)
{
    begin(2);
    nodes[1].clock_off_ms = 2000;
    node_charge(&nodes[0], 1, 100);
    rounds(nodes, 2, 3);
    world.unix_ms = NEXT_MONTH_S * 1000 - 3000;
    rounds(nodes, 2, 3);            /* node 1 is there, node 0 is not */
    node_charge(&nodes[1], 1, 7);
    node_charge(&nodes[0], 1, 11);
    rounds(nodes, 2, 1);
    ck_assert_int_eq(node_sum(&nodes[1], 1), 7);
    ck_assert_int_eq(node_sum(&nodes[0], 1), 111);
    rounds(nodes, 2, 6);
    node_charge(&nodes[0], 1, 1);
    rounds(nodes, 2, 4);
    ck_assert_int_eq(node_sum(&nodes[0], 1), 8);
    ck_assert_int_eq(node_sum(&nodes[1], 1), 8);
    rounds(nodes, 2, 40);
    ck_assert_str_eq(nodes[0].said, "");
    end(2);
}
END_TEST

/* Nothing that stands in a server makes a node do more than count wrongly. */
/* The hash that a key is the text of. */
static struct cq_seed hash_of_key(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789-_";
    struct cq_seed hash = { 0, 0 };
    int i;

    for (i = CQ_ITEM_KEY_LENGTH - 1; i >= 2; i--) {
        const char *letter = strchr(letters, text[i]);

        ck_assert_ptr_nonnull(letter);
        hash.k1 = hash.k1 << 6 | hash.k0 >> 58;
        hash.k0 = hash.k0 << 6 | (uint64_t)(letter - letters);
    }
    return hash;
}

START_TEST(hostile_values)
{
    struct cq_clock clock;
    struct cq_key reset = client(3);
    int round;

    begin(2);
    node_charge(&nodes[0], 1, 100);
    node_charge(&nodes[1], 2, 15000000);        /* a hint */
    clock = node_clock(&nodes[0]);
    cq_table_reset(nodes[0].table, &reset, &clock);     /* an act */
    rounds(nodes, 2, 3);
    for (round = 0; round < 600; round++) {
        struct item *item = &world.items[round % SERVERS][xorshift(
            &world.random) % ITEMS];
        size_t i;

        while (item->value == NULL) {
            item = &world.items[round % SERVERS][xorshift(&world.random)
                                                % ITEMS];
        }
        i = xorshift(&world.random) % (item->size + 1);
        if (xorshift(&world.random) % 2 == 0 || i == item->size) {
            item->size = i;                 /* cut */
        }
        else {
            item->value[i] ^= (unsigned char)(1 + xorshift(&world.random)
                                              % 255);
        }
        /* in the end by a program that knows the format */
        if (round >= 300 && item->size >= CQ_SEAL_SIZE) {
            struct cq_seed hash = hash_of_key(item->key);

            cq_seal(item->value, item->size, &hash);
        }
        if (round % 3 == 0) {
            rounds(nodes, 2, 1);
        }
    }
    for (round = 0; round < SERVERS; round++) {
        lose_items(&world, (size_t)round);
    }
    rounds(nodes, 2, 40);
    ck_assert_int_eq(node_sum(&nodes[0], 1), node_sum(&nodes[1], 1) == -1
                     ? node_sum(&nodes[0], 1) : node_sum(&nodes[1], 1));
    end(2);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cluster: nodes");
    TCase *t = tcase_create("nodes");

    tcase_add_test(t, copy_on_another_machine);
    tcase_add_test(t, copy_that_runs);
    tcase_add_test(t, own_share_raises_the_row);
    tcase_add_test(t, evicted_row);
    tcase_add_test(t, servers_of_other_names);
    tcase_add_test(t, other_prefixes);
    tcase_add_test(t, over_the_first);
    tcase_add_test(t, hostile_values);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
