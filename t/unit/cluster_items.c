/* cluster: the directive's argument, and the bytes of an item. */
#include "cluster/cluster.h"
#include "cluster/bytes.h"
#include "cluster/list.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *parse(const char *text, struct cq_cluster_options *o)
{
    static char why[512];

    memset(why, 0, sizeof(why));
    return cq_cluster_parse(text, o, why, sizeof(why)) == CQ_OK ? NULL : why;
}

START_TEST(servers)
{
    static const struct {
        const char *option, *name, *host;
        int port;
    } good[] = {
        { "--SERVER=10.0.0.1:11211", "10.0.0.1:11211", "10.0.0.1", 11211 },
        { "--server=10.0.0.1", "10.0.0.1:11211", "10.0.0.1", 11211 },
        { "--SERVER=a:1", "a:1", "a", 1 },
        { "--SERVER=b", "b:11211", "b", 11211 },
        { "--SERVER=f0:65535", "f0:65535", "f0", 65535 },
        { "--SERVER=Mirror-1.Example.ORG", "mirror-1.example.org:11211",
          "mirror-1.example.org", 11211 },
        { "--SERVER=[::1]", "[::1]:11211", "::1", 11211 },
        { "--SERVER=[2001:DB8:0:0::1]:4", "[2001:db8::1]:4", "2001:db8::1",
          4 },
    };
    struct cq_cluster_options o;
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const char *why = parse(good[i].option, &o);

        ck_assert_msg(why == NULL, "%s: %s", good[i].option, why);
        ck_assert_uint_eq(o.servers_n, 1);
        ck_assert_str_eq(o.servers[0].name, good[i].name);
        ck_assert_str_eq(o.servers[0].host, good[i].host);
        ck_assert_int_eq(o.servers[0].port, good[i].port);
    }
    ck_assert_ptr_null(parse(" --SERVER=a  --NAMESPACE=m-1. \t--SERVER=b ",
                             &o));
    ck_assert_uint_eq(o.servers_n, 2);
    ck_assert_str_eq(o.name_space, "m-1.");
}
END_TEST

START_TEST(refused_options)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        { "", "names no server" },
        { "--NAMESPACE=x", "names no server" },
        { "10.0.0.1", "expected --SERVER=" },
        { "--SERVER=", "expected a name" },
        { "--SERVER=10.0.0.256", "expected a name" },
        { "--SERVER=10.0.1", "expected a name" },
        { "--SERVER=-a", "expected a name" },
        { "--SERVER=a b", "b: expected --SERVER=" },
        { "--SERVER=a:99999", "expected a port" },
        { "--SERVER=a:0", "expected a port" },
        { "--SERVER=a:", "expected a port" },
        { "--SERVER=[::1]x", "expected a port" },
        { "--SERVER=::1", "in brackets" },
        { "--SERVER=2001:db8::1", "in brackets" },
        { "--SERVER=[::1", "expected a name" },
        { "--SERVER=[10.0.0.1]", "expected a name" },
        { "--SERVER=a:1/?2", "same weight" },
        { "--SERVER=a --SERVER=A:11211", "twice" },
        { "--SERVER=a --NAMESPACE=", "expected 1 to" },
        { "--SERVER=a --NAMESPACE=x --NAMESPACE=y", "twice" },
        { "--SERVER=a --DISTRIBUTION=consistent", "must place a client" },
        { "--SERVER=a --hash=CRC", "--HASH cannot be used" },
        { "--SERVER=a --REPLICAS=1", "older than the first" },
        { "--SERVER=a --USE-UDP", "looks like" },
        { "--SERVER=a --UDP", "looks like" },
        { "--SERVER=a --NOREPLY", "need no answer" },
        { "--SERVER=a --BUFFER-REQUESTS", "leaves no trace" },
        { "--SOCKET=/run/m", "no other node" },
        { "--SERVER=a --POLL-TIMEOUT=3", "expected --SERVER=" },
        { "--SERVER=a:123456", "expected a port" },
        { "--SERVER=a:1x", "expected a port" },
        { "--SERVER=a --NAMESPACE=a/b", "expected 1 to 64 letters" },
        { "--SERVER=a --SERVER=b --SERVER=c --SERVER=d --SERVER=e --SERVER=f "
          "--SERVER=g --SERVER=h --SERVER=i --SERVER=j --SERVER=k --SERVER=l "
          "--SERVER=m --SERVER=n --SERVER=o --SERVER=p --SERVER=q",
          "names more than 16 servers" },
    };
    struct cq_cluster_options o = { .servers_n = 99 };
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = parse(bad[i].text, &o);

        ck_assert_msg(why != NULL, "%s is accepted", bad[i].text);
        ck_assert_msg(strstr(why, bad[i].part) != NULL, "%s: %s", bad[i].text,
                      why);
        ck_assert_uint_eq(o.servers_n, 99);
    }
}
END_TEST

