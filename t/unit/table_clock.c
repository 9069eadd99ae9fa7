/* table: whose time it is, at midnight, at the end of a period and when the
 * clock jumps. */
#include "table_fixture.h"

START_TEST(midnights)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_period period;

    ck_assert_int_eq(clock.now_s, NOON_S);
    ck_assert_int_eq(clock.day, 15);
    ck_assert_int_eq(clock.next_day_s, NOON_S + DAY_S / 2);
    ck_assert_uint_eq(clock.day_stamp, NOON_S / DAY_S + 1);
    clock = clock_at(t, NOON_S + DAY_S / 2 - 1);
    ck_assert_int_eq(clock.day, 15);
    clock = clock_at(t, NOON_S + DAY_S / 2);
    ck_assert_int_eq(clock.day, 16);
    ck_assert_int_eq(clock.next_day_s, NOON_S + DAY_S / 2 + DAY_S);
    cq_table_period(t, &period);
    ck_assert_uint_eq(period.id, clock.period_id);
    ck_assert_uint_eq(period.days, 30);
    ck_assert_int_eq(period.midnight_s[30], NEXT_MONTH_S);

    clock = clock_at(t, NEXT_MONTH_S - 1);
    ck_assert_uint_eq(clock.period_id, period.id);
    ck_assert_int_eq(clock.day, 30);
    ck_assert_int_eq(clock.next_day_s, NEXT_MONTH_S);
    clock = clock_at(t, NEXT_MONTH_S);
    ck_assert_uint_eq(clock.period_id, period.id + 1);
    ck_assert_int_eq(clock.day, 1);
    ck_assert_int_eq(clock.next_day_s, NEXT_MONTH_S + DAY_S);
    /* in force for all, and there is no way back for a second or two */
    clock = clock_at(t, NEXT_MONTH_S - 2);
    ck_assert_uint_eq(clock.period_id, period.id + 1);
    ck_assert_int_eq(clock.day, 1);
    fixture_end(&f, t);
}
END_TEST

/* Without the housekeeping only one step is known. */
START_TEST(one_step_at_once)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    uint16_t id = clock_at(t, NOON_S).period_id;
    struct cq_clock clock = clock_at(t, NOON_S + 60 * DAY_S);

    ck_assert_uint_eq(clock.period_id, id);
    ck_assert_int_eq(clock.day, 30);
    clock = clock_at(t, NEXT_MONTH_S + DAY_S);
    ck_assert_uint_eq(clock.period_id, id + 1);
    clock = clock_at(t, NEXT_MONTH_S + 32 * DAY_S);
    ck_assert_uint_eq(clock.period_id, id + 1);
    cq_calendar_prepare_next(t);
    clock = clock_at(t, NEXT_MONTH_S + 32 * DAY_S);
    ck_assert_uint_eq(clock.period_id, id + 2);
    fixture_end(&f, t);
}
END_TEST

