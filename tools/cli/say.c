/* say - what a tool reports, and what it reported before. */
#include "cli/say.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* priorities of syslog, as sd-daemon(3) has them before a line */
#define WARNING 4
#define INFO 6

/* ---- lines that are kept ---- */

#define PREFIX "said "

static bool has_line(const char *lines, const char *line)
{
    size_t length = strlen(line);

    while (lines != NULL && *lines != '\0') {
        const char *text = lines + strlen(PREFIX);

        if (strncmp(text, line, length) == 0 && text[length] == '\n') {
            return true;
        }
        lines = strchr(text, '\n') + 1;
    }
    return false;
}

void cq_say_keep(struct cq_say *say, const char *topic)
{
    size_t length = say->now != NULL ? strlen(say->now) : 0;
    size_t size = length + strlen(topic) + sizeof(PREFIX "\n");
    char *grown = NULL;

    if (size <= CQ_SAY_KEPT_MAX && !has_line(say->now, topic)) {
        grown = realloc(say->now, size);
    }
    /* out of memory: it is printed once more than need be, that is all */
    if (grown != NULL) {
        snprintf(grown + length, size - length, PREFIX "%s\n", topic);
        say->now = grown;
    }
}

bool cq_say_has(const struct cq_say *say, const char *topic)
{
    return has_line(say->before, topic) || has_line(say->now, topic);
}

/* ---- one line for a terminal, a mail or the journal ---- */

/* U+0080 to U+009F: a terminal obeys them as it does ESC. */
static bool is_c1(const char *text)
{
    unsigned char second = (unsigned char)text[1];

    return (unsigned char)text[0] == 0xc2 && second >= 0x80 && second <= 0x9f;
}

/* UTF-8 may stay: a path is shown as the operator named it. */
static void make_line(char *text, size_t size, const char *format,
                      va_list args)
    __attribute__((format(printf, 3, 0)));

static void make_line(char *text, size_t size, const char *format,
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

static void print_line(const struct cq_say *say, int priority,
                       const char *text)
{
    if (say->is_journal) {
        fprintf(say->err, "<%d>%s\n", priority, text);
    }
    else {
        fprintf(say->err, "%s: %s\n", say->program, text);
    }
    fflush(say->err);
}

/* $JOURNAL_STREAM has device and inode of the stream (systemd.exec(5)). */
static bool is_journal(FILE *err)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;

    return stream != NULL
        && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2
        && fstat(fileno(err), &st) == 0
        && (uintmax_t)st.st_dev == device && (uintmax_t)st.st_ino == inode;
}

/* ---- saying ---- */

void cq_say_open(struct cq_say *say, const char *program, FILE *err,
                 bool verbose)
{
    memset(say, 0, sizeof(*say));
    say->program = program;
    say->err = err;
    say->verbose = verbose;
    say->is_journal = is_journal(err);
}

/* Is it to be printed? Not twice in a pass, nor if the pass before did. */
static bool is_news(const struct cq_say *say, const char *topic)
{
    return !has_line(say->now, topic)
        && (say->repeats || !has_line(say->before, topic));
}

void cq_say_trouble(struct cq_say *say, const char *format, ...)
{
    char text[CQ_SAY_SIZE];
    va_list args;

    va_start(args, format);
    make_line(text, sizeof(text), format, args);
    va_end(args);
    say->troubles++;
    if (is_news(say, text)) {
        print_line(say, WARNING, text);
    }
    cq_say_keep(say, text);
}

void cq_say_state(struct cq_say *say, const char *topic,
                  const char *format, ...)
{
    char text[CQ_SAY_SIZE];
    va_list args;

    if (is_news(say, topic) && !say->is_silent_on_states) {
        va_start(args, format);
        make_line(text, sizeof(text), format, args);
        va_end(args);
        print_line(say, WARNING, text);
    }
    cq_say_keep(say, topic);
}

void cq_say_info(struct cq_say *say, const char *format, ...)
{
    char text[CQ_SAY_SIZE];
    va_list args;

    if (say->verbose || say->is_journal) {
        va_start(args, format);
        make_line(text, sizeof(text), format, args);
        va_end(args);
        print_line(say, INFO, text);
    }
}

void cq_say_begin(struct cq_say *say)
{
    free(say->before);
    say->before = say->now;
    say->now = NULL;
    say->troubles = 0;
}

void cq_say_close(struct cq_say *say)
{
    free(say->now);
    free(say->before);
}
