/* render: a client's own page. Whose rows are in it, that it says what a
 * refusal says, and that no name or address breaks out of its place. */
#include "render_sample.h"

#include "render_markup.h"

#include "render/me.h"
#include "table/tablefile.h"

#include <unistd.h>

/* 2026-11-03 01:00 UTC, day 3 of the month */
#define DAY3_S (INT64_C(1793491200) + 2 * 86400 + 3600)

static struct cq_me me;

static const char *shown(void (*render)(const struct cq_me *,
                                        const struct cq_sink *))
{
    struct cq_sink sink = { append, &out };

    out.size = 0;
    out.data[0] = '\0';
    render(&me, &sink);
    ck_assert_uint_eq(strlen(out.data), out.size);
    return out.data;
}

/* 2026-11-23 12:00 UTC; over in one pool */
static void make_me(void)
{
    memset(&me, 0, sizeof(me));
    make_view();
    me.version = "1.2.3";
    me.now_s = view.now_s;
    me.client = clients[0].client;
    me.period = view.period;
    me.day = view.day;
    me.next_day_s = view.next_day_s;
    me.counted = true;
    me.self = "/me";
    me.pool_count = 1;
    me.pools[0].client = clients[0];
    me.pools[0].client.retry_after_s = 21600;
    me.pools[0].wait_s = 43200;
}

START_TEST(json)
{
    make_me();
    ck_assert_str_eq(
        shown(cq_render_me_json),
        "{ \"version\": \"1.2.3\", \"now\": 1795435200, \"client\": "
        "\"2001:db8::\", \"prefix\": 64,\n"
        "  \"period\": {\"kind\": \"month\", \"start\": 1793491200, \"end\": "
        "1796083200, \"day\": 23, \"next_day\": 1795478400, \"days\": 30},\n"
        "  \"pools\": [\n"
        "    {\"client\": \"2001:db8::\", \"prefix\": 64, \"pool\": "
        "\"default\", \"used\": 9007199254740993, \"today\": 31, \"free\": 32"
        ", \"in_flight\": 33, \"daily\": 52428800, \"allowance\": 1205862400, "
        "\"rule\": \"ClamQuotaDaily\", \"hits\": 34, \"refused\": 35, "
        "\"last_hit\": 1795435140, \"state\": \"over\", \"over_since\": "
        "1795435080, \"retry_after\": 21600, \"jailable\": true, "
        "\"spared\": null, \"jailed\": true, \"exempt_until\": 0, "
        "\"would_refuse\": 36, \"refused_today\": 37, "
        "\"copies\": [{\"path\": \"/main.cvd\", \"size\": 61, \"mtime\": 62, "
        "\"used\": 63, \"allowance\": 64}]}] }\n");
    me.client.family = 0;
    me.pool_count = 0;
    ck_assert_str_eq(
        shown(cq_render_me_json),
        "{ \"version\": \"1.2.3\", \"now\": 1795435200, \"client\": null, "
        "\"prefix\": null,\n"
        "  \"period\": {\"kind\": \"month\", \"start\": 1793491200, \"end\": "
        "1796083200, \"day\": 23, \"next_day\": 1795478400, \"days\": 30},\n"
        "  \"pools\": [] }\n");
}
END_TEST

#define expect(what) ck_assert_ptr_nonnull(strstr(out.data, (what)))
#define expect_none(what) ck_assert_ptr_null(strstr(out.data, (what)))

START_TEST(html_over)
{
    make_me();
    expect_markup(shown(cq_render_me_html));
    expect("You are <b>2001:db8::/64</b>");
    expect("<h2>Pool default<span class=\"badge b-over\">over</span></h2>");
    expect("You are over quota: downloads are refused until <time datetime=\""
           "2026-11-24T00:00:00Z\">2026-11-24 00:00 UTC</time>");
    expect(">in 12 h</time>). Programs may try again in 6 h.</p>");
    expect("<a href=\"/me?json\">JSON</a>");
    expect("all its addresses share one counter");
    expect("<b>Ask the operator</b> for an exception.</li>");
    expect_none("rule for your network");
    ck_assert_uint_eq(count(out.data, "<script"), 0);
    ck_assert_uint_eq(count(out.data, "<form"), 0);
    ck_assert_uint_eq(count(out.data, "http"), 0);
    /* a client over quota may fetch it again and again */
    expect("<th scope=\"row\" class=\"path\">/main.cvd</th>");
    ck_assert_uint_lt(out.size, 4800);
    me.log_only = true;
    shown(cq_render_me_html);
    expect("refuses no client");
    expect_none("downloads are refused");
}
END_TEST

