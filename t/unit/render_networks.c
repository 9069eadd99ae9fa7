/* render/networks and render/forecast: sums of rows, and what comes of them. */
#include "render/forecast.h"
#include "render/networks.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX 8

static struct cq_view_network entries[MAX];
static uint32_t places[2 * MAX];
static struct cq_networks networks;

static void begin(enum cq_sort sort)
{
    networks = (struct cq_networks){ .entries = entries, .index = places,
                                     .max = MAX, .seed = { 1, 2 },
                                     .sort = sort, .bits = { 24, 48 } };
    cq_networks_begin(&networks);
}

static void add(const char *client, int64_t used_bytes, enum cq_state state)
{
    struct cq_row row = { .used_bytes = used_bytes, .today_bytes = 1,
                          .free_bytes = 2, .hits = 3, .refused = 4,
                          .last_hit_s = used_bytes, .others_used_bytes = 5 };

    ck_assert_int_eq(cq_key_parse(&row.key, client, NULL), CQ_OK);
    cq_networks_add(&networks, &row, state);
}

static void expect(size_t i, const char *cidr, int64_t clients,
                   int64_t used_bytes)
{
    char text[CQ_KEY_TEXT_SIZE];

    ck_assert_uint_lt(i, networks.count);
    ck_assert_str_eq(cq_key_format_cidr(&entries[i].net, text, sizeof(text)),
                     cidr);
    ck_assert_int_eq(entries[i].clients, clients);
    ck_assert_int_eq(entries[i].used_bytes, used_bytes);
    ck_assert_int_eq(entries[i].today_bytes, clients);
    ck_assert_int_eq(entries[i].free_bytes, 2 * clients);
    ck_assert_int_eq(entries[i].hits, 3 * clients);
    ck_assert_int_eq(entries[i].refused, 4 * clients);
}

START_TEST(sums)
{
    begin(CQ_SORT_USED);
    add("192.0.2.1", 10, CQ_STATE_OVER);
    add("2001:db8:0:1::/64", 100, CQ_STATE_OK);
    add("192.0.2.255", 20, CQ_STATE_OK);
    add("192.0.3.1", 50, CQ_STATE_EXEMPT);
    add("2001:db8:0:2::/64", 1, CQ_STATE_OVER);
    add("10.0.0.0/8", 7, CQ_STATE_OK);      /* wider than the grouping */
    cq_networks_finish(&networks);
    ck_assert_uint_eq(networks.count, 4);
    ck_assert(networks.exact);
    expect(0, "2001:db8::/48", 2, 111);
    expect(1, "192.0.3.0/24", 1, 55);
    expect(2, "192.0.2.0/24", 2, 40);
    expect(3, "10.0.0.0/8", 1, 12);
    ck_assert_int_eq(entries[0].over, 1);
    ck_assert_int_eq(entries[1].over, 0);
    ck_assert_int_eq(entries[2].last_hit_s, 20);
    begin(CQ_SORT_LAST);
    add("192.0.2.1", 10, CQ_STATE_OK);
    add("192.0.3.1", 50, CQ_STATE_OK);
    cq_networks_finish(&networks);
    expect(0, "192.0.3.0/24", 1, 55);
}
END_TEST

/* The smaller half makes room; what came back is a lower bound. */
START_TEST(overflow)
{
    char client[32];
    int i;

    begin(CQ_SORT_USED);
    add("10.1.0.1", 5000, CQ_STATE_OK);
    for (i = 0; i < 200; i++) {
        snprintf(client, sizeof(client), "10.2.%d.1", i);
        add(client, i, CQ_STATE_OK);
        add("10.1.0.2", 1000, CQ_STATE_OK);
    }
    cq_networks_finish(&networks);
    ck_assert(!networks.exact);
    ck_assert_uint_le(networks.count, MAX);
    expect(0, "10.1.0.0/24", 201, 5005 + 200 * 1005);
    ck_assert_int_gt(entries[0].used_bytes, entries[1].used_bytes);
}
END_TEST

