/* sync/options: defaults, every option, and one sentence for what is wrong. */
#include "sync/options.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* what one run printed */
static char *out_text, *err_text;
static struct cq_sync_options options;

/* Reads a line whose words are separated by blanks; '_' stands for an empty
 * word, '~' for a blank in one. */
static enum cq_options_result read_line(const char *line)
{
    static char copy[8192];
    char name[] = "clamquota-sync", *rest;
    char *argv[256] = { name };
    size_t out_n, err_n;
    enum cq_options_result result;
    FILE *out, *err;
    int argc = 1;
    char *at;

    free(out_text);
    free(err_text);
    cq_sync_options_free(&options);
    out = open_memstream(&out_text, &out_n);
    err = open_memstream(&err_text, &err_n);
    snprintf(copy, sizeof(copy), "%s", line);
    for (at = strtok_r(copy, " ", &rest); at != NULL;
         at = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = at;
        if (strcmp(at, "_") == 0) {
            *at = '\0';
        }
        for (; *at != '\0'; at++) {
            *at = *at == '~' ? ' ' : *at;
        }
    }
    argv[argc] = NULL;
    result = cq_sync_options_read(&options, argc, argv, out, err);
    fclose(out);
    fclose(err);
    return result;
}

START_TEST(defaults)
{
    ck_assert(read_line("") == CQ_OPTIONS_RUN);
    ck_assert_str_eq(options.table, "/var/lib/clamquota/clamquota.table");
    ck_assert_str_eq(options.state, "/run/clamquota-sync/state");
    ck_assert_uint_eq(options.jails.count, 1);
    ck_assert_str_eq(options.jails.texts[0], "recent:DenyAccessClamAV");
    ck_assert_uint_eq(options.pools.count + options.deny_files.count
                      + options.never_files.count + options.never.count, 0);
    ck_assert_int_eq(options.after, 200);
    ck_assert_int_eq(options.grace_s, 60);
    ck_assert_int_eq(options.lease_s, 3600);
    ck_assert(!options.dry_run && !options.verbose && !options.watch
              && !options.status && !options.json && !options.flush);
    ck_assert_str_eq(out_text, "");
    ck_assert_str_eq(err_text, "");
}
END_TEST

START_TEST(everything)
{
    ck_assert(read_line("-nv --table t --jail recent:A,B --jail=nft:inet/f/s "
        "--pool one --pool t.w-o_ --after 1 --grace 0 --never 10.0.0.0/8 "
        "--never ::1 --never 1.2.3.4 --never 1.2.3.4 --never-file n~f "
        "--deny-file d1 --deny-file d2 --lease 15m --state s")
        == CQ_OPTIONS_RUN);
    ck_assert_str_eq(err_text, "");
    ck_assert(options.dry_run && options.verbose);
    ck_assert_str_eq(options.table, "t");
    ck_assert_str_eq(options.state, "s");
    ck_assert_uint_eq(options.jails.count, 2);
    ck_assert_str_eq(options.jails.texts[1], "nft:inet/f/s");
    ck_assert_uint_eq(options.pools.count, 2);
    ck_assert_str_eq(options.pools.texts[1], "t.w-o_");
    ck_assert_int_eq(options.after, 1);
    ck_assert_int_eq(options.grace_s, 0);
    ck_assert_uint_eq(options.never.count, 3);
    ck_assert_uint_eq(options.never.rules[2].net.bytes[0], 1);
    ck_assert_str_eq(options.never_files.texts[0], "n f");
    ck_assert_uint_eq(options.deny_files.count, 2);
    ck_assert_int_eq(options.lease_s, 900);
    ck_assert(read_line("--watch -v") == CQ_OPTIONS_RUN && options.watch);
    ck_assert(read_line("--status") == CQ_OPTIONS_RUN && options.status);
    ck_assert(read_line("--json --status") == CQ_OPTIONS_RUN && options.json);
    ck_assert(read_line("--flush -n") == CQ_OPTIONS_RUN && options.flush);
    ck_assert(read_line("--lease 24d --grace 366d --after 16777215")
              == CQ_OPTIONS_RUN);
    ck_assert(read_line("--verbose --dry-run") == CQ_OPTIONS_RUN);
    ck_assert(read_line("--lease 1") == CQ_OPTIONS_RUN);
}
END_TEST

