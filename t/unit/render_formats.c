/* render: the formats for programs. JSON to the byte against the contract,
 * OpenMetrics and text by strict readers, and hostile names in all of them. */
#include "render_sample.h"
#include "json.h"

/* ---- JSON ---- */

START_TEST(json_exact)
{
    make_view();
    ck_assert_str_eq(
        rendered(cq_render_json, &view),
        "{ \"version\": \"1.2.3\", \"now\": 1795435200, \"engine\": \"On\",\n"
        "  \"period\": {\"kind\": \"month\", \"start\": 1793491200, "
        "\"end\": 1796083200, \"day\": 23, \"next_day\": 1795478400, "
        "\"days\": 30},\n"
        "  \"pools\": [\n"
        "    {\"pool\": \"default\", \"daily\": 52428800, \"grace\": 7, "
        "\"sent\": 11, \"free\": 12, \"hits\": 13, \"refused\": 14, "
        "\"would_refuse\": 15, \"refused_bytes\": 16, \"handler_bytes\": 17, "
        "\"dropped\": 19, \"clients_ok\": 0, \"clients_over\": 1, "
        "\"clients_exempt\": 1}],\n"
        "  \"table\": {\"capacity\": 1000, \"used\": 2, \"evictions\": 3, "
        "\"untracked\": 4},\n"
        "  \"totals\": {\"sent\": 11, \"free\": 12, \"hits\": 13, "
        "\"refused\": 14, \"would_refuse\": 15, \"in_flight\": 18, "
        "\"refused_bytes\": 16, \"handler_bytes\": 17, "
        "\"dropped\": 19},\n"
        "  \"cluster\": null,\n"
        "  \"jail\": {\"spec\": \"ipset:a,b\", \"jailed\": 41, "
        "\"capacity\": null, \"dropped_packets\": 43, "
        "\"as_of\": 1795435140},\n"
        "  \"exemptions\": [\n"
        "    {\"net\": \"192.0.2.0/24\", \"until\": 1795435300}],\n"
        "  \"forecast\": {\"sent_by_period_end\": 51, "
        "\"free_by_period_end\": 52, \"since\": 1793491200},\n"
        "  \"history\": [\n"
        "    {\"start\": 1795431600, \"sent\": 21, \"free\": 22, "
        "\"hits\": 23, \"refused\": 24}],\n"
        "  \"clients\": [\n"
        "    {\"client\": \"2001:db8::\", \"prefix\": 64, "
        "\"pool\": \"default\", \"used\": 9007199254740993, \"today\": 31, "
        "\"free\": 32, \"in_flight\": 33, \"daily\": 52428800, "
        "\"allowance\": 1205862400, \"rule\": \"ClamQuotaDaily\", "
        "\"hits\": 34, \"refused\": 35, \"last_hit\": 1795435140, "
        "\"state\": \"over\", \"over_since\": 1795435080, "
        "\"retry_after\": 43200, \"jailable\": true, \"spared\": null, "
        "\"jailed\": true, \"exempt_until\": 0, \"would_refuse\": 36, "
        "\"refused_today\": 37, "
        "\"copies\": [{\"path\": \"/main.cvd\", \"size\": 61, "
        "\"mtime\": 62, \"used\": 63, \"allowance\": 64}]},\n"
        "    {\"client\": \"192.0.2.7\", \"prefix\": 32, "
        "\"pool\": \"default\", \"used\": 0, \"today\": 0, \"free\": 0, "
        "\"in_flight\": 0, \"daily\": null, \"allowance\": null, "
        "\"rule\": \"ClamQuotaClient 192.0.2.0/24\", \"hits\": 0, "
        "\"refused\": 0, \"last_hit\": 0, \"state\": \"exempt\", "
        "\"over_since\": 0, \"retry_after\": 0, \"jailable\": false, "
        "\"spared\": \"exempt\", \"jailed\": false, "
        "\"exempt_until\": 1795435300, "
        "\"would_refuse\": 0, \"refused_today\": 0, \"copies\": null}], "
        "\"clients_matched\": 2, "
        "\"shares\": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "
        "\"up\": true, \"notice\": null }\n");
}
END_TEST

START_TEST(json_hostile)
{
    const char *text;

    make_hostile();
    text = rendered(cq_render_json, &view);
    ck_assert_str_eq(json_value(text, 0), "\n");
    ck_assert_ptr_null(strchr(text, '<'));
    ck_assert_ptr_nonnull(
        strstr(text, "\"pool\": \"\\u003cscript\\u003e\\\"\\u0026'\\\\\\n\\r"
                     "\\u0001\\u007f{} 1\\n# EOF\\n\xef\xbf\xbd\xef\xbf\xbd"
                     "\""));
}
END_TEST

