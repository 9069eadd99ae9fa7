/* table: what clamquota-sync leaves for the page: the report and the marks. */
#include "table/jail.h"
#include "table_fixture.h"

static struct fixture f;
static struct cq_table *table;
static struct cq_clock now;

static void begin(void)
{
    uint16_t pool;

    table = fixture_table(&f, 1024);
    ck_assert_int_eq(cq_table_pool(table, "other", &pool), CQ_OK);
    cq_table_clock(table, NOON_S, &now);
}

static struct cq_key key_of(uint32_t n)
{
    struct cq_prefixes whole = { 32, 64 };
    uint8_t bytes[4] = { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                         (uint8_t)n };
    struct cq_key key;

    ck_assert_int_eq(cq_key_make(&key, bytes, sizeof(bytes), whole), CQ_OK);
    return key;
}

static void refuse(uint16_t pool, uint32_t n, int times)
{
    struct cq_key key = key_of(n);
    struct cq_account a;

    ck_assert_int_eq(cq_account_open(table, pool, &key, &now, &a), CQ_OK);
    cq_account_charge(&a, &now, 1000);
    while (times-- > 0) {
        cq_account_count_refusal(&a, &now, CQ_STATE_OVER);
    }
    cq_account_close(&a);
}

static bool is_jailed(uint16_t pool, uint32_t n)
{
    struct cq_key key = key_of(n);
    struct cq_row row;

    ck_assert_int_eq(cq_table_row(table, pool, &key, &now, &row), CQ_OK);
    return row.jailed;
}

static bool mark(uint32_t n, bool jailed)
{
    struct cq_key key = key_of(n);

    return cq_table_mark_jailed(table, &key, jailed);
}

static bool is_refused(uint32_t n)
{
    struct cq_key key = key_of(n);

    return cq_table_refused_in_jail(table, &key);
}

START_TEST(a_report)
{
    struct cq_jail_report report, written = {
        .jailed = 7, .capacity = 100, .dropped_packets = -1, .as_of_s = NOON_S
    };

    ck_assert(!cq_table_jail(table, &report));
    memset(written.spec, 'x', sizeof(written.spec));
    cq_table_jail_set(table, &written);
    ck_assert(cq_table_jail(table, &report));
    ck_assert_uint_eq(strlen(report.spec), sizeof(report.spec) - 1);
    ck_assert_int_eq(report.jailed, 7);
    ck_assert_int_eq(report.capacity, 100);
    ck_assert_int_eq(report.dropped_packets, -1);
    ck_assert_int_eq(report.as_of_s, NOON_S);
    ck_assert_str_eq(report.deny_files, "");
    /* its writer was killed half way: nothing, until the next one */
    table->header->jail.motion++;
    ck_assert(!cq_table_jail(table, &report));
    cq_table_jail_set(table, &written);
    ck_assert(cq_table_jail(table, &report));
}
END_TEST

/* Names that fit, in order; what is no list of absolute names ends it. */
START_TEST(deny_files)
{
    struct cq_jail_report report, written = { .as_of_s = NOON_S };
    char path[CQ_JAIL_FILES_SIZE], longest[CQ_JAIL_FILES_SIZE + 1];
    const char *next = NULL;

    cq_jail_report_file(&written, "/etc/deny");
    cq_jail_report_file(&written, "relative");
    cq_jail_report_file(&written, "/two\nlines");
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[CQ_JAIL_FILES_SIZE - 11] = '\0';    /* a NUL too many */
    cq_jail_report_file(&written, longest);
    ck_assert_str_eq(written.deny_files, "/etc/deny\n");
    longest[CQ_JAIL_FILES_SIZE - 12] = '\0';
    cq_jail_report_file(&written, longest);
    ck_assert_uint_eq(strlen(written.deny_files), CQ_JAIL_FILES_SIZE - 1);
    cq_jail_report_file(&written, "/");
    cq_table_jail_set(table, &written);
    ck_assert(cq_table_jail(table, &report));
    ck_assert(cq_jail_report_next(&report, &next, path));
    ck_assert_str_eq(path, "/etc/deny");
    ck_assert(cq_jail_report_next(&report, &next, path));
    ck_assert_str_eq(path, longest);
    ck_assert(!cq_jail_report_next(&report, &next, path));
    /* another file's bytes */
    memset(table->header->deny_files, '/', sizeof(report.deny_files));
    ck_assert(cq_table_jail(table, &report));
    next = NULL;
    ck_assert(!cq_jail_report_next(&report, &next, path));
    snprintf(table->header->deny_files, 9, "/a\n\n/b\n");
    ck_assert(cq_table_jail(table, &report));
    ck_assert(cq_jail_report_next(&report, &next, path));
    ck_assert_str_eq(path, "/a");
    ck_assert(!cq_jail_report_next(&report, &next, path));
}
END_TEST

