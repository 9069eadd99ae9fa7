/* table: copies of files by client: bytes by version and day, in rows of
 * their own that neither give to nor take from the clients'. */
#include "table/copies.h"
#include "table_fixture.h"

#include <signal.h>

#define SIZE INT64_C(10000000)

static struct fixture f;
static struct cq_table *table;
static struct cq_clock now;

static void begin(void)
{
    uint16_t pool;

    fixture_begin(&f, 256);
    f.want.files = 512;
    table = fixture_open(&f, NULL);
    ck_assert_int_eq(cq_table_pool(table, "default", &pool), CQ_OK);
    cq_table_clock(table, NOON_S, &now);
}

static void end(void)
{
    ck_assert_int_eq(cq_table_check(table, true, stderr), 0);
    fixture_end(&f, table);
}

static uint64_t client_of(uint32_t n)
{
    struct cq_key key = client(n);

    return cq_table_identity(table, 0, &key);
}

static struct cq_version version_of(const char *path, int64_t mtime_us)
{
    struct cq_version version;

    cq_version_make(table, path, SIZE, mtime_us, &version);
    return version;
}

static struct cq_account open_pair(uint32_t n, const char *path,
                                   int64_t mtime_us)
{
    struct cq_version version = version_of(path, mtime_us);
    struct cq_account a;

    ck_assert_int_eq(cq_copies_open(table, client_of(n), &version, &now, &a),
                     CQ_OK);
    return a;
}

static struct cq_copies usage_of(struct cq_account *a)
{
    struct cq_copies copies;

    cq_copies_usage(a, &now, &copies);
    return copies;
}

/* a whole download; false when it was refused */
static bool draw(uint32_t n, const char *path, int64_t mtime_us, int64_t bytes)
{
    struct cq_version version = version_of(path, mtime_us);
    struct cq_account a = open_pair(n, path, mtime_us);
    bool admitted = cq_copies_admit(&a, &now, 2, &version, SIZE) == CQ_OK;

    if (admitted) {
        cq_copies_charge(&a, &now, bytes);
    }
    cq_account_close(&a);
    return admitted;
}

START_TEST(two_copies_and_no_more)
{
    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE));
    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE));
    ck_assert(!draw(1, "/srv/main.cvd", 5, SIZE));
    /* another file, another version, another client */
    ck_assert(draw(1, "/srv/daily.cvd", 5, SIZE));
    ck_assert(draw(1, "/srv/main.cvd", 6, SIZE));
    ck_assert(draw(2, "/srv/main.cvd", 5, SIZE));
    /* paths that differ in their last byte, and by a zero's worth of length */
    ck_assert(draw(1, "/srv/main.cvdd", 5, SIZE));
    ck_assert(draw(1, "/srv/main.cv", 5, SIZE));
    ck_assert(!draw(1, "/srv/main.cvd", 5, SIZE));
}
END_TEST

/* The figures of a pair that readers see, its ClamQuotaCopies included. */
START_TEST(what_a_reader_sees)
{
    static const int64_t notes[] = { 2, 1000, 32767, 32768, INT64_MAX };
    struct cq_version version = version_of("/srv/main.cvd", 5);
    struct cq_copies_row row;
    struct cq_account a;
    uint64_t position = 0;
    size_t i;

    a = open_pair(1, "/srv/main.cvd", 5);
    /* nothing today yet: not there */
    ck_assert(!cq_copies_next(table, &now, &position, &row));
    ck_assert_int_eq(cq_copies_admit(&a, &now, 2, &version, SIZE), CQ_OK);
    cq_copies_charge(&a, &now, 3);
    for (i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
        cq_copies_note(&a, notes[i]);
        position = 0;
        ck_assert(cq_copies_next(table, &now, &position, &row));
        ck_assert_uint_eq(row.client, client_of(1));
        ck_assert_int_eq(row.copies_n, notes[i] < 32767 ? notes[i] : 32767);
        ck_assert_int_eq(row.today_bytes, 3);
        ck_assert_int_eq(row.in_flight_bytes, SIZE - 3);
        ck_assert_str_eq(row.path, "/srv/main.cvd");
        ck_assert_int_eq(row.size_bytes, SIZE);
        ck_assert_int_eq(row.mtime_us, 5);
        ck_assert(!cq_copies_next(table, &now, &position, &row));
    }
    cq_account_close(&a);
    position = 0;
    ck_assert(cq_copies_next(table, &now, &position, &row));
    ck_assert_int_eq(row.in_flight_bytes, 0);
}
END_TEST

