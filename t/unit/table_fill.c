/* table: N clients into a table for N evict none. */
#include "table_fixture.h"

/* n clients that no other seed has */
static void fill(struct cq_table *t, uint32_t n, uint32_t first,
                 const struct cq_clock *clock)
{
    struct cq_account a;
    uint32_t k;

    for (k = first; k < first + n; k++) {
        struct cq_key key = client(k);

        /* not ck_assert(), which writes a line to a file for each */
        if (cq_account_open(t, 0, &key, clock, &a) != CQ_OK) {
            ck_abort_msg("client %u got no row", k);
        }
        cq_account_charge(&a, clock, 1 + k);
        cq_account_close(&a);
    }
}

static void assert_all_there(const struct cq_table *t, uint32_t n,
                             const struct cq_clock *clock)
{
    struct cq_table_figures figures;
    struct cq_row row;
    uint64_t position = 0;
    int64_t rows = 0;

    while (cq_table_next_row(t, clock, &position, &row)) {
        if (row.used_bytes == 1 + (int64_t)number_of(&row.key)) {
            rows++;
        }
    }
    cq_table_figures(t, &figures);
    ck_assert_int_eq(figures.evictions, 0);
    ck_assert_int_eq(figures.untracked, 0);
    ck_assert_int_eq(figures.clients, n);
    ck_assert_int_eq(rows, n);
}

/* Fresh, then a second period with other clients over a table of past rows,
 * then a third with the same ones again. */
static void fill_tables(uint32_t n, int seeds)
{
    while (seeds-- > 0) {
        struct fixture f;
        struct cq_table *t = fixture_table(&f, n);
        struct cq_clock clock = clock_at(t, NOON_S);

        fill(t, n, 0, &clock);
        assert_all_there(t, n, &clock);
        clock = clock_at(t, NEXT_MONTH_S);
        fill(t, n, n / 2, &clock);
        assert_all_there(t, n, &clock);
        cq_calendar_prepare_next(t);
        clock = clock_at(t, NEXT_MONTH_S + 31 * DAY_S);
        fill(t, n, n / 2, &clock);
        assert_all_there(t, n, &clock);
        assert_sound(t);
        fixture_end(&f, t);
    }
}

START_TEST(evicts_nobody)
{
    static const struct { uint32_t clients; int seeds; } size[] = {
        { 1, 20 }, { 2, 20 }, { 33, 200 }, { 100, 300 }, { 1000, 100 },
        { 20000, 20 }, { 262144, 3 }
    };

    fill_tables(size[_i].clients, size[_i].seeds);
}
END_TEST

START_TEST(says_it_at_four_fifths)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1000);
    struct cq_clock clock = clock_at(t, NOON_S);

    fill(t, 799, 0, &clock);
    ck_assert_uint_eq(cq_table_notices(t), 0);
    fill(t, 800, 0, &clock);
    ck_assert_uint_eq(cq_table_notices(t), CQ_NOTICE_FILL);
    fill(t, 1000, 0, &clock);
    ck_assert_uint_eq(cq_table_notices(t), 0);
    clock = clock_at(t, NEXT_MONTH_S);
    fill(t, 1000, 0, &clock);
    ck_assert_uint_eq(cq_table_notices(t), 0);      /* once in a run */
    fixture_end(&f, t);
}
END_TEST

/* A client too many evicts the one that used least, never one over quota or
 * with an open request. */
