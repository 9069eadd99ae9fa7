/* table_stress - workers that charge a table which is far too small, and
 * are killed at random; shared by the test and the benchmark. Each client
 * only ever downloads multiples of a prime of its own: bytes of another
 * client in its row would show. */
#ifndef CQ_TABLE_STRESS_H
#define CQ_TABLE_STRESS_H

#include "table_fixture.h"

#include <signal.h>
#include <time.h>

#define STRESS_WORKERS 4
#define STRESS_CLIENTS 512
#define STRESS_CAPACITY 96      /* 144 rows for 512 clients */
#define STRESS_HELD 4           /* accounts that a worker has open */

struct stress {
    struct cq_table *table;
    uint32_t primes[STRESS_CLIENTS];
    _Atomic int64_t *charges;   /* of each worker, shared */
    pid_t workers[STRESS_WORKERS];
    uint64_t random;
    int kills;
    int settled;
};

static inline void stress_primes(uint32_t primes[STRESS_CLIENTS])
{
    uint32_t n = 0, p, d;

    for (p = 11; n < STRESS_CLIENTS; p += 2) {
        for (d = 3; d * d <= p && p % d != 0; d += 2) {
        }
        if (d * d > p) {
            primes[n++] = p;
        }
    }
}

/* One request: opened, perhaps admitted with a reservation, corrected,
 * charged in pieces. */
static inline int64_t stress_request(struct cq_account *a,
                                     const struct cq_clock *clock, int64_t p,
                                     uint64_t random)
{
    int64_t pieces = (int64_t)(random >> 8 & 7);
    int64_t i;

    if ((random & 1) != 0) {
        cq_account_admit(a, clock, INT64_MAX, p * (int64_t)(random >> 4 & 7),
                         NULL);
        if ((random & 2) != 0) {
            cq_account_reserve_at_most(a, p * 3);
        }
    }
    for (i = 0; i < pieces; i++) {
        cq_account_charge(a, clock, p * (1 + (i & 1)));
    }
    return pieces;
}

/* what one worker has open */
struct stress_hands {
    struct cq_account open[STRESS_HELD];
    bool is_open[STRESS_HELD];
    uint64_t random;
};

/* Opens some client's account, in place of one that was open. */
static inline void stress_step(struct stress *s, int worker,
                               const struct cq_clock *clock,
                               struct stress_hands *hands)
{
    uint64_t r = xorshift(&hands->random);
    uint32_t slot = (uint32_t)(r >> 40) % STRESS_HELD;
    uint32_t k = (uint32_t)(r >> 20) % STRESS_CLIENTS;
    struct cq_key key = client(k);

    if (hands->is_open[slot]) {
        cq_account_close(&hands->open[slot]);
    }
    hands->is_open[slot] = cq_account_open(s->table, 0, &key, clock,
                                           &hands->open[slot]) == CQ_OK;
    if (hands->is_open[slot]) {
        atomic_fetch_add(&s->charges[worker * 8],
                         stress_request(&hands->open[slot], clock,
                                        s->primes[k], r));
    }
}

static inline void stress_work(struct stress *s, int worker, uint64_t seed)
{
    struct stress_hands hands = { .random = seed };
    struct cq_clock clock;

    cq_table_enter(s->table);
    cq_table_clock(s->table, NOON_S, &clock);
    for (;;) {
        stress_step(s, worker, &clock, &hands);
    }
}

static inline void stress_start(struct stress *s, int worker)
{
    uint64_t seed = xorshift(&s->random);
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        stress_work(s, worker, seed);
    }
    s->workers[worker] = pid;
}

static inline void stress_kill(struct stress *s, int worker)
{
    kill(s->workers[worker], SIGKILL);
    wait_for(s->workers[worker]);
    s->kills++;
}

static inline int64_t stress_charges(const struct stress *s)
{
    int64_t sum = 0;
    int i;

    for (i = 0; i < STRESS_WORKERS; i++) {
        sum += atomic_load(&s->charges[i * 8]);
    }
    return sum;
}

/* Rows whose figures are not of their client's class; rows seen. */
static inline int stress_foreign(const struct stress *s, int *rows)
{
    struct cq_clock clock;
    struct cq_row row;
    uint64_t position = 0;
    int foreign = 0;

    cq_table_clock(s->table, NOON_S, &clock);
    *rows = 0;
    while (cq_table_next_row(s->table, &clock, &position, &row)) {
        uint32_t k = number_of(&row.key);

        ++*rows;
        if (k >= STRESS_CLIENTS || row.used_bytes % s->primes[k] != 0
            || row.in_flight_bytes % s->primes[k] != 0) {
            foreign++;
        }
    }
    return foreign;
}

static inline double stress_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Runs workers until they have made that many charges or the time has
 * ended, killing one after the other; then kills them all and settles.
 * @return charges made */
static inline int64_t stress_run(struct stress *s, int64_t charges,
                                 double seconds)
{
    double end = stress_now() + seconds;
    struct timespec pause = { 0, 500000 };
    int i;

    for (i = 0; i < STRESS_WORKERS; i++) {
        stress_start(s, i);
    }
    while (stress_charges(s) < charges && stress_now() < end) {
        /* the workers' time to work, not a wait for something */
        nanosleep(&pause, NULL);
        i = (int)(xorshift(&s->random) % STRESS_WORKERS);
        stress_kill(s, i);
        s->settled += cq_table_settle(s->table);
        stress_start(s, i);
    }
    for (i = 0; i < STRESS_WORKERS; i++) {
        stress_kill(s, i);
    }
    for (i = 0; i < 4; i++) {
        s->settled += cq_table_settle(s->table);
    }
    return stress_charges(s);
}

#endif
