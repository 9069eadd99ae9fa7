/* table: exemptions. Which client is exempt and until when, by several
 * writers that may die, in a file that may hold anything. */
#include "table/exempt.h"
#include "table_fixture.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

#define WRITERS 4
#define STRESS_NETS 12

static struct fixture f;
static struct cq_table *table;
static struct cq_exemption list[CQ_EXEMPTIONS_MAX];

static void begin(void)
{
    table = fixture_table(&f, 64);
}

static void end(void)
{
    fixture_end(&f, table);
}

static struct cq_key net(const char *text)
{
    struct cq_key key;

    ck_assert_int_eq(cq_key_parse(&key, text, NULL), CQ_OK);
    return key;
}

static enum cq_status set(const char *text, int64_t until_s)
{
    struct cq_key key = net(text);

    return cq_exempt_set(table, &key, until_s, NOON_S);
}

static enum cq_status end_of(const char *text)
{
    struct cq_key key = net(text);

    return cq_exempt_end(table, &key, NOON_S);
}

static int64_t until(const char *text)
{
    struct cq_key key = net(text);

    return cq_exempt_until(table, &key);
}

static size_t count_at(int64_t now_s)
{
    return cq_exempt_list(table, now_s, list);
}

static uint32_t places(void)
{
    return atomic_load(&table->header->exempt) >> CQ_EXEMPT_PLACES_SHIFT;
}

START_TEST(any_address_or_network)
{
    ck_assert_int_eq(until("192.0.2.7"), 0);
    ck_assert_int_eq(set("192.0.2.0/24", NOON_S + 100), CQ_OK);
    ck_assert_int_eq(set("::ffff:192.0.2.7", NOON_S + 50), CQ_OK);
    ck_assert_int_eq(set("2001:db8::1", NOON_S + 70), CQ_OK);
    ck_assert_int_eq(until("192.0.2.7"), NOON_S + 100);  /* the later one */
    ck_assert_int_eq(until("192.0.3.7"), 0);
    /* a client is a prefix: one address of it is enough */
    ck_assert_int_eq(until("2001:db8::/64"), NOON_S + 70);
    ck_assert_int_eq(until("2001:db8:0:1::/64"), 0);
    ck_assert_uint_eq(count_at(NOON_S), 3);
    ck_assert_uint_eq(count_at(NOON_S + 50), 2);
    ck_assert_int_eq(cq_key_compare(&list[0].net,
                                    &(struct cq_key){ .family = 4, .prefix = 24,
                                        .bytes = { 192, 0, 2 } }), 0);
    ck_assert_int_eq(list[1].until_s, NOON_S + 70);

    ck_assert_int_eq(set("192.0.2.0/24", NOON_S + 60), CQ_OK);  /* changed */
    ck_assert_int_eq(until("192.0.2.7"), NOON_S + 60);
    ck_assert_int_eq(end_of("192.0.2.0/24"), CQ_OK);
    ck_assert_int_eq(until("192.0.2.7"), NOON_S + 50);
    ck_assert_int_eq(end_of("192.0.2.0/24"), CQ_ENOENT);
    ck_assert_int_eq(end_of("192.0.2.7/32"), CQ_OK);

    ck_assert_int_eq(set("0.0.0.0/0", NOON_S + 10), CQ_OK);     /* a pause */
    ck_assert_int_eq(until("198.51.100.1"), NOON_S + 10);
    ck_assert_int_eq(until("2001:db9::/64"), 0);
    ck_assert_int_eq(set("::/0", NOON_S + 20), CQ_OK);
    ck_assert_int_eq(until("2001:db9::/64"), NOON_S + 20);
    assert_sound(table);
}
END_TEST

START_TEST(what_is_refused)
{
    struct cq_key bad = { .family = 4, .prefix = 24,
                          .bytes = { 192, 0, 2, 7 } };

    ck_assert_int_eq(set("192.0.2.7", NOON_S), CQ_EINVAL);
    ck_assert_int_eq(set("192.0.2.7", CQ_EXEMPT_UNTIL_MAX_S + 1), CQ_EINVAL);
    ck_assert_int_eq(cq_exempt_set(table, &bad, NOON_S + 9, NOON_S),
                     CQ_EINVAL);
    table->writable = false;
    ck_assert_int_eq(set("192.0.2.7", NOON_S + 9), CQ_EACCES);
    ck_assert_int_eq(end_of("192.0.2.7"), CQ_EACCES);
    table->writable = true;
    ck_assert_uint_eq(count_at(NOON_S), 0);
    ck_assert_uint_eq(places(), 0);
    ck_assert_int_eq(set("192.0.2.7", CQ_EXEMPT_UNTIL_MAX_S), CQ_OK);
    ck_assert_int_eq(until("192.0.2.7"), CQ_EXEMPT_UNTIL_MAX_S);
}
END_TEST