/* A name of N letters: the last N that fits and the first that does not. */
START_TEST(long_options)
{
    static const struct {
        const char *option;
        int letters;
        const char *part;
    } cases[] = {
        { "--NAMESPACE=", 64, NULL },
        { "--NAMESPACE=", 65, "expected 1 to 64 letters" },
        { "--SERVER=", 255, NULL },
        { "--SERVER=", 256, "expected a name" },
        { "--SERVER=", 263, "expected a name" },
        { "--SERVER=", 264, "a name of more than 255 letters" },
        { "--SERVER=", 502, "a name of more than 255 letters" },
        { "--SERVER=", 503, "an option of more than 511 letters" },
    };
    struct cq_cluster_options o;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[600];
        const char *why;
        int n = snprintf(text, sizeof(text), "--SERVER=b %s",
                         cases[i].option);

        memset(text + n, 'a', (size_t)cases[i].letters);
        text[n + cases[i].letters] = '\0';
        why = parse(text, &o);
        ck_assert_msg((why == NULL) == (cases[i].part == NULL)
                      && (why == NULL || strstr(why, cases[i].part) != NULL),
                      "%s%d: %s", cases[i].option, cases[i].letters,
                      why == NULL ? "accepted" : why);
    }
}
END_TEST

static struct cq_item_key key_for(uint8_t last)
{
    struct cq_item_seeds seeds = cq_item_seeds(
        "default", 100, 200, (struct cq_prefixes){ 32, 64 });
    struct cq_key client = { .family = 4, .prefix = 32,
                             .bytes = { 192, 0, 2, last } };
    struct cq_item_key key;

    cq_item_key(&seeds, &client, &key);
    return key;
}

/* The same on every machine, today and tomorrow: two versions of the module
 * must meet. */
START_TEST(stable_bytes)
{
    static const unsigned char seal[] = { 0x3b, 0xb0, 0x56, 0x81 };
    static const unsigned char expected[] = {
        1, 2, 0x34, 0x12,
        5, 0, 0, 0, 0, 0, 0, 0,  0x10, 0x27, 0, 0, 0, 0,  7, 0, 0, 0, 0, 0,
        9, 0, 0, 0, 0, 0,  0xcd, 0xab,  3, 0, 0, 0,
        6, 0, 0, 0, 0, 0, 0, 0,  1, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0,  0, 0,  0, 0, 0, 0
    };
    struct cq_item item = { .day = 0x1234 };
    struct cq_item_entry six = { .node = 6, .used_bytes = 1 };
    struct cq_item_entry five = { 5, 10000, 7, 9, 0xabcd, 3 };
    struct cq_item_key key = key_for(1);
    unsigned char value[CQ_ITEM_SIZE_MAX];

    ck_assert(cq_item_set(&item, &six));
    ck_assert(cq_item_set(&item, &five));
    ck_assert_uint_eq(cq_item_encode(&item, &key, value), 72);
    ck_assert_mem_eq(value + 4, expected, sizeof(expected));
    ck_assert_mem_eq(value, seal, sizeof(seal));
    ck_assert_mem_eq(key.text, "cq2UE9fmGVMo3E88RN45RqUD", sizeof(key.text));
}
END_TEST

static bool lives(const void *baton, uint64_t node, uint16_t boot)
{
    (void)baton;
    return node == 2 && boot == 22;
}

START_TEST(sums)
{
    struct cq_item item = { 0 };
    struct cq_item_entry e[] = {
        { 1, 100, 5, 50, 11, 0 },       /* this node */
        { 2, 30, 7, 50, 22, 0 },
        { 3, 1000, 9, 49, 33, 0 },      /* has not heard of the reset */
        { 4, 4, 9, 50, 44, 0 },         /* does not live */
    };
    struct cq_item_sum sum;
    size_t i;

    for (i = 0; i < 4; i++) {
        ck_assert(cq_item_set(&item, &e[3 - i]));
    }
    sum = cq_item_add_up(&item, 1, 0, lives, NULL);
    ck_assert_int_eq(sum.used_bytes, 34);
    ck_assert_int_eq(sum.in_flight_bytes, 7);
    ck_assert_int_eq(sum.reset_ms, 50);
    ck_assert_int_eq(sum.own->used_bytes, 100);
    sum = cq_item_add_up(&item, 1, 60, lives, NULL);
    ck_assert_int_eq(sum.used_bytes, 0);
    ck_assert_int_eq(sum.reset_ms, 60);
    sum = cq_item_add_up(&item, 9, 0, lives, NULL);
    ck_assert_ptr_null(sum.own);
    ck_assert_int_eq(sum.used_bytes, 134);
}
END_TEST

START_TEST(saturation_and_fullness)
{
    struct cq_item item = { 0 };
    struct cq_item_entry e = { .used_bytes = CQ_BYTES_MAX };
    struct cq_item_sum sum;

    for (e.node = 1; e.node <= 64; e.node++) {
        ck_assert(cq_item_set(&item, &e));
    }
    sum = cq_item_add_up(&item, 1, 0, lives, NULL);
    ck_assert_int_eq(sum.used_bytes, CQ_BYTES_MAX);
    ck_assert(!cq_item_set(&item, &e));
    e.reset_ms = 5;             /* makes the others worthless */
    ck_assert(cq_item_set(&item, &e));
    ck_assert_uint_eq(item.entries_n, 64);
}
END_TEST

