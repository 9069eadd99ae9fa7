/* format - compiles a LogFormat string. Of directives that tell the same the
 * best one becomes a field, the others are read over. */
#include "log/fields.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define TAIL "%l %u %t \"%r\" %>s "
#define AGENT " \"%{Referer}i\" \"%{User-Agent}i\""

static const struct named {
    const char *name;
    const char *text;
    enum cq_log_figure figure;
} named[] = {
    { "common", "%h " TAIL "%b", CQ_LOG_UNKNOWN },
    { "combined", "%h " TAIL "%b" AGENT, CQ_LOG_UNKNOWN },
    { "vhost", "%v:%p %h " TAIL "%O" AGENT, CQ_LOG_SENT },
    { "clamav", "%v %h " TAIL "%B" AGENT, CQ_LOG_BODY },
    { "pairs", "%a %O", CQ_LOG_UNKNOWN }
};

/* Directives that become fields. Of one kind's several the highest rank. */
static const struct directive {
    const char *name;       /* with the text in braces, without case */
    enum cq_log_kind kind;
    uint8_t rank;
} directives[] = {
    { "h", CQ_LOG_CLIENT, 4 }, { "a", CQ_LOG_CLIENT, 5 },
    { "{c}a", CQ_LOG_CLIENT, 1 },
    { "{x-forwarded-for}i", CQ_LOG_CLIENT, 3 },
    { "{x-real-ip}i", CQ_LOG_CLIENT, 2 },
    { "u", CQ_LOG_USER, 1 }, { "t", CQ_LOG_TIME, 1 },
    { "r", CQ_LOG_REQUEST, 1 }, { "m", CQ_LOG_METHOD, 1 },
    { "U", CQ_LOG_PATH, 1 }, { "s", CQ_LOG_STATUS, 1 },
    { "b", CQ_LOG_BODY_BYTES, 1 }, { "B", CQ_LOG_BODY_BYTES, 2 },
    { "O", CQ_LOG_SENT_BYTES, 1 }, { "v", CQ_LOG_VHOST, 2 },
    { "V", CQ_LOG_VHOST, 1 }, { "{user-agent}i", CQ_LOG_AGENT, 1 }
};

struct compiler {
    struct cq_log_format *format;
    const char *at;             /* in the string */
    char *to;                   /* in format->text */
    uint8_t ranks[CQ_LOG_FIELDS_MAX];
    char *why;
    size_t why_size;
};

static enum cq_status fail(const struct compiler *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum cq_status fail(const struct compiler *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->why, c->why_size, format, args);
    va_end(args);
    return CQ_EINVAL;
}

/* Copies the text up to the next directive. %% and the backslashes of
 * httpd.conf become what they stand for. */
static size_t copy_text(struct compiler *c, const char **copy)
{
    *copy = c->to;
    while (*c->at != '\0' && (*c->at != '%' || c->at[1] == '%')) {
        char byte = *c->at++;

        if (byte == '%') {
            c->at++;
        }
        else if (byte == '\\' && (*c->at == '"' || *c->at == '\\')) {
            byte = *c->at++;
        }
        else if (byte == '\\' && *c->at == 't') {
            byte = '\t';
            c->at++;
        }
        *c->to++ = byte;
    }
    *c->to++ = '\0';
    return (size_t)(c->to - *copy) - 1;
}

/* %{...}t: a number, a part of a second, or a form for strptime(). */
static void read_date(struct compiler *c, struct cq_log_field *field,
                      const char *form, size_t length)
{
    if (length >= 6 && strncmp(form, "begin:", 6) == 0) {
        form += 6;
        length -= 6;
    }
    else if (length >= 4 && strncmp(form, "end:", 4) == 0) {
        form += 4;
        length -= 4;
    }
    memcpy(c->to, form, length);
    c->to[length] = '\0';
    field->kind = length == 0 ? CQ_LOG_TIME
        : strcmp(c->to, "sec") == 0 ? CQ_LOG_TIME_S
        : strcmp(c->to, "msec") == 0 ? CQ_LOG_TIME_MS
        : strcmp(c->to, "usec") == 0 ? CQ_LOG_TIME_US
        : strstr(c->to, "sec_frac") != NULL ? CQ_LOG_SKIP : CQ_LOG_DATE;
    if (field->kind == CQ_LOG_DATE) {
        field->date = c->to;
        c->to += length + 1;
        c->format->has_zone |= strstr(field->date, "%z") != NULL;
    }
    c->format->has_time |= field->kind != CQ_LOG_SKIP;
}

