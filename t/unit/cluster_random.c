/* cluster: random schedules. Nodes, servers and the network do what they can
 * do wrong, drawn from a seed; then all is quiet, and all nodes must agree:
 * nothing is lost, nothing is counted twice, no client is locked out.
 *
 * CQ_TEST_SEED=N repeats one, CQ_TEST_ALL=1 runs twenty times as many. */
#include "cluster_world.h"

#define NODES 4
#define CLIENTS 24
#define STEPS 160

struct run {
    struct world world;
    struct node nodes[NODES];
    int64_t charged[NODES][CLIENTS];
    int64_t reset_ms[CLIENTS];  /* 0: never */
    int64_t orphaned[CLIENTS];  /* of lost tables: only servers have it */
    int64_t at_risk[CLIENTS];   /* of that, when servers lost items */
    struct cq_account open[NODES];      /* a download under way */
    uint32_t open_client[NODES];
    bool resets;
};

static unsigned below(struct run *r, unsigned n)
{
    return (unsigned)(xorshift(&r->world.random) % n);
}

static void charge(struct run *r, size_t i)
{
    uint32_t k = below(r, CLIENTS);
    int64_t bytes = 1 + below(r, 100000);

    node_charge(&r->nodes[i], k, bytes);
    r->charged[i][k] += bytes;
}

/* A download that goes on while others happen. */
static void download(struct run *r, size_t i)
{
    struct node *node = &r->nodes[i];
    struct cq_clock clock = node_clock(node);
    struct cq_account *a = &r->open[i];
    int64_t bytes = 1 + below(r, 5000);

    if (a->table == NULL) {
        r->open_client[i] = below(r, CLIENTS);
        *a = open_client(node->table, r->open_client[i], &clock);
        cq_account_admit(a, &clock, INT64_MAX, 100000, NULL);
    }
    else if (below(r, 3) == 0) {
        cq_account_close(a);
        a->table = NULL;
    }
    else {
        cq_account_charge(a, &clock, bytes);
        r->charged[i][r->open_client[i]] += bytes;
    }
}

static void end_download(struct run *r, size_t i)
{
    if (r->open[i].table != NULL) {
        cq_account_close(&r->open[i]);
        r->open[i].table = NULL;
    }
}

static void reset(struct run *r, size_t i)
{
    uint32_t k = below(r, CLIENTS);
    struct cq_clock clock = node_clock(&r->nodes[i]);
    struct cq_key key = client(k);
    size_t j;

    if (!r->resets) {
        return;
    }
    cq_table_reset(r->nodes[i].table, &key, &clock);
    r->reset_ms[k] = r->world.now_ms;
    for (j = 0; j < NODES; j++) {
        r->charged[j][k] = 0;   /* from now on; more may be forgotten */
    }
    r->orphaned[k] = 0;
}

static void restart(struct run *r, size_t i)
{
    struct node *node = &r->nodes[i];

    cq_exchange_stop(node->exchange);
    if (below(r, 2) == 0) {     /* all of it, else the exchanger alone */
        end_download(r, i);
        cq_tablefile_close(node->table);
        node_open(node);
        return;
    }
    node_start(node);
}

/* The table is gone: a new one begins with a new id, and the cluster keeps
 * the shares of the old one that were exchanged. */
static void lose_table(struct run *r, size_t i)
{
    struct node *node = &r->nodes[i];
    uint32_t k;

    memset(node->cut, false, sizeof(node->cut));
    memset(r->world.down, false, sizeof(r->world.down));
    memset(r->world.empty, false, sizeof(r->world.empty));
    r->world.lose_answer = r->world.cut_answer = r->world.lose_put = 0;
    r->world.noise = r->world.delay_put = 0;
    rounds(r->nodes, NODES, 80);
    end_download(r, i);
    rounds(r->nodes, NODES, 3);
    for (k = 0; k < CLIENTS; k++) {
        r->orphaned[k] += r->charged[i][k];
        r->charged[i][k] = 0;
    }
    node_close(node);
    ck_assert_int_eq(unlink(node->f.path), 0);
    node_open(node);
}

/* What no table has is gone with the items of a server. */
static void risk(struct run *r)
{
    memcpy(r->at_risk, r->orphaned, sizeof(r->at_risk));
}

static void disturb(struct run *r)
{
    struct world *w = &r->world;
    size_t s = below(r, SERVERS);

    switch (below(r, 9)) {
    case 0: w->down[s] = !w->down[s]; break;
    case 1: w->empty[s] = !w->empty[s]; break;
    case 2: lose_items(w, s); risk(r); break;
    case 3: w->lose_answer = below(r, 200); break;
    case 4: w->lose_put = below(r, 300); break;
    case 5: w->delay_put = below(r, 300); break;
    case 6: w->noise = below(r, 60); break;
    case 7: w->cut_answer = below(r, 10); w->repeat_put = below(r, 300); break;
    default: r->nodes[below(r, NODES)].cut[s] ^= true; break;
    }
}

