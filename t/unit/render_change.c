/* render: the page that asks before a change, the line that says it was done,
 * and what a view shows that few tables have. */
#include "render/html_change.h"
#include "render_sample.h"

#include "render_markup.h"

static const char *ask(struct cq_change_form *form)
{
    struct cq_sink sink = { append, &out };

    out.size = 0;
    out.data[0] = '\0';
    cq_render_change_form(form, &sink);
    expect_markup(out.data);
    return out.data;
}

static struct cq_change_form form_for(enum cq_change_action action,
                                      const char *cidr)
{
    struct cq_change_form form = { .action = action, .prefixes = { 32, 64 },
                                   .self = "/a page", .query = "state=over",
                                   .lasts = "1w" };

    ck_assert_int_eq(cq_key_parse(&form.net, cidr, NULL), CQ_OK);
    return form;
}

START_TEST(words_of_actions)
{
    static const char *const words[] = { "none", "reset", "exempt",
                                         "unexempt" };
    enum cq_change_action action = CQ_ACTION_NONE;
    int i;

    for (i = CQ_ACTION_NONE; i <= CQ_ACTION_UNEXEMPT; i++) {
        ck_assert_str_eq(cq_change_action_word((enum cq_change_action)i),
                         words[i]);
        ck_assert(cq_change_action_parse(words[i], &action) == (i > 0));
        ck_assert_int_eq(action, i);
    }
    ck_assert(!cq_change_action_parse("Reset", &action));
    ck_assert(!cq_change_action_parse("", &action));
    ck_assert(!cq_change_action_parse(NULL, &action));
    ck_assert_int_eq(action, CQ_ACTION_UNEXEMPT);
}
END_TEST

/* One form: what is done to which client, and the way back, which is the
 * page's own address with its query. */
START_TEST(questions)
{
    static const struct {
        enum cq_change_action action;
        const char *net, *title, *name;
        bool lasts;
    } cases[] = {
        { CQ_ACTION_RESET, "192.0.2.7", "<h1>Reset 192.0.2.7?</h1>",
          "reset", false },
        { CQ_ACTION_EXEMPT, "2001:db8::/64", "<h1>Exempt 2001:db8::/64?</h1>",
          "exempt", true },
        { CQ_ACTION_UNEXEMPT, "192.0.2.0/24",
          "<h1>End the exemption of 192.0.2.0/24?</h1>", "unexempt", false },
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cq_change_form form = form_for(cases[i].action, cases[i].net);
        const char *text = ask(&form);
        char expected[128];

        ck_assert_ptr_nonnull(strstr(text, cases[i].title));
        ck_assert_uint_eq(count(text, "<form method=\"post\" "
                                "action=\"/a%20page?state=over\">"), 1);
        ck_assert_uint_eq(count(text, "<a href=\"/a%20page?state=over\">"), 1);
        snprintf(expected, sizeof(expected), "<input type=\"hidden\" "
                 "name=\"action\" value=\"%s\">", cases[i].name);
        ck_assert_uint_eq(count(text, expected), 1);
        snprintf(expected, sizeof(expected), "<input type=\"hidden\" "
                 "name=\"client\" value=\"%s\">", cases[i].net);
        ck_assert_uint_eq(count(text, expected), 1);
        ck_assert_uint_eq(count(text, "name=\"for\""), cases[i].lasts);
        ck_assert_uint_eq(count(text, "value=\"1w\""), cases[i].lasts);
        ck_assert_uint_eq(count(text, " nonce="), 0);
        ck_assert_uint_eq(count(text, "type=\"submit\""), 1);
    }
}
END_TEST

/* A network is asked about in other words than a client, by the prefixes of
 * its family. */
START_TEST(networks_and_clients)
{
    static const struct {
        const char *net;
        bool is_network;
    } cases[] = {
        { "192.0.2.7", false }, { "192.0.2.6/31", true },
        { "2001:db8::/64", false }, { "2001:db8::/63", true },
    };
    struct cq_change_form form;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        form = form_for(CQ_ACTION_RESET, cases[i].net);
        ck_assert_uint_eq(count(ask(&form), "this network"),
                          cases[i].is_network);
        ck_assert_uint_eq(count(out.data, "this client"),
                          !cases[i].is_network);
    }
    form = form_for(CQ_ACTION_EXEMPT, "0.0.0.0/0");
    ck_assert_uint_eq(count(ask(&form), "address family"), 1);
    form = form_for(CQ_ACTION_EXEMPT, "128.0.0.0/1");
    ck_assert_uint_eq(count(ask(&form), "address family"), 0);
}
END_TEST

