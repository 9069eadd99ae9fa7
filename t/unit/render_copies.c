/* render/copies: which versions of files a client has used up today. */
#include "render/copies.h"
#include "table_fixture.h"

#define SIZE INT64_C(1000)

static struct fixture f;
static struct cq_table *table;
static struct cq_clock now;
static struct cq_copies_name names[CQ_COPIES_NAMES_MAX];
static bool has_memory = true;

static void *give(void *baton, size_t size)
{
    ck_assert_uint_eq(size, sizeof(names));
    return has_memory ? baton : NULL;
}

static const struct cq_arena arena = { give, names };

static void begin(void)
{
    uint16_t pool;

    fixture_begin(&f, 64);
    f.want.files = 64;
    table = fixture_open(&f, NULL);
    ck_assert_int_eq(cq_table_pool(table, "default", &pool), CQ_OK);
    now = clock_at(table, NOON_S);
}

/* Bytes used of a version, of which Copies n are allowed. */
static void download(uint32_t k, const char *path, int64_t n, int64_t bytes)
{
    struct cq_key key = client(k);
    struct cq_version version;
    struct cq_account a;

    cq_version_make(table, path, SIZE, INT64_C(5000001), &version);
    ck_assert_int_eq(cq_copies_open(table, cq_table_identity(table, 0, &key),
                                    &version, &now, &a), CQ_OK);
    cq_copies_note(&a, n);
    cq_copies_charge(&a, &now, bytes);
    cq_account_close(&a);
    charge_client(table, k, &now, bytes);
}

typedef bool find_fn(struct cq_copies_source *source, const struct cq_row *row,
                     struct cq_view_copy *found, size_t *n);

static size_t find(find_fn *function, uint32_t k, const char *root,
                   struct cq_view_copy *found)
{
    struct cq_copies_source source;
    struct cq_row row = row_of(table, k, &now);
    size_t n = 99;

    ck_assert_int_eq(cq_copies_source_begin(&source, table, &now, root,
                                            &arena), CQ_OK);
    ck_assert(function(&source, &row, found, &n));
    return n;
}

static size_t used_up(uint32_t k, const char *root, struct cq_view_copy *found)
{
    return find(cq_copies_used_up, k, root, found);
}

static size_t repeated(uint32_t k, struct cq_view_copy *found)
{
    return find(cq_copies_repeated, k, "/srv/www", found);
}

START_TEST(used_up_to_the_byte)
{
    static struct cq_view_copy found[CQ_COPIES_SHOWN_MAX];

    begin();
    download(1, "/srv/www/main.cvd", 2, 2 * SIZE - 1);
    ck_assert_uint_eq(used_up(1, "/srv/www", found), 0);
    download(2, "/srv/www/main.cvd", 2, 2 * SIZE);  /* of another client */
    ck_assert_uint_eq(used_up(1, "/srv/www", found), 0);
    download(1, "/srv/www/main.cvd", 2, 1);
    ck_assert_uint_eq(used_up(1, "/srv/www", found), 1);
    ck_assert_str_eq(found[0].path, "/main.cvd");
    ck_assert_int_eq(found[0].size_bytes, SIZE);
    ck_assert_int_eq(found[0].mtime_s, 5);
    ck_assert_int_eq(found[0].used_bytes, 2 * SIZE);
    ck_assert_int_eq(found[0].allowance_bytes, 2 * SIZE);
    /* one that has no limit is never used up */
    download(1, "/srv/www/daily.cvd", 0, 9 * SIZE);
    ck_assert_uint_eq(used_up(1, "/srv/www", found), 1);
    /* less than a file today: nothing is looked for */
    download(3, "/srv/www/main.cvd", 1, SIZE - 1);
    ck_assert_uint_eq(used_up(3, "/srv/www", found), 0);
    download(3, "/srv/www/main.cvd", 1, 1);
    ck_assert_uint_eq(used_up(3, "/srv/www", found), 1);
    fixture_end(&f, table);
}
END_TEST

