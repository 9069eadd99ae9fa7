/* refusal - written once, from left to right. */
#include "render/refusal.h"

#include "core/key.h"
#include "core/units.h"

#include <string.h>

/* The parts of the text and their longest forms; the sum is checked below. */
#define USED " has used "
#define OPEN " ("
#define OF " bytes) of "
#define ALLOWED " bytes) allowed by now.\n"
#define OF_FILE " bytes) a day for\n"
#define UNTIL "Refused until "
#define ZONE " UTC"
#define TRY_AGAIN "; try again in "
#define CHECKS "; programs retry in "
#define BUSY "Downloads in progress may use up the rest"
#define SECONDS " s.\n"
#define INSTEAD "Instead: use freshclam with ScriptedUpdates yes, share a " \
                "private mirror, or\nask "
#define OPERATOR "the operator"
#define EXCEPTION " for an exception.\n"
#define LINK "Your figures: "

#define NAME_LENGTH 34          /* of a file; a longer one is cut */
#define BYTES_DIGITS 15         /* CQ_BYTES_MAX */
#define BYTES_WORDS (CQ_SIZE_TEXT_SIZE - 1)
#define SECONDS_DIGITS 8        /* CQ_DURATION_MAX_MS / 1000 */
#define MOMENT_LENGTH 16        /* 2026-11-24 00:00 */
#define MOMENT_MAX_S INT64_C(253402300799)      /* the end of year 9999 */

#define LENGTH(literal) (sizeof(literal) - 1)

_Static_assert(CQ_KEY_TEXT_SIZE - 1 + LENGTH(USED)
               + 2 * (BYTES_WORDS + LENGTH(OPEN) + BYTES_DIGITS)
               + LENGTH(OF) + LENGTH(OF_FILE) + NAME_LENGTH + LENGTH(".\n")
               + LENGTH(UNTIL) + MOMENT_LENGTH + LENGTH(ZONE)
               + LENGTH(CHECKS) + SECONDS_DIGITS + LENGTH(SECONDS)
               + LENGTH(INSTEAD) + LENGTH(OPERATOR) + LENGTH(EXCEPTION)
               < CQ_REFUSAL_SIZE, "without admin and link it always fits");
_Static_assert(LENGTH(ALLOWED) <= LENGTH(OF_FILE) + NAME_LENGTH
               && LENGTH(BUSY) + LENGTH(TRY_AGAIN)
               < LENGTH(UNTIL) + MOMENT_LENGTH + LENGTH(ZONE) + LENGTH(INSTEAD),
               "so do these");

#define PUT(at, literal) append((at), (literal), LENGTH(literal))

static inline char *append(char *at, const char *text, size_t length)
{
    memcpy(at, text, length);
    return at + length;
}

