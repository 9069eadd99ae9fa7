/* value - the values of fields: times, addresses, numbers, requests. Pure. */
#include "log/fields.h"

#include "core/period.h"
#include "core/special.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#define DAY_S INT64_C(86400)

/* ---- times ---- */

/* 0..11; 12: no month. */
int cq_log_find_month(const char *at)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int month;

    for (month = 0; month < 12; month++) {
        const char *name = months + 3 * month;

        if (name[0] == at[0] && name[1] == at[1] && name[2] == at[2]) {
            break;
        }
    }
    return month;
}

/* Two digits, or a number that is above each limit. */
static int read_two_digits(const char *at)
{
    return cq_log_is_digit(at[0]) && cq_log_is_digit(at[1])
        ? (at[0] - '0') * 10 + (at[1] - '0') : 1000;
}

/* "28/Nov/2026" to unix seconds; false: it is none. */
static bool read_day(const char *at, int64_t *day_s)
{
    int day = read_two_digits(at), century = read_two_digits(at + 7);
    int year = read_two_digits(at + 9);
    int month = cq_log_find_month(at + 3);

    if (at[2] != '/' || at[6] != '/' || month == 12 || day < 1 || day > 31
        || century > 99 || year > 99) {
        return false;
    }
    *day_s = DAY_S * (cq_civil_from_date(century * 100 + year, month) + day
                      - 1);
    /* no 31/Feb */
    return day <= 28 || *day_s < DAY_S * cq_civil_from_date(
        century * 100 + year + month / 11, (month + 1) % 12);
}

/* Reads a date in brackets. */
bool cq_log_read_time(const char *at, const char *end, int64_t *time_s)
{
    int hour, minute, second, zone_hour, zone_minute;
    int64_t day_s, zone_s;

    if (end - at < CQ_LOG_TIME_LENGTH || at[0] != '[' || at[12] != ':'
        || at[15] != ':' || at[18] != ':' || at[21] != ' '
        || (at[22] != '+' && at[22] != '-') || at[27] != ']'
        || !read_day(at + 1, &day_s)) {
        return false;
    }
    hour = read_two_digits(at + 13);
    minute = read_two_digits(at + 16);
    second = read_two_digits(at + 19);
    zone_hour = read_two_digits(at + 23);
    zone_minute = read_two_digits(at + 25);
    if (hour > 23 || minute > 59 || second > 60 || zone_hour > 24
        || zone_minute > 59) {
        return false;
    }
    zone_s = zone_hour * INT64_C(3600) + zone_minute * 60;
    *time_s = day_s + hour * INT64_C(3600) + minute * 60 + second
        - (at[22] == '-' ? -zone_s : zone_s);
    return true;
}

/* A time without a zone is that of TZ. Of an hour that occurs twice the
 * first. */
int64_t cq_log_make_time(struct tm *tm, bool has_zone)
{
    int64_t zone_s = tm->tm_gmtoff, time_s = timegm(tm);
    time_t guess = (time_t)time_s;
    struct tm there;

    if (has_zone) {
        return time_s - zone_s;
    }
    if (localtime_r(&guess, &there) != NULL) {
        guess = (time_t)(time_s - there.tm_gmtoff);
    }
    if (localtime_r(&guess, &there) != NULL) {
        guess = (time_t)(time_s - there.tm_gmtoff);
    }
    return guess;
}

/* ---- values ---- */

/* Digits, saturating. */
bool cq_log_read_number(const char *at, const char *end, int64_t *number)
{
    int64_t n = 0;

    if (at == end) {
        return false;
    }
    for (; at < end; at++) {
        if (!cq_log_is_digit(*at)) {
            return false;
        }
        n = n > (INT64_MAX - 9) / 10 ? INT64_MAX : n * 10 + (*at - '0');
    }
    *number = n;
    return true;
}

/* Reads one address of a list: with a port, a zone or in brackets, too. */
static bool read_address(const char *at, const char *end,
                         struct cq_prefixes prefixes, struct cq_key *key)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    const char *stop;
    size_t length;

    while (at < end && *at == ' ') {
        at++;
    }
    if (at < end && *at == '[') {
        at++;
        stop = memchr(at, ']', (size_t)(end - at));
        end = stop != NULL ? stop : end;
    }
    stop = memchr(at, '%', (size_t)(end - at));
    end = stop != NULL ? stop : end;
    length = (size_t)(end - at);
    if (length == 0 || length >= sizeof(text)) {
        return false;
    }
    memcpy(text, at, length);
    text[length] = '\0';
    /* the port of an IPv4 address */
    stop = memchr(text, ':', length);
    if (stop != NULL && memchr(text, '.', (size_t)(stop - text)) != NULL) {
        text[stop - text] = '\0';
    }
    return (inet_pton(AF_INET, text, bytes) == 1
            && cq_key_make(key, bytes, 4, prefixes) == CQ_OK)
        || (inet_pton(AF_INET6, text, bytes) == 1
            && cq_key_make(key, bytes, 16, prefixes) == CQ_OK);
}

/* The client in a list as of X-Forwarded-For: each proxy appends the address
 * that it saw, the client can write what it likes before them. So the last
 * one that is in no private network; if all are, the last. */
void cq_log_read_clients(struct cq_log_record *record,
                         struct cq_prefixes prefixes, const char *at,
                         const char *end)
{
    while (end > at) {
        const char *start = end;
        struct cq_key key;

        while (start > at && start[-1] != ',') {
            start--;
        }
        if (!read_address(start, end, prefixes, &key)) {
            return;
        }
        if (!record->has_client || !cq_special_is_private(&key)) {
            record->client = key;
            record->has_client = true;
        }
        if (!cq_special_is_private(&key)) {
            return;
        }
        end = start > at ? start - 1 : at;
    }
}

/* Cuts scheme, host and query off: "http://host/a?b" to "/a". */
struct cq_log_text cq_log_cut_path(const char *at, const char *end)
{
    const char *stop;

    if (at < end && *at != '/'
        && (stop = memmem(at, (size_t)(end - at), "://", 3)) != NULL) {
        stop = memchr(stop + 3, '/', (size_t)(end - stop) - 3);
        at = stop != NULL ? stop : end;
    }
    stop = memchr(at, '?', (size_t)(end - at));
    return cq_log_make_text(at, stop != NULL ? stop : end);
}

/* "GET /a?b HTTP/1.1", without protocol in HTTP/0.9. Anything else, such as
 * "-" or what a TLS client wrote to a plain port, has no method. */
void cq_log_read_request(struct cq_log_record *record, const char *at,
                         const char *end)
{
    const char *stop = at;

    while (stop < end && ((*stop >= 'A' && *stop <= 'Z') || *stop == '-')) {
        stop++;
    }
    if (stop == at || stop == end || *stop != ' ') {
        return;
    }
    record->method = cq_log_make_text(at, stop);
    at = stop + 1;
    stop = memrchr(at, ' ', (size_t)(end - at));
    if (stop != NULL && end - stop > 5 && memcmp(stop, " HTTP", 5) == 0) {
        end = stop;
    }
    record->path = cq_log_cut_path(at, end);
}
