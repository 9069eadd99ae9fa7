/* table: which policy holds for a client now, through changes of the
 * configuration and damage to the file. */
#include "table/rules.h"
#include "table_fixture.h"

#include <pthread.h>

static struct fixture f;
static struct cq_table *table;

struct rule {
    const char *net;            /* NULL: the pool's own */
    int64_t daily_bytes;
};

/* One configuration: rules up to one of 0, as httpd writes them. */
static void configure(const struct rule *rule, int64_t grace_bytes,
                      bool refuses)
{
    cq_table_policies_begin(table);
    for (; rule->daily_bytes != 0; rule++) {
        struct cq_policy policy = { rule->daily_bytes, 0 };
        char text[CQ_RULE_SIZE] = "ClamQuotaDaily";
        uint16_t pool = 0, index;

        if (rule->net != NULL) {
            pool = CQ_ANY_POOL;
            snprintf(text, sizeof(text), "ClamQuotaClient %s", rule->net);
        }
        else {
            policy.grace_bytes = grace_bytes;
        }
        ck_assert_int_eq(cq_table_policy(table, pool, text, &policy, &index),
                         CQ_OK);
    }
    cq_table_pool_refuses(table, 0, refuses);
    cq_table_policies_end(table);
}

static struct cq_policy policy_in(uint16_t pool, const char *client_text,
                                  bool *refuses)
{
    struct cq_rules rules;
    struct cq_policy policy;
    struct cq_key key;

    ck_assert_int_eq(cq_key_parse(&key, client_text, NULL), CQ_OK);
    ck_assert_int_eq(cq_rules_read(table, NOON_S, &rules), CQ_OK);
    policy = cq_rules_policy(&rules, pool, &key, refuses);
    cq_rules_free(&rules);
    return policy;
}

static int64_t daily(const char *client_text)
{
    bool refuses;

    return policy_in(0, client_text, &refuses).daily_bytes;
}

static bool refuses_now(void)
{
    bool refuses;

    (void)policy_in(0, "192.0.2.1", &refuses);
    return refuses;
}

START_TEST(changed_in_place)
{
    static const struct rule before[] = { { NULL, 100 }, { NULL, 0 } };
    static const struct rule after[] = { { NULL, 200 }, { NULL, 0 } };
    struct cq_policy policy;
    bool refuses;

    table = fixture_table(&f, 100);
    ck_assert_int_eq(daily("192.0.2.1"), 0);    /* none was set yet */
    configure(before, 7, true);
    policy = policy_in(0, "192.0.2.1", &refuses);
    ck_assert_int_eq(policy.daily_bytes, 100);
    ck_assert_int_eq(policy.grace_bytes, 7);
    ck_assert(refuses);
    configure(after, 8, true);
    policy = policy_in(0, "192.0.2.1", &refuses);
    ck_assert_int_eq(policy.daily_bytes, 200);
    ck_assert_int_eq(policy.grace_bytes, 8);
    ck_assert_uint_eq(table->header->policy_n, 1);
    /* a pool that is not there */
    policy = policy_in(1, "192.0.2.1", &refuses);
    ck_assert_int_eq(policy.daily_bytes, 0);
    ck_assert(!refuses);
    policy = policy_in(CQ_ANY_POOL, "192.0.2.1", &refuses);
    ck_assert_int_eq(policy.daily_bytes, 0);
    fixture_end(&f, table);
}
END_TEST

START_TEST(new_and_removed)
{
    static const struct rule plain[] = { { NULL, 100 }, { NULL, 0 } };
    static const struct rule free[] = {
        { NULL, 100 }, { "192.0.2.0/24", CQ_UNLIMITED }, { NULL, 0 }
    };
    static const struct rule only[] = {
        { "192.0.2.0/24", 5 }, { NULL, 0 }
    };
    struct cq_policy policy;
    bool refuses;

    table = fixture_table(&f, 100);
    configure(plain, 7, true);
    configure(free, 7, true);
    policy = policy_in(0, "192.0.2.1", &refuses);
    ck_assert_int_eq(policy.daily_bytes, CQ_UNLIMITED);
    ck_assert_int_eq(policy.grace_bytes, 7);    /* the pool's own counts */
    ck_assert(refuses);
    ck_assert_int_eq(daily("192.0.3.1"), 100);
    configure(plain, 7, true);
    ck_assert_int_eq(daily("192.0.2.1"), 100);
    /* again: the place it had, in force anew */
    configure(free, 7, true);
    ck_assert_int_eq(daily("192.0.2.1"), CQ_UNLIMITED);
    ck_assert_uint_eq(table->header->policy_n, 2);
    /* the pool has no Daily any more: nothing holds and no client is
     * refused */
    configure(only, 0, true);
    policy = policy_in(0, "192.0.3.1", &refuses);
    ck_assert_int_eq(policy.daily_bytes, 0);
    ck_assert(!refuses);
    fixture_end(&f, table);
}
END_TEST

