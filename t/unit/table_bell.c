/* table: the jail's bell: which row rings, what is heard, which reader is
 * woken. */
#include "table/bell.h"
#include "table_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

static struct fixture f;
static struct cq_table *table;
static struct cq_bell bell;
static struct cq_clock now;

static void begin(void)
{
    table = fixture_table(&f, 1024);
    cq_table_clock(table, NOON_S, &now);
    ck_assert_int_eq(cq_bell_open(&bell, table), CQ_OK);
}

static void end(void)
{
    cq_bell_close(&bell);
    fixture_end(&f, table);
}

static uint32_t refuse(uint32_t n, int times, enum cq_state state)
{
    struct cq_account a = open_client(table, n, &now);
    uint32_t row = a.row;

    while (times-- > 0) {
        cq_account_count_refusal(&a, &now, state);
    }
    cq_account_close(&a);
    return row;
}

START_TEST(nobody_watches)
{
    uint32_t row;

    refuse(1, 300, CQ_STATE_OVER);
    ck_assert_int_eq(table->header->bell.rung, 0);
    ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_NONE);
    /* its time has ended: the second that it named is the last one */
    cq_bell_watch(&bell, 1, NOON_S - 1);
    refuse(1, 1, CQ_STATE_OVER);
    ck_assert_int_eq(table->header->bell.rung, 0);
    cq_bell_watch(&bell, 1, NOON_S);
    refuse(1, 1, CQ_STATE_OVER);
    ck_assert_int_eq(table->header->bell.rung, 1);
}
END_TEST

START_TEST(rings_from_so_many_on)
{
    uint32_t row, heard = 0;
    struct cq_row copy;

    cq_bell_watch(&bell, 3, NOON_S + 60);
    row = refuse(1, 2, CQ_STATE_OVER);
    ck_assert_int_eq(cq_bell_next(&bell, &heard), CQ_RING_NONE);
    refuse(1, 5, CQ_STATE_BUSY);
    refuse(1, 5, CQ_STATE_COPIES);
    refuse(1, 5, CQ_STATE_LOGONLY);
    ck_assert_int_eq(cq_bell_next(&bell, &heard), CQ_RING_NONE);
    refuse(1, 2, CQ_STATE_OVER);
    ck_assert_int_eq(cq_bell_next(&bell, &heard), CQ_RING_ROW);
    ck_assert_uint_eq(heard, row);
    ck_assert_int_eq(cq_bell_next(&bell, &heard), CQ_RING_ROW);
    ck_assert_uint_eq(heard, row);
    ck_assert_int_eq(cq_bell_next(&bell, &heard), CQ_RING_NONE);
    ck_assert(cq_table_row_at(table, row, &now, &copy));
    ck_assert_uint_eq(copy.over_refusals, 4);
    ck_assert_int_eq(copy.refused, 9);          /* with those of copies */
    ck_assert_int_eq(copy.over_since_s, NOON_S);
    ck_assert(!cq_table_row_at(table, UINT32_MAX, &now, &copy));
    ck_assert(!cq_table_row_at(table, (uint32_t)table->rows_n, &now, &copy));
}
END_TEST

START_TEST(polite_ones_never_ring)
{
    uint32_t row, heard;
    struct cq_row copy;
    int day;

    cq_bell_watch(&bell, 19, NOON_S + 30 * DAY_S);
    for (day = 0; day < 14; day++) {
        cq_table_clock(table, NOON_S + day * DAY_S, &now);
        row = refuse(1, 18, CQ_STATE_OVER);
    }
    ck_assert_int_eq(cq_bell_next(&bell, &heard), CQ_RING_NONE);
    ck_assert(cq_table_row_at(table, row, &now, &copy));
    ck_assert_uint_eq(copy.over_refusals, 18);
    ck_assert_int_eq(copy.over_since_s, NOON_S);
    ck_assert_int_eq(copy.refused, 14 * 18);
    /* a look from before midnight: no day begins anew */
    cq_table_clock(table, NOON_S + 12 * DAY_S, &now);
    refuse(1, 1, CQ_STATE_OVER);
    ck_assert_int_eq(cq_bell_next(&bell, &heard), CQ_RING_ROW);
    ck_assert(cq_table_row_at(table, row, &now, &copy));
    ck_assert_uint_eq(copy.over_refusals, 19);
}
END_TEST