/* More than one copy, or the last one. */
START_TEST(repeated_to_the_byte)
{
    static struct cq_view_copy found[CQ_COPIES_SHOWN_MAX];

    begin();
    download(1, "/srv/www/main.cvd", 3, SIZE);
    ck_assert_uint_eq(repeated(1, found), 0);
    download(1, "/srv/www/main.cvd", 3, 1);
    ck_assert_uint_eq(used_up(1, "/srv/www", found), 0);
    ck_assert_uint_eq(repeated(1, found), 1);
    ck_assert_str_eq(found[0].path, "/main.cvd");
    ck_assert_int_eq(found[0].used_bytes, SIZE + 1);
    ck_assert_int_eq(found[0].allowance_bytes, 3 * SIZE);
    download(2, "/srv/www/main.cvd", 1, SIZE);
    ck_assert_uint_eq(repeated(2, found), 1);
    fixture_end(&f, table);
}
END_TEST

/* Paths are shown below the document root, others whole. */
START_TEST(below_the_root)
{
    static const struct {
        const char *root, *shown;
    } cases[] = {
        { "/srv/www", "/a/main.cvd" }, { "/srv/www///", "/a/main.cvd" },
        { "/srv/www/a", "/main.cvd" }, { "/srv/ww", "/srv/www/a/main.cvd" },
        { "/srv/www/a/main.cvd", "/srv/www/a/main.cvd" },
        { "/other", "/srv/www/a/main.cvd" }, { "", "/srv/www/a/main.cvd" },
        { "/", "/srv/www/a/main.cvd" }, { NULL, "/srv/www/a/main.cvd" },
    };
    static struct cq_view_copy found[CQ_COPIES_SHOWN_MAX];
    size_t i;

    begin();
    download(1, "/srv/www/a/main.cvd", 1, SIZE);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_uint_eq(used_up(1, cases[i].root, found), 1);
        ck_assert_str_eq(found[0].path, cases[i].shown);
    }
    fixture_end(&f, table);
}
END_TEST

/* 32 are shown, and a view asks for a million pairs at most. */
START_TEST(bounds)
{
    static struct cq_view_copy found[CQ_COPIES_SHOWN_MAX];
    struct cq_copies_source source;
    struct cq_row row;
    char path[32];
    size_t i, n;

    begin();
    for (i = 0; i < CQ_COPIES_SHOWN_MAX; i++) {
        snprintf(path, sizeof(path), "/srv/%zu", i);
        download(1, path, 1, SIZE);
        ck_assert_uint_eq(used_up(1, NULL, found), i + 1);
    }
    download(1, "/srv/more", 1, SIZE);
    ck_assert_uint_eq(used_up(1, NULL, found), CQ_COPIES_SHOWN_MAX);

    row = row_of(table, 1, &now);
    ck_assert_int_eq(cq_copies_source_begin(&source, table, &now, NULL,
                                            &arena), CQ_OK);
    ck_assert_int_eq(source.lookups_left, 1000000);
    source.lookups_left = 2;
    ck_assert(!cq_copies_used_up(&source, &row, found, &n));
    ck_assert_uint_eq(n, 2);

    has_memory = false;
    ck_assert_int_eq(cq_copies_source_begin(&source, table, &now, NULL,
                                            &arena), CQ_ENOMEM);
    fixture_end(&f, table);
    /* which a table without Copies does not need */
    table = fixture_table(&f, 64);
    ck_assert_int_eq(cq_copies_source_begin(&source, table, &now, NULL,
                                            &arena), CQ_OK);
    ck_assert(cq_copies_used_up(&source, &row, found, &n));
    ck_assert_uint_eq(n, 0);
    fixture_end(&f, table);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("render: copies");
    TCase *t = tcase_create("copies");

    tcase_add_test(t, used_up_to_the_byte);
    tcase_add_test(t, repeated_to_the_byte);
    tcase_add_test(t, below_the_root);
    tcase_add_test(t, bounds);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
