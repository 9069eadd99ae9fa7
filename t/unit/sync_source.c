/* sync/source: which clients of a table are wanted, by the rules in force; and
 * a file that is filled with noise under the mapping. */
#include "sync/source.h"
#include "table_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct fixture f;
static struct cq_table *table;
static struct cq_source source;
static struct cq_wanted_list list;
static struct cq_sync_options options;
static struct cq_lists lists;

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
    options = (struct cq_sync_options){ .grace_s = 60, .after = 200 };
    source = (struct cq_source){ .table = table, .options = &options,
                                 .lists = &lists };
}

static void end(void)
{
    cq_source_forget(&source);
    cq_wanted_free(&list);
    cq_lists_close(&lists);
    fixture_end(&f, table);
}

/* Client k has drawn these bytes and has these refusals, at that time. */
static uint32_t draw(uint16_t pool, uint32_t k, int64_t bytes, int refusals,
                     int64_t at_s)
{
    struct cq_clock clock = clock_at(table, at_s);
    struct cq_key key = client(k);
    struct cq_account a;
    uint32_t row;

    ck_assert_int_eq(cq_account_open(table, pool, &key, &clock, &a), CQ_OK);
    row = a.row;
    (void)cq_account_count_hit(&a, &clock);
    cq_account_charge(&a, &clock, bytes);
    while (refusals-- > 0) {
        cq_account_count_refusal(&a, &clock, CQ_STATE_OVER);
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
    ck_assert_int_eq(cq_source_scan(&source, now_s, &list, NULL), CQ_OK);
    cq_wanted_finish(&list);
    text[0] = '\0';
    for (i = 0; i < list.count; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u",
                              i > 0 ? " " : "",
                              number_of(&list.entries[i].key));
    }
    return text;
}

static const char *explained(uint32_t k, int64_t now_s)
{
    static char clause[CQ_SOURCE_CLAUSE_SIZE];
    struct cq_key key = client(k);

    cq_source_explain(&source, &key, now_s, clause);
    return clause;
}

START_TEST(who)
{
    draw(0, 1, 20000, 200, NOON_S);
    draw(0, 2, 20000, 199, NOON_S);
    draw(0, 3, 14999, 200, NOON_S);
    draw(1, 4, 30000, 500, NOON_S + 30);
    draw(1, 1, 40000, 200, NOON_S + 40);
    ck_assert_str_eq(wanted_at(NOON_S + 59), "");
    ck_assert_int_eq(source.due_s, NOON_S + 60);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "1");
    ck_assert_int_eq(list.entries[0].excess_bytes, 5000);
    ck_assert_int_eq(list.entries[0].last_hit_s, NOON_S);
    ck_assert_int_eq(source.due_s, NOON_S + 90);
    /* an offender in two pools is one, with the larger figures */
    ck_assert_str_eq(wanted_at(NOON_S + 100), "1 4");
    ck_assert_int_eq(list.entries[0].excess_bytes, 25000);
    ck_assert_int_eq(list.entries[0].last_hit_s, NOON_S + 40);
    ck_assert_int_eq(source.due_s, 0);

    options.after = 199;
    ck_assert_str_eq(wanted_at(NOON_S + 100), "1 2 4");
    options.after = 201;
    ck_assert_str_eq(wanted_at(NOON_S + 100), "4");
    options.after = 200;
    options.pools.texts[options.pools.count++] = "other";
    ck_assert_str_eq(wanted_at(NOON_S + 90), "4");
    ck_assert_str_eq(explained(4, NOON_S + 90), "over quota in pool other for "
                     "60 s, refused 500 times");
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
        cq_account_count_refusal(&a, &clock, CQ_STATE_OVER);
    }
    cq_account_close(&a);
    draw(0, 2, 20000, 200, NOON_S);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "2");
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
    return cq_source_is_unchanged(&source, now_s);
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
    draw(0, 2, 10, 99, NOON_S + 70);
    ck_assert(!is_same(NOON_S + 70));
    ck_assert_str_eq(wanted_at(NOON_S + 70), "1");
    draw(0, 3, 10, 0, NOON_S + 70);     /* one that is not over quota */
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

/* Whatever happens: where it answers "the same", the list is the same; and
 * it answers that unless something did happen. */
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
        bool same, idle = false;
        int64_t due_s;

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
            idle = source.due_s == 0 || now_s < source.due_s;
        }
        same = cq_source_is_unchanged(&source, now_s);
        due_s = source.due_s;
        ck_assert(same || !idle);
        if (same) {
            ck_assert_str_eq(before, wanted_at(now_s));
            ck_assert_int_eq(source.due_s, due_s);
            same_n++;
        }
        else if (strcmp(before, wanted_at(now_s)) != 0) {
            other_n++;
        }
    }
    ck_assert_int_gt(same_n, 2500);
    ck_assert_int_gt(other_n, 50);
}
END_TEST

/* Addresses of both families, some of them twice, joined: in order, each
 * once, none lost. */
