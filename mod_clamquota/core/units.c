/* units - the only reader and writer of sizes and durations.
 *
 * Syntax first, range second: a text that is malformed is never called too
 * large. All arithmetic is on integers; nothing is rounded on the way in. */
#include "core/units.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FRACTION_DIGITS_MAX 9

/* room for any number that is tried, before it is known to be short */
#define NUMBER_SIZE 64

/* log2 of each step: bytes, k, M, G, T */
static const unsigned unit_shifts[] = { 0, 10, 20, 30, 40 };
static const char unit_letters[] = { '\0', 'k', 'M', 'G', 'T' };
#define UNITS_N (sizeof(unit_shifts) / sizeof(unit_shifts[0]))

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits at *text and moves past them.
 * Returns their number; a value above max reads as max + 1. */
static size_t read_digits(const char **text, int64_t max, int64_t *value)
{
    size_t digits = 0;

    *value = 0;
    for (; is_digit(**text); (*text)++) {
        int digit = **text - '0';

        if (*value > (max - digit) / 10) {
            *value = max + 1;
        }
        else {
            *value = *value * 10 + digit;
        }
        digits++;
    }
    return digits;
}

static int64_t power_of_ten(unsigned digits)
{
    int64_t power = 1;

    while (digits-- > 0) {
        power *= 10;
    }
    return power;
}

/* fraction / 10^digits of 2^shift bytes, cut down to whole bytes: a long
 * division in base 2, as 10^9 x 2^40 does not fit in 64 bits. */
static int64_t fraction_bytes(int64_t fraction, unsigned digits,
                              unsigned shift)
{
    int64_t one = power_of_ten(digits);
    int64_t bytes = 0;

    while (shift-- > 0) {
        fraction *= 2;
        bytes *= 2;
        if (fraction >= one) {
            fraction -= one;
            bytes++;
        }
    }
    return bytes;
}

/* Reads the unit's letter at the end of a size.
 * Returns its index, or -1. No letter at all is the unit 0, bytes. */
static int parse_size_unit(const char *text)
{
    static const char lower[] = "kmgt";
    static const char upper[] = "KMGT";

    if (text[0] == '\0') {
        return 0;
    }
    if (text[1] != '\0') {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        if (text[0] == lower[i] || text[0] == upper[i]) {
            return i + 1;
        }
    }
    return -1;
}

enum cq_status cq_size_parse(const char *text, int64_t *bytes)
{
    int64_t whole;
    int64_t fraction = 0;
    size_t digits = 0;
    int unit;
    unsigned shift;

    if (read_digits(&text, CQ_SIZE_MAX_BYTES, &whole) == 0) {
        return CQ_EINVAL;
    }
    if (*text == '.') {
        text++;
        digits = read_digits(&text, INT64_C(999999999), &fraction);
        if (digits == 0 || digits > FRACTION_DIGITS_MAX || *text == '\0') {
            return CQ_EINVAL;
        }
    }
    unit = parse_size_unit(text);
    if (unit < 0) {
        return CQ_EINVAL;
    }
    shift = unit_shifts[unit];
    if (whole > CQ_SIZE_MAX_BYTES >> shift) {
        return CQ_ERANGE;
    }
    whole = (whole << shift)
            + fraction_bytes(fraction, (unsigned)digits, shift);
    if (whole > CQ_SIZE_MAX_BYTES) {
        return CQ_ERANGE;
    }
    *bytes = whole;
    return CQ_OK;
}

/* Milliseconds of a duration's unit; 0 for no unit of ours. */
static int64_t duration_unit_ms(const char *text)
{
    static const struct {
        const char *word;
        int64_t ms;
    } units[] = {
        { "", 1000 },
        { "ms", 1 },
        { "s", 1000 },
        { "m", INT64_C(60) * 1000 },
        { "h", INT64_C(3600) * 1000 },
        { "d", INT64_C(86400) * 1000 },
        { "w", INT64_C(604800) * 1000 }
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text, units[i].word) == 0) {
            return units[i].ms;
        }
    }
    return 0;
}

/* Reads a duration whose unit is at least this long. */
static enum cq_status parse_duration(const char *text, int64_t least_unit_ms,
                                     int64_t *ms)
{
    int64_t number;
    int64_t unit_ms;

    if (read_digits(&text, CQ_DURATION_MAX_MS, &number) == 0) {
        return CQ_EINVAL;
    }
    unit_ms = duration_unit_ms(text);
    if (unit_ms < least_unit_ms) {
        return CQ_EINVAL;
    }
    if (number > CQ_DURATION_MAX_MS / unit_ms) {
        return CQ_ERANGE;
    }
    *ms = number * unit_ms;
    return CQ_OK;
}

