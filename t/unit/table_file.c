/* table: the file. Made whole, kept through everything, for one server. */
#include "table_fileops.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

START_TEST(created)
{
    struct fixture f;
    struct cq_table *t;
    struct stat st;
    unsigned events;

    fixture_begin(&f, 1000);
    umask(0);
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_CREATED);
    ck_assert_int_eq(stat(f.path, &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
    ck_assert_uint_eq(st.st_nlink, 1);
    ck_assert_uint_eq((uint64_t)st.st_size, t->header->geometry.file_size);
    ck_assert_int_ge(st.st_blocks * 512, st.st_size);   /* not sparse */
    ck_assert_int_eq(names_in(f.dir), 1);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(survives_a_restart)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100);
    struct cq_clock clock = clock_at(t, NOON_S);
    unsigned events;

    charge_client(t, 5, &clock, 1234);
    cq_table_total_add(t, 0, CQ_TOTAL_SENT, 1234);
    cq_tablefile_close(t);
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, 0);
    ck_assert_int_eq(row_of(t, 5, &clock).used_bytes, 1234);
    ck_assert_uint_eq(cq_table_pool_count(t), 1);
    cq_tablefile_close(t);
    f.want.now_s = NEXT_MONTH_S;
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, 0);
    clock = clock_at(t, NEXT_MONTH_S);
    ck_assert_int_eq(row_of(t, 5, &clock).used_bytes, 0);
    cq_tablefile_close(t);
    f.want.now_s = NEXT_MONTH_S + 100 * DAY_S;
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_PERIOD_JUMP);
    fixture_end(&f, t);
}
END_TEST

/* A whole server is killed: parent and children. */
START_TEST(survives_kill_9)
{
    struct fixture f;
    struct cq_table *t;
    struct cq_clock clock;
    int64_t *done = shared(sizeof(*done));
    pid_t parent;
    unsigned events;

    fixture_begin(&f, 100);
    parent = fork();
    if (parent == 0) {
        uint16_t pool;
        int child;

        setpgid(0, 0);
        t = fixture_open(&f, NULL);
        cq_table_pool(t, "default", &pool);
        clock = clock_at(t, NOON_S);
        for (child = 0; child < 3; child++) {
            if (fork() == 0) {
                struct cq_account a;

                cq_table_enter(t);
                a = open_client(t, 1, &clock);
                for (;;) {
                    cq_account_admit(&a, &clock, INT64_MAX, 500, NULL);
                    cq_account_charge(&a, &clock, 3);
                    __atomic_add_fetch(done, 3, __ATOMIC_SEQ_CST);
                }
            }
        }
        while (__atomic_load_n(done, __ATOMIC_SEQ_CST) < 30000) {
            usleep(100);
        }
        kill(0, SIGKILL);
    }
    wait_for(parent);
    /* its children are init's now and may be a moment behind */
    while (kill(-parent, SIGKILL) == 0) {
        usleep(100);
    }
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_REPAIRED);
    ck_assert_uint_eq(cq_table_pool_count(t), 1);
    clock = clock_at(t, NOON_S);
    ck_assert_int_ge(row_of(t, 1, &clock).used_bytes, *done);
    ck_assert_int_le(row_of(t, 1, &clock).used_bytes, *done + 9);
    ck_assert_int_eq(row_of(t, 1, &clock).in_flight_bytes, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* The rows are only gone through where something can be wrong with them: a
 * start with ten million took seconds for it, after every stop. A fault is put
 * into the file behind the table's back to see whether they are. */
static unsigned events_with_a_fault(struct fixture *f, uint64_t committed_at)
{
    const uint64_t committed = cq_stamped(1, 1);
    struct cq_table *t;
    unsigned events;

    poke(f->path, (off_t)committed_at, &committed, sizeof(committed));
    t = fixture_open(f, &events);
    ck_assert_uint_eq(atomic_load(&t->header->closed), 0);
    cq_tablefile_close(t);
    return events;
}

START_TEST(closed_in_order)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100), *tool;
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    const uint64_t at = t->header->geometry.hot_at
        + a.row * sizeof(struct cq_hot) + offsetof(struct cq_hot, committed);
    char copy[sizeof(f.path) + 8];
    char *bytes;
    size_t size;
    pid_t pid;
    int fd;

    cq_account_charge(&a, &clock, 500);
    cq_account_close(&a);
    pid = fork();
    if (pid == 0) {             /* a child's end is not the server's */
        cq_tablefile_close(t);
        _exit(0);
    }
    wait_for(pid);
    ck_assert_uint_eq(atomic_load(&t->header->closed), 0);
    size = t->size;
    cq_tablefile_close(t);
    ck_assert_uint_eq(events_with_a_fault(&f, at), 0);
    /* a tool that may change rows was there, and may have been killed */
    ck_assert_int_eq(cq_tablefile_attach(f.path, true, &tool, why,
                                         sizeof(why)), CQ_OK);
    cq_tablefile_close(tool);
    ck_assert_uint_eq(events_with_a_fault(&f, at), CQ_TABLE_REPAIRED);
    /* a copy that was made after its end */
    bytes = malloc(size);
    fd = open(f.path, O_RDONLY);
    ck_assert_int_eq(read(fd, bytes, size), (ssize_t)size);
    close(fd);
    snprintf(copy, sizeof(copy), "%s.copy", f.path);
    write_file(copy, bytes, size);
    free(bytes);
    ck_assert_int_eq(rename(copy, f.path), 0);
    ck_assert_uint_eq(events_with_a_fault(&f, at), CQ_TABLE_REPAIRED);
    /* a server that was killed */
    pid = fork();
    if (pid == 0) {
        fixture_open(&f, NULL);
        _exit(0);
    }
    wait_for(pid);
    ck_assert_uint_eq(events_with_a_fault(&f, at), CQ_TABLE_REPAIRED);
    fixture_end(&f, fixture_open(&f, NULL));
}
END_TEST

