/* render: the page and the section in mod_status's, read as markup: what they
 * show, what their links keep, and that no name breaks out of its place. */
#include "render_sample.h"

#include "render_markup.h"

START_TEST(html)
{
    const char *text;

    make_view();
    text = rendered(cq_render_html, &view);
    expect_markup(text);
    ck_assert_uint_eq(count(text, "method=\"post\""), 0);
    ck_assert_ptr_nonnull(strstr(text, "action=reset&amp;on=2001:db8::/64"));
    ck_assert_uint_eq(count(text, "action=exempt&amp;on="), 1);
    ck_assert_uint_eq(count(text, "action=unexempt&amp;on=192.0.2.7\""), 1);
    ck_assert_ptr_nonnull(strstr(text, "2 of 2 shown"));
    ck_assert_ptr_nonnull(strstr(text, "<b>Month, day 23 of 30</b>"));
    ck_assert_ptr_nonnull(strstr(text, ">in 12 h</time>"));
    ck_assert_ptr_nonnull(strstr(text, ">2026-12-01 00:00 UTC</time>"));
    ck_assert_ptr_nonnull(
        strstr(text, "title=\"9,007,199,254,740,993 bytes\""));
    ck_assert_uint_eq(count(text, "<svg "), 5);
    ck_assert_uint_eq(count(text, "<script"), 0);
    ck_assert_uint_eq(count(text, "http:"), 0);
    ck_assert_uint_eq(count(text, "https:"), 0);
    ck_assert_uint_eq(count(text, "http-equiv=\"refresh\""), 0);
}
END_TEST

START_TEST(html_keeps_the_query)
{
    const char *text;

    make_view();
    view.facts.refresh_s = 15;
    view.query.sort = CQ_SORT_HITS;
    view.query.limit = 50;
    view.query.filter = CQ_FILTER_OVER;
    text = rendered(cq_render_html, &view);
    expect_markup(text);
    ck_assert_ptr_nonnull(
        strstr(text, "<meta http-equiv=\"refresh\" content=\"15\">"));
    ck_assert_ptr_nonnull(
        strstr(text, "href=\"/clamquota?sort=today&amp;limit=50&amp;"
                     "state=over&amp;refresh=15\">Today</a>"));
    ck_assert_ptr_nonnull(
        strstr(text, "href=\"/clamquota?json&amp;sort=hits&amp;limit=50&amp;"
                     "state=over\">JSON</a>"));
    ck_assert_ptr_nonnull(
        strstr(text, "aria-sort=\"descending\"><a "
                     "href=\"/clamquota?sort=hits"));
}
END_TEST

START_TEST(html_hostile)
{
    make_hostile();
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_uint_eq(count(out.data, "<script"), 0);
    ck_assert_ptr_nonnull(
        strstr(out.data, "&lt;script&gt;&quot;&amp;&#39;\\"));
    expect_markup(rendered(cq_render_status_section, &view));
    ck_assert_uint_eq(count(out.data, "<script"), 0);
    ck_assert_ptr_nonnull(
        strstr(out.data, "&lt;script&gt;&quot;&amp;&#39;\\"));
}
END_TEST

START_TEST(html_empty)
{
    make_view();
    view.client_count = 0;
    view.clients_matched = 0;
    view.history_count = 0;
    view.pool_count = 0;
    view.table_capacity = 0;
    view.facts.self = NULL;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "No hour has been recorded yet"));
    ck_assert_ptr_nonnull(strstr(out.data, "There is no client in this"));
    expect_markup(rendered(cq_render_status_section, &view));
    make_view();
    hours[0] = (struct cq_view_hour){ .start_s = view.now_s - 3600 };
    rendered(cq_render_html, &view);
    ck_assert_ptr_nonnull(strstr(out.data, "No bytes were counted"));
}
END_TEST

/* Totals only: no client is looked at. */
START_TEST(section)
{
    make_view();
    expect_markup(rendered(cq_render_status_section, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "<h2>ClamQuota</h2>"));
    ck_assert_ptr_null(strstr(out.data, "2001:db8"));
    ck_assert_ptr_null(strstr(out.data, "Notice:"));
}
END_TEST

START_TEST(one_client)
{
    make_view();
    pools[0].grace_bytes = 450 << 20;
    view.query.has_client = true;
    view.query.client = clients[0].client;
    view.client_count = 1;
    clients[0].shared = true;
    clients[0].here_used_bytes = 1024;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_uint_eq(count(out.data, "class=\"card facts\""), 1);
    ck_assert_ptr_nonnull(strstr(out.data, "<dd>day 23 &times; <data "
                                 "value=\"52428800\""));
    ck_assert_ptr_nonnull(strstr(out.data, " + <data value=\"471859200\""));
    ck_assert_ptr_nonnull(strstr(out.data, "= <b><data value=\"1205862400\""));
    ck_assert_ptr_nonnull(strstr(out.data, ">/main.cvd</th>"));
    ck_assert_ptr_nonnull(strstr(out.data, "(37 today), 36 that LogOnly"));
    ck_assert_ptr_nonnull(strstr(out.data, "<b>jailed</b> in <code>ipset:a,b"));
    ck_assert_ptr_nonnull(strstr(out.data, "here <data value=\"1024\""));
    /* a network is many clients */
    ck_assert_int_eq(cq_key_parse(&view.query.client, "2001:db8::/32", NULL),
                     CQ_OK);
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_uint_eq(count(out.data, "class=\"card facts\""), 0);
}
END_TEST

