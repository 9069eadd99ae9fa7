/* table: the ring of changes of state: each once, with its figures, by any
 * number of writers that may die. */
#include "table/exempt.h"
#include "table/jail.h"
#include "table_fixture.h"

#include <signal.h>

static struct fixture f;
static struct cq_table *table;
static struct cq_clock now;
static struct cq_change list[CQ_CHANGES_MAX];

static void begin(void)
{
    struct cq_policy policy = { 1000, 0 };
    uint16_t index;

    table = fixture_table(&f, 256);
    cq_table_policies_begin(table);
    ck_assert_int_eq(cq_table_policy(table, 0, "ClamQuotaDaily", &policy,
                                     &index), CQ_OK);
    cq_table_policies_end(table);
    cq_table_clock(table, NOON_S, &now);
}

static void end(void)
{
    fixture_end(&f, table);
}

/* "over 1,admitted again 1": kinds and clients, oldest first */
static const char *story(const struct cq_key *of)
{
    static char text[1024];
    size_t n = cq_changes_read(table, of, list, CQ_CHANGES_MAX);
    size_t at = 0;

    text[0] = '\0';
    while (n-- > 0) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s %u",
                               at > 0 ? "," : "",
                               cq_change_word(list[n].kind),
                               number_of(&list[n].net));
    }
    return text;
}

/* as a request does, under this allowance */
static void ask(uint32_t k, int64_t allowance_bytes, int64_t bytes)
{
    struct cq_account a = open_client(table, k, &now);

    if (cq_account_admit(&a, &now, allowance_bytes, bytes, NULL) == CQ_OK) {
        cq_account_charge(&a, &now, bytes);
    }
    else {
        cq_account_count_refusal(&a, &now, CQ_STATE_OVER);
    }
    cq_account_close(&a);
}

START_TEST(a_client_s_life)
{
    struct cq_key one = client(1), two = client(2);
    struct cq_change change;
    int64_t lost = 0;

    ask(1, 1000, 600);
    ck_assert_str_eq(story(NULL), "");
    ask(1, 1000, 600);
    ask(1, 1000, 600);                  /* refused, twice */
    ask(1, 1000, 600);
    ask(2, 1000, 1000);
    ck_assert_str_eq(story(NULL), "over 1,over 2");
    ck_assert_int_eq(list[1].used_bytes, 1200);
    ck_assert_int_eq(list[1].allowance_bytes, 1000);
    ck_assert_int_eq(list[1].at_s, NOON_S);
    ck_assert_uint_eq(list[1].pool, 0);
    cq_table_mark_jailed(table, &one, true);
    cq_table_mark_jailed(table, &one, true);
    cq_table_mark_dropped(table, 0, &two, &now, 1000);
    cq_table_mark_dropped(table, 0, &two, &now, 1000);
    cq_table_mark_jailed(table, &one, false);
    ask(1, 2000, 10);                   /* another day */
    ask(1, 2000, 10);
    ask(2, 2000, 10);
    ck_assert_str_eq(story(NULL), "over 1,over 2,jailed 1,dropped 2,"
                     "released 1,admitted again 1,admitted again 2");
    ck_assert_str_eq(story(&two), "over 2,dropped 2,admitted again 2");
    ask(2, 2000, 5000);
    cq_table_mark_dropped(table, 0, &two, &now, 2000);  /* once more */
    ck_assert_str_eq(story(&two), "over 2,dropped 2,admitted again 2,over 2,"
                     "dropped 2");

    ck_assert_int_eq(cq_exempt_set(table, &two, NOON_S + 9, NOON_S), CQ_OK);
    ck_assert_int_eq(cq_exempt_set(table, &two, NOON_S + 9, NOON_S), CQ_OK);
    ck_assert_uint_eq(cq_changes_read(table, NULL, &change, 1), 1);
    ck_assert_int_eq(change.kind, CQ_CHANGE_EXEMPT);
    ck_assert_int_eq(change.until_s, NOON_S + 9);
    now.now_s += 9;
    cq_exempt_expire(table, &now);
    ck_assert_int_eq(cq_table_reset(table, &two, &now), 1);
    ck_assert_int_eq(cq_table_reset(table, &two, &now), 1);
    ck_assert_str_eq(story(&two), "over 2,dropped 2,admitted again 2,over 2,"
                     "dropped 2,exempt 2,exemption ended 2,reset 2,reset 2");
    ck_assert_int_eq(list[1].used_bytes, 6010);
    ck_assert_int_eq(list[0].used_bytes, 0);

    while (cq_changes_next(table, &change, &lost)) {
        ck_assert_int_eq(change.number, lost++);
    }
    ck_assert_int_eq(lost, 13);
    ck_assert(!cq_changes_next(table, &change, &lost));
}
END_TEST

