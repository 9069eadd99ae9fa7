/* table: what it keeps for a cluster: marks of rows that moved, the others'
 * sums, acts, guests. */
#include "table_fixture.h"

#include "table/exchange.h"

#include <signal.h>

static struct fixture f;
static struct cq_table *table;
static struct cq_clock now;

static void begin(uint64_t clients)
{
    uint16_t pool;

    fixture_begin(&f, clients);
    f.want.cluster = true;
    table = fixture_open(&f, NULL);
    ck_assert_int_eq(cq_table_pool(table, "default", &pool), CQ_OK);
    now = clock_at(table, NOON_S);
}

static void end(void)
{
    assert_sound(table);
    fixture_end(&f, table);
}

static uint32_t row_number(uint32_t k)
{
    struct cq_account a = open_client(table, k, &now);
    uint32_t row = a.row;

    cq_account_close(&a);
    return row;
}

static bool has_moved(uint32_t row)
{
    return cq_group_has_moved(table, row / CQ_GROUP_ROWS);
}

static void read_back(uint32_t row)
{
    cq_group_begin(table, row / CQ_GROUP_ROWS);
    cq_group_end(table, row / CQ_GROUP_ROWS);
    ck_assert(!has_moved(row));
}

static void tell(uint32_t k, struct cq_share_update update)
{
    struct cq_share share;
    bool raised;

    if (update.allowance_bytes == 0) {
        update.allowance_bytes = CQ_BYTES_MAX;
    }
    ck_assert(cq_share_read(table, row_number(k), &now, &share));
    ck_assert(cq_share_apply(table, &share, &update, &now, &raised));
}

START_TEST(every_change_is_marked)
{
    struct cq_account a;
    struct cq_usage usage;
    uint32_t row;
    uint64_t group = 0;
    pid_t pid;

    begin(60);
    ck_assert(!cq_group_find(table, &group));
    a = open_client(table, 1, &now);
    row = a.row;
    ck_assert(!has_moved(row));
    cq_account_admit(&a, &now, 1000, 300, &usage);
    ck_assert(has_moved(row));
    read_back(row);
    cq_account_reserve_at_least(&a, 400);
    ck_assert(has_moved(row));
    read_back(row);
    cq_account_reserve_at_most(&a, 350);
    ck_assert(has_moved(row));
    read_back(row);
    cq_account_charge(&a, &now, 10);
    ck_assert(has_moved(row));
    read_back(row);
    cq_account_count_refusal(&a, &now, CQ_STATE_OVER);
    ck_assert(has_moved(row));
    read_back(row);
    cq_account_close(&a);           /* refunds */
    ck_assert(has_moved(row));
    read_back(row);
    /* moved again between begin and end */
    cq_group_begin(table, row / CQ_GROUP_ROWS);
    charge_client(table, 1, &now, 1);
    cq_group_end(table, row / CQ_GROUP_ROWS);
    ck_assert(has_moved(row));
    read_back(row);
    /* a killed child's reservation */
    pid = fork();
    if (pid == 0) {
        cq_table_enter(table);
        a = open_client(table, 1, &now);
        cq_account_admit(&a, &now, 1000, 300, &usage);
        cq_group_begin(table, row / CQ_GROUP_ROWS);
        cq_group_end(table, row / CQ_GROUP_ROWS);
        raise(SIGKILL);
    }
    wait_for(pid);
    ck_assert(!has_moved(row));
    ck_assert_int_eq(cq_table_settle(table), 1);
    ck_assert(has_moved(row));
    end();
}
END_TEST

START_TEST(others_admit_and_refuse)
{
    struct cq_account a;
    struct cq_usage usage;

    begin(60);
    charge_client(table, 1, &now, 100);
    tell(1, (struct cq_share_update){ .others_used_bytes = 50,
        .others_in_flight_bytes = 2000, .until_s = NOON_S + 5 });
    a = open_client(table, 1, &now);
    cq_account_usage(&a, &now, &usage);
    ck_assert_int_eq(usage.used_bytes, 150);
    ck_assert_int_eq(usage.in_flight_bytes, 2048);
    ck_assert_int_eq(cq_account_admit(&a, &now, 2198, 1, &usage), CQ_EFULL);
    ck_assert_int_eq(usage.used_bytes, 150);
    ck_assert_int_eq(usage.in_flight_bytes, 2048);
    now.now_s += 5;             /* that has lapsed */
    ck_assert_int_eq(cq_account_admit(&a, &now, 151, 1, &usage), CQ_OK);
    ck_assert_int_eq(cq_account_admit(&a, &now, 151, 1, &usage), CQ_EFULL);
    ck_assert_int_eq(usage.in_flight_bytes, 1);
    /* a charge that crosses with what the others used */
    a.allowance_bytes = 152;
    cq_account_charge(&a, &now, 1);
    ck_assert_int_eq(row_of(table, 1, &now).over_since_s, 0);
    cq_account_charge(&a, &now, 1);
    ck_assert_int_eq(row_of(table, 1, &now).over_since_s, NOON_S + 5);
    ck_assert_int_eq(row_of(table, 1, &now).used_bytes, 102);
    ck_assert_int_eq(row_of(table, 1, &now).others_used_bytes, 50);
    cq_account_close(&a);
    /* of another period nothing counts */
    now = clock_at(table, NEXT_MONTH_S);
    a = open_client(table, 1, &now);
    cq_account_usage(&a, &now, &usage);
    ck_assert_int_eq(usage.used_bytes, 0);
    cq_account_close(&a);
    end();
}
END_TEST

