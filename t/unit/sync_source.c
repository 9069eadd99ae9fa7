/* sync/source: who of a table is wanted, by the rules in force; and a file
 * that is replaced, cut short or filled with noise under the mapping. */
#include "sync/keys.h"
#include "sync/source.h"
#include "table_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct fixture f;
static struct cq_table *table;
static struct source source;
static struct wanted_list list;
static struct source_terms terms;
static char why[CQ_WHY_SIZE];

/* Daily 1000 in two pools; on day 15 that allows 15,000. */
static void configure(int64_t daily_bytes, bool refuses)
{
    struct cq_policy policy = { daily_bytes, 0 };
    uint16_t pool, index;

    cq_table_policies_begin(table);
    ck_assert_int_eq(cq_table_pool(table, "other", &pool), CQ_OK);
    for (uint16_t i = 0; i <= pool; i++) {
        ck_assert_int_eq(cq_table_policy(table, i, "ClamQuotaDaily", &policy,
                                         &index), CQ_OK);
        cq_table_pool_refuses(table, i, refuses);
    }
    cq_table_policies_end(table);
}

static void begin(void)
{
    table = fixture_table(&f, 1024);
    configure(1000, true);
    memset(&list, 0, sizeof(list));
    terms = (struct source_terms){ .limits = { 60, 200 } };
    ck_assert_int_eq(source_attach(&source, f.path, why, sizeof(why)), CQ_OK);
}

static void end(void)
{
    source_detach(&source);
    wanted_free(&list);
    fixture_end(&f, table);
}

/* Client k has drawn so much and was refused so often, at that time. */
static uint32_t draw(uint16_t pool, uint32_t k, int64_t bytes, int refusals,
                     int64_t at_s)
{
    struct cq_clock clock = clock_at(table, at_s);
    struct cq_key key = client(k);
    struct cq_account a;
    uint32_t row;

    ck_assert_int_eq(cq_account_open(table, pool, &key, &clock, &a), CQ_OK);
    row = a.row;
    (void)cq_account_hit(&a, &clock);
    cq_account_charge(&a, &clock, bytes);
    while (refusals-- > 0) {
        cq_account_refused(&a, &clock, CQ_STATE_OVER);
    }
    cq_account_close(&a);
    return row;
}

/* The clients that are wanted, "1 2 7". */
static const char *wanted_at(int64_t now_s)
{
    static char text[1024];
    size_t i, n = 0;

    list.count = 0;
    list.due_s = 0;
    ck_assert_int_eq(source_offenders(&source, &terms, now_s, &list), CQ_OK);
    ck_assert_uint_eq(wanted_finish(&list), 0);
    text[0] = '\0';
    for (i = 0; i < list.count; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u",
                              i > 0 ? " " : "",
                              number_of(&list.entries[i].key));
    }
    return text;
}

START_TEST(who)
{
    static const char *const other[] = { "other" };

    draw(0, 1, 20000, 200, NOON_S);
    draw(0, 2, 20000, 199, NOON_S);
    draw(0, 3, 14999, 200, NOON_S);
    draw(1, 4, 30000, 500, NOON_S + 30);
    draw(1, 1, 40000, 200, NOON_S + 40);
    ck_assert_str_eq(wanted_at(NOON_S + 59), "");
    ck_assert_int_eq(list.due_s, NOON_S + 60);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "1");
    ck_assert_int_eq(list.entries[0].excess_bytes, 5000);
    ck_assert_int_eq(list.entries[0].last_hit_s, NOON_S);
    ck_assert_int_eq(list.due_s, NOON_S + 90);
    /* an offender in two pools is one, with the larger figures */
    ck_assert_str_eq(wanted_at(NOON_S + 100), "1 4");
    ck_assert_int_eq(list.entries[0].excess_bytes, 25000);
    ck_assert_int_eq(list.entries[0].last_hit_s, NOON_S + 40);
    ck_assert_int_eq(list.due_s, 0);

    terms.limits.after = 199;
    ck_assert_str_eq(wanted_at(NOON_S + 100), "1 2 4");
    terms.limits.after = 201;
    ck_assert_str_eq(wanted_at(NOON_S + 100), "4");
    terms.limits.after = 200;
    terms.pools = other;
    terms.pool_n = 1;
    ck_assert_str_eq(wanted_at(NOON_S + 90), "4");
    ck_assert(source_has_pool(&source, "other", NULL, 0));
    ck_assert(!source_has_pool(&source, "othe", why, sizeof(why)));
    ck_assert_str_eq(why, "default, other");
}
END_TEST

