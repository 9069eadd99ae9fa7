/* table: what is not done, and the sentence that says why. */
#include "table/exempt.h"
#include "table/file.h"
#include "table/rules.h"
#include "table_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

static char why[CQ_WHY_SIZE];

static enum cq_status open_wanted(struct fixture *f, struct cq_table **t)
{
    memset(why, 0, sizeof(why));
    return cq_tablefile_open(&f->want, t, NULL, why, sizeof(why));
}

START_TEST(pools)
{
    static const char *const bad[] = { "", " ", "a b", "a/b", "\xc3\xa4",
                                       "a\n" };
    char name[CQ_POOL_NAME_SIZE + 1];
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);     /* "default" is 0 */
    uint16_t pool = 4711;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(cq_table_pool(t, bad[i], &pool), CQ_EINVAL);
    }
    memset(name, 'x', sizeof(name));
    name[CQ_POOL_NAME_SIZE] = '\0';
    ck_assert_int_eq(cq_table_pool(t, name, &pool), CQ_EINVAL);
    ck_assert_uint_eq(pool, 4711);
    ck_assert_uint_eq(cq_table_pool_count(t), 1);
    name[CQ_POOL_NAME_SIZE - 1] = '\0';
    ck_assert_int_eq(cq_table_pool(t, name, &pool), CQ_OK);
    ck_assert_uint_eq(pool, 1);
    for (i = 2; i < CQ_POOLS_MAX; i++) {
        snprintf(name, sizeof(name), "pool-%zu._A", i);
        ck_assert_int_eq(cq_table_pool(t, name, &pool), CQ_OK);
        ck_assert_uint_eq(pool, i);
    }
    ck_assert_int_eq(cq_table_pool(t, "one-more", &pool), CQ_EFULL);
    ck_assert_uint_eq(cq_table_pool_count(t), CQ_POOLS_MAX);
    ck_assert_int_eq(cq_table_pool(t, "pool-17._A", &pool), CQ_OK);
    ck_assert_uint_eq(pool, 17);
    fixture_end(&f, t);
}
END_TEST

START_TEST(clock_out_of_range)
{
    static const int64_t bad[] = { -1, INT64_C(6000000000) };
    char expected[256];
    struct cq_table *t;
    struct fixture f;
    size_t i;

    for (i = 0; i < 2; i++) {
        fixture_begin(&f, 10);
        f.want.now_s = bad[i];
        ck_assert_int_eq(open_wanted(&f, &t), CQ_EINVAL);
        snprintf(expected, sizeof(expected), "%s: the clock shows a time "
                 "outside 1970 to 2149: set it and start again", f.path);
        ck_assert_str_eq(why, expected);
        ck_assert_int_eq(rmdir(f.dir), 0);      /* nothing is left there */
    }
}
END_TEST

START_TEST(directory_that_is_missing)
{
    char path[128], expected[512];
    struct cq_table *t;
    struct fixture f;

    fixture_begin(&f, 10);
    snprintf(path, sizeof(path), "%s/no/table", f.dir);
    f.want.path = path;
    ck_assert_int_eq(open_wanted(&f, &t), CQ_EIO);
    snprintf(expected, sizeof(expected), "%s: cannot be made in its "
             "directory: No such file or directory; the directory must exist "
             "and be writable for the user that starts the server, e.g. "
             "install -d -m 0750 %s/no", path, f.dir);
    ck_assert_str_eq(why, expected);
    ck_assert_int_eq(rmdir(f.dir), 0);
}
END_TEST

/* Files of this process are limited to one byte less than it takes, then to
 * exactly that. */
START_TEST(limit_of_file_sizes)
{
    struct rlimit before, limit;
    char expected[256];
    struct cq_table *t;
    struct fixture f;
    rlim_t size;

    t = fixture_table(&f, 10);
    size = t->size;
    fixture_end(&f, t);
    fixture_begin(&f, 10);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = size - 1;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(open_wanted(&f, &t), CQ_EIO);
    snprintf(expected, sizeof(expected), "%s: no room for the table of %zu "
             "bytes: files of this process are limited to %zu (ulimit -f, "
             "LimitFSIZE=)", f.path, (size_t)size, (size_t)size - 1);
    ck_assert_str_eq(why, expected);
    limit.rlim_cur = size;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(open_wanted(&f, &t), CQ_OK);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    fixture_end(&f, t);
}
END_TEST