static const struct {
    const char *line;
    const char *said;
} wrong[] = {
    { "x", "\"x\": expected only options" },
    { "-n x -v", "\"x\": expected only options" },
    { "-x", "-x: no such option" },
    { "-nx", "-x: no such option" },
    { "--xyz", "--xyz: no such option" },
    { "--st", "--st: no such option" },
    { "--watch=1", "--watch=1: takes no value" },
    { "--table", "--table: expected a value" },
    { "--table _", "--table \"\": expected the name of a file" },
    { "--table a\nb", "--table \"a?b\": expected the name of a file" },
    { "--state _", "--state \"\": expected the name of a file" },
    { "--deny-file _", "--deny-file \"\": expected the name of a file" },
    { "--never-file _", "--never-file \"\": expected the name of a file" },
    { "--deny-file a --deny-file a", "--deny-file a: given twice" },
    { "--jail a --jail a", "--jail a: given twice" },
    { "--pool _", "--pool \"\": expected the name of a pool" },
    { "--pool a/b", "--pool \"a/b\": expected the name of a pool" },
    { "--pool a~b", "--pool \"a b\": expected the name of a pool" },
    { "--pool a123456789b123456789c123456789d1",
      "--pool \"a123456789b123456789c123456789d1\": expected" },
    { "--pool a --pool a", "--pool a: given twice" },
    { "--after 0", "--after \"0\": expected a number of refusals from 1" },
    { "--after -1", "--after \"-1\": expected a number" },
    { "--after x", "--after \"x\": expected a number" },
    { "--after 1x", "--after \"1x\": expected a number" },
    { "--after _", "--after \"\": expected a number" },
    { "--after 1.5", "--after \"1.5\": expected a number" },
    { "--after 16777216", "--after \"16777216\": expected a number" },
    { "--after 99999999999999999999999", "e.g. --after 200" },
    { "--grace x", "--grace \"x\": expected how long" },
    { "--grace -1", "--grace \"-1\": expected how long" },
    { "--grace 500ms", "--grace \"500ms\": expected how long" },
    { "--grace 367d", "e.g. --grace 60s" },
    { "--lease 0", "--lease \"0\": expected how long an entry" },
    { "--lease 0s", "--lease \"0s\": expected how long an entry" },
    { "--lease 25d", "from 1s to 24d, e.g. --lease 1h" },
    { "--lease 4w", "--lease \"4w\": expected how long an entry" },
    { "--lease 1~h", "--lease \"1 h\": expected how long an entry" },
    { "--never 1.2.3.4/8", "--never \"1.2.3.4/8\": host bits are set" },
    { "--never example.org", "--never \"example.org\": not an address" },
    { "--never _", "--never \"\": the address is missing" },
    { "--json", "--json: expected with --status" },
    { "--watch --status", "expected one of --watch, --status and --flush" },
    { "--watch --flush", "expected one of --watch, --status and --flush" },
    { "-n --watch", "-n: expected without --watch and --status" },
    { "-n --status", "-n: expected without --watch and --status" }
};

START_TEST(one_sentence)
{
    size_t size;

    ck_assert_msg(read_line(wrong[_i].line) == CQ_OPTIONS_WRONG, "%s",
                  wrong[_i].line);
    ck_assert_str_eq(out_text, "");
    size = strlen(err_text);
    ck_assert(size > 0 && strchr(err_text, '\n') == err_text + size - 1);
    ck_assert(strncmp(err_text, "clamquota-sync: ", 16) == 0);
    ck_assert_msg(strstr(err_text, wrong[_i].said) != NULL, "%s", err_text);
}
END_TEST

START_TEST(too_many)
{
    char line[2048];
    size_t i, n = 0;

    for (i = 0; i < CQ_TEXTS_MAX; i++) {
        n += (size_t)snprintf(line + n, sizeof(line) - n, "--pool p%zu ", i);
    }
    ck_assert(read_line(line) == CQ_OPTIONS_RUN);
    ck_assert_uint_eq(options.pools.count, CQ_TEXTS_MAX);
    snprintf(line + n, sizeof(line) - n, "--pool p");
    ck_assert(read_line(line) == CQ_OPTIONS_WRONG);
    ck_assert(strstr(err_text, "--pool p: expected at most 64") != NULL);
}
END_TEST

START_TEST(texts)
{
    static const char *const lines[] = { "-h", "--help", "-n --help x" };

    for (size_t i = 0; i < COUNT(lines); i++) {
        ck_assert(read_line(lines[i]) == CQ_OPTIONS_DONE);
        ck_assert(strncmp(out_text, "Usage: clamquota-sync", 21) == 0);
        ck_assert_str_eq(err_text, "");
    }
    for (const char *line = out_text; line != NULL && *line != '\0';
         line = strchr(line, '\n') + 1) {
        ck_assert(strchr(line, '\n') - line <= 80);
    }
    ck_assert(read_line("-V") == CQ_OPTIONS_DONE);
    ck_assert(strncmp(out_text, "clamquota-sync ", 15) == 0);
    ck_assert(read_line("--version") == CQ_OPTIONS_DONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/options");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_test(all, defaults);
    tcase_add_test(all, everything);
    tcase_add_loop_test(all, one_sentence, 0, (int)COUNT(wrong));
    tcase_add_test(all, too_many);
    tcase_add_test(all, texts);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