START_TEST(hostile_form)
{
    struct cq_change_form form = form_for(CQ_ACTION_EXEMPT, "192.0.2.7");

    form.self = "/" HOSTILE;
    form.query = HOSTILE;
    form.lasts = HOSTILE;
    form.nonce = HOSTILE;
    ask(&form);
    ck_assert_uint_eq(count(out.data, "<script"), 0);
    ck_assert_uint_eq(count(out.data, "<style nonce=\"&lt;script"), 1);
    form.self = NULL;
    ck_assert_uint_eq(count(ask(&form), "action=\"?&lt;script"), 1);
}
END_TEST

START_TEST(done)
{
    static const struct {
        enum cq_change_action action;
        const char *says;
    } cases[] = {
        { CQ_ACTION_RESET, "The used bytes of 192.0.2.7 are" },
        { CQ_ACTION_EXEMPT, "192.0.2.7 is exempt" },
        { CQ_ACTION_UNEXEMPT, "192.0.2.7 is no longer exempt" },
    };
    size_t i;

    make_view();
    ck_assert_uint_eq(count(rendered(cq_render_html, &view),
                            "class=\"done\""), 0);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        view.facts.done = cases[i].action;
        view.facts.done_on = clients[1].client;
        expect_markup(rendered(cq_render_html, &view));
        ck_assert_uint_eq(count(out.data, "class=\"done\""), 1);
        ck_assert_uint_eq(count(out.data, cases[i].says), 1);
    }
}
END_TEST

/* ---- what few tables have ---- */

START_TEST(engines)
{
    static const char *const badges[][2] = {
        { "On", "<span class=\"badge b-ok\">Engine On<" },
        { "LogOnly", "<span class=\"badge b-warn\">Engine LogOnly &ndash;" },
        { "Off", "<span class=\"badge\">Engine Off &ndash;" },
        { "stale", "<span class=\"badge b-over\">Engine stale &ndash;" },
    };
    size_t i;

    for (i = 0; i < sizeof(badges) / sizeof(badges[0]); i++) {
        make_view();
        view.facts.engine = badges[i][0];
        expect_markup(rendered(cq_render_html, &view));
        ck_assert_uint_eq(count(out.data, badges[i][1]), 1);
    }
}
END_TEST

START_TEST(periods)
{
    make_view();
    ck_assert_int_eq(cq_period_at(CQ_PERIOD_WEEK, CQ_ZONE_UTC, view.now_s,
                                  &view.period), CQ_OK);
    view.day = 1;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_uint_eq(count(out.data, "<b>Week, day 1 of 7</b>"), 1);
    ck_assert_int_eq(cq_period_at(CQ_PERIOD_DAY, CQ_ZONE_UTC, view.now_s,
                                  &view.period), CQ_OK);
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_uint_eq(count(out.data, "<b>By the day</b>"), 1);
}
END_TEST

static const char *page_of_client(size_t i)
{
    view.query.has_client = true;
    view.query.client = clients[i].client;
    view.clients = &clients[i];
    view.client_count = 1;
    expect_markup(rendered(cq_render_html, &view));
    return out.data;
}

START_TEST(jail_of_a_client)
{
    make_view();
    ck_assert_uint_eq(count(page_of_client(1), "<dt>Exempt until</dt>"), 1);
    ck_assert_uint_eq(count(out.data, "never jailed: "), 1);
    /* Daily and allowance */
    ck_assert_uint_eq(count(out.data, "unlimited"), 2);
    make_view();
    clients[0].jailed = false;
    ck_assert_uint_eq(count(page_of_client(0), "<dt>Jail</dt>"), 1);
    ck_assert_uint_eq(count(out.data, "not jailed"), 1);
    ck_assert_uint_eq(count(out.data, "<dt>Exempt until</dt>"), 0);
    make_view();
    view.jail.spec = NULL;
    clients[0].jailed = false;
    ck_assert_uint_eq(count(page_of_client(0), "<dt>Jail</dt>"), 0);
}
END_TEST