/* Another process serves the table: no second server; a tool sees that. */
START_TEST(served_by_another)
{
    char expected[512];
    struct cq_table *t, *tool;
    struct fixture f;
    int up[2], down[2];
    char byte = 0;
    pid_t pid;

    fixture_begin(&f, 10);
    ck_assert(pipe(up) == 0 && pipe(down) == 0);
    pid = fork();
    if (pid == 0) {
        t = fixture_open(&f, NULL);
        close(down[1]);
        if (write(up[1], "x", 1) != 1 || read(down[0], &byte, 1) < 0) {
            _exit(1);
        }
        cq_tablefile_close(t);
        _exit(0);
    }
    close(down[0]);
    ck_assert_int_eq(read(up[0], &byte, 1), 1);
    ck_assert_int_eq(open_wanted(&f, &t), CQ_ELOCKED);
    snprintf(expected, sizeof(expected), "%s: used by another server (process "
             "%ld): two servers cannot count in one table; give each its own "
             "with ClamQuotaTable", f.path, (long)pid);
    ck_assert_str_eq(why, expected);
    /* one that is about to end is waited for, not longer */
    f.want.lock_wait_ms = 25;
    ck_assert_int_eq(open_wanted(&f, &t), CQ_ELOCKED);
    ck_assert_int_eq(cq_tablefile_attach(f.path, false, &tool, why,
                                         sizeof(why)), CQ_OK);
    ck_assert(cq_tablefile_is_served(tool));
    ck_assert(cq_tablefile_is_in_use(tool));
    f.want.lock_wait_ms = 60000;
    close(down[1]);                     /* it ends */
    ck_assert_int_eq(open_wanted(&f, &t), CQ_OK);
    ck_assert_int_eq(wait_for(pid), 0);
    cq_tablefile_close(tool);           /* its lock is this process's, too */
    fixture_end(&f, t);
    close(up[0]);
    close(up[1]);
}
END_TEST

START_TEST(not_served)
{
    struct cq_table *t, *tool;
    struct fixture f;

    t = fixture_table(&f, 10);
    cq_tablefile_close(t);
    ck_assert_int_eq(cq_tablefile_attach(f.path, false, &tool, why,
                                         sizeof(why)), CQ_OK);
    ck_assert(!cq_tablefile_is_served(tool));
    ck_assert(!cq_tablefile_is_in_use(tool));
    /* which writes nothing */
    ck_assert_int_eq(cq_node_forget(tool, 1, NOON_S * 1000), CQ_EACCES);
    fixture_end(&f, tool);
}
END_TEST

/* A child that still counts keeps its table in use, but serves no client. */
START_TEST(a_child_is_left)
{
    struct cq_table *t, *tool;
    struct fixture f;
    int up[2], down[2];
    char byte = 0;
    pid_t pid;

    t = fixture_table(&f, 10);
    ck_assert(pipe(up) == 0 && pipe(down) == 0);
    pid = fork();
    if (pid == 0) {
        close(down[1]);
        _exit(cq_table_enter(t) && write(up[1], "x", 1) == 1
              && read(down[0], &byte, 1) == 0 ? 0 : 1);
    }
    ck_assert_int_eq(read(up[0], &byte, 1), 1);
    cq_tablefile_close(t);
    ck_assert_int_eq(cq_tablefile_attach(f.path, false, &tool, why,
                                         sizeof(why)), CQ_OK);
    ck_assert(!cq_tablefile_is_served(tool));
    ck_assert(cq_tablefile_is_in_use(tool));
    close(down[1]);                     /* it ends */
    ck_assert_int_eq(wait_for(pid), 0);
    ck_assert(!cq_tablefile_is_in_use(tool));
    fixture_end(&f, tool);
    close(down[0]);
    close(up[0]);
    close(up[1]);
}
END_TEST

/* A child that gets no lock serves uncounted, and that is not for want of
 * entries in the ledger. */