START_TEST(marks)
{
    uint64_t position = 0;
    struct cq_key key, one = key_of(1);

    refuse(0, 1, 3);
    refuse(1, 1, 0);
    refuse(0, 2, 3);
    ck_assert(!mark(1, true));
    ck_assert(!mark(3, true));          /* no row: nothing happens */
    ck_assert(is_jailed(0, 1) && is_jailed(1, 1) && !is_jailed(0, 2));
    ck_assert(cq_table_next_jailed(table, &now, &position, &key));
    ck_assert_int_eq(cq_key_compare(&key, &one), 0);
    ck_assert(cq_table_next_jailed(table, &now, &position, &key));
    ck_assert(!cq_table_next_jailed(table, &now, &position, &key));
    mark(1, false);
    ck_assert(!is_jailed(0, 1) && !is_jailed(1, 1));
    /* neither mark disturbs the others of the row */
    refuse(0, 1, 1);
    mark(1, true);
    refuse(0, 1, 1);
    ck_assert(is_jailed(0, 1));
    position = 0;
    ck_assert(cq_table_next_over(table, &position, &(uint32_t){ 0 }));
}
END_TEST

/* Only what comes after the second look counts: a connection that was open
 * before may have been used until then. */
START_TEST(refused_in_jail)
{
    refuse(0, 1, 3);
    ck_assert(!mark(1, true));
    refuse(0, 1, 1);
    ck_assert(!is_refused(1));
    ck_assert(!mark(1, true));
    ck_assert(!is_refused(1));
    ck_assert(!mark(1, true));
    refuse(0, 1, 1);
    ck_assert(is_refused(1));
    ck_assert(mark(1, true));
    ck_assert(!mark(1, true));
    /* the count begins anew at midnight, and stays within its bits */
    refuse(0, 1, 4096);
    ck_assert(!mark(1, true));
    refuse(0, 1, 1);
    ck_assert(mark(1, true));
    ck_assert(!mark(1, false));
    refuse(0, 1, 1);
    ck_assert(!mark(1, true));
}
END_TEST

/* clamquota-sync compares rows by their words: its own marks are none. */
START_TEST(no_offence)
{
    struct cq_row_words words, later;
    uint64_t position = 0;
    uint32_t row;

    refuse(0, 1, 3);
    ck_assert(cq_table_next_over(table, &position, &row));
    cq_table_row_words(table, row, &words);
    mark(1, true);
    mark(1, true);
    cq_table_row_words(table, row, &later);
    ck_assert_int_eq(memcmp(&later, &words, sizeof(words)), 0);
    refuse(0, 1, 1);
    cq_table_row_words(table, row, &later);
    ck_assert_int_ne(memcmp(&later, &words, sizeof(words)), 0);
}
END_TEST

/* A client that was seen through a proxy in one pool is it in all of them. */
START_TEST(proxied_in_any_pool)
{
    struct cq_key key = key_of(1), other = key_of(2);
    uint16_t pool;

    for (pool = 0; pool < 2; pool++) {
        struct cq_account a;

        ck_assert(!cq_table_seen_proxied(table, &key, &now));
        ck_assert_int_eq(cq_account_open(table, pool, &key, &now, &a), CQ_OK);
        cq_account_mark(&a, 0, pool == 1);
        cq_account_close(&a);
        ck_assert_int_eq(cq_account_open(table, pool, &other, &now, &a),
                         CQ_OK);
        cq_account_mark(&a, 0, false);
        cq_account_close(&a);
    }
    ck_assert(cq_table_seen_proxied(table, &key, &now));
    ck_assert(!cq_table_seen_proxied(table, &other, &now));
}
END_TEST

static void end(void)
{
    fixture_end(&f, table);
}

int main(void)
{
    Suite *suite = suite_create("table/jail");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_checked_fixture(all, begin, end);
    tcase_add_test(all, a_report);
    tcase_add_test(all, deny_files);
    tcase_add_test(all, marks);
    tcase_add_test(all, refused_in_jail);
    tcase_add_test(all, no_offence);
    tcase_add_test(all, proxied_in_any_pool);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
