/* render/select and render/scan: the best rows whatever order they come in,
 * what is counted and listed, and which client may be jailed. */
#include "render/scan.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 500

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_msg(cq_key_parse(&key, text, NULL) == CQ_OK, "%s", text);
    return key;
}

/* ---- select ---- */

static enum cq_sort sorted_by;

static int compare(const void *a, const void *b)
{
    return cq_select_compare(sorted_by, a, b);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* few distinct figures, so that ties are common */
static void make_rows(struct cq_row *rows)
{
    uint32_t state = 1;
    size_t i;

    memset(rows, 0, ROWS * sizeof(*rows));
    for (i = 0; i < ROWS; i++) {
        rows[i].key = key_of("10.0.0.0");
        rows[i].key.bytes[2] = (uint8_t)(i / 2 * 77 % 250);
        rows[i].key.bytes[3] = (uint8_t)(i / 2 % 250);
        rows[i].pool = (uint16_t)(i % 2);
        rows[i].used_bytes = next_random(&state) % 40;
        rows[i].today_bytes = next_random(&state) % 40;
        rows[i].refused = next_random(&state) % 40;
        rows[i].hits = next_random(&state) % 40;
        rows[i].last_hit_s = next_random(&state) % 40;
    }
}

START_TEST(selects_like_a_sort)
{
    static const size_t limits[] = { 0, 1, 2, 3, 10, 499, 500, 501 };
    static struct cq_row rows[ROWS], sorted[ROWS], kept[ROWS + 1];
    struct cq_select select;
    size_t i, n;

    sorted_by = (enum cq_sort)_i;
    make_rows(rows);
    memcpy(sorted, rows, sizeof(rows));
    qsort(sorted, ROWS, sizeof(*sorted), compare);
    for (n = 0; n < sizeof(limits) / sizeof(limits[0]); n++) {
        size_t expected = limits[n] < ROWS ? limits[n] : ROWS;

        cq_select_begin(&select, kept, limits[n], sorted_by);
        for (i = 0; i < ROWS; i++) {
            cq_select_offer(&select, &rows[i]);
        }
        cq_select_finish(&select);
        ck_assert_uint_eq(select.count, expected);
        for (i = 0; i < expected; i++) {
            ck_assert_int_eq(compare(&kept[i], &sorted[i]), 0);
        }
    }
}
END_TEST

START_TEST(order)
{
    struct cq_row a = { .key = key_of("10.0.0.1"), .used_bytes = 5,
                        .last_hit_s = 1, .pool = 1 };
    struct cq_row b = { .key = key_of("10.0.0.2"), .used_bytes = 5,
                        .last_hit_s = 2 };
    struct cq_row c = a;

    c.pool = 0;
    ck_assert_int_lt(cq_select_compare(CQ_SORT_USED, &a, &b), 0);
    ck_assert_int_gt(cq_select_compare(CQ_SORT_USED, &b, &a), 0);
    ck_assert_int_gt(cq_select_compare(CQ_SORT_LAST, &a, &b), 0);
    ck_assert_int_gt(cq_select_compare(CQ_SORT_USED, &a, &c), 0);
    ck_assert_int_eq(cq_select_compare(CQ_SORT_USED, &a, &a), 0);
}
END_TEST

/* ---- scan ---- */

static struct cq_policy_info policies[] = {
    { "ClamQuotaDaily", { 100, 0 } },
    { "ClamQuotaClient 10.9.0.0/16", { CQ_UNLIMITED, 0 } },
    { "", { 0, 0 } },
    { "ClamQuotaDaily", { 100, 1000 } },
};

static bool no_memory;

static const struct cq_policy_info *policy_of(void *baton, uint16_t pool,
                                              uint16_t policy_index)
{
    (void)pool;
    ck_assert_ptr_eq(baton, policies);
    return no_memory ? NULL : &policies[policy_index];
}

static struct cq_query query;
static struct cq_period period;
static struct cq_view_pool pools[2];
static struct cq_row kept[10];
static struct cq_scan scan;

/* day 3 of a month; allowances are 300 and 1300 */
static void begin(void)
{
    const int64_t now_s = INT64_C(1793491200) + 2 * 86400 + 3600;

    ck_assert_int_eq(
        cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_UTC, now_s, &period), CQ_OK);
    no_memory = false;
    memset(pools, 0, sizeof(pools));
    pools[0].name = "default";
    pools[1].name = "other";
    memset(&scan, 0, sizeof(scan));
    scan.query = &query;
    scan.period = &period;
    scan.now_s = now_s;
    scan.day = cq_period_day(&period, now_s);
    ck_assert_int_eq(scan.day, 3);
    scan.prefixes = (struct cq_prefixes){ 32, 64 };
    scan.pools = pools;
    scan.pool_count = 2;
    scan.policy_of = policy_of;
    scan.baton = policies;
    cq_select_begin(&scan.select, kept, 10, query.sort);
    cq_scan_begin(&scan);
}