START_TEST(evicts_the_smallest)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1);      /* 32 rows */
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account held, over;
    struct cq_table_figures figures;
    struct cq_row row;
    struct cq_key gone = client(3);

    fill(t, 32, 0, &clock);                         /* 1 .. 32 bytes */
    ck_assert_uint_eq(cq_table_notices(t), CQ_NOTICE_FILL);
    held = open_client(t, 0, &clock);
    over = open_client(t, 1, &clock);
    cq_account_count_refusal(&over, &clock, CQ_STATE_OVER);
    cq_account_close(&over);
    fill(t, 2, 1000, &clock);                       /* drive out 2 and 3 */
    ck_assert_int_eq(cq_table_row(t, 0, &gone, &clock, &row), CQ_ENOENT);
    gone = client(2);
    ck_assert_int_eq(cq_table_row(t, 0, &gone, &clock, &row), CQ_ENOENT);
    ck_assert_int_eq(row_of(t, 0, &clock).used_bytes, 1);
    ck_assert_int_eq(row_of(t, 1, &clock).used_bytes, 2);
    ck_assert_int_eq(row_of(t, 4, &clock).used_bytes, 5);
    cq_table_figures(t, &figures);
    ck_assert_int_eq(figures.evictions, 2);
    ck_assert_int_eq(figures.clients, 32);
    ck_assert_uint_eq(cq_table_notices(t), CQ_NOTICE_EVICT);
    cq_account_close(&held);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(nobody_can_be_evicted)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account held[32], none;
    struct cq_table_figures figures;
    struct cq_key key = client(99);
    uint32_t k;

    for (k = 0; k < 32; k++) {
        held[k] = open_client(t, k, &clock);
    }
    ck_assert_int_eq(cq_account_open(t, 0, &key, &clock, &none), CQ_EFULL);
    cq_table_figures(t, &figures);
    ck_assert_int_eq(figures.untracked, 1);
    ck_assert_uint_eq(cq_table_notices(t),
                      CQ_NOTICE_FILL | CQ_NOTICE_UNTRACKED);
    for (k = 0; k < 32; k++) {
        cq_account_close(&held[k]);
    }
    none = open_client(t, 99, &clock);
    cq_account_close(&none);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(ten_million_in_two_gigabytes)
{
    struct cq_geometry g = { 0 };

    cq_geometry_plan(&g, 10000000, 0, 0, false);
    ck_assert_uint_eq(g.ledger_n, 65536);
    ck_assert_uint_ge(g.rows_n, 10000000);
    ck_assert_uint_le(g.file_size, UINT64_C(2000000000));
    ck_assert_uint_eq(g.file_size % CQ_PAGE, 0);
    ck_assert_uint_ge(g.file_size, g.cold_at + g.rows_n * 64);
}
END_TEST

/* A flood of prefixes out of one /48, each of which downloads more than any
 * other client, into a table that is as full as it may be. */
START_TEST(flood_out_of_one_network)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 3000);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_table_figures figures;
    uint32_t k, lost = 0;

    /* each of the others of a network of its own */
    for (k = 0; k < 3000; k++) {
        charge_client(t, k << 8, &clock, 100);
    }
    for (k = 0; k < 65536; k++) {
        struct cq_key key = { .family = 6, .prefix = 64 };
        struct cq_account a;

        memcpy(key.bytes, "\x20\x01\x0d\xb8\x00\x01", 6);
        key.bytes[6] = (uint8_t)(k >> 8);
        key.bytes[7] = (uint8_t)k;
        if (cq_account_open(t, 0, &key, &clock, &a) == CQ_OK) {
            cq_account_charge(&a, &clock, 1000000);
            cq_account_close(&a);
        }
    }
    for (k = 0; k < 3000; k++) {
        struct cq_key key = client(k << 8);
        struct cq_row row;

        lost += cq_table_row(t, 0, &key, &clock, &row) != CQ_OK;
    }
    ck_assert_uint_eq(lost, 0);
    cq_table_figures(t, &figures);
    ck_assert_int_gt(figures.evictions, 60000);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/fill");
    TCase *tcase = tcase_create("fill");

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, evicts_nobody, 0, 7);
    tcase_add_test(tcase, says_it_at_four_fifths);
    tcase_add_test(tcase, evicts_the_smallest);
    tcase_add_test(tcase, nobody_can_be_evicted);
    tcase_add_test(tcase, ten_million_in_two_gigabytes);
    tcase_add_test(tcase, flood_out_of_one_network);
    return run_suite(suite);
}