START_TEST(forecast)
{
    const int64_t since_s = INT64_C(1793491200);    /* 1 November 2026 */
    const int64_t end_s = since_s + 30 * 86400;
    const int64_t day_10_s = since_s + 10 * 86400;

    ck_assert_int_eq(cq_forecast_bytes(0, since_s, day_10_s, end_s), 0);
    ck_assert_int_eq(cq_forecast_bytes(1000, since_s, day_10_s, end_s), 3000);
    /* counted since day 9 only */
    ck_assert_int_eq(cq_forecast_bytes(1000, since_s + 9 * 86400, day_10_s,
                                       end_s), 21000);
    /* half an hour counts as an hour */
    ck_assert_int_eq(cq_forecast_bytes(3600, since_s, since_s + 1800,
                                       since_s + 5400), 7200);
    ck_assert_int_eq(cq_forecast_bytes(5, since_s, end_s, end_s), 5);
    ck_assert_int_eq(cq_forecast_bytes(5, since_s, end_s + 9, end_s), 5);
    ck_assert_int_eq(cq_forecast_bytes(INT64_MAX / 2, since_s, day_10_s,
                                       end_s), INT64_MAX);
    ck_assert_int_eq(cq_forecast_bytes(INT64_MAX, since_s, day_10_s, end_s),
                     INT64_MAX);
}
END_TEST

/* The largest first by what is asked for, equal ones by address. */
START_TEST(orders)
{
    static const struct {
        enum cq_sort sort;
        const char *first, *second, *third;
    } cases[] = {
        { CQ_SORT_USED, "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24" },
        { CQ_SORT_TODAY, "10.0.2.0/24", "10.0.3.0/24", "10.0.1.0/24" },
        { CQ_SORT_REFUSED, "10.0.3.0/24", "10.0.1.0/24", "10.0.2.0/24" },
        { CQ_SORT_HITS, "10.0.1.0/24", "10.0.3.0/24", "10.0.2.0/24" },
        { CQ_SORT_LAST, "10.0.2.0/24", "10.0.1.0/24", "10.0.3.0/24" },
    };
    static const int64_t figures[3][5] = {  /* in the order of cases */
        { 9, 0, 3, 9, 5 }, { 8, 7, 2, 0, 6 }, { 7, 6, 4, 1, 0 }
    };
    size_t i, k;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const expected[] = { cases[i].first, cases[i].second,
                                         cases[i].third };

        begin(cases[i].sort);
        for (k = 3; k-- > 0;) {
            struct cq_row row = { .used_bytes = figures[k][0],
                                  .today_bytes = figures[k][1],
                                  .refused = figures[k][2],
                                  .hits = figures[k][3],
                                  .last_hit_s = figures[k][4] };

            row.key = (struct cq_key){ .family = 4, .prefix = 32,
                                       .bytes = { 10, 0, (uint8_t)(k + 1),
                                                  1 } };
            cq_networks_add(&networks, &row, CQ_STATE_OK);
        }
        cq_networks_finish(&networks);
        for (k = 0; k < 3; k++) {
            char text[CQ_KEY_TEXT_SIZE];

            ck_assert_str_eq(cq_key_format_cidr(&entries[k].net, text,
                                                sizeof(text)), expected[k]);
        }
    }
    begin(CQ_SORT_USED);
    add("10.0.2.1", 1, CQ_STATE_OK);
    add("10.0.1.1", 1, CQ_STATE_OK);
    cq_networks_finish(&networks);
    expect(0, "10.0.1.0/24", 1, 6);
    expect(1, "10.0.2.0/24", 1, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render/networks");
    TCase *cases = tcase_create("networks");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, cases);
    tcase_add_test(cases, sums);
    tcase_add_test(cases, overflow);
    tcase_add_test(cases, orders);
    tcase_add_test(cases, forecast);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
