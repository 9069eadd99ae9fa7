/* table: the threads of one child at once, with a reader and the housekeeping
 * beside them. Other tests have processes, which a thread sanitizer does not
 * see; without one this is a short stress test. */
#include "table/changes.h"
#include "table/copies.h"
#include "table/exempt.h"
#include "table/jail.h"
#include "table_stress.h"

#include <pthread.h>

#define STEPS 4000
#define FILES 8
#define PIECE_BYTES 1000

static struct stress s;
static _Atomic bool ended;

struct worker {
    pthread_t thread;
    int number;
    int64_t drawn_bytes[FILES];     /* of files, by client 0 */
};

/* A response of a file, to client 0, which every worker serves. */
static void serve_file(struct worker *me, const struct cq_clock *clock, int i)
{
    struct cq_key key = client(0);
    uint64_t identity = cq_table_identity(s.table, 0, &key);
    struct cq_version version;
    struct cq_copies copies;
    struct cq_account pair;

    cq_version_make(s.table, "/file", 1000 + i % FILES, 0, &version);
    if (cq_copies_open(s.table, identity, &version, clock, &pair) != CQ_OK) {
        return;
    }
    cq_copies_usage(&pair, clock, &copies);
    if (cq_copies_admit(&pair, clock, 1000000, &version, 3 * PIECE_BYTES)
        == CQ_OK) {
        cq_copies_charge(&pair, clock, PIECE_BYTES);
        me->drawn_bytes[i % FILES] += PIECE_BYTES;
    }
    cq_account_close(&pair);
}

static void refuse(const struct cq_clock *clock, uint32_t k)
{
    struct cq_key key = client(k);
    struct cq_account a;

    if (cq_account_open(s.table, 0, &key, clock, &a) == CQ_OK) {
        struct cq_usage usage;

        cq_account_usage(&a, clock, &usage);
        cq_account_count_hit(&a, clock);
        cq_account_count_refusal(&a, clock, CQ_STATE_OVER);
        cq_account_close(&a);
    }
}

static void *work(void *argument)
{
    struct worker *me = argument;
    struct stress_hands hands = { .random = 88172645463325252u
        + (uint64_t)me->number };
    struct cq_exempt_answer answer = { 0 };
    struct cq_clock clock = clock_at(s.table, NOON_S);
    int i;

    for (i = 0; i < STEPS; i++) {
        struct cq_key key = client((uint32_t)i % STRESS_CLIENTS);

        stress_step(&s, me->number, &clock, &hands);
        serve_file(me, &clock, i);
        cq_exempt_covers(s.table, &key, NOON_S, &answer);
        if (i % 16 == 0) {
            refuse(&clock, (uint32_t)i % STRESS_CLIENTS);
        }
    }
    for (i = 0; i < STRESS_HELD; i++) {
        if (hands.is_open[i]) {
            cq_account_close(&hands.open[i]);
        }
    }
    return NULL;
}

/* What the page does. */
static void *read_all(void *argument)
{
    static struct cq_change list[CQ_CHANGES_MAX];
    static struct cq_exemption exemptions[CQ_EXEMPTIONS_MAX];
    struct cq_clock clock = clock_at(s.table, NOON_S);

    (void)argument;
    while (!atomic_load(&ended)) {
        struct cq_table_figures figures;
        struct cq_hour hours[CQ_HOURS];
        struct cq_copies_row pair;
        struct cq_jail_report report;
        struct cq_row row;
        uint64_t position = 0;

        while (cq_table_next_row(s.table, &clock, &position, &row)) {
        }
        position = 0;
        while (cq_copies_next(s.table, &clock, &position, &pair)) {
        }
        cq_table_figures(s.table, &figures);
        cq_table_history(s.table, hours, CQ_HOURS);
        cq_changes_read(s.table, NULL, list, CQ_CHANGES_MAX);
        cq_exempt_list(s.table, NOON_S, exemptions);
        cq_table_jail(s.table, &report);
        cq_table_check(s.table, false, NULL);
    }
    return NULL;
}

/* What httpd's parent, clamquota-sync and an operator do. */
static void keep_house(void)
{
    struct cq_clock clock = clock_at(s.table, NOON_S);
    struct cq_clock_watch watch = { 0 };
    struct cq_jail_report report = { "nft:a b c", 1, 2, 3, NOON_S, "" };
    struct cq_change change;
    int64_t lost;
    uint32_t round;

    for (round = 0; !atomic_load(&ended); round++) {
        /* not client 0: a reset forgets its files */
        struct cq_key key = client(1 + round % (STRESS_CLIENTS - 1));

        cq_table_tick(s.table, &watch, NOON_S, round);
        cq_table_settle(s.table);
        cq_exempt_set(s.table, &key, NOON_S + 60, NOON_S);
        cq_table_jail_set(s.table, &report);
        cq_table_mark_jailed(s.table, &key, round % 2 == 0);
        if (round % 8 == 0) {
            cq_table_reset(s.table, &key, &clock);
        }
        while (cq_changes_next(s.table, &change, &lost)) {
        }
        cq_exempt_end(s.table, &key, NOON_S);
    }
}

static void *watch_workers(void *argument)
{
    struct worker *workers = argument;
    int i;

    for (i = 0; i < STRESS_WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    atomic_store(&ended, true);
    return NULL;
}

static void assert_files(const struct worker *workers)
{
    struct cq_clock clock = clock_at(s.table, NOON_S);
    struct cq_copies_row pair;
    uint64_t position = 0;
    int files = 0, i;

    while (cq_copies_next(s.table, &clock, &position, &pair)) {
        int64_t drawn_bytes = 0;

        for (i = 0; i < STRESS_WORKERS; i++) {
            drawn_bytes += workers[i].drawn_bytes[pair.size_bytes - 1000];
        }
        ck_assert_int_eq(pair.today_bytes, drawn_bytes);
        ck_assert_int_eq(pair.in_flight_bytes, 0);
        files++;
    }
    ck_assert_int_eq(files, FILES);
}

START_TEST(one_childs_threads)
{
    struct fixture f;
    struct worker workers[STRESS_WORKERS] = { 0 };
    pthread_t reader, watcher;
    uint16_t pool;
    int rows, i;

    fixture_begin(&f, STRESS_CAPACITY);
    f.want.files = 100;
    s.table = fixture_open(&f, NULL);
    ck_assert_int_eq(cq_table_pool(s.table, "default", &pool), CQ_OK);
    s.charges = shared(STRESS_WORKERS * 64);
    stress_primes(s.primes);
    for (i = 0; i < STRESS_WORKERS; i++) {
        workers[i].number = i;
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work,
                                        &workers[i]), 0);
    }
    ck_assert_int_eq(pthread_create(&reader, NULL, read_all, NULL), 0);
    ck_assert_int_eq(pthread_create(&watcher, NULL, watch_workers, workers),
                     0);
    keep_house();
    pthread_join(watcher, NULL);
    pthread_join(reader, NULL);

    ck_assert_int_eq(stress_foreign(&s, &rows), 0);
    ck_assert_int_gt(rows, STRESS_CAPACITY / 2);
    assert_files(workers);
    assert_sound(s.table);
    fixture_end(&f, s.table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/threads");
    TCase *tcase = tcase_create("threads");

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, one_childs_threads);
    return run_suite(suite);
}