START_TEST(bytes_count_not_requests)
{
    int i;

    for (i = 0; i < 19; i++) {      /* aborted after a tenth and a bit */
        ck_assert(draw(1, "/srv/main.cvd", 5, SIZE / 10 + 1));
    }
    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE / 10 - 20));
    /* one byte is left */
    ck_assert(draw(1, "/srv/main.cvd", 5, 1));
    ck_assert(!draw(1, "/srv/main.cvd", 5, 1));
}
END_TEST

START_TEST(what_is_under_way_counts)
{
    struct cq_version version = version_of("/srv/main.cvd", 5);
    struct cq_account a[8];
    int i, served = 0;

    for (i = 0; i < 8; i++) {
        a[i] = open_pair(1, "/srv/main.cvd", 5);
        served += cq_copies_admit(&a[i], &now, 2, &version, SIZE) == CQ_OK;
    }
    ck_assert_int_eq(served, 2);
    ck_assert_int_eq(usage_of(&a[0]).in_flight_bytes, 2 * SIZE);
    ck_assert_int_eq(usage_of(&a[0]).today_bytes, 0);
    /* an abort refunds what did not leave */
    cq_copies_charge(&a[0], &now, SIZE / 4);
    cq_account_close(&a[0]);
    ck_assert_int_eq(usage_of(&a[7]).today_bytes, SIZE / 4);
    ck_assert_int_eq(usage_of(&a[7]).in_flight_bytes, SIZE);
    ck_assert_int_eq(cq_copies_admit(&a[7], &now, 2, &version, SIZE), CQ_OK);
    for (i = 1; i < 8; i++) {
        cq_account_close(&a[i]);
    }
}
END_TEST

START_TEST(a_day_begins_anew)
{
    struct cq_version version = version_of("/srv/main.cvd", 5);
    struct cq_account a, late;

    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE));
    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE / 2));
    late = open_pair(1, "/srv/main.cvd", 5);
    ck_assert_int_eq(cq_copies_admit(&late, &now, 2, &version, 1000), CQ_OK);
    cq_table_clock(table, NOON_S + DAY_S, &now);
    a = open_pair(1, "/srv/main.cvd", 5);
    ck_assert_int_eq(usage_of(&a).today_bytes, 0);
    ck_assert_int_eq(usage_of(&a).yesterday_bytes, SIZE + SIZE / 2);
    ck_assert_int_eq(usage_of(&a).in_flight_bytes, 1000);
    /* bytes that flow after midnight belong to the new day */
    cq_copies_charge(&late, &now, 600);
    cq_account_close(&late);
    ck_assert_int_eq(usage_of(&a).today_bytes, 600);
    ck_assert_int_eq(usage_of(&a).in_flight_bytes, 0);
    cq_account_close(&a);
    cq_table_clock(table, NOON_S + 3 * DAY_S, &now);
    a = open_pair(1, "/srv/main.cvd", 5);
    ck_assert_int_eq(usage_of(&a).today_bytes, 0);
    ck_assert_int_eq(usage_of(&a).yesterday_bytes, 0);
    cq_account_close(&a);
}
END_TEST

