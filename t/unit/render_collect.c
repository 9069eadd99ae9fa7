/* render/collect: a view of a real table, and of one without memory. */
#include "render/collect.h"

#include "table/jail.h"
#include "table/tablefile.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 2026-11-03 01:00 UTC, day 3 of the month */
#define NOW_S (INT64_C(1793491200) + 2 * 86400 + 3600)

static char folder[] = "/tmp/render_collect.XXXXXX";
static char path[sizeof(folder) + 8];
static struct cq_table *table;
static struct cq_clock clock_now;
static uint16_t pool_of[2];
static uint16_t policy_of[3];

/* ---- an arena that gives up after some calls ---- */

#define BLOCKS_MAX 64

struct memory {
    void *blocks[BLOCKS_MAX];
    size_t used;
    size_t allowed;
};

static void *give(void *baton, size_t size)
{
    struct memory *memory = baton;

    if (memory->used == memory->allowed) {
        return NULL;
    }
    ck_assert_uint_lt(memory->used, BLOCKS_MAX);
    memory->blocks[memory->used] = malloc(size);
    ck_assert_ptr_nonnull(memory->blocks[memory->used]);
    return memory->blocks[memory->used++];
}

static void give_back(struct memory *memory)
{
    while (memory->used > 0) {
        free(memory->blocks[--memory->used]);
    }
}

/* ---- a table ---- */

static void draw(uint16_t pool, uint16_t policy, const char *client,
                 int64_t bytes, int64_t reserved_bytes)
{
    struct cq_account account;
    struct cq_key key;

    ck_assert_int_eq(cq_key_parse(&key, client, NULL), CQ_OK);
    ck_assert_int_eq(
        cq_account_open(table, pool, &key, &clock_now, &account), CQ_OK);
    cq_account_mark(&account, policy, CQ_ORIGIN_PEER);
    ck_assert_int_eq(cq_account_admit(&account, &clock_now, CQ_BYTES_MAX,
                                      bytes + reserved_bytes, NULL),
                     CQ_OK);
    cq_account_charge(&account, &clock_now, bytes);
    cq_account_count_hit(&account, &clock_now);
    cq_table_total_add(table, pool, CQ_TOTAL_SENT, bytes);
    cq_table_total_add(table, pool, CQ_TOTAL_HITS, 1);
    if (reserved_bytes == 0) {
        cq_account_close(&account);
    }
}

static void set_up(void)
{
    static const struct cq_policy daily = { 100, 0 };
    static const struct cq_policy unlimited = { CQ_UNLIMITED, 0 };
    struct cq_tablefile_want want = { .path = path,
                                      .clients = 64,
                                      .ledger_entries = 64,
                                      .kind = CQ_PERIOD_MONTH,
                                      .zone = CQ_ZONE_UTC,
                                      .prefixes = { 32, 64 },
                                      .now_s = NOW_S };
    char why[CQ_WHY_SIZE] = "";

    memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    memcpy(path, folder, sizeof(folder));
    memcpy(path + sizeof(folder) - 1, "/table", 7);
    ck_assert_msg(cq_tablefile_open(&want, &table, NULL, why, sizeof(why)) ==
                      CQ_OK,
                  "%s", why);
    cq_table_clock(table, NOW_S, &clock_now);
    ck_assert_int_eq(clock_now.day, 3);
    cq_table_policies_begin(table);
    ck_assert_int_eq(cq_table_pool(table, "default", &pool_of[0]), CQ_OK);
    ck_assert_int_eq(cq_table_pool(table, "other", &pool_of[1]), CQ_OK);
    ck_assert_int_eq(cq_table_policy(table, pool_of[0],
                                     "ClamQuotaClient 10.9.0.0/16",
                                     &unlimited, &policy_of[1]),
                     CQ_OK);
    ck_assert_int_eq(cq_table_policy(table, pool_of[0], "ClamQuotaDaily",
                                     &daily, &policy_of[0]),
                     CQ_OK);
    ck_assert_int_eq(cq_table_policy(table, pool_of[1], "ClamQuotaDaily",
                                     &daily, &policy_of[2]),
                     CQ_OK);
    draw(pool_of[0], policy_of[0], "192.0.2.1", 299, 0);
    draw(pool_of[0], policy_of[0], "192.0.2.2", 301, 0);
    draw(pool_of[0], policy_of[1], "10.9.0.1", 500, 0);
    draw(pool_of[1], policy_of[2], "2001:db8::/64", 10, 70);
}

static void tear_down(void)
{
    cq_tablefile_close(table);
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
}

static const struct cq_view_facts facts = { .version = "1.2.3",
                                            .engine = "On",
                                            .self = "/page",
                                            .refresh_s = 5 };

static enum cq_status collect(struct cq_view *view, struct memory *memory,
                              const struct cq_query *query)
{
    struct cq_arena arena = { give, memory };

    return cq_collect(view, table, &clock_now, query, &facts, &arena);
}