START_TEST(json_empty)
{
    const char *text;

    make_view();
    view.pool_count = 0;
    view.client_count = 0;
    view.history_count = 0;
    text = rendered(cq_render_json, &view);
    ck_assert_str_eq(json_value(text, 0), "\n");
    ck_assert_ptr_nonnull(strstr(text, "\"clients\": [], "));
    ck_assert_ptr_nonnull(strstr(text, "\"history\": [],"));
    ck_assert_ptr_nonnull(strstr(text, "\"pools\": [],"));
}
END_TEST

/* ---- OpenMetrics 1.0 ---- */

struct family {
    char name[64];
    char type[16];
    int samples;
};

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text);
    size_t b = strlen(end);

    return a >= b && strcmp(text + a - b, end) == 0;
}

/* # TYPE begins a family and stands first; a UNIT is the name's end */
static const char *metadata(const char *at, struct family *family,
                            char seen[][64], int *seen_n)
{
    char what[8];
    char name[64];
    char value[16];
    int i;

    at = word(at + 2, " ", what, sizeof(what)) + 1;
    at = word(at, " ", name, sizeof(name)) + 1;
    if (strcmp(what, "TYPE") == 0) {
        word(at, "\n", family->type, sizeof(family->type));
        ck_assert(strcmp(family->type, "gauge") == 0 ||
                  strcmp(family->type, "counter") == 0 ||
                  strcmp(family->type, "info") == 0);
        ck_assert(!ends_with(name, "_total") && !ends_with(name, "_info"));
        for (i = 0; i < *seen_n; i++) {
            ck_assert_str_ne(seen[i], name);
        }
        ck_assert_int_lt(*seen_n, 32);
        memcpy(seen[(*seen_n)++], name, sizeof(name));
        memcpy(family->name, name, sizeof(name));
        family->samples = 0;
        return strchr(at, '\n');
    }
    ck_assert_str_eq(name, family->name);
    ck_assert_int_eq(family->samples, 0);
    if (strcmp(what, "UNIT") == 0) {
        word(at, "\n", value, sizeof(value));
        ck_assert(ends_with(name, value));
        ck_assert_int_eq(name[strlen(name) - strlen(value) - 1], '_');
        return strchr(at, '\n');
    }
    ck_assert_str_eq(what, "HELP");
    ck_assert_uint_gt(strcspn(at, "\n"), 0);
    ck_assert_ptr_null(memchr(at, '\\', strcspn(at, "\n")));
    return strchr(at, '\n');
}

static const char *labels(const char *at)
{
    char name[32];

    do {
        at = word(at + 1, "=", name, sizeof(name)) + 1;
        ck_assert_str_ne(name, "client");
        ck_assert_int_eq(*at++, '"');
        while (*at != '"') {
            ck_assert_uint_ge((unsigned char)*at, 0x20);
            if (*at == '\\') {
                at++;
                ck_assert_ptr_nonnull(strchr("\\\"n", *at));
            }
            at++;
        }
        at++;
    } while (*at == ',');
    ck_assert_int_eq(*at, '}');
    return at + 1;
}

static const char *sample(const char *at, struct family *family)
{
    char name[64];
    const char *suffix = strcmp(family->type, "counter") == 0 ? "_total"
                         : strcmp(family->type, "info") == 0  ? "_info"
                                                              : "";
    char expected[80];
    size_t digits;

    at = word(at, "{ ", name, sizeof(name));
    snprintf(expected, sizeof(expected), "%s%s", family->name, suffix);
    ck_assert_str_eq(name, expected);
    if (*at == '{') {
        at = labels(at);
    }
    ck_assert_int_eq(*at++, ' ');
    digits = strspn(at, "0123456789.");
    ck_assert_uint_gt(digits, 0);
    ck_assert_int_eq(at[digits], '\n');
    family->samples++;
    return at + digits;
}

static void expect_openmetrics(const char *text)
{
    struct family family = { "", "", 0 };
    static char seen[32][64];
    int seen_n = 0;

    memset(seen, 0, sizeof(seen));
    while (strcmp(text, "# EOF\n") != 0) {
        ck_assert_int_ne(*text, '\0');
        text = strncmp(text, "# ", 2) == 0
                   ? metadata(text, &family, seen, &seen_n)
                   : sample(text, &family);
        ck_assert_int_eq(*text++, '\n');
    }
    ck_assert_int_eq(seen_n, 20);
}

