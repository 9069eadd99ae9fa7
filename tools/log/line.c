/* line - one line of a log to a record. Pure; reads nothing but the line.
 *
 * A field ends where the text behind it begins. Where a client can write that
 * text itself: in quotes httpd and nginx escape a quote, so the first one that
 * has no odd number of backslashes before it ends the field; a user's name
 * ends before the first date that has its own text behind it. */
#include "log/fields.h"

#include <string.h>

/* Times that every period has an id for: core/period.h. */
#define TIME_MIN_S INT64_C(86400)
#define TIME_MAX_S (65000 * INT64_C(86400))

struct scan {
    const char *at;
    const char *end;
    struct tm tm;               /* of CQ_LOG_DATE */
    bool has_tm;
    const char *time_at;        /* of the time that is in the record */
    struct cq_prefixes prefixes;
    struct cq_log_record *record;
};

/* What each kind expects: CQ_LOG_SKIP's is for the text between fields. */
static const char *const expected[] = {
    [CQ_LOG_SKIP] = "the text that the format has between two fields",
    [CQ_LOG_CLIENT] = "an address, e.g. 192.0.2.7",
    [CQ_LOG_USER] = "a date behind the user's name",
    [CQ_LOG_TIME] = "a time, e.g. [28/Nov/2026:21:28:38 +0000]",
    [CQ_LOG_DATE] = "a time as the format describes it",
    [CQ_LOG_TIME_S] = "a time as a number",
    [CQ_LOG_TIME_MS] = "a time as a number",
    [CQ_LOG_TIME_US] = "a time as a number",
    [CQ_LOG_REQUEST] = "a request in quotes, e.g. \"GET / HTTP/1.1\"",
    [CQ_LOG_METHOD] = "a method",
    [CQ_LOG_PATH] = "a path",
    [CQ_LOG_STATUS] = "a status, e.g. 200",
    [CQ_LOG_BODY_BYTES] = "a number of bytes",
    [CQ_LOG_SENT_BYTES] = "a number of bytes",
    [CQ_LOG_VHOST] = "the name of a host",
    [CQ_LOG_AGENT] = "a closing quote"
};

/* ---- where a field ends ---- */

static bool is_followed(const struct cq_log_field *field, const char *at,
                        const char *end)
{
    size_t i;

    if ((size_t)(end - at) < field->after_length) {
        return false;
    }
    for (i = 0; i < field->after_length; i++) {     /* mostly one or two */
        if (at[i] != field->after[i]) {
            return false;
        }
    }
    return true;
}

/* Behind the last field only a blank may stand: some append more fields. */
static bool ends_field(const struct cq_log_field *field, bool is_last,
                       const char *at, const char *end)
{
    if (!is_followed(field, at, end)) {
        return false;
    }
    at += field->after_length;
    return !is_last || at == end || *at == ' ';
}

static bool is_escaped(const char *start, const char *at)
{
    const char *before = at;

    while (before > start && before[-1] == '\\') {
        before--;
    }
    return (at - before) % 2 != 0;
}

/* The end of a field that is free text; NULL: it has none. */
static const char *find_end(const struct cq_log_field *field, bool is_last,
                            const char *start, const char *end)
{
    const char *at = start;

    if (field->after_length == 0) {
        return end;
    }
    while ((at = memchr(at, field->after[0], (size_t)(end - at))) != NULL) {
        if (ends_field(field, is_last, at, end)
            && !(field->is_quoted && is_escaped(start, at))) {
            return at;
        }
        at++;
    }
    return NULL;
}

/* ---- values ---- */

/* Reads what strptime() takes for one of the format's dates. Its length says
 * where the field ends: a date may hold what stands behind it. */
static const char *read_date(struct scan *s, const struct cq_log_field *field)
{
    char text[80];
    size_t length = (size_t)(s->end - s->at);
    const char *stop;

    length = length < sizeof(text) ? length : sizeof(text) - 1;
    memcpy(text, s->at, length);
    text[length] = '\0';
    stop = strptime(text, field->date, &s->tm);
    s->has_tm = stop != NULL;
    return stop != NULL ? s->at + (stop - text) : NULL;
}

