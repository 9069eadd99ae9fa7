/* table: four processes at once; no byte of a client ever lies in another
 * one's row, whichever process is killed whenever, and sums are exact. */
#include "table_stress.h"

#define CHARGES 10000000
#define SECONDS 20.0

START_TEST(classes_stay_apart)
{
    struct fixture f;
    struct stress s = { .random = 0x9e3779b97f4a7c15u + (uint64_t)getpid() };
    struct cq_table_figures figures;
    int64_t made;
    uint32_t i;
    int rows;

    s.table = fixture_table(&f, STRESS_CAPACITY);
    s.charges = shared(STRESS_WORKERS * 64);
    stress_primes(s.primes);
    made = stress_run(&s, CHARGES, SECONDS);

    ck_assert_int_eq(stress_foreign(&s, &rows), 0);
    for (i = 0; i < s.table->ledger_n; i++) {
        ck_assert_uint_eq(s.table->ledger[i].owner, 0);
    }
    assert_sound(s.table);
    cq_table_figures(s.table, &figures);
    printf("# %" PRId64 " charges, %d kills, %d entries settled, %" PRId64
           " evictions, %" PRId64 " untracked, %d rows\n", made, s.kills,
           s.settled, figures.evictions, figures.untracked, rows);
    fflush(stdout);
    ck_assert_int_gt(figures.evictions, 1000);
    ck_assert_int_gt(s.kills, 10);
    ck_assert_int_gt(s.settled, 10);
    ck_assert_int_gt(rows, STRESS_CAPACITY / 2);
    ck_assert_int_ge(made, CHARGES / 20);
    fixture_end(&f, s.table);
}
END_TEST

#define SUM_CHARGES 100000
#define SUM_CLIENTS 16

START_TEST(sums_are_exact)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1000);
    struct cq_clock clock = clock_at(t, NOON_S);
    pid_t pids[4];
    int64_t expected[SUM_CLIENTS] = { 0 };
    int p, i;

    for (p = 0; p < 4; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            struct cq_account a;

            cq_table_enter(t);
            for (i = 0; i < SUM_CHARGES; i++) {
                struct cq_key key = client((uint32_t)(i % SUM_CLIENTS));

                if (cq_account_open(t, 0, &key, &clock, &a) != CQ_OK) {
                    _exit(1);
                }
                if (i % 3 == 0) {
                    cq_account_admit(&a, &clock, INT64_MAX, 500, NULL);
                }
                cq_account_charge(&a, &clock, 1 + i % 1000 + p);
                cq_account_close(&a);
            }
            _exit(0);
        }
    }
    for (p = 0; p < 4; p++) {
        ck_assert_int_eq(wait_for(pids[p]), 0);
        for (i = 0; i < SUM_CHARGES; i++) {
            expected[i % SUM_CLIENTS] += 1 + i % 1000 + p;
        }
    }
    for (i = 0; i < SUM_CLIENTS; i++) {
        struct cq_row row = row_of(t, (uint32_t)i, &clock);

        ck_assert_int_eq(row.used_bytes, expected[i]);
        ck_assert_int_eq(row.in_flight_bytes, 0);
    }
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* A living process keeps working in the row of the dead: what it holds is
 * left alone, what the dead held goes. */
START_TEST(settled_while_others_work)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account ours = open_client(t, 0, &clock);
    struct cq_row row;
    pid_t busy, dead;
    int round, i;

    cq_account_admit(&ours, &clock, INT64_MAX, 12345, NULL);
    busy = fork();
    if (busy == 0) {
        cq_table_enter(t);
        for (;;) {
            struct cq_account a = open_client(t, 0, &clock);

            cq_account_admit(&a, &clock, INT64_MAX, 100, NULL);
            cq_account_charge(&a, &clock, 40);
            cq_account_close(&a);
        }
    }
    for (round = 0; round < 200; round++) {
        dead = fork();
        if (dead == 0) {
            struct cq_account a;

            cq_table_enter(t);
            for (i = 0; ; i++) {
                a = open_client(t, 0, &clock);
                cq_account_admit(&a, &clock, INT64_MAX, 7777, NULL);
                if (i > round) {
                    kill(getpid(), SIGKILL);
                }
                cq_account_charge(&a, &clock, 40);
            }
        }
        ck_assert(WIFSIGNALED(wait_for(dead)));
        cq_table_settle(t);
    }
    kill(busy, SIGKILL);
    wait_for(busy);
    for (i = 0; i < 4; i++) {
        cq_table_settle(t);
    }
    row = row_of(t, 0, &clock);
    ck_assert_int_eq(row.in_flight_bytes, 12345);
    ck_assert_int_eq(row.used_bytes % 40, 0);
    ck_assert_uint_eq(t->hot[ours.row].holders & CQ_HOLDERS, 1);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/stress");
    TCase *tcase = tcase_create("stress");

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, classes_stay_apart);
    tcase_add_test(tcase, sums_are_exact);
    tcase_add_test(tcase, settled_while_others_work);
    return run_suite(suite);
}
