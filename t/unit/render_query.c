/* render/query: every parameter well and badly written, and that the links
 * which render/link writes are read back to the same query. */
#include "render/link.h"
#include "render/query.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct cq_query_request request;

static void expect_ok(const char *text)
{
    const char *why = NULL;

    ck_assert_msg(cq_query_parse(&request, text, &why) == CQ_OK, "%s: %s",
                  text ? text : "NULL", why ? why : "");
}

static void expect_defaults(void)
{
    ck_assert_int_eq(request.query.sort, CQ_SORT_USED);
    ck_assert_int_eq(request.query.limit, 100);
    ck_assert(request.query.filter == CQ_FILTER_ALL);
    ck_assert(!request.query.has_client);
    ck_assert_ptr_null(request.query.pool);
    ck_assert_int_eq(request.format, CQ_FORMAT_HTML);
    ck_assert_int_eq(request.refresh_s, 0);
}

static const char *client_text(void)
{
    static char text[CQ_KEY_TEXT_SIZE];

    ck_assert(request.query.has_client);
    return cq_key_format_cidr(&request.query.client, text, sizeof(text));
}

START_TEST(defaults)
{
    static const char *const texts[] = {
        NULL, "", "&", "&&=&", "unknown", "unknown=%zz&x=%00",
        "client=&state=&pool=&limit=&sort=&refresh=", "client=+%20", "jsonx",
        "JSON"
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        expect_ok(texts[i]);
        expect_defaults();
    }
}
END_TEST

START_TEST(values)
{
    expect_ok("json&sort=hits&limit=10000&state=over&pool=a.B_c-1&refresh=5");
    ck_assert_int_eq(request.format, CQ_FORMAT_JSON);
    ck_assert_int_eq(request.query.sort, CQ_SORT_HITS);
    ck_assert_int_eq(request.query.limit, 10000);
    ck_assert(request.query.filter == CQ_FILTER_OVER);
    ck_assert_str_eq(request.query.pool, "a.B_c-1");
    ck_assert_int_eq(request.refresh_s, 5);
    expect_ok("auto=1");
    ck_assert_int_eq(request.format, CQ_FORMAT_AUTO);
    expect_ok("openmetrics&refresh=86400&sort=today&sort=last");
    ck_assert_int_eq(request.format, CQ_FORMAT_OPENMETRICS);
    ck_assert_int_eq(request.refresh_s, 86400);
    ck_assert_int_eq(request.query.sort, CQ_SORT_LAST);
    expect_ok("sort=refused&limit=1&refresh=0");
    ck_assert_int_eq(request.query.sort, CQ_SORT_REFUSED);
    ck_assert_int_eq(request.query.limit, 1);
    expect_ok("sort=used&limit=%39");
    ck_assert_int_eq(request.query.limit, 9);
}
END_TEST

START_TEST(clients)
{
    expect_ok("client=192.0.2.7");
    ck_assert_str_eq(client_text(), "192.0.2.7/32");
    expect_ok("client=10.0.0.0%2F8");
    ck_assert_str_eq(client_text(), "10.0.0.0/8");
    expect_ok("client=2001%3adb8%3A:/32");
    ck_assert_str_eq(client_text(), "2001:db8::/32");
    expect_ok("client=+192.0.2.7%20");
    ck_assert_str_eq(client_text(), "192.0.2.7/32");
}
END_TEST

START_TEST(malformed)
{
    static const struct {
        const char *text;
        const char *why_starts;
    } rows[] = {
        { "sort=size", "sort must" },
        { "sort=USED", "sort must" },
        { "limit=0", "limit must" },
        { "limit=10001", "limit must" },
        { "limit=-1", "limit must" },
        { "limit=%2B5", "limit must" },
        { "limit=99999999999999999999", "limit must" },
        { "limit=5x", "limit must" },
        { "refresh=86401", "refresh must" },
        { "refresh=1s", "refresh must" },
        { "client=nobody", "client must" },
        { "client=192.0.2.7/24", "client must" },
        { "client=192.0.2.7%00", "client must" },
        { "client=192.0.2.7%2", "client must" },
        { "client=192.0.2.7%", "client must" },
        { "client=%g0", "client must" },
        { "state=busy", "state must" },
        { "offset=10001", "offset must" },
        { "net=24", "net must" },
        { "net=,48", "net must" },
        { "net=24,", "net must" },
        { "net=33,48", "net must" },
        { "net=24,129", "net must" },
        { "hours=0", "hours must" },
        { "hours=769", "hours must" },
        { "days=417", "days must" },
        { "pool=a+b", "pool must" },
        { "pool=%3Cscript%3E", "pool must" },
        { "pool=12345678901234567890123456789012", "pool must" },
        { "json&refresh=5&sort=hits&state=x", "state must" },
        { "client=111111111111111111111111111111111111111111111111111111111"
          "11111111111111111111111111111111111111111111111111",
          "client must" },
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = NULL;

        ck_assert_msg(cq_query_parse(&request, rows[i].text, &why) ==
                          CQ_EINVAL,
                      "%s", rows[i].text);
        ck_assert_ptr_nonnull(why);
        ck_assert_msg(strncmp(why, rows[i].why_starts,
                              strlen(rows[i].why_starts)) == 0,
                      "%s: %s", rows[i].text, why);
        expect_defaults();
        ck_assert_int_eq(cq_query_parse(&request, rows[i].text, NULL),
                         CQ_EINVAL);
    }
    expect_ok("pool=1234567890123456789012345678901");
}
END_TEST