/* Stores a value. False: it is none of its kind. */
static bool read_value(struct scan *s, const struct cq_log_field *field,
                       const char *end)
{
    struct cq_log_record *record = s->record;
    bool is_dash = end - s->at == 1 && *s->at == '-';
    int64_t n = 0;

    switch ((enum cq_log_kind)field->kind) {
    case CQ_LOG_CLIENT:
        cq_log_read_clients(record, s->prefixes, s->at, end);
        return end > s->at;
    case CQ_LOG_TIME_S:
    case CQ_LOG_TIME_MS:
    case CQ_LOG_TIME_US:
        if (!cq_log_read_number(s->at, end, &n)) {
            return false;
        }
        record->time_s = n / (field->kind == CQ_LOG_TIME_S ? 1
                              : field->kind == CQ_LOG_TIME_MS ? 1000 : 1000000);
        return true;
    case CQ_LOG_REQUEST:
        cq_log_read_request(record, s->at, end);
        return true;
    case CQ_LOG_METHOD:
        record->method = cq_log_make_text(s->at, end);
        return true;
    case CQ_LOG_PATH:
        record->path = cq_log_cut_path(s->at, end);
        return true;
    case CQ_LOG_STATUS:
        if (!is_dash && (!cq_log_read_number(s->at, end, &n) || n < 100
                         || n > 999)) {
            return false;
        }
        record->status = (int16_t)n;
        return true;
    case CQ_LOG_BODY_BYTES:
    case CQ_LOG_SENT_BYTES:
        if (!is_dash && !cq_log_read_number(s->at, end, &n)) {
            return false;
        }
        *(field->kind == CQ_LOG_SENT_BYTES ? &record->bytes
                                           : &record->body_bytes) = n;
        return true;
    case CQ_LOG_VHOST:
        record->vhost = cq_log_make_text(s->at, end);
        return true;
    case CQ_LOG_AGENT:
        record->agent = cq_log_make_text(s->at, end);
        return true;
    case CQ_LOG_SKIP:
    case CQ_LOG_USER:
    case CQ_LOG_TIME:
    case CQ_LOG_DATE:
        break;
    }
    return true;
}

/* ---- the line ---- */

/* The end of the user's name: where a date begins that is followed by what the
 * format has behind it. A name can't hold a quote that is not escaped. */
static const char *find_user_end(struct scan *s,
                                 const struct cq_log_field *field)
{
    const char *at = s->at;

    while ((at = memmem(at, (size_t)(s->end - at), field->after,
                        field->after_length)) != NULL) {
        const char *date = at + field->after_length;

        if (cq_log_read_time(date, s->end, &s->record->time_s)
            && is_followed(&field[1], date + CQ_LOG_TIME_LENGTH, s->end)) {
            s->time_at = date;
            return at;
        }
        at++;
    }
    return NULL;
}

/* A number ends where its digits do; behind it the line may end, or have
 * fields that the format does not know. */
static const char *find_number_end(const struct scan *s,
                                   const struct cq_log_field *field)
{
    const char *at = s->at;

    if (at < s->end && *at == '-') {
        at++;
    }
    else {
        while (at < s->end && cq_log_is_digit(*at)) {
            at++;
        }
    }
    return at == s->end || *at == ' ' || is_followed(field, at, s->end)
        ? at : NULL;
}

