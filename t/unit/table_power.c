/* table: the power fails. Processes work in a table and are stopped at many
 * moments; images are mixed at random of the pages of two of these, as a
 * disk may keep them, and opened by a start. Afterwards nothing is reserved
 * or held without a request, every client that counts is shown, and no
 * client has another's bytes (each downloads multiples of a prime of its
 * own) nor more than it downloaded. CQ_TEST_SEED replays; CQ_TEST_ALL mixes
 * twenty times as many. */
#include "table_stress.h"
#include "table_fileops.h"

#include <sched.h>

#define MOMENTS 24
#define IMAGES 1000

struct moment {
    unsigned char *bytes;
    int64_t used[STRESS_CLIENTS];      /* of each client until then */
};

static struct moment moments[MOMENTS];
static size_t size;

/* Downloads for ever; the period ends in the middle of it. */
static void work(struct cq_table *t, const uint32_t *primes,
                 _Atomic int64_t *used, _Atomic int64_t *now_s,
                 uint64_t seed)
{
    uint64_t random = seed;

    cq_table_enter(t);
    for (;;) {
        uint64_t r = xorshift(&random);
        uint32_t k = (uint32_t)(r >> 20) % STRESS_CLIENTS;
        struct cq_key key = client(k);
        struct cq_clock clock = clock_at(t, atomic_load(now_s));
        struct cq_account a;
        int64_t n = primes[k] * (1 + (int64_t)(r & 7));

        if (cq_account_open(t, 0, &key, &clock, &a) == CQ_OK) {
            cq_account_admit(&a, &clock, INT64_MAX, primes[k] * 5, NULL);
            /* first, so that it is never less than what the table has */
            atomic_fetch_add(&used[k], n);
            cq_account_charge(&a, &clock, n);
            cq_account_count_hit(&a, &clock);
            if ((r & 0x300) == 0) {
                cq_account_count_refusal(&a, &clock, CQ_STATE_OVER);
            }
            cq_account_close(&a);
        }
    }
}

static void take_moments(struct fixture *f, struct cq_table *t,
                         const uint32_t *primes, uint64_t *random)
{
    _Atomic int64_t *used = shared(STRESS_CLIENTS * sizeof(*used));
    _Atomic int64_t *now_s = shared(sizeof(*now_s));
    struct timespec some = { 0, 3000000 };
    pid_t pids[3];
    int i, k, status;

    atomic_store(now_s, NOON_S);
    for (i = 0; i < 3; i++) {
        uint64_t seed = xorshift(random);

        pids[i] = fork();
        if (pids[i] == 0) {
            work(t, primes, used, now_s, seed);
        }
    }
    for (i = 0; i < MOMENTS; i++) {
        int p;

        if (i == MOMENTS / 2) {
            atomic_store(now_s, NEXT_MONTH_S);
        }
        nanosleep(&some, NULL);     /* their time to work */
        for (p = 0; p < 3; p++) {
            kill(pids[p], SIGSTOP);
            ck_assert_int_eq(waitpid(pids[p], &status, WUNTRACED), pids[p]);
        }
        moments[i].bytes = malloc(size);
        ck_assert_ptr_nonnull(moments[i].bytes);
        memcpy(moments[i].bytes, t->header, size);
        for (k = 0; k < STRESS_CLIENTS; k++) {
            moments[i].used[k] = atomic_load(&used[k]);
        }
        for (p = 0; p < 3; p++) {
            kill(pids[p], SIGCONT);
        }
    }
    for (i = 0; i < 3; i++) {
        kill(pids[i], SIGKILL);
        wait_for(pids[i]);
    }
    (void)f;
}

static void assert_image(struct fixture *f, const uint32_t *primes,
                         const int64_t *used)
{
    struct cq_clock clock;
    struct cq_table_figures figures;
    struct cq_table *t;
    struct cq_row row;
    uint64_t position = 0, i, live = 0, shown = 0;
    unsigned events;

    t = fixture_open(f, &events);
    ck_assert_uint_eq(events & ~(unsigned)CQ_TABLE_REPAIRED, 0);
    ck_assert(cq_ledger_is_idle(t));
    assert_sound(t);
    clock = clock_at(t, NEXT_MONTH_S);
    while (cq_table_next_row(t, &clock, &position, &row)) {
        uint32_t k = number_of(&row.key);

        ck_assert_uint_lt(k, STRESS_CLIENTS);
        ck_assert_int_eq(row.in_flight_bytes, 0);
        ck_assert_int_eq(row.used_bytes % primes[k], 0);
        ck_assert_int_le(row.used_bytes, used[k]);
        shown++;
    }
    for (i = 0; i < t->rows_n; i++) {
        live += t->hot[i].identity != CQ_EMPTY;
        ck_assert_uint_eq(t->hot[i].holders & CQ_HOLDERS, 0);
    }
    ck_assert_uint_eq(live, shown);
    cq_table_figures(t, &figures);
    ck_assert_int_le(figures.clients, (int64_t)shown);
    cq_tablefile_close(t);
}