/* Makes the field of a directive; name is without %, < and >. */
static void read_directive(struct compiler *c, const char *name, size_t length)
{
    struct cq_log_format *format = c->format;
    struct cq_log_field *field = &format->fields[format->field_n];
    size_t i, best = format->field_n;
    uint8_t rank = 0;

    if (name[0] == '{' && name[length - 1] == 't') {
        read_date(c, field, name + 1, length - 3);
        return;
    }
    for (i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        const struct directive *d = &directives[i];

        /* one letter means another thing in the other case */
        if (strlen(d->name) == length
            && (length == 1 ? name[0] == d->name[0]
                            : strncasecmp(d->name, name, length) == 0)) {
            field->kind = (uint8_t)d->kind;
            rank = d->rank;
        }
    }
    if (field->kind == CQ_LOG_TIME) {
        format->has_time = format->has_zone = true;
    }
    for (i = 0; i < format->field_n && field->kind != CQ_LOG_SKIP; i++) {
        if (format->fields[i].kind == field->kind) {
            best = i;
        }
    }
    c->ranks[format->field_n] = rank;
    if (best != format->field_n) {
        /* the final status is the last of several */
        bool is_better = rank > c->ranks[best] || field->kind == CQ_LOG_STATUS;

        (is_better ? &format->fields[best] : field)->kind = CQ_LOG_SKIP;
    }
}

/* Reads a directive with its modifiers: %!200,304{Referer}i, %>s, %^ti. */
static enum cq_status compile_field(struct compiler *c)
{
    struct cq_log_format *format = c->format;
    struct cq_log_field *field = &format->fields[format->field_n];
    const char *start = c->at, *before = format->text, *name;
    size_t before_length = format->before_length, length;
    bool is_bound;
    char last;

    if (format->field_n == CQ_LOG_FIELDS_MAX) {
        return fail(c, "more than %d directives", CQ_LOG_FIELDS_MAX);
    }
    if (format->field_n > 0) {
        before = field[-1].after;
        before_length = field[-1].after_length;
    }
    last = before_length > 0 ? before[before_length - 1] : '\0';
    is_bound = before_length > 0 || format->field_n == 0
        || field[-1].kind == CQ_LOG_DATE || field[-1].kind == CQ_LOG_TIME;
    name = start + 1 + strspn(start + 1, "!<>,0123456789");
    length = *name == '{' ? strcspn(name, "}") + 2
        : *name == '^' ? 3 : 1;
    if (strnlen(name, length) < length || *name == '\0') {
        return fail(c, "\"%.20s\" is no directive, expected one such as %%h "
                    "or %%{User-Agent}i", start);
    }
    c->at = name + length;
    memset(field, 0, sizeof(*field));
    read_directive(c, name, length);
    if (!is_bound && name[0] == 'q') {
        format->field_n--;      /* the path ends before the query anyway */
        field--;
    }
    else if (!is_bound) {
        return fail(c, "nothing stands before %.20s, expected a blank or "
                    "other text between two directives", start);
    }
    field->after_length = copy_text(c, &field->after);
    field->is_quoted = last == '"' && field->after[0] == '"';
    format->field_n++;
    return CQ_OK;
}

/* Which field is the last that a line must have, and whose bytes count. */
static enum cq_status finish(struct compiler *c)
{
    struct cq_log_format *format = c->format;
    unsigned found = 0;
    size_t i;

    for (i = 0; i < format->field_n; i++) {
        uint8_t kind = format->fields[i].kind;

        found |= 1u << kind;
        if (kind != CQ_LOG_SKIP && kind != CQ_LOG_VHOST
            && kind != CQ_LOG_AGENT && kind != CQ_LOG_USER) {
            format->needed_n = i + 1;
        }
    }
    if ((found & 1u << CQ_LOG_CLIENT) == 0) {
        return fail(c, "no client in it, expected %%h or %%a");
    }
    if ((found & (1u << CQ_LOG_SENT_BYTES | 1u << CQ_LOG_BODY_BYTES)) == 0) {
        return fail(c, "no bytes in it, expected %%O, %%B or %%b");
    }
    format->figure = (found & 1u << CQ_LOG_SENT_BYTES) != 0 ? CQ_LOG_SENT
                                                            : CQ_LOG_BODY;
    return CQ_OK;
}

enum cq_status cq_log_format_compile(struct cq_log_format *format,
                                     const char *text, char *why,
                                     size_t why_size)
{
    struct compiler c = { .format = format, .at = text, .why = why,
                          .why_size = why_size };
    const struct named *name = NULL;
    enum cq_status status = CQ_OK;
    const char *before;
    size_t i;

    for (i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (strcmp(named[i].name, text) == 0) {
            name = &named[i];
            c.at = name->text;
        }
    }
    memset(format, 0, sizeof(*format));
    c.to = format->text;
    if (name == NULL && strchr(text, '%') == NULL) {
        return fail(&c, "expected common, combined, vhost, clamav, pairs or "
                    "a LogFormat string, e.g. \"%%h %%l %%u %%t \\\"%%r\\\" "
                    "%%>s %%O\"");
    }
    if (strlen(c.at) > CQ_LOG_FORMAT_SIZE - CQ_LOG_FIELDS_MAX) {
        return fail(&c, "longer than %d bytes",
                    CQ_LOG_FORMAT_SIZE - CQ_LOG_FIELDS_MAX);
    }
    format->before_length = copy_text(&c, &before);
    while (status == CQ_OK && *c.at != '\0') {
        status = compile_field(&c);
    }
    if (status == CQ_OK) {
        status = finish(&c);
    }
    if (status == CQ_OK && name != NULL) {
        format->figure = name->figure;
    }
    return status;
}
