/* bench/page - what a view of the operator's page costs: one pass over a table
 * of 4 million clients, as a multiple of reading the same rows' bytes once.
 * Medians of CPU time; the table lies on tmpfs, where there is one. With a path
 * it only makes the table there, for page.pl. */
#include "render/collect.h"
#include "table/tablefile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 4000000
#define DAILY 1000000
#define RUNS 7

static void quit(const char *why)
{
    printf("failed: %s\n", why);
    exit(1);
}

static struct cq_table *make_table(const char *path, uint64_t clients,
                                   int64_t now_s, struct cq_clock *clock)
{
    char why[CQ_WHY_SIZE];
    struct cq_table *table;
    struct cq_tablefile_want want = {
        .path = path, .clients = clients, .ledger_entries = 64,
        .kind = CQ_PERIOD_MONTH, .zone = CQ_ZONE_UTC,
        .prefixes = { 32, 64 }, .now_s = now_s
    };
    struct cq_policy policy = { DAILY, 0 };
    uint16_t pool, index;

    if (cq_tablefile_open(&want, &table, NULL, why, sizeof(why)) != CQ_OK) {
        quit(why);
    }
    cq_table_policies_begin(table);
    if (cq_table_pool(table, "default", &pool) != CQ_OK
        || cq_table_policy(table, pool, "ClamQuotaDaily", &policy, &index)
            != CQ_OK) {
        quit("no pool");
    }
    cq_table_policies_end(table);
    cq_table_clock(table, now_s, clock);
    for (uint64_t i = 0; i < clients; i++) {
        uint8_t bytes[4] = { (uint8_t)(11 + i % 100), (uint8_t)(i >> 16),
                             (uint8_t)(i >> 8), (uint8_t)i };
        struct cq_account account;
        struct cq_key key;

        cq_key_make(&key, bytes, sizeof(bytes), (struct cq_prefixes){ 32, 64 });
        if (cq_account_open(table, pool, &key, clock, &account) != CQ_OK) {
            quit("no room in the table");
        }
        cq_account_mark(&account, index, CQ_ORIGIN_PEER);
        cq_account_charge(&account, clock,
                          (int64_t)(i * 2654435761u % (2 * DAILY)));
        cq_account_count_hit(&account, clock);
        cq_account_close(&account);
    }
    return table;
}

/* ---- an arena ---- */

static char memory[64 << 20];
static size_t memory_used;

static void *give(void *baton, size_t size)
{
    (void)baton;
    size = (size + 15) / 16 * 16;
    if (memory_used + size > sizeof(memory)) {
        return NULL;
    }
    memory_used += size;
    return memory + memory_used - size;
}

/* ---- figures ---- */

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

static double median(double times[RUNS])
{
    qsort(times, RUNS, sizeof(times[0]), compare);
    return times[RUNS / 2];
}

/* every word of the file, as a pass has to */
static double read_ms(const char *path)
{
    static uint64_t words[1 << 17];
    double times[RUNS];
    volatile uint64_t kept = 0;

    for (int run = 0; run < RUNS; run++) {
        double start_ms = cpu_ms();
        FILE *file = fopen(path, "rb");
        size_t n;

        if (!file) {
            quit("the table cannot be read");
        }
        while ((n = fread(words, sizeof(words[0]), 1 << 17, file)) > 0) {
            uint64_t sum = 0;

            for (size_t i = 0; i < n; i++) {
                sum += words[i];
            }
            kept += sum;
        }
        fclose(file);
        times[run] = cpu_ms() - start_ms;
    }
    return median(times);
}

static double view_ms(const struct cq_table *table,
                      const struct cq_clock *clock,
                      const struct cq_query *query)
{
    const struct cq_view_facts facts = { .version = "", .engine = "On" };
    const struct cq_arena arena = { give, NULL };
    double times[RUNS];
    struct cq_view view;

    for (int run = 0; run < RUNS; run++) {
        double start_ms = cpu_ms();

        memory_used = 0;
        if (cq_collect(&view, table, clock, query, &facts, &arena) != CQ_OK) {
            quit("no memory");
        }
        times[run] = cpu_ms() - start_ms;
    }
    return median(times);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *what;
        struct cq_query query;
    } views[] = {
        { "100 clients", { .limit = 100 } },
        { "rows 10,000 to 20,000", { .limit = 10000, .offset = 10000 } },
        { "by network", { .limit = 100, .by_net = true,
                          .net_bits = { 24, 48 } } },
    };
    char path[64];
    struct cq_table *table;
    struct cq_clock clock;
    struct stat status;
    double once_ms;

    if (argc > 1) {
        cq_tablefile_close(make_table(argv[1], CLIENTS, (int64_t)time(NULL),
                                      &clock));
        return 0;
    }
    snprintf(path, sizeof(path), "%s/bench-page.%d",
             stat("/dev/shm", &status) == 0 ? "/dev/shm" : "/tmp",
             (int)getpid());
    table = make_table(path, CLIENTS, (int64_t)time(NULL), &clock);
    once_ms = read_ms(path);
    printf("%d clients; reading the file once: %.0f ms\n", CLIENTS, once_ms);
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
        double ms = view_ms(table, &clock, &views[i].query);

        printf("view, %s: %.0f ms, ratio %.2f, arena %.1f MB\n",
               views[i].what, ms, ms / once_ms, (double)memory_used / 1e6);
    }
    cq_tablefile_close(table);
    unlink(path);
    return 0;
}
