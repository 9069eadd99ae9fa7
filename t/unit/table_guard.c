/* table: a page that is lost kills no process, ends counting in every
 * process, and is reported once; what is not ours dies as it would without
 * us. */
#include "table/guard.h"
#include "table_fileops.h"

#include <signal.h>

/* Everything that a request and the housekeeping do. */
static void work(struct cq_table *t)
{
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_clock_watch watch = { 0 };
    struct cq_row row;
    uint64_t position = 0;
    uint32_t k;

    for (k = 0; k < 20; k++) {
        struct cq_key key = client(k);
        struct cq_account a;

        if (cq_account_open(t, 0, &key, &clock, &a) == CQ_OK) {
            cq_account_admit(&a, &clock, 1000, 10, NULL);
            cq_account_charge(&a, &clock, 20);
            cq_account_close(&a);
        }
    }
    cq_table_total_add(t, 0, CQ_TOTAL_SENT, 1);
    cq_table_tick(t, &watch, NOON_S + 1, 1);
    while (cq_table_next_row(t, &clock, &position, &row)) {
    }
    cq_table_notices(t);
}

static const off_t lengths[] = { 0, 1, 4096, 65536, 400000, -4096 };

START_TEST(cut_short)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account open = open_client(t, 1, &clock);
    struct cq_account later;
    struct cq_key key = client(2);
    off_t length = lengths[_i];
    struct cq_table *tool;
    pid_t pid;

    work(t);
    ck_assert_int_eq(cq_table_health(t), CQ_HEALTH_OK);
    ck_assert(!cq_table_inspect(t));
    length += length < 0 ? (off_t)t->size : 0;
    ck_assert_int_eq(truncate(f.path, length), 0);
    pid = fork();
    if (pid == 0) {
        cq_table_guard(t);
        cq_account_charge(&open, &clock, 100);
        work(t);
        cq_account_close(&open);
        _exit(0);
    }
    ck_assert_int_eq(wait_for(pid), 0);
    work(t);
    ck_assert(cq_table_inspect(t));         /* also if no process touched it */
    ck_assert(!cq_table_inspect(t));
    ck_assert_int_eq(cq_table_health(t), CQ_HEALTH_LOST);
    cq_table_notice(t, CQ_NOTICE_FILL);     /* of 0 clients */
    ck_assert_uint_eq(cq_table_notices(t), 0);
    ck_assert(!cq_table_notice_first(t, CQ_NOTICE_PROXY_REFUSED));
    ck_assert_int_eq(cq_account_open(t, 0, &key, &clock, &later), CQ_EIO);
    cq_account_charge(&later, &clock, 1);
    cq_account_close(&later);
    cq_account_charge(&open, &clock, 1);
    cq_account_close(&open);
    ck_assert_int_ne(cq_tablefile_attach(f.path, true, &tool, why,
                                         sizeof(why)), CQ_OK);
    fixture_end(&f, t);
}
END_TEST

/* One process touches what is lost, the others know. */
START_TEST(children_know)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100);
    pid_t pid;

    ck_assert_int_eq(truncate(f.path, (off_t)(t->size - 4096)), 0);
    pid = fork();
    if (pid == 0) {
        t->cold[t->rows_n - 1].free = 1;
        _exit(cq_table_health(t) == CQ_HEALTH_LOST ? 0 : 1);
    }
    ck_assert_int_eq(wait_for(pid), 0);
    ck_assert_int_eq(cq_table_health(t), CQ_HEALTH_LOST);
    fixture_end(&f, t);
}
END_TEST

START_TEST(removed_and_replaced)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100);
    struct cq_clock clock = clock_at(t, NOON_S);

    ck_assert_int_eq(unlink(f.path), 0);
    ck_assert(cq_table_inspect(t));
    ck_assert(!cq_table_inspect(t));
    ck_assert_int_eq(cq_table_health(t), CQ_HEALTH_DETACHED);
    charge_client(t, 1, &clock, 100);
    ck_assert_int_eq(row_of(t, 1, &clock).used_bytes, 100);
    write_file(f.path, "other", 5);
    ck_assert(!cq_table_inspect(t));
    ck_assert_int_eq(cq_table_health(t), CQ_HEALTH_DETACHED);
    fixture_end(&f, t);
}
END_TEST

