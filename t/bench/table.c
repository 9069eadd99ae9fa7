/* bench/table: what a request pays for its counting, as a multiple of one
 * `lock xadd` on a random line of an array that has as many 64-byte lines as
 * the table has rows: the least that any shared counter of this many clients
 * can cost.
 *
 * Both sides run in interleaved rounds over the same precomputed random
 * numbers, on memory of the same kind (a tmpfs file or, for the array, shared
 * anonymous memory), touched before. Medians of the rounds are compared.
 * With "stress" as argument: 10^8 charges by killed processes instead. */
#define CQ_PLAIN_ASSERT
#include "../unit/table_stress.h"

#define ROUNDS 15
#define STEPS 400000u           /* operations of a round */

struct bench {
    struct fixture f;
    struct cq_table *table;
    struct cq_clock clock;
    uint32_t clients_n;
    struct cq_key *keys;        /* STEPS random clients */
    uint32_t *rows;             /* and the rows in which they are */
    uint32_t *row_of;           /* each client's row */
    void *array;
    _Atomic uint64_t *lines;    /* the same: 8 for each row */
};

/* This process's own time, so that others on the machine count less. */
static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *numbers, size_t n)
{
    qsort(numbers, n, sizeof(*numbers), by_size);
    return numbers[n / 2];
}

/* ---- the operations, each STEPS times; nanoseconds for one ---- */

static double run_xadd(struct bench *b)
{
    int64_t start_ns = now_ns();
    uint32_t i;

    for (i = 0; i < STEPS; i++) {
        atomic_fetch_add(&b->lines[(size_t)b->rows[i] * 8], 100);
    }
    return (double)(now_ns() - start_ns) / STEPS;
}

/* One account, turned from row to row: the entry is as warm as a worker's
 * own is, the row as cold as a random client's. */
static double run_charge(struct bench *b)
{
    struct cq_account a = open_client(b->table, 0, &b->clock);
    uint32_t own = a.row;
    int64_t start_ns = now_ns();
    double took;
    uint32_t i;

    for (i = 0; i < STEPS; i++) {
        a.row = b->rows[i];
        cq_account_charge(&a, &b->clock, 100);
    }
    took = (double)(now_ns() - start_ns) / STEPS;
    a.row = own;
    cq_account_close(&a);
    return took;
}

static double run_find(struct bench *b)
{
    int64_t start_ns = now_ns();
    uint32_t i;

    for (i = 0; i < STEPS; i++) {
        struct cq_account a;

        cq_account_open(b->table, 0, &b->keys[i], &b->clock, &a);
        cq_account_charge(&a, &b->clock, 100);
        cq_account_close(&a);
    }
    return (double)(now_ns() - start_ns) / STEPS;
}

/* ---- one size ---- */

static void fill(struct bench *b)
{
    struct cq_table_figures figures;
    uint32_t k;

    uint64_t hash, homes_n = 0;

    for (k = 0; k < b->clients_n; k++) {
        charge_client(b->table, k, &b->clock, 1);
    }
    for (k = 0; k < b->clients_n; k++) {
        struct cq_key key = client(k);
        struct cq_homes homes;

        hash = cq_identity(b->table, 0, &key);
        homes = cq_window_homes(&b->table->clients, hash);
        b->row_of[k] = cq_window_find(b->table, &homes, hash);
        homes_n += (b->row_of[k] | 1) == (homes.row[0] | 1);
    }
    cq_table_figures(b->table, &figures);
    printf("%8" PRIu32 " clients: %" PRIu64 " bytes, %" PRId64
           " evicted, %" PRId64 " untracked, %.1f %% at home\n",
           b->clients_n, b->table->header->geometry.file_size,
           figures.evictions, figures.untracked,
           100.0 * (double)homes_n / b->clients_n);
}

static void shuffle(struct bench *b, uint64_t seed)
{
    uint64_t random = seed;
    uint32_t i;

    for (i = 0; i < STEPS; i++) {
        uint32_t k = (uint32_t)((xorshift(&random) >> 32) * b->clients_n
                                >> 32);

        /* without a look at the table, which would warm it */
        b->keys[i] = client(k);
        b->rows[i] = b->row_of[k];
    }
}

static void begin(struct bench *b, uint32_t clients_n)
{
    memset(b, 0, sizeof(*b));
    b->table = fixture_table(&b->f, clients_n);
    b->clock = clock_at(b->table, NOON_S);
    b->clients_n = clients_n;
    b->keys = malloc(STEPS * sizeof(*b->keys));
    b->rows = malloc(STEPS * sizeof(*b->rows));
    b->row_of = malloc(clients_n * sizeof(*b->row_of));
    b->array = shared(b->table->rows_n * 64);
    b->lines = b->array;
    ck_assert(b->keys != NULL && b->rows != NULL && b->row_of != NULL);
    memset(b->array, 1, b->table->rows_n * 64);
    fill(b);
}