static void reset_query(void)
{
    memset(&query, 0, sizeof(query));
    query.limit = 100;
}

static struct cq_row row_of(const char *client, int64_t used_bytes,
                            uint16_t policy)
{
    struct cq_row row = { .key = key_of(client), .used_bytes = used_bytes,
                          .policy_index = policy };

    return row;
}

/* ok, over, exempt, without a policy; one of another pool that only has
 * something in flight; one of a past period; one of no pool */
static void feed(void)
{
    struct cq_row rows[7];
    size_t i;

    rows[0] = row_of("10.0.0.1", 299, 0);
    rows[0].in_flight_bytes = 50;
    rows[1] = row_of("10.0.1.1", 300, 0);
    rows[1].refused_today = 1;
    rows[2] = row_of("10.9.0.1", 900, 1);
    rows[2].jailed = true;
    rows[3] = row_of("2001:db8::/64", 800, 2);
    rows[4] = row_of("10.0.0.2", 0, 3);
    rows[4].pool = 1;
    rows[4].in_flight_bytes = 7;
    rows[5] = row_of("10.0.0.3", 0, 0);
    rows[5].today_bytes = 0;
    rows[5].last_hit_s = 1234;
    rows[5].over_since_s = 1234;
    rows[6] = row_of("10.0.0.4", 1000, 0);
    rows[6].pool = 2;
    for (i = 0; i < 7; i++) {
        ck_assert_int_eq(cq_scan_row(&scan, &rows[i]), CQ_OK);
    }
    cq_select_finish(&scan.select);
    ck_assert_int_eq(scan.in_flight_bytes, 57);
    ck_assert_int_eq(pools[0].clients_ok, 2);
    ck_assert_int_eq(pools[0].clients_over, 1);
    ck_assert_int_eq(pools[0].clients_exempt, 1);
    ck_assert_int_eq(pools[1].clients_ok, 1);
    ck_assert_int_eq(pools[1].clients_over, 0);
}

static void expect_matched(const char *const *clients)
{
    size_t n = 0;

    begin();
    feed();
    for (; clients[n]; n++) {
        char text[CQ_KEY_TEXT_SIZE];

        ck_assert_uint_lt(n, scan.select.count);
        ck_assert_str_eq(
            cq_key_format_cidr(&kept[n].key, text, sizeof(text)), clients[n]);
    }
    ck_assert_uint_eq(scan.select.count, n);
    ck_assert_int_eq(scan.matched, (int64_t)n);
}

START_TEST(filters)
{
    static const char *const all[] = { "10.9.0.1/32", "2001:db8::/64",
                                       "10.0.1.1/32", "10.0.0.1/32",
                                       "10.0.0.2/32", NULL };
    static const char *const ok[] = { "2001:db8::/64", "10.0.0.1/32",
                                      "10.0.0.2/32", NULL };
    static const char *const near[] = { "10.0.0.1/32", NULL };
    static const char *const exempt[] = { "10.9.0.1/32", NULL };
    static const char *const over[] = { "10.0.1.1/32", NULL };
    static const char *const other[] = { "10.0.0.2/32", NULL };
    static const char *const inside[] = { "10.0.0.1/32", "10.0.0.2/32",
                                          NULL };
    static const char *const belongs[] = { "2001:db8::/64", NULL };
    static const char *const none[] = { NULL };

    reset_query();
    expect_matched(all);
    query.filter = CQ_FILTER_OVER;
    expect_matched(over);
    query.filter = CQ_FILTER_OK;
    expect_matched(ok);
    query.filter = CQ_FILTER_EXEMPT;
    expect_matched(exempt);
    query.filter = CQ_FILTER_NEAR;      /* 299 of 300; not 7 in flight */
    expect_matched(near);
    query.filter = CQ_FILTER_REFUSED;
    expect_matched(over);
    query.filter = CQ_FILTER_JAILED;
    expect_matched(exempt);
    query.filter = CQ_FILTER_ALL;
    query.pool = "other";
    expect_matched(other);
    query.pool = "nosuch";
    expect_matched(none);
    query.pool = NULL;
    query.has_client = true;
    query.client = key_of("10.0.0.0/24");
    expect_matched(inside);
    query.client = key_of("2001:db8::77");
    expect_matched(belongs);
    query.client = key_of("192.0.2.7");
    expect_matched(none);
}
END_TEST