START_TEST(days_as_periods)
{
    struct fixture f;
    struct cq_table *t;
    struct cq_clock_watch watch = { 0 };
    uint16_t id;
    int day;

    fixture_begin(&f, 10);
    f.want.kind = CQ_PERIOD_DAY;
    t = fixture_open(&f, NULL);
    id = clock_at(t, NOON_S).period_id;
    for (day = 0; day < 400; day++) {
        int64_t now_s = NOON_S + day * DAY_S;
        struct cq_clock clock = clock_at(t, now_s);

        ck_assert_int_eq(clock.period_id, id + day);
        ck_assert_int_eq(clock.day, 1);
        ck_assert_int_eq(clock.next_day_s, now_s + DAY_S / 2);
        ck_assert_int_eq(cq_table_tick(t, &watch, now_s, 100 + day * DAY_S),
                         CQ_CLOCK_STAY);
    }
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(jump_is_doubted)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock_watch watch = { 0 };
    uint16_t id = clock_at(t, NOON_S).period_id;
    int64_t far_s = NOON_S + 400 * DAY_S;
    int i;

    ck_assert_int_eq(cq_table_tick(t, &watch, NOON_S, 1000), CQ_CLOCK_STAY);
    ck_assert_int_eq(cq_table_tick(t, &watch, far_s, 1005), CQ_CLOCK_DOUBT);
    for (i = 10; i < 300; i += 5) {
        ck_assert_int_eq(cq_table_tick(t, &watch, far_s + i, 1000 + i),
                         CQ_CLOCK_STAY);
        ck_assert_uint_eq(clock_at(t, far_s + i).period_id, id);
    }
    /* it comes back: nothing has happened */
    ck_assert_int_eq(cq_table_tick(t, &watch, NOON_S + 300, 1300),
                     CQ_CLOCK_STAY);
    ck_assert_uint_eq(clock_at(t, NOON_S + 300).period_id, id);
    ck_assert_int_eq(clock_at(t, NOON_S + 300).day, NOON_DAY);

    /* it stays */
    ck_assert_int_eq(cq_table_tick(t, &watch, far_s, 1305), CQ_CLOCK_DOUBT);
    ck_assert_int_eq(cq_table_tick(t, &watch, far_s + 299, 1604),
                     CQ_CLOCK_STAY);
    ck_assert_int_eq(cq_table_tick(t, &watch, far_s + 300, 1605),
                     CQ_CLOCK_ADOPT);
    ck_assert_uint_eq(clock_at(t, far_s + 300).period_id, id + 13);
    ck_assert_int_eq(clock_at(t, far_s + 300).day, 20);

    /* and back again, all of it */
    ck_assert_int_eq(cq_table_tick(t, &watch, NOON_S + 600, 1610),
                     CQ_CLOCK_DOUBT);
    ck_assert_uint_eq(clock_at(t, NOON_S + 600).period_id, id + 13);
    ck_assert_int_eq(cq_table_tick(t, &watch, NOON_S + 900, 1910),
                     CQ_CLOCK_ADOPT);
    ck_assert_uint_eq(clock_at(t, NOON_S + 900).period_id, id);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* A machine that slept through the new year is not doubted. */
START_TEST(sleep_is_believed)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock_watch watch = { 0 };
    uint16_t id = clock_at(t, NOON_S).period_id;

    cq_table_tick(t, &watch, NOON_S, 1000);
    ck_assert_int_eq(cq_table_tick(t, &watch, NOON_S + 100 * DAY_S,
                                   1000 + 100 * DAY_S), CQ_CLOCK_ADOPT);
    ck_assert_uint_eq(clock_at(t, NOON_S + 100 * DAY_S).period_id, id + 3);
    fixture_end(&f, t);
}
END_TEST

/* A tool may look at a table of which the period has ended meanwhile; its
 * mapping can't be written. */
START_TEST(read_only_view_steps_for_itself)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_table *view;
    char why[CQ_WHY_SIZE];
    uint16_t id = clock.period_id;

    charge_client(t, 1, &clock, 77);
    ck_assert_int_eq(cq_tablefile_attach(f.path, false, &view, why,
                                         sizeof(why)), CQ_OK);
    ck_assert(!cq_table_is_writable(view));
    ck_assert(cq_table_is_writable(t));
    clock = clock_at(view, NOON_S);
    ck_assert_int_eq(row_of(view, 1, &clock).used_bytes, 77);
    clock = clock_at(view, NEXT_MONTH_S);
    ck_assert_uint_eq(clock.period_id, id + 1);
    ck_assert_int_eq(clock.day, 1);
    ck_assert_int_eq(row_of(view, 1, &clock).used_bytes, 0);
    ck_assert_uint_eq(clock_at(t, NOON_S).period_id, id);
    ck_assert_int_eq(cq_table_check(view, true, stderr), 0);
    cq_tablefile_close(view);
    fixture_end(&f, t);
}
END_TEST