static void expect_client(const struct cq_view_client *client,
                          const char *address, const char *pool,
                          int64_t used_bytes, enum cq_state state)
{
    char text[CQ_KEY_TEXT_SIZE];

    ck_assert_str_eq(cq_key_format(&client->client, text, sizeof(text)),
                     address);
    ck_assert_str_eq(client->pool, pool);
    ck_assert_int_eq(client->used_bytes, used_bytes);
    ck_assert_int_eq(client->state, state);
    ck_assert_int_eq(client->hits, 1);
}

START_TEST(fills_a_view)
{
    struct memory memory = { .allowed = BLOCKS_MAX };
    struct cq_query query = { .limit = 100 };
    struct cq_view view;

    ck_assert_int_eq(collect(&view, &memory, &query), CQ_OK);
    ck_assert_str_eq(view.facts.version, "1.2.3");
    ck_assert_str_eq(view.facts.engine, "On");
    ck_assert_str_eq(view.facts.self, "/page");
    ck_assert_int_eq(view.facts.refresh_s, 5);
    ck_assert_int_eq(view.now_s, NOW_S);
    ck_assert_int_eq(view.day, 3);
    ck_assert_int_eq(view.next_day_s, NOW_S + 23 * 3600);
    ck_assert_int_eq(view.period.days, 30);
    ck_assert_int_eq(view.period.midnight_s[0], INT64_C(1793491200));
    ck_assert_int_eq(view.table_capacity, 64);
    ck_assert_int_eq(view.table_used, 4);
    ck_assert_int_eq(view.evictions, 0);
    ck_assert_int_eq(view.untracked, 0);
    ck_assert_int_eq(view.totals.sent_bytes, 1110);
    ck_assert_int_eq(view.totals.hits, 4);
    ck_assert_int_eq(view.totals.in_flight_bytes, 70);
    ck_assert_uint_eq(view.pool_count, 2);
    ck_assert_str_eq(view.pools[0].name, "default");
    ck_assert_int_eq(view.pools[0].daily_bytes, 100);
    ck_assert_int_eq(view.pools[0].totals.sent_bytes, 1100);
    ck_assert_int_eq(view.pools[0].clients_ok, 1);
    ck_assert_int_eq(view.pools[0].clients_over, 1);
    ck_assert_int_eq(view.pools[0].clients_exempt, 1);
    ck_assert_str_eq(view.pools[1].name, "other");
    ck_assert_int_eq(view.pools[1].totals.hits, 1);
    ck_assert_int_eq(view.pools[1].clients_ok, 1);
    ck_assert_int_eq(view.clients_matched, 4);
    ck_assert_uint_eq(view.client_count, 4);
    expect_client(&view.clients[0], "10.9.0.1", "default", 500,
                  CQ_STATE_EXEMPT);
    ck_assert_str_eq(view.clients[0].rule, "ClamQuotaClient 10.9.0.0/16");
    expect_client(&view.clients[1], "192.0.2.2", "default", 301,
                  CQ_STATE_OVER);
    ck_assert_int_eq(view.clients[1].allowance_bytes, 300);
    ck_assert_int_eq(view.clients[1].retry_after_s, 23 * 3600);
    ck_assert_str_eq(view.clients[1].rule, "ClamQuotaDaily");
    expect_client(&view.clients[2], "192.0.2.1", "default", 299,
                  CQ_STATE_OK);
    expect_client(&view.clients[3], "2001:db8::", "other", 10, CQ_STATE_OK);
    ck_assert_int_eq(view.clients[3].in_flight_bytes, 70);
    give_back(&memory);
}
END_TEST

/* The same without the rows: also where there are none to be had. */
START_TEST(totals_only)
{
    struct memory memory = { .allowed = BLOCKS_MAX };
    struct cq_arena arena = { give, &memory };
    struct cq_query query = { .limit = 100 };
    struct cq_view all, view;

    ck_assert_int_eq(collect(&all, &memory, &query), CQ_OK);
    ck_assert_int_eq(cq_collect_totals(&view, table, &clock_now, &query,
                                       &facts, &arena), CQ_OK);
    ck_assert_str_eq(view.facts.self, "/page");
    ck_assert_mem_eq(&view.period, &all.period, sizeof(view.period));
    ck_assert_int_eq(view.day, 3);
    ck_assert_int_eq(view.table_used, 4);
    ck_assert_int_eq(view.table_capacity, 64);
    ck_assert_uint_eq(view.pool_count, 2);
    ck_assert_int_eq(view.totals.sent_bytes, 1110);
    ck_assert_int_eq(view.totals.hits, 4);
    ck_assert_int_eq(view.pools[1].totals.hits, 1);
    ck_assert_uint_eq(view.client_count, 0);
    ck_assert_int_eq(view.pools[0].clients_over, 0);
    give_back(&memory);
}
END_TEST

