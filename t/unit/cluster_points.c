/* cluster: the process that exchanges may die at any step. A child does a
 * node's rounds and is killed at its n-th step, for each n: a step is a test
 * point of the table or a call of the transport. What it had put is on the
 * servers, what it had written is in the table. Meanwhile both nodes serve, the
 * next exchanger may die at the same step, and then all go on from there:
 * nothing is lost, and nothing counts twice. */
#include "table_points.h"

#include "cluster_world.h"

#define PUTS_MAX 64

/* what the victim's puts left on the servers, and how far it came */
struct journal {
    int64_t puts_n;
    int64_t steps_n;
    bool passed[POINTS_MAX];
    struct put {
        size_t server;
        struct item item;
        unsigned char value[16384];
    } puts[PUTS_MAX];
};

static struct journal *journal;
static int64_t last_step;       /* in the victim: where to die; 0: not here */

static void step(void)
{
    if (last_step > 0 && ++journal->steps_n == last_step) {
        kill(getpid(), SIGKILL);
    }
}

void cq_test_point(const char *name)
{
    int i;

    if (last_step == 0) {
        return;
    }
    for (i = 0; i < points_n; i++) {
        journal->passed[i] = journal->passed[i]
            || strcmp(points[i], name) == 0;
    }
    step();
}

/* ---- a transport that dies ---- */

static bool dying_get(void *world, struct cq_link *link,
                      const struct cq_key_text *keys, size_t n,
                      cq_found *found, void *baton)
{
    bool answered = world_get(world, link, keys, n, found, baton);

    step();
    return answered;
}

static bool dying_put(void *world, struct cq_link *link,
                      const struct cq_key_text *key,
                      const unsigned char *value, size_t size,
                      uint32_t expiry_s, uint64_t cas)
{
    struct put *put = &journal->puts[journal->puts_n];

    step();
    ck_assert_int_lt(journal->puts_n, PUTS_MAX);
    ck_assert_uint_le(size, sizeof(put->value));
    put->server = ((struct link_of_world *)link)->server;
    put->item = (struct item){ .key_n = key->length, .size = size,
                               .cas = cas };
    memcpy(put->item.key, key->text, key->length);
    memcpy(put->value, value, size);
    journal->puts_n++;
    step();
    return world_put(world, link, key, value, size, expiry_s, cas);
}

static const struct cq_transport dying_transport = {
    world_open, world_close, dying_get, dying_put, world_flush, world_clock_ms
};

/* ---- two nodes in the middle of everything ---- */

#define OVER_BYTES (16 * 1000000)       /* of 15 days of 1000000 */

static struct world world;
static struct node nodes[2];

static void node_reset(struct node *node, uint32_t k)
{
    struct cq_clock clock = node_clock(node);
    struct cq_key key = client(k);

    ck_assert_int_eq(cq_table_reset(node->table, &key, &clock), 1);
}

static int64_t node_exempt_until_s(struct node *node, uint32_t k)
{
    struct cq_key key = client(k);

    return cq_exempt_until(node->table, &key);
}

/* Rows that both have; then what the victim's rounds have to do: shares that
 * moved, one that is smaller than its item, acts of its own and of the other
 * node, a client over quota that it has not seen. */
static void begin_world(void)
{
    struct cq_clock clock;
    struct cq_account account;
    struct cq_key five = client(5), six = client(6);
    uint32_t k;

    world_begin(&world, 1);
    node_begin(&nodes[0], &world, 1, THREE);
    node_begin(&nodes[1], &world, 2, THREE);
    for (k = 1; k <= 4; k++) {
        node_charge(&nodes[0], k, 1000 * k);
        node_charge(&nodes[1], k, 10 * k);
    }
    rounds(nodes, 2, 6);
    ck_assert_int_eq(node_sum(&nodes[0], 4), 4040);
    ck_assert_int_eq(node_sum(&nodes[1], 4), 4040);

    node_charge(&nodes[0], 1, 500);
    clock = node_clock(&nodes[0]);
    account = open_client(nodes[0].table, 2, &clock);   /* a backup's row */
    cq_account_reset(&account);
    cq_account_close(&account);
    node_reset(&nodes[0], 3);
    node_reset(&nodes[1], 4);
    ck_assert_int_eq(cq_exempt_set(nodes[0].table, &five, NOON_S + 900,
                                   clock.now_s), CQ_OK);
    ck_assert_int_eq(cq_exempt_set(nodes[1].table, &six, NOON_S + 800,
                                   clock.now_s), CQ_OK);
    rounds(&nodes[1], 1, 3);
    node_charge(&nodes[1], 4, 8);
    node_charge(&nodes[1], 7, OVER_BYTES);
    rounds(&nodes[1], 1, 3);
}

static void end_world(void)
{
    node_end(&nodes[0]);
    node_end(&nodes[1]);
    world_end(&world);
}