/* Whatever the others claim, a client that is not limited is not refused, and
 * one that is is over quota. */
START_TEST(sums_saturate)
{
    struct cq_account a;
    struct cq_usage usage;

    begin(60);
    charge_client(table, 1, &now, 100);
    tell(1, (struct cq_share_update){ .others_used_bytes = CQ_BYTES_MAX,
        .others_in_flight_bytes = CQ_BYTES_MAX, .until_s = NOON_S + 5 });
    a = open_client(table, 1, &now);
    ck_assert_int_eq(cq_account_admit(&a, &now, CQ_BYTES_MAX, 1, &usage),
                     CQ_OK);
    ck_assert_int_lt(usage.used_bytes, CQ_BYTES_MAX);
    ck_assert_int_eq(cq_account_admit(&a, &now, INT64_C(1) << 47, 1, &usage),
                     CQ_EFULL);
    cq_account_close(&a);
    end();
}
END_TEST

/* Hints fill what is free, and go first. */
START_TEST(guests)
{
    uint32_t k, made = 0, row;
    struct cq_table_figures figures;
    struct cq_key key;

    begin(60);
    for (k = 0; k < 20; k++) {
        charge_client(table, k, &now, 1);
    }
    for (k = 1000; k < 2000; k++) {
        key = client(k);
        if (cq_guest_make(table, 0, &key, &now, &row)) {
            made++;
            tell(k, (struct cq_share_update){ .others_used_bytes = 1000,
                                            .allowance_bytes = 1000 });
            ck_assert_int_eq(row_of(table, k, &now).over_since_s, NOON_S);
        }
    }
    ck_assert_uint_ge(made, 40);
    cq_table_figures(table, &figures);
    ck_assert_int_eq(figures.evictions, 0);
    ck_assert_int_eq(figures.untracked, 0);
    for (k = 0; k < 60; k++) {
        struct cq_account a = open_client(table, k, &now);

        cq_account_charge(&a, &now, 1);
        cq_account_count_hit(&a, &now);
        cq_account_close(&a);
    }
    for (k = 0; k < 60; k++) {
        ck_assert_int_eq(row_of(table, k, &now).used_bytes,
                         k < 20 ? 2 : 1);
    }
    key = client(1);
    ck_assert(!cq_guest_make(table, 7, &key, &now, &row));     /* no pool */
    end();
}
END_TEST

/* A client that used much elsewhere stays. */
START_TEST(others_weigh)
{
    uint32_t k;

    begin(60);
    charge_client(table, 1, &now, 1);
    tell(1, (struct cq_share_update){ .others_used_bytes = 5000 });
    for (k = 100; k < 600; k++) {
        charge_client(table, k, &now, 1000);
    }
    ck_assert_int_eq(row_of(table, 1, &now).used_bytes, 1);
    end();
}
END_TEST

/* What the others have in flight goes with their sum: check must not find more
 * of it than the sum. */
START_TEST(a_reset_forgets_the_others)
{
    struct cq_key key = client(1);
    struct cq_row row;

    begin(60);
    tell(1, (struct cq_share_update){ .others_used_bytes = 100,
        .others_in_flight_bytes = 2000, .until_s = NOON_S + 5 });
    ck_assert_int_eq(cq_table_reset(table, &key, &now), 1);
    ck_assert_int_eq(cq_table_row(table, 0, &key, &now, &row), CQ_OK);
    ck_assert_int_eq(row.used_bytes, 0);
    ck_assert_int_eq(row.in_flight_bytes, 0);
    end();
}
END_TEST