/* One configuration of a pool's Daily and networks 10.A.B.0/24 from one number
 * to another; returns how many found no place. */
static unsigned configure_networks(unsigned from, unsigned to)
{
    const struct cq_policy policy = { 100, 0 };
    unsigned i, full = 0;
    uint16_t index;

    cq_table_policies_begin(table);
    ck_assert_int_eq(cq_table_policy(table, 0, "ClamQuotaDaily", &policy,
                                     &index), CQ_OK);
    for (i = from; i < to; i++) {
        const struct cq_policy of_net = { 1000 + i, 0 };
        char rule[CQ_RULE_SIZE];

        snprintf(rule, sizeof(rule), "ClamQuotaClient 10.%u.%u.0/24",
                 i / 256, i % 256);
        full += cq_table_policy(table, CQ_ANY_POOL, rule, &of_net, &index)
            == CQ_EFULL;
    }
    cq_table_policies_end(table);
    return full;
}

START_TEST(places_are_used_again)
{
    struct cq_policy_info info;
    struct cq_account a;
    struct cq_clock clock;

    table = fixture_table(&f, 100);
    clock = clock_at(table, NOON_S);
    ck_assert_uint_eq(configure_networks(0, CQ_POLICIES_MAX - 1), 0);
    a = open_client(table, 7, &clock);          /* 10.0.0.7 */
    cq_account_mark(&a, 1, CQ_ORIGIN_PEER);      /* 10.0.0.0/24 */
    /* each configuration has others: those of the last are in force */
    ck_assert_uint_eq(configure_networks(5000, 6000), 1000);
    ck_assert_uint_eq(configure_networks(7000, 9000), 0);
    ck_assert_uint_eq(configure_networks(10000, 12000), 0);
    ck_assert_uint_eq(configure_networks(14000, 16000), 0);
    ck_assert_int_eq(daily("10.54.176.1"), 15000);      /* number 14000 */
    ck_assert_int_eq(daily("10.39.16.1"), 100);         /* 10000 */
    /* the row shows its pool's figures, not those of the pool that has the
     * place now */
    cq_table_policy_info(table, 0, (uint16_t)(atomic_load(
        &table->hot[a.row].mark) & CQ_MARK_POLICY), &info);
    ck_assert_int_eq(info.policy.daily_bytes, 100);
    ck_assert_str_eq(info.rule, "ClamQuotaDaily");
    cq_account_close(&a);
    fixture_end(&f, table);
}
END_TEST

START_TEST(only_logged)
{
    static const struct rule plain[] = { { NULL, 100 }, { NULL, 0 } };

    table = fixture_table(&f, 100);
    configure(plain, 0, true);
    ck_assert(refuses_now());
    configure(plain, 0, false);
    ck_assert(!refuses_now());
    ck_assert_int_eq(daily("192.0.2.1"), 100);
    configure(plain, 0, true);
    ck_assert(refuses_now());
    fixture_end(&f, table);
}
END_TEST

START_TEST(longest_prefix)
{
    static const struct rule nested[] = {
        { NULL, 100 }, { "10.0.0.0/8", 1 }, { "10.1.0.0/16", 2 },
        { "10.1.2.3/32", 3 }, { "0.0.0.0/0", 4 }, { "2001:db8::/32", 5 },
        { "2001:db8:1::/48", CQ_UNLIMITED }, { NULL, 0 }
    };

    table = fixture_table(&f, 100);
    configure(nested, 0, true);
    ck_assert_int_eq(daily("10.2.0.1"), 1);
    ck_assert_int_eq(daily("10.1.2.4"), 2);
    ck_assert_int_eq(daily("10.1.2.3"), 3);
    ck_assert_int_eq(daily("11.0.0.1"), 4);
    ck_assert_int_eq(daily("2001:db8:2::/64"), 5);
    ck_assert_int_eq(daily("2001:db8:1::/64"), CQ_UNLIMITED);
    ck_assert_int_eq(daily("2001:db9::/64"), 100);
    fixture_end(&f, table);
}
END_TEST

/* Nothing of a damaged file is believed: what can't be read is left out, and
 * the pool's own rule holds. */