struct text {
    char data[1024];
    size_t size;
};

static void append(void *baton, const char *data, size_t size)
{
    struct text *text = baton;

    ck_assert_uint_lt(text->size + size, sizeof(text->data));
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

static struct text linked;

static const char *link_text(const struct cq_link *link)
{
    struct cq_sink sink = { append, &linked };
    struct cq_writer writer;

    linked.size = 0;
    cq_write_begin(&writer, &sink);
    cq_link_write(&writer, link);
    cq_write_end(&writer);
    return linked.data;
}

START_TEST(links)
{
    struct cq_link link = { .self = "/clam quota" };

    link.query.limit = 100;
    ck_assert_str_eq(link_text(&link), "/clam%20quota");
    link.format = "json";
    link.query.sort = CQ_SORT_LAST;
    link.query.limit = 7;
    link.query.filter = CQ_FILTER_OVER;
    link.query.pool = "a.b";
    link.query.has_client = true;
    ck_assert_int_eq(
        cq_key_parse(&link.query.client, "2001:db8::/64", NULL), CQ_OK);
    link.query.offset = 200;
    link.query.by_net = true;
    link.query.net_bits = (struct cq_prefixes){ 24, 48 };
    link.query.hours = 5;
    link.query.days = 6;
    link.refresh_s = 9;
    ck_assert_str_eq(link_text(&link),
                     "/clam%20quota?json&amp;sort=last&amp;limit=7&amp;"
                     "offset=200&amp;state=over&amp;net=24,48&amp;hours=5&amp;"
                     "days=6&amp;pool=a.b&amp;client=2001:db8::/64&amp;"
                     "refresh=9");
    expect_ok("json&sort=last&limit=7&offset=200&state=over&net=24,48&"
              "hours=5&days=6&pool=a.b&client=2001:db8::/64&refresh=9");
    ck_assert_int_eq(request.query.offset, 200);
    ck_assert(request.query.by_net);
    ck_assert_int_eq(request.query.net_bits.v4_bits, 24);
    ck_assert_int_eq(request.query.net_bits.v6_bits, 48);
    ck_assert_int_eq(request.query.hours, 5);
    ck_assert_int_eq(request.query.days, 6);
    ck_assert_int_eq(request.query.sort, link.query.sort);
    ck_assert_int_eq(
        cq_key_compare(&request.query.client, &link.query.client), 0);
    link.query.pool = "<\"'&";
    link.query.has_client = false;
    ck_assert_str_eq(link_text(&link),
                     "/clam%20quota?json&amp;sort=last&amp;limit=7&amp;"
                     "offset=200&amp;state=over&amp;net=24,48&amp;hours=5&amp;"
                     "days=6&amp;pool=%3C%22%27%26&amp;refresh=9");
}
END_TEST

/* a path that a browser would take for another host, or none at all */
START_TEST(links_stay_here)
{
    static const char *const paths[] = { NULL, "", "//evil.example/",
                                         "javascript:alert(1)", "x" };
    struct cq_link link = { .self = NULL };
    size_t i;

    link.query.limit = 100;
    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        link.self = paths[i];
        link.refresh_s = 0;
        ck_assert_str_eq(link_text(&link), "?");
        link.refresh_s = 5;
        ck_assert_str_eq(link_text(&link), "?refresh=5");
    }
}
END_TEST

/* As a form sends it: another one decodes it the same way. */
START_TEST(values_of_a_form)
{
    static const char form[] = "action=exempt&client=2001%3adb8::%2F32&for=+1w"
        "&for=2w&empty=&xclient=1&bad=%4&nul=%00&no&e=%26%3d+%2b";
    static const struct { const char *key, *value; } rows[] = {
        { "action", "exempt" }, { "client", "2001:db8::/32" },
        { "for", " 1w" }, { "empty", "" }, { "e", "&= +" },
        { "bad", NULL }, { "nul", NULL }, { "no", NULL }, { "", NULL },
        { "actio", NULL }, { "lient", NULL }
    };
    char value[CQ_QUERY_VALUE_SIZE], text[CQ_QUERY_VALUE_SIZE + 8] = "k=";
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool found = cq_query_value(form, rows[i].key, value);

        ck_assert_msg(found == (rows[i].value != NULL), "%s", rows[i].key);
        if (found) {
            ck_assert_str_eq(value, rows[i].value);
        }
    }
    ck_assert(!cq_query_value("", "k", value));
    memset(text + 2, 'x', CQ_QUERY_VALUE_SIZE - 1);
    ck_assert(cq_query_value(text, "k", value));
    ck_assert_str_eq(value, text + 2);
    text[CQ_QUERY_VALUE_SIZE + 1] = 'x';
    ck_assert(!cq_query_value(text, "k", value));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render/query");
    TCase *query = tcase_create("query");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, query);
    tcase_add_test(query, defaults);
    tcase_add_test(query, values);
    tcase_add_test(query, clients);
    tcase_add_test(query, malformed);
    tcase_add_test(query, links);
    tcase_add_test(query, links_stay_here);
    tcase_add_test(query, values_of_a_form);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