static void end(struct bench *b)
{
    munmap(b->array, b->table->rows_n * 64);
    free(b->keys);
    free(b->rows);
    free(b->row_of);
    fixture_end(&b->f, b->table);
}

static void compare(uint32_t clients_n, double charge_max, double find_max)
{
    struct bench b;
    double xadd[ROUNDS], charge[ROUNDS], find[ROUNDS];
    double x, c, f;
    int round;

    begin(&b, clients_n);
    for (round = -2; round < ROUNDS; round++) {
        int i = round < 0 ? 0 : round;      /* two to warm up */

        /* each over rows that the one before has not warmed */
        shuffle(&b, 88172645463325252u + (uint64_t)(round + 2));
        xadd[i] = run_xadd(&b);
        charge[i] = run_charge(&b);
        shuffle(&b, 4711u + (uint64_t)(round + 2));
        find[i] = run_find(&b);
    }
    x = median(xadd, ROUNDS);
    c = median(charge, ROUNDS);
    f = median(find, ROUNDS);
    printf("          xadd                     %6.1f ns\n"
           "          charge                   %6.1f ns = %5.2f (wanted %.1f)\n"
           "          find, charge             %6.1f ns = %5.2f (wanted %.1f)\n",
           x, c, c / x, charge_max, f, f / x, find_max);
    fflush(stdout);
    end(&b);
}

/* ---- two processes ---- */

/* Lets n processes find and charge for the same time at once.
 * @return operations of all in a second */
static double together(struct bench *b, int n, int *gate)
{
    double *took_s = shared(sizeof(double[2]));
    pid_t pids[2] = { 0 };
    double rate = 0;
    int i;

    gate[0] = 0;
    for (i = 0; i < n; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            double start_s;

            cq_table_enter(b->table);
            shuffle(b, 4711u + (uint64_t)i);
            run_find(b);                    /* to warm up */
            __atomic_add_fetch(&gate[0], 1, __ATOMIC_SEQ_CST);
            while (__atomic_load_n(&gate[0], __ATOMIC_SEQ_CST) < n) {
            }
            start_s = stress_now();
            run_find(b);
            took_s[i] = stress_now() - start_s;
            _exit(0);
        }
    }
    for (i = 0; i < n; i++) {
        wait_for(pids[i]);
        rate += STEPS / took_s[i];
    }
    munmap(took_s, sizeof(double[2]));
    return rate;
}

static void scale_up(uint32_t clients_n)
{
    struct bench b;
    double one[ROUNDS], two[ROUNDS], ratio;
    int *gate = shared(sizeof(int));
    int i;

    begin(&b, clients_n);
    for (i = 0; i < ROUNDS; i++) {
        one[i] = together(&b, 1, gate);
        two[i] = together(&b, 2, gate);
    }
    ratio = median(two, ROUNDS) / median(one, ROUNDS);
    printf("          two processes: %.2f times one (wanted 1.6)\n", ratio);
    fflush(stdout);
    end(&b);
}

/* ---- the long stress ---- */

static int stress(void)
{
    struct fixture f;
    struct stress s = { .random = 0x9e3779b97f4a7c15u + (uint64_t)getpid() };
    int foreign, rows, violations;
    int64_t made;

    s.table = fixture_table(&f, STRESS_CAPACITY);
    s.charges = shared(STRESS_WORKERS * 64);
    stress_primes(s.primes);
    made = stress_run(&s, INT64_C(100000000), 600.0);
    foreign = stress_foreign(&s, &rows);
    violations = cq_table_check(s.table, true, stdout);
    printf("%" PRId64 " charges, %d processes killed, %d entries settled: "
           "%d of %d rows with foreign bytes, %d violations\n", made, s.kills,
           s.settled, foreign, rows, violations);
    fixture_end(&f, s.table);
    return foreign == 0 && violations == 0 && made >= 100000000
        ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "stress") == 0) {
        return stress();
    }
    compare(1000, 4, 8);
    compare(1000000, 3.5, 7);
    scale_up(1000000);
    if (argc > 1 && strcmp(argv[1], "quick") == 0) {
        return EXIT_SUCCESS;
    }
    compare(10000000, 1.5, 6);
    return EXIT_SUCCESS;
}
