/* table: files of older layouts. Layout 2 is converted with all its counters;
 * what can't be is set aside, and nothing that was set aside is lost. */
#include "table_fileops.h"

static void make_older(struct fixture *f)
{
    uint32_t version = 0;

    cq_tablefile_close(fixture_table(f, 100));
    poke(f->path, offsetof(struct cq_geometry, version), &version,
         sizeof(version));
}

START_TEST(older_is_set_aside)
{
    struct fixture f;
    struct cq_table *t;
    struct stat old, aside;
    char name[128];
    unsigned events;

    make_older(&f);
    snprintf(name, sizeof(name), "%s.v0", f.path);
    ck_assert_int_eq(stat(f.path, &old), 0);
    ck_assert_int_eq(cq_tablefile_attach(f.path, false, &t, why, sizeof(why)),
                     CQ_EVERSION);
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_SET_ASIDE);
    ck_assert_int_eq(stat(name, &aside), 0);
    ck_assert_uint_eq(old.st_ino, aside.st_ino);
    fixture_end(&f, t);
}
END_TEST

START_TEST(what_was_set_aside_is_kept)
{
    struct fixture f;
    char name[128];

    make_older(&f);
    snprintf(name, sizeof(name), "%s.v0", f.path);
    write_file(name, "precious", 8);
    {
        struct cq_table *t;

        ck_assert_int_eq(try_open(&f, &t, NULL), CQ_EIO);
        ck_assert_ptr_nonnull(strstr(why, name));
    }
    ck_assert_int_eq(names_in(f.dir), 2);
    fixture_end(&f, NULL);
}
END_TEST

/* killed between the two names */
START_TEST(setting_aside_is_finished)
{
    struct fixture f;
    char name[128];
    unsigned events;

    make_older(&f);
    snprintf(name, sizeof(name), "%s.v0", f.path);
    ck_assert_int_eq(link(f.path, name), 0);
    fixture_end(&f, fixture_open(&f, &events));
    ck_assert_uint_eq(events, CQ_TABLE_SET_ASIDE);
}
END_TEST

/* ---- a table of layout 2, as 0.1.0 left it when it was killed ---- */

static void write_layout_2(const char *path)
{
    const char *name = "t/unit/layout2.hex";
    FILE *in = fopen(name, "r");
    char line[256];
    long size = 0;

    ck_assert_msg(in != NULL, "%s: run from the top of the sources", name);
    write_file(path, "", 0);
    while (fgets(line, sizeof(line), in) != NULL) {
        unsigned char bytes[16];
        unsigned long at;
        int i, n;

        if (line[0] == '#') {
            (void)sscanf(line, "# 16 bytes a line, zeros left out. size %ld",
                         &size);
            continue;
        }
        ck_assert_int_eq(sscanf(line, "%lx %n", &at, &n), 1);
        for (i = 0; i < 16; i++) {
            ck_assert_int_eq(sscanf(line + n + 2 * i, "%2hhx", &bytes[i]), 1);
        }
        poke(path, (off_t)at, bytes, sizeof(bytes));
    }
    fclose(in);
    ck_assert_int_gt(size, 0);
    ck_assert_int_eq(truncate(path, size), 0);
}