START_TEST(altered_values)
{
    struct cq_item_key key = key_for(1), other = key_for(2);
    struct cq_item item = { .day = 1 }, read;
    struct cq_item_entry e = { 5, 10000, 7, 9000, 1, 3 };
    unsigned char value[CQ_ITEM_SIZE_MAX];
    size_t size, i;
    int bit;

    ck_assert(cq_item_set(&item, &e));
    e.node = 6;
    ck_assert(cq_item_set(&item, &e));
    size = cq_item_encode(&item, &key, value);
    ck_assert_int_eq(cq_item_decode(value, size, &key, 9000, &read),
                     CQ_ITEM_GOOD);
    ck_assert_uint_eq(read.entries_n, 2);
    ck_assert(cq_item_equals(&read.entries[1], &e));
    ck_assert_int_eq(cq_item_decode(value, size, &other, 9000, &read),
                     CQ_ITEM_BAD);
    for (i = 0; i < size; i++) {
        ck_assert_int_eq(cq_item_decode(value, i, &key, 9000, &read),
                         CQ_ITEM_BAD);
        ck_assert_uint_eq(read.entries_n, 0);
        for (bit = 0; bit < 8; bit++) {
            value[i] ^= (unsigned char)(1 << bit);
            ck_assert_int_eq(cq_item_decode(value, size, &key, 9000, &read),
                             CQ_ITEM_BAD);
            value[i] ^= (unsigned char)(1 << bit);
        }
    }
    /* with a valid checksum, and yet no item */
    item.entries[0].reset_ms = 9001 + CQ_RESET_AHEAD_MS;
    size = cq_item_encode(&item, &key, value);
    ck_assert_int_eq(cq_item_decode(value, size, &key, 9000, &read),
                     CQ_ITEM_BAD);
    item.entries[0].reset_ms = 0;
    item.entries[0].node = 6;
    size = cq_item_encode(&item, &key, value);
    ck_assert_int_eq(cq_item_decode(value, size, &key, 9000, &read),
                     CQ_ITEM_BAD);
    item.entries[0].node = 0;
    size = cq_item_encode(&item, &key, value);
    ck_assert_int_eq(cq_item_decode(value, size, &key, 9000, &read),
                     CQ_ITEM_BAD);
}
END_TEST

/* Any order of servers places a key alike; one more takes a third of them. */
/* Times of other nodes are limited where they are read: differences of them do
 * not overflow. */
START_TEST(times_of_a_list)
{
    static const int64_t times[][2] = {
        { INT64_MIN, INT64_C(253402300799999) },
        { -1, INT64_C(253402300799999) }, { 0, 0 },
        { INT64_C(1794744003000), INT64_C(1794744003000) },
        { INT64_MAX, INT64_C(253402300799999) },
    };
    static unsigned char value[CQ_LIST_SIZE_MAX];
    static struct cq_list list;
    struct cq_item_key key;
    size_t i, size;

    cq_list_key(&key);
    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        list = (struct cq_list){ .n = 1 };
        list.entries[0].since_ms = list.entries[0].wall_ms = times[i][0];
        size = cq_list_encode(&list, value);
        cq_seal(value, size, &key.hash);
        cq_list_decode(value, size, &list);
        ck_assert_uint_eq(list.n, 1);
        ck_assert_int_eq(list.entries[0].since_ms, times[i][1]);
        ck_assert_int_eq(list.entries[0].wall_ms, times[i][1]);
    }
}
END_TEST

START_TEST(places)
{
    const uint64_t abc[] = { 11, 22, 33 }, cab[] = { 33, 11, 22 };
    uint64_t hash = 1;
    unsigned n[3] = { 0, 0, 0 }, moved = 0;
    int i;

    for (i = 0; i < 30000; i++) {
        size_t at = cq_item_place(hash, abc, 3);

        hash = hash * UINT64_C(6364136223846793005) + 1442695040888963407;
        n[at]++;
    }
    for (i = 0; i < 30000; i++) {
        ck_assert_uint_eq(abc[cq_item_place(hash, abc, 3)],
                          cab[cq_item_place(hash, cab, 3)]);
        moved += cq_item_place(hash, abc, 2) != cq_item_place(hash, abc, 3);
        hash = hash * UINT64_C(6364136223846793005) + 1442695040888963407;
    }
    for (i = 0; i < 3; i++) {
        ck_assert_uint_gt(n[i], 9500);
        ck_assert_uint_lt(n[i], 10500);
    }
    ck_assert_uint_gt(moved, 9500);
    ck_assert_uint_lt(moved, 10500);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cluster: items");
    TCase *t = tcase_create("items");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_test(t, servers);
    tcase_add_test(t, refused_options);
    tcase_add_test(t, long_options);
    tcase_add_test(t, stable_bytes);
    tcase_add_test(t, sums);
    tcase_add_test(t, saturation_and_fullness);
    tcase_add_test(t, altered_values);
    tcase_add_test(t, places);
    tcase_add_test(t, times_of_a_list);
    suite_add_tcase(s, t);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