START_TEST(no_lock)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_key key = client(1);
    struct cq_account account;
    struct cq_table_figures figures;
    uint32_t high = cq_ledger_high(t);
    pid_t pid = fork();

    if (pid == 0) {
        close(t->fd);
        ck_assert(!cq_table_enter(t));
        ck_assert_int_eq(errno, EBADF);
        ck_assert_int_eq(cq_account_open(t, 0, &key, &clock, &account),
                         CQ_ENOMEM);
        cq_account_charge(&account, &clock, 50);
        cq_account_close(&account);
        _exit(0);
    }
    ck_assert_int_eq(wait_for(pid), 0);
    cq_table_figures(t, &figures);
    ck_assert_int_eq(figures.clients, 0);
    ck_assert_int_eq(figures.ledger_full, 0);
    ck_assert_uint_eq(cq_table_notices(t), 0);
    ck_assert_uint_eq(cq_ledger_high(t), high);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* Started without a standard input, a server or a tool gets its number. */
START_TEST(descriptor_0)
{
    struct cq_table *t, *tool;
    struct fixture f;
    int input = dup(0);

    fixture_begin(&f, 10);
    close(0);
    t = fixture_open(&f, NULL);
    ck_assert_int_eq(t->fd, 0);
    cq_tablefile_close(t);
    ck_assert_int_eq(cq_tablefile_attach(f.path, false, &tool, why,
                                         sizeof(why)), CQ_OK);
    ck_assert_int_eq(tool->fd, 0);
    cq_tablefile_close(tool);
    ck_assert_int_eq(fcntl(0, F_GETFD), -1);    /* and releases it */
    if (input >= 0) {
        dup2(input, 0);
        close(input);
    }
    fixture_end(&f, NULL);
}
END_TEST

START_TEST(unreadable)
{
    struct cq_why sentence = { why, sizeof(why) };
    struct cq_geometry geometry;
    char expected[256];
    enum cq_status status = CQ_OK;
    struct fixture f;
    int fd;

    cq_tablefile_close(fixture_table(&f, 10));
    fd = open(f.path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(cq_file_validate(fd, f.path, &geometry, &status,
                                      &sentence), CQ_FILE_BAD);
    ck_assert_int_eq(status, CQ_EIO);
    snprintf(expected, sizeof(expected), "%s: cannot be read: Bad file "
             "descriptor", f.path);
    ck_assert_str_eq(why, expected);
    close(fd);
    fixture_end(&f, NULL);
}
END_TEST

/* Periods of another kind are other ones: none of the old calendar stays. */
START_TEST(calendar_of_another_kind)
{
    struct cq_table *t;
    struct fixture f;
    uint32_t i, id;

    cq_tablefile_close(fixture_table(&f, 10));
    f.want.kind = CQ_PERIOD_DAY;
    ck_assert_int_eq(open_wanted(&f, &t), CQ_OK);
    id = t->header->period_id;
    for (i = 0; i < CQ_CALENDAR; i++) {
        const struct cq_calendar_slot *slot = &t->header->calendar[i];

        ck_assert_uint_eq(slot->id, i == id % CQ_CALENDAR ? id
                          : i == (id + 1) % CQ_CALENDAR ? id + 1 : 0);
    }
    fixture_end(&f, t);
}
END_TEST

START_TEST(no_cluster)
{
    struct cq_act act = { client(1), CQ_ACT_RESET, 0, 0 };
    struct cq_cluster_status status;
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);

    ck_assert(!cq_table_has_cluster(t));
    ck_assert_int_eq(cq_act_note(t, &act, NOON_S * 1000), CQ_EINVAL);
    ck_assert_int_eq(cq_node_forget(t, 1, NOON_S * 1000), CQ_EINVAL);
    ck_assert(!cq_cluster_status_read(t, &status));
    ck_assert_uint_eq(status.nodes_n, 0);
    fixture_end(&f, t);
}
END_TEST

