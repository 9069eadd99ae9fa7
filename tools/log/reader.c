/* reader - lines out of a log, of bounded memory whatever their length.
 *
 * The buffer holds bytes [begin, end) that were not given out. A line ends at
 * a line feed, or at a NUL: a crash leaves runs of these, between a line's
 * beginning and the next line. */
#include "log/log.h"

#include "log/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE (2 * CQ_LOG_LINE_MAX)

/* bytes of a bad line that are shown */
#define SHOWN_BYTES 60

/* Formats that are detected, the most particular first: a line of one is no
 * line of those before it. combined reads common, too. */
static const char *const candidates[] = { "vhost", "clamav", "combined",
                                          "pairs" };
#define CANDIDATE_N (sizeof(candidates) / sizeof(candidates[0]))

struct cq_log {
    const char *name;
    struct cq_prefixes prefixes;
    struct cq_log_report *report;
    const struct cq_log_format *format;     /* NULL: not known yet */
    uint64_t line_n;
    uint64_t size_bytes;
    bool is_skipping;           /* the rest of a line that is too long */
    bool is_in_line;            /* begin is not the beginning of line_n */
    bool is_end;                /* nothing more will be read */
    bool has_failed;
    size_t begin;
    size_t end;
    struct cq_log_input input;
    struct cq_log_format detected;
    char buffer[BUFFER_SIZE];
};

struct line {
    const char *at;
    size_t length;
    enum cq_log_end end;
};

/* ---- reports ---- */

static void report_line(struct cq_log *log, const struct line *line,
                        const char *why)
{
    struct cq_log_report *r = log->report;
    size_t i;

    if (r->bad_n++ >= CQ_LOG_REPORTS_MAX) {
        return;
    }
    fprintf(r->err, "%s: %s:%llu: expected %s: ", r->program, log->name,
            (unsigned long long)log->line_n, why);
    for (i = 0; i < line->length && i < SHOWN_BYTES; i++) {
        putc(line->at[i] >= ' ' && line->at[i] <= '~' ? line->at[i] : '?',
             r->err);
    }
    fputs(line->length > SHOWN_BYTES ? "...\n" : "\n", r->err);
    if (r->bad_n == CQ_LOG_REPORTS_MAX) {
        fprintf(r->err, "%s: further lines are only counted\n", r->program);
    }
}

static void report_name(struct cq_log *log)
{
    struct cq_log_report *r = log->report;

    if (r->no_client_n++ > 0) {
        return;
    }
    fprintf(r->err, "%s: %s:%llu: no address where the client stands, e.g. a "
            "name; lines without one count for no client (with "
            "\"HostnameLookups Off\" httpd logs addresses)\n", r->program,
            log->name, (unsigned long long)log->line_n);
}

/* ---- lines ---- */

/* Reads more behind end, which has room. */
static enum cq_log_next read_more(struct cq_log *log)
{
    const char *why = "";
    ssize_t n;

    if (log->begin > 0) {
        memmove(log->buffer, log->buffer + log->begin, log->end - log->begin);
        log->end -= log->begin;
        log->begin = 0;
    }
    n = cq_log_input_read(&log->input, log->buffer + log->end,
                          BUFFER_SIZE - log->end, &why);
    if (n == CQ_LOG_INPUT_WAIT) {
        return CQ_LOG_WAIT;
    }
    if (n == CQ_LOG_INPUT_FAILED) {
        fprintf(log->report->err, "%s: %s: %s\n", log->report->program,
                log->name, why);
        log->report->failed_n++;
        log->has_failed = true;
    }
    if (n <= 0) {
        log->is_end = true;
        return CQ_LOG_END;
    }
    log->end += (size_t)n;
    return CQ_LOG_RECORD;
}

/* Cuts a line of length bytes off the buffer, and `skip` bytes behind it. */
static void cut_line(struct cq_log *log, size_t length, size_t skip,
                     struct line *line)
{
    line->at = log->buffer + log->begin;
    line->length = length;
    log->begin += length + skip;
    while (line->length > 0 && line->at[line->length - 1] == '\r') {
        line->length--;
    }
}

/* The next line of the buffer. False: it holds no whole one. */
static bool find_line(struct cq_log *log, struct line *line)
{
    while (log->begin < log->end) {
        const char *at = log->buffer + log->begin;
        size_t n = log->end - log->begin;
        const char *feed = memchr(at, '\n', n);
        size_t length = feed != NULL ? (size_t)(feed - at) : n;
        const char *nul = memchr(at, '\0', length);

        if (nul != NULL) {
            length = (size_t)(nul - at);
            line->end = CQ_LOG_CUT;
        }
        else if (feed != NULL) {
            line->end = CQ_LOG_WHOLE;
        }
        else if (log->is_end) {
            line->end = log->is_skipping || log->has_failed ? CQ_LOG_CUT
                                                            : CQ_LOG_WHOLE;
        }
        else if (n > CQ_LOG_LINE_MAX) {
            line->end = CQ_LOG_CUT;
        }
        else {
            return false;
        }
        cut_line(log, length, nul != NULL || feed != NULL, line);
        log->line_n += !log->is_in_line;
        log->is_in_line = nul != NULL || feed == NULL;
        if (log->is_skipping) {
            log->is_skipping = nul == NULL && feed == NULL;
            continue;
        }
        log->is_skipping = nul == NULL && feed == NULL && !log->is_end;
        if (line->length > 0) {
            return true;
        }
    }
    return false;
}

