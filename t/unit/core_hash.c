/* core/hash: SipHash-1-3 against vectors that others compute too, and what
 * the table relies on: every bit of a client counts, nothing else does. */
#include "core/hash.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* bytes 00 01 .. 0f as two little-endian words */
static const struct cq_seed counting_seed = {
    UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)
};

/* Words whose little-endian bytes are 00 01 02 ... */
static void count_up(uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        words[i] = 0;
        for (unsigned byte = 0; byte < 8; byte++) {
            words[i] |= (uint64_t)(8 * i + byte) << (8 * byte);
        }
    }
}

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_int_eq(cq_key_parse(&key, text, NULL), CQ_OK);
    return key;
}

/* Rust's standard library has the same vectors for its SipHasher13: key 00..0f,
 * message 00 01 .. of 0, 8, .. 56 bytes. */
START_TEST(published_vectors)
{
    static const uint64_t expected[] = {
        UINT64_C(0xabac0158050fc4dc), UINT64_C(0x369095118d299a8e),
        UINT64_C(0xcc4fdd1a7d908b66), UINT64_C(0xf464aeb267349c8c),
        UINT64_C(0x81157b6c16a7b60d), UINT64_C(0xc1d2363299e41531),
        UINT64_C(0x9f3143f8df074c46), UINT64_C(0xb4bcc0db243c6d75)
    };
    uint64_t words[8];

    count_up(words, 8);
    for (size_t n = 0; n < 8; n++) {
        ck_assert_uint_eq(cq_hash_words(&counting_seed, words, n),
                          expected[n]);
    }
}
END_TEST

/* PYTHONHASHSEED=0 python3.11 -c 'print(hex(hash(bytes(range(24))) % 2**64))'
 * is SipHash-1-3 under the key zero. */
START_TEST(python_agrees)
{
    struct cq_seed zero = { 0, 0 };
    uint64_t words[3];

    count_up(words, 3);
    ck_assert_uint_eq(cq_hash_words(&zero, words, 1),
                      UINT64_C(0xead411e67ebe2eea));
    ck_assert_uint_eq(cq_hash_words(&zero, words, 2),
                      UINT64_C(0x8972188433a5c5b7));
    ck_assert_uint_eq(cq_hash_words(&zero, words, 3),
                      UINT64_C(0x31185a47af932f3a));
}
END_TEST

/* The length goes into the last word modulo 256 bytes. */
START_TEST(length_counts)
{
    static const uint64_t zeros[64];
    uint64_t seen[65];

    for (size_t n = 0; n <= 64; n++) {
        seen[n] = cq_hash_words(&counting_seed, zeros, n);
        for (size_t m = 0; m < n; m++) {
            ck_assert_uint_ne(seen[n], seen[m]);
        }
    }
}
END_TEST

/* The words, the length, then the text in words, the last one filled up. */
START_TEST(text_is_words)
{
    const uint64_t before[] = { 11, 12 };
    uint64_t words[6] = { 11, 12 };
    char text[17];
    size_t n;

    for (n = 0; n < sizeof(text); n++) {
        text[n] = (char)n;
    }
    for (n = 0; n <= sizeof(text); n++) {
        uint64_t filled[3] = { 0, 0, 0 };

        for (size_t i = 0; i < n; i++) {
            filled[i / 8] |= (uint64_t)i << 8 * (i % 8);
        }
        words[2] = n;
        memcpy(words + 3, filled, sizeof(filled));
        ck_assert_uint_eq(cq_hash_text(&counting_seed, text, n, before, 2),
                          cq_hash_words(&counting_seed, words, 4 + n / 8));
        ck_assert_uint_eq(cq_hash_text(&counting_seed, text, n, NULL, 0),
                          cq_hash_words(&counting_seed, words + 2,
                                        2 + n / 8));
    }
}
END_TEST

