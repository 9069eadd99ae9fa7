/* core/net: the longest prefix wins, whatever the order of adding; compared
 * with a search that looks at every rule. */
#include "core/net.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Inside of large loops: ck_assert() reports each success to its parent. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            ck_abort_msg("%s", #condition); \
        } \
    } while (0)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_msg(cq_key_parse(&key, text, NULL) == CQ_OK, "%s", text);
    return key;
}

static void add(struct cq_net_list *list, const char *net, int64_t value)
{
    struct cq_key key = key_of(net);

    ck_assert_int_eq(cq_net_add(list, &key, value), CQ_OK);
}

/* The value found for a key, or -99. */
static int64_t found(const struct cq_net_list *list, const char *text)
{
    struct cq_key key = key_of(text);
    const struct cq_net_rule *rule = cq_net_find(list, &key);

    return rule == NULL ? -99 : rule->value;
}

/* A sequence that is the same in every run. */
static uint32_t next_number(uint32_t *state)
{
    *state = *state * UINT32_C(1664525) + UINT32_C(1013904223);
    return *state >> 8;
}

START_TEST(longest_prefix_wins)
{
    static const char *const nets[] = {
        "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3",
        "10.1.2.2/31", "::/0", "2001:db8::/32", "2001:db8:1::/48"
    };

    /* every rotation, forwards and backwards */
    for (size_t first = 0; first < 2 * COUNT(nets); first++) {
        struct cq_net_list list = { .rules = NULL };

        for (size_t i = 0; i < COUNT(nets); i++) {
            size_t n = (first + i) % COUNT(nets);

            n = first < COUNT(nets) ? n : COUNT(nets) - 1 - n;
            add(&list, nets[n], (int64_t)n);
        }
        ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
        ck_assert_uint_eq(list.count, COUNT(nets));
        ck_assert_int_eq(found(&list, "9.9.9.9"), 0);
        ck_assert_int_eq(found(&list, "255.255.255.255"), 0);
        ck_assert_int_eq(found(&list, "10.255.255.255"), 1);
        ck_assert_int_eq(found(&list, "10.1.0.0"), 2);
        ck_assert_int_eq(found(&list, "10.1.2.1"), 3);
        ck_assert_int_eq(found(&list, "10.1.2.3"), 4);
        ck_assert_int_eq(found(&list, "::ffff:10.1.2.3"), 4);
        ck_assert_int_eq(found(&list, "10.1.2.2"), 5);
        ck_assert_int_eq(found(&list, "::1"), 6);
        ck_assert_int_eq(found(&list, "2001:db8::1"), 7);
        ck_assert_int_eq(found(&list, "2001:db8:1::/64"), 8);
        /* a client that is a network lies in no longer one */
        ck_assert_int_eq(found(&list, "10.1.2.0/24"), 3);
        ck_assert_int_eq(found(&list, "10.1.2.0/25"), 3);
        ck_assert_int_eq(found(&list, "10.1.0.0/23"), 2);
        ck_assert_int_eq(found(&list, "10.0.0.0/15"), 1);
        ck_assert_int_eq(found(&list, "10.0.0.0/7"), 0);
        ck_assert_int_eq(found(&list, "2001:db8::/31"), 6);
        cq_net_free(&list);
    }
}
END_TEST

START_TEST(no_rule_no_value)
{
    struct cq_net_list list = { .rules = NULL };

    ck_assert_int_eq(found(&list, "10.0.0.1"), -99);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert_int_eq(found(&list, "10.0.0.1"), -99);
    ck_assert_int_eq(found(&list, "::"), -99);
    cq_net_free(&list);

    add(&list, "10.0.0.0/8", 1);
    add(&list, "2001:db8::/32", 2);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert_int_eq(found(&list, "9.255.255.255"), -99);
    ck_assert_int_eq(found(&list, "10.0.0.0"), 1);
    ck_assert_int_eq(found(&list, "10.255.255.255"), 1);
    ck_assert_int_eq(found(&list, "11.0.0.0"), -99);
    ck_assert_int_eq(found(&list, "2001:db7:ffff::"), -99);
    ck_assert_int_eq(found(&list, "2001:db8:ffff::"), 2);
    ck_assert_int_eq(found(&list, "2001:db9::"), -99);
    /* families don't mix, though the bytes agree */
    ck_assert_int_eq(found(&list, "a00::"), -99);
    ck_assert_int_eq(found(&list, "32.1.13.184"), -99);
    cq_net_free(&list);
}
END_TEST

/* One rule for each prefix length: an address that leaves the path at bit n
 * finds the rule of length n. */