START_TEST(order)
{
    struct cq_wanted wanted = { .file = 0 };
    uint64_t state = 42;
    size_t i, n = 0;

    for (i = 0; i < 20000; i++) {
        uint64_t random[2] = { xorshift(&state), xorshift(&state) };
        bool four = i % 3 != 0;

        ((uint8_t *)random)[0] = four ? (uint8_t)(20 + random[0] % 3) : 0x20;
        ck_assert_int_eq(cq_key_make(&wanted.key, random, four ? 4 : 16,
                                     (struct cq_prefixes){ 24, 64 }), CQ_OK);
        wanted.excess_bytes = (int64_t)i;
        ck_assert(cq_wanted_add(&list, &wanted));
        if (i % 10 == 0) {
            wanted.file = 3;
            wanted.excess_bytes = 0;
            ck_assert(cq_wanted_add(&list, &wanted));
            wanted.file = 0;
        }
    }
    cq_wanted_finish(&list);
    for (i = 0; i < list.count; i++) {
        const struct cq_wanted *w = &list.entries[i];

        ck_assert(i == 0 || cq_key_compare(&w[-1].key, &w->key) < 0);
        ck_assert_ptr_eq(cq_wanted_find(&list, &w->key), w);
        n += w->file == 3;
    }
    ck_assert_uint_ge(n, 1900);
    ck_assert_uint_le(list.count, 20000);
    ck_assert_int_eq(cq_key_parse(&wanted.key, "21.255.255.1", NULL), CQ_OK);
    ck_assert_ptr_null(cq_wanted_find(&list, &wanted.key));
}
END_TEST

/* Addresses that are never jailed, and the reasons that are reported. */
START_TEST(spared)
{
    struct cq_clock clock = clock_at(table, NOON_S);
    char *said;
    size_t said_n, n = 0;
    struct cq_say say;
    struct cq_key key;
    FILE *err;

    for (uint32_t k = 1; k <= 4; k++) {
        draw(0, k, 20000, 200, NOON_S);
    }
    key = client(1);
    ck_assert_int_eq(cq_net_add(&lists.own, &key, 0), CQ_OK);
    key = client(2);
    ck_assert_int_eq(cq_net_add(&lists.never, &key, 0), CQ_OK);
    ck_assert_int_eq(cq_net_seal(&lists.own, NULL), CQ_OK);
    ck_assert_int_eq(cq_net_seal(&lists.never, NULL), CQ_OK);
    key = client(3);
    for (uint16_t pool = 1; pool < 2; pool++) {
        struct cq_account a;

        ck_assert_int_eq(cq_account_open(table, pool, &key, &clock, &a),
                         CQ_OK);
        cq_account_mark(&a, 0, CQ_ORIGIN_PROXIED);
        cq_account_close(&a);
    }
    draw(0, 6, 20000, 200, NOON_S + 1);
    err = open_memstream(&said, &said_n);
    cq_say_open(&say, "p", err, false);
    ck_assert_int_eq(cq_source_scan(&source, NOON_S + 60, &list, &say), CQ_OK);
    say.verbose = true;
    list.count = 0;
    ck_assert_int_eq(cq_source_scan(&source, NOON_S + 60, &list, &say), CQ_OK);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_uint_eq(number_of(&list.entries[0].key), 4);
    fclose(err);
    for (uint32_t k = 1; k <= 6; k++) {
        static const char *const words[] = {
            "this machine or its default gateway", "it is on a never list",
            "other clients share its address", NULL, NULL,
            "it is over quota for less than --grace" };
        char line[160], text[CQ_KEY_TEXT_SIZE];

        key = client(k);
        snprintf(line, sizeof(line), "p: %s is left out: %s\n",
                 cq_key_format(&key, text, sizeof(text)),
                 words[k - 1] != NULL ? words[k - 1] : "");
        ck_assert_int_eq(strstr(said, line) != NULL, words[k - 1] != NULL);
        n += words[k - 1] != NULL ? strlen(line) : 0;
    }
    ck_assert_uint_eq(said_n, n);       /* once each, nothing else */
    free(said);
    cq_say_close(&say);
    draw(0, 5, 10, 0, NOON_S);
    for (uint32_t k = 1; k <= 6; k++) {
        static const char *const reasons[] = {
            "this machine or its default gateway",
            "it is on a never list", "other clients share its address",
            "over quota in pool default for 60 s, refused 200 times",
            "it is not over quota",
            "neither the table nor a deny file names it"
        };

        ck_assert_str_eq(explained(k < 6 ? k : 7, NOON_S + 60),
                         reasons[k - 1]);
    }
}
END_TEST

/* An exemption lifts an offender's jail, and its end brings it back, though no
 * word of the row has changed. */
START_TEST(exempt)
{
    struct cq_key key = client(1);

    draw(0, 1, 20000, 200, NOON_S);
    ck_assert_str_eq(wanted_at(NOON_S + 60), "1");
    ck_assert(cq_source_is_unchanged(&source, NOON_S + 61));
    ck_assert_int_eq(cq_exempt_set(table, &key, NOON_S + 90, NOON_S + 61),
                     CQ_OK);
    ck_assert(!cq_source_is_unchanged(&source, NOON_S + 62));
    ck_assert_str_eq(wanted_at(NOON_S + 62), "");
    ck_assert_str_eq(explained(1, NOON_S + 62),
                     "it is exempt, or its pool refuses no client");
    ck_assert(cq_source_is_unchanged(&source, NOON_S + 89));
    ck_assert(!cq_source_is_unchanged(&source, NOON_S + 90));
    ck_assert_str_eq(wanted_at(NOON_S + 90), "1");
}
END_TEST

/* Rows of noise behind a sound head: no client is taken for an offender, as
 * no address hashes to its identity; and nothing crashes. */
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
    ck_assert_int_eq(cq_source_scan(&source, NOON_S, &list, NULL), CQ_OK);
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
    tcase_add_test(all, rules_in_force);
    tcase_add_test(all, same_as_last);
    tcase_add_test(all, same_is_true);
    tcase_add_test(all, order);
    tcase_add_test(all, spared);
    tcase_add_test(all, exempt);
    tcase_add_test(all, noise);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