/* A clock that was ahead inside the month and came back adds no days up. */
START_TEST(polite_after_a_jump)
{
    uint32_t heard;
    int day;

    cq_bell_watch(&bell, 19, NOON_S + 30 * DAY_S);
    cq_table_clock(table, NOON_S + 14 * DAY_S, &now);
    refuse(1, 18, CQ_STATE_OVER);
    for (day = 0; day < 13; day++) {
        cq_table_clock(table, NOON_S + day * DAY_S, &now);
        refuse(1, 18, CQ_STATE_OVER);
    }
    ck_assert_int_eq(cq_bell_next(&bell, &heard), CQ_RING_NONE);
}
END_TEST

START_TEST(more_than_the_ring_holds)
{
    uint32_t row;
    uint32_t i;

    cq_bell_watch(&bell, 1, NOON_S + 60);
    for (i = 0; i < CQ_RING; i++) {
        refuse(i, 1, CQ_STATE_OVER);
    }
    for (i = 0; i < CQ_RING; i++) {
        ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_ROW);
    }
    ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_NONE);
    refuse(1, CQ_RING + 1, CQ_STATE_OVER);
    ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_MISSED);
    ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_NONE);
    refuse(2, 1, CQ_STATE_OVER);
    ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_ROW);
}
END_TEST

START_TEST(killed_before_he_filled_his_place)
{
    uint32_t row;

    cq_bell_watch(&bell, 1, NOON_S + 60);
    table->header->bell.rung++;
    ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_MISSED);
    ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_NONE);
}
END_TEST

static void *ring_when_asleep(void *unused)
{
    while (table->header->bell.sleeping == 0) {
        sched_yield();
    }
    refuse(7, 1, CQ_STATE_OVER);
    return unused;
}

START_TEST(wakes_who_sleeps)
{
    pthread_t ringer;
    uint32_t row;

    cq_bell_watch(&bell, 1, NOON_S + 60);
    ck_assert_int_eq(pthread_create(&ringer, NULL, ring_when_asleep, NULL),
                     0);
    /* a lost wake would end this test by Check's timeout */
    cq_bell_wait(&bell, 60 * 1000);
    ck_assert_int_eq(pthread_join(ringer, NULL), 0);
    ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_ROW);
    ck_assert_uint_eq(table->header->bell.sleeping, 0);
    /* it rang before the reader slept: the reader does not sleep */
    refuse(7, 1, CQ_STATE_OVER);
    cq_bell_wait(&bell, 60 * 1000);
    ck_assert_int_eq(cq_bell_next(&bell, &row), CQ_RING_ROW);
}
END_TEST

START_TEST(a_closed_bell_does_not_ring)
{
    cq_bell_watch(&bell, 1, NOON_S + 60);
    cq_bell_close(&bell);
    refuse(1, 3, CQ_STATE_OVER);
    ck_assert_int_eq(table->header->bell.rung, 0);
    ck_assert_int_eq(cq_bell_open(&bell, table), CQ_OK);
}
END_TEST

START_TEST(a_reader_does_not_watch)
{
    struct cq_bell other = { .table = NULL };
    struct cq_table *reader;
    char why[CQ_WHY_SIZE] = "";

    ck_assert_int_eq(cq_tablefile_attach(f.path, false, &reader, why,
                                         sizeof(why)), CQ_OK);
    ck_assert_int_eq(cq_bell_open(&other, reader), CQ_EACCES);
    cq_bell_close(&other);
    cq_tablefile_close(reader);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table_bell");
    TCase *c = tcase_create("bell");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(c, begin, end);
    tcase_set_timeout(c, 30);
    tcase_add_test(c, nobody_watches);
    tcase_add_test(c, rings_from_so_many_on);
    tcase_add_test(c, polite_ones_never_ring);
    tcase_add_test(c, polite_after_a_jump);
    tcase_add_test(c, more_than_the_ring_holds);
    tcase_add_test(c, killed_before_he_filled_his_place);
    tcase_add_test(c, wakes_who_sleeps);
    tcase_add_test(c, a_closed_bell_does_not_ring);
    tcase_add_test(c, a_reader_does_not_watch);
    suite_add_tcase(suite, c);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