START_TEST(layout_2_is_converted)
{
    struct fixture f;
    struct cq_table *t;
    struct cq_clock clock;
    struct cq_key key = client(3);
    struct cq_copies_row pair;
    struct cq_pool_info pool;
    struct cq_row row;
    struct cq_hour hours[2];
    int64_t totals[CQ_TOTALS];
    uint64_t position = 0;
    unsigned events;
    uint32_t k;
    int round;

    fixture_begin(&f, 20);
    f.want.files = 10;
    f.want.ledger_entries = 16;
    write_layout_2(f.path);
    ck_assert_int_eq(cq_tablefile_attach(f.path, false, &t, why, sizeof(why)),
                     CQ_EVERSION);
    for (round = 0; round < 2; round++) {
        t = fixture_open(&f, &events);
        ck_assert_uint_eq(events, round == 0 ? CQ_TABLE_IMPORTED : 0);
        ck_assert_int_eq(names_in(f.dir), 1);
        clock = clock_at(t, NOON_S);
        for (k = 0; k < 10; k++) {
            assert_row(t, k, &clock, 100 + k + (k == 3 ? 1000 : 0), 0);
        }
        row = row_of(t, 3, &clock);
        ck_assert_int_eq(row.free_bytes, 77);
        ck_assert_int_eq(row.hits, 1);
        ck_assert_int_eq(row.refused, 1);
        ck_assert_int_eq(row.would_refuse, 0);
        ck_assert_int_eq(row.last_hit_s, NOON_S);
        position = 0;
        ck_assert(cq_copies_next(t, &clock, &position, &pair));
        ck_assert_str_eq(pair.path, "/main.cvd");
        ck_assert_int_eq(pair.today_bytes, 4321);
        ck_assert_int_eq(pair.in_flight_bytes, 0);
        ck_assert_uint_eq(pair.client, cq_table_identity(t, 0, &key));
        ck_assert_uint_eq(cq_table_pool_count(t), 2);
        cq_table_pool_info(t, 0, &pool);
        ck_assert_int_eq(pool.policy.daily_bytes, 1000);
        ck_assert_int_eq(pool.policy.grace_bytes, 50);
        cq_table_totals(t, 0, totals);
        ck_assert_int_eq(totals[CQ_TOTAL_SENT], 2145);
        ck_assert_uint_ge(cq_table_history(t, hours, 2), 1);
        assert_sound(t);
        cq_tablefile_close(t);
    }
    /* of other sizes at once; and what is not whole is set aside */
    write_layout_2(f.path);
    f.want.clients = 1000;
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_IMPORTED);
    assert_row(t, 9, &clock, 109, 0);
    cq_tablefile_close(t);
    write_layout_2(f.path);
    poke(f.path, 16, "damage", 6);
    t = fixture_open(&f, &events);
    ck_assert_uint_eq(events, CQ_TABLE_SET_ASIDE);
    ck_assert_int_eq(names_in(f.dir), 2);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* A head of layout 2 that is sealed and cannot be right, word by word. */
START_TEST(impossible_layout_2_is_set_aside)
{
    static const struct {
        off_t at;
        size_t size;
        uint64_t value;
    } cases[] = {
        { 12, 4, 0 },                               /* ledger_n */
        { 12, 4, CQ_LEDGER_MAX + 1 },
        { 24, 8, 0 }, { 24, 8, 200 },               /* clients_n */
        { 24, 8, (uint64_t)CQ_CLIENTS_MAX + 1 },
        { 32, 8, 16 },                              /* rows_n */
        { 40, 8, (uint64_t)CQ_FILES_MAX + 1 },      /* files_n */
        { 48, 8, 0 }, { 56, 8, 1 },         /* file_rows_n, names_n */
        { 64, 8, 0 }, { 72, 8, 0 }, { 80, 8, 0 }, { 88, 8, 0 },
        { 96, 8, 0 }, { 104, 8, 0 }, { 112, 8, 0 }, { 120, 8, 0 },
        { 146, 1, 33 }, { 147, 1, 129 },            /* prefixes */
    };
    static const struct cq_seed none;
    struct fixture f;
    char name[128];
    unsigned events;
    size_t i;

    fixture_begin(&f, 20);
    f.want.files = 10;
    f.want.ledger_entries = 16;
    snprintf(name, sizeof(name), "%s.v2", f.path);
    for (i = 0; i <= sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t head[20];
        FILE *file;

        write_layout_2(f.path);
        if (i > 0) {
            poke(f.path, cases[i - 1].at, &cases[i - 1].value,
                 cases[i - 1].size);
        }
        file = fopen(f.path, "r");
        ck_assert_uint_eq(fread(head, sizeof(head), 1, file), 1);
        fclose(file);
        head[19] = cq_hash_words(&none, head, 19);
        poke(f.path, 0, head, sizeof(head));
        cq_tablefile_close(fixture_open(&f, &events));
        ck_assert_msg(events == (i == 0 ? CQ_TABLE_IMPORTED
                                        : CQ_TABLE_SET_ASIDE),
                      "case %zu: events %u", i, events);
        unlink(f.path);
        unlink(name);
    }
    /* and one that lacks a byte at its end */
    write_layout_2(f.path);
    {
        struct stat file;

        ck_assert_int_eq(stat(f.path, &file), 0);
        ck_assert_int_eq(truncate(f.path, file.st_size - 1), 0);
    }
    cq_tablefile_close(fixture_open(&f, &events));
    ck_assert_uint_eq(events, CQ_TABLE_SET_ASIDE);
    fixture_end(&f, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/older");
    TCase *tcase = tcase_create("older");

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, older_is_set_aside);
    tcase_add_test(tcase, what_was_set_aside_is_kept);
    tcase_add_test(tcase, setting_aside_is_finished);
    tcase_add_test(tcase, layout_2_is_converted);
    tcase_add_test(tcase, impossible_layout_2_is_set_aside);
    return run_suite(suite);
}