static void start_exchanger(struct node *node,
                            const struct cq_transport *transport)
{
    char text[256];
    struct cq_exchange_want want = {
        .options = &node->options, .label = "node", .interval_ms = 500,
        .report = node_hear, .baton = node, .transport = transport,
        .world = node
    };

    cq_exchange_stop(node->exchange);
    ck_assert_int_eq(cq_exchange_start(node->table, &want, &node->exchange,
                                       text, sizeof(text)), CQ_OK);
}

/* ---- a victim, and what comes after it ---- */

static bool dies_at(int64_t n)
{
    pid_t pid;
    int status;

    journal->steps_n = journal->puts_n = 0;
    pid = fork();
    if (pid == 0) {
        cq_table_enter(nodes[0].table);
        start_exchanger(&nodes[0], &dying_transport);
        last_step = n;
        rounds(nodes, 1, 3);
        _exit(0);
    }
    status = wait_for(pid);
    if (!WIFSIGNALED(status)) {
        ck_assert_int_eq(status, 0);
        return false;
    }
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    return true;
}

static void assert_all_right(int64_t n)
{
    static const int64_t sums[] = { 0, 1517, 2029, 0, 8, -1, -1, OVER_BYTES };
    uint32_t k;
    int i;

    for (i = 0; i < 2; i++) {
        struct node *node = &nodes[i];
        struct cq_clock clock = node_clock(node);

        for (k = 1; k <= 7; k++) {
            ck_assert_msg(node_sum(node, k) == sums[k], "killed at step %"
                          PRId64 ": node %d has %" PRId64 " of client %"
                          PRIu32 ", not %" PRId64, n, i, node_sum(node, k), k,
                          sums[k]);
        }
        ck_assert_int_eq(node_exempt_until_s(node, 5), NOON_S + 900);
        ck_assert_int_eq(node_exempt_until_s(node, 6), NOON_S + 800);
        ck_assert_int_ne(row_of(node->table, 7, &clock).over_since_s, 0);
        ck_assert_int_eq(row_of(node->table, 7, &clock).in_flight_bytes, 0);
        ck_assert_int_eq(node_status(node).waiting, 0);
        assert_sound(node->table);
    }
    ck_assert_int_eq(node_own(&nodes[0], 2), 2000);
    ck_assert_int_eq(node_own(&nodes[0], 7), 0);
}

/* What the victim left: on the servers, and in the ledger. */
static void take_over(void)
{
    int64_t i;
    int settled;

    for (i = 0; i < journal->puts_n; i++) {
        struct put *put = &journal->puts[i];

        put->item.value = put->value;
        store(&world, put->server, &put->item);
    }
    for (settled = 0; settled < 10
         && cq_table_settle(nodes[0].table) > 0; settled++) {
    }
    ck_assert_int_lt(settled, 10);
}

/* In a process of its own: the world here stays as it was. */
static void assert_goes_on(int64_t n, bool twice)
{
    pid_t pid = fork();

    if (pid == 0) {
        take_over();
        node_charge(&nodes[0], 1, 7);
        node_charge(&nodes[1], 2, 9);
        rounds(&nodes[1], 1, 2);
        if (twice) {
            dies_at(n);
            take_over();
        }
        start_exchanger(&nodes[0], &world_transport);
        rounds(nodes, 2, 8);
        assert_all_right(n);
        _exit(0);
    }
    ck_assert_msg(wait_for(pid) == 0, "killed at step %" PRId64 "%s", n,
                  twice ? ", its successor, too" : "");
}

START_TEST(dies)
{
    unsigned char *copies[2];
    int64_t n = 0;
    bool died = true;
    int i, twice;

    journal = shared(sizeof(*journal));
    begin_world();
    for (i = 0; i < 2; i++) {
        copies[i] = malloc(nodes[i].table->size);
        memcpy(copies[i], nodes[i].table->header, nodes[i].table->size);
    }
    while (died) {
        n++;
        for (twice = 0; twice < 2; twice++) {
            died = dies_at(n);
            assert_goes_on(n, twice == 1);
            for (i = 0; i < 2; i++) {
                memcpy(nodes[i].table->header, copies[i],
                       nodes[i].table->size);
            }
        }
    }
    ck_assert_int_gt(n, 100);
    for (i = 0; i < points_n; i++) {
        ck_assert_msg(journal->passed[i], "%s was not reached", points[i]);
    }
    for (i = 0; i < 2; i++) {
        free(copies[i]);
    }
    end_world();
    munmap(journal, sizeof(*journal));
}
END_TEST

START_TEST(points_were_found)
{
    ck_assert_int_eq(points_n, 9);      /* run from the top of the sources */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cluster/points");
    TCase *tcase = tcase_create("die");

    find_points(true);
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, points_were_found);
    tcase_add_test(tcase, dies);
    return run_suite(suite);
}
