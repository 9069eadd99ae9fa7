/* core/units: each malformed form, the limits to the byte, and that what is
 * written reads back to the same number. */
#include "core/units.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define K INT64_C(1024)
#define M (1024 * K)
#define G (1024 * M)
#define T (1024 * G)

/* what a result holds before: must survive a failure */
#define UNTOUCHED INT64_C(-7777)

struct reading {
    const char *text;
    enum cq_status status;
    int64_t number;
};

static void read_all(enum cq_status (*parse)(const char *, int64_t *),
                     const struct reading *readings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t number = UNTOUCHED;
        enum cq_status status = parse(readings[i].text, &number);
        int64_t expected = readings[i].status == CQ_OK ? readings[i].number
                                                       : UNTOUCHED;

        ck_assert_msg(status == readings[i].status && number == expected,
                      "\"%s\": %s, %lld", readings[i].text,
                      cq_status_word(status), (long long)number);
    }
}

START_TEST(sizes)
{
    static const struct reading good[] = {
        { "0", CQ_OK, 0 }, { "1", CQ_OK, 1 }, { "52428800", CQ_OK, 50 * M },
        { "400k", CQ_OK, 400 * K }, { "400K", CQ_OK, 400 * K },
        { "50M", CQ_OK, 50 * M }, { "50m", CQ_OK, 50 * M },
        { "3g", CQ_OK, 3 * G }, { "3G", CQ_OK, 3 * G },
        { "1T", CQ_OK, T }, { "1t", CQ_OK, T },
        { "0k", CQ_OK, 0 }, { "0T", CQ_OK, 0 }, { "0.0M", CQ_OK, 0 },
        { "1.5G", CQ_OK, G + G / 2 }, { "0.5k", CQ_OK, 512 },
        { "1.0k", CQ_OK, K }, { "1.000000000k", CQ_OK, K },
        { "2.25M", CQ_OK, 2 * M + M / 4 },
        /* decimal, also with zeros in front */
        { "010", CQ_OK, 10 }, { "0000000000000000000000007k", CQ_OK, 7 * K },
        { "08", CQ_OK, 8 }, { "00.5k", CQ_OK, 512 },
        /* cut down to whole bytes, never rounded up */
        { "0.001k", CQ_OK, 1 }, { "0.0009k", CQ_OK, 0 },
        { "0.999999999k", CQ_OK, 1023 }, { "1.999999999k", CQ_OK, 2047 },
        { "0.1k", CQ_OK, 102 }, { "0.3M", CQ_OK, 314572 },
        { "0.000000001G", CQ_OK, 1 }, { "0.000000001M", CQ_OK, 0 },
        { "0.000000001T", CQ_OK, 1099 },
        { "0.999999999T", CQ_OK, 1099511626676 },
        { "0.333333333T", CQ_OK, 366503875558 },
        { "3.999999999T", CQ_OK, 3 * T + 1099511626676 },
        /* the largest, in every unit */
        { "4T", CQ_OK, 4 * T }, { "4096G", CQ_OK, 4 * T },
        { "4194304M", CQ_OK, 4 * T }, { "4294967296k", CQ_OK, 4 * T },
        { "4398046511104", CQ_OK, 4 * T }, { "4.000000000T", CQ_OK, 4 * T },
        { "4398046511103", CQ_OK, 4 * T - 1 },
        { "4294967296.0009k", CQ_OK, 4 * T },
    };

    ck_assert(CQ_SIZE_MAX_BYTES == 4 * T);
    read_all(cq_size_parse, good, COUNT(good));
}
END_TEST