START_TEST(never_pushes_out_a_client)
{
    struct cq_table_figures figures;
    char path[32];
    uint32_t n;
    int i, clients = 0;
    uint64_t position = 0;
    struct cq_row row;

    for (n = 0; n < 200; n++) {
        struct cq_account a = open_client(table, n, &now);

        cq_account_charge(&a, &now, 1 + n);
        cq_account_close(&a);
    }
    for (i = 0; i < 5000; i++) {        /* ten times what there is room for */
        snprintf(path, sizeof(path), "/srv/%d", i);
        draw((uint32_t)i % 200, path, 5, 100 + i);
    }
    while (cq_table_next_row(table, &now, &position, &row)) {
        clients++;
    }
    ck_assert_int_eq(clients, 200);
    cq_table_figures(table, &figures);
    ck_assert_int_eq(figures.evictions, 0);
    ck_assert_int_eq(figures.clients, 200);
    ck_assert_int_eq(figures.pairs_lost,
                     5000 - (int64_t)(table->all_rows_n - table->rows_n));
    ck_assert_uint_eq(cq_table_notices(table) & CQ_NOTICE_FILES,
                      CQ_NOTICE_FILES);
}
END_TEST

START_TEST(names_are_bounded_and_never_wrong)
{
    static struct cq_copies_name names[CQ_COPIES_NAMES_MAX];
    struct cq_copies_row row;
    uint64_t position = 0;
    char longest[400];
    int n = 0;

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    memcpy(longest + sizeof(longest) - 9, "main.cvd", 8);
    ck_assert(draw(1, longest, 7, 10));
    while (cq_copies_next(table, &now, &position, &row)) {
        ck_assert_uint_eq(row.client, client_of(1));
        ck_assert_uint_eq(strlen(row.path), sizeof(row.path) - 1);
        ck_assert_int_eq(strncmp(row.path, "...xxx", 6), 0);
        ck_assert_str_eq(row.path + sizeof(row.path) - 9, "main.cvd");
        ck_assert_int_eq(row.size_bytes, SIZE);
        ck_assert_int_eq(row.mtime_us, 7);
        ck_assert_int_eq(row.today_bytes, 10);
        n++;
    }
    ck_assert_int_eq(n, 1);
    ck_assert_uint_eq(cq_copies_names(table, &now, names), 1);
    ck_assert_int_eq(names[0].size_bytes, SIZE);
    ck_assert(cq_copies_find(table, &now, client_of(1), &names[0], &row));
    ck_assert_int_eq(row.today_bytes, 10);
    ck_assert_str_eq(row.path + sizeof(row.path) - 9, "main.cvd");
    ck_assert(!cq_copies_find(table, &now, client_of(2), &names[0], &row));
    /* another one took its place */
    for (position = 0; position < table->names_n; position++) {
        if (table->names[position].version != 0) {
            memcpy(table->names[position].path, "wrong", 6);
        }
    }
    position = 0;
    ck_assert(cq_copies_next(table, &now, &position, &row));
    ck_assert_str_eq(row.path, "");
    ck_assert_int_eq(row.size_bytes, 0);
    ck_assert_int_eq(row.today_bytes, 10);
}
END_TEST

START_TEST(a_reset_forgets_them)
{
    struct cq_version version = version_of("/srv/main.cvd", 5);
    struct cq_key key = client(1);
    struct cq_account a;

    charge_client(table, 1, &now, 1);
    charge_client(table, 2, &now, 1);
    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE));
    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE));
    ck_assert(draw(2, "/srv/main.cvd", 5, SIZE + 3));
    a = open_pair(1, "/srv/main.cvd", 5);
    ck_assert_int_eq(cq_copies_admit(&a, &now, 3, &version, 77), CQ_OK);
    ck_assert_int_eq(cq_table_reset(table, &key, &now), 1);
    ck_assert_int_eq(usage_of(&a).today_bytes, 0);
    ck_assert_int_eq(usage_of(&a).yesterday_bytes, 0);
    ck_assert_int_eq(usage_of(&a).in_flight_bytes, 77);
    cq_account_close(&a);
    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE));
    a = open_pair(2, "/srv/main.cvd", 5);
    ck_assert_int_eq(usage_of(&a).today_bytes, SIZE + 3);
    cq_account_close(&a);
}
END_TEST