/* n, cut to 0..max */
static char *put_number(char *at, int64_t n, int64_t max)
{
    char digits[20];
    size_t first = sizeof(digits);
    uint64_t rest = n < 0 ? 0 : n > max ? (uint64_t)max : (uint64_t)n;

    do {
        digits[--first] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    return append(at, digits + first, sizeof(digits) - first);
}

static char *put_two(char *at, unsigned n)
{
    *at++ = (char)('0' + n / 10 % 10);
    *at++ = (char)('0' + n % 10);
    return at;
}

/* "2026-11-24 00:00". The calendar repeats every 400 years, which are 146097
 * days; counting from March puts the leap day at the end of a year. */
static char *put_moment(char *at, int64_t when_s)
{
    uint64_t when = when_s < 0 ? 0
        : (uint64_t)(when_s > MOMENT_MAX_S ? MOMENT_MAX_S : when_s);
    unsigned minute = (unsigned)(when / 60 % (24 * 60));
    unsigned days = (unsigned)(when / 86400) + 719468;  /* since 0000-03-01 */
    unsigned era_day = days % 146097;
    unsigned era_year = (era_day - era_day / 1460 + era_day / 36524
                         - era_day / 146096) / 365;
    unsigned day = era_day
        - (365 * era_year + era_year / 4 - era_year / 100);
    unsigned month = (5 * day + 2) / 153;       /* 0: March */
    unsigned year = days / 146097 * 400 + era_year + (month >= 10);

    day -= (153 * month + 2) / 5;
    at = put_two(put_two(at, year / 100), year);
    *at++ = '-';
    at = put_two(at, month < 10 ? month + 3 : month - 9);
    *at++ = '-';
    at = put_two(at, day + 1);
    *at++ = ' ';
    at = put_two(at, minute / 60);
    *at++ = ':';
    return put_two(at, minute % 60);
}

/* "1.1 MiB (1187840" */
static char *put_bytes(char *at, int64_t bytes)
{
    bytes = bytes < 0 ? 0 : bytes > CQ_BYTES_MAX ? CQ_BYTES_MAX : bytes;
    cq_size_format_human(bytes, at, CQ_SIZE_TEXT_SIZE);
    at = PUT(at + strlen(at), OPEN);
    return put_number(at, bytes, CQ_BYTES_MAX);
}

/* Host is whatever the client says: only what a name, an address or [an
 * address] consists of may stand in the link. */
static bool is_host(const char *host)
{
    return host != NULL && *host != '\0'
        && strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789.-_:[]") == strlen(host);
}

/* The link, or less of it, or none.
 * @param end  one past the last character that may be written */
static char *put_link(char *at, const char *end,
                      const struct cq_refusal *refusal)
{
    size_t room = (size_t)(end - at);
    size_t length, origin;

    if (refusal->path == NULL) {
        return at;
    }
    length = LENGTH(LINK) + strlen(refusal->path) + 1;
    if (length > room) {
        return at;
    }
    at = PUT(at, LINK);
    if (refusal->scheme != NULL && is_host(refusal->host)) {
        /* "://", ":65535" */
        origin = strlen(refusal->scheme) + 3 + strlen(refusal->host) + 6;
        if (length + origin <= room) {
            at = append(at, refusal->scheme, strlen(refusal->scheme));
            at = PUT(at, "://");
            at = append(at, refusal->host, strlen(refusal->host));
            if (refusal->port != 0) {
                *at++ = ':';
                at = put_number(at, refusal->port, 65535);
            }
        }
    }
    at = append(at, refusal->path, strlen(refusal->path));
    *at++ = '\n';
    return at;
}

/* Text of others: what is no printable ASCII shows as '?'. */
static char *put_foreign(char *at, const char *text, size_t most)
{
    for (; *text != '\0' && most > 0; text++, most--) {
        *at++ = (char)(*text > ' ' && *text < 0x7f ? *text : '?');
    }
    return at;
}

static char *put_what(char *at, const struct cq_refusal *refusal)
{
    const char *slash;

    at = put_foreign(at, refusal->client, CQ_KEY_TEXT_SIZE - 1);
    at = PUT(at, USED);
    at = PUT(put_bytes(at, refusal->used_bytes), OF);
    at = put_bytes(at, refusal->allowance_bytes);
    if (refusal->file == NULL) {
        return PUT(at, ALLOWED);
    }
    slash = strrchr(refusal->file, '/');
    at = put_foreign(PUT(at, OF_FILE), slash != NULL ? slash + 1
                                                     : refusal->file,
                     NAME_LENGTH);
    return PUT(at, ".\n");
}

static char *put_instead(char *at, const char *end, const char *admin)
{
    at = PUT(at, INSTEAD);
    if (admin != NULL
        && strlen(admin) + LENGTH(EXCEPTION) <= (size_t)(end - at)) {
        at = put_foreign(at, admin, strlen(admin));
    }
    else {
        at = PUT(at, OPERATOR);
    }
    return PUT(at, EXCEPTION);
}

size_t cq_refusal_text(const struct cq_refusal *refusal,
                       char text[CQ_REFUSAL_SIZE])
{
    const char *end = text + CQ_REFUSAL_SIZE - 1;
    bool busy = refusal->state == CQ_STATE_BUSY;
    char *at = put_what(text, refusal);

    if (busy) {
        at = PUT(PUT(at, BUSY), TRY_AGAIN);
    }
    else {
        at = PUT(put_moment(PUT(at, UNTIL), refusal->admitted_at_s), ZONE);
        at = PUT(at, CHECKS);   /* Retry-After: capped, so sooner than that */
    }
    at = PUT(put_number(at, refusal->retry_after_s, CQ_DURATION_MAX_MS / 1000),
             SECONDS);
    if (!busy) {
        at = put_instead(at, end, refusal->admin);
    }
    at = put_link(at, end, refusal);
    *at = '\0';
    return (size_t)(at - text);
}

/* Whose limit it is: the pool's, or that of each file in it. */
static char *put_limit_name(char *at, const struct cq_refusal *refusal)
{
    at = PUT(at, "\"");
    at = append(at, refusal->pool, strlen(refusal->pool));
    return refusal->file != NULL ? PUT(at, ":file\"") : PUT(at, "\"");
}

void cq_refusal_fields(const struct cq_refusal *refusal,
                       struct cq_refusal_fields *fields)
{
    char *at = PUT(put_limit_name(fields->policy, refusal), ";q=");

    at = put_number(at, refusal->allowance_bytes, INT64_MAX);
    at = PUT(at, ";qu=\"content-bytes\";w=");
    *put_number(at, refusal->window_s, INT64_MAX) = '\0';
    at = PUT(put_limit_name(fields->limit, refusal), ";r=0;t=");
    fields->retry_after = at;
    *put_number(at, refusal->retry_after_s, INT64_MAX) = '\0';
}
