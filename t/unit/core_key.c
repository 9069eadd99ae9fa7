/* core/key: every way to write an address and to write it wrongly, every
 * prefix length of both families. Folding by bits is in core_key_folds.c. */
#include "core/key.h"

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

static const struct cq_prefixes whole = { 32, 128 };

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_msg(cq_key_parse(&key, text, NULL) == CQ_OK, "%s", text);
    return key;
}

static void expect_equal(const struct cq_key *a, const struct cq_key *b)
{
    ck_assert_mem_eq(a, b, sizeof(*a));
    ck_assert_int_eq(cq_key_compare(a, b), 0);
}

static int bit_of(const uint8_t *bytes, unsigned bit)
{
    return bytes[bit / 8] >> (7 - bit % 8) & 1;
}

static void flip(uint8_t *bytes, unsigned bit)
{
    bytes[bit / 8] ^= (uint8_t)(0x80u >> (bit % 8));
}

START_TEST(reads)
{
    static const struct {
        const char *text;
        const char *address;
        const char *cidr;
    } good[] = {
        { "192.0.2.7", "192.0.2.7", "192.0.2.7/32" },
        { "0.0.0.0", "0.0.0.0", "0.0.0.0/32" },
        { "255.255.255.255", "255.255.255.255", "255.255.255.255/32" },
        { "10.0.0.0/8", "10.0.0.0", "10.0.0.0/8" },
        { "0.0.0.0/0", "0.0.0.0", "0.0.0.0/0" },
        { "192.0.2.7/32", "192.0.2.7", "192.0.2.7/32" },
        { "128.0.0.0/1", "128.0.0.0", "128.0.0.0/1" },
        { "192.0.2.6/31", "192.0.2.6", "192.0.2.6/31" },
        { "::", "::", "::/128" },
        { "::/0", "::", "::/0" },
        { "::1", "::1", "::1/128" },
        { "2001:db8::/32", "2001:db8::", "2001:db8::/32" },
        { "2001:DB8::A", "2001:db8::a", "2001:db8::a/128" },
        { "2001:0db8:0000:0:0:0:0:0001", "2001:db8::1", "2001:db8::1/128" },
        { "2001:db8:1:2::/64", "2001:db8:1:2::", "2001:db8:1:2::/64" },
        { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8/128" },
        { "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304",
          "1:2:3:4:5:6:102:304/128" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128" },
        /* folded */
        { "::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7/32" },
        { "::FFFF:c000:207", "192.0.2.7", "192.0.2.7/32" },
        { "0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7", "192.0.2.7/32" },
        { "::ffff:10.0.0.0/104", "10.0.0.0", "10.0.0.0/8" },
        { "::ffff:0:0/96", "0.0.0.0", "0.0.0.0/0" },
        { "::ffff:192.0.2.7/128", "192.0.2.7", "192.0.2.7/32" },
        { "64:ff9b::192.0.2.7", "192.0.2.7", "192.0.2.7/32" },
        { "64:FF9B::c000:207", "192.0.2.7", "192.0.2.7/32" },
        { "64:ff9b::10.0.0.0/104", "10.0.0.0", "10.0.0.0/8" },
        { "64:ff9b::/96", "0.0.0.0", "0.0.0.0/0" },
        /* neighbours of these ranges stay IPv6, and what is around them */
        { "64:ff9b::/95", "64:ff9b::", "64:ff9b::/95" },
        { "64:ff9b::/32", "64:ff9b::", "64:ff9b::/32" },
        { "64:ff9b::1:c000:207", "64:ff9b::1:c000:207",
          "64:ff9b::1:c000:207/128" },
        { "64:ff9b:1::c000:207", "64:ff9b:1::c000:207",
          "64:ff9b:1::c000:207/128" },
        { "::fffe:0:0/95", "::fffe:0:0", "::fffe:0:0/95" },
        { "::1:ffff:0:0", "::1:ffff:0:0", "::1:ffff:0:0/128" },
    };

    for (size_t i = 0; i < COUNT(good); i++) {
        char text[CQ_KEY_TEXT_SIZE];
        const char *why = "untouched";
        struct cq_key key;
        struct cq_key again;

        ck_assert_msg(cq_key_parse(&key, good[i].text, &why) == CQ_OK,
                      "%s: %s", good[i].text, why);
        ck_assert_str_eq(why, "untouched");
        ck_assert(cq_key_is_valid(&key));
        ck_assert_str_eq(cq_key_format(&key, text, sizeof(text)),
                         good[i].address);
        ck_assert_str_eq(cq_key_format_cidr(&key, text, sizeof(text)),
                         good[i].cidr);
        ck_assert_int_eq(cq_key_parse(&again, text, NULL), CQ_OK);
        expect_equal(&again, &key);
    }
}
END_TEST

#define ADDRESS "not an address, expected "
#define MISSING "the address is missing, expected "
#define ZONE "a zone is given, expected "
#define NUMBER "the prefix is not a number, expected "
#define LONG "the prefix is too long, expected "
#define HOST "host bits are set, expected 10.0.0.0/8 style"
#define MAPPED "an IPv4-mapped network has a prefix of 96 to 128, expected "

START_TEST(refuses)
{
    static const struct {
        const char *text;
        const char *why;    /* how its clause begins */
    } bad[] = {
        { "", MISSING }, { "/8", MISSING }, { "/", MISSING },
        { " ", ADDRESS }, { "1.2.3", ADDRESS }, { "1.2", ADDRESS },
        { "1", ADDRESS }, { "16909060", ADDRESS }, { "0x01020304", ADDRESS },
        { "01.2.3.4", ADDRESS }, { "1.2.3.04", ADDRESS },
        { "00.0.0.0", ADDRESS }, { "0x1.2.3.4", ADDRESS },
        { "1.2.3.256", ADDRESS }, { "1.2.3.4294967297", ADDRESS },
        { "1.2.3.4.5", ADDRESS }, { "1.2.3.", ADDRESS },
        { ".1.2.3", ADDRESS }, { "1..2.3", ADDRESS }, { "1.2.3.4.", ADDRESS },
        { "-1.2.3.4", ADDRESS }, { "+1.2.3.4", ADDRESS },
        { "1.2.3.-4", ADDRESS }, { " 1.2.3.4", ADDRESS },
        { "1.2.3.4 ", ADDRESS }, { "1.2. 3.4", ADDRESS },
        { "1.2.3.4\n", ADDRESS }, { "\t1.2.3.4", ADDRESS },
        { "1.2.3.4 /8", ADDRESS }, { "1,2,3,4", ADDRESS },
        { "1.2.3.4:80", ADDRESS }, { "localhost", ADDRESS },
        { "example.org", ADDRESS }, { "*", ADDRESS }, { "10.0.0.*", ADDRESS },
        { "10.0.0.1-10.0.0.9", ADDRESS }, { "all", ADDRESS },
        { ":", ADDRESS }, { ":::", ADDRESS }, { "1::2::3", ADDRESS },
        { ":1:2:3:4:5:6:7", ADDRESS }, { "1:2:3:4:5:6:7:", ADDRESS },
        { "1:2:3:4:5:6:7", ADDRESS }, { "1:2:3:4:5:6:7:8:9", ADDRESS },
        { "12345::", ADDRESS }, { "g::", ADDRESS }, { "[::1]", ADDRESS },
        { "2001:db8::1 ", ADDRESS }, { " ::1", ADDRESS },
        { "::1.2.3", ADDRESS }, { "::ffff:01.2.3.4", ADDRESS },
        { "::ffff:1.2.3.256", ADDRESS }, { "1:2:3:4:5:6:7:1.2.3.4", ADDRESS },
        { "::1.2.3.4:5", ADDRESS }, { "-::1", ADDRESS },
        /* longer than any address, with and without a prefix */
        { "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", ADDRESS },
        { "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", ADDRESS },
        { "1.2.3.4xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/8",
          ADDRESS },
        { "fe80::1%eth0", ZONE }, { "fe80::1%1", ZONE }, { "fe80::1%", ZONE },
        { "fe80::%eth0/64", ZONE }, { "1.2.3.4%lo", ZONE },
        { "10.0.0.0/", NUMBER }, { "::/", NUMBER }, { "10.0.0.0/ 8", NUMBER },
        { "10.0.0.0/8 ", NUMBER }, { "10.0.0.0/+8", NUMBER },
        { "10.0.0.0/-8", NUMBER }, { "10.0.0.0/08", NUMBER },
        { "10.0.0.0/00", NUMBER }, { "10.0.0.0/0x8", NUMBER },
        { "10.0.0.0/8.0", NUMBER }, { "10.0.0.0/8/8", NUMBER },
        { "10.0.0.0//8", NUMBER }, { "10.0.0.0/255.0.0.0", NUMBER },
        { "10.0.0.0/a", NUMBER }, { "10.0.0.0/8\n", NUMBER },
        { "10.0.0.0/0008", NUMBER }, { "10.0.0.0/4294967304", NUMBER },
        { "::/18446744073709551616", NUMBER }, { "::/64%1", NUMBER },
        { "10.0.0.0/33", LONG }, { "10.0.0.0/128", LONG },
        { "10.0.0.0/256", LONG }, { "10.0.0.0/264", LONG },
        { "10.0.0.0/999", LONG }, { "::/129", LONG }, { "::/256", LONG },
        { "::/999", LONG }, { "::ffff:1.2.3.4/129", LONG },
        { "10.0.0.1/8", HOST }, { "10.0.0.0/6", HOST },
        { "192.0.2.7/31", HOST }, { "0.0.0.1/0", HOST },
        { "128.0.0.0/0", HOST }, { "2001:db8::1/32", HOST },
        { "::1/127", HOST }, { "8000::/0", HOST },
        { "::ffff:10.0.0.1/104", HOST }, { "::ffff:128.0.0.0/96", HOST },
        { "::ffff:1.2.3.5/127", HOST }, { "::fffe:0:0/94", HOST },
        /* shorter than the mapped prefix itself: bits of ffff are behind */
        { "::ffff:1.2.3.4/95", MAPPED }, { "::ffff:0:0/95", MAPPED },
        { "::ffff:0:0/80", MAPPED }, { "::ffff:0:0/0", MAPPED },
        { "::ffff:10.0.0.0/8", MAPPED },
    };

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct cq_key key;
        struct cq_key before;
        const char *why = NULL;

        memset(&key, 0xa5, sizeof(key));
        before = key;
        ck_assert_msg(cq_key_parse(&key, bad[i].text, &why) == CQ_EINVAL,
                      "\"%s\" is accepted", bad[i].text);
        ck_assert_ptr_nonnull(why);
        ck_assert_msg(strncmp(why, bad[i].why, strlen(bad[i].why)) == 0,
                      "\"%s\": %s", bad[i].text, why);
        ck_assert_mem_eq(&key, &before, sizeof(key));
        ck_assert_int_eq(cq_key_parse(&key, bad[i].text, NULL), CQ_EINVAL);
    }
}
END_TEST

/* All ones and a pattern without a regular bit, cut to every length. */
static void cut_everywhere(const uint8_t *addr, size_t addr_len)
{
    unsigned bits = 8 * (unsigned)addr_len;

    for (unsigned prefix = 0; prefix <= bits; prefix++) {
        struct cq_prefixes prefixes = whole;
        char text[CQ_KEY_TEXT_SIZE];
        struct cq_key key;
        struct cq_key again;

        *(addr_len == 4 ? &prefixes.v4_bits : &prefixes.v6_bits)
            = (uint8_t)prefix;
        EXPECT(cq_key_make(&key, addr, addr_len, prefixes) == CQ_OK);
        EXPECT(key.family == (addr_len == 4 ? 4 : 6));
        EXPECT(key.prefix == prefix);
        for (unsigned bit = 0; bit < 128; bit++) {
            EXPECT(bit_of(key.bytes, bit)
                   == (bit < prefix ? bit_of(addr, bit) : 0));
        }
        EXPECT(cq_key_is_valid(&key));
        cq_key_format_cidr(&key, text, sizeof(text));
        EXPECT(cq_key_parse(&again, text, NULL) == CQ_OK);
        expect_equal(&again, &key);

        for (unsigned bit = 0; bit < 128; bit++) {
            again = key;
            flip(again.bytes, bit);
            EXPECT(cq_key_is_valid(&again) == (bit < prefix));
            EXPECT(cq_key_compare(&again, &key) != 0);
            /* a whole address differing there: inside only if behind */
            if (bit < bits) {
                again.prefix = (uint8_t)bits;
                EXPECT(cq_key_contains(&key, &again) == (bit >= prefix));
            }
        }
    }
}

START_TEST(every_prefix_length)
{
    static const uint8_t ones[16] = {
        255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255
    };
    static const uint8_t pattern[16] = {
        0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15,
        0xf3, 0x9c, 0xc0, 0x60, 0x5c, 0xed, 0xc8, 0x34
    };

    cut_everywhere(ones, 4);
    cut_everywhere(ones, 16);
    cut_everywhere(pattern, 4);
    cut_everywhere(pattern, 16);
}
END_TEST

START_TEST(make_refuses)
{
    static const uint8_t addr[20];
    struct cq_key key;
    struct cq_key before;

    memset(&key, 0xa5, sizeof(key));
    before = key;
    for (size_t len = 0; len <= sizeof(addr); len++) {
        if (len != 4 && len != 16) {
            ck_assert_int_eq(cq_key_make(&key, addr, len, whole), CQ_EINVAL);
        }
    }
    /* both are checked, whichever the address needs */
    for (unsigned bits = 0; bits <= 255; bits++) {
        struct cq_prefixes v4 = { (uint8_t)bits, 64 };
        struct cq_prefixes v6 = { 32, (uint8_t)bits };
        struct cq_key made;

        ck_assert_int_eq(cq_key_make(bits > 32 ? &key : &made, addr, 4, v4),
                         bits > 32 ? CQ_EINVAL : CQ_OK);
        ck_assert_int_eq(cq_key_make(bits > 32 ? &key : &made, addr, 16, v4),
                         bits > 32 ? CQ_EINVAL : CQ_OK);
        ck_assert_int_eq(cq_key_make(bits > 128 ? &key : &made, addr, 4, v6),
                         bits > 128 ? CQ_EINVAL : CQ_OK);
        ck_assert_int_eq(cq_key_make(bits > 128 ? &key : &made, addr, 16, v6),
                         bits > 128 ? CQ_EINVAL : CQ_OK);
    }
    ck_assert_mem_eq(&key, &before, sizeof(key));
}
END_TEST

START_TEST(valid_refuses)
{
    struct cq_key key = { .family = 4, .prefix = 32 };
    struct cq_key mapped = {
        .bytes = { [10] = 0xff, [11] = 0xff }, .family = 6, .prefix = 96
    };
    struct cq_key translated = {
        .bytes = { 0, 0x64, 0xff, 0x9b }, .family = 6
    };

    ck_assert(cq_key_is_valid(&key));
    key.prefix = 33;
    ck_assert(!cq_key_is_valid(&key));
    for (unsigned family = 0; family <= 255; family++) {
        key.family = (uint8_t)family;
        key.prefix = 0;
        ck_assert_int_eq(cq_key_is_valid(&key), family == 4 || family == 6);
        key.prefix = 129;
        ck_assert(!cq_key_is_valid(&key));
        key.prefix = 255;
        ck_assert(!cq_key_is_valid(&key));
    }
    /* behind the four bytes of an IPv4 key everything is zero */
    key = key_of("192.0.2.7");
    key.bytes[15] = 1;
    ck_assert(!cq_key_is_valid(&key));
    /* what would be IPv4 had it come in by a constructor */
    ck_assert(!cq_key_is_valid(&mapped));
    mapped.prefix = 128;
    ck_assert(!cq_key_is_valid(&mapped));
    for (unsigned bits = 96; bits <= 128; bits++) {
        translated.prefix = (uint8_t)bits;
        ck_assert(!cq_key_is_valid(&translated));
    }
    translated.prefix = 95;
    ck_assert(cq_key_is_valid(&translated));
}
END_TEST

START_TEST(contains)
{
    static const struct {
        const char *net;
        const char *key;
        bool inside;
    } cases[] = {
        { "10.0.0.0/8", "10.255.255.255", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "10.0.0.0/8", "9.255.255.255", false },
        { "10.0.0.0/8", "10.0.0.0/8", true },
        { "10.0.0.0/8", "10.1.0.0/16", true },
        { "10.1.0.0/16", "10.0.0.0/8", false },
        { "10.0.0.0/9", "10.0.0.0/8", false },
        { "0.0.0.0/0", "255.255.255.255", true },
        { "0.0.0.0/0", "::", false },
        { "::/0", "0.0.0.0", false },
        { "::/0", "ffff::", true },
        { "::/0", "::/0", true },
        { "2001:db8::/33", "2001:db8:7fff::/64", true },
        { "2001:db8::/33", "2001:db8:8000::/64", false },
        { "192.0.2.7", "192.0.2.7", true },
        { "192.0.2.7", "192.0.2.6", false },
        { "10.0.0.0/8", "::ffff:10.1.2.3", true },
        { "::ffff:10.0.0.0/104", "10.1.2.3", true },
    };
    struct cq_key broken = { .family = 6, .prefix = 200 };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct cq_key net = key_of(cases[i].net);
        struct cq_key key = key_of(cases[i].key);

        ck_assert_msg(cq_key_contains(&net, &key) == cases[i].inside,
                      "%s in %s", cases[i].key, cases[i].net);
    }
    /* a damaged prefix is no reason to read past the key */
    ck_assert(!cq_key_contains(&broken, &broken));
    broken.family = 9;
    broken.prefix = 1;
    ck_assert(!cq_key_contains(&broken, &broken));
}
END_TEST