static void walk_every_length(unsigned bits, struct cq_key deepest)
{
    struct cq_net_list list = { .rules = NULL };
    struct cq_prefixes prefixes = { 0, 0 };
    size_t len = bits / 8;

    for (unsigned n = 0; n <= bits; n++) {
        struct cq_key net;

        *(bits == 32 ? &prefixes.v4_bits : &prefixes.v6_bits) = (uint8_t)n;
        ck_assert_int_eq(cq_key_make(&net, deepest.bytes, len, prefixes),
                         CQ_OK);
        ck_assert_int_eq(cq_net_add(&list, &net, (int64_t)n), CQ_OK);
    }
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    for (unsigned n = 0; n < bits; n++) {
        struct cq_key key = deepest;

        key.bytes[n / 8] ^= (uint8_t)(0x80u >> (n % 8));
        ck_assert_ptr_nonnull(cq_net_find(&list, &key));
        ck_assert_int_eq(cq_net_find(&list, &key)->value, n);
    }
    ck_assert_int_eq(cq_net_find(&list, &deepest)->value, bits);
    cq_net_free(&list);
}

START_TEST(every_prefix_length)
{
    walk_every_length(32, key_of("0.0.0.0"));
    walk_every_length(32, key_of("170.85.204.51"));
    walk_every_length(32, key_of("255.255.255.255"));
    walk_every_length(128, key_of("2001:db8:1:2:a5a5:5a5a:c3c3:3c3c"));
    walk_every_length(128,
                      key_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}
END_TEST

static const struct cq_net_rule *look_at_all(const struct cq_net_list *list,
                                             const struct cq_key *key)
{
    const struct cq_net_rule *best = NULL;

    for (size_t i = 0; i < list->count; i++) {
        if (cq_key_contains(&list->rules[i].net, key)
            && (best == NULL
                || list->rules[i].net.prefix > best->net.prefix)) {
            best = &list->rules[i];
        }
    }
    return best;
}

/* A network among few bits, so that many overlap. */
static struct cq_key some_key(uint32_t *state)
{
    uint8_t addr[16] = { 0 };
    bool v4 = next_number(state) % 2 == 0;
    struct cq_prefixes prefixes = { 0, 0 };
    struct cq_key key;

    addr[0] = (uint8_t)(next_number(state) & 0xc0);
    addr[1] = (uint8_t)(next_number(state) & 0x81);
    addr[3] = (uint8_t)(next_number(state) & 0x03);
    addr[9] = (uint8_t)(next_number(state) & 0x11);
    addr[15] = (uint8_t)(next_number(state) & 0x03);
    prefixes.v4_bits = (uint8_t)(next_number(state) % 33);
    prefixes.v6_bits = (uint8_t)(next_number(state) % 129);
    EXPECT(cq_key_make(&key, addr, v4 ? 4 : 16, prefixes) == CQ_OK);
    return key;
}

START_TEST(as_a_search_through_all)
{
    uint32_t state = 2012;
    int hits = 0;
    int misses = 0;
    int around = 0;

    for (int round = 0; round < 200; round++) {
        struct cq_net_list list = { .rules = NULL };
        size_t wanted = next_number(&state) % 60;

        for (size_t i = 0; i < wanted; i++) {
            struct cq_key net = some_key(&state);
            bool twice = false;

            for (size_t j = 0; j < list.count; j++) {
                twice |= cq_key_compare(&list.rules[j].net, &net) == 0;
            }
            if (!twice) {
                EXPECT(cq_net_add(&list, &net, (int64_t)i) == CQ_OK);
            }
        }
        EXPECT(cq_net_seal(&list, NULL) == CQ_OK);
        for (int i = 0; i < 300; i++) {
            struct cq_key key = some_key(&state);
            const struct cq_net_rule *rule = look_at_all(&list, &key);
            bool touches;

            EXPECT(cq_net_find(&list, &key) == rule);
            touches = rule != NULL;
            for (size_t j = 0; j < list.count; j++) {
                touches |= cq_key_contains(&key, &list.rules[j].net);
            }
            EXPECT(cq_net_touches(&list, &key) == touches);
            around += touches && rule == NULL;
            hits += rule != NULL;
            misses += rule == NULL;
        }
        cq_net_free(&list);
    }
    /* both kinds were tried */
    EXPECT(hits > 5000);
    EXPECT(misses > 5000);
    EXPECT(around > 1000);
}
END_TEST

/* Exactly this network, whether the list is sealed or not. */
START_TEST(has_a_network)
{
    static const char *const in[] = { "192.0.2.0/24", "192.0.2.7",
                                      "2001:db8::/32" };
    static const char *const not_in[] = { "192.0.2.0/25", "192.0.2.8",
                                          "0.0.0.0/0", "2001:db8::" };
    struct cq_net_list list = { .count = 0 };
    struct cq_key key = key_of(in[0]);
    int sealed;
    size_t i;

    ck_assert(!cq_net_has(&list, &key));
    for (i = 0; i < COUNT(in); i++) {
        add(&list, in[i], 1);
    }
    for (sealed = 0; sealed < 2; sealed++) {
        for (i = 0; i < COUNT(in); i++) {
            key = key_of(in[i]);
            ck_assert(cq_net_has(&list, &key));
        }
        for (i = 0; i < COUNT(not_in); i++) {
            key = key_of(not_in[i]);
            ck_assert(!cq_net_has(&list, &key));
        }
        ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    }
    cq_net_free(&list);
}
END_TEST

START_TEST(twice_is_refused)
{
    struct cq_net_list list = { .rules = NULL };
    struct cq_key twice = key_of("::1");
    struct cq_key expected = key_of("10.0.0.0/8");

    add(&list, "10.0.0.0/8", 1);
    add(&list, "10.0.0.0/9", 2);
    add(&list, "192.0.2.7", 3);
    /* the same network in its other clothes */
    add(&list, "::ffff:10.0.0.0/104", 1);
    ck_assert_int_eq(cq_net_seal(&list, &twice), CQ_EDUP);
    ck_assert_mem_eq(&twice, &expected, sizeof(twice));
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_EDUP);
    ck_assert(!list.sealed);
    ck_assert_int_eq(found(&list, "10.0.0.1"), -99);
    cq_net_free(&list);

    /* same bytes, but another length or family: no duplicates */
    twice = key_of("::1");
    expected = twice;
    add(&list, "0.0.0.0/0", 1);
    add(&list, "0.0.0.0/32", 2);
    add(&list, "::/0", 3);
    add(&list, "::/32", 4);
    ck_assert_int_eq(cq_net_seal(&list, &twice), CQ_OK);
    ck_assert_mem_eq(&twice, &expected, sizeof(twice));
    cq_net_free(&list);
}
END_TEST