static enum cq_log_next next_line(struct cq_log *log, struct line *line)
{
    while (!find_line(log, line)) {
        enum cq_log_next result = log->is_end ? CQ_LOG_END : read_more(log);

        if (result == CQ_LOG_WAIT
            || (result == CQ_LOG_END && log->begin == log->end)) {
            return result;
        }
    }
    return CQ_LOG_RECORD;
}

/* ---- formats ---- */

/* Lines of the buffer that a format reads, with an address as the client. */
static size_t count_lines(const struct cq_log *log,
                          const struct cq_log_format *format)
{
    const char *at = log->buffer + log->begin, *end = log->buffer + log->end;
    struct cq_log_record record;
    size_t n = 0;

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length;

        if (stop == NULL && !log->is_end) {
            break;
        }
        stop = stop != NULL ? stop : end;
        length = (size_t)(stop - at);
        while (length > 0 && at[length - 1] == '\r') {
            length--;
        }
        n += cq_log_read_line(format, log->prefixes, at, length, CQ_LOG_WHOLE,
                              &record) == NULL && record.has_client;
        at = stop + 1;
    }
    return n;
}

/* Detects the format from the lines of the buffer. While no line is understood,
 * more are read; a buffer full of such counts as combined. */
static enum cq_log_next detect_format(struct cq_log *log)
{
    for (;;) {
        size_t i, best_n = 0;
        const char *best = "combined";
        enum cq_log_next result;

        for (i = 0; i < CANDIDATE_N; i++) {
            size_t n;

            cq_log_format_compile(&log->detected, candidates[i], NULL, 0);
            n = count_lines(log, &log->detected);
            if (n > best_n) {
                best_n = n;
                best = candidates[i];
            }
        }
        if (best_n > 0 || log->is_end || log->end == BUFFER_SIZE) {
            cq_log_format_compile(&log->detected, best, NULL, 0);
            log->format = &log->detected;
            return CQ_LOG_RECORD;
        }
        result = read_more(log);
        if (result == CQ_LOG_WAIT) {
            return result;
        }
    }
}

/* ---- the log ---- */

enum cq_status cq_log_open(const char *name, const struct cq_log_format *format,
                           struct cq_prefixes prefixes,
                           struct cq_log_report *shared, struct cq_log **result)
{
    bool is_stdin = strcmp(name, "-") == 0;
    struct cq_log *log = calloc(1, sizeof(*log));
    struct stat st;
    int failed;

    if (log == NULL) {
        return CQ_ENOMEM;
    }
    log->input.fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (log->input.fd < 0 || fstat(log->input.fd, &st) != 0) {
        failed = errno;
        cq_log_close(log);
        errno = failed;
        return CQ_EIO;
    }
    log->size_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    log->name = is_stdin ? "standard input" : name;
    log->format = format;
    log->prefixes = prefixes;
    log->report = shared;
    *result = log;
    return CQ_OK;
}

enum cq_log_next cq_log_next(struct cq_log *log, struct cq_log_record *record)
{
    enum cq_log_next result;
    struct line line;

    if (log->format == NULL && (result = detect_format(log)) != CQ_LOG_RECORD) {
        return result;
    }
    while ((result = next_line(log, &line)) == CQ_LOG_RECORD) {
        const char *why = cq_log_read_line(log->format, log->prefixes, line.at,
                                           line.length, line.end, record);

        log->report->line_n++;
        if (why == NULL) {
            if (!record->has_client) {
                report_name(log);
            }
            return CQ_LOG_RECORD;
        }
        report_line(log, &line, why);
    }
    return result;
}

void cq_log_stop(struct cq_log *log)
{
    log->is_end = true;
}

int cq_log_fd(const struct cq_log *log)
{
    return log->input.fd;
}

const struct cq_log_format *cq_log_get_format(const struct cq_log *log)
{
    return log->format;
}

const char *cq_log_name(const struct cq_log *log)
{
    return log->name;
}

void cq_log_progress(const struct cq_log *log, uint64_t *read_bytes,
                     uint64_t *size_bytes)
{
    *read_bytes = log->input.read_bytes;
    *size_bytes = log->size_bytes;
}

void cq_log_close(struct cq_log *log)
{
    cq_log_input_end(&log->input);
    if (log->input.fd > STDERR_FILENO) {
        close(log->input.fd);
    }
    free(log);
}