START_TEST(html_exempt)
{
    make_me();
    me.client = clients[1].client;
    me.pools[0].client = clients[1];
    me.pools[0].wait_s = 0;
    expect_markup(shown(cq_render_me_html));
    expect("You are <b>192.0.2.7</b>");
    expect("used, no limit");
    expect("all machines behind it share one counter");
    expect("By a rule for your network: ClamQuotaClient 192.0.2.0/24");
    expect_none("You are over quota");
    expect_none("Left now");
}
END_TEST

START_TEST(html_nothing)
{
    make_me();
    me.pool_count = 0;
    expect_markup(shown(cq_render_me_html));
    expect("No bytes of yours were counted in this period.");
    me.client.family = 0;
    expect_markup(shown(cq_render_me_html));
    expect("You have no IP address that could be counted");
    me.counted = false;
    expect_markup(shown(cq_render_me_html));
    expect("Nothing is counted on this server");
    expect_none("What to do instead");
}
END_TEST

START_TEST(html_hostile)
{
    make_me();
    make_hostile();
    me.version = HOSTILE;
    me.self = "/" HOSTILE;
    me.admin = HOSTILE;
    me.pools[0].client = clients[0];
    expect_markup(shown(cq_render_me_html));
    ck_assert_uint_eq(count(out.data, "<script"), 0);
    ck_assert_uint_eq(count(out.data, "&lt;script&gt;&quot;&amp;&#39;\\"), 5);
    me.self = "//evil.example/";
    shown(cq_render_me_html);
    expect("<a href=\"?json\">JSON</a>");
}
END_TEST

START_TEST(html_admin)
{
    make_me();
    me.admin = "root@example.org";
    expect_markup(shown(cq_render_me_html));
    expect("<a href=\"mailto:root@example.org\">root@example.org</a>.</li>");
    me.admin = "https://example.org/?a&b";
    expect_markup(shown(cq_render_me_html));
    expect("<a href=\"https://example.org/?a&amp;b\">");
    me.admin = "javascript:alert(1)";
    expect_markup(shown(cq_render_me_html));
    expect("exception: javascript:alert(1).</li>");
    me.admin = "javascript:alert('@')";
    expect_markup(shown(cq_render_me_html));
    expect("exception: javascript:alert(&#39;@&#39;).</li>");
}
END_TEST

/* ---- a table ---- */

static struct cq_table *table;
static struct cq_clock now;
static uint16_t pool_of[3];
static uint16_t policy_of[4];

static void draw(uint16_t pool, uint16_t policy, const char *client,
                 int64_t bytes)
{
    struct cq_account account;
    struct cq_key key;

    ck_assert_int_eq(cq_key_parse(&key, client, NULL), CQ_OK);
    ck_assert_int_eq(cq_account_open(table, pool, &key, &now, &account),
                     CQ_OK);
    cq_account_mark(&account, policy, CQ_ORIGIN_PEER);
    cq_account_charge(&account, &now, bytes);
    cq_account_close(&account);
}

static void open_table(const char *path)
{
    static const struct cq_policy policies[] = {
        { 100, 50 }, { 1000, 0 }, { 7, 0 }, { CQ_UNLIMITED, 0 }
    };
    static const char *const names[] = { "default", "isos", "third" };
    struct cq_tablefile_want want = { .path = path,
                                      .clients = 64,
                                      .ledger_entries = 64,
                                      .kind = CQ_PERIOD_MONTH,
                                      .zone = CQ_ZONE_UTC,
                                      .prefixes = { 32, 64 },
                                      .now_s = DAY3_S };
    char why[CQ_WHY_SIZE] = "";
    int i;

    ck_assert_msg(cq_tablefile_open(&want, &table, NULL, why, sizeof(why)) ==
                      CQ_OK,
                  "%s", why);
    cq_table_clock(table, DAY3_S, &now);
    cq_table_policies_begin(table);
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(cq_table_pool(table, names[i], &pool_of[i]), CQ_OK);
        ck_assert_int_eq(cq_table_policy(table, pool_of[i], "ClamQuotaDaily",
                                         &policies[i], &policy_of[i]),
                         CQ_OK);
    }
    ck_assert_int_eq(cq_table_policy(table, CQ_ANY_POOL,
                                     "ClamQuotaClient 192.0.2.0/24",
                                     &policies[3], &policy_of[3]),
                     CQ_OK);
    draw(pool_of[0], policy_of[0], "192.0.2.1", 451);
    draw(pool_of[1], policy_of[1], "192.0.2.1", 10);
    draw(pool_of[0], policy_of[0], "192.0.2.2", 5000);
    draw(pool_of[2], policy_of[2], "192.0.2.2", 6000);
}