static struct cq_act reset_of(uint8_t a, uint8_t b, uint8_t prefix,
                              int64_t at_ms)
{
    return (struct cq_act){ .net = { .family = 4, .prefix = prefix,
                                     .bytes = { a, b } },
                            .kind = CQ_ACT_RESET, .at_ms = at_ms };
}

START_TEST(acts)
{
    static struct cq_act all[CQ_ACTS_MAX];
    struct cq_act act = reset_of(10, 0, 16, 0);
    struct cq_key key = client(1);
    int i;

    begin(60);
    charge_client(table, 1, &now, 100);
    /* one's own is later than all that are known */
    ck_assert_int_eq(cq_act_note(table, &act, NOON_S * 1000), CQ_OK);
    ck_assert_int_eq(cq_act_note(table, &act, NOON_S * 1000 - 5000), CQ_OK);
    ck_assert_uint_eq(cq_acts_read(table, all), 2);
    ck_assert_int_eq(all[1].at_ms, NOON_S * 1000 + 1);
    ck_assert_int_eq(cq_acts_apply(table, &now), 2);
    ck_assert_uint_eq(cq_acts_read(table, all), 1);     /* covers the other */
    ck_assert_int_eq(all[0].at_ms, NOON_S * 1000 + 1);
    ck_assert_int_eq(row_of(table, 1, &now).used_bytes, 0);
    /* once */
    charge_client(table, 1, &now, 5);
    ck_assert_int_eq(cq_acts_apply(table, &now), 0);
    act = reset_of(10, 0, 16, NOON_S * 1000);
    ck_assert_int_eq(cq_act_note(table, &act, NOON_S * 1000), CQ_OK);
    ck_assert_int_eq(cq_acts_apply(table, &now), 0);    /* an older one */
    ck_assert_int_eq(row_of(table, 1, &now).used_bytes, 5);
    /* by client */
    ck_assert_int_eq(cq_table_reset(table, &key, &now), 1);
    ck_assert_uint_eq(cq_acts_read(table, all), 2);
    /* more than there is room for: the oldest goes */
    for (i = 0; i < 2000; i++) {
        act = reset_of(11, (uint8_t)i, 32, NOON_S * 1000 + 100 + i);
        act.net.bytes[2] = (uint8_t)(i >> 8);
        ck_assert_int_eq(cq_act_note(table, &act, NOON_S * 1000), CQ_OK);
    }
    ck_assert_uint_eq(cq_acts_read(table, all), CQ_ACTS_MAX);
    for (i = 0; i < CQ_ACTS_MAX; i++) {
        ck_assert_int_ge(all[i].at_ms, NOON_S * 1000 + 100 + 2000
                                           - CQ_ACTS_MAX);
    }
    /* past with the period */
    cq_acts_apply(table, &now);
    now = clock_at(table, NEXT_MONTH_S + 5);
    ck_assert_int_eq(cq_acts_apply(table, &now), 0);
    ck_assert_uint_eq(cq_acts_read(table, all), 0);
    end();
}
END_TEST

START_TEST(id_outlives_sizes_and_modes)
{
    uint64_t id;
    unsigned events;
    struct cq_act act = reset_of(10, 0, 16, 0), all[CQ_ACTS_MAX];

    begin(60);
    f.want.machine = 5;
    id = cq_table_node(table);
    ck_assert_uint_ne(id, 0);
    charge_client(table, 1, &now, 100);
    cq_act_note(table, &act, NOON_S * 1000);
    cq_tablefile_close(table);
    f.want.clients = 200;
    table = fixture_open(&f, &events);
    ck_assert_uint_eq(events & CQ_TABLE_RESIZED, CQ_TABLE_RESIZED);
    ck_assert_uint_eq(cq_table_node(table), id);
    ck_assert_uint_eq(cq_acts_read(table, all), 1);
    cq_tablefile_close(table);
    f.want.cluster = false;
    table = fixture_open(&f, &events);
    ck_assert(!cq_table_has_cluster(table));
    ck_assert_int_eq(row_of(table, 1, &now).used_bytes, 100);
    ck_assert_int_eq(cq_act_note(table, &act, 1), CQ_EINVAL);
    cq_tablefile_close(table);
    f.want.cluster = true;
    table = fixture_open(&f, &events);
    ck_assert_uint_eq(cq_table_node(table), id);
    ck_assert_int_eq(row_of(table, 1, &now).used_bytes, 100);
    /* on another machine */
    cq_tablefile_close(table);
    f.want.machine = 6;
    table = fixture_open(&f, &events);
    ck_assert_uint_eq(events & CQ_TABLE_COPIED, CQ_TABLE_COPIED);
    ck_assert_uint_ne(cq_table_node(table), id);
    ck_assert_int_eq(row_of(table, 1, &now).used_bytes, 0);
    end();
}
END_TEST

