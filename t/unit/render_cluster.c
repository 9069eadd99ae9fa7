/* render: what the forms of the page show of a cluster, to the byte. */
#include "render_sample.h"

static struct cq_cluster_status cluster;

static void set(char *text, size_t size, const char *value)
{
    snprintf(text, size, "%s", value);
}

static void make_cluster(void)
{
    make_view();
    memset(&cluster, 0, sizeof(cluster));
    cluster.node = UINT64_C(0x00123456789abcde);
    set(cluster.label, sizeof(cluster.label), "a");
    cluster.nodes_n = 2;
    cluster.nodes[0].id = cluster.node;
    set(cluster.nodes[0].label, sizeof(cluster.nodes[0].label), "a");
    cluster.nodes[0].last_seen_s = view.now_s;
    cluster.nodes[0].self = true;
    cluster.nodes[0].alive = true;
    cluster.nodes[1].id = UINT64_MAX;
    set(cluster.nodes[1].label, sizeof(cluster.nodes[1].label), "b");
    cluster.nodes[1].last_seen_s = view.now_s - 60;
    cluster.nodes[1].offset_ms = -2000;
    cluster.nodes[1].other_servers = true;
    cluster.servers_n = 2;
    set(cluster.servers[0].name, sizeof(cluster.servers[0].name),
        "127.0.0.1:11211");
    cluster.servers[0].up = true;
    set(cluster.servers[1].name, sizeof(cluster.servers[1].name),
        "[::1]:11212");
    cluster.servers[1].errors = 7;
    cluster.lag_ms = 1234;
    cluster.last_round_s = view.now_s - 1;
    cluster.rounds = 11;
    cluster.failed_rounds = 5;
    cluster.waiting = 3;
    cluster.missing = 2;
    cluster.raised = 1;
    view.cluster = &cluster;
    clients[0].shared = true;
    clients[0].used_bytes = 300;
    clients[0].in_flight_bytes = 30;
    clients[0].here_used_bytes = 100;
    clients[0].here_in_flight_bytes = 10;
    clients[0].refused = 4;
}

START_TEST(json)
{
    const char *text;

    make_cluster();
    text = rendered(cq_render_json, &view);
    ck_assert_ptr_nonnull(strstr(text,
        "  \"cluster\": {\"node\": \"a\", \"site\": \"a\", \"nodes\": [\n"
        "    {\"node\": \"a\", \"last_seen\": 1795435200, \"self\": true, "
        "\"id\": \"00123456789abcde\", \"alive\": true, \"offset_ms\": 0, "
        "\"other_period\": false, \"other_servers\": false, "
        "\"other_daily\": false},\n"
        "    {\"node\": \"b\", \"last_seen\": 1795435140, \"self\": false, "
        "\"id\": \"ffffffffffffffff\", \"alive\": false, "
        "\"offset_ms\": -2000, \"other_period\": false, "
        "\"other_servers\": true, \"other_daily\": false}],\n"
        "  \"servers\": [\n"
        "    {\"server\": \"127.0.0.1:11211\", \"up\": true, \"errors\": 0},\n"
        "    {\"server\": \"[::1]:11212\", \"up\": false, \"errors\": 7}], "
        "\"lag_ms\": 1234, \"last_round\": 1795435199, \"rounds\": 11, "
        "\"waiting\": 3, \"failed_rounds\": 5, \"missing\": 2, "
        "\"raised\": 1, \"id\": \"00123456789abcde\"},\n"));
    ck_assert_ptr_nonnull(strstr(text, "\"here\": {\"used\": 100, "
                                 "\"in_flight\": 10, \"refused\": 4}}"));
    view.cluster = NULL;
    clients[0].shared = false;
    ck_assert_ptr_null(strstr(rendered(cq_render_json, &view), "here"));
}
END_TEST

START_TEST(openmetrics)
{
    const char *text;

    make_cluster();
    text = rendered(cq_render_openmetrics, &view);
    ck_assert_ptr_nonnull(strstr(text,
        "clamquota_cluster_up{server=\"127.0.0.1:11211\"} 1\n"
        "clamquota_cluster_up{server=\"[::1]:11212\"} 0\n"));
    ck_assert_ptr_nonnull(strstr(text,
        "\nclamquota_cluster_lag_seconds 1.234\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nclamquota_cluster_nodes 2\n"));
    ck_assert_ptr_nonnull(strstr(text,
        "\nclamquota_cluster_rounds_total 11\n"));
    ck_assert_ptr_nonnull(strstr(text,
        "\nclamquota_cluster_failed_rounds_total 5\n"));
    ck_assert_ptr_nonnull(strstr(text,
        "\nclamquota_cluster_missing_shares_total 2\n"));
    cluster.lag_ms = 60005;
    ck_assert_ptr_nonnull(strstr(rendered(cq_render_openmetrics, &view),
        "\nclamquota_cluster_lag_seconds 60.005\n"));
}
END_TEST