/* A row under another prefix than the table's jails more than a client. */
START_TEST(foreign_prefix)
{
    struct cq_clock clock = clock_at(table, NOON_S);
    struct cq_prefixes wide = { 12, 24 };
    struct cq_key key = client(1);
    struct cq_account a;
    int i;

    ck_assert_int_eq(cq_key_make(&key, key.bytes, 4, wide), CQ_OK);
    ck_assert_int_eq(cq_account_open(table, 0, &key, &clock, &a), CQ_OK);
    cq_account_charge(&a, &clock, 20000);
    for (i = 0; i < 200; i++) {
        cq_account_refused(&a, &clock, CQ_STATE_OVER);
    }
    cq_account_close(&a);
    draw(0, 2, 20000, 200, NOON_S);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "2");
}
END_TEST

/* Nor does anybody shut out a quarter of the Internet. */
START_TEST(vast_networks)
{
    static const char *const texts[] = { "64.0.0.0/7", "2000::/3", "2002::/15",
                                         "64.0.0.0/8", "2002::/16" };
    struct plan_wanted wanted = { .by_hand = true };
    size_t i;

    for (i = 0; i < COUNT(texts); i++) {
        ck_assert_int_eq(cq_key_parse(&wanted.key, texts[i], NULL), CQ_OK);
        ck_assert(wanted_add(&list, &wanted));
    }
    ck_assert_uint_eq(wanted_finish(&list), 3);
    ck_assert_uint_eq(list.count, 2);
    ck_assert_uint_eq(list.entries[0].key.prefix, 8);
    ck_assert_uint_eq(list.entries[1].key.prefix, 16);
}
END_TEST

START_TEST(rules_in_force)
{
    draw(0, 1, 20000, 200, NOON_S);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "1");
    configure(2000, true);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "");
    configure(1000, false);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "");
    configure(1000, true);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "1");
    /* the days go on: on the 20th it is enough, on the 1st all is new */
    ck_assert_str_eq(wanted_at(NOON_S + 5 * DAY_S), "1");
    ck_assert_str_eq(wanted_at(NOON_S + 6 * DAY_S), "");
    ck_assert_str_eq(wanted_at(NEXT_MONTH_S), "");
}
END_TEST

static bool is_same(int64_t now_s)
{
    int64_t due_s = -1;

    return source_is_same(&source, &terms, now_s, &due_s);
}

START_TEST(same_as_last)
{
    uint32_t over;

    ck_assert(!is_same(NOON_S));        /* there is no last one */
    over = draw(0, 1, 20000, 200, NOON_S);
    draw(0, 2, 20000, 100, NOON_S);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "1");
    ck_assert(is_same(NOON_S + 60) && is_same(NOON_S + 70));
    ck_assert(!is_same(NOON_S + 69));   /* a clock that was put back */
    draw(0, 1, 10, 1, NOON_S + 70);
    draw(0, 2, 10, 99, NOON_S + 70);
    draw(0, 3, 10, 0, NOON_S + 70);
    draw(0, 4, 20000, 10, NOON_S + 70);
    ck_assert(is_same(NOON_S + 70));
    draw(0, 2, 0, 1, NOON_S + 70);
    ck_assert(!is_same(NOON_S + 70));
    ck_assert_str_eq(wanted_at(NOON_S + 70), "1 2");
    configure(999, true);
    ck_assert(!is_same(NOON_S + 70));
    configure(1000, true);
    ck_assert(is_same(NOON_S + 70));
    configure(1000, false);
    ck_assert(!is_same(NOON_S + 70));
    configure(1000, true);
    ck_assert(!is_same(NOON_S + DAY_S));
    /* the same words, and another client's address: not jailed again */
    atomic_fetch_xor(&table->cold[over].address[0], 1);
    ck_assert(!is_same(NOON_S + 70));
    ck_assert_str_eq(wanted_at(NOON_S + 70), "2");
}
END_TEST