START_TEST(pages_of_two_moments)
{
    const char *seed = getenv("CQ_TEST_SEED");
    uint64_t random = seed != NULL ? strtoull(seed, NULL, 0)
                                   : (uint64_t)getpid() * 2654435761u + 1;
    int images = getenv("CQ_TEST_ALL") != NULL ? 20 * IMAGES : IMAGES;
    uint32_t primes[STRESS_CLIENTS];
    unsigned char *image;
    struct fixture f;
    struct cq_table *t;
    int fd, i;

    printf("# CQ_TEST_SEED=%" PRIu64 "\n", random);
    fflush(stdout);
    t = fixture_table(&f, STRESS_CAPACITY);
    size = t->size;
    stress_primes(primes);
    take_moments(&f, t, primes, &random);
    cq_tablefile_close(t);
    f.want.now_s = NEXT_MONTH_S;
    image = malloc(size);
    ck_assert_ptr_nonnull(image);
    for (i = 0; i < images; i++) {
        uint64_t r = xorshift(&random);
        const struct moment *one = &moments[(r >> 8) % MOMENTS];
        const struct moment *two = &moments[(r >> 24) % MOMENTS];
        size_t at;

        for (at = 0; at < size; at += 4096) {
            memcpy(image + at,
                   ((xorshift(&random) >> 33) & 1 ? one : two)->bytes + at,
                   4096);
        }
        fd = open(f.path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ck_assert_int_eq(write(fd, image, size), (ssize_t)size);
        close(fd);
        assert_image(&f, primes,
                     one->used[0] + one->used[1] > two->used[0]
                         + two->used[1] ? one->used : two->used);
    }
    free(image);
    fixture_end(&f, NULL);
}
END_TEST

/* A copy of a table in use, and a table whose machine went down: numbers of
 * processes that other processes have by then mean nothing. */
START_TEST(a_copy_has_no_owners)
{
    struct fixture f, copy;
    struct cq_table *t = fixture_table(&f, 10), *u;
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account a = open_client(t, 1, &clock);
    unsigned events;

    cq_account_admit(&a, &clock, INT64_MAX, 1000, NULL);
    fixture_begin(&copy, 10);
    write_file(copy.path, t->header, t->size);
    u = fixture_open(&copy, &events);
    ck_assert_uint_eq(events, CQ_TABLE_REPAIRED);
    assert_row(u, 1, &clock, 0, 0);
    assert_sound(u);
    assert_row(t, 1, &clock, 0, 1000);
    cq_account_close(&a);
    fixture_end(&copy, u);
    fixture_end(&f, t);
}
END_TEST

/* Two containers on one table: processes of the same number, of which none sees
 * the other or /proc. What a living one holds is left alone. */
START_TEST(pid_namespaces_and_chroot)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 10);
    struct cq_clock clock = clock_at(t, NOON_S);
    int ready[2], end[2][2], i;
    pid_t outer[2];
    char byte = 0;

    if (geteuid() != 0) {
        printf("# skip: namespaces are made by root\n");
        fflush(stdout);
        fixture_end(&f, t);
        return;
    }
    ck_assert(pipe(ready) == 0 && pipe(end[0]) == 0 && pipe(end[1]) == 0);
    for (i = 0; i < 2; i++) {
        outer[i] = fork();
        if (outer[i] == 0) {
            struct cq_account a;
            pid_t pid;

            close(end[0][1]);
            close(end[1][1]);
            if (unshare(CLONE_NEWPID) != 0) {
                _exit(2);
            }
            pid = fork();
            if (pid != 0) {
                int status;

                waitpid(pid, &status, 0);
                _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
            }
            if (getpid() != 1 || chroot(f.dir) != 0) {
                _exit(3);
            }
            cq_table_enter(t);
            a = open_client(t, 1, &clock);
            cq_account_admit(&a, &clock, INT64_MAX, 1000 * (1 + i), NULL);
            if (write(ready[1], &byte, 1) != 1
                || read(end[i][0], &byte, 1) != 0) {
                _exit(4);
            }
            _exit(0);           /* with the account open */
        }
    }
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    }
    ck_assert_int_eq(cq_table_settle(t), 0);
    assert_row(t, 1, &clock, 0, 3000);
    for (i = 0; i < 2; i++) {
        close(end[i][1]);
        ck_assert_int_eq(wait_for(outer[i]), 0);
        ck_assert_int_eq(cq_table_settle(t), 1);
        assert_row(t, 1, &clock, 0, i == 0 ? 2000 : 0);
    }
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/power");
    TCase *tcase = tcase_create("power");

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 900);
    tcase_add_test(tcase, pages_of_two_moments);
    tcase_add_test(tcase, a_copy_has_no_owners);
    tcase_add_test(tcase, pid_namespaces_and_chroot);
    return run_suite(suite);
}