START_TEST(automatic)
{
    make_cluster();
    ck_assert_ptr_nonnull(strstr(rendered(cq_render_auto, &view),
        "ClamQuotaClusterNode: a\nClamQuotaClusterNodes: 2\n"
        "ClamQuotaClusterServers: 2\nClamQuotaClusterServersUp: 1\n"
        "ClamQuotaClusterLagMs: 1234\nClamQuotaClusterLastRound: 1795435199\n"
        "ClamQuotaClusterRounds: 11\nClamQuotaClusterFailedRounds: 5\n"
        "ClamQuotaClusterWaiting: 3\nClamQuotaClusterMissing: 2\n"));
    view.cluster = NULL;
    ck_assert_ptr_null(strstr(rendered(cq_render_auto, &view), "Cluster"));
}
END_TEST

START_TEST(html)
{
    const char *text;

    make_cluster();
    text = rendered(cq_render_html, &view);
    ck_assert_ptr_nonnull(strstr(text,
        "<th scope=\"col\">Settings</th></tr></thead>\n<tbody>\n"
        "<tr><th scope=\"row\">a</th><td data-label=\"Id\">00123456789abcde"
        "</td><td data-label=\"Seen\">this node</td>"
        "<td data-label=\"Clock\">0 ms</td>"
        "<td data-label=\"Settings\">as here</td></tr>\n"
        "<tr><th scope=\"row\">b</th><td data-label=\"Id\">ffffffffffffffff"
        "</td><td data-label=\"Seen\"><span class=\"badge b-over\">1 min ago, "
        "silent</span></td><td data-label=\"Clock\">-2,000 ms</td>"
        "<td data-label=\"Settings\"><span class=\"badge b-over\">other "
        "servers</span></td></tr>\n</tbody></table></div>\n"));
    ck_assert_ptr_nonnull(strstr(text,
        "<th scope=\"col\">Errors</th></tr></thead>\n<tbody>\n"
        "<tr><th scope=\"row\">127.0.0.1:11211</th><td data-label=\"State\">"
        "<span class=\"badge b-ok\">up</span></td>"
        "<td data-label=\"Errors\">0</td></tr>\n"
        "<tr><th scope=\"row\">[::1]:11212</th><td data-label=\"State\">"
        "<span class=\"badge b-over\">down</span></td>"
        "<td data-label=\"Errors\">7</td></tr>\n</tbody>"));
    ck_assert_ptr_nonnull(strstr(text,
        "<tr><th scope=\"row\">Lag</th><td data-label=\"Value\">1,234 ms</td>"
        "</tr>\n<tr><th scope=\"row\">Rounds</th><td data-label=\"Value\">11"
        "</td></tr>\n"));
    cluster.nodes[1].other_servers = false;
    cluster.nodes[1].other_daily = true;
    cluster.nodes[1].last_seen_s = 0;
    cluster.nodes_n = 2;
    cluster.servers_n = 0;
    text = rendered(cq_render_html, &view);
    ck_assert_ptr_nonnull(strstr(text, "b-over\">never</span>"));
    ck_assert_ptr_nonnull(strstr(text, "<td data-label=\"Settings\">other "
                                 "quota</td></tr>\n</tbody>"));
    ck_assert_ptr_nonnull(strstr(text, "<th scope=\"col\">Errors</th></tr>"
                                 "</thead>\n<tbody>\n</tbody>"));
    cluster.nodes[1].other_period = true;
    ck_assert_ptr_nonnull(strstr(rendered(cq_render_html, &view),
                                 "other period, zone or prefix: shares "
                                 "nothing</span>"));
}
END_TEST

/* labels come from the network */
START_TEST(hostile)
{
    static const render_fn renderers[] = { cq_render_html,
                                           cq_render_status_section };
    const char *text;

    make_cluster();
    set(cluster.label, sizeof(cluster.label), "<b>&\"");
    set(cluster.nodes[1].label, sizeof(cluster.nodes[1].label),
        "<script>\"");
    for (size_t i = 0; i < 2; i++) {
        text = rendered(renderers[i], &view);
        ck_assert_ptr_nonnull(strstr(text, "Cluster"));
        ck_assert_ptr_null(strstr(text, "<script>"));
        ck_assert_ptr_null(strstr(text, "<b>&"));
    }
    text = rendered(cq_render_json, &view);
    ck_assert_ptr_nonnull(strstr(text, "{\"node\": "
                                 "\"\\u003cscript\\u003e\\\"\""));
}
END_TEST

START_TEST(status_section)
{
    make_cluster();
    ck_assert_ptr_nonnull(strstr(rendered(cq_render_status_section, &view),
        "<dt>Cluster: node a of 2, memcached 1 of 2, lag 1,234 ms</dt>\n"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render_cluster");
    TCase *tcase = tcase_create("forms");
    SRunner *runner;
    int failed;

    tcase_add_test(tcase, json);
    tcase_add_test(tcase, openmetrics);
    tcase_add_test(tcase, automatic);
    tcase_add_test(tcase, html);
    tcase_add_test(tcase, hostile);
    tcase_add_test(tcase, status_section);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
