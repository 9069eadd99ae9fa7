/* render: the five formats of one view. JSON to the byte against the contract,
 * OpenMetrics by a strict reader, and hostile names in all of them. */
#include "render/view.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTILE "<script>\"&'\\\n\r\x01\x7f{} 1\n# EOF\n\xff\xc3"

struct text {
    char data[262144];
    size_t size;
};

static struct text out;

static void append(void *baton, const char *data, size_t size)
{
    struct text *text = baton;

    ck_assert_uint_lt(text->size + size, sizeof(text->data));
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

typedef void (*render_fn)(const struct cq_view *view,
                          const struct cq_sink *sink);

static const char *rendered(render_fn render, const struct cq_view *view)
{
    struct cq_sink sink = { append, &out };

    out.size = 0;
    out.data[0] = '\0';
    render(view, &sink);
    ck_assert_uint_eq(strlen(out.data), out.size);
    return out.data;
}

static struct cq_view view;
static struct cq_view_pool pools[1];
static struct cq_view_hour hours[1];
static struct cq_view_client clients[2];

static void make_client(struct cq_view_client *client, const char *cidr)
{
    ck_assert_int_eq(cq_key_parse(&client->client, cidr, NULL), CQ_OK);
    client->pool = "default";
    client->rule = "ClamQuotaDaily";
}

/* 2026-11-23 12:00 UTC, day 23 of 30; one client over, one exempt */
static void make_view(void)
{
    const int64_t now_s = INT64_C(1795435200);

    memset(&view, 0, sizeof(view));
    memset(clients, 0, sizeof(clients));
    memset(pools, 0, sizeof(pools));
    view.version = "1.2.3";
    view.engine = "On";
    view.now_s = now_s;
    ck_assert_int_eq(
        cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_UTC, now_s, &view.period),
        CQ_OK);
    view.day = 23;
    view.next_day_s = now_s + 43200;
    view.self = "/clamquota";
    view.query.limit = 100;
    view.table_capacity = 1000;
    view.table_used = 2;
    view.evictions = 3;
    view.untracked = 4;
    view.totals = (struct cq_view_totals){ 11, 12, 13, 14, 15, 16, 17, 18 };
    pools[0].name = "default";
    pools[0].daily_bytes = 52428800;
    pools[0].grace_bytes = 7;
    pools[0].totals = view.totals;
    pools[0].clients_over = 1;
    pools[0].clients_exempt = 1;
    view.pools = pools;
    view.pool_count = 1;
    hours[0] = (struct cq_view_hour){ now_s - 3600, 21, 22, 23, 24 };
    view.history = hours;
    view.history_count = 1;
    make_client(&clients[0], "2001:db8::/64");
    clients[0].used_bytes = INT64_C(9007199254740993);
    clients[0].today_bytes = 31;
    clients[0].free_bytes = 32;
    clients[0].in_flight_bytes = 33;
    clients[0].daily_bytes = 52428800;
    clients[0].allowance_bytes = 1205862400;
    clients[0].hits = 34;
    clients[0].refused = 35;
    clients[0].last_hit_s = now_s - 60;
    clients[0].state = CQ_STATE_OVER;
    clients[0].over_since_s = now_s - 120;
    clients[0].retry_after_s = 43200;
    clients[0].jailable = true;
    make_client(&clients[1], "192.0.2.7");
    clients[1].daily_bytes = CQ_UNLIMITED;
    clients[1].allowance_bytes = CQ_BYTES_MAX;
    clients[1].rule = "ClamQuotaClient 192.0.2.0/24";
    clients[1].state = CQ_STATE_EXEMPT;
    view.clients = clients;
    view.client_count = 2;
    view.clients_matched = 2;
}

