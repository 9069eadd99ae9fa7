/* input - a fuzzer's bytes, taken one after the other; zeros behind their end.
 *
 * Each t/fuzz/NAME.c is one target: LLVMFuzzerTestOneInput() must return for
 * any bytes, and aborts where something does not hold. It is built twice: by
 * gcc with replay/replay.c, which the suite runs over t/fuzz/corpus/NAME, and
 * by clang with libFuzzer (./build.sh fuzz). */
#ifndef CQ_FUZZ_INPUT_H
#define CQ_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../bench/plain_assert.h"

#define HOLDS(x) plain_assert((x), #x)

struct input {
    const uint8_t *at;
    size_t size;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to 8 bytes, little endian. */
static inline uint64_t take(struct input *in, size_t bytes)
{
    uint64_t n = 0;
    size_t i;

    for (i = 0; i < bytes && in->size > 0; i++, in->at++, in->size--) {
        n |= (uint64_t)*in->at << (8 * i);
    }
    return n;
}

/* The rest as a string, to be freed: its size is exact, so that the sanitizer
 * sees a read behind the NUL. */
static inline char *take_text(struct input *in)
{
    char *text = malloc(in->size + 1);

    HOLDS(text != NULL);
    memcpy(text, in->at, in->size);
    text[in->size] = '\0';
    in->at += in->size;
    in->size = 0;
    return text;
}

/* Makes memory what it was, and writes only to pages that differ: an input
 * changes a few of many. */
static inline void put_back(void *now, const void *was, size_t size)
{
    size_t at, n;

    for (at = 0; at < size; at += n) {
        n = size - at < 4096 ? size - at : 4096;
        if (memcmp((char *)now + at, (const char *)was + at, n) != 0) {
            memcpy((char *)now + at, (const char *)was + at, n);
        }
    }
}

#endif
