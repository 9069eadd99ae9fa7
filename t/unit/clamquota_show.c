/* clamquota show: what it prints of a table that another process serves. */
#include "clamquota/command.h"
#include "table/exchange.h"
#include "table/jail.h"
#include "table_fileops.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define OTHER_NODE 77

static struct fixture f;
static char printed[16384], sentence[1024];

/* ---- the process that serves the table ---- */

static void open_table(struct cq_table **table, struct cq_clock *clock)
{
    struct cq_cluster_status status = { .label = "a", .nodes_n = 2,
                                        .rounds = 7 };
    struct cq_account a;
    uint16_t pool;

    *table = fixture_open(&f, NULL);
    ck_assert_int_eq(cq_table_pool(*table, "default", &pool), CQ_OK);
    *clock = clock_at(*table, f.want.now_s);
    a = open_client(*table, 1, clock);
    cq_account_charge(&a, clock, 2048);
    cq_account_count_hit(&a, clock);
    cq_account_close(&a);
    status.node = cq_table_node(*table);
    status.nodes[0] = (struct cq_cluster_node){ .id = status.node,
                                                .label = "a", .self = true };
    status.nodes[1] = (struct cq_cluster_node){ .id = OTHER_NODE,
                                                .label = "b" };
    cq_cluster_status_write(*table, &status);
}

/* Answers questions as the exchanger does: the last one counts. Another command
 * asks behind the first `others` questions.
 * @param ready  is closed when the table is there */
static _Noreturn void serve(int ready, int others)
{
    const struct timespec step = { 0, 1000000 };
    struct cq_key other = client(9);
    struct cq_node_shares answer;
    struct cq_clock clock;
    struct cq_table *table;

    open_table(&table, &clock);
    close(ready);
    for (;;) {
        if (cq_question_read(table, &answer)) {
            if (others-- > 0) {
                (void)cq_shares_ask(table, 0, &other);
                (void)cq_question_read(table, &answer);
            }
            answer.shares_n = 3;
            answer.shares[0] = (struct cq_node_share){ cq_table_node(table),
                                                       2048, 0 };
            answer.shares[1] = (struct cq_node_share){ OTHER_NODE, 4096,
                                                       1024 };
            answer.shares[2] = (struct cq_node_share){ 0xabc, 1024, 0 };
            cq_question_answer(table, &answer);
        }
        (void)nanosleep(&step, NULL);
    }
}

static pid_t start(int others)
{
    int ends[2];
    char byte;
    pid_t pid;

    fixture_begin(&f, 64);
    f.want.now_s = (int64_t)time(NULL);
    f.want.cluster = true;
    f.want.machine = 1;
    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(ends[0]);
        serve(ends[1], others);
    }
    close(ends[1]);
    ck_assert_int_eq((int)read(ends[0], &byte, 1), 0);
    close(ends[0]);
    return pid;
}

static void stop(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    fixture_end(&f, NULL);
}

/* ---- the command ---- */

static enum cq_exit show(const char *address, const char *option,
                         const char *value)
{
    char words[6][128] = { "show", "", "--table" };
    char *argv[7] = { words[0], words[1], words[2], words[3] };
    FILE *out = fmemopen(printed, sizeof(printed), "w");
    FILE *err = fmemopen(sentence, sizeof(sentence), "w");
    enum cq_exit result;
    int argc = 4;

    snprintf(words[1], sizeof(words[1]), "%s", address);
    snprintf(words[3], sizeof(words[3]), "%s", f.path);
    if (option != NULL) {
        snprintf(words[4], sizeof(words[4]), "%s", option);
        snprintf(words[5], sizeof(words[5]), "%s", value);
        argv[argc++] = words[4];
        argv[argc++] = words[5];
    }
    result = cq_command_show(argc, argv, out, err);
    fclose(out);
    fclose(err);
    return result;
}

#define EXPECT_LINE(line) \
    ck_assert_msg(strstr(printed, "\n" line "\n") != NULL, "%s", printed)

/* A question whose place another command's took is asked again. */
START_TEST(nodes)
{
    pid_t pid = start(_i);

    ck_assert_int_eq(show("10.0.0.1", NULL, NULL), CQ_EXIT_DONE);
    EXPECT_LINE("  nodes          a (this node): 2.0 KiB used");
    EXPECT_LINE("                 0000000000000abc (not seen by this node): "
                "1.0 KiB used");
    EXPECT_LINE("                 b (silent): 4.0 KiB used, 1.0 KiB in flight");
    ck_assert_str_eq(sentence, "");
    stop(pid);
}
END_TEST