START_TEST(more_match_than_are_kept)
{
    reset_query();
    begin();
    cq_select_begin(&scan.select, kept, 2, CQ_SORT_USED);
    feed();
    ck_assert_int_eq(scan.matched, 5);
    ck_assert_uint_eq(scan.select.count, 2);
    ck_assert_int_eq(kept[0].used_bytes, 900);
    ck_assert_int_eq(kept[1].used_bytes, 800);
}
END_TEST

/* a client of 299 of 300 and one of nothing; one that has reached it; none
 * of unlimited ones, nor without a policy; whatever state is asked for */
START_TEST(shares)
{
    static const int64_t expected[CQ_VIEW_SHARES] = { [0] = 1, [9] = 1,
                                                      [10] = 1 };

    reset_query();
    query.filter = CQ_FILTER_OVER;
    begin();
    feed();
    ck_assert_mem_eq(scan.shares, expected, sizeof(expected));
    query.pool = "default";
    begin();
    feed();
    ck_assert_int_eq(scan.shares[0], 0);
    ck_assert_int_eq(scan.shares[9], 1);
}
END_TEST

static bool is_even(void *baton, const struct cq_row *row)
{
    ck_assert_ptr_eq(baton, policies);
    return row->used_bytes % 2 == 0;
}

/* what is not proven counts, but is not shown */
START_TEST(proof)
{
    reset_query();
    begin();
    scan.is_proven = is_even;
    feed();
    ck_assert_int_eq(scan.matched, 5);
    ck_assert_uint_eq(scan.select.count, 4);
}
END_TEST

START_TEST(clients)
{
    struct cq_row row = row_of("192.0.2.7", 450, 0);
    struct cq_view_client client;

    reset_query();
    begin();
    row.today_bytes = 2;
    row.free_bytes = 3;
    row.in_flight_bytes = 4;
    row.hits = 5;
    row.refused = 6;
    row.last_hit_s = 7;
    row.over_since_s = 8;
    row.would_refuse = 9;
    row.refused_today = 10;
    row.pool = 1;
    ck_assert_int_eq(cq_scan_client(&scan, &row, &client), CQ_OK);
    ck_assert_int_eq(cq_key_compare(&client.client, &row.key), 0);
    ck_assert_str_eq(client.pool, "other");
    ck_assert_int_eq(client.used_bytes, 450);
    ck_assert_int_eq(client.today_bytes, 2);
    ck_assert_int_eq(client.free_bytes, 3);
    ck_assert_int_eq(client.in_flight_bytes, 4);
    ck_assert_int_eq(client.daily_bytes, 100);
    ck_assert_int_eq(client.allowance_bytes, 300);
    ck_assert_str_eq(client.rule, "ClamQuotaDaily");
    ck_assert_int_eq(client.hits, 5);
    ck_assert_int_eq(client.refused, 6);
    ck_assert_int_eq(client.last_hit_s, 7);
    ck_assert_int_eq(client.would_refuse, 9);
    ck_assert_int_eq(client.refused_today, 10);
    ck_assert_int_eq(client.state, CQ_STATE_OVER);
    ck_assert_int_eq(client.over_since_s, 8);
    /* day 5 gives 500: the second midnight from 01:00 of day 3 */
    ck_assert_int_eq(client.retry_after_s, 47 * 3600);
    ck_assert_int_eq(client.spared, CQ_SPARED_NOT);
    ck_assert(!client.jailed);

    {
        struct cq_net_list exempt = { .count = 0 };
        struct cq_key part = row.key;

        ck_assert_int_eq(cq_net_add(&exempt, &part, scan.now_s + 111), CQ_OK);
        part.prefix--;
        part = cq_key_network(&row.key, part.prefix);
        ck_assert_int_eq(cq_net_add(&exempt, &part, scan.now_s + 222), CQ_OK);
        ck_assert_int_eq(cq_net_seal(&exempt, NULL), CQ_OK);
        scan.exempt = &exempt;
        ck_assert_int_eq(cq_scan_client(&scan, &row, &client), CQ_OK);
        ck_assert_int_eq(client.state, CQ_STATE_EXEMPT);
        ck_assert_int_eq(client.exempt_until_s, scan.now_s + 222);
        ck_assert_int_eq(client.spared, CQ_SPARED_EXEMPT);
        ck_assert_int_eq(client.retry_after_s, 0);
        ck_assert_int_eq(client.allowance_bytes, 300);
        scan.exempt = NULL;
        cq_net_free(&exempt);
    }
    row.used_bytes = 299;
    ck_assert_int_eq(cq_scan_client(&scan, &row, &client), CQ_OK);
    ck_assert_int_eq(client.state, CQ_STATE_OK);
    ck_assert_int_eq(client.over_since_s, 0);
    ck_assert_int_eq(client.retry_after_s, 0);

    row.policy_index = 1;
    ck_assert_int_eq(cq_scan_client(&scan, &row, &client), CQ_OK);
    ck_assert_int_eq(client.state, CQ_STATE_EXEMPT);
    ck_assert_int_eq(client.daily_bytes, CQ_UNLIMITED);
    ck_assert_int_eq(client.allowance_bytes, CQ_BYTES_MAX);
    ck_assert_int_eq(client.spared, CQ_SPARED_EXEMPT);

    row.policy_index = 2;
    ck_assert_int_eq(cq_scan_client(&scan, &row, &client), CQ_OK);
    ck_assert_int_eq(client.state, CQ_STATE_OK);
    ck_assert_int_eq(client.daily_bytes, CQ_UNLIMITED);

    no_memory = true;
    ck_assert_int_eq(cq_scan_client(&scan, &row, &client), CQ_ENOMEM);
    ck_assert_int_eq(cq_scan_row(&scan, &row), CQ_ENOMEM);
}
END_TEST