static enum cq_status set_client(uint32_t k, int64_t until_s, int64_t now_s)
{
    struct cq_key key = client(k);

    return cq_exempt_set(table, &key, until_s, now_s);
}

START_TEST(a_full_list)
{
    struct cq_net_list nets;
    struct cq_key key;
    uint32_t k;

    for (k = 0; k < CQ_EXEMPTIONS_MAX; k++) {
        ck_assert_int_eq(set_client(k, NOON_S + 100 + k, NOON_S), CQ_OK);
    }
    ck_assert_int_eq(set_client(k, NOON_S + 100, NOON_S), CQ_EFULL);
    ck_assert_int_eq(set_client(7, NOON_S + 9999, NOON_S), CQ_OK);
    ck_assert_uint_eq(count_at(NOON_S), CQ_EXEMPTIONS_MAX);
    ck_assert_int_eq(cq_exempt_nets(table, NOON_S, &nets), CQ_OK);
    ck_assert_uint_eq(nets.count, CQ_EXEMPTIONS_MAX);
    key = client(1023);
    ck_assert_int_eq(cq_net_find(&nets, &key)->value, NOON_S + 1123);
    key = client(1024);
    ck_assert(!cq_net_touches(&nets, &key));
    cq_net_free(&nets);
    /* a place that has expired is used again */
    ck_assert_int_eq(set_client(k, NOON_S + 9999, NOON_S + 101), CQ_OK);
    ck_assert_int_eq(set_client(k + 1, NOON_S + 9999, NOON_S + 101), CQ_OK);
    ck_assert_int_eq(set_client(k + 2, NOON_S + 9999, NOON_S + 101),
                     CQ_EFULL);
    assert_sound(table);
}
END_TEST

START_TEST(it_survives)
{
    struct cq_clock clock;

    ck_assert_int_eq(set("192.0.2.7", NEXT_MONTH_S + 3 * DAY_S), CQ_OK);
    ck_assert_int_eq(set("192.0.2.8", NOON_S + 100), CQ_OK);
    cq_tablefile_close(table);
    f.want.clients = 128;               /* into a larger file */
    table = fixture_open(&f, NULL);
    ck_assert_uint_eq(count_at(NOON_S), 2);

    /* a clock that jumps and comes back ends nothing */
    clock = clock_at(table, NOON_S);
    clock.now_s += 4000 * DAY_S;
    cq_exempt_expire(table, &clock);
    ck_assert_uint_eq(count_at(NOON_S), 2);

    clock = adopt(table, NEXT_MONTH_S + DAY_S);
    cq_exempt_expire(table, &clock);
    ck_assert_uint_eq(count_at(NOON_S), 1);
    ck_assert_int_eq(until("192.0.2.7"), NEXT_MONTH_S + 3 * DAY_S);
    ck_assert_uint_eq(places(), 1);
    clock = clock_at(table, NEXT_MONTH_S + 3 * DAY_S);
    cq_exempt_expire(table, &clock);
    ck_assert_uint_eq(places(), 0);     /* requests look no further again */
    assert_sound(table);
}
END_TEST

START_TEST(an_answer_is_kept)
{
    struct cq_exempt_answer answer = { 0, 0 };
    struct cq_key key = net("192.0.2.7");
    struct cq_clock clock;

    ck_assert(!cq_exempt_covers(table, &key, NOON_S, &answer));
    ck_assert_int_eq(set("192.0.2.0/24", NOON_S + 100), CQ_OK);
    ck_assert(cq_exempt_covers(table, &key, NOON_S + 99, &answer));
    ck_assert(!cq_exempt_covers(table, &key, NOON_S + 100, &answer));
    ck_assert(cq_exempt_covers(table, &key, NOON_S, &answer));
    ck_assert_int_eq(set("192.0.2.0/24", NOON_S + 200), CQ_OK);
    ck_assert(cq_exempt_covers(table, &key, NOON_S + 199, &answer));
    ck_assert_int_eq(set("198.51.100.7", NOON_S + 200), CQ_OK);
    ck_assert_int_eq(end_of("192.0.2.0/24"), CQ_OK);
    ck_assert(!cq_exempt_covers(table, &key, NOON_S, &answer));
    ck_assert_int_eq(set("192.0.2.0/24", NOON_S + 100), CQ_OK);
    ck_assert(cq_exempt_covers(table, &key, NOON_S, &answer));
    /* nor does it outlive the exemption when the clock is set back */
    clock = clock_at(table, NOON_S + 100);
    cq_exempt_expire(table, &clock);
    ck_assert_uint_eq(places(), 2);
    ck_assert(!cq_exempt_covers(table, &key, NOON_S, &answer));
}
END_TEST

