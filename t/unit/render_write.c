/* render/write: every byte through every escape, exact integers, a buffer that
 * is passed on whole whatever the sizes. */
#include "render/write.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define BAD "\xef\xbf\xbd"

struct text {
    char data[65536];
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

static const struct cq_sink sink = { append, &out };

typedef void (*escape_fn)(struct cq_writer *writer, const char *text);

static const char *written(escape_fn escape, const char *text)
{
    struct cq_writer writer;

    out.size = 0;
    out.data[0] = '\0';
    cq_write_begin(&writer, &sink);
    escape(&writer, text);
    cq_write_end(&writer);
    return out.data;
}

START_TEST(html)
{
    ck_assert_str_eq(written(cq_write_html, "<script>\"&'"),
                     "&lt;script&gt;&quot;&amp;&#39;");
    ck_assert_str_eq(written(cq_write_html, "a\nb\x01\x7f"),
                     "a" BAD "b" BAD BAD);
    ck_assert_str_eq(written(cq_write_html, "\xc3\xa9\xe2\x82\xac"),
                     "\xc3\xa9\xe2\x82\xac");
    /* right-to-left override, C1 control */
    ck_assert_str_eq(written(cq_write_html, "\xe2\x80\xae\xc2\x85"), BAD BAD);
    ck_assert_str_eq(written(cq_write_html, NULL), "");
}
END_TEST

START_TEST(json)
{
    ck_assert_str_eq(written(cq_write_json, "a\"b\\c/\n\r\t\b\x1f\x7f"),
                     "\"a\\\"b\\\\c/\\n\\r\\t\\u0008\\u001f\\u007f\"");
    ck_assert_str_eq(written(cq_write_json, "<&>'"),
                     "\"\\u003c\\u0026\\u003e'\"");
    ck_assert_str_eq(written(cq_write_json, "\xe2\x80\xa8\xf0\x9f\x98\x80"),
                     "\"\\u2028\xf0\x9f\x98\x80\"");
    ck_assert_str_eq(written(cq_write_json, NULL), "\"\"");
}
END_TEST

START_TEST(invalid_utf8)
{
    static const struct {
        const char *text;
        const char *escaped;
    } rows[] = {
        { "\x80", BAD },                        /* continuation alone */
        { "\xc3", BAD },                        /* cut off by the end */
        { "\xe2\x82", BAD BAD },
        { "\xf0\x9f\x98", BAD BAD BAD },
        { "\xc3(", BAD "(" },
        { "\xc0\xaf", BAD BAD },                /* overlong */
        { "\xe0\x80\xaf", BAD BAD BAD },
        { "\xf0\x80\x80\xaf", BAD BAD BAD BAD },
        { "\xed\xa0\x80", BAD BAD BAD },        /* surrogate */
        { "\xf4\x90\x80\x80", BAD BAD BAD BAD }, /* past U+10FFFF */
        { "\xff\xfe", BAD BAD },
        { "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
        { "\xed\x9f\xbf", "\xed\x9f\xbf" },
        { "\xc2\xa0", "\xc2\xa0" },
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_str_eq(written(cq_write_html, rows[i].text),
                         rows[i].escaped);
    }
}
END_TEST

START_TEST(label)
{
    ck_assert_str_eq(written(cq_write_label, "a\"b\\c\nd\re<&'"),
                     "\"a\\\"b\\\\c\\nd" BAD "e<&'\"");
}
END_TEST

START_TEST(line)
{
    ck_assert_str_eq(written(cq_write_line, "a b\r\nX: 1\x7f\xc3\xa9<&"),
                     "a b?\?X: 1?\?\?<&");
}
END_TEST

START_TEST(urls)
{
    ck_assert_str_eq(written(cq_write_query_value, "2001:db8::/32"),
                     "2001:db8::/32");
    ck_assert_str_eq(written(cq_write_query_value, "a&b=c+d \"<'#%\x80"),
                     "a%26b%3Dc%2Bd%20%22%3C%27%23%25%80");
    ck_assert_str_eq(written(cq_write_path, "/a b/?x#y%\"'<&;"),
                     "/a%20b/%3Fx%23y%25%22%27%3C%26;");
}
END_TEST

START_TEST(integers)
{
    static const struct {
        int64_t number;
        const char *text;
    } rows[] = {
        { 0, "0" },
        { -1, "-1" },
        { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" },
        { (INT64_C(1) << 53) + 1, "9007199254740993" },
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cq_writer writer;

        out.size = 0;
        cq_write_begin(&writer, &sink);
        cq_write_int(&writer, rows[i].number);
        cq_write_end(&writer);
        ck_assert_str_eq(out.data, rows[i].text);
    }
}
END_TEST

/* pieces of every size around the buffer's arrive whole and in order */
START_TEST(buffering)
{
    static char data[3 * CQ_WRITE_BUFFER_SIZE];
    static const size_t pieces[] = { 1,
                                     CQ_WRITE_BUFFER_SIZE - 1,
                                     CQ_WRITE_BUFFER_SIZE,
                                     CQ_WRITE_BUFFER_SIZE + 1,
                                     sizeof(data) };
    size_t i, at;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (char)('a' + i % 23);
    }
    for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct cq_writer writer;

        out.size = 0;
        cq_write_begin(&writer, &sink);
        for (at = 0; at < sizeof(data); at += pieces[i]) {
            size_t left = sizeof(data) - at;

            cq_write_data(&writer, data + at,
                          left < pieces[i] ? left : pieces[i]);
        }
        cq_write_end(&writer);
        ck_assert_uint_eq(out.size, sizeof(data));
        ck_assert_mem_eq(out.data, data, sizeof(data));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render/write");
    TCase *escapes = tcase_create("escapes");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, escapes);
    tcase_add_test(escapes, html);
    tcase_add_test(escapes, json);
    tcase_add_test(escapes, invalid_utf8);
    tcase_add_test(escapes, label);
    tcase_add_test(escapes, line);
    tcase_add_test(escapes, urls);
    tcase_add_test(escapes, integers);
    tcase_add_test(escapes, buffering);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