START_TEST(resized)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1000);
    struct cq_hour hours[4];
    unsigned events;

    put_clients(t, 1000);
    cq_table_total_add(t, 0, CQ_TOTAL_SENT, 99);
    cq_tablefile_close(t);
    f.want.clients = 50000;
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_RESIZED);
    assert_clients(t, 1000);
    ck_assert_uint_eq(cq_table_history(t, hours, 4), 1);
    ck_assert_int_eq(hours[0].sent_bytes, 99);
    cq_tablefile_close(t);

    f.want.clients = 1000;              /* they fit again */
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_RESIZED);
    assert_clients(t, 1000);
    cq_tablefile_close(t);

    f.want.clients = 600;               /* 900 rows for 1000 clients */
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_NOT_SHRUNK);
    ck_assert_uint_eq(t->header->geometry.clients_n, 1000);
    assert_clients(t, 1000);
    ck_assert_int_eq(names_in(f.dir), 1);
    cq_tablefile_close(t);

    f.want.clients = 1000;
    f.want.ledger_entries = 1000;
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_RESIZED);
    ck_assert_uint_eq(t->ledger_n, 1000);
    assert_clients(t, 1000);
    cq_tablefile_close(t);

    f.want.clients = 600;               /* of a past month they may go */
    f.want.now_s = NEXT_MONTH_S;
    t = fixture_open(&f, &events);
    cq_tablefile_close(t);
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(t->header->geometry.clients_n, 600);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(other_calendar_starts_anew)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100);
    struct cq_clock clock;
    struct cq_row row;
    struct cq_key key = client(1);
    unsigned events;

    put_clients(t, 10);
    cq_tablefile_close(t);
    f.want.kind = CQ_PERIOD_WEEK;
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_RESTARTED);
    ck_assert_uint_eq(cq_table_pool_count(t), 1);
    clock = clock_at(t, NOON_S);
    ck_assert_int_eq(clock.day, 7);             /* a Sunday */
    ck_assert_int_eq(cq_table_row(t, 0, &key, &clock, &row), CQ_ENOENT);
    assert_sound(t);
    put_clients(t, 3);
    cq_tablefile_close(t);
    f.want.prefixes.v4_bits = 24;
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_RESTARTED);
    ck_assert_uint_eq(cq_table_prefixes(t).v4_bits, 24);
    fixture_end(&f, t);
}
END_TEST

START_TEST(not_permitted)
{
    struct fixture f;
    pid_t pid;

    fixture_begin(&f, 100);
    cq_tablefile_close(fixture_open(&f, NULL));
    ck_assert_int_eq(chmod(f.dir, 0755), 0);
    ck_assert_int_eq(chmod(f.path, geteuid() == 0 ? 0600 : 0), 0);
    pid = fork();
    if (pid == 0) {
        struct cq_table *t;
        bool ok = geteuid() != 0 || setuid(65534) == 0;

        ok = ok && try_open(&f, &t, NULL) == CQ_EACCES
            && strstr(why, f.path) != NULL;
        f.want.path = "/nowhere/at/all";
        ok = ok && try_open(&f, &t, NULL) == CQ_EIO;
        _exit(ok ? 0 : 1);
    }
    ck_assert_int_eq(wait_for(pid), 0);
    fixture_end(&f, NULL);
}
END_TEST

START_TEST(disk_full)
{
    struct fixture f;
    struct cq_table *t;

    fixture_begin(&f, 100000);          /* 19 MB */
    if (unshare(CLONE_NEWNS) == 0
        && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
        && mount("tmpfs", f.dir, "tmpfs", 0, "size=8m") == 0) {
        ck_assert_int_eq(try_open(&f, &t, NULL), CQ_EIO);
        ck_assert_ptr_nonnull(strstr(why, "no room"));
        ck_assert_int_eq(names_in(f.dir), 0);
        ck_assert_int_eq(umount(f.dir), 0);
    }
    else {
        printf("# skip: no mount namespace here (not root): %s\n",
               strerror(errno));
        fflush(stdout);
    }
    ck_assert_int_eq(rmdir(f.dir), 0);
}
END_TEST

