/* table: an account's counting, exact to the byte. */
#include "table_fixture.h"

#include <sys/wait.h>

#define MB INT64_C(1000000)

START_TEST(reservation)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    struct cq_usage usage;

    ck_assert_int_eq(cq_account_admit(&a, &clock, 100 * MB, 10 * MB, &usage),
                     CQ_OK);
    ck_assert_int_eq(usage.used_bytes, 0);
    ck_assert_int_eq(usage.in_flight_bytes, 0);
    assert_row(t, 1, &clock, 0, 10 * MB);
    cq_account_reserve_at_most(&a, 20 * MB);    /* only ever lowers */
    assert_row(t, 1, &clock, 0, 10 * MB);
    cq_account_reserve_at_most(&a, 4 * MB);
    assert_row(t, 1, &clock, 0, 4 * MB);
    cq_account_charge(&a, &clock, 1 * MB);
    assert_row(t, 1, &clock, 1 * MB, 3 * MB);
    cq_account_charge(&a, &clock, 5 * MB);      /* beyond */
    assert_row(t, 1, &clock, 6 * MB, 0);
    cq_account_charge(&a, &clock, 1);
    assert_row(t, 1, &clock, 6 * MB + 1, 0);
    ck_assert_int_eq(cq_account_admit(&a, &clock, 100 * MB, 7 * MB, &usage),
                     CQ_OK);
    ck_assert_int_eq(usage.used_bytes, 6 * MB + 1);
    cq_account_charge(&a, &clock, 2 * MB);
    assert_row(t, 1, &clock, 8 * MB + 1, 5 * MB);
    cq_account_reserve_at_most(&a, -1);         /* as 0 */
    assert_row(t, 1, &clock, 8 * MB + 1, 0);
    cq_account_charge(&a, &clock, 0);
    cq_account_charge(&a, &clock, -5);
    cq_account_close(&a);
    cq_account_close(&a);
    assert_row(t, 1, &clock, 8 * MB + 1, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(refunded_at_close)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);

    cq_account_admit(&a, &clock, 100, 77, NULL);
    cq_account_charge(&a, &clock, 7);
    assert_row(t, 1, &clock, 7, 70);
    cq_account_close(&a);
    assert_row(t, 1, &clock, 7, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(busy_and_over)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    struct cq_account b = open_client(t, 1, &clock);
    struct cq_usage usage;

    /* the last one admitted may pass the allowance */
    ck_assert_int_eq(cq_account_admit(&a, &clock, 100, 150, &usage), CQ_OK);
    ck_assert_int_eq(cq_account_admit(&b, &clock, 100, 1, &usage), CQ_EFULL);
    ck_assert_int_eq(usage.used_bytes, 0);      /* busy: none of it drawn */
    ck_assert_int_eq(usage.in_flight_bytes, 150);
    cq_account_count_refusal(&b, &clock, CQ_STATE_BUSY);
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, 0);
    ck_assert_int_eq(row_of(t, 1, &clock).refused, 0);

    clock.now_s++;
    cq_account_charge(&a, &clock, 99);
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, 0);
    clock.now_s++;
    cq_account_charge(&a, &clock, 1);           /* the crossing */
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, NOON_S + 2);
    ck_assert_int_eq(cq_account_admit(&b, &clock, 100, 1, &usage), CQ_EFULL);
    ck_assert_int_eq(usage.used_bytes, 100);
    ck_assert_int_eq(usage.in_flight_bytes, 50);
    clock.now_s++;
    cq_account_count_refusal(&b, &clock, CQ_STATE_OVER);
    cq_account_count_refusal(&b, &clock, CQ_STATE_LOGONLY);
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, NOON_S + 2);
    ck_assert_int_eq(row_of(t, 1, &clock).refused, 1);

    /* the next day's allowance */
    ck_assert_int_eq(cq_account_admit(&b, &clock, 200, 1, &usage), CQ_OK);
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, 0);
    cq_account_close(&a);
    cq_account_close(&b);
    assert_row(t, 1, &clock, 100, 0);
    fixture_end(&f, t);
}
END_TEST

/* Used and in flight leave room for one byte, then for none. */
START_TEST(room)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    struct cq_account b = open_client(t, 1, &clock);

    ck_assert(cq_account_has_room(&b, &clock, 1));
    ck_assert(!cq_account_has_room(&b, &clock, 0));
    cq_account_admit(&a, &clock, 1000, 30, NULL);
    cq_account_charge(&a, &clock, 10);
    ck_assert(cq_account_has_room(&b, &clock, 31));
    ck_assert(!cq_account_has_room(&b, &clock, 30));
    cq_account_close(&a);
    ck_assert(cq_account_has_room(&b, &clock, 11));
    ck_assert(!cq_account_has_room(&b, &clock, 10));
    cq_account_close(&b);
    fixture_end(&f, t);
}
END_TEST