enum cq_status cq_duration_parse_ms(const char *text, int64_t *ms)
{
    return parse_duration(text, 1, ms);
}

enum cq_status cq_duration_parse_s(const char *text, int64_t *seconds)
{
    int64_t ms;
    enum cq_status status = parse_duration(text, 1000, &ms);

    if (status == CQ_OK) {
        *seconds = ms / 1000;
    }
    return status;
}

/* Writes a finished number behind its sign. */
static const char *write_signed(bool negative, const char *number, char *text,
                                size_t size)
{
    size_t n = strlen(number);
    size_t at = 0;

    if (size == 0) {
        return text;
    }
    if (negative && size > 1) {
        text[at++] = '-';
    }
    if (n > size - 1 - at) {
        n = size - 1 - at;
    }
    memcpy(text + at, number, n);
    text[at + n] = '\0';
    return text;
}

static uint64_t magnitude(int64_t n)
{
    return n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
}

/* Writes bytes in this unit with as few fraction digits as cq_size_parse()
 * needs to come back to the same number. Returns false when even nine don't
 * do. A fraction is the smallest that is not below the rest, as the reader
 * cuts down. */
static bool format_in_unit(uint64_t bytes, size_t unit, char *number,
                           size_t size)
{
    unsigned shift = unit_shifts[unit];
    uint64_t rest_mask = (UINT64_C(1) << shift) - 1;
    uint64_t rest = bytes & rest_mask;
    int64_t wanted = (int64_t)rest;
    int64_t fraction = 0;
    char letter[2] = { unit_letters[unit], '\0' };

    if (rest == 0) {
        snprintf(number, size, "%llu%s",
                 (unsigned long long)(bytes >> shift), letter);
        return true;
    }
    /* what is too large for the reader has no fraction to try */
    if (bytes > (uint64_t)CQ_SIZE_MAX_BYTES) {
        return false;
    }
    for (unsigned digits = 1; digits <= FRACTION_DIGITS_MAX; digits++) {
        int64_t up;

        rest *= 10;
        fraction = fraction * 10 + (int64_t)(rest >> shift);
        rest &= rest_mask;
        up = fraction + (rest != 0);
        if (up < power_of_ten(digits)
            && fraction_bytes(up, digits, shift) == wanted) {
            snprintf(number, size, "%llu.%0*lld%s",
                     (unsigned long long)(bytes >> shift), (int)digits,
                     (long long)up, letter);
            return true;
        }
    }
    return false;
}

const char *cq_size_format_exact(int64_t bytes, char *text, size_t size)
{
    uint64_t n = magnitude(bytes);
    char best[NUMBER_SIZE];
    char other[NUMBER_SIZE];

    snprintf(best, sizeof(best), "%llu", (unsigned long long)n);
    /* of two equally short ones the smaller unit: 1536 before 1.5k */
    for (size_t unit = 1; n != 0 && unit < UNITS_N; unit++) {
        if (format_in_unit(n, unit, other, sizeof(other))
            && strlen(other) < strlen(best)) {
            memcpy(best, other, sizeof(best));
        }
    }
    return write_signed(bytes < 0, best, text, size);
}

/* Decimal digits without snprintf(): this runs in every refusal.
 * @return where the number ends */
static char *write_digits(uint64_t n, char *at)
{
    char digits[20];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}

const char *cq_size_format_human(int64_t bytes, char *text, size_t size)
{
    static const char *const words[] = {
        "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"
    };
    size_t last = sizeof(words) / sizeof(words[0]) - 1;
    uint64_t n = magnitude(bytes);
    uint64_t tenths = 0;
    char number[NUMBER_SIZE];

    if (n < 1024) {
        memcpy(write_digits(n, number), " B", sizeof(" B"));
        return write_signed(bytes < 0, number, text, size);
    }
    for (size_t i = 0; i <= last; i++) {
        unsigned shift = 10 * ((unsigned)i + 1);
        uint64_t rest = n & ((UINT64_C(1) << shift) - 1);
        uint64_t half = UINT64_C(1) << (shift - 1);

        tenths = (n >> shift) * 10 + ((rest * 10 + half) >> shift);
        /* what rounds up to 1024.0 is 1.0 of the next unit */
        if (tenths < 10240 || i == last) {
            char *at = write_digits(tenths / 10, number);

            *at++ = '.';
            *at++ = (char)('0' + tenths % 10);
            *at++ = ' ';
            memcpy(at, words[i], sizeof("KiB"));
            break;
        }
    }
    return write_signed(bytes < 0, number, text, size);
}