/* Of a damaged table no figure is negative, and two can be added. */
START_TEST(damaged_figures)
{
    static const int64_t most = INT64_C(1) << 61;
    const struct cq_jail_report jail = { .spec = "a", .jailed = -5,
                                         .capacity = INT64_MAX,
                                         .dropped_packets = -7,
                                         .as_of_s = NOW_S };
    struct memory memory = { .allowed = BLOCKS_MAX };
    struct cq_query query = { .limit = 100 };
    struct cq_view view;

    cq_table_total_add(table, pool_of[0], CQ_TOTAL_FREE, INT64_MAX);
    cq_table_total_add(table, pool_of[1], CQ_TOTAL_FREE, most - 1);
    cq_table_total_add(table, pool_of[0], CQ_TOTAL_HITS, INT64_MIN);
    cq_table_jail_set(table, &jail);
    ck_assert_int_eq(collect(&view, &memory, &query), CQ_OK);
    ck_assert_int_eq(view.pools[0].totals.free_bytes, most);
    ck_assert_int_eq(view.pools[1].totals.free_bytes, most - 1);
    ck_assert_int_eq(view.totals.free_bytes, most);
    ck_assert_int_eq(view.totals.hits, 1);
    ck_assert_int_eq(view.jail.jailed, 0);
    ck_assert_int_eq(view.jail.capacity, most);
    ck_assert_int_eq(view.jail.dropped_packets, -1);
    give_back(&memory);
}
END_TEST

START_TEST(limits)
{
    struct memory memory = { .allowed = BLOCKS_MAX };
    struct cq_query query = { .limit = 0, .filter = CQ_FILTER_ALL };
    struct cq_view view;

    ck_assert_int_eq(collect(&view, &memory, &query), CQ_OK);
    ck_assert_int_eq(view.query.limit, 1);
    ck_assert_uint_eq(view.client_count, 1);
    ck_assert_int_eq(view.clients_matched, 4);
    give_back(&memory);
    query.limit = 10000;
    query.filter = CQ_FILTER_OVER;
    ck_assert_int_eq(collect(&view, &memory, &query), CQ_OK);
    ck_assert_uint_eq(view.client_count, 1);
    ck_assert_int_eq(view.clients_matched, 1);
    give_back(&memory);
}
END_TEST

START_TEST(pages)
{
    struct memory memory = { .allowed = BLOCKS_MAX };
    struct cq_query query = { .limit = 2, .offset = 1 };
    struct cq_view view;

    ck_assert_int_eq(collect(&view, &memory, &query), CQ_OK);
    ck_assert_uint_eq(view.client_count, 2);
    ck_assert_int_eq(view.clients[0].used_bytes, 301);
    ck_assert_int_eq(view.clients[1].used_bytes, 299);
    ck_assert_int_eq(view.clients_matched, 4);
    give_back(&memory);
    query.offset = 4;
    ck_assert_int_eq(collect(&view, &memory, &query), CQ_OK);
    ck_assert_uint_eq(view.client_count, 0);
    ck_assert_int_eq(view.clients_matched, 4);
    give_back(&memory);
}
END_TEST

START_TEST(by_network)
{
    struct memory memory = { .allowed = BLOCKS_MAX };
    struct cq_query query = { .limit = 2, .by_net = true,
                              .net_bits = { 24, 48 } };
    struct cq_view view;
    char text[CQ_KEY_TEXT_SIZE];

    ck_assert_int_eq(collect(&view, &memory, &query), CQ_OK);
    ck_assert_uint_eq(view.client_count, 0);
    ck_assert_int_eq(view.clients_matched, 4);
    ck_assert_int_eq(view.networks_matched, 3);
    ck_assert(view.networks_exact);
    ck_assert_uint_eq(view.network_count, 2);
    ck_assert_str_eq(cq_key_format_cidr(&view.networks[0].net, text,
                                        sizeof(text)), "192.0.2.0/24");
    ck_assert_int_eq(view.networks[0].clients, 2);
    ck_assert_int_eq(view.networks[0].over, 1);
    ck_assert_int_eq(view.networks[0].used_bytes, 600);
    ck_assert_int_eq(view.networks[0].hits, 2);
    ck_assert_str_eq(cq_key_format_cidr(&view.networks[1].net, text,
                                        sizeof(text)), "10.9.0.0/24");
    give_back(&memory);
}
END_TEST

/* without memory for the n-th request it fails, for every n, and with enough
 * it no longer does */
START_TEST(no_memory)
{
    struct cq_query query = { .limit = 100 };
    struct cq_view view;
    size_t n;

    for (n = 0; n < BLOCKS_MAX; n++) {
        struct memory memory = { .allowed = n };
        enum cq_status status = collect(&view, &memory, &query);
        size_t used = memory.used;

        give_back(&memory);
        if (status == CQ_OK) {
            break;
        }
        ck_assert_int_eq(status, CQ_ENOMEM);
        ck_assert_uint_eq(used, n);
    }
    /* hours and days, copied twice; pools, two names, cells, rows, three
     * policies, clients, exemptions */
    ck_assert_uint_eq(n, 15);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render/collect");
    TCase *cases = tcase_create("collect");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, cases);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, fills_a_view);
    tcase_add_test(cases, totals_only);
    tcase_add_test(cases, damaged_figures);
    tcase_add_test(cases, limits);
    tcase_add_test(cases, pages);
    tcase_add_test(cases, by_network);
    tcase_add_test(cases, no_memory);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
