/* table: a file that is not understood is refused with a sentence and never
 * overwritten, and no byte of one that is opened is trusted. */
#include "table/file.h"
#include "table_fileops.h"
#include "table_use.h"

/* Refused with a sentence that names the file, and the file is as it was. */
static void assert_refused(struct fixture *f, enum cq_status expected)
{
    struct cq_table *table;
    struct stat before, after;
    unsigned events;

    ck_assert_int_eq(lstat(f->path, &before), 0);
    ck_assert_int_eq(try_open(f, &table, &events), expected);
    ck_assert_ptr_null(table);
    ck_assert_ptr_nonnull(strstr(why, f->path));
    ck_assert_int_eq(lstat(f->path, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_int_eq(before.st_size, after.st_size);
    ck_assert_int_eq(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    ck_assert_int_ne(cq_tablefile_attach(f->path, false, &table, why,
                                         sizeof(why)), CQ_OK);
}

/* Set aside under a name of its own, with a new table in its place. */
static void assert_set_aside(struct fixture *f, const char *suffix)
{
    struct cq_table *table;
    struct stat before, after;
    char name[128];
    unsigned events;

    snprintf(name, sizeof(name), "%s%s", f->path, suffix);
    ck_assert_int_eq(lstat(f->path, &before), 0);
    ck_assert_int_eq(cq_tablefile_attach(f->path, false, &table, why,
                                         sizeof(why)), CQ_ECORRUPT);
    ck_assert_int_eq(try_open(f, &table, &events), CQ_OK);
    ck_assert_uint_eq(events, CQ_TABLE_DAMAGED);
    ck_assert_str_eq(why, name);
    assert_sound(table);
    cq_tablefile_close(table);
    ck_assert_int_eq(lstat(name, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_int_eq(before.st_size, after.st_size);
}

START_TEST(damaged_files)
{
    struct fixture f;
    static unsigned char zeros[300000];
    struct stat st;
    int n;

    fixture_begin(&f, 100);
    write_file(f.path, "", 0);
    assert_set_aside(&f, ".damaged");
    unlink(f.path);
    write_file(f.path, zeros, sizeof(zeros));
    assert_set_aside(&f, ".damaged.1");
    ck_assert_int_eq(stat(f.path, &st), 0);
    ck_assert_int_eq(truncate(f.path, st.st_size - 1), 0);
    assert_set_aside(&f, ".damaged.2");
    ck_assert_int_eq(truncate(f.path, 100), 0);
    assert_set_aside(&f, ".damaged.3");
    ck_assert_int_eq(truncate(f.path, st.st_size + 4096), 0);
    assert_set_aside(&f, ".damaged.4");
    poke(f.path, 100, "damage", 6);
    assert_set_aside(&f, ".damaged.5");
    /* names end: then it is the operator's turn */
    for (n = 6; n < 10; n++) {
        struct cq_table *t;

        ck_assert_int_eq(truncate(f.path, 100), 0);
        ck_assert_int_eq(try_open(&f, &t, NULL), CQ_OK);
        cq_tablefile_close(t);
    }
    ck_assert_int_eq(truncate(f.path, 100), 0);
    {
        struct cq_table *t;

        ck_assert_int_eq(try_open(&f, &t, NULL), CQ_EIO);
        ck_assert_ptr_nonnull(strstr(why, "damaged"));
    }
    fixture_end(&f, NULL);
}
END_TEST

START_TEST(foreign_files)
{
    struct fixture f;
    static unsigned char bytes[65536];
    uint64_t random = 4711;
    uint32_t version = CQ_LAYOUT_VERSION + 1;
    size_t i;

    fixture_begin(&f, 100);
    write_file(f.path, "CLAM", 4);
    assert_refused(&f, CQ_ENOTTABLE);
    bytes[sizeof(bytes) - 1] = 1;
    write_file(f.path, bytes, sizeof(bytes));
    assert_refused(&f, CQ_ENOTTABLE);
    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(xorshift(&random) >> 20);
    }
    write_file(f.path, bytes, sizeof(bytes));
    assert_refused(&f, CQ_ENOTTABLE);
    unlink(f.path);

    cq_tablefile_close(fixture_open(&f, NULL));
    poke(f.path, offsetof(struct cq_geometry, version), &version,
         sizeof(version));
    assert_refused(&f, CQ_EVERSION);
    ck_assert_ptr_nonnull(strstr(why, "newer"));
    fixture_end(&f, NULL);
}
END_TEST

START_TEST(no_regular_file)
{
    struct fixture f;
    char name[128];
    struct cq_table *t;

    fixture_begin(&f, 100);
    ck_assert_int_eq(mkdir(f.path, 0700), 0);
    ck_assert_int_eq(try_open(&f, &t, NULL), CQ_ENOTTABLE);
    ck_assert_ptr_nonnull(strstr(why, "directory"));
    ck_assert_int_eq(rmdir(f.path), 0);
    ck_assert_int_eq(mkfifo(f.path, 0600), 0);
    assert_refused(&f, CQ_ENOTTABLE);
    unlink(f.path);
    snprintf(name, sizeof(name), "%s.real", f.path);
    ck_assert_int_eq(symlink(name, f.path), 0);
    assert_refused(&f, CQ_ENOTTABLE);
    ck_assert_ptr_nonnull(strstr(why, "symbolic link"));
    ck_assert_int_ne(access(name, F_OK), 0);
    unlink(f.path);
    ck_assert_int_eq(cq_tablefile_attach(f.path, true, &t, why, sizeof(why)),
                     CQ_ENOENT);
    f.want.clients = 0;
    ck_assert_int_eq(try_open(&f, &t, NULL), CQ_EINVAL);
    f.want.clients = UINT64_C(1) << 40;
    ck_assert_int_eq(try_open(&f, &t, NULL), CQ_EINVAL);
    ck_assert_int_eq(names_in(f.dir), 0);
    fixture_end(&f, NULL);
}
END_TEST

/* ---- no byte is trusted ---- */

static void remove_damaged(struct fixture *f)
{
    char name[128];

    snprintf(name, sizeof(name), "%s.damaged", f->path);
    unlink(name);
}

/* A process that may write into the file may do so between a look at its
 * header and the mapping: nothing is asked of the file a second time. */
START_TEST(changed_after_the_look)
{
    struct fixture f;
    struct cq_geometry g, noise;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_why text = { why, sizeof(why) };
    enum cq_status status;
    int fd;

    cq_tablefile_close(t);
    ck_assert_int_eq(cq_file_open(f.path, false, &fd, &text), CQ_OK);
    ck_assert_int_eq(cq_file_validate(fd, f.path, &g, &status, &text),
                     CQ_FILE_GOOD);
    memset(&noise, 0x7f, sizeof(noise));
    poke(f.path, 0, &noise, sizeof(noise));
    ck_assert_int_eq(cq_file_map(fd, &g, false, f.path, &t, &text), CQ_OK);
    ck_assert_uint_eq(t->rows_n, g.rows_n);
    ck_assert_uint_eq(t->size, g.file_size);
    ck_assert_int_eq((char *)t->hot - (char *)t->header, (off_t)g.hot_at);
    cq_tablefile_close(t);
    fixture_end(&f, NULL);
}
END_TEST

START_TEST(every_byte_of_the_header_flipped)
{
    static const unsigned char masks[] = { 0x01, 0x80, 0xff };
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    unsigned char *good;
    size_t size, at, m;

    put_clients(t, 10);
    cq_tablefile_close(t);
    good = read_whole(f.path, &size);
    for (at = 0; at < sizeof(struct cq_header); at++) {
        for (m = 0; m < sizeof(masks); m++) {
            unsigned char bad = good[at] ^ masks[m];
            enum cq_status status;

            poke(f.path, (off_t)at, &bad, 1);
            status = cq_tablefile_attach(f.path, true, &t, why, sizeof(why));
            if (at < sizeof(struct cq_geometry)) {
                ck_assert(status == CQ_ECORRUPT || status == CQ_ENOTTABLE
                          || status == CQ_EVERSION);
            }
            ck_assert(status == CQ_OK || status == CQ_ECORRUPT
                      || status == CQ_ENOTTABLE || status == CQ_EVERSION);
            if (status == CQ_OK) {
                use_all(t);
                cq_tablefile_close(t);
                write_file(f.path, good, size);
            }
            else {
                poke(f.path, (off_t)at, &good[at], 1);
            }
            if (at >= sizeof(struct cq_geometry) && m == 2) {
                poke(f.path, (off_t)at, &bad, 1);
                if (try_open(&f, &t, NULL) == CQ_OK) {
                    use_all(t);
                    cq_tablefile_close(t);
                }
                remove_damaged(&f);
                write_file(f.path, good, size);
            }
        }
    }
    free(good);
    fixture_end(&f, NULL);
}
END_TEST

START_TEST(noise_behind_the_header)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    unsigned char *good, *bad;
    uint64_t random = 99;
    size_t size, i;
    int round;

    put_clients(t, 10);
    cq_tablefile_close(t);
    good = read_whole(f.path, &size);
    bad = malloc(size);
    ck_assert_ptr_nonnull(bad);
    for (round = 0; round < 60; round++) {
        /* everything, or something here and there, or only the end */
        size_t from = round % 4 == 3 ? size - 8192 : sizeof(struct cq_geometry);

        memcpy(bad, good, size);
        for (i = from; i < size; i++) {
            uint64_t r = xorshift(&random);

            if (round % 4 != 1 || r % 64 == 0) {
                bad[i] = (unsigned char)(r >> 30);
            }
            if (round % 4 == 2 && i == 4096) {
                i = size - 65536;       /* rows and ledger only */
            }
        }
        write_file(f.path, bad, size);
        if (cq_tablefile_attach(f.path, true, &t, why, sizeof(why))
            == CQ_OK) {
            use_all(t);
            cq_tablefile_close(t);
        }
        memcpy(bad, good, offsetof(struct cq_header, clients_now));
        write_file(f.path, bad, size);
        if (try_open(&f, &t, NULL) == CQ_OK) {
            use_all(t);
            cq_tablefile_close(t);
        }
        else {
            ck_assert_int_ne(why[0], '\0');
        }
        remove_damaged(&f);
    }
    free(good);
    free(bad);
    fixture_end(&f, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/trust");
    TCase *tcase = tcase_create("trust");

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, damaged_files);
    tcase_add_test(tcase, foreign_files);
    tcase_add_test(tcase, no_regular_file);
    tcase_add_test(tcase, changed_after_the_look);
    tcase_add_test(tcase, every_byte_of_the_header_flipped);
    tcase_add_test(tcase, noise_behind_the_header);
    return run_suite(suite);
}