START_TEST(key_is_three_words)
{
    struct cq_key v4 = key_of("192.0.2.7");
    struct cq_key v6 = key_of("2001:db8:1:2::/64");
    uint64_t v4_words[3] = {
        UINT64_C(0x12340420), UINT64_C(0x070200c0), 0
    };
    uint64_t v6_words[3] = {
        UINT64_C(0xffff0640), UINT64_C(0x02000100b80d0120), 0
    };
    struct cq_key all = { .family = 6, .prefix = 128 };
    uint64_t all_words[3] = { 0x0680 };

    ck_assert_uint_eq(cq_hash_key(&counting_seed, 0x1234, &v4),
                      cq_hash_words(&counting_seed, v4_words, 3));
    ck_assert_uint_eq(cq_hash_key(&counting_seed, 0xffff, &v6),
                      cq_hash_words(&counting_seed, v6_words, 3));
    for (uint8_t i = 0; i < 16; i++) {
        all.bytes[i] = i;
    }
    count_up(all_words + 1, 2);
    ck_assert_uint_eq(cq_hash_key(&counting_seed, 0, &all),
                      cq_hash_words(&counting_seed, all_words, 3));
}
END_TEST

/* Flipping any one bit of seed, pool or client changes about half of the
 * hash's bits. Nothing here is random, so the limits can be close. */
START_TEST(every_bit_counts)
{
    struct cq_key key = key_of("2001:db8:1:2:3:4:5:6");
    uint64_t before = cq_hash_key(&counting_seed, 7, &key);
    int flipped_bits = 0;
    int flips = 0;

    for (unsigned bit = 0; bit < 128 + 128 + 16 + 2; bit++) {
        struct cq_seed seed = counting_seed;
        struct cq_key other = key;
        uint16_t pool = 7;
        uint64_t changed;
        int here = 0;

        if (bit < 64) {
            seed.k0 ^= UINT64_C(1) << bit;
        }
        else if (bit < 128) {
            seed.k1 ^= UINT64_C(1) << (bit - 64);
        }
        else if (bit < 256) {
            other.bytes[(bit - 128) / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        else if (bit < 272) {
            pool = (uint16_t)(pool ^ 1u << (bit - 256));
        }
        else if (bit == 272) {
            other.prefix = 127;
        }
        else {
            other.family = 4;
        }
        changed = before ^ cq_hash_key(&seed, pool, &other);
        for (; changed != 0; changed &= changed - 1) {
            here++;
        }
        ck_assert_int_ge(here, 12);
        flipped_bits += here;
        flips++;
    }
    ck_assert_int_gt(flipped_bits, 31 * flips);
    ck_assert_int_lt(flipped_bits, 33 * flips);
}
END_TEST

/* A /16 of neighbours spreads over 4096 buckets like throws of a die: 16 in
 * each on average, none empty, none with more than 48, in the low bits and in
 * the high ones. */
START_TEST(neighbours_spread)
{
    static uint8_t low_bits[4096];
    static uint8_t high_bits[4096];
    struct cq_key key = key_of("10.20.0.0");

    for (unsigned i = 0; i < 65536; i++) {
        uint64_t hash;

        key.bytes[2] = (uint8_t)(i >> 8);
        key.bytes[3] = (uint8_t)i;
        hash = cq_hash_key(&counting_seed, 0, &key);
        low_bits[hash & 4095]++;
        high_bits[hash >> 52]++;
    }
    for (size_t i = 0; i < 4096; i++) {
        ck_assert_uint_ge(low_bits[i], 1);
        ck_assert_uint_le(low_bits[i], 48);
        ck_assert_uint_ge(high_bits[i], 1);
        ck_assert_uint_le(high_bits[i], 48);
    }
}
END_TEST

/* A log without a host has a text that is nowhere. (UBSan looks.) */
START_TEST(no_text)
{
    uint64_t word = 7;

    ck_assert_uint_eq(cq_hash_text(&counting_seed, NULL, 0, &word, 1),
                      cq_hash_text(&counting_seed, "", 0, &word, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/hash");
    TCase *sip = tcase_create("siphash");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, sip);
    tcase_add_test(sip, published_vectors);
    tcase_add_test(sip, python_agrees);
    tcase_add_test(sip, no_text);
    tcase_add_test(sip, length_counts);
    tcase_add_test(sip, text_is_words);
    tcase_add_test(sip, key_is_three_words);
    tcase_add_test(sip, every_bit_counts);
    tcase_add_test(sip, neighbours_spread);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