/* ---- without httpd ---- */

/* The table of a server that allows 10,000 bytes a day, with
 * its clients. */
static void make(void (*draw)(struct cq_table *table, struct cq_clock *clock))
{
    const struct cq_policy policy = { 10000, 0 };
    struct cq_clock clock;
    struct cq_table *table;
    uint16_t pool, index;

    fixture_begin(&f, 64);
    f.want.kind = CQ_PERIOD_DAY;
    f.want.now_s = (int64_t)time(NULL);
    table = fixture_open(&f, NULL);
    cq_table_policies_begin(table);
    ck_assert_int_eq(cq_table_pool(table, "default", &pool), CQ_OK);
    ck_assert_int_eq(cq_table_policy(table, pool, "ClamQuotaDaily", &policy,
                                     &index), CQ_OK);
    cq_table_policies_end(table);
    clock = clock_at(table, f.want.now_s);
    draw(table, &clock);
    cq_tablefile_close(table);
}

/* Its open transfers reserve what is left; LogOnly would have refused it. */
static void make_busy(struct cq_table *table, struct cq_clock *clock)
{
    struct cq_account a = open_client(table, 1, clock);
    struct cq_usage usage;

    cq_account_charge(&a, clock, 2048);
    ck_assert_int_eq(cq_account_admit(&a, clock, 10000, 9000, &usage), CQ_OK);
    cq_account_count_hit(&a, clock);
    cq_account_count_refusal(&a, clock, CQ_STATE_LOGONLY);
    /* its server is killed: nothing is refunded */
}

START_TEST(busy)
{
    make(make_busy);
    ck_assert_int_eq(show("10.0.0.1", NULL, NULL), CQ_EXIT_DONE);
    EXPECT_LINE("  state          busy: its open transfers reserve the rest of "
                "its allowance; refused until one of them ends");
    EXPECT_LINE("  allowance      day 1 x 10000 = 9.8 KiB, used 2.0 KiB");
    EXPECT_LINE("  period         1 hits, 0 refused, 1 would have been "
                "refused, 0 B free, 8.8 KiB in flight");
    ck_assert_ptr_null(strstr(printed, "To admit it again:"));
    fixture_end(&f, NULL);
}
END_TEST

static void make_jailed(struct cq_table *table, struct cq_clock *clock)
{
    struct cq_jail_report report = { .spec = "recent:CqNone", .jailed = 1,
                                     .as_of_s = f.want.now_s - 60 };
    struct cq_key key = client(1);
    struct cq_account a = open_client(table, 1, clock);

    cq_account_charge(&a, clock, 20000);
    cq_account_close(&a);
    cq_table_jail_set(table, &report);
    cq_table_mark_jailed(table, &key, true);
}

/* Where the kernel does not answer, the mark of clamquota-sync is shown; a jail
 * that the operator names is not known to hold a client without it. */
START_TEST(jail_that_does_not_answer)
{
    make(make_jailed);
    ck_assert_int_eq(show("10.0.0.1", NULL, NULL), CQ_EXIT_DONE);
    ck_assert_ptr_nonnull(strstr(printed, "\n  jailed         recent:CqNone, "
                                 "as clamquota-sync reported at 20"));
    EXPECT_LINE("clamquota-sync then releases it at its next pass, within a "
                "minute.");
    ck_assert_int_eq(show("10.0.0.2", NULL, NULL), CQ_EXIT_DONE);
    ck_assert_ptr_null(strstr(printed, "jailed"));
    ck_assert_int_eq(show("10.0.0.2", "--jail", "cell:1"), CQ_EXIT_DONE);
    ck_assert_ptr_nonnull(strstr(printed, "\n  jailed         not known of "
                                 "cell:1: --jail \"cell:1\": no such kind of "
                                 "jail, expected "));
    ck_assert_ptr_null(strstr(printed, "To admit it again:"));
    fixture_end(&f, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clamquota/show");
    TCase *tcase = tcase_create("show");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, nodes, 0, 3);
    tcase_add_test(tcase, busy);
    tcase_add_test(tcase, jail_that_does_not_answer);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
