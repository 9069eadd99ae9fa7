/* bench/pass - what clamquota-sync spends on a pass with nothing to do: over
 * 262,144 clients of which 1,000, then 100,000 are over quota and jailed in an
 * nft set already. The functions of the daemon's pass are called here one
 * after the other, so that CPU time is that of the pass and of nothing else. In
 * a network namespace of its own.
 *
 *     pass                 the figures
 *     pass TABLE [OVER]    only makes such a table, for bench/watch.pl */
#include "sync/sync.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 262144
#define OVER 100000
#define DAILY 1000
#define RUNS 51

static void quit(const char *what, const char *why)
{
    printf("%s: %s\n", what, why);
    exit(strcmp(what, "skipped") == 0 ? 0 : 1);
}

/* ---- the table ---- */

static struct cq_table *new_table(const char *path, int64_t now_s)
{
    char why[CQ_WHY_SIZE];
    struct cq_table *table;
    struct cq_tablefile_want want = {
        .path = path, .clients = CLIENTS, .ledger_entries = 64,
        .kind = CQ_PERIOD_DAY, .zone = CQ_ZONE_UTC,
        .prefixes = { 32, 64 }, .now_s = now_s
    };

    if (cq_tablefile_open(&want, &table, NULL, why, sizeof(why)) != CQ_OK) {
        quit("failed", why);
    }
    return table;
}

static uint16_t add_pool(struct cq_table *table)
{
    struct cq_policy policy = { DAILY, 0 };
    uint16_t pool, index;

    cq_table_policies_begin(table);
    if (cq_table_pool(table, "default", &pool) != CQ_OK
        || cq_table_policy(table, pool, "ClamQuotaDaily", &policy, &index)
            != CQ_OK) {
        quit("failed", "no pool");
    }
    cq_table_pool_refuses(table, pool, true);
    cq_table_policies_end(table);
    return pool;
}

/* Clients from all over 11.0.0.0/8 to 223.0.0.0/8; the first ones are over quota. */
static void make_table(const char *path, size_t over_n)
{
    int64_t now_s = (int64_t)time(NULL);
    struct cq_table *table = new_table(path, now_s);
    uint16_t pool = add_pool(table);
    struct cq_prefixes whole = { 32, 64 };
    struct cq_clock clock;
    struct cq_account account;
    struct cq_key key;

    cq_table_clock(table, now_s, &clock);
    for (size_t i = 0; i < CLIENTS; i++) {
        uint8_t bytes[4] = { (uint8_t)(11 + i % 100), (uint8_t)(i >> 16),
                             (uint8_t)(i >> 8), (uint8_t)i };

        cq_key_make(&key, bytes, sizeof(bytes), whole);
        if (cq_account_open(table, pool, &key, &clock, &account) != CQ_OK) {
            quit("failed", "no room in the table");
        }
        cq_account_charge(&account, &clock, i < over_n ? 2 * DAILY + (int)i
                                                       : DAILY / 2);
        for (int n = 0; i < over_n && n < CQ_OFFENCE_AFTER; n++) {
            cq_account_count_refusal(&account, &clock, CQ_STATE_OVER);
        }
        cq_account_count_hit(&account, &clock);
        cq_account_close(&account);
    }
    cq_tablefile_close(table);
}

/* ---- a pass ---- */

/* As cq_sync_watch() makes them: a look at all rows, or with lists and jails
 * anew as every minute. */
static void pass(struct cq_sync *sync, enum cq_depth depth)
{
    if (depth == CQ_FULL) {
        cq_say_begin(&sync->say);
    }
    if (!cq_sync_prepare(sync, depth, (int64_t)time(NULL))) {
        quit("failed", "the table has gone");
    }
    cq_sync_act(sync, depth);
    if (cq_sync_end(sync) != CQ_EXIT_DONE) {
        quit("failed", "a pass");
    }
}

static double cpu_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
    const double *one = a;
    const double *other = b;

    return (*one > *other) - (*one < *other);
}

/* Another client becomes an offender. */
static void offend(struct cq_table *table, int n)
{
    uint8_t bytes[4] = { 150, 1, (uint8_t)(n >> 8), (uint8_t)n };
    struct cq_account account;
    struct cq_clock clock;
    struct cq_key key;

    cq_key_make(&key, bytes, sizeof(bytes), (struct cq_prefixes){ 32, 64 });
    cq_table_clock(table, (int64_t)time(NULL), &clock);
    if (cq_account_open(table, 0, &key, &clock, &account) != CQ_OK) {
        quit("failed", "no room in the table");
    }
    cq_account_charge(&account, &clock, 2 * DAILY);
    for (int i = 0; i < CQ_OFFENCE_AFTER; i++) {
        cq_account_count_refusal(&account, &clock, CQ_STATE_OVER);
    }
    cq_account_close(&account);
}

