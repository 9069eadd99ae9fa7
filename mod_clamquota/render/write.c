/* write - buffering and escaping for the renderers.
 *
 * One walk over UTF-8 text serves HTML, JSON and OpenMetrics; they differ in
 * what a code point turns into. May not allocate and knows no view. */
#include "render/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* enough for "\\uXXXX" and "&quot;" */
#define ESCAPE_SIZE 8

/* What stands for a code point: NULL means itself. room may be used. */
typedef const char *(*escape_fn)(uint32_t code, char room[ESCAPE_SIZE]);

void cq_write_begin(struct cq_writer *writer, const struct cq_sink *sink)
{
    writer->sink = sink;
    writer->period = NULL;
    writer->used = 0;
}

void cq_write_end(struct cq_writer *writer)
{
    if (writer->used > 0) {
        writer->sink->write(writer->sink->baton, writer->buffer,
                            writer->used);
        writer->used = 0;
    }
}

void cq_write_data(struct cq_writer *writer, const char *data, size_t size)
{
    while (size > 0) {
        size_t n = sizeof(writer->buffer) - writer->used;

        if (n == 0) {
            cq_write_end(writer);
            continue;
        }
        if (n > size) {
            n = size;
        }
        memcpy(writer->buffer + writer->used, data, n);
        writer->used += n;
        data += n;
        size -= n;
    }
}

void cq_write_raw(struct cq_writer *writer, const char *text)
{
    if (text) {
        cq_write_data(writer, text, strlen(text));
    }
}

void cq_write_int(struct cq_writer *writer, int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, number);
    cq_write_raw(writer, text);
}

/* RFC 3629: how many bytes a well-formed sequence takes, 0 if there is none.
 * Never looks past a NUL: that is no continuation byte. */
static size_t utf8_decode(const unsigned char *s, uint32_t *code)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t length = s[0] < 0x80   ? 1
                    : s[0] < 0xc2 ? 0
                    : s[0] < 0xe0 ? 2
                    : s[0] < 0xf0 ? 3
                    : s[0] < 0xf5 ? 4
                                  : 0;
    uint32_t value;
    size_t i;

    if (length < 2) {
        *code = s[0];
        return length;
    }
    value = s[0] & (0xffu >> (length + 1));
    for (i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = (value << 6) | (s[i] & 0x3fu);
    }
    if (value < smallest[length] || value > 0x10ffff ||
        (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *code = value;
    return length;
}

static void write_escaped(struct cq_writer *writer, const char *text,
                          escape_fn escape)
{
    char room[ESCAPE_SIZE];

    while (text && *text) {
        uint32_t code;
        size_t length = utf8_decode((const unsigned char *)text, &code);
        const char *instead = REPLACEMENT;

        if (length == 0) {
            length = 1;
        }
        else {
            instead = escape(code, room);
        }
        if (instead) {
            cq_write_raw(writer, instead);
        }
        else {
            cq_write_data(writer, text, length);
        }
        text += length;
    }
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

/* Characters by which a name could make a line read other than it is. */
static bool is_bidi_control(uint32_t code)
{
    return code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

static const char *escape_html(uint32_t code, char room[ESCAPE_SIZE])
{
    (void)room;
    switch (code) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return is_control(code) || is_bidi_control(code) ? REPLACEMENT : NULL;
    }
}

static const char *escape_json(uint32_t code, char room[ESCAPE_SIZE])
{
    switch (code) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        break;
    }
    if (is_control(code) || code == '<' || code == '>' || code == '&' ||
        is_bidi_control(code)) {
        snprintf(room, ESCAPE_SIZE, "\\u%04x", (unsigned)(code & 0xffffu));
        return room;
    }
    return NULL;
}

static const char *escape_label(uint32_t code, char room[ESCAPE_SIZE])
{
    (void)room;
    switch (code) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    default:
        return is_control(code) ? REPLACEMENT : NULL;
    }
}

void cq_write_html(struct cq_writer *writer, const char *text)
{
    write_escaped(writer, text, escape_html);
}

void cq_write_json(struct cq_writer *writer, const char *text)
{
    cq_write_raw(writer, "\"");
    write_escaped(writer, text, escape_json);
    cq_write_raw(writer, "\"");
}

void cq_write_label(struct cq_writer *writer, const char *text)
{
    cq_write_raw(writer, "\"");
    write_escaped(writer, text, escape_label);
    cq_write_raw(writer, "\"");
}

void cq_write_line(struct cq_writer *writer, const char *text)
{
    for (; text && *text; text++) {
        if (*text >= ' ' && *text <= '~') {
            cq_write_data(writer, text, 1);
        }
        else {
            cq_write_raw(writer, "?");
        }
    }
}

/* Percent-encodes all but RFC 3986's unreserved characters and those of
 * also, which must be safe in HTML. */
static void write_percent(struct cq_writer *writer, const char *text,
                          const char *also)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "abcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";

    for (; text && *text; text++) {
        if (strchr(unreserved, *text) || strchr(also, *text)) {
            cq_write_data(writer, text, 1);
        }
        else {
            char code[4];

            snprintf(code, sizeof(code), "%%%02X",
                     (unsigned)(unsigned char)*text);
            cq_write_raw(writer, code);
        }
    }
}

void cq_write_query_value(struct cq_writer *writer, const char *text)
{
    write_percent(writer, text, ":/");
}

void cq_write_path(struct cq_writer *writer, const char *text)
{
    write_percent(writer, text, "/:@!$()*,;=+");
}
