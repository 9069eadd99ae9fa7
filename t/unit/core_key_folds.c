/* core/key: IPv6 addresses that hold an IPv4 address are that address. */
#include "core/key.h"
#include "core/net.h"

#include <check.h>
#include <stdlib.h>

static const struct cq_prefixes whole = { 32, 128 };

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_msg(cq_key_parse(&key, text, NULL) == CQ_OK, "%s", text);
    return key;
}

static void flip(uint8_t *bytes, unsigned bit)
{
    bytes[bit / 8] ^= (uint8_t)(0x80u >> (bit % 8));
}

/* An IPv6 address that holds an IPv4 one in its last four bytes is that one. */
static void expect_folds(uint8_t address[16], bool translated)
{
    ck_assert_int_eq(cq_key_is_translated(address, 16), translated);
    ck_assert(!cq_key_is_translated(address, 4));
    /* only the IPv4 prefix matters to it */
    for (unsigned v4 = 0; v4 <= 32; v4++) {
        for (unsigned v6 = 0; v6 <= 128; v6 += 8) {
            struct cq_prefixes prefixes = { (uint8_t)v4, (uint8_t)v6 };
            struct cq_key plain;
            struct cq_key folded;

            ck_assert_int_eq(cq_key_make(&plain, address + 12, 4, prefixes),
                             CQ_OK);
            ck_assert_int_eq(cq_key_make(&folded, address, 16, prefixes),
                             CQ_OK);
            ck_assert_uint_eq(folded.family, 4);
            ck_assert_mem_eq(&folded, &plain, sizeof(plain));
        }
    }
    /* one bit off is none of these */
    for (unsigned bit = 0; bit < 96; bit++) {
        struct cq_key key;

        flip(address, bit);
        ck_assert(!cq_key_is_translated(address, 16));
        ck_assert_int_eq(cq_key_make(&key, address, 16, whole), CQ_OK);
        ck_assert_uint_eq(key.family, 6);
        ck_assert_mem_eq(key.bytes, address, 16);
        flip(address, bit);
    }
}

START_TEST(mapped)
{
    uint8_t address[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 7 };

    expect_folds(address, false);
}
END_TEST

START_TEST(translated)
{
    uint8_t address[16] = { 0, 0x64, 0xff, 0x9b, [12] = 192, 0, 2, 7 };

    expect_folds(address, true);
}
END_TEST

/* What lies around 64:ff9b::/96 is IPv6, also if its other bits are 0. */
START_TEST(around_translated)
{
    uint8_t address[16] = { 0, 0x64, 0xff, 0x9b, [9] = 1 };
    struct cq_prefixes by_64 = { 32, 64 };
    struct cq_net_list list = { .rules = NULL };
    struct cq_key key, all = key_of("::/0");
    struct cq_key none = key_of("0.0.0.0/0");

    ck_assert_int_eq(cq_key_make(&key, address, 16, by_64), CQ_OK);
    ck_assert(cq_key_is_valid(&key));
    ck_assert_uint_eq(key.family, 6);
    ck_assert_int_eq(cq_net_add(&list, &all, 6), CQ_OK);
    ck_assert_int_eq(cq_net_add(&list, &none, 4), CQ_OK);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert_int_eq((int)cq_net_find(&list, &key)->value, 6);
    cq_net_free(&list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/key folds");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_test(all, mapped);
    tcase_add_test(all, translated);
    tcase_add_test(all, around_translated);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