/* Accounts with something reserved, of clients only. */
START_TEST(transfers)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a, b, c;

    ck_assert(cq_table_is_writable(t));
    ck_assert_int_eq(cq_table_transfers(t), 0);
    a = open_client(t, 1, &clock);
    b = open_client(t, 1, &clock);
    c = open_client(t, 2, &clock);
    ck_assert_int_eq(cq_table_transfers(t), 0);
    cq_account_admit(&a, &clock, 1000, 1, NULL);
    cq_account_admit(&b, &clock, 1000, 1, NULL);
    cq_account_admit(&c, &clock, 1000, 1, NULL);
    ck_assert_int_eq(cq_table_transfers(t), 3);
    cq_account_charge(&b, &clock, 1);           /* all of it */
    ck_assert_int_eq(cq_table_transfers(t), 2);
    t->ledger[c.entry].row = (uint32_t)t->rows_n;
    ck_assert_int_eq(cq_table_transfers(t), 1);
    t->ledger[c.entry].row = c.row;
    cq_account_close(&a);
    ck_assert_int_eq(cq_table_transfers(t), 1);
    cq_account_close(&b);
    cq_account_close(&c);
    ck_assert_int_eq(cq_table_transfers(t), 0);
    fixture_end(&f, t);
}
END_TEST

/* LogOnly admits no client anew: a client over quota in one month is not in
 * the next, and is over quota again at a time of its own. */
START_TEST(over_ends_with_the_period)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);

    cq_account_count_refusal(&a, &clock, CQ_STATE_OVER);
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, NOON_S);
    clock = clock_at(t, NEXT_MONTH_S + 5);
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, 0);
    cq_account_charge(&a, &clock, 1);
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, 0);
    cq_account_count_refusal(&a, &clock, CQ_STATE_OVER);
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, NEXT_MONTH_S + 5);
    ck_assert_int_eq(row_of(t, 1, &clock).refused, 1);
    cq_account_close(&a);
    fixture_end(&f, t);
}
END_TEST

START_TEST(tallies)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    struct cq_row row;

    cq_account_charge_free(&a, &clock, 10);
    cq_account_charge_free(&a, &clock, 5);
    cq_account_count_hit(&a, &clock);
    clock.now_s += 7;
    cq_account_count_hit(&a, &clock);
    cq_account_mark(&a, 3, CQ_ORIGIN_PEER);
    ck_assert_int_eq(cq_account_free_range(&a, &clock, 0), 0);
    ck_assert_int_eq(cq_account_free_range(&a, &clock, 30), 30);
    ck_assert_int_eq(cq_account_free_range(&a, &clock, 5), 35);
    row = row_of(t, 1, &clock);
    ck_assert_int_eq(row.free_bytes, 15);
    ck_assert_int_eq(row.hits, 2);
    ck_assert_int_eq(row.last_hit_s, NOON_S + 7);
    ck_assert_uint_eq(row.policy_index, 3);
    ck_assert(!row.proxied);
    ck_assert_int_eq(row.used_bytes, 0);
    cq_account_mark(&a, 4, CQ_ORIGIN_PROXIED);
    cq_account_mark(&a, 5, CQ_ORIGIN_PEER);      /* proxied once is proxied */
    row = row_of(t, 1, &clock);
    ck_assert_uint_eq(row.policy_index, 5);
    ck_assert(row.proxied);

    clock = clock_at(t, NOON_S + DAY_S);
    ck_assert_int_eq(cq_account_free_range(&a, &clock, 0), 0);
    ck_assert_int_eq(cq_account_free_range(&a, &clock, 2), 2);
    clock = clock_at(t, NOON_S);        /* back over midnight: no new day */
    ck_assert_int_eq(cq_account_free_range(&a, &clock, 1), 3);
    clock = clock_at(t, NEXT_MONTH_S);
    row = row_of(t, 1, &clock);
    ck_assert_int_eq(row.free_bytes, 0);
    ck_assert_int_eq(row.hits, 0);
    cq_account_close(&a);
    fixture_end(&f, t);
}
END_TEST

