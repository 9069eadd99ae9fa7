/* say - what the operator is told, and what he was told before. */
#include "sync/say.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static bool is_in(const struct say_lines *lines, const char *line)
{
    size_t i;

    for (i = 0; i < lines->count; i++) {
        if (strcmp(lines->lines[i], line) == 0) {
            return true;
        }
    }
    return false;
}

/* Out of memory: it is said once more than need be, that is all. */
static void remember(struct say_lines *lines, const char *line)
{
    char **grown, *copy;

    if (lines->count >= SAY_MOST || is_in(lines, line)) {
        return;
    }
    copy = strdup(line);
    grown = reallocarray(lines->lines, lines->count + 1, sizeof(grown[0]));
    if (grown != NULL) {
        lines->lines = grown;
    }
    if (grown == NULL || copy == NULL) {
        free(copy);
        return;
    }
    lines->lines[lines->count++] = copy;
}

static void forget(struct say_lines *lines)
{
    size_t i;

    for (i = 0; i < lines->count; i++) {
        free(lines->lines[i]);
    }
    free(lines->lines);
    memset(lines, 0, sizeof(*lines));
}

/* U+0080 to U+009F: a terminal obeys them as it does ESC. */
static bool is_c1(const char *text)
{
    unsigned char second = (unsigned char)text[1];

    return (unsigned char)text[0] == 0xc2 && second >= 0x80 && second <= 0x9f;
}

/* One line for a terminal or a mail, whatever bytes are in it. UTF-8 may
 * stay: a path is shown as the operator named it. */
static void write_line(char *text, size_t size, const char *format,
                       va_list args)
    __attribute__((format(printf, 3, 0)));

static void write_line(char *text, size_t size, const char *format,
                       va_list args)
{
    int more = 0;           /* bytes that belong to the character */

    vsnprintf(text, size, format, args);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0xc2 && c <= 0xf4 && !is_c1(text)) {
            more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        }
        else if (c >= 0x80 && c <= 0xbf && more > 0) {
            more--;
        }
        else {
            more = 0;
            if (c < ' ' || c >= 0x7f) {
                *text = '?';
            }
        }
    }
}

static void say_aloud(const struct say *say, const char *text)
{
    fprintf(say->err, "clamquota-sync: %s\n", text);
    fflush(say->err);
}

void say_trouble(struct say *say, const char *format, ...)
{
    char text[SAY_SIZE];
    va_list args;

    va_start(args, format);
    write_line(text, sizeof(text), format, args);
    va_end(args);
    say->troubles++;
    /* what stands twice in one pass is said once, too */
    if (!is_in(&say->before, text) && !is_in(&say->now, text)) {
        say_aloud(say, text);
    }
    remember(&say->now, text);
}

void say_state(struct say *say, const char *topic, const char *format, ...)
{
    char text[SAY_SIZE];
    va_list args;

    if (!say->no_states && !is_in(&say->before, topic)
        && !is_in(&say->now, topic)) {
        va_start(args, format);
        write_line(text, sizeof(text), format, args);
        va_end(args);
        say_aloud(say, text);
    }
    remember(&say->now, topic);
}

void say_note(struct say *say, const char *format, ...)
{
    char text[SAY_SIZE];
    va_list args;

    if (say->verbose) {
        va_start(args, format);
        write_line(text, sizeof(text), format, args);
        va_end(args);
        say_aloud(say, text);
    }
}

void say_begin(struct say *say)
{
    forget(&say->before);
    say->before = say->now;
    memset(&say->now, 0, sizeof(say->now));
    say->troubles = 0;
}

void say_was_said(struct say *say, const char *line)
{
    remember(&say->before, line);
}

/* FNV-1a (Fowler, Noll, Vo), 64 bits; nobody gains from lines that collide */
static uint64_t line_sum(const char *line)
{
    uint64_t sum = UINT64_C(14695981039346656037);

    for (; *line != '\0'; line++) {
        sum = (sum ^ (unsigned char)*line) * UINT64_C(1099511628211);
    }
    return sum;
}

uint64_t say_lines_sum(const struct say_lines *lines)
{
    uint64_t sum = lines->count;
    size_t i;

    for (i = 0; i < lines->count; i++) {
        sum += line_sum(lines->lines[i]);
    }
    return sum;
}

void say_free(struct say *say)
{
    forget(&say->now);
    forget(&say->before);
    say->troubles = 0;
}