/* ---- what is not ours ---- */

static volatile sig_atomic_t others;

static void others_handler(int signal_number)
{
    others++;
    if (others > 1) {
        _exit(signal_number == SIGBUS ? 7 : 8);
    }
}

/* @return the wait status of a child that has an error in foreign memory, or
 * is sent the signal; with a handler of its own from before, or without */
static int foreign(bool handled, bool sent)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct fixture f;
        char *other;
        struct cq_table *t;
        int fd;

        if (handled) {
            signal(SIGBUS, others_handler);
            others = sent ? 1 : 0;
        }
        t = fixture_table(&f, 10);
        fd = t->fd;
        fixture_end(&f, NULL);              /* the mapping stays */
        other = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd,
                     (off_t)t->size);       /* behind its end */
        if (sent) {
            kill(getpid(), SIGBUS);
        }
        else {
            others = 1;
            _exit(*other);
        }
        _exit(0);
    }
    return wait_for(pid);
}

START_TEST(not_ours)
{
    int status;

    status = foreign(false, false);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    status = foreign(false, true);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    status = foreign(true, false);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = foreign(true, true);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
END_TEST

static bool handler_is(void (*handler)(int))
{
    struct sigaction now;

    return sigaction(SIGBUS, NULL, &now) == 0 && now.sa_handler == handler;
}

START_TEST(handlers_come_and_go)
{
    struct fixture f;
    struct cq_table *t;

    signal(SIGBUS, others_handler);
    t = fixture_table(&f, 10);
    ck_assert(!handler_is(others_handler));
    cq_table_unguard(t);
    ck_assert(handler_is(others_handler));
    cq_table_guard(t);
    ck_assert(!handler_is(others_handler));
    signal(SIGBUS, SIG_IGN);            /* httpd puts its own in */
    cq_table_guard(t);
    ck_assert(!handler_is(SIG_IGN));
    signal(SIGBUS, SIG_DFL);
    cq_table_unguard(t);                /* that is not ours: it stays */
    ck_assert(handler_is(SIG_DFL));
    fixture_end(&f, t);
}
END_TEST

/* mappings that have no file but may be shared with children */
static int shared_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        n += strstr(line, "/dev/zero (deleted)") != NULL;
    }
    fclose(maps);
    return n;
}

START_TEST(closed)
{
    struct fixture f;
    struct cq_table *t;
    int before;

    signal(SIGBUS, others_handler);
    before = shared_mappings();
    t = fixture_table(&f, 10);
    ck_assert_int_eq(shared_mappings(), before + 1);
    fixture_end(&f, t);
    ck_assert_int_eq(shared_mappings(), before);
    ck_assert(handler_is(others_handler));
}
END_TEST

/* Memory that is guarded once more keeps its place, and takes no other one. */
START_TEST(guarded_again)
{
    static _Atomic uint32_t lost;
    static char memory[9][8];           /* one more than there are places */
    int i;

    signal(SIGBUS, others_handler);
    for (i = 0; i < 8; i++) {
        cq_guard_begin(memory[i], sizeof(memory[i]), &lost);
    }
    cq_guard_end(memory[0]);
    cq_guard_begin(memory[1], sizeof(memory[1]), &lost);
    cq_guard_begin(memory[8], sizeof(memory[8]), &lost);
    for (i = 1; i < 8; i++) {
        cq_guard_end(memory[i]);
    }
    ck_assert(!handler_is(others_handler));
    cq_guard_end(memory[8]);
    ck_assert(handler_is(others_handler));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/guard");
    TCase *tcase = tcase_create("guard");

    suite_add_tcase(suite, tcase);
    tcase_add_loop_test(tcase, cut_short, 0,
                        (int)(sizeof(lengths) / sizeof(lengths[0])));
    tcase_add_test(tcase, children_know);
    tcase_add_test(tcase, removed_and_replaced);
    tcase_add_test(tcase, not_ours);
    tcase_add_test(tcase, handlers_come_and_go);
    tcase_add_test(tcase, closed);
    tcase_add_test(tcase, guarded_again);
    return run_suite(suite);
}