START_TEST(a_killed_child_is_settled)
{
    struct cq_version version = version_of("/srv/main.cvd", 5);
    struct cq_account a;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        cq_table_enter(table);
        a = open_pair(1, "/srv/main.cvd", 5);
        cq_copies_admit(&a, &now, 2, &version, 2 * SIZE);
        cq_copies_charge(&a, &now, 1234);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(!draw(1, "/srv/main.cvd", 5, 1));
    ck_assert_int_eq(cq_table_settle(table), 1);
    a = open_pair(1, "/srv/main.cvd", 5);
    ck_assert_int_eq(usage_of(&a).today_bytes, 1234);
    ck_assert_int_eq(usage_of(&a).in_flight_bytes, 0);
    cq_account_close(&a);
}
END_TEST

/* A pair has no cold line, whatever a damaged mark says of it (D8). */
START_TEST(a_damaged_mark_is_not_believed)
{
    const size_t pairs_at = table->cold_rows_n;
    size_t row, seen = 0;

    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE));
    for (row = pairs_at; seen == 0; row++) {
        seen = atomic_load(&table->hot[row].identity) != 0;
    }
    ck_assert_uint_eq(seen, 1);
    atomic_store(&table->hot[row - 1].mark, UINT32_MAX);
    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE));
    ck_assert(!draw(1, "/srv/main.cvd", 5, SIZE));
    /* nothing was written where its cold line would be */
    ck_assert_uint_eq(atomic_exchange(&table->hot[row - 1].mark, 0)
                      & CQ_MARK_OVER, CQ_MARK_OVER);
}
END_TEST

START_TEST(without_room_for_any)
{
    struct cq_version version;
    struct cq_account a;

    cq_tablefile_close(table);
    f.want.files = 0;
    table = fixture_open(&f, NULL);
    ck_assert(!cq_table_has_copies(table));
    version = version_of("/srv/main.cvd", 5);
    ck_assert_int_eq(cq_copies_open(table, client_of(1), &version, &now, &a),
                     CQ_EFULL);
    cq_account_close(&a);
}
END_TEST

START_TEST(a_change_of_size_keeps_them)
{
    struct cq_account a;
    unsigned events;

    ck_assert(draw(1, "/srv/main.cvd", 5, SIZE + 7));
    cq_tablefile_close(table);
    f.want.files = 4000;
    f.want.clients = 1000;
    table = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_RESIZED);
    a = open_pair(1, "/srv/main.cvd", 5);
    ck_assert_int_eq(usage_of(&a).today_bytes, SIZE + 7);
    cq_account_close(&a);
    /* there need be no room for all of them: clients stay */
    a = open_client(table, 3, &now);
    cq_account_charge(&a, &now, 77);
    cq_account_close(&a);
    cq_tablefile_close(table);
    f.want.files = 0;
    table = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_RESIZED);
    a = open_client(table, 3, &now);
    ck_assert_int_eq(a.row != CQ_NO_ROW, 1);
    cq_account_close(&a);
}
END_TEST

START_TEST(an_empty_file_has_no_copies)
{
    struct cq_version version;
    struct cq_account a;
    int i;

    cq_version_make(table, "/srv/empty", 0, 1, &version);
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(cq_copies_open(table, client_of(1), &version, &now,
                                        &a), CQ_OK);
        ck_assert_int_eq(cq_copies_admit(&a, &now, 1, &version, 0), CQ_OK);
        cq_account_close(&a);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table_copies");
    TCase *c = tcase_create("copies");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(c, begin, end);
    tcase_set_timeout(c, 30);
    tcase_add_test(c, two_copies_and_no_more);
    tcase_add_test(c, what_a_reader_sees);
    tcase_add_test(c, bytes_count_not_requests);
    tcase_add_test(c, what_is_under_way_counts);
    tcase_add_test(c, a_day_begins_anew);
    tcase_add_test(c, never_pushes_out_a_client);
    tcase_add_test(c, names_are_bounded_and_never_wrong);
    tcase_add_test(c, a_reset_forgets_them);
    tcase_add_test(c, a_killed_child_is_settled);
    tcase_add_test(c, a_damaged_mark_is_not_believed);
    tcase_add_test(c, without_room_for_any);
    tcase_add_test(c, a_change_of_size_keeps_them);
    tcase_add_test(c, an_empty_file_has_no_copies);
    suite_add_tcase(suite, c);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