/* Whatever the bytes: no client becomes exempt, check reports it, a start
 * repairs it. */
START_TEST(damaged)
{
    uint64_t random = 4711;
    int64_t repaired;
    uint32_t i;
    size_t w;

    ck_assert_int_eq(set("192.0.2.7", NOON_S + 100), CQ_OK);
    for (i = 1; i < CQ_EXEMPT_SLOTS; i++) {
        uint64_t words[4];

        for (w = 0; w < 4; w++) {
            words[w] = xorshift(&random);
        }
        memcpy(&table->exemptions[i], words, sizeof(words));
    }
    atomic_store(&table->header->exempt, UINT32_MAX);
    ck_assert_uint_eq(count_at(NOON_S), 1);
    ck_assert_int_eq(until("203.0.113.1"), 0);
    ck_assert_int_gt(cq_table_check(table, true, NULL), 256);
    ck_assert_int_eq(set("192.0.2.9", NOON_S + 100), CQ_OK);
    ck_assert_uint_eq(count_at(NOON_S), 2);
    ck_assert_int_eq(cq_table_repair(table, &repaired), CQ_OK);
    assert_sound(table);
    ck_assert_uint_eq(count_at(NOON_S), 2);
    /* a header that is older than the list */
    atomic_store(&table->header->exempt, 0);
    ck_assert_uint_eq(count_at(NOON_S), 0);
    ck_assert_int_gt(cq_table_check(table, true, NULL), 0);
    ck_assert_int_eq(cq_table_repair(table, &repaired), CQ_OK);
    ck_assert_uint_eq(count_at(NOON_S), 2);
}
END_TEST

/* A writer that was stopped for minutes goes on in a place that another one
 * has: it may break that place's seal, nothing else. */
START_TEST(a_late_writer)
{
    struct cq_exempt_slot *slot = &table->exemptions[0];

    ck_assert_int_eq(set("192.0.2.7", NOON_S + 100), CQ_OK);
    atomic_store(&slot->address[0], 0x0a);      /* 10.0.0.0 */
    ck_assert_uint_eq(count_at(NOON_S), 0);
    ck_assert_int_eq(until("10.0.0.0"), 0);
    ck_assert_int_eq(until("192.0.2.7"), 0);
    ck_assert_int_eq(cq_table_check(table, false, NULL), 1);
    ck_assert_int_eq(set("192.0.2.7", NOON_S + 100), CQ_OK);    /* again */
    ck_assert_int_eq(until("192.0.2.7"), NOON_S + 100);
    assert_sound(table);
}
END_TEST

/* ---- many writers ---- */

/* the k-th: a network of 8, so that readers have something to tell apart */
static struct cq_key stress_net(uint32_t k)
{
    struct cq_key key = client(k * 16);

    return cq_key_network(&key, 29);
}

static void write_for_ever(uint64_t seed, _Atomic int64_t *calls)
{
    for (;;) {
        uint64_t r = xorshift(&seed);
        struct cq_key key = stress_net((uint32_t)(r >> 32) % STRESS_NETS);

        if ((r & 3) == 0) {
            (void)cq_exempt_end(table, &key, NOON_S);
        }
        /* no assertion: one that holds writes, too, and this is killed */
        else if (cq_exempt_set(table, &key, NOON_S + 1 + (int64_t)(r & 4095),
                               NOON_S) != CQ_OK) {
            ck_abort();
        }
        atomic_fetch_add(calls, 1);
    }
}

static pid_t start_writer(uint64_t seed, _Atomic int64_t *calls)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        write_for_ever(seed, calls);
    }
    return pid;
}