START_TEST(openmetrics)
{
    static const char *const lines[] = {
        "\nclamquota_up 1\n",
        "\nclamquota_clients{pool=\"default\",state=\"ok\"} 0\n",
        "\nclamquota_clients{pool=\"default\",state=\"over\"} 1\n",
        "\nclamquota_clients{pool=\"default\",state=\"exempt\"} 1\n",
        "\nclamquota_sent_bytes_total{pool=\"default\"} 11\n",
        "\nclamquota_free_bytes_total{pool=\"default\"} 12\n",
        "\nclamquota_hits_total{pool=\"default\"} 13\n",
        "\nclamquota_refused_total{pool=\"default\"} 14\n",
        "\nclamquota_would_refuse_total{pool=\"default\"} 15\n",
        "\nclamquota_refused_bytes_total{pool=\"default\"} 16\n",
        "\nclamquota_handler_bytes_total{pool=\"default\"} 17\n",
        "\nclamquota_dropped_total{pool=\"default\"} 19\n",
        "\nclamquota_in_flight_bytes 18\n",
        "\nclamquota_table_fill_ratio 0.002000\n",
        "\nclamquota_evictions_total 3\n",
        "\nclamquota_untracked_total 4\n",
    };
    const char *text;
    size_t i;

    make_view();
    text = rendered(cq_render_openmetrics, &view);
    expect_openmetrics(text);
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        ck_assert_msg(strstr(text, lines[i]) != NULL, "%s", lines[i]);
    }
    ck_assert_ptr_null(strstr(text, "192.0.2"));
    ck_assert_ptr_null(strstr(text, "cluster"));
}
END_TEST

START_TEST(openmetrics_edges)
{
    make_hostile();
    expect_openmetrics(rendered(cq_render_openmetrics, &view));
    ck_assert_ptr_nonnull(
        strstr(out.data, "hits_total{pool=\"<script>\\\"&'\\\\\\n"));
    make_view();
    view.pool_count = 0;
    view.table_capacity = 0;
    expect_openmetrics(rendered(cq_render_openmetrics, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "fill_ratio 0.0\n"));
    view.table_capacity = 3;
    view.table_used = 4;
    expect_openmetrics(rendered(cq_render_openmetrics, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "fill_ratio 1.333333\n"));
}
END_TEST

/* ---- text ---- */

static int expect_auto(const char *text)
{
    int lines = 0;

    while (*text) {
        size_t length = strcspn(text, "\n");
        size_t key = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
                                  "pqrstuvwxyz0123456789");

        ck_assert_int_eq(strncmp(text, "ClamQuota", 9), 0);
        ck_assert_int_eq(strncmp(text + key, ": ", 2), 0);
        ck_assert_int_eq(text[length], '\n');
        text += length + 1;
        lines++;
    }
    return lines;
}

START_TEST(automatic)
{
    int lines;

    make_view();
    lines = expect_auto(rendered(cq_render_auto, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "\nClamQuotaSentBytes: 11\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "\nClamQuotaUp: 1\n"));
    ck_assert_ptr_null(strstr(out.data, "ClamQuotaNotice"));
    ck_assert_ptr_nonnull(strstr(out.data, "\nClamQuotaDropped: 19\n"));
    ck_assert_ptr_nonnull(
        strstr(out.data, "\nClamQuotaPool1Name: default\n"));
    ck_assert_ptr_null(strstr(out.data, "192.0.2"));
    make_hostile();
    ck_assert_int_eq(expect_auto(rendered(cq_render_auto, &view)), lines);
}
END_TEST

/* Every form says that nothing is counted, and what to do. */
START_TEST(notice)
{
    make_view();
    view.facts.engine = "unusable";
    view.facts.counts = false;
    view.facts.notice = "Requests are not counted: do this.";
    expect_auto(rendered(cq_render_auto, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "\nClamQuotaUp: 0\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "\nClamQuotaEngine: unusable\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "\nClamQuotaNotice: Requests are "
                                           "not counted: do this.\n"));
    rendered(cq_render_json, &view);
    ck_assert_ptr_nonnull(strstr(out.data, "\"engine\": \"unusable\""));
    ck_assert_ptr_nonnull(strstr(out.data, "\"up\": false, \"notice\": "
                                 "\"Requests are not counted: do this.\""));
    rendered(cq_render_openmetrics, &view);
    ck_assert_ptr_nonnull(strstr(out.data, "\nclamquota_up 0\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "# HELP clamquota_up Requests are "
                                           "not counted: do this.\n"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render/formats");
    TCase *formats = tcase_create("formats");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, formats);
    tcase_add_test(formats, json_exact);
    tcase_add_test(formats, json_hostile);
    tcase_add_test(formats, json_empty);
    tcase_add_test(formats, openmetrics);
    tcase_add_test(formats, openmetrics_edges);
    tcase_add_test(formats, automatic);
    tcase_add_test(formats, notice);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
