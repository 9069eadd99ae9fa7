/* Markers with bare buckets: whatever brigade is cut, and in whatever portions
 * its buckets go away, each byte is reported once and in order, none before it
 * has gone, and what lies ahead is cut as far as was asked. */
#include "httpd/marker.h"

#include <apr_file_io.h>
#include <apr_general.h>
#include <check.h>
#include <stdlib.h>

#define PIECE_MAX (128 * 1024)
#define HUGE_BYTES (8 * 1024 * 1024)

static apr_pool_t *pool;
static apr_bucket_alloc_t *list;
static apr_bucket_brigade *bb;
static struct cq_markers markers;
static int64_t reported;
static int calls;
static bool sent;

static bool gone(void *baton, int64_t bytes)
{
    ck_assert_ptr_eq(baton, &markers);
    ck_assert_int_gt(bytes, 0);
    calls++;
    if (sent) {
        reported += bytes;
    }
    return sent;
}

static void setup(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    list = apr_bucket_alloc_create(pool);
    bb = apr_brigade_create(pool, list);
    memset(&markers, 0, sizeof(markers));
    markers.gone = gone;
    markers.baton = &markers;
    markers.ahead_bytes = 64 * 1024;
    reported = 0;
    calls = 0;
    sent = true;
}

static void teardown(void)
{
    cq_markers_detach(&markers);
    apr_pool_destroy(pool);
    apr_terminate();
}

static void add_heap(apr_size_t bytes)
{
    char *data = calloc(1, bytes);

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(data, bytes, free,
                                                       list));
}

static void add_file(apr_off_t bytes)
{
    char path[] = "/tmp/marker-XXXXXX";
    apr_file_t *file;

    ck_assert_int_eq(apr_file_mktemp(&file, path, 0, pool), APR_SUCCESS);
    ck_assert_int_eq(apr_file_trunc(file, bytes), APR_SUCCESS);
    apr_brigade_insert_file(bb, file, 0, bytes, pool);
}

static apr_bucket *first(void)
{
    return APR_BRIGADE_FIRST(bb);
}

/* The kernel takes a number of bytes; what was taken is destroyed.
 * @return how many there were */
static int64_t take(int64_t bytes)
{
    int64_t taken = 0;

    while (first() != APR_BRIGADE_SENTINEL(bb) && taken < bytes) {
        apr_bucket *b = first();

        if (!APR_BUCKET_IS_METADATA(b)
            && (int64_t)b->length > bytes - taken) {
            apr_bucket_split(b, (apr_size_t)(bytes - taken));
        }
        taken += (int64_t)b->length;
        apr_bucket_delete(b);
    }
    while (first() != APR_BRIGADE_SENTINEL(bb)
           && APR_BUCKET_IS_METADATA(first())) {
        apr_bucket_delete(first());
    }
    return taken;
}

START_TEST(every_byte_once)
{
    int64_t total = 0;

    srand((unsigned)_i);
    for (int brigade = 0; brigade < 6; brigade++) {
        int buckets = rand() % 6;

        for (int i = 0; i < buckets; i++) {
            apr_size_t bytes = (apr_size_t)(rand() % 2 == 0
                ? rand() % 5000 : rand() % 700000) + 1;

            if (rand() % 3 == 0) {
                bytes += (apr_size_t)(rand() % 4) * PIECE_MAX;
                add_file((apr_off_t)bytes);
            }
            else {
                add_heap(bytes);
            }
            total += (int64_t)bytes;
            if (rand() % 4 == 0) {
                APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(list));
            }
        }
        ck_assert_int_eq(cq_markers_cut(&markers, bb), APR_SUCCESS);
        int64_t taken = 0, had = reported;

        for (int64_t n; (n = take(rand() % 300000 + 1)) > 0;) {
            taken += n;
            /* nothing that was never handed on */
            ck_assert_int_le(reported, total);
        }
        ck_assert_int_le(reported - had, taken + 2 * PIECE_MAX);
        ck_assert_int_le(total - reported, 2 * PIECE_MAX);
    }
    cq_markers_end(&markers);
    cq_markers_end(&markers);
    ck_assert_int_eq(reported, total);
    ck_assert_ptr_null(markers.first);
}
END_TEST