/* Networks of more and of fewer than 64 bits of an IPv6 address. */
START_TEST(exempt_by_the_bit)
{
    static const struct {
        const char *net, *client;
        bool exempt;
    } cases[] = {
        { "2001:db8::1", "2001:db8::1", true },
        { "2001:db8::1", "2001:db8::", false },
        { "2001:db8::8000/113", "2001:db8::ffff", true },
        { "2001:db8::8000/113", "2001:db8::7fff", false },
        { "2001:db8:0:0:8000::/65", "2001:db8:0:0:8000::", true },
        { "2001:db8:0:0:8000::/65", "2001:db8:0:0:7fff::", false },
        { "2001:db8:0:0:8000::/65", "2001:db8:0:1:8000::", false },
        { "2001:db8::/64", "2001:db8:0:0:ffff::", true },
        { "2001:db8::/64", "2001:db8:0:1::", false },
        { "2001:db8::/33", "2001:db8:7fff::", true },
        { "2001:db8::/33", "2001:db8:8000::", false },
        { "::/0", "2001:db8::", true },
        { "::/0", "192.0.2.1", false },
    };
    struct cq_table *t;
    struct fixture f;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cq_key net, key;

        fixture_begin(&f, 10);
        f.want.prefixes.v6_bits = 128;
        t = fixture_open(&f, NULL);
        ck_assert_int_eq(cq_key_parse(&net, cases[i].net, NULL), CQ_OK);
        ck_assert_int_eq(cq_key_parse(&key, cases[i].client, NULL), CQ_OK);
        ck_assert_int_eq(cq_exempt_set(t, &net, NOON_S + 60, NOON_S), CQ_OK);
        ck_assert_msg(cq_exempt_until(t, &key)
                      == (cases[i].exempt ? NOON_S + 60 : 0), "%s: %s",
                      cases[i].net, cases[i].client);
        fixture_end(&f, t);
    }
}
END_TEST

/* A part of a client's addresses is the client; more than one are all. */
START_TEST(reset_by_the_prefix)
{
    static const char *const clients[] = { "2001:db8:0:1::", "2001:db8:0:2::",
                                           "192.0.2.1", "192.0.2.2" };
    static const struct {
        const char *net;
        const char *reset;      /* '1' for each client that it resets */
    } cases[] = {
        { "2001:db8:0:1::7", "1000" },
        { "2001:db8:0:2::/64", "0100" },
        { "2001:db8::/32", "1100" },
        { "192.0.2.1", "0010" },
        { "192.0.2.0/24", "0011" },
        { "192.0.2.3", "0000" },
    };
    struct cq_table *t;
    struct fixture f;
    size_t i, k;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cq_clock clock;
        struct cq_key net, key;
        int resets = 0;

        t = fixture_table(&f, 10);
        clock = clock_at(t, NOON_S);
        for (k = 0; k < 4; k++) {
            struct cq_account a;

            ck_assert_int_eq(cq_key_parse(&key, clients[k], NULL), CQ_OK);
            key = cq_key_network(&key, key.family == 4 ? 32 : 64);
            ck_assert_int_eq(cq_account_open(t, 0, &key, &clock, &a), CQ_OK);
            cq_account_charge(&a, &clock, 100);
            cq_account_close(&a);
            resets += cases[i].reset[k] == '1';
        }
        ck_assert_int_eq(cq_key_parse(&net, cases[i].net, NULL), CQ_OK);
        ck_assert_int_eq(cq_table_reset(t, &net, &clock), resets);
        for (k = 0; k < 4; k++) {
            struct cq_row row;

            cq_key_parse(&key, clients[k], NULL);
            key = cq_key_network(&key, key.family == 4 ? 32 : 64);
            ck_assert_int_eq(cq_table_row(t, 0, &key, &clock, &row), CQ_OK);
            ck_assert_int_eq(row.used_bytes,
                             cases[i].reset[k] == '1' ? 0 : 100);
        }
        fixture_end(&f, t);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("table: refusals");
    TCase *tc = tcase_create("refusals");

    tcase_add_test(tc, pools);
    tcase_add_test(tc, clock_out_of_range);
    tcase_add_test(tc, directory_that_is_missing);
    tcase_add_test(tc, limit_of_file_sizes);
    tcase_add_test(tc, served_by_another);
    tcase_add_test(tc, not_served);
    tcase_add_test(tc, a_child_is_left);
    tcase_add_test(tc, no_lock);
    tcase_add_test(tc, descriptor_0);
    tcase_add_test(tc, unreadable);
    tcase_add_test(tc, calendar_of_another_kind);
    tcase_add_test(tc, no_cluster);
    tcase_add_test(tc, exempt_by_the_bit);
    tcase_add_test(tc, reset_by_the_prefix);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