START_TEST(history_of_hours)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock_watch watch = { 0 };
    struct cq_hour hours[800];
    int64_t h;

    cq_table_total_add(t, 0, CQ_TOTAL_SENT, 5);
    ck_assert_uint_eq(cq_table_history(t, hours, 800), 1);
    ck_assert_int_eq(hours[0].start_s, NOON_S);
    ck_assert_int_eq(hours[0].sent_bytes, 5);
    for (h = 0; h < 1000; h++) {
        cq_table_total_add(t, 0, CQ_TOTAL_SENT, 10 + h);
        cq_table_total_add(t, 0, CQ_TOTAL_REFUSED, 1);
        cq_table_tick(t, &watch, NOON_S + h * 3600 + 1800, 100 + h * 3600);
    }
    /* moved in by the tick that begins an hour: to the hour before */
    ck_assert_uint_eq(cq_table_history(t, hours, 800), CQ_HOURS);
    ck_assert_int_eq(hours[CQ_HOURS - 1].start_s, NOON_S + 999 * 3600);
    ck_assert_int_eq(hours[CQ_HOURS - 1].sent_bytes, 0);
    ck_assert_int_eq(hours[CQ_HOURS - 2].sent_bytes, 10 + 999);
    ck_assert_int_eq(hours[0].start_s, NOON_S + (1000 - CQ_HOURS) * 3600);
    ck_assert_int_eq(hours[0].sent_bytes, 10 + 1000 - CQ_HOURS + 1);
    ck_assert_int_eq(hours[0].refused, 1);
    ck_assert_uint_eq(cq_table_history(t, hours, 2), 2);
    ck_assert_int_eq(hours[1].start_s, NOON_S + 999 * 3600);
    fixture_end(&f, t);
}
END_TEST

START_TEST(period_rolls_with_bytes_in_flight)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock old = clock_at(t, NEXT_MONTH_S - 1);
    struct cq_account a = open_client(t, 1, &old);
    struct cq_account b;
    struct cq_clock clock;
    struct cq_usage usage;

    cq_account_admit(&a, &old, 10000, 1000, NULL);
    cq_account_charge(&a, &old, 300);
    assert_row(t, 1, &old, 300, 700);
    clock = clock_at(t, NEXT_MONTH_S);
    ck_assert_int_eq(clock.day, 1);
    ck_assert_int_eq(clock.period_id, old.period_id + 1);
    assert_row(t, 1, &clock, 0, 700);

    /* the first request of the new period sees it */
    b = open_client(t, 1, &clock);
    ck_assert_int_eq(cq_account_admit(&b, &clock, 700, 50, &usage), CQ_EFULL);
    ck_assert_int_eq(usage.used_bytes, 0);
    ck_assert_int_eq(usage.in_flight_bytes, 700);
    ck_assert_int_eq(cq_account_admit(&b, &clock, 701, 50, &usage), CQ_OK);
    assert_row(t, 1, &clock, 0, 750);

    /* what flows now belongs to now, also by a look from before */
    cq_account_charge(&a, &old, 100);
    cq_account_charge(&a, &clock, 200);
    assert_row(t, 1, &clock, 300, 450);
    /* of the day, what looked at it as such */
    ck_assert_int_eq(row_of(t, 1, &clock).today_bytes, 200);
    cq_account_close(&a);
    assert_row(t, 1, &clock, 300, 50);
    cq_account_close(&b);
    assert_row(t, 1, &clock, 300, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* Bytes of a period that does not border on the real one were drawn under a
 * wrong clock and move along; bytes of the next one stay there, as it may
 * have come. */
static void jump_and_return(int64_t there_s, int64_t along)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    struct cq_account b;
    struct cq_clock there;

    charge_client(t, 2, &clock, 555);
    charge_client(t, 3, &clock, 777);
    cq_account_admit(&a, &clock, 10000, 1000, NULL);
    cq_account_charge(&a, &clock, 300);
    there = adopt(t, there_s);
    ck_assert_uint_ne(there.period_id, clock.period_id);
    assert_row(t, 2, &there, 0, 0);
    charge_client(t, 2, &there, 7);
    b = open_client(t, 1, &there);
    cq_account_admit(&b, &there, 10000, 60, NULL);
    cq_account_charge(&b, &there, 10);
    cq_account_charge(&a, &there, 100);
    assert_row(t, 1, &there, 110, 650);
    clock = adopt(t, NOON_S + 600);
    assert_row(t, 1, &clock, 300 + along * 110, 650);
    assert_row(t, 2, &clock, 555 + along * 7, 0);
    assert_row(t, 3, &clock, 777, 0);
    cq_account_charge(&b, &clock, 1);
    assert_row(t, 1, &clock, 301 + along * 110, 649);
    cq_account_close(&a);
    cq_account_close(&b);
    assert_row(t, 1, &clock, 301 + along * 110, 0);
    assert_sound(t);

    /* and the real midnight comes: nothing of the wrong time is left over */
    clock = adopt(t, NEXT_MONTH_S);
    charge_client(t, 1, &clock, 9);
    assert_row(t, 1, &clock, 9 + (1 - along) * 110, 0);
    assert_row(t, 2, &clock, (1 - along) * 7, 0);
    assert_row(t, 3, &clock, 0, 0);
    assert_sound(t);
    clock = adopt(t, NEXT_MONTH_S + 31 * DAY_S);
    charge_client(t, 1, &clock, 1);
    charge_client(t, 2, &clock, 2);
    assert_row(t, 1, &clock, 1, 0);
    assert_row(t, 2, &clock, 2, 0);
    fixture_end(&f, t);
}

