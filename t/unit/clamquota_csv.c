/* clamquota/csv: RFC 4180, and no cell that a spreadsheet takes for a
 * formula. */
#include "clamquota/csv.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void expect(const char *const *cells, size_t n, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    struct cq_csv csv = { open_memstream(&text, &size), false };

    cq_csv_header(&csv, cells, n);
    ck_assert_int_eq(fclose(csv.file), 0);
    ck_assert_str_eq(text, expected);
    free(text);
}

#define EXPECT(expected, ...) do { \
        const char *const cells[] = { __VA_ARGS__ }; \
        expect(cells, sizeof(cells) / sizeof(cells[0]), expected); \
    } while (0)

START_TEST(quotes)
{
    EXPECT("a,b c,\r\n", "a", "b c", "");
    EXPECT("\"a,b\",\"say \"\"hi\"\"\",\" x\"\r\n", "a,b", "say \"hi\"",
           " x");
    EXPECT("a??b?,\xc3\xa4\r\n", "a\r\nb\x7f", "\xc3\xa4");
}
END_TEST

START_TEST(formulas)
{
    EXPECT("'=1+1,'+1,'-1,'@x\r\n", "=1+1", "+1", "-1", "@x");
    EXPECT("\"'=HYPERLINK(\"\"x\"\",1)\",\"'  =1\",'?=1\r\n",
           "=HYPERLINK(\"x\",1)", "  =1", "\t=1");
    EXPECT("a=1,1-1\r\n", "a=1", "1-1");
}
END_TEST

START_TEST(numbers)
{
    char *text = NULL;
    size_t size = 0;
    struct cq_csv csv = { open_memstream(&text, &size), false };

    cq_csv_number(&csv, INT64_MAX);
    cq_csv_text(&csv, NULL);
    cq_csv_number(&csv, 0);
    cq_csv_end(&csv);
    cq_csv_number(&csv, 1);
    cq_csv_end(&csv);
    ck_assert_int_eq(fclose(csv.file), 0);
    ck_assert_str_eq(text, "9223372036854775807,,0\r\n1\r\n");
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clamquota/csv");
    TCase *csv = tcase_create("csv");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, csv);
    tcase_add_test(csv, quotes);
    tcase_add_test(csv, formulas);
    tcase_add_test(csv, numbers);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