START_TEST(sealed_is_closed)
{
    struct cq_net_list list = { .rules = NULL };
    struct cq_key net = key_of("10.0.0.0/8");

    add(&list, "192.0.2.0/24", INT64_MIN);
    ck_assert_int_eq(found(&list, "192.0.2.1"), -99);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert_int_eq(cq_net_add(&list, &net, 1), CQ_EINVAL);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert(found(&list, "192.0.2.1") == INT64_MIN);
    cq_net_free(&list);
    ck_assert_ptr_null(list.rules);
    ck_assert_uint_eq(list.count + list.capacity, 0);
    /* and can be filled anew */
    add(&list, "10.0.0.0/8", 5);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert_int_eq(found(&list, "10.0.0.1"), 5);
    cq_net_free(&list);
    cq_net_free(&list);
}
END_TEST

START_TEST(only_canonical_keys)
{
    struct cq_net_list list = { .rules = NULL };
    struct cq_key net = key_of("10.0.0.0/8");

    net.bytes[3] = 1;
    ck_assert_int_eq(cq_net_add(&list, &net, 1), CQ_EINVAL);
    ck_assert_uint_eq(list.count, 0);
    ck_assert_ptr_null(list.rules);
    add(&list, "0.0.0.0/0", 1);
    add(&list, "::/0", 1);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert_ptr_null(cq_net_find(&list, &net));
    net.family = 0;
    ck_assert_ptr_null(cq_net_find(&list, &net));
    cq_net_free(&list);
}
END_TEST

START_TEST(a_list_too_large_stays_as_it_is)
{
    struct cq_key net = key_of("10.0.0.0/8");
    struct cq_net_list list = {
        .count = SIZE_MAX / 2, .capacity = SIZE_MAX / 2
    };

    /* twice as many would not fit in a size_t */
    ck_assert_int_eq(cq_net_add(&list, &net, 1), CQ_ENOMEM);
    ck_assert_ptr_null(list.rules);
    ck_assert_uint_eq(list.count, SIZE_MAX / 2);
    ck_assert_uint_eq(list.capacity, SIZE_MAX / 2);
}
END_TEST

START_TEST(many_rules)
{
    struct cq_net_list list = { .rules = NULL };
    struct cq_key net = key_of("10.0.0.0/24");

    for (unsigned i = 0; i < 5000; i++) {
        net.bytes[1] = (uint8_t)(i / 100);
        net.bytes[2] = (uint8_t)(i % 100);
        EXPECT(cq_net_add(&list, &net, i) == CQ_OK);
    }
    EXPECT(cq_net_seal(&list, NULL) == CQ_OK);
    net.prefix = 32;
    net.bytes[3] = 200;
    for (unsigned i = 0; i < 5000; i++) {
        net.bytes[1] = (uint8_t)(i / 100);
        net.bytes[2] = (uint8_t)(i % 100);
        EXPECT(cq_net_find(&list, &net)->value == i);
        net.bytes[2] = (uint8_t)(100 + i % 100);
        ck_assert_ptr_null(cq_net_find(&list, &net));
    }
    cq_net_free(&list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/net");
    TCase *find = tcase_create("find");
    TCase *fill = tcase_create("fill");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, find);
    tcase_add_test(find, longest_prefix_wins);
    tcase_add_test(find, no_rule_no_value);
    tcase_add_test(find, every_prefix_length);
    tcase_add_test(find, as_a_search_through_all);
    tcase_add_test(find, many_rules);
    suite_add_tcase(suite, fill);
    tcase_add_test(fill, has_a_network);
    tcase_add_test(fill, twice_is_refused);
    tcase_add_test(fill, sealed_is_closed);
    tcase_add_test(fill, only_canonical_keys);
    tcase_add_test(fill, a_list_too_large_stays_as_it_is);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
