/* sync/lists: what is reported of deny and never files, and what holds
 * while one can't be read. */
#include "sync/lists.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[32], path[64];
static char *said;
static size_t said_n;
static struct cq_say say;
static struct cq_sync_options options;
static struct cq_lists lists;

static void open_lists(enum cq_deny_form form)
{
    FILE *err = open_memstream(&said, &said_n);
    struct cq_texts *files;

    ck_assert_ptr_nonnull(err);
    ck_assert_int_eq(fflush(err), 0);
    cq_say_open(&say, "p", err, false);
    memset(&options, 0, sizeof(options));
    files = form == CQ_DENY_FILE ? &options.deny_files : &options.never_files;
    files->texts[files->count++] = path;
    ck_assert(cq_lists_open(&lists, &options));
}

static void begin(void)
{
    snprintf(dir, sizeof(dir), "/tmp/cq-lists-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/list", dir);
}

static void end(void)
{
    cq_lists_close(&lists);
    cq_say_close(&say);
    fclose(say.err);
    free(said);
    (void)unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* Writes it, as long ago as 1970. */
static void write_list(const char *text)
{
    const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* What a pass says. */
static const char *read_lists(void)
{
    cq_say_begin(&say);
    rewind(say.err);
    said[0] = '\0';
    cq_lists_read(&lists, &options, &say);
    fflush(say.err);
    said[ftell(say.err)] = '\0';
    return said;
}

static void check_entry(const char *net)
{
    char text[CQ_KEY_TEXT_SIZE];

    ck_assert_uint_eq(lists.files[0].entries.count, 1);
    ck_assert_str_eq(cq_key_format(&lists.files[0].entries.entries[0].net,
                                   text, sizeof(text)), net);
}

/* A file that was never read is not known, one that was stays as it was. */
START_TEST(unreadable)
{
    enum cq_deny_form form = _i == 0 ? CQ_DENY_FILE : CQ_NEVER_FILE;
    char line[200];

    open_lists(form);
    snprintf(line, sizeof(line), "p: %s: cannot be read: No such file or "
             "directory; until it can, no %s\n", path,
             form == CQ_DENY_FILE ? "address is released"
                                  : "further client is jailed");
    ck_assert_str_eq(read_lists(), line);
    ck_assert_int_eq(lists.knows_denied, form != CQ_DENY_FILE);
    ck_assert_int_eq(lists.knows_never, form == CQ_DENY_FILE);
    write_list("1.2.3.4\n");
    ck_assert_str_eq(read_lists(), "");
    check_entry("1.2.3.4");
    unlink(path);
    snprintf(line, sizeof(line), "p: %s: cannot be read: No such file or "
             "directory; its last contents still hold\n", path);
    ck_assert_str_eq(read_lists(), line);
    ck_assert(lists.knows_denied && lists.knows_never);
    check_entry("1.2.3.4");
}
END_TEST

/* A bad line is trouble, one that is left out is a state, both once; what only
 * httpd knows is for -v. A terminal obeys nothing of it. */
START_TEST(lines)
{
    char expected[512];

    open_lists(CQ_DENY_FILE);
    write_list("\xc2\x9b" "1m\x9b" "2\xc3\xa9\x1b[\n"
               "Deny from all 1.2.3.4\n"
               "<If \x1b>\n1.2.3.5\n</If>\n");
    snprintf(expected, sizeof(expected),
             "p: %s:1: \"??1m?2\xc3\xa9?[\": not an address, expected "
             "192.0.2.7, 10.0.0.0/8 or 2001:db8::/32 style; this is passed "
             "over\n"
             "p: %s:4: is left out: it is inside a section of httpd; "
             "to jail these addresses, put them into a file of their own\n",
             path, path);
    ck_assert_str_eq(read_lists(), expected);
    ck_assert_uint_eq(say.troubles, 1);
    ck_assert_str_eq(read_lists(), "");
    ck_assert_uint_eq(say.troubles, 1);
    check_entry("1.2.3.4");
    say.verbose = true;
    snprintf(expected, sizeof(expected), "p: %s:2: \"all\" is left out: that "
             "is every address\n", path);
    ck_assert_str_eq(read_lists(), expected);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/lists");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_checked_fixture(all, begin, end);
    tcase_add_loop_test(all, unreadable, 0, 2);
    tcase_add_test(all, lines);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