START_TEST(pages_and_filters)
{
    make_view();
    view.clients_matched = 300;
    view.query.offset = 100;
    view.query.filter = CQ_FILTER_NEAR;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_ptr_nonnull(
        strstr(out.data, "<a aria-current=\"true\" href=\"/clamquota?"
                         "state=near#clients\">Near</a>"));
    ck_assert_ptr_nonnull(strstr(out.data, ">101 to 102 of 300<"));
    ck_assert_ptr_nonnull(strstr(out.data, "?state=near#clients\">Previous<"));
    ck_assert_ptr_nonnull(
        strstr(out.data, "?offset=200&amp;state=near#clients\">Next<"));
    ck_assert_ptr_nonnull(
        strstr(out.data, "?state=near&amp;net=24,48#clients\">By network<"));
    view.query.offset = 10000;
    view.clients_matched = 20000;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_ptr_null(strstr(out.data, ">Next<"));
}
END_TEST

START_TEST(networks)
{
    struct cq_view_network network = { .clients = 3, .over = 1,
                                       .used_bytes = 4096 };

    make_view();
    ck_assert_int_eq(cq_key_parse(&network.net, "192.0.2.0/24", NULL), CQ_OK);
    view.query.by_net = true;
    view.query.net_bits = (struct cq_prefixes){ 24, 48 };
    view.networks = &network;
    view.network_count = 1;
    view.networks_matched = 1;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_ptr_nonnull(
        strstr(out.data, "?client=192.0.2.0/24#clients\">192.0.2.0/24</a>"));
    ck_assert_ptr_nonnull(strstr(out.data, "figures are lower bounds"));
    view.networks_exact = true;
    rendered(cq_render_html, &view);
    ck_assert_ptr_null(strstr(out.data, "figures are lower bounds"));
}
END_TEST

/* the quota's midnights are Vienna's, and so are the times */
START_TEST(zone)
{
    int i;

    make_view();
    for (i = 0; i <= view.period.days; i++) {
        view.period.midnight_s[i] -= 3600;
    }
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_ptr_nonnull(strstr(out.data, ">2026-12-01 00:00 +01:00</time>"));
    ck_assert_ptr_nonnull(strstr(out.data,
                                 "datetime=\"2026-11-30T23:00:00Z\""));
}
END_TEST

START_TEST(html_without_changes)
{
    make_view();
    view.facts.changes = false;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_uint_eq(count(out.data, "action=reset"), 0);
    ck_assert_uint_eq(count(out.data, "2001:db8::"), 2);
    view.facts.changes = true;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_uint_eq(count(out.data, "action=reset"), 2);
}
END_TEST

/* Every page shows a fault, in style, with figures if there are. */
START_TEST(notice)
{
    make_view();
    view.facts.engine = "stale";
    view.facts.counts = false;
    view.facts.notice = "Requests are not counted: stop & start httpd.";
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "not counted: stop &amp; start"));
    ck_assert_ptr_nonnull(strstr(out.data, "<title>ClamQuota: stale<"));
    ck_assert_ptr_nonnull(strstr(out.data, "b-over\">Engine stale"));
    ck_assert_ptr_nonnull(strstr(out.data, "2001:db8::/64"));
    expect_markup(rendered(cq_render_status_section, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "not counted: stop &amp; start"));
    ck_assert_ptr_nonnull(strstr(out.data, "Sent:"));
    view.facts.readable = false;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "<style>"));
    ck_assert_ptr_nonnull(strstr(out.data, "not counted: stop &amp; start"));
    ck_assert_ptr_null(strstr(out.data, "2001:db8::/64"));
    ck_assert_ptr_null(strstr(out.data, "Pools"));
    expect_markup(rendered(cq_render_status_section, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "not counted: stop &amp; start"));
    ck_assert_ptr_null(strstr(out.data, "Sent:"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render/html");
    TCase *formats = tcase_create("formats");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, formats);
    tcase_add_test(formats, html);
    tcase_add_test(formats, html_keeps_the_query);
    tcase_add_test(formats, html_hostile);
    tcase_add_test(formats, html_empty);
    tcase_add_test(formats, section);
    tcase_add_test(formats, one_client);
    tcase_add_test(formats, pages_and_filters);
    tcase_add_test(formats, networks);
    tcase_add_test(formats, zone);
    tcase_add_test(formats, html_without_changes);
    tcase_add_test(formats, notice);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