START_TEST(a_network_and_a_period)
{
    struct cq_key net = client(0), other = client(300);
    uint32_t k;

    net = cq_key_network(&net, 24);
    for (k = 1; k <= 20; k++) {
        ask(k, 1000, 1500);
    }
    ask(300, 1000, 1500);
    ck_assert_int_eq(cq_table_reset(table, &net, &now), 20);
    cq_changes_read(table, NULL, list, 1);
    ck_assert_int_eq(list[0].kind, CQ_CHANGE_RESET);
    ck_assert_int_eq(list[0].used_bytes, 20 * 1500);
    ck_assert_int_eq(cq_key_compare(&list[0].net, &net), 0);
    assert_row(table, 7, &now, 0, 0);
    assert_row(table, 300, &now, 1500, 0);
    for (k = 1; k <= 20; k++) {
        ask(k, 1000, 1500);
    }
    now = adopt(table, NEXT_MONTH_S + 5);
    cq_changes_read(table, NULL, list, 1);
    ck_assert_int_eq(list[0].kind, CQ_CHANGE_PERIOD);
    ck_assert_int_eq(list[0].clients, 21);
    ck_assert_int_eq(list[0].at_s, NEXT_MONTH_S + 5);
    ask(300, 1000, 1500);               /* and anew */
    ck_assert_str_eq(story(&other), "over 300,new period 0,over 300");
    assert_sound(table);
}
END_TEST

/* One of a client's transfers may have another allowance. */
START_TEST(only_who_crosses)
{
    struct cq_account large, small;

    large = open_client(table, 1, &now);
    small = open_client(table, 1, &now);
    ck_assert_int_eq(cq_account_admit(&large, &now, 5000, 0, NULL), CQ_OK);
    ck_assert_int_eq(cq_account_admit(&small, &now, 1000, 0, NULL), CQ_OK);
    cq_account_charge(&large, &now, 1000);
    cq_account_charge(&small, &now, 1);
    ck_assert_str_eq(story(NULL), "");
    cq_account_charge(&large, &now, 3998);
    ck_assert_str_eq(story(NULL), "");
    cq_account_charge(&large, &now, 1);
    ck_assert_str_eq(story(NULL), "over 1");
    ck_assert_int_eq(list[0].used_bytes, 5000);
    ck_assert_int_eq(list[0].allowance_bytes, 5000);
    cq_account_close(&large);
    cq_account_close(&small);
}
END_TEST

START_TEST(words)
{
    ck_assert_str_eq(cq_change_word(CQ_CHANGE_OVER), "over");
    ck_assert_str_eq(cq_change_word(CQ_CHANGE_PERIOD), "new period");
    ck_assert_str_eq(cq_change_word((enum cq_change_kind)0), "unknown");
    ck_assert_str_eq(cq_change_word(CQ_CHANGE_KINDS), "unknown");
}
END_TEST

