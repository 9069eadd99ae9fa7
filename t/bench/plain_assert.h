/* plain_assert - what the shared headers of the unit tests assert with, for
 * programs that are no tests: Check's macros need a running test. */
#ifndef CQ_PLAIN_ASSERT_H
#define CQ_PLAIN_ASSERT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline void plain_assert(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "failed: %s\n", what);
        abort();
    }
}

#define ck_assert(x) plain_assert((x), #x)
#define ck_assert_msg(x, ...) plain_assert((x), #x)
#define ck_assert_int_eq(a, b) plain_assert((a) == (b), #a " == " #b)
#define ck_assert_int_lt(a, b) plain_assert((a) < (b), #a " < " #b)
#define ck_assert_uint_ge(a, b) plain_assert((a) >= (b), #a " >= " #b)
#define ck_assert_uint_gt(a, b) plain_assert((a) > (b), #a " > " #b)
#define ck_assert_int_ge(a, b) plain_assert((a) >= (b), #a " >= " #b)
#define ck_assert_ptr_nonnull(a) plain_assert((a) != NULL, #a)

#endif
