/* core/status: every status has words of its own. */
#include "core/status.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(each_has_its_own_words)
{
    for (int a = CQ_OK; a <= CQ_ECORRUPT; a++) {
        const char *word = cq_status_word((enum cq_status)a);

        ck_assert_uint_gt(strlen(word), 1);
        ck_assert_str_ne(word, "unknown");
        for (int b = CQ_OK; b < a; b++) {
            ck_assert_str_ne(word, cq_status_word((enum cq_status)b));
        }
    }
    ck_assert_str_eq(cq_status_word(CQ_OK), "ok");
    ck_assert_str_eq(cq_status_word(CQ_ERANGE), "out of range");
}
END_TEST

START_TEST(others_are_unknown)
{
    ck_assert_str_eq(cq_status_word((enum cq_status)(CQ_ECORRUPT + 1)),
                     "unknown");
    ck_assert_str_eq(cq_status_word((enum cq_status)-1), "unknown");
    ck_assert_str_eq(cq_status_word((enum cq_status)99), "unknown");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/status");
    TCase *words = tcase_create("words");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, words);
    tcase_add_test(words, each_has_its_own_words);
    tcase_add_test(words, others_are_unknown);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
