/* table: hours and days of the history, exactly. */
#include "table_fixture.h"

#define HOUR_S INT64_C(3600)

static struct fixture f;
static struct cq_table *t;
static struct cq_hour slots[CQ_HOURS + 1];

static void begin(void)
{
    memset(slots, 0xff, sizeof(slots));
    t = fixture_table(&f, 64);
}

static void end(void)
{
    fixture_end(&f, t);
}

/* One of each, times n: sent, free, hits, refused. Others are not watched. */
static void count(int64_t n)
{
    cq_table_total_add(t, 0, CQ_TOTAL_SENT, 1000 * n);
    cq_table_total_add(t, 0, CQ_TOTAL_FREE, 100 * n);
    cq_table_total_add(t, 0, CQ_TOTAL_HITS, 10 * n);
    cq_table_total_add(t, 0, CQ_TOTAL_REFUSED, n);
    cq_table_total_add(t, 0, CQ_TOTAL_WOULD_REFUSE, 7);
    cq_table_total_add(t, 0, CQ_TOTAL_DROPPED, 7);
}

static void tick(int64_t now_s)
{
    struct cq_clock clock = clock_at(t, now_s);

    cq_history_tick(t, &clock);
}

static void assert_slot(size_t i, int64_t start_s, int64_t n)
{
    ck_assert_int_eq(slots[i].start_s, start_s);
    ck_assert_int_eq(slots[i].sent_bytes, 1000 * n);
    ck_assert_int_eq(slots[i].free_bytes, 100 * n);
    ck_assert_int_eq(slots[i].hits, 10 * n);
    ck_assert_int_eq(slots[i].refused, n);
}

START_TEST(nothing_yet)
{
    begin();
    ck_assert_uint_eq(cq_table_history(t, slots, CQ_HOURS), 1);
    assert_slot(0, NOON_S, 0);
    ck_assert_uint_eq(cq_table_days(t, slots, CQ_DAYS), 1);
    assert_slot(0, NOON_S - DAY_S / 2, 0);
    end();
}
END_TEST

/* What came since the last tick belongs to the hour that is being filled. */
START_TEST(hours)
{
    begin();
    count(1);
    tick(NOON_S);
    count(2);
    ck_assert_uint_eq(cq_table_history(t, slots, CQ_HOURS), 1);
    assert_slot(0, NOON_S, 3);
    tick(NOON_S + HOUR_S - 1);
    ck_assert_uint_eq(cq_table_history(t, slots, CQ_HOURS), 1);
    assert_slot(0, NOON_S, 3);
    count(4);
    tick(NOON_S + HOUR_S);
    count(8);
    ck_assert_uint_eq(cq_table_history(t, slots, CQ_HOURS), 2);
    assert_slot(0, NOON_S, 7);
    assert_slot(1, NOON_S + HOUR_S, 8);
    /* an hour without a tick has no place */
    tick(NOON_S + 3 * HOUR_S);
    count(16);
    tick(NOON_S + 3 * HOUR_S);
    ck_assert_uint_eq(cq_table_history(t, slots, CQ_HOURS), 3);
    assert_slot(0, NOON_S, 7);
    assert_slot(1, NOON_S + HOUR_S, 8);
    assert_slot(2, NOON_S + 3 * HOUR_S, 16);
    /* the last ones: of four hours one is missing */
    memset(slots, 0xff, sizeof(slots));
    ck_assert_uint_eq(cq_table_history(t, slots, 3), 2);
    assert_slot(0, NOON_S + HOUR_S, 8);
    assert_slot(1, NOON_S + 3 * HOUR_S, 16);
    ck_assert_uint_eq(cq_table_history(t, slots, 1), 1);
    assert_slot(0, NOON_S + 3 * HOUR_S, 16);
    ck_assert_uint_eq(cq_table_history(t, slots, 0), 0);
    end();
}
END_TEST

/* After 768 hours each place is another hour's, and begins at nothing. */
START_TEST(hours_go_round)
{
    int64_t hour;

    begin();
    for (hour = 0; hour <= CQ_HOURS; hour++) {
        adopt(t, NOON_S + hour * HOUR_S);
        tick(NOON_S + hour * HOUR_S);
        count(hour + 1);
    }
    ck_assert_uint_eq(cq_table_history(t, slots, CQ_HOURS + 1), CQ_HOURS);
    for (hour = 1; hour <= CQ_HOURS; hour++) {
        assert_slot((size_t)hour - 1, NOON_S + hour * HOUR_S, hour + 1);
    }
    end();
}
END_TEST

START_TEST(days_go_round)
{
    int64_t midnight_s = NOON_S - DAY_S / 2;
    int64_t day;

    begin();
    for (day = 0; day <= CQ_DAYS; day++) {
        adopt(t, NOON_S + day * DAY_S);
        tick(NOON_S + day * DAY_S);
        count(day + 1);
    }
    ck_assert_uint_eq(cq_table_days(t, slots, CQ_HOURS), CQ_DAYS);
    for (day = 1; day <= CQ_DAYS; day++) {
        assert_slot((size_t)day - 1, midnight_s + day * DAY_S, day + 1);
    }
    ck_assert_uint_eq(cq_table_days(t, slots, 2), 2);
    assert_slot(0, midnight_s + (CQ_DAYS - 1) * DAY_S, CQ_DAYS);
    assert_slot(1, midnight_s + CQ_DAYS * DAY_S, CQ_DAYS + 1);
    end();
}
END_TEST

/* After a power failure the totals are of an older page than what the history
 * has counted of them: what comes then is counted, and nothing is taken off. */
START_TEST(older_totals)
{
    begin();
    count(10);
    tick(NOON_S);
    count(-4);
    cq_history_repair(t);
    count(3);
    tick(NOON_S + 1);
    ck_assert_uint_eq(cq_table_history(t, slots, CQ_HOURS), 1);
    assert_slot(0, NOON_S, 13);
    ck_assert_uint_eq(cq_table_days(t, slots, CQ_DAYS), 1);
    assert_slot(0, NOON_S - DAY_S / 2, 13);
    /* and younger ones are counted at the next tick */
    count(5);
    cq_history_repair(t);
    tick(NOON_S + 2);
    ck_assert_uint_eq(cq_table_history(t, slots, CQ_HOURS), 1);
    assert_slot(0, NOON_S, 18);
    end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("table: history");
    TCase *tc = tcase_create("history");

    tcase_add_test(tc, nothing_yet);
    tcase_add_test(tc, hours);
    tcase_add_test(tc, hours_go_round);
    tcase_add_test(tc, days_go_round);
    tcase_add_test(tc, older_totals);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