START_TEST(sizes_too_large)
{
    static const struct reading large[] = {
        { "4398046511105", CQ_ERANGE, 0 }, { "4294967297k", CQ_ERANGE, 0 },
        { "4294967296.001k", CQ_ERANGE, 0 }, { "4194305M", CQ_ERANGE, 0 },
        { "4097G", CQ_ERANGE, 0 }, { "5T", CQ_ERANGE, 0 },
        { "4.000000001T", CQ_ERANGE, 0 }, { "4096.000000001G", CQ_ERANGE, 0 },
        { "10T", CQ_ERANGE, 0 }, { "16777216T", CQ_ERANGE, 0 },
        /* around 2^63 and 2^64 and far beyond, plain and multiplied */
        { "9223372036854775807", CQ_ERANGE, 0 },
        { "9223372036854775808", CQ_ERANGE, 0 },
        { "18446744073709551615", CQ_ERANGE, 0 },
        { "18446744073709551616", CQ_ERANGE, 0 },
        { "18446744073709551617", CQ_ERANGE, 0 },
        { "9007199254740992k", CQ_ERANGE, 0 },
        { "18014398509481984k", CQ_ERANGE, 0 },
        { "17592186044416M", CQ_ERANGE, 0 },
        { "17179869184G", CQ_ERANGE, 0 },
        { "8388608T", CQ_ERANGE, 0 },
        { "99999999999999999999999999999999999999999999", CQ_ERANGE, 0 },
        { "99999999999999999999999999999999999999999999.5T", CQ_ERANGE, 0 },
    };

    read_all(cq_size_parse, large, COUNT(large));
}
END_TEST

START_TEST(sizes_malformed)
{
    static const char *const bad[] = {
        "", " ", "\t", "k", "M", ".", ".M", ".5", ".5G", "-", "+",
        /* blanks */
        " 50M", "50M ", "50 M", "50\tM", "50M\n", "\n50M", "1 .5G", "1. 5G",
        "1.5 G", "5 0M",
        /* signs */
        "-1", "-0", "+1", "-50M", "+50M", "1.-5G", "1.+5G", "--1",
        /* points and commas */
        "1.", "1.M", "1.G", "1..5G", "1.5.5G", "1.5G.", "50M.", "1,5G",
        "1,000", "50.M", "1_000",
        /* a fraction of bytes */
        "1.5", "1.0", "0.0", "52428800.0",
        /* more than nine digits behind the point */
        "1.0000000000G", "1.5000000000G", "0.1234567891T",
        /* letters */
        "50MB", "50Mb", "50MiB", "50Mi", "50B", "1.5B", "50kk", "50kM", "M50",
        "50P", "50E", "50x", "5k0", "1.5k5", "50Ms", "1.5e3", "1e3", "1e3M",
        /* other bases and words */
        "0x10", "0X10", "0x1p3", "10h", "ffff", "0b1", "inf", "nan",
        "Unlimited", "None", "Off", "$1", "50%", "1/2",
        /* malformed goes before too large */
        "99999999999999999999999999x", "5T ", "99999999999999999999.5",
        "4097GB", "-99999999999999999999999"
    };

    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t bytes = UNTOUCHED;

        ck_assert_msg(cq_size_parse(bad[i], &bytes) == CQ_EINVAL,
                      "\"%s\"", bad[i]);
        ck_assert_int_eq(bytes, UNTOUCHED);
    }
}
END_TEST

/* Every single byte in front of, inside of and behind a size. */
START_TEST(sizes_with_any_byte)
{
    for (int c = 1; c < 256; c++) {
        char text[4] = { (char)c, '7', 'M', '\0' };
        int64_t bytes;
        bool digit = c >= '0' && c <= '9';
        bool unit = c != 0 && strchr("kKmMgGtT", c) != NULL;
        enum cq_status number = digit ? CQ_OK : CQ_EINVAL;

        ck_assert_int_eq(cq_size_parse(text, &bytes), number);
        text[0] = '7';
        text[1] = (char)c;
        ck_assert_int_eq(cq_size_parse(text, &bytes), number);
        text[2] = '\0';
        ck_assert_int_eq(cq_size_parse(text, &bytes),
                         c == 't' || c == 'T' ? CQ_ERANGE
                         : digit || unit ? CQ_OK : CQ_EINVAL);
    }
}
END_TEST

#define MAX_S (INT64_C(366) * 86400)