START_TEST(order)
{
    /* ascending: family, then bytes, then prefix */
    static const char *const sorted[] = {
        "0.0.0.0/0", "0.0.0.0/32", "9.255.0.0/16", "10.0.0.0/8",
        "10.0.0.0/9", "10.0.0.0/32", "10.0.0.1", "128.0.0.0/1",
        "255.255.255.255", "::/0", "::/128", "::1", "2001:db8::/32",
        "2001:db8::/64", "8000::/1", "ffff::"
    };

    for (size_t i = 0; i < COUNT(sorted); i++) {
        for (size_t j = 0; j < COUNT(sorted); j++) {
            struct cq_key a = key_of(sorted[i]);
            struct cq_key b = key_of(sorted[j]);
            int found = cq_key_compare(&a, &b);

            ck_assert_int_eq((found > 0) - (found < 0), (i > j) - (i < j));
        }
    }
}
END_TEST

START_TEST(format_keeps_to_its_buffer)
{
    struct cq_key key = key_of("192.0.2.7");
    struct cq_key none = { .family = 0, .prefix = 7 };
    struct cq_key longest = key_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
    char text[CQ_KEY_TEXT_SIZE];

    for (size_t size = 0; size <= 13; size++) {
        memset(text, '#', sizeof(text));
        ck_assert_ptr_eq(cq_key_format_cidr(&key, text, size), text);
        for (size_t i = size; i < sizeof(text); i++) {
            ck_assert_int_eq(text[i], '#');
        }
        if (size > 0) {
            ck_assert_uint_eq(strlen(text), size - 1 < 12 ? size - 1 : 12);
            ck_assert_int_eq(strncmp(text, "192.0.2.7/32", size - 1), 0);
        }
        memset(text, '#', sizeof(text));
        ck_assert_ptr_eq(cq_key_format(&key, text, size), text);
        ck_assert_int_eq(text[size], '#');
    }
    ck_assert_str_eq(cq_key_format_cidr(&longest, text, sizeof(text)),
                     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/128");
    ck_assert_str_eq(cq_key_format(&none, text, sizeof(text)), "?");
    ck_assert_str_eq(cq_key_format_cidr(&none, text, sizeof(text)), "?/7");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/key");
    TCase *text = tcase_create("text");
    TCase *bits = tcase_create("bits");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, text);
    tcase_add_test(text, reads);
    tcase_add_test(text, refuses);
    tcase_add_test(text, format_keeps_to_its_buffer);
    suite_add_tcase(suite, bits);
    tcase_add_test(bits, every_prefix_length);
    tcase_add_test(bits, make_refuses);
    tcase_add_test(bits, valid_refuses);
    tcase_add_test(bits, contains);
    tcase_add_test(bits, order);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