/* Whatever happens: where it says the same, the list is the same. */
START_TEST(same_is_true)
{
    uint64_t state = 42;
    int64_t now_s = NOON_S;
    int same_n = 0, other_n = 0;
    char before[1024];

    for (int turn = 0; turn < 4000; turn++) {
        uint64_t random = xorshift(&state);
        uint32_t k = 1 + (uint32_t)(random >> 8) % 20;
        struct cq_clock clock = clock_at(table, now_s);
        struct cq_key key = client(k);
        int64_t due_s = 0;
        bool same;

        snprintf(before, sizeof(before), "%s", wanted_at(now_s));
        switch (random % 32) {
        case 0:
            (void)cq_table_reset(table, &key, &clock);
            break;
        case 1:
            configure(1000 + (int64_t)(random >> 32) % 2, true);
            break;
        case 2:
            now_s += 30;
            break;
        case 3: case 4: case 5: case 6: case 7:
            draw((uint16_t)(random >> 40 & 1), k, 8000, 70, now_s);
            break;
        default:
            now_s += 1;
        }
        same = source_is_same(&source, &terms, now_s, &due_s);
        if (same) {
            ck_assert_str_eq(before, wanted_at(now_s));
            ck_assert_int_eq(list.due_s, due_s);
            same_n++;
        }
        else if (strcmp(before, wanted_at(now_s)) != 0) {
            other_n++;
        }
    }
    ck_assert_int_gt(same_n, 3000);
    ck_assert_int_gt(other_n, 50);
}
END_TEST

START_TEST(one_row)
{
    uint32_t over = draw(0, 1, 20000, 200, NOON_S);
    uint32_t not_over = draw(0, 2, 200, 0, NOON_S);

    ck_assert_int_eq(source_row(&source, &terms, NOON_S + 60, not_over,
                                &list), CQ_OK);
    ck_assert_int_eq(source_row(&source, &terms, NOON_S + 60, UINT32_MAX,
                                &list), CQ_OK);
    ck_assert_uint_eq(list.count, 0);
    ck_assert_int_eq(source_row(&source, &terms, NOON_S + 60, over, &list),
                     CQ_OK);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_int_eq(source_row(&source, &terms, NOON_S + 5, over, &list),
                     CQ_OK);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_int_eq(list.due_s, NOON_S + 60);
}
END_TEST

START_TEST(special_addresses)
{
    static const char *const texts[] = {
        "127.0.0.1", "0.0.0.0/0", "::1", "fe80::/64", "224.0.0.1",
        "::/0", "169.254.1.1", "192.0.2.1", "192.0.2.1", "10.0.0.1"
    };
    struct plan_wanted wanted = { .last_hit_s = 0 };

    for (size_t i = 0; i < COUNT(texts); i++) {
        ck_assert(cq_key_parse(&wanted.key, texts[i], NULL) == CQ_OK);
        wanted.by_hand = i == 8;
        wanted.excess_bytes = (int64_t)(10 - i);
        ck_assert(wanted_add(&list, &wanted));
    }
    ck_assert_uint_eq(wanted_finish(&list), 7);
    ck_assert_uint_eq(list.count, 2);
    ck_assert_uint_eq(list.entries[0].key.bytes[0], 10);
    ck_assert(!list.entries[0].by_hand && list.entries[1].by_hand);
    ck_assert_int_eq(list.entries[1].excess_bytes, 3);
}
END_TEST

/* Addresses, networks that begin with the same one, both families, some of
 * them twice: in order, each once, none lost. */
START_TEST(order)
{
    static const struct cq_prefixes prefixes[] = {
        { 32, 128 }, { 24, 64 }, { 16, 48 }, { 8, 32 }
    };
    struct key_list keys = { .keys = NULL };
    uint64_t state = 42;
    struct plan_wanted wanted = { .last_hit_s = 0 };

    for (int turn = 0; turn < 20000; turn++) {
        uint64_t random[2] = { xorshift(&state), xorshift(&state) };
        uint8_t v6[16];
        bool four = turn < 5000 || turn % 3 != 0;

        memcpy(v6, random, sizeof(v6));
        v6[0] = four ? (uint8_t)(20 + v6[0] % 3) : 0x20;
        v6[1] &= 3;
        ck_assert(cq_key_make(&wanted.key, v6, four ? 4 : 16,
                              prefixes[random[0] >> 62]) == CQ_OK);
        /* every tenth once more */
        for (int i = turn % 10 == 0 ? 2 : 1; i > 0; i--) {
            ck_assert(wanted_add(&list, &wanted));
        }
    }
    for (size_t i = 0; i < list.count; i++) {
        ck_assert(key_list_add(&keys, &list.entries[i].key));
    }
    key_list_sort(&keys);
    ck_assert_uint_eq(wanted_finish(&list), 0);
    ck_assert_uint_eq(list.count, keys.count);
    for (size_t i = 0; i < list.count; i++) {
        ck_assert(cq_key_compare(&list.entries[i].key, &keys.keys[i]) == 0);
    }
    key_list_free(&keys);
}
END_TEST