START_TEST(durations)
{
    static const struct reading both[] = {
        { "0", CQ_OK, 0 }, { "0s", CQ_OK, 0 }, { "0d", CQ_OK, 0 },
        { "1", CQ_OK, 1 }, { "90", CQ_OK, 90 }, { "90s", CQ_OK, 90 },
        { "15m", CQ_OK, 900 }, { "6h", CQ_OK, 21600 }, { "1d", CQ_OK, 86400 },
        { "007m", CQ_OK, 420 },
        { "366d", CQ_OK, MAX_S }, { "8784h", CQ_OK, MAX_S },
        { "527040m", CQ_OK, MAX_S }, { "31622400s", CQ_OK, MAX_S },
        { "31622400", CQ_OK, MAX_S },
        { "367d", CQ_ERANGE, 0 }, { "8785h", CQ_ERANGE, 0 },
        { "527041m", CQ_ERANGE, 0 }, { "31622401s", CQ_ERANGE, 0 },
        { "31622401", CQ_ERANGE, 0 },
        { "9223372036854775807", CQ_ERANGE, 0 },
        { "9223372036854775808d", CQ_ERANGE, 0 },
        { "18446744073709551616s", CQ_ERANGE, 0 },
        { "106751991168d", CQ_ERANGE, 0 },
        { "9999999999999999999999999999999h", CQ_ERANGE, 0 },
        { "", CQ_EINVAL, 0 }, { " ", CQ_EINVAL, 0 }, { "s", CQ_EINVAL, 0 },
        { "ms", CQ_EINVAL, 0 }, { "-1", CQ_EINVAL, 0 },
        { "+1", CQ_EINVAL, 0 }, { "-5m", CQ_EINVAL, 0 },
        { " 5m", CQ_EINVAL, 0 }, { "5m ", CQ_EINVAL, 0 },
        { "5 m", CQ_EINVAL, 0 }, { "5m\n", CQ_EINVAL, 0 },
        { "1.5h", CQ_EINVAL, 0 }, { "1.h", CQ_EINVAL, 0 },
        { ".5h", CQ_EINVAL, 0 }, { "1,5h", CQ_EINVAL, 0 },
        { "1h30m", CQ_EINVAL, 0 }, { "1:30", CQ_EINVAL, 0 },
        { "5min", CQ_EINVAL, 0 }, { "5sec", CQ_EINVAL, 0 },
        { "5S", CQ_EINVAL, 0 }, { "5M", CQ_EINVAL, 0 },
        { "5H", CQ_EINVAL, 0 }, { "5D", CQ_EINVAL, 0 },
        { "5W", CQ_EINVAL, 0 }, { "5y", CQ_EINVAL, 0 },
        { "5us", CQ_EINVAL, 0 }, { "5ss", CQ_EINVAL, 0 },
        { "5sm", CQ_EINVAL, 0 }, { "5mss", CQ_EINVAL, 0 },
        { "5m s", CQ_EINVAL, 0 }, { "0x5", CQ_EINVAL, 0 },
        { "1e3", CQ_EINVAL, 0 }, { "Off", CQ_EINVAL, 0 },
        { "99999999999999999999999999x", CQ_EINVAL, 0 },
    };

    read_all(cq_duration_parse_s, both, COUNT(both));
    for (size_t i = 0; i < COUNT(both); i++) {
        struct reading in_ms = both[i];

        in_ms.number *= 1000;
        read_all(cq_duration_parse_ms, &in_ms, 1);
    }
}
END_TEST