START_TEST(saturates)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    struct cq_account b = open_client(t, 1, &clock);

    ck_assert_int_eq(cq_account_admit(&a, &clock, INT64_MAX, INT64_MAX, NULL),
                     CQ_OK);
    assert_row(t, 1, &clock, 0, CQ_BYTES_MAX);
    ck_assert_int_eq(cq_account_admit(&b, &clock, INT64_MAX, 1000, NULL),
                     CQ_OK);
    assert_row(t, 1, &clock, 0, CQ_BYTES_MAX);
    cq_account_charge(&b, &clock, 1000);        /* no room left to count */
    assert_row(t, 1, &clock, 0, CQ_BYTES_MAX);
    cq_account_reserve_at_most(&a, CQ_BYTES_MAX - 10);
    cq_account_charge(&b, &clock, INT64_MAX);
    assert_row(t, 1, &clock, 10, CQ_BYTES_MAX - 10);
    cq_account_charge(&a, &clock, INT64_MAX);
    assert_row(t, 1, &clock, CQ_BYTES_MAX, 0);
    cq_account_charge(&a, &clock, 1);
    cq_account_charge_free(&a, &clock, INT64_MAX);
    cq_account_charge_free(&a, &clock, INT64_MAX);
    cq_account_close(&a);
    cq_account_close(&b);
    assert_row(t, 1, &clock, CQ_BYTES_MAX, 0);
    ck_assert_int_eq(row_of(t, 1, &clock).free_bytes, CQ_BYTES_MAX);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(today)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_clock next = clock_at(t, NOON_S + DAY_S / 2);
    struct cq_account a = open_client(t, 1, &clock);

    ck_assert_int_eq(clock.day, NOON_DAY);
    ck_assert_int_eq(next.day, NOON_DAY + 1);
    cq_account_charge(&a, &clock, 100);
    ck_assert_int_eq(row_of(t, 1, &clock).today_bytes, 100);
    ck_assert_int_eq(row_of(t, 1, &next).today_bytes, 0);
    cq_account_charge(&a, &next, 30);
    ck_assert_int_eq(row_of(t, 1, &next).today_bytes, 30);
    cq_account_charge(&a, &clock, 8);   /* looked before midnight */
    cq_account_charge(&a, &next, 2);
    ck_assert_int_eq(row_of(t, 1, &next).today_bytes, 40);
    assert_row(t, 1, &next, 140, 0);
    cq_account_close(&a);
    fixture_end(&f, t);
}
END_TEST