static void step(struct run *r)
{
    size_t i = below(r, NODES);

    if (r->world.noise > 0) {
        risk(r);                /* what reads as noise is written over */
    }
    switch (below(r, 24)) {
    case 0: case 1: disturb(r); break;
    case 2: restart(r, i); break;
    case 3: reset(r, i); break;
    case 4: if (below(r, 8) == 0) { lose_table(r, i); } break;
    case 5: case 6: case 7: case 8: case 9: case 10: charge(r, i); break;
    case 11: case 12: case 13: case 14: case 15: download(r, i); break;
    default:
        pass_ms(&r->world, 100 + below(r, 500));
        node_round(&r->nodes[i]);
        break;
    }
}

static void calm(struct run *r)
{
    struct world *w = &r->world;
    size_t i;

    w->lose_answer = w->cut_answer = w->lose_put = w->delay_put = 0;
    w->repeat_put = w->noise = 0;
    memset(w->down, false, sizeof(w->down));
    memset(w->empty, false, sizeof(w->empty));
    for (i = 0; i < NODES; i++) {
        memset(r->nodes[i].cut, false, sizeof(r->nodes[i].cut));
        end_download(r, i);
    }
    /* back-off is up to 30 s, then a sweep; in the table of 96 rows a
     * rotation is two rounds */
    rounds(r->nodes, NODES, 120);
}

static void assert_agreed(struct run *r, uint32_t k, uint64_t seed)
{
    int64_t due = r->orphaned[k];
    int64_t said = -1;
    size_t i;

    for (i = 0; i < NODES; i++) {
        due += r->charged[i][k];
    }
    for (i = 0; i < NODES; i++) {
        struct cq_clock clock = node_clock(&r->nodes[i]);
        struct cq_key key = client(k);
        struct cq_row row;

        if (cq_table_row(r->nodes[i].table, 0, &key, &clock, &row) != CQ_OK) {
            continue;
        }
        ck_assert_int_eq(row.in_flight_bytes, 0);
        ck_assert_msg(row.others_in_flight_bytes == 0,
                      "seed %llu: client %u is locked out on node %zu",
                      (unsigned long long)seed, k, i);
        if (said == -1) {
            said = row.used_bytes + row.others_used_bytes;
        }
        ck_assert_msg(row.used_bytes + row.others_used_bytes == said,
                      "seed %llu: client %u: %lld on node %zu, %lld before",
                      (unsigned long long)seed, k,
                      (long long)(row.used_bytes + row.others_used_bytes), i,
                      (long long)said);
    }
    if (said == -1) {
        return;
    }
    ck_assert_msg(said <= due, "seed %llu: client %u: %lld, %lld too many",
                  (unsigned long long)seed, k, (long long)said,
                  (long long)(said - due));
    /* a reset may forget what was counted until every node has heard of it */
    if (r->reset_ms[k] == 0) {
        ck_assert_msg(said >= due - r->at_risk[k],
                      "seed %llu: client %u: %lld, %lld lost",
                      (unsigned long long)seed, k, (long long)said,
                      (long long)(due - said));
    }
}

static void run(uint64_t seed, bool resets)
{
    struct run *r = calloc(1, sizeof(*r));
    unsigned i, steps;
    uint32_t k;

    world_begin(&r->world, seed);
    r->resets = resets;
    for (i = 0; i < NODES; i++) {
        node_begin(&r->nodes[i], &r->world, i + 1,
                   i % 2 == 0 ? THREE
                              : "--SERVER=127.0.0.1:11213 "
                                "--SERVER=127.0.0.1:11211 "
                                "--SERVER=127.0.0.1:11212");
        r->nodes[i].clock_off_ms = (int64_t)i * 700 - 1000;
    }
    steps = STEPS + below(r, STEPS);
    for (i = 0; i < steps; i++) {
        step(r);
    }
    calm(r);
    for (k = 0; k < CLIENTS; k++) {
        assert_agreed(r, k, seed);
    }
    for (i = 0; i < NODES; i++) {
        ck_assert_int_eq(node_status(&r->nodes[i]).waiting, 0);
        ck_assert(!node_status(&r->nodes[i]).nodes[0].other_servers);
        node_end(&r->nodes[i]);
    }
    world_end(&r->world);
    free(r);
}

static void run_all(bool resets)
{
    const char *seed = getenv("CQ_TEST_SEED");
    uint64_t first = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    uint64_t n = seed != NULL ? 1 : getenv("CQ_TEST_ALL") != NULL ? 500 : 25;
    uint64_t i;

    for (i = 0; i < n; i++) {
        run(first + i, resets);
    }
}

START_TEST(nothing_lost_nothing_doubled)
{
    run_all(false);
}
END_TEST

START_TEST(resets_reach_everybody)
{
    run_all(true);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cluster: random");
    TCase *t = tcase_create("random");

    tcase_add_test(t, nothing_lost_nothing_doubled);
    tcase_add_test(t, resets_reach_everybody);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