START_TEST(garbage)
{
    static const struct rule rules[] = {
        { NULL, 100 }, { "192.0.2.0/24", 5 }, { "198.51.100.0/24", 6 },
        { NULL, 0 }
    };
    uint64_t random = 4711;
    unsigned i, n;

    table = fixture_table(&f, 100);
    configure(rules, 0, true);
    /* without an end, without a net, host bits set, a word too many */
    memset(table->policies[1].rule, 'x', CQ_RULE_SIZE);
    ck_assert_int_eq(daily("192.0.2.1"), 100);
    ck_assert_int_eq(daily("198.51.100.1"), 6);
    memset(table->policies[1].rule, 0, CQ_RULE_SIZE);
    ck_assert_int_eq(daily("192.0.2.1"), 100);
    memcpy(table->policies[1].rule, "ClamQuotaClient 192.0.2.1/24", 29);
    ck_assert_int_eq(daily("192.0.2.1"), 100);
    memcpy(table->policies[1].rule, "ClamQuotaClient 192.0.2.0/24 5", 31);
    ck_assert_int_eq(daily("192.0.2.1"), 100);
    /* one network twice: none of these rules holds */
    memcpy(table->policies[1].rule, "ClamQuotaClient 198.51.100.0/24", 32);
    ck_assert_int_eq(daily("198.51.100.1"), 100);
    /* counts that reach past the arrays */
    atomic_store(&table->header->policy_n, UINT32_MAX);
    atomic_store(&table->header->pool_n, UINT32_MAX);
    ck_assert_int_eq(daily("203.0.113.1"), 100);
    /* anything at all: it ends, and stays inside of its memory */
    for (n = 0; n < 200; n++) {
        unsigned char *at = (void *)&table->policies[0];

        for (i = 0; i < 8 * sizeof(table->policies[0]); i++) {
            at[i] = (unsigned char)(xorshift(&random) >> 20);
        }
        memcpy(table->policies[n % 8].rule, "ClamQuotaClient ", 16);
        (void)daily("192.0.2.1");
    }
    fixture_end(&f, table);
}
END_TEST

static atomic_bool stop;

static void *reconfigure(void *ignored)
{
    static const struct rule one[] = {
        { NULL, 100 }, { "192.0.2.0/24", CQ_UNLIMITED }, { NULL, 0 }
    };
    static const struct rule other[] = {
        { "192.0.2.0/24", CQ_UNLIMITED }, { NULL, 200 }, { NULL, 0 }
    };

    while (!atomic_load(&stop)) {
        configure(one, 0, true);
        configure(other, 0, true);
    }
    return ignored;
}

/* What stands in both configurations is in force at every moment: a reader
 * meanwhile, such as a tool that may jail, never sees it gone. */
START_TEST(no_gap)
{
    pthread_t thread;
    int i;

    table = fixture_table(&f, 100);
    configure((const struct rule[]){ { NULL, 100 },
        { "192.0.2.0/24", CQ_UNLIMITED }, { NULL, 0 } }, 0, true);
    /* exactly in the middle, and when the process that set it died there */
    cq_table_policies_begin(table);
    ck_assert_int_eq(daily("192.0.2.1"), CQ_UNLIMITED);
    ck_assert_int_eq(daily("192.0.3.1"), 100);
    ck_assert(refuses_now());
    cq_table_policies_begin(table);
    ck_assert_int_eq(daily("192.0.2.1"), CQ_UNLIMITED);

    ck_assert_int_eq(pthread_create(&thread, NULL, reconfigure, NULL), 0);
    for (i = 0; i < 20000; i++) {
        int64_t daily_bytes = daily("192.0.2.1");

        if (daily_bytes != CQ_UNLIMITED) {
            ck_abort_msg("a gap: %" PRId64, daily_bytes);
        }
        daily_bytes = daily("192.0.3.1");
        if (daily_bytes != 100 && daily_bytes != 200) {
            ck_abort_msg("a gap: %" PRId64, daily_bytes);
        }
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    fixture_end(&f, table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/rules");
    TCase *all = tcase_create("all");

    suite_add_tcase(suite, all);
    tcase_set_timeout(all, 120);
    tcase_add_test(all, changed_in_place);
    tcase_add_test(all, new_and_removed);
    tcase_add_test(all, places_are_used_again);
    tcase_add_test(all, only_logged);
    tcase_add_test(all, longest_prefix);
    tcase_add_test(all, garbage);
    tcase_add_test(all, no_gap);
    return run_suite(suite);
}
