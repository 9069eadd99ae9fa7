/* clamquota/line: which column a line of a log is counted in. */
#include "clamquota/line.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct sample {
    const char *line;           /* client, status, bytes of the body, request */
    enum cq_line_column column;
} samples[] = {
    { "::1 200 5000 \"GET /main.cvd HTTP/1.1\"", CQ_LINE_USED },
    { "::1 200 0 \"GET / HTTP/1.1\"", CQ_LINE_USED },
    { "::1 200 4096 \"GET / HTTP/1.1\"", CQ_LINE_USED },
    { "::1 200 5000 \"POST / HTTP/1.1\"", CQ_LINE_USED },
    { "::1 101 5000 \"GET / HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 204 - \"GET / HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 299 5000 \"GET / HTTP/1.1\"", CQ_LINE_USED },
    { "::1 600 5000 \"GET / HTTP/1.1\"", CQ_LINE_USED },
    { "::1 - 5000 \"GET / HTTP/1.1\"", CQ_LINE_USED },
    { "::1 200 5000 \"HEADER / HTTP/1.1\"", CQ_LINE_USED },
    { "::1 200 5000 \"-\"", CQ_LINE_USED },
    { "::1 206 4097 \"GET /main.cvd HTTP/1.1\"", CQ_LINE_USED },
    { "::1 206 4096 \"GET /main.cvd HTTP/1.1\"", CQ_LINE_SMALL_RANGE },
    { "::1 206 - \"GET /main.cvd HTTP/1.1\"", CQ_LINE_SMALL_RANGE },
    { "::1 200 - \"HEAD /main.cvd HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 300 5000 \"GET / HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 304 - \"GET / HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 404 5000 \"GET / HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 599 5000 \"GET / HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 200 5000 \"GET /daily-1.cdiff HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 206 5 \"GET /daily-1.cdiff HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 200 5000 \"GET http://a/daily-1.cdiff?a HTTP/1.1\"", CQ_LINE_FREE },
    { "::1 200 5000 \"GET /main.cvd?.cdiff HTTP/1.1\"", CQ_LINE_USED },
    { "::1 200 5000 \"GET /daily-1.cdiff/ HTTP/1.1\"", CQ_LINE_USED }
};

START_TEST(each_line_has_its_column)
{
    const struct sample *s = &samples[_i];
    const struct cq_prefixes prefixes = { 32, 64 };
    struct cq_log_format format;
    struct cq_log_record record;
    char why[256];
    regex_t free;

    ck_assert_int_eq(cq_log_format_compile(&format, "%h %>s %B \"%r\"", why,
                                           sizeof(why)), CQ_OK);
    ck_assert_int_eq(regcomp(&free, "\\.cdiff$", REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_ptr_null(cq_log_read_line(&format, prefixes, s->line,
                                        strlen(s->line), CQ_LOG_WHOLE,
                                        &record));
    ck_assert_msg(cq_line_find_column(&record, &free) == s->column, "%s",
                  s->line);
    if (strstr(s->line, "cdiff ") != NULL) {
        ck_assert_int_ne(cq_line_find_column(&record, NULL), CQ_LINE_FREE);
    }
    regfree(&free);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clamquota/line");
    TCase *tests = tcase_create("line");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tests, each_line_has_its_column, 0,
                        (int)(sizeof(samples) / sizeof(samples[0])));
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
