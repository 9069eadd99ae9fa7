/* log - access logs: bytes in, one record a line out.
 *
 * Reads what httpd, nginx and the 2012 chain write: plain or gzip, from files
 * and pipes. Trusts no byte: a line that cannot be read is counted, reported
 * and skipped. Knows core and zlib, nothing of httpd or of the table. One
 * reader belongs to one thread. Allocates only in cq_log_open(). */
#ifndef CQ_LOG_H
#define CQ_LOG_H

#include "core/key.h"

#include <stdio.h>

/* A line counts by its first 128 KiB. httpd's longest line
 * is two headers of 8,190 bytes and a request line, each byte as \xHH. */
#ifndef CQ_LOG_LINE_MAX
#define CQ_LOG_LINE_MAX ((size_t)128 << 10)
#endif

/* bytes of a LogFormat string, and directives in it */
#define CQ_LOG_FORMAT_SIZE 1024
#define CQ_LOG_FIELDS_MAX 48

/* bad lines that are reported one by one; the rest is only counted */
#define CQ_LOG_REPORTS_MAX 10

/* what a log's figure of bytes counts */
enum cq_log_figure {
    CQ_LOG_UNKNOWN = 0, /* "combined" is used with %b and with %O */
    CQ_LOG_BODY,        /* %B, %b: the body that was to be sent */
    CQ_LOG_SENT         /* %O: headers and body, as far as they were sent */
};

/* bytes of the line, as logged: with \" and \xHH. Valid until the next call */
struct cq_log_text {
    const char *at;
    size_t length;
};

struct cq_log_record {
    struct cq_key client;       /* cut to the reader's prefixes */
    bool has_client;            /* false: a name, or "-" */
    bool has_time;
    int16_t status;             /* 100..999; 0: not logged */
    int64_t time_s;             /* unix seconds */
    int64_t bytes;              /* %O, else %B, else %b; "-" is 0 */
    int64_t body_bytes;         /* %B or %b; -1: not logged, or not
                                 * known as these */
    struct cq_log_text vhost;   /* %v */
    struct cq_log_text method;  /* empty: the request was none */
    struct cq_log_text path;    /* without scheme, host and query */
    struct cq_log_text agent;
};

/* A directive and the text behind it. */
struct cq_log_field {
    uint8_t kind;               /* fields.h */
    bool is_quoted;
    const char *date;           /* for strptime() */
    const char *after;
    size_t after_length;
};

/* A LogFormat string, compiled. Must not be moved: it points into itself. */
struct cq_log_format {
    struct cq_log_field fields[CQ_LOG_FIELDS_MAX];
    size_t field_n;
    size_t needed_n;            /* a line may end behind this field */
    size_t before_length;       /* of text, before the first field */
    bool has_time;
    bool has_zone;              /* else times are those of TZ */
    enum cq_log_figure figure;
    char text[2 * CQ_LOG_FORMAT_SIZE];
};

/** Compiles the name of a format (common, combined, vhost, clamav, pairs) or a
 * LogFormat string, with or without the backslashes of httpd.conf.
 * @param why  on failure one clause: what is wrong and what was expected
 * @return CQ_OK or CQ_EINVAL */
enum cq_status cq_log_format_compile(struct cq_log_format *format,
                                     const char *text, char *why,
                                     size_t why_size);

/* What the readers of one program share: where they report, and counts. */
struct cq_log_report {
    FILE *err;
    const char *program;
    uint64_t line_n;
    uint64_t bad_n;             /* lines that could not be read */
    uint64_t failed_n;          /* logs that could not be read to their end */
    uint64_t no_client_n;       /* records without a client */
};

struct cq_log;

/** Opens a log.
 * @param name      a file, or "-" for standard input
 * @param format    compiled, kept by the caller; NULL: detected from the
 *                  first lines
 * @param prefixes  how much of an address is a client
 * @param report    kept by the caller
 * @param log       result
 * @return CQ_OK, CQ_EIO (see errno) or CQ_ENOMEM */
enum cq_status cq_log_open(const char *name, const struct cq_log_format *format,
                           struct cq_prefixes prefixes,
                           struct cq_log_report *report, struct cq_log **log);

enum cq_log_next {
    CQ_LOG_RECORD,
    CQ_LOG_WAIT,    /* read() was interrupted or would block: call again */
    CQ_LOG_END
};

/** The next record. Lines that cannot be read are reported and skipped, a
 * read error is reported and ends the log. */
enum cq_log_next cq_log_next(struct cq_log *log, struct cq_log_record *record);

/** Takes what was read for the whole log: the calls behind it read no more.
 * A last line without its line feed is then read as it stands. */
void cq_log_stop(struct cq_log *log);

/** The file descriptor, for poll(). */
int cq_log_fd(const struct cq_log *log);

/** The format in use; NULL until it is detected, before the first record. */
const struct cq_log_format *cq_log_get_format(const struct cq_log *log);

/** The name it was opened by. */
const char *cq_log_name(const struct cq_log *log);

/** Bytes of the file that were read so far, and its size (0: unknown). */
void cq_log_progress(const struct cq_log *log, uint64_t *read_bytes,
                     uint64_t *size_bytes);

void cq_log_close(struct cq_log *log);

enum cq_log_end { CQ_LOG_WHOLE, CQ_LOG_CUT /* the end is missing */ };

/** Reads one line by a format: what the readers do, and the fuzzer.
 * @param line    without its line feed; any bytes
 * @param record  result; untouched fields are zero
 * @return NULL, or what was expected where the line is wrong (static) */
const char *cq_log_read_line(const struct cq_log_format *format,
                             struct cq_prefixes prefixes, const char *line,
                             size_t length, enum cq_log_end end,
                             struct cq_log_record *record);

#endif