START_TEST(changes_of_a_client)
{
    static struct cq_change changes[3];
    size_t empty, numbers;

    make_view();
    ck_assert_uint_eq(count(page_of_client(0), "Last changes of state"), 0);
    numbers = count(out.data, "<td class=\"n\"></td>");
    empty = count(out.data, "<td></td></tr>");
    changes[0] = (struct cq_change){ .at_s = view.now_s - 60,
                                     .kind = CQ_CHANGE_OVER,
                                     .used_bytes = 1001,
                                     .allowance_bytes = 1000 };
    changes[1] = (struct cq_change){ .at_s = view.now_s - 30,
                                     .kind = CQ_CHANGE_EXEMPT,
                                     .allowance_bytes = CQ_BYTES_MAX,
                                     .until_s = view.now_s + 5000 };
    changes[2] = (struct cq_change){ .at_s = view.now_s - 10,
                                     .kind = CQ_CHANGE_RESET };
    view.changes = changes;
    view.change_count = 3;
    page_of_client(0);
    ck_assert_uint_eq(count(out.data, "Last changes of state"), 1);
    ck_assert_uint_eq(count(out.data, "value=\"1001\""), 1);
    ck_assert_uint_eq(count(out.data, "value=\"1000\""), 1);
    ck_assert_uint_eq(count(out.data, "<td class=\"n\"></td>"),
                      numbers + 4);
    ck_assert_uint_eq(count(out.data, "<td></td></tr>"), empty + 2);
}
END_TEST

START_TEST(full_jail)
{
    make_view();
    view.jail.capacity = 82;
    view.jail.dropped_packets = -1;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "50 % used"));
    /* no number of this machine has that many percents */
    view.jail.jailed = INT64_C(1) << 61;
    view.jail.capacity = 1;
    rendered(cq_render_html, &view);
    ck_assert_ptr_nonnull(strstr(out.data, ", 1000000000 % used"));
    view.jail.jailed = 41;
    view.jail.capacity = 82;
    ck_assert_ptr_nonnull(strstr(out.data, "not known"));
    rendered(cq_render_openmetrics, &view);
    ck_assert_ptr_nonnull(strstr(out.data, "\nclamquota_jail_capacity 82\n"));
    view.jail.capacity = 0;
    rendered(cq_render_openmetrics, &view);
    ck_assert_ptr_null(strstr(out.data, "clamquota_jail_capacity"));
}
END_TEST

START_TEST(networks_as_json)
{
    static struct cq_view_network networks[2];

    make_view();
    rendered(cq_render_json, &view);
    ck_assert_ptr_null(strstr(out.data, "\"networks\""));
    view.query.by_net = true;
    networks[0] = (struct cq_view_network){
        .net = cq_key_network(&clients[1].client, 24), .clients = 1,
        .over = 2, .used_bytes = 3, .today_bytes = 4, .free_bytes = 5,
        .hits = 6, .refused = 7, .last_hit_s = 8 };
    networks[1] = networks[0];
    networks[1].net = clients[0].client;
    view.networks = networks;
    view.network_count = 2;
    view.networks_matched = 9;
    view.networks_exact = true;
    rendered(cq_render_json, &view);
    ck_assert_uint_eq(count(out.data, "{\"network\": \"192.0.2.0/24\", "
        "\"clients\": 1, \"over\": 2, \"used\": 3, \"today\": 4, \"free\": 5, "
        "\"hits\": 6, \"refused\": 7, \"last_hit\": 8}"), 1);
    ck_assert_uint_eq(count(out.data, "{\"network\": \"2001:db8::/64\""), 1);
    ck_assert_uint_eq(count(out.data, "\"networks_matched\": 9, "
                            "\"networks_exact\": true"), 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("render: change");
    TCase *t = tcase_create("change");

    tcase_add_test(t, words_of_actions);
    tcase_add_test(t, questions);
    tcase_add_test(t, networks_and_clients);
    tcase_add_test(t, hostile_form);
    tcase_add_test(t, done);
    tcase_add_test(t, engines);
    tcase_add_test(t, periods);
    tcase_add_test(t, jail_of_a_client);
    tcase_add_test(t, changes_of_a_client);
    tcase_add_test(t, full_jail);
    tcase_add_test(t, networks_as_json);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