/* what clamquota-sync spares is not jailable */
START_TEST(jailable)
{
    static const struct {
        const char *client;
        enum cq_spared spared;
    } rows[] = {
        { "192.0.2.7", CQ_SPARED_NOT },
        { "192.0.2.8", CQ_SPARED_OWN },
        { "192.0.2.9", CQ_SPARED_PROXIED },
        { "127.0.0.1", CQ_SPARED_RESERVED },
        { "192.0.3.0/24", CQ_SPARED_PREFIX },
        { "0.0.0.0/0", CQ_SPARED_PROXIED },
        { "2001:db8::/64", CQ_SPARED_NOT },
        { "2001:db8::1", CQ_SPARED_PREFIX },
        { "2001:db8:0:1::/64", CQ_SPARED_OWN },
        { "::/0", CQ_SPARED_RESERVED },
    };
    static struct cq_net_rule own_rules[2], proxy_rules[1];
    struct cq_net_list own = { .rules = own_rules, .capacity = 2 };
    struct cq_net_list proxies = { .rules = proxy_rules, .capacity = 1 };
    struct cq_view_client client;
    size_t i;

    own_rules[0].net = row_of("192.0.2.8", 1, 0).key;
    own_rules[1].net = row_of("2001:db8:0:1::7", 1, 0).key;
    proxy_rules[0].net = row_of("192.0.2.9", 1, 0).key;
    own.count = 2;
    proxies.count = 1;
    ck_assert_int_eq(cq_net_seal(&own, NULL), CQ_OK);
    ck_assert_int_eq(cq_net_seal(&proxies, NULL), CQ_OK);
    reset_query();
    begin();
    scan.own = &own;
    scan.proxies = &proxies;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cq_row row = row_of(rows[i].client, 1, 0);

        ck_assert_int_eq(cq_scan_client(&scan, &row, &client), CQ_OK);
        ck_assert_msg(client.spared == rows[i].spared, "%s: %d",
                      rows[i].client, client.spared);
        row.proxied = true;
        row.jailed = true;
        ck_assert_int_eq(cq_scan_client(&scan, &row, &client), CQ_OK);
        ck_assert_int_eq(client.spared, CQ_SPARED_PROXIED);
        ck_assert(client.jailed);
    }
    scan.own = scan.proxies = NULL;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render/scan");
    TCase *cases = tcase_create("scan");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, cases);
    tcase_add_loop_test(cases, selects_like_a_sort, CQ_SORT_USED,
                        CQ_SORT_LAST + 1);
    tcase_add_test(cases, order);
    tcase_add_test(cases, filters);
    tcase_add_test(cases, more_match_than_are_kept);
    tcase_add_test(cases, shares);
    tcase_add_test(cases, proof);
    tcase_add_test(cases, clients);
    tcase_add_test(cases, jailable);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