START_TEST(growth_that_does_not_fit)
{
    struct fixture f;
    struct cq_table *t;

    fixture_begin(&f, 100);
    if (unshare(CLONE_NEWNS) == 0
        && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
        && mount("tmpfs", f.dir, "tmpfs", 0, "size=8m") == 0) {
        uint16_t pool;

        t = fixture_open(&f, NULL);
        cq_table_pool(t, "default", &pool);
        put_clients(t, 100);
        cq_tablefile_close(t);
        f.want.clients = 100000;
        ck_assert_int_eq(try_open(&f, &t, NULL), CQ_EIO);
        ck_assert_ptr_nonnull(strstr(why, "no room"));
        ck_assert_int_eq(names_in(f.dir), 1);
        f.want.clients = 100;
        t = fixture_open(&f, NULL);
        assert_clients(t, 100);
        cq_tablefile_close(t);
        ck_assert_int_eq(umount(f.dir), 0);
    }
    else {
        printf("# skip: no mount namespace here (not root): %s\n",
               strerror(errno));
        fflush(stdout);
    }
    fixture_end(&f, NULL);
}
END_TEST

/* ---- several servers ---- */

START_TEST(second_server)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100);
    pid_t pid = fork();

    if (pid == 0) {
        struct cq_table *second;
        bool ok = try_open(&f, &second, NULL) == CQ_ELOCKED
            && strstr(why, "another server") != NULL;

        f.want.clients = 5000;          /* nor to resize it */
        ok = ok && try_open(&f, &second, NULL) == CQ_ELOCKED;
        /* a tool may look */
        ok = ok && cq_tablefile_attach(f.path, true, &second, why,
                                       sizeof(why)) == CQ_OK;
        cq_tablefile_close(second);
        ok = ok && try_open(&f, &second, NULL) == CQ_ELOCKED;
        _exit(ok ? 0 : 1);
    }
    ck_assert_int_eq(wait_for(pid), 0);
    fixture_end(&f, t);
}
END_TEST

/* Many start at the same instant, also while the file is being replaced by
 * one of another size: at most one of them has it, and it has the name. */
START_TEST(many_at_once)
{
    struct fixture f;
    int *hold = shared(sizeof(int[3]));
    int round, i;

    fixture_begin(&f, 100);
    for (round = 0; round < 40; round++) {
        pid_t pids[4];
        int winners = 0;

        memset(hold, 0, sizeof(int[3]));
        if (round % 4 == 0) {
            unlink(f.path);
        }
        for (i = 0; i < 4; i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                struct cq_table *t;
                enum cq_status status;
                struct stat open_file, named;
                bool ok;

                f.want.clients = 100 + (uint64_t)(round * 4 + i);
                __atomic_add_fetch(&hold[0], 1, __ATOMIC_SEQ_CST);
                while (__atomic_load_n(&hold[0], __ATOMIC_SEQ_CST) < 4) {
                }
                status = try_open(&f, &t, NULL);
                /* no process releases it before all have tried */
                __atomic_add_fetch(&hold[1], 1, __ATOMIC_SEQ_CST);
                while (__atomic_load_n(&hold[1], __ATOMIC_SEQ_CST) < 4) {
                    usleep(10);
                }
                ok = status == CQ_OK && fstat(t->fd, &open_file) == 0
                    && stat(f.path, &named) == 0
                    && open_file.st_ino == named.st_ino;
                _exit(ok ? 1 : status == CQ_ELOCKED ? 0 : 2);
            }
        }
        for (i = 0; i < 4; i++) {
            int code = WEXITSTATUS(wait_for(pids[i]));

            ck_assert_int_ne(code, 2);
            winners += code;
        }
        ck_assert_int_eq(winners, 1);
        ck_assert_int_eq(names_in(f.dir), 1);
    }
    fixture_end(&f, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/file");
    TCase *file = tcase_create("file");
    TCase *servers = tcase_create("servers");

    suite_add_tcase(suite, file);
    tcase_set_timeout(file, 60);
    tcase_add_test(file, created);
    tcase_add_test(file, survives_a_restart);
    tcase_add_test(file, survives_kill_9);
    tcase_add_test(file, closed_in_order);
    tcase_add_test(file, resized);
    tcase_add_test(file, other_calendar_starts_anew);
    tcase_add_test(file, not_permitted);
    tcase_add_test(file, disk_full);
    tcase_add_test(file, growth_that_does_not_fit);
    suite_add_tcase(suite, servers);
    tcase_set_timeout(servers, 60);
    tcase_add_test(servers, second_server);
    tcase_add_test(servers, many_at_once);
    return run_suite(suite);
}
