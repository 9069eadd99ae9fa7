/* table_fixture - a table in a directory of its own, for the table's tests. */
#ifndef CQ_TABLE_FIXTURE_H
#define CQ_TABLE_FIXTURE_H

#include "table/parts.h"
#include "table/tablefile.h"

#ifdef CQ_PLAIN_ASSERT
#include "../bench/plain_assert.h"
#else
#include <check.h>
#endif
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* noon of 2026-11-15 UTC, day 15 of a month of 30 */
#define NOON_S INT64_C(1794744000)
#define DAY_S INT64_C(86400)
#define NOON_DAY 15
/* the first second of 2026-12 */
#define NEXT_MONTH_S (NOON_S + 15 * DAY_S + DAY_S / 2)

struct fixture {
    char dir[64];
    char path[96];
    struct cq_tablefile_want want;
};

static inline void fixture_begin(struct fixture *f, uint64_t clients)
{
    memset(f, 0, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "%s/clamquota-test.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/table", f->dir);
    f->want.path = f->path;
    f->want.clients = clients;
    f->want.ledger_entries = 256;
    f->want.kind = CQ_PERIOD_MONTH;
    f->want.zone = CQ_ZONE_UTC;
    f->want.prefixes.v4_bits = 32;
    f->want.prefixes.v6_bits = 64;
    f->want.now_s = NOON_S;
}

static inline struct cq_table *fixture_open(struct fixture *f,
                                            unsigned *events)
{
    struct cq_table *table = NULL;
    char why[CQ_WHY_SIZE] = "";
    enum cq_status status = cq_tablefile_open(&f->want, &table, events, why,
                                              sizeof(why));

    ck_assert_msg(status == CQ_OK, "%s", why);
    return table;
}

/* A table with one pool, 0. */
static inline struct cq_table *fixture_table(struct fixture *f,
                                             uint64_t clients)
{
    struct cq_table *table;
    uint16_t pool;

    fixture_begin(f, clients);
    table = fixture_open(f, NULL);
    ck_assert_int_eq(cq_table_pool(table, "default", &pool), CQ_OK);
    ck_assert_int_eq(pool, 0);
    return table;
}

static inline void fixture_end(struct fixture *f, struct cq_table *table)
{
    DIR *dir = opendir(f->dir);
    struct dirent *entry;

    cq_tablefile_close(table);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    ck_assert_int_eq(rmdir(f->dir), 0);
}

static inline struct cq_clock clock_at(struct cq_table *table, int64_t now_s)
{
    struct cq_clock clock;

    cq_table_clock(table, now_s, &clock);
    return clock;
}

/* the k-th client, 10.0.0.0 + k */
static inline struct cq_key client(uint32_t k)
{
    struct cq_key key = { .family = 4, .prefix = 32 };

    k += UINT32_C(10) << 24;
    key.bytes[0] = (uint8_t)(k >> 24);
    key.bytes[1] = (uint8_t)(k >> 16);
    key.bytes[2] = (uint8_t)(k >> 8);
    key.bytes[3] = (uint8_t)k;
    return key;
}

static inline uint32_t number_of(const struct cq_key *key)
{
    return ((uint32_t)key->bytes[1] << 16) | ((uint32_t)key->bytes[2] << 8)
        | key->bytes[3];
}

/* Also for processes that are killed: an assertion that holds writes, too, into
 * a file that all of them share. */
static inline struct cq_account open_client(struct cq_table *table, uint32_t k,
                                            const struct cq_clock *clock)
{
    struct cq_account account;
    struct cq_key key = client(k);

    if (cq_account_open(table, 0, &key, clock, &account) != CQ_OK) {
        ck_assert_msg(false, "client %u has no row", k);
    }
    return account;
}

/* Opens, charges and closes. */
static inline void charge_client(struct cq_table *table, uint32_t k,
                                 const struct cq_clock *clock, int64_t bytes)
{
    struct cq_account account = open_client(table, k, clock);

    cq_account_charge(&account, clock, bytes);
    cq_account_close(&account);
}

static inline struct cq_row row_of(const struct cq_table *table, uint32_t k,
                                   const struct cq_clock *clock)
{
    struct cq_row row;
    struct cq_key key = client(k);

    memset(&row, 0, sizeof(row));
    ck_assert_int_eq(cq_table_row(table, 0, &key, clock, &row), CQ_OK);
    return row;
}

static inline void assert_row(const struct cq_table *t, uint32_t k,
                              const struct cq_clock *clock, int64_t used,
                              int64_t in_flight)
{
    struct cq_row row = row_of(t, k, clock);

    ck_assert_int_eq(row.used_bytes, used);
    ck_assert_int_eq(row.in_flight_bytes, in_flight);
}

/* The period in force as if the housekeeping had adopted another one. */
static inline struct cq_clock adopt(struct cq_table *t, int64_t now_s)
{
    struct cq_period period;
    struct cq_clock clock;

    ck_assert_int_eq(cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_UTC, now_s,
                                  &period), CQ_OK);
    cq_calendar_set(t, &period);
    atomic_store(&t->header->period_id, period.id);
    cq_calendar_prepare_next(t);
    clock = clock_at(t, now_s);
    cq_turnover(t, &clock);
    return clock;
}

static inline void assert_sound(const struct cq_table *table)
{
    ck_assert_int_eq(cq_table_check(table, true, stderr), 0);
}

/* memory that children share with their parent */
static inline void *shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert(memory != MAP_FAILED);
    return memory;
}

static inline int wait_for(pid_t pid)
{
    int status = 0;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static inline uint64_t xorshift(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#ifndef CQ_PLAIN_ASSERT
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif

#endif