static void print_ms(const char *name, double ms[RUNS])
{
    qsort(ms, RUNS, sizeof(ms[0]), compare);
    printf("    %-42s %6.2f ms of CPU (%.2f to %.2f)\n", name, ms[RUNS / 2],
           ms[0], ms[RUNS - 1]);
}

static void measure_more(struct cq_sync *sync, const char *path)
{
    char why[CQ_WHY_SIZE];
    struct cq_table *table;
    double ms[RUNS];

    if (cq_tablefile_attach(path, true, &table, why, sizeof(why)) != CQ_OK) {
        quit("failed", why);
    }
    for (int run = 0; run < RUNS; run++) {
        double begun_ms;

        offend(table, run);
        begun_ms = cpu_ms();
        pass(sync, CQ_LOOK);
        ms[run] = cpu_ms() - begun_ms;
    }
    print_ms("a look that finds one more", ms);
    cq_tablefile_close(table);
}

static void measure(struct cq_sync *sync, const char *name,
                    enum cq_depth depth)
{
    double ms[RUNS];

    for (int run = 0; run < RUNS; run++) {
        double begun_ms = cpu_ms();

        pass(sync, depth);
        ms[run] = cpu_ms() - begun_ms;
    }
    print_ms(name, ms);
}

/* most memory that the process had resident so far */
static double peak_mb(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static void figures(const char *dir, size_t over_n)
{
    char table[96], state[96], lock[96];
    char *argv[] = {
        (char[]){"pass"}, (char[]){"--table"}, table, (char[]){"--state"},
        state, (char[]){"--grace"}, (char[]){"0"}, (char[]){"--jail"},
        (char[]){"nft:inet/clamquota/jail4"}, NULL
    };
    struct cq_sync_options options;
    struct cq_sync *sync = calloc(1, sizeof(*sync));
    double begun_ms;

    snprintf(table, sizeof(table), "%s/table", dir);
    snprintf(state, sizeof(state), "%s/state", dir);
    snprintf(lock, sizeof(lock), "%s/state.lock", dir);
    make_table(table, over_n);
    if (sync == NULL
        || cq_sync_options_read(&options, 9, argv, stdout, stdout)
            != CQ_OPTIONS_RUN
        || cq_sync_open(sync, &options, stdout, stdout) != CQ_EXIT_DONE) {
        quit("failed", "options");
    }
    begun_ms = cpu_ms();
    pass(sync, CQ_FULL);
    printf("%d clients, %zu over quota: the first pass jails %zu, %.0f ms of "
           "CPU\n", CLIENTS, over_n, cq_plan_jailed_n(&sync->jails[0].plan),
           cpu_ms() - begun_ms);
    measure(sync, "a look with nothing to do (every 2 s)", CQ_LOOK);
    measure(sync, "a full pass with nothing to do (every 60 s)", CQ_FULL);
    measure_more(sync, table);
    cq_sync_close(sync);
    cq_sync_options_free(&options);
    free(sync);
    (void)unlink(table);
    (void)unlink(state);
    (void)unlink(lock);
}

int main(int argc, char **argv)
{
    static const size_t over[] = { 1000, 100000 };
    char dir[] = "/dev/shm/clamquota-bench-XXXXXX";

    if (argc > 1) {
        make_table(argv[1], argc > 2 ? strtoul(argv[2], NULL, 10) : OVER);
        return 0;
    }
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        quit("skipped", "a network namespace of its own needs root");
    }
    if (mkdtemp(dir) == NULL) {
        quit("failed", dir);
    }
    for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++) {
        pid_t pid = fork();
        int status = 1;

        if (pid == 0) {
            if (system("nft 'flush ruleset; table inet clamquota { set jail4 "
                       "{ type ipv4_addr; flags timeout; timeout 1h; }; chain "
                       "c { type filter hook input priority 0; ip saddr "
                       "@jail4 drop; }; }'") != 0) {
                quit("failed", "no nft set");
            }
            figures(dir, over[i]);
            printf("    memory at most: %.0f MB, %d MB of them the table "
                   "mapped\n", peak_mb(), CLIENTS * 3 / 2 * 128 >> 20);
            exit(0);
        }
        (void)waitpid(pid, &status, 0);
        if (status != 0) {
            return 1;
        }
    }
    return rmdir(dir) == 0 ? 0 : 1;
}