static void look(const char *client, uint16_t pool, uint16_t policy)
{
    const struct cq_me_place place = { .pool = pool, .policy_index = policy,
                                       .retry = { .max_s = 3600 } };

    memset(&me, 0, sizeof(me));
    ck_assert_int_eq(cq_key_parse(&me.client, client, NULL), CQ_OK);
    cq_me_collect(&me, table, &now, &place);
    ck_assert(me.counted);
    ck_assert_int_eq(me.day, 3);
    ck_assert_int_eq(me.now_s, DAY3_S);
    ck_assert_int_eq(me.next_day_s, DAY3_S - 3600 + 86400);
    ck_assert_int_eq(me.period.midnight_s[0], 1793491200);
}

START_TEST(collects_his_own)
{
    char folder[] = "/tmp/render_me.XXXXXX";
    char path[sizeof(folder) + 8];
    const struct cq_view_client *client = &me.pools[0].client;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/table", folder);
    open_table(path);

    /* over quota in one pool, has drawn in another, no row in the third */
    look("192.0.2.1", pool_of[0], policy_of[0]);
    ck_assert_uint_eq(me.pool_count, 2);
    ck_assert_str_eq(client->pool, "default");
    ck_assert_int_eq(client->used_bytes, 451);
    ck_assert_int_eq(client->allowance_bytes, 350);
    ck_assert_int_eq(client->state, CQ_STATE_OVER);
    /* 5 x 100 + 50 > 451: the day after tomorrow; a program waits less */
    ck_assert_int_eq(me.pools[0].wait_s, 2 * 86400 - 3600);
    ck_assert_int_eq(client->retry_after_s, 3600);
    ck_assert_str_eq(me.pools[1].client.pool, "isos");
    ck_assert_int_eq(me.pools[1].client.used_bytes, 10);
    ck_assert_int_eq(me.pools[1].client.state, CQ_STATE_OK);
    ck_assert_int_eq(me.pools[1].client.retry_after_s, 0);

    /* the pool of the place comes first, also without a row */
    look("192.0.2.1", pool_of[2], policy_of[2]);
    ck_assert_uint_eq(me.pool_count, 3);
    ck_assert_str_eq(client->pool, "third");
    ck_assert_int_eq(client->used_bytes, 0);
    ck_assert_int_eq(client->allowance_bytes, 21);
    ck_assert_int_eq(client->state, CQ_STATE_OK);
    ck_assert_str_eq(me.pools[1].client.pool, "default");

    /* by the policy in force there now */
    look("192.0.2.1", pool_of[0], policy_of[3]);
    ck_assert_int_eq(client->state, CQ_STATE_EXEMPT);
    ck_assert_str_eq(client->rule, "ClamQuotaClient 192.0.2.0/24");

    /* a client without a row gets none, and no other client's */
    look("192.0.2.9", pool_of[1], policy_of[1]);
    ck_assert_uint_eq(me.pool_count, 1);
    ck_assert_int_eq(client->used_bytes, 0);
    look("192.0.2.9", CQ_ANY_POOL, 0);
    ck_assert_uint_eq(me.pool_count, 0);

    cq_tablefile_close(table);
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render/me");
    TCase *tests = tcase_create("me");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, json);
    tcase_add_test(tests, html_over);
    tcase_add_test(tests, html_exempt);
    tcase_add_test(tests, html_nothing);
    tcase_add_test(tests, html_hostile);
    tcase_add_test(tests, html_admin);
    tcase_add_test(tests, collects_his_own);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
