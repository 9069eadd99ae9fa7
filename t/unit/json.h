/* json - reads JSON (RFC 8259) as a test: whatever is none ends it. Included
 * behind what asserts, check.h or plain_assert.h. */
#ifndef CQ_UNIT_JSON_H
#define CQ_UNIT_JSON_H

#include <string.h>

static inline const char *json_value(const char *at, int depth);

static inline const char *blanks(const char *at)
{
    return at + strspn(at, " \n\r\t");
}

static inline const char *json_string(const char *at)
{
    ck_assert_int_eq(*at++, '"');
    while (*at != '"') {
        ck_assert_uint_ge((unsigned char)*at, 0x20);
        if (*at == '\\') {
            at++;
            ck_assert_ptr_nonnull(strchr("\"\\/bfnrtu", *at));
            if (*at == 'u') {
                ck_assert_uint_ge(strspn(at + 1, "0123456789abcdefABCDEF"),
                                  4);
                at += 4;
            }
        }
        at++;
    }
    return at + 1;
}

/* after [ or {: members up to the closing character */
static inline const char *json_members(const char *at, char close, int depth)
{
    at = blanks(at);
    if (*at == close) {
        return at + 1;
    }
    for (;;) {
        if (close == '}') {
            at = blanks(json_string(at));
            ck_assert_int_eq(*at++, ':');
        }
        at = blanks(json_value(blanks(at), depth + 1));
        if (*at == close) {
            return at + 1;
        }
        ck_assert_int_eq(*at++, ',');
        at = blanks(at);
    }
}

static inline const char *json_value(const char *at, int depth)
{
    size_t digits;

    ck_assert_int_lt(depth, 8);
    if (*at == '{' || *at == '[') {
        return json_members(at + 1, *at == '{' ? '}' : ']', depth);
    }
    if (*at == '"') {
        return json_string(at);
    }
    if (strncmp(at, "null", 4) == 0 || strncmp(at, "true", 4) == 0) {
        return at + 4;
    }
    if (strncmp(at, "false", 5) == 0) {
        return at + 5;
    }
    at += *at == '-';
    digits = strspn(at, "0123456789");
    ck_assert_uint_gt(digits, 0);
    ck_assert(*at != '0' || digits == 1);
    return at + digits;
}

#endif