static void make_hostile(void)
{
    make_view();
    view.version = HOSTILE;
    view.engine = HOSTILE;
    view.self = "/" HOSTILE;
    pools[0].name = HOSTILE;
    view.query.pool = HOSTILE;
    clients[0].pool = HOSTILE;
    clients[0].rule = HOSTILE;
    view.query.over_only = true;
}

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
        "\"clients_ok\": 0, \"clients_over\": 1, \"clients_exempt\": 1}],\n"
        "  \"table\": {\"capacity\": 1000, \"used\": 2, \"evictions\": 3, "
        "\"untracked\": 4},\n"
        "  \"totals\": {\"sent\": 11, \"free\": 12, \"hits\": 13, "
        "\"refused\": 14, \"would_refuse\": 15, \"in_flight\": 18, "
        "\"refused_bytes\": 16, \"handler_bytes\": 17},\n"
        "  \"cluster\": null,\n"
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
        "\"retry_after\": 43200, \"jailable\": true},\n"
        "    {\"client\": \"192.0.2.7\", \"prefix\": 32, "
        "\"pool\": \"default\", \"used\": 0, \"today\": 0, \"free\": 0, "
        "\"in_flight\": 0, \"daily\": null, \"allowance\": null, "
        "\"rule\": \"ClamQuotaClient 192.0.2.0/24\", \"hits\": 0, "
        "\"refused\": 0, \"last_hit\": 0, \"state\": \"exempt\", "
        "\"over_since\": 0, \"retry_after\": 0, \"jailable\": false}], "
        "\"clients_matched\": 2 }\n");
}
END_TEST

static const char *json_value(const char *at, int depth);

static const char *blanks(const char *at)
{
    return at + strspn(at, " \n\r\t");
}

static const char *json_string(const char *at)
{
    ck_assert_int_eq(*at++, '"');
    while (*at != '"') {
        ck_assert_uint_ge((unsigned char)*at, 0x20);
        if (*at == '\\') {
            at++;
            ck_assert_ptr_nonnull(strchr("\"\\/bfnrtu", *at));
            if (*at == 'u') {
                ck_assert_uint_ge(strspn(at + 1, "0123456789abcdefABCDEF"),
                                  4);
                at += 4;
            }
        }
        at++;
    }
    return at + 1;
}

/* after [ or {: members up to the closing character */
static const char *json_members(const char *at, char close, int depth)
{
    at = blanks(at);
    if (*at == close) {
        return at + 1;
    }
    for (;;) {
        if (close == '}') {
            at = blanks(json_string(at));
            ck_assert_int_eq(*at++, ':');
        }
        at = blanks(json_value(blanks(at), depth + 1));
        if (*at == close) {
            return at + 1;
        }
        ck_assert_int_eq(*at++, ',');
        at = blanks(at);
    }
}

static const char *json_value(const char *at, int depth)
{
    size_t digits;

    ck_assert_int_lt(depth, 8);
    if (*at == '{' || *at == '[') {
        return json_members(at + 1, *at == '{' ? '}' : ']', depth);
    }
    if (*at == '"') {
        return json_string(at);
    }
    if (strncmp(at, "null", 4) == 0 || strncmp(at, "true", 4) == 0) {
        return at + 4;
    }
    if (strncmp(at, "false", 5) == 0) {
        return at + 5;
    }
    at += *at == '-';
    digits = strspn(at, "0123456789");
    ck_assert_uint_gt(digits, 0);
    ck_assert(*at != '0' || digits == 1);
    return at + digits;
}

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

static const char *word(const char *at, const char *end, char *to, size_t size)
{
    size_t length = strcspn(at, end);

    ck_assert_uint_gt(length, 0);
    ck_assert_uint_lt(length, size);
    memcpy(to, at, length);
    to[length] = '\0';
    return at + length;
}

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
        strncpy(seen[(*seen_n)++], name, 63);
        strncpy(family->name, name, 63);
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
    ck_assert_int_eq(seen_n, 14);
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
    ck_assert_ptr_nonnull(strstr(out.data, "\nClamQuotaInFlightBytes: 18\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "\nClamQuotaClientsOver: 1\n"));
    ck_assert_ptr_nonnull(
        strstr(out.data, "\nClamQuotaPool1Name: default\n"));
    ck_assert_ptr_null(strstr(out.data, "192.0.2"));
    make_hostile();
    ck_assert_int_eq(expect_auto(rendered(cq_render_auto, &view)), lines);
}
END_TEST

/* ---- HTML ---- */

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    while ((text = strstr(text, what)) != NULL) {
        n++;
        text += strlen(what);
    }
    return n;
}