START_TEST(a_full_ring)
{
    struct cq_change change = { .kind = CQ_CHANGE_OVER, .at_s = 1 };
    int64_t lost = 0, n = 0;
    uint32_t k;

    for (k = 0; k < CQ_CHANGES_MAX + 5; k++) {
        change.net = client(k);
        cq_change_note(table, &change);
    }
    ck_assert_uint_eq(cq_changes_read(table, NULL, list, CQ_CHANGES_MAX),
                      CQ_CHANGES_MAX);
    ck_assert_uint_eq(number_of(&list[0].net), CQ_CHANGES_MAX + 4);
    ck_assert_uint_eq(number_of(&list[CQ_CHANGES_MAX - 1].net), 5);
    while (cq_changes_next(table, &change, &lost)) {
        n++;
    }
    ck_assert_int_eq(n, CQ_CHANGES_MAX);
    ck_assert_int_eq(lost, 5);
    atomic_store(&table->header->change_n, UINT32_MAX);     /* damaged */
    ck_assert_uint_eq(cq_changes_read(table, NULL, list, CQ_CHANGES_MAX), 0);
}
END_TEST

START_TEST(noise)
{
    uint64_t random = 99;
    uint32_t i;

    for (i = 0; i < CQ_CHANGES * sizeof(table->changes[0]) / 8; i++) {
        uint64_t word = xorshift(&random);

        memcpy((char *)table->changes + i * 8, &word, sizeof(word));
    }
    atomic_store(&table->header->change_n, 77777);
    ck_assert_uint_eq(cq_changes_read(table, NULL, list, CQ_CHANGES_MAX), 0);
    ask(1, 10, 10);
    ck_assert_str_eq(story(NULL), "over 1");
}
END_TEST

#define WRITERS 4

/* A change by one writer: all its figures are of one number. */
static void write_for_ever(uint64_t seed, _Atomic int64_t *written)
{
    for (;;) {
        uint32_t k = (uint32_t)(xorshift(&seed) >> 44);
        struct cq_change change = {
            .kind = CQ_CHANGE_OVER, .net = client(k), .at_s = k,
            .used_bytes = k, .allowance_bytes = k, .pool = (uint16_t)k
        };

        cq_change_note(table, &change);
        atomic_fetch_add(written, 1);
    }
}

/* Writers are killed, readers read at the same time: never half of one. */
START_TEST(writers_and_kills)
{
    _Atomic int64_t *written = shared(sizeof(*written));
    uint64_t random = 7;
    pid_t pids[WRITERS];
    int64_t seen = 0;
    int i, round;

    for (round = 0;
         round < 20 || atomic_load(written) < 2 * CQ_CHANGES_MAX; round++) {
        size_t n;

        for (i = 0; i < WRITERS; i++) {
            uint64_t seed = xorshift(&random);

            pids[i] = fork();
            ck_assert_int_ge(pids[i], 0);
            if (pids[i] == 0) {
                write_for_ever(seed, written);
            }
        }
        n = cq_changes_read(table, NULL, list, CQ_CHANGES_MAX);
        while (n-- > 0) {
            uint32_t k = number_of(&list[n].net);

            ck_assert_int_eq(list[n].at_s, k);
            ck_assert_int_eq(list[n].used_bytes, k);
            ck_assert_int_eq(list[n].allowance_bytes, k);
            ck_assert_uint_eq(list[n].pool, (uint16_t)k);
            seen++;
        }
        for (i = 0; i < WRITERS; i++) {
            kill(pids[i], SIGKILL);
            wait_for(pids[i]);
        }
    }
    ck_assert_int_gt(seen, 0);
    ck_assert_uint_ge(cq_changes_read(table, NULL, list, CQ_CHANGES_MAX),
                      CQ_CHANGES_MAX - (size_t)round * WRITERS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/changes");
    TCase *tcase = tcase_create("changes");

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, a_client_s_life);
    tcase_add_test(tcase, a_network_and_a_period);
    tcase_add_test(tcase, only_who_crosses);
    tcase_add_test(tcase, words);
    tcase_add_test(tcase, a_full_ring);
    tcase_add_test(tcase, noise);
    tcase_add_test(tcase, writers_and_kills);
    return run_suite(suite);
}