START_TEST(sums_are_repaired)
{
    int64_t repaired;
    uint32_t row;

    begin(60);
    charge_client(table, 1, &now, 100);
    row = row_number(1);
    /* the page with the sum is older than that with the flights */
    atomic_store(&table->flights[row], UINT64_MAX);
    ck_assert_int_eq(cq_table_check(table, true, NULL), 1);
    ck_assert_int_eq(cq_table_repair(table, &repaired), CQ_OK);
    ck_assert_int_eq(repaired, 1);
    ck_assert_int_eq(row_of(table, 1, &now).used_bytes, 100);
    assert_sound(table);
    atomic_store(&table->moved[row / 16], 9);
    ck_assert_int_eq(cq_table_check(table, true, NULL), 1);
    ck_assert_int_eq(cq_table_repair(table, &repaired), CQ_OK);
    ck_assert_int_eq(repaired, 1);
    ck_assert_uint_eq(atomic_load(&table->moved[row / 16]), CQ_MOVED);
    assert_sound(table);
    end();
}
END_TEST

/* An exchanger that died while it wrote the figures keeps no reader waiting,
 * and its successor's are read as ever. */
START_TEST(figures_of_a_dead_writer)
{
    struct cq_cluster_status status = { .rounds = 7, .raised = 8 };

    begin(100);
    cq_cluster_status_write(table, &status);
    ck_assert_uint_eq(table->cluster->motion % 2, 0);
    table->cluster->motion++;
    ck_assert(cq_cluster_status_read(table, &status));
    ck_assert_int_eq(status.rounds, 7);
    status.rounds = 9;
    cq_cluster_status_write(table, &status);
    ck_assert_uint_eq(table->cluster->motion % 2, 0);
    memset(&status, 0, sizeof(status));
    ck_assert(cq_cluster_status_read(table, &status));
    ck_assert_int_eq(status.rounds, 9);
    ck_assert_int_eq(status.raised, 8);
    end();
}
END_TEST

/* What a damaged file has for figures leads nowhere. */
START_TEST(figures_are_not_trusted)
{
    struct cq_cluster_status status;
    size_t i;

    begin(100);
    memset(&table->cluster->status, 0x55, sizeof(table->cluster->status));
    ck_assert(cq_cluster_status_read(table, &status));
    ck_assert_uint_eq(status.nodes_n, CQ_CLUSTER_NODES_MAX);
    ck_assert_uint_eq(status.servers_n, CQ_CLUSTER_SERVERS_MAX);
    ck_assert_uint_eq(strlen(status.label), sizeof(status.label) - 1);
    for (i = 0; i < CQ_CLUSTER_NODES_MAX; i++) {
        const struct cq_cluster_node *node = &status.nodes[i];

        ck_assert_uint_eq(strlen(node->label), sizeof(node->label) - 1);
        ck_assert(node->self && node->alive && node->other_period
                  && node->other_servers && node->other_daily);
    }
    for (i = 0; i < CQ_CLUSTER_SERVERS_MAX; i++) {
        ck_assert_uint_eq(strlen(status.servers[i].name),
                          sizeof(status.servers[i].name) - 1);
        ck_assert(status.servers[i].up);
    }
    /* a second of it in milliseconds is still a number */
    ck_assert_int_eq(status.last_round_s, INT64_C(1) << 50);
    ck_assert_int_eq(status.nodes[0].last_seen_s, INT64_C(1) << 50);
    table->cluster->status.lag_ms = -1;
    table->cluster->status.nodes[1].offset_ms = INT64_MIN;
    ck_assert(cq_cluster_status_read(table, &status));
    ck_assert_int_eq(status.lag_ms, 0);
    ck_assert_int_eq(status.nodes[1].offset_ms, -(INT64_C(1) << 50));
    memset(&table->cluster->status, 0, sizeof(table->cluster->status));
    end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("table: shares");
    TCase *t = tcase_create("shares");

    tcase_add_test(t, every_change_is_marked);
    tcase_add_test(t, others_admit_and_refuse);
    tcase_add_test(t, sums_saturate);
    tcase_add_test(t, guests);
    tcase_add_test(t, others_weigh);
    tcase_add_test(t, a_reset_forgets_the_others);
    tcase_add_test(t, acts);
    tcase_add_test(t, id_outlives_sizes_and_modes);
    tcase_add_test(t, sums_are_repaired);
    tcase_add_test(t, figures_of_a_dead_writer);
    tcase_add_test(t, figures_are_not_trusted);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