START_TEST(parallel_admits)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    pid_t pids[32];
    int *barrier = shared(sizeof(int[2]));
    int i, admitted = 0;

    /* 32 processes ask at once for 10 of 100: exactly 10 get it */
    for (i = 0; i < 32; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct cq_account a;
            bool ok;

            cq_table_enter(t);
            a = open_client(t, 1, &clock);
            __atomic_add_fetch(&barrier[0], 1, __ATOMIC_SEQ_CST);
            while (__atomic_load_n(&barrier[0], __ATOMIC_SEQ_CST) < 32) {
                usleep(1);
            }
            ok = cq_account_admit(&a, &clock, 100, 10, NULL) == CQ_OK;
            __atomic_add_fetch(&barrier[1], 1, __ATOMIC_SEQ_CST);
            while (__atomic_load_n(&barrier[1], __ATOMIC_SEQ_CST) < 32) {
                usleep(1);
            }
            cq_account_close(&a);
            _exit(ok ? 1 : 0);
        }
    }
    for (i = 0; i < 32; i++) {
        admitted += WEXITSTATUS(wait_for(pids[i]));
    }
    ck_assert_int_eq(admitted, 10);
    assert_row(t, 1, &clock, 0, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(reset)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    struct cq_key key = client(1), other = client(9);
    struct cq_account b;
    uint16_t pool;

    ck_assert_int_eq(cq_table_pool(t, "second", &pool), CQ_OK);
    ck_assert_int_eq(cq_account_open(t, pool, &key, &clock, &b), CQ_OK);
    cq_account_charge(&b, &clock, 12);
    cq_account_close(&b);
    cq_account_admit(&a, &clock, 1000, 900, NULL);
    cq_account_charge(&a, &clock, 400);
    cq_account_count_refusal(&a, &clock, CQ_STATE_OVER);
    ck_assert_int_eq(cq_table_reset(t, &other, &clock), 0);
    ck_assert_int_eq(cq_table_reset(t, &key, &clock), 2);
    assert_row(t, 1, &clock, 0, 500);
    ck_assert_int_eq(row_of(t, 1, &clock).over_since_s, 0);
    ck_assert_int_eq(row_of(t, 1, &clock).today_bytes, 0);
    assert_sound(t);
    cq_account_charge(&a, &clock, 100);
    assert_row(t, 1, &clock, 100, 400);
    cq_account_close(&a);
    assert_row(t, 1, &clock, 100, 0);

    /* a clock that comes back brings nothing back that was forgotten */
    clock = adopt(t, NOON_S + 365 * DAY_S);
    charge_client(t, 1, &clock, 5);
    ck_assert_int_eq(cq_table_reset(t, &key, &clock), 2);
    clock = adopt(t, NOON_S);
    assert_row(t, 1, &clock, 0, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* A dead process whose parent has not waited for it yet is dead. */
START_TEST(zombie)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0) {
        struct cq_account a;

        cq_table_enter(t);
        a = open_client(t, 1, &clock);
        cq_account_admit(&a, &clock, 1000, 70, NULL);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_row(t, 1, &clock, 0, 70);
    ck_assert_int_eq(cq_table_settle(t), 1);
    assert_row(t, 1, &clock, 0, 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* A length that is known late is reserved late; less than there is, not. */
START_TEST(raised)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    struct cq_usage usage;

    ck_assert_int_eq(cq_account_admit(&a, &clock, 100, 0, NULL), CQ_OK);
    cq_account_reserve_at_least(&a, 70);
    cq_account_reserve_at_least(&a, 60);
    cq_account_charge(&a, &clock, 20);
    cq_account_usage(&a, &clock, &usage);
    ck_assert_int_eq(usage.used_bytes, 20);
    ck_assert_int_eq(usage.in_flight_bytes, 50);
    cq_account_close(&a);
    assert_row(t, 1, &clock, 20, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* A full ledger: served uncounted, and that is tallied. */
START_TEST(ledger_full)
{
    struct fixture f;
    struct cq_table *t;
    struct cq_clock clock;
    struct cq_account a[4], none;
    struct cq_key key = client(1);
    struct cq_table_figures figures;
    struct cq_usage usage;
    uint16_t pool;
    int i;

    fixture_begin(&f, 10);
    f.want.ledger_entries = 4;
    t = fixture_open(&f, NULL);
    ck_assert_int_eq(cq_table_pool(t, "default", &pool), CQ_OK);
    clock = clock_at(t, NOON_S);
    for (i = 0; i < 4; i++) {
        a[i] = open_client(t, 1, &clock);
    }
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(cq_account_open(t, 0, &key, &clock, &none),
                         CQ_ENOMEM);
        ck_assert_int_eq(cq_account_admit(&none, &clock, 60, 40, &usage),
                         CQ_OK);
        cq_account_charge(&none, &clock, 50);
        cq_account_reserve_at_least(&none, 9);
        cq_account_charge_free(&none, &clock, 7);
        ck_assert_int_eq(cq_account_count_hit(&none, &clock), 0);
        cq_account_count_refusal(&none, &clock, CQ_STATE_OVER);
        cq_account_close(&none);
    }
    assert_row(t, 1, &clock, 0, 0);

    cq_table_figures(t, &figures);
    ck_assert_int_eq(figures.ledger_full, 2);
    ck_assert_int_eq(figures.untracked, 0);
    ck_assert_uint_eq(cq_table_notices(t), CQ_NOTICE_LEDGER);
    ck_assert_uint_eq(cq_table_notices(t), 0);
    cq_account_close(&a[2]);
    a[2] = open_client(t, 1, &clock);
    ck_assert_int_eq(cq_account_admit(&a[2], &clock, 60, 40, &usage), CQ_OK);
    ck_assert_int_eq(usage.in_flight_bytes, 0);
    for (i = 0; i < 4; i++) {
        cq_account_close(&a[i]);
    }
    assert_row(t, 1, &clock, 0, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/account");
    TCase *tcase = tcase_create("account");

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, reservation);
    tcase_add_test(tcase, refunded_at_close);
    tcase_add_test(tcase, busy_and_over);
    tcase_add_test(tcase, room);
    tcase_add_test(tcase, transfers);
    tcase_add_test(tcase, over_ends_with_the_period);
    tcase_add_test(tcase, tallies);
    tcase_add_test(tcase, saturates);
    tcase_add_test(tcase, today);
    tcase_add_test(tcase, parallel_admits);
    tcase_add_test(tcase, reset);
    tcase_add_test(tcase, zombie);
    tcase_add_test(tcase, raised);
    tcase_add_test(tcase, ledger_full);
    return run_suite(suite);
}