START_TEST(cut_short)
{
    void (*before)(int) = signal(SIGBUS, SIG_IGN);

    draw(0, 1, 20000, 200, NOON_S);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "1");
    ck_assert(source_is_named(&source));
    ck_assert(truncate(f.path, 0) == 0);
    ck_assert_int_eq(source_offenders(&source, &terms, NOON_S + 60, &list),
                     CQ_ECORRUPT);
    ck_assert_int_eq(source_row(&source, &terms, NOON_S + 60, 0, &list),
                     CQ_ECORRUPT);
    ck_assert(!source_has_pool(&source, "default", NULL, 0));
    source_detach(&source);
    ck_assert_int_ne(source_attach(&source, f.path, why, sizeof(why)), CQ_OK);
    ck_assert(source.table == NULL);
    /* no other trouble is taken for this one */
    ck_assert(signal(SIGBUS, before) == SIG_IGN);
    /* teardown unmaps a table whose file is gone; nothing touches it */
}
END_TEST

START_TEST(replaced)
{
    char other[128];

    snprintf(other, sizeof(other), "%s.other", f.path);
    ck_assert(rename(f.path, other) == 0);
    ck_assert(!source_is_named(&source));
    source_detach(&source);
    ck_assert_int_eq(source_attach(&source, f.path, why, sizeof(why)),
                     CQ_ENOENT);
    ck_assert(link(other, f.path) == 0);
    ck_assert_int_eq(source_attach(&source, f.path, why, sizeof(why)), CQ_OK);
    ck_assert(source_is_named(&source));
}
END_TEST

/* Rows of noise behind a sound head: nobody is taken for an offender, as no
 * address hashes to its identity; and nothing crashes. */
START_TEST(noise)
{
    uint64_t state = 88172645463325252u;
    int fd = open(f.path, O_RDWR);
    struct stat st;

    ck_assert(fd >= 0 && fstat(fd, &st) == 0);
    for (int turn = 0; turn < 20; turn++) {
        uint64_t words[512];

        for (off_t at = (off_t)table->header->geometry.hot_at;
             at < st.st_size; at += (off_t)sizeof(words)) {
            for (size_t i = 0; i < COUNT(words); i++) {
                words[i] = xorshift(&state);
            }
            ck_assert(pwrite(fd, words, sizeof(words), at)
                      == (ssize_t)sizeof(words));
        }
        ck_assert_str_eq(wanted_at(NOON_S + 60), "");
    }
    /* the lists before the rows, too: any answer will do */
    for (off_t at = CQ_PAGE; at < st.st_size; at += CQ_PAGE) {
        uint64_t words[512];

        for (size_t i = 0; i < COUNT(words); i++) {
            words[i] = xorshift(&state);
        }
        ck_assert(pwrite(fd, words, sizeof(words), at)
                  == (ssize_t)sizeof(words));
    }
    list.count = 0;
    ck_assert_int_eq(source_offenders(&source, &terms, NOON_S, &list), CQ_OK);
    ck_assert_uint_eq(list.count, 0);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/source");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_checked_fixture(all, begin, end);
    tcase_add_test(all, who);
    tcase_add_test(all, foreign_prefix);
    tcase_add_test(all, vast_networks);
    tcase_add_test(all, rules_in_force);
    tcase_add_test(all, same_as_last);
    tcase_add_test(all, same_is_true);
    tcase_add_test(all, one_row);
    tcase_add_test(all, special_addresses);
    tcase_add_test(all, order);
    tcase_add_test(all, cut_short);
    tcase_add_test(all, replaced);
    tcase_add_test(all, noise);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