/* The end of a field at s->at; NULL: it has none. */
static const char *find_field_end(struct scan *s,
                                  const struct cq_log_format *format, size_t i)
{
    const struct cq_log_field *field = &format->fields[i];
    bool is_last = i + 1 == format->field_n;
    const char *stop;

    if (field->kind == CQ_LOG_TIME) {
        return s->at == s->time_at
            || cq_log_read_time(s->at, s->end, &s->record->time_s)
            ? s->at + CQ_LOG_TIME_LENGTH : NULL;
    }
    if (field->kind == CQ_LOG_DATE) {
        return read_date(s, field);
    }
    if (field->kind == CQ_LOG_STATUS || field->kind == CQ_LOG_BODY_BYTES
        || field->kind == CQ_LOG_SENT_BYTES) {
        return find_number_end(s, field);
    }
    if (field->kind == CQ_LOG_USER && !is_last && field->after_length > 0
        && field[1].kind == CQ_LOG_TIME) {
        return find_user_end(s, field);
    }
    stop = find_end(field, is_last, s->at, s->end);
    if (field->kind == CQ_LOG_CLIENT && !field->is_quoted) {
        /* a list without quotes: "192.0.2.7, 10.0.0.1" */
        while (stop != NULL && stop > s->at && stop[-1] == ','
               && stop < s->end) {
            stop = find_end(field, is_last, stop + 1, s->end);
        }
    }
    return stop;
}

/* Skips what syslog writes before a message: "<134>", then "Nov 28 21:28:38
 * host tag[1]: " or "2026-11-28T21:28:38+00:00 host tag[1]: ", or RFC 5424's
 * seven words and "-" for no structured data. */
static const char *skip_syslog(const char *at, const char *end)
{
    const char *message = at;
    size_t words = 0;

    if (*at == '<') {
        message = memchr(at, '>', (size_t)(end - at));
        if (message == NULL || message - at > 4) {
            return at;
        }
        message++;
        if (end - message > 2 && message[0] == '1' && message[1] == ' ') {
            for (; message < end && words < 7; message++) {
                words += *message == ' ';
            }
            return message;
        }
    }
    if (end - message < 16
        || !((message[3] == ' ' && cq_log_is_digit(message[5])
              && cq_log_find_month(message) < 12)
             || (message[4] == '-' && message[10] == 'T'
                 && cq_log_is_digit(message[0])))) {
        return message;
    }
    at = memmem(message, (size_t)(end - message), ": ", 2);
    return at != NULL ? at + 2 : message;
}

const char *cq_log_read_line(const struct cq_log_format *format,
                             struct cq_prefixes prefixes, const char *line,
                             size_t length, enum cq_log_end end,
                             struct cq_log_record *record)
{
    struct scan s = { .at = line, .end = line + length, .prefixes = prefixes,
                      .record = record };
    size_t i;

    memset(record, 0, sizeof(*record));
    record->body_bytes = -1;
    record->bytes = -1;
    if (length > 5) {
        s.at = skip_syslog(line, s.end);
    }
    if ((size_t)(s.end - s.at) < format->before_length
        || memcmp(s.at, format->text, format->before_length) != 0) {
        return expected[CQ_LOG_SKIP];
    }
    s.at += format->before_length;
    for (i = 0; i < format->field_n; i++) {
        const struct cq_log_field *field = &format->fields[i];
        const char *stop = find_field_end(&s, format, i);

        if (stop == NULL || (field->kind != CQ_LOG_SKIP
                             && !read_value(&s, field, stop))) {
            if (i < format->needed_n) {
                return expected[field->kind];
            }
            /* cut within a field that may be missing: what there is of it */
            read_value(&s, field, s.end);
            break;
        }
        if (end == CQ_LOG_CUT && i + 1 == format->needed_n && stop == s.end) {
            return "the rest of the line";
        }
        if (!is_followed(field, stop, s.end)) {
            if (i + 1 < format->needed_n) {
                return expected[CQ_LOG_SKIP];
            }
            break;
        }
        s.at = stop + field->after_length;
    }
    if (s.has_tm) {
        record->time_s = cq_log_make_time(&s.tm, format->has_zone);
    }
    record->has_time = format->has_time;
    if (format->has_time
        && (record->time_s < TIME_MIN_S || record->time_s > TIME_MAX_S)) {
        return "a time from 1970-01-02 to 2147";
    }
    if (record->bytes < 0) {
        record->bytes = record->body_bytes;
    }
    if (format->figure == CQ_LOG_UNKNOWN) {
        record->body_bytes = -1;
    }
    return NULL;
}