START_TEST(milliseconds)
{
    static const struct reading ms[] = {
        { "500ms", CQ_OK, 500 }, { "0ms", CQ_OK, 0 }, { "1ms", CQ_OK, 1 },
        { "1500ms", CQ_OK, 1500 },
        { "31622400000ms", CQ_OK, MAX_S * 1000 },
        { "31622400001ms", CQ_ERANGE, 0 },
        { "99999999999999999999999ms", CQ_ERANGE, 0 },
        { "5MS", CQ_EINVAL, 0 }, { "5Ms", CQ_EINVAL, 0 },
        { "5 ms", CQ_EINVAL, 0 }, { "0.5ms", CQ_EINVAL, 0 },
    };

    read_all(cq_duration_parse_ms, ms, COUNT(ms));
    for (size_t i = 0; i < COUNT(ms); i++) {
        int64_t seconds = UNTOUCHED;

        ck_assert_int_eq(cq_duration_parse_s(ms[i].text, &seconds),
                         CQ_EINVAL);
        ck_assert_int_eq(seconds, UNTOUCHED);
    }
}
END_TEST

START_TEST(exact_text)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {
        { 0, "0" }, { 1, "1" }, { 999, "999" }, { 1000, "1000" },
        { 1023, "1023" }, { 1024, "1k" }, { 1025, "1025" }, { 2048, "2k" },
        { 1536, "1536" },       /* no longer than 1.5k */
        { 3 * M / 2, "1.5M" }, { 10752, "10752" }, { 102400, "100k" },
        { 50 * M, "50M" }, { 50 * M + 1, "52428801" },
        { 50 * M - 1, "52428799" }, { G + G / 2, "1.5G" },
        { 1153433, "1.1M" },    /* as 1.1M is cut down */
        { 1153434, "1153434" }, { 1101004, "1.05M" },
        { 1074815565, "1.001G" }, { 100 * K, "100k" }, { 1000 * K, "1000k" },
        { 1000 * M, "1000M" }, { T, "1T" }, { T / 2, "512G" },
        { T + 1099, "1.000000001T" }, { T / 4 * 5, "1280G" },
        { 4 * T, "4T" }, { 4 * T - K, "4294967295k" },
        { 4 * T - 1, "4398046511103" },
        /* larger than a size may be: whole units only */
        { 8 * T, "8T" }, { 8 * T + G, "8193G" }, { 8 * T + 1, "8796093022209" },
        { (INT64_C(1) << 48) - 1, "281474976710655" },
        { INT64_MAX, "9223372036854775807" },
        { -1, "-1" }, { -1024, "-1k" }, { -50 * M, "-50M" },
        { INT64_MIN, "-8388608T" }, { INT64_MIN + 1, "-9223372036854775807" },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[CQ_SIZE_TEXT_SIZE];

        ck_assert_ptr_eq(cq_size_format_exact(cases[i].bytes, text,
                                              sizeof(text)), text);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

static void expect_round_trip(int64_t bytes)
{
    char text[CQ_SIZE_TEXT_SIZE];
    char plain[CQ_SIZE_TEXT_SIZE];
    int64_t again = UNTOUCHED;

    cq_size_format_exact(bytes, text, sizeof(text));
    snprintf(plain, sizeof(plain), "%lld", (long long)bytes);
    ck_assert_msg(cq_size_parse(text, &again) == CQ_OK && again == bytes,
                  "%lld -> %s -> %lld", (long long)bytes, text,
                  (long long)again);
    ck_assert_uint_le(strlen(text), strlen(plain));
}

START_TEST(exact_reads_back)
{
    uint64_t state = 50;

    for (int64_t bytes = 0; bytes < 20000; bytes++) {
        expect_round_trip(bytes);
        expect_round_trip(CQ_SIZE_MAX_BYTES - bytes);
    }
    for (unsigned shift = 10; shift <= 42; shift++) {
        for (int64_t off = -3; off <= 3; off++) {
            int64_t bytes = (INT64_C(1) << shift) + off;

            expect_round_trip(bytes <= CQ_SIZE_MAX_BYTES ? bytes
                                                         : bytes - 7);
        }
    }
    for (int i = 0; i < 50000; i++) {
        state = state * UINT64_C(6364136223846793005)
                + UINT64_C(1442695040888963407);
        expect_round_trip((int64_t)(state >> 22) >> (i % 40));
    }
}
END_TEST

/* The text of an administrator comes back no longer than it was. */
START_TEST(exact_is_shortest)
{
    static const char units[] = "kMGT";

    for (int tenths = 1; tenths < 4000; tenths++) {
        for (int unit = 0; unit < 4 && (unit < 3 || tenths <= 40); unit++) {
            char written[CQ_SIZE_TEXT_SIZE];
            char text[CQ_SIZE_TEXT_SIZE];
            int64_t bytes;

            snprintf(written, sizeof(written), "%d.%d%c", tenths / 10,
                     tenths % 10, units[unit]);
            ck_assert_int_eq(cq_size_parse(written, &bytes), CQ_OK);
            cq_size_format_exact(bytes, text, sizeof(text));
            ck_assert_uint_le(strlen(text), strlen(written));
            expect_round_trip(bytes);
        }
    }
}
END_TEST

START_TEST(human_text)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {
        { 0, "0 B" }, { 1, "1 B" }, { 999, "999 B" }, { 1000, "1000 B" },
        { 1023, "1023 B" }, { 1024, "1.0 KiB" }, { 1536, "1.5 KiB" },
        { 1075, "1.0 KiB" }, { 1076, "1.1 KiB" },       /* 1075.2 is half */
        { 10240, "10.0 KiB" }, { 1023 * K, "1023.0 KiB" },
        { M - 1, "1.0 MiB" }, { M - 52, "1023.9 KiB" },
        { M - 51, "1.0 MiB" },                          /* no 1024.0 KiB */
        { M, "1.0 MiB" }, { 50 * M, "50.0 MiB" }, { G - 1, "1.0 GiB" },
        { G, "1.0 GiB" }, { G + G / 2, "1.5 GiB" }, { T, "1.0 TiB" },
        { T + T / 5, "1.2 TiB" }, { T - 1, "1.0 TiB" },
        { 1023 * T, "1023.0 TiB" }, { 1024 * T, "1.0 PiB" },
        { 1024 * T - 1, "1.0 PiB" }, { 1536 * T, "1.5 PiB" },
        { 1024 * 1024 * T, "1.0 EiB" }, { INT64_MAX, "8.0 EiB" },
        { -1, "-1 B" }, { -1023, "-1023 B" }, { -1536, "-1.5 KiB" },
        { -50 * M, "-50.0 MiB" }, { INT64_MIN, "-8.0 EiB" },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[CQ_SIZE_TEXT_SIZE];

        ck_assert_ptr_eq(cq_size_format_human(cases[i].bytes, text,
                                              sizeof(text)), text);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

START_TEST(text_keeps_to_its_buffer)
{
    for (size_t size = 0; size <= 10; size++) {
        char text[CQ_SIZE_TEXT_SIZE];

        memset(text, '#', sizeof(text));
        cq_size_format_exact(-1234567, text, size);
        ck_assert_int_eq(strncmp(text, "-1234567", size > 8 ? 8
                                 : size > 0 ? size - 1 : 0), 0);
        ck_assert_int_eq(text[size], '#');
        ck_assert(size == 0 || memchr(text, '\0', size) != NULL);

        memset(text, '#', sizeof(text));
        cq_size_format_human(50 * M, text, size);
        ck_assert_int_eq(strncmp(text, "50.0 MiB", size > 8 ? 8
                                 : size > 0 ? size - 1 : 0), 0);
        ck_assert_int_eq(text[size], '#');
        ck_assert(size == 0 || memchr(text, '\0', size) != NULL);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/units");
    TCase *in = tcase_create("read");
    TCase *out = tcase_create("write");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, in);
    tcase_add_test(in, sizes);
    tcase_add_test(in, sizes_too_large);
    tcase_add_test(in, sizes_malformed);
    tcase_add_test(in, sizes_with_any_byte);
    tcase_add_test(in, durations);
    tcase_add_test(in, milliseconds);
    suite_add_tcase(suite, out);
    tcase_add_test(out, exact_text);
    tcase_add_test(out, exact_reads_back);
    tcase_add_test(out, exact_is_shortest);
    tcase_add_test(out, human_text);
    tcase_add_test(out, text_keeps_to_its_buffer);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