START_TEST(clock_jumps_and_comes_back)
{
    jump_and_return(NEXT_MONTH_S + 60, 0);
    jump_and_return(NOON_S + 365 * DAY_S, 1);
    jump_and_return(INT64_C(2145916800), 1);       /* 2038 */
    jump_and_return(NOON_S - 2000 * DAY_S, 1);     /* a dead RTC battery */
}
END_TEST

/* A boot in 2020, then NTP: by starts, not by the housekeeping. */
START_TEST(boot_in_the_past)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_clock_watch watch = { 0 };
    unsigned events;

    charge_client(t, 1, &clock, 1000);
    charge_client(t, 2, &clock, 2000);
    cq_tablefile_close(t);
    f.want.now_s = NOON_S - 2300 * DAY_S;
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_PERIOD_JUMP);
    cq_table_tick(t, &watch, f.want.now_s, 10);
    clock = clock_at(t, f.want.now_s);
    charge_client(t, 1, &clock, 50);
    ck_assert_int_eq(cq_table_tick(t, &watch, NOON_S, 15), CQ_CLOCK_DOUBT);
    ck_assert_int_eq(cq_table_tick(t, &watch, NOON_S + 300, 315),
                     CQ_CLOCK_ADOPT);
    clock = clock_at(t, NOON_S + 300);
    assert_row(t, 1, &clock, 1050, 0);
    assert_row(t, 2, &clock, 2000, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* ---- retention ---- */

static int addresses(const struct cq_table *t)
{
    uint64_t row;
    int n = 0;

    for (row = 0; row < t->cold_rows_n; row++) {
        n += t->cold[row].address[0] != 0;
    }
    return n;
}

START_TEST(old_addresses_are_erased)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account held = open_client(t, 1, &clock);
    uint32_t k;

    for (k = 2; k < 50; k++) {
        charge_client(t, k, &clock, 100);
    }
    cq_account_admit(&held, &clock, 1000, 77, NULL);
    clock = adopt(t, NEXT_MONTH_S);
    charge_client(t, 2, &clock, 100);
    ck_assert_int_eq(addresses(t), 49);
    clock = adopt(t, NEXT_MONTH_S + 31 * DAY_S);
    ck_assert_int_eq(addresses(t), 2);      /* and one still here */
    assert_row(t, 2, &clock, 0, 0);
    assert_row(t, 1, &clock, 0, 77);
    cq_account_close(&held);
    clock = adopt(t, NEXT_MONTH_S + 62 * DAY_S);
    ck_assert_int_eq(addresses(t), 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* Of what is claimed, held or current, not one bit changes. */
START_TEST(nothing_else_is_erased)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    struct cq_hot *hot = &t->hot[a.row];
    const uint16_t later = (uint16_t)(clock.period_id + 2);
    uint32_t entry = cq_entry_acquire(t);
    struct cq_hot before = *hot;
    uint64_t identity = atomic_load(&hot->identity);

    ck_assert(!cq_row_erase(t, entry, a.row, later));           /* held */
    ck_assert_mem_eq(hot, &before, sizeof(before));
    cq_account_close(&a);
    before = *hot;
    ck_assert(!cq_row_erase(t, entry, a.row, clock.period_id)); /* current */
    ck_assert_mem_eq(hot, &before, sizeof(before));
    atomic_store(&hot->identity, (identity & ~CQ_STATE_MASK) | CQ_CLAIM);
    before = *hot;
    ck_assert(!cq_row_erase(t, entry, a.row, later));           /* claimed */
    ck_assert_mem_eq(hot, &before, sizeof(before));
    atomic_store(&hot->identity, identity);
    ck_assert(cq_row_erase(t, entry, a.row, later));
    ck_assert_uint_eq(atomic_load(&hot->identity), CQ_EMPTY);
    cq_entry_release(t, entry);
    fixture_end(&f, t);
}
END_TEST

/* Not while the clock may be wrong: a day must pass. */
START_TEST(nothing_is_erased_by_a_jump)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 100);
    struct cq_clock clock = clock_at(t, NOON_S);
    int64_t far_s = NOON_S + 3000 * DAY_S;

    charge_client(t, 1, &clock, 100);
    adopt(t, far_s);
    adopt(t, far_s + DAY_S - 1);
    ck_assert_int_eq(addresses(t), 1);
    clock = adopt(t, NOON_S + 2 * DAY_S);
    assert_row(t, 1, &clock, 100, 0);
    adopt(t, far_s);
    adopt(t, far_s + DAY_S);
    ck_assert_int_eq(addresses(t), 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(history_of_days)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock_watch watch = { 0 };
    struct cq_hour days[CQ_DAYS];
    int64_t h;

    for (h = 0; h < 24 * 500; h++) {
        cq_table_total_add(t, 0, CQ_TOTAL_SENT, 10);
        cq_table_tick(t, &watch, NOON_S + h * 3600, 100 + h * 3600);
    }
    ck_assert_uint_eq(cq_table_days(t, days, CQ_DAYS), CQ_DAYS);
    ck_assert_int_eq(days[CQ_DAYS - 1].start_s,
                     NOON_S - DAY_S / 2 + 500 * DAY_S);
    ck_assert_int_eq(days[CQ_DAYS - 1].sent_bytes, 110);
    ck_assert_int_eq(days[CQ_DAYS - 2].sent_bytes, 240);
    ck_assert_int_eq(days[0].sent_bytes, 240);
    ck_assert_int_eq(days[0].start_s,
                     days[CQ_DAYS - 1].start_s - (CQ_DAYS - 1) * DAY_S);
    cq_table_total_add(t, 0, CQ_TOTAL_SENT, 1);
    ck_assert_uint_eq(cq_table_days(t, days, 1), 1);
    ck_assert_int_eq(days[0].sent_bytes, 111);
    fixture_end(&f, t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/clock");
    TCase *tcase = tcase_create("clock");

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, midnights);
    tcase_add_test(tcase, one_step_at_once);
    tcase_add_test(tcase, days_as_periods);
    tcase_add_test(tcase, jump_is_doubted);
    tcase_add_test(tcase, sleep_is_believed);
    tcase_add_test(tcase, read_only_view_steps_for_itself);
    tcase_add_test(tcase, history_of_hours);
    tcase_add_test(tcase, period_rolls_with_bytes_in_flight);
    tcase_add_test(tcase, clock_jumps_and_comes_back);
    tcase_add_test(tcase, boot_in_the_past);
    tcase_add_test(tcase, old_addresses_are_erased);
    tcase_add_test(tcase, nothing_else_is_erased);
    tcase_add_test(tcase, nothing_is_erased_by_a_jump);
    tcase_add_test(tcase, history_of_days);
    return run_suite(suite);
}