/* Tags are well nested and attributes quoted: a name that broke out of where
 * it stands would break one of these. A style element is stepped over. */
static void expect_markup(const char *text)
{
    static const char *const empty[] = { "meta", "link", "input", "hr" };
    char open[32][16];
    int depth = 0;

    while ((text = strchr(text, '<')) != NULL) {
        bool closes = text[1] == '/';
        char name[16];
        bool is_void = false;
        size_t i;

        text++;
        if (*text == '!') {
            continue;
        }
        text = word(text + closes, " />\n", name, sizeof(name));
        while (*text != '>') {
            ck_assert_int_ne(*text, '\0');
            ck_assert_int_ne(*text, '<');
            if (*text == '"') {
                text += strcspn(text + 1, "\"<\n") + 1;
                ck_assert_int_eq(*text, '"');
            }
            text++;
        }
        for (i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
            is_void = is_void || strcmp(name, empty[i]) == 0;
        }
        if (closes) {
            ck_assert_int_gt(depth, 0);
            ck_assert_str_eq(open[--depth], name);
        }
        else if (!is_void && text[-1] != '/') {
            ck_assert_int_lt(depth, 32);
            memcpy(open[depth++], name, sizeof(name));
        }
        if (!closes && strcmp(name, "style") == 0) {
            text = strstr(text, "</style>");
        }
    }
    ck_assert_int_eq(depth, 0);
}

START_TEST(html)
{
    const char *text;

    make_view();
    text = rendered(cq_render_html, &view);
    expect_markup(text);
    ck_assert_uint_eq(count(text, "<form method=\"post\""), 2);
    ck_assert_ptr_nonnull(
        strstr(text, "name=\"action\" value=\"reset\"><input type=\"hidden\" "
                     "name=\"client\" value=\"2001:db8::\">"));
    ck_assert_ptr_nonnull(strstr(text, "2 of 2 clients shown"));
    ck_assert_ptr_nonnull(strstr(text, "<b>Month, day 23 of 30</b>"));
    ck_assert_ptr_nonnull(strstr(text, ">in 12 h</time>"));
    ck_assert_ptr_nonnull(strstr(text, ">2026-12-01 00:00 UTC</time>"));
    ck_assert_ptr_nonnull(
        strstr(text, "title=\"9,007,199,254,740,993 bytes\""));
    ck_assert_uint_eq(count(text, "<svg "), 2);
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
    view.refresh_s = 15;
    view.query.sort = CQ_SORT_HITS;
    view.query.limit = 50;
    view.query.over_only = true;
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
    view.self = NULL;
    expect_markup(rendered(cq_render_html, &view));
    ck_assert_ptr_nonnull(strstr(out.data, "No hour has been recorded yet"));
    ck_assert_ptr_nonnull(strstr(out.data, "No client has come"));
    expect_markup(rendered(cq_render_status_section, &view));
    make_view();
    hours[0].sent_bytes = 0;
    hours[0].refused = 0;
    rendered(cq_render_html, &view);
    ck_assert_ptr_nonnull(strstr(out.data, "Nothing counted was sent"));
}
END_TEST

START_TEST(section_has_ten_at_most)
{
    static struct cq_view_client many[11];
    size_t i;

    make_view();
    for (i = 0; i < 11; i++) {
        many[i] = clients[0];
    }
    view.clients = many;
    view.client_count = 11;
    expect_markup(rendered(cq_render_status_section, &view));
    ck_assert_uint_eq(count(out.data, "<tr><td>2001:db8::/64</td>"), 10);
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
    tcase_add_test(formats, html);
    tcase_add_test(formats, html_keeps_the_query);
    tcase_add_test(formats, html_hostile);
    tcase_add_test(formats, html_empty);
    tcase_add_test(formats, section_has_ten_at_most);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