static void assert_no_other(void)
{
    size_t i, n = count_at(NOON_S);

    ck_assert_uint_le(n, STRESS_NETS);
    for (i = 0; i < n; i++) {
        uint32_t k = number_of(&list[i].net) / 16;

        ck_assert_uint_lt(k, STRESS_NETS);
        ck_assert_int_eq(cq_key_compare(&list[i].net,
                                        &(struct cq_key[]){
                                            stress_net(k) }[0]), 0);
        ck_assert_int_le(list[i].until_s, NOON_S + 4096);
    }
    ck_assert_int_eq(until("10.0.0.8"), 0);     /* between two of them */
    ck_assert_int_eq(until("203.0.113.1"), 0);
    ck_assert_int_eq(cq_table_check(table, false, stderr), 0);
}

/* Writers are killed at random; readers never see an exemption that no
 * writer set, and afterwards one writer has its way at once. */
START_TEST(writers_and_kills)
{
    _Atomic int64_t *calls = shared(sizeof(*calls));
    struct timespec pause = { 0, 300000 };
    struct cq_clock clock;
    uint64_t random = 42;
    pid_t pids[WRITERS];
    int64_t rounds = 0;
    uint32_t i;

    for (i = 0; i < WRITERS; i++) {
        pids[i] = start_writer(xorshift(&random), calls);
    }
    while (rounds++ < 100 || atomic_load(calls) < 10000) {
        nanosleep(&pause, NULL);        /* the writers' time to write */
        i = (uint32_t)(xorshift(&random) % WRITERS);
        kill(pids[i], SIGKILL);
        wait_for(pids[i]);
        assert_no_other();
        pids[i] = start_writer(xorshift(&random), calls);
    }
    for (i = 0; i < WRITERS; i++) {
        kill(pids[i], SIGKILL);
        wait_for(pids[i]);
    }
    assert_no_other();
    for (i = 0; i < STRESS_NETS; i++) {
        struct cq_key key = stress_net(i);

        ck_assert_int_eq(cq_exempt_set(table, &key, NOON_S + 5 + i, NOON_S),
                         CQ_OK);
        ck_assert_int_eq(cq_exempt_until(table, &key), NOON_S + 5 + i);
    }
    ck_assert_uint_eq(count_at(NOON_S), STRESS_NETS);
    for (i = 0; i < STRESS_NETS; i++) {
        struct cq_key key = stress_net(i);

        ck_assert_int_eq(cq_exempt_end(table, &key, NOON_S), CQ_OK);
    }
    ck_assert_uint_eq(count_at(NOON_S), 0);
    clock = clock_at(table, NOON_S + 2 * CQ_EXEMPT_WRITING_S);
    cq_exempt_expire(table, &clock);    /* what the dead left, too */
    ck_assert_uint_eq(places(), 0);
    assert_sound(table);
}
END_TEST

/* Several exempt one network in the same moment: one place is left, with the
 * end of one of them. */
START_TEST(writers_of_one_network)
{
    _Atomic int *gate = shared(sizeof(*gate));
    struct cq_key key = client(3);
    pid_t pids[WRITERS];
    int i, round;

    for (round = 1; round <= 30; round++) {
        for (i = 0; i < WRITERS; i++) {
            pids[i] = fork();
            ck_assert_int_ge(pids[i], 0);
            if (pids[i] == 0) {
                while (atomic_load(gate) < round) {
                    sched_yield();
                }
                _exit(cq_exempt_set(table, &key, NOON_S + 10 + i, NOON_S)
                      != CQ_OK);
            }
        }
        atomic_store(gate, round);
        for (i = 0; i < WRITERS; i++) {
            ck_assert_int_eq(wait_for(pids[i]), 0);
        }
        ck_assert_uint_eq(count_at(NOON_S), 1);
        ck_assert_int_eq(list[0].until_s, cq_exempt_until(table, &key));
        ck_assert_int_ge(list[0].until_s, NOON_S + 10);
        ck_assert_int_lt(list[0].until_s, NOON_S + 10 + WRITERS);
        ck_assert_int_eq(cq_exempt_end(table, &key, NOON_S), CQ_OK);
        ck_assert_int_eq(cq_exempt_until(table, &key), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/exempt");
    TCase *tcase = tcase_create("exemptions");

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, any_address_or_network);
    tcase_add_test(tcase, what_is_refused);
    tcase_add_test(tcase, a_full_list);
    tcase_add_test(tcase, it_survives);
    tcase_add_test(tcase, an_answer_is_kept);
    tcase_add_test(tcase, damaged);
    tcase_add_test(tcase, a_late_writer);
    tcase_add_test(tcase, writers_and_kills);
    tcase_add_test(tcase, writers_of_one_network);
    return run_suite(suite);
}