START_TEST(none_before_it_went)
{
    int64_t taken = 0;

    add_file(HUGE_BYTES);
    ck_assert_int_eq(cq_markers_cut(&markers, bb), APR_SUCCESS);
    while (taken < HUGE_BYTES) {
        taken += take(10000);
        ck_assert_int_le(reported, taken);
        ck_assert_int_ge(reported, taken - PIECE_MAX);
    }
    cq_markers_end(&markers);
    ck_assert_int_eq(reported, HUGE_BYTES);
}
END_TEST

/* How far the first file bucket that is no piece lies ahead. */
static int64_t cut_ahead(void)
{
    int64_t ahead = 0;

    for (apr_bucket *b = first(); b != APR_BRIGADE_SENTINEL(bb)
         && b->length <= 2 * PIECE_MAX; b = APR_BUCKET_NEXT(b)) {
        ahead += (int64_t)b->length;
    }
    return ahead;
}

START_TEST(cut_as_far_ahead_as_asked)
{
    static const int64_t asked[] = { 0, 65536, 1024 * 1024, 4 * 1024 * 1024 };
    int64_t taken = 0;

    markers.ahead_bytes = asked[_i];
    add_file(4 * HUGE_BYTES);
    ck_assert_int_eq(cq_markers_cut(&markers, bb), APR_SUCCESS);
    taken = take(1024 * 1024);
    while (taken < 2 * HUGE_BYTES) {
        ck_assert_int_ge(cut_ahead(), asked[_i]);
        /* and not the whole of it: each piece costs memory */
        ck_assert_int_le(cut_ahead(), asked[_i] + 4 * PIECE_MAX);
        taken += take(50000);
    }
}
END_TEST

START_TEST(dropped_bytes_are_not_cut_further)
{
    add_file(HUGE_BYTES);
    ck_assert_int_eq(cq_markers_cut(&markers, bb), APR_SUCCESS);
    take(1000000);
    sent = false;
    int64_t had = reported;

    apr_brigade_cleanup(bb);
    cq_markers_end(&markers);
    ck_assert_int_eq(reported, had);
    ck_assert_ptr_null(markers.first);
}
END_TEST

START_TEST(markers_outlive_their_owner)
{
    add_file(HUGE_BYTES);
    ck_assert_int_eq(cq_markers_cut(&markers, bb), APR_SUCCESS);
    cq_markers_detach(&markers);
    memset(&markers, 0xff, sizeof(markers));    /* its pool is gone */
    apr_brigade_cleanup(bb);
    ck_assert_int_eq(calls, 0);
    memset(&markers, 0, sizeof(markers));
}
END_TEST

/* ---- buckets that can't be split ---- */

static apr_status_t whole_read(apr_bucket *b, const char **data,
                               apr_size_t *length, apr_read_type_e block)
{
    static char text[100000];

    (void)block;
    *data = text;
    *length = b->length;
    return APR_SUCCESS;
}

static const apr_bucket_type_t whole_type = {
    "WHOLE", 5, APR_BUCKET_DATA, apr_bucket_destroy_noop, whole_read,
    apr_bucket_setaside_notimpl, apr_bucket_split_notimpl,
    apr_bucket_copy_notimpl
};

START_TEST(what_cannot_be_split_goes_whole)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    b->type = &whole_type;
    b->length = 100000;
    b->start = 0;
    b->data = NULL;
    APR_BRIGADE_INSERT_TAIL(bb, b);
    ck_assert_int_eq(cq_markers_cut(&markers, bb), APR_SUCCESS);
    apr_brigade_cleanup(bb);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(reported, 100000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("marker");
    TCase *tc = tcase_create("buckets");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, every_byte_once, 0, 200);
    tcase_add_test(tc, none_before_it_went);
    tcase_add_loop_test(tc, cut_as_far_ahead_as_asked, 0, 4);
    tcase_add_test(tc, dropped_bytes_are_not_cut_further);
    tcase_add_test(tc, markers_outlive_their_owner);
    tcase_add_test(tc, what_cannot_be_split_goes_whole);
    suite_add_tcase(s, tc);
    r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
