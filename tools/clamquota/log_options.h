/* log_options - the options that replay and feed share: how to read a line, and
 * what a quota makes of it. */
#ifndef CQ_CLAMQUOTA_LOG_OPTIONS_H
#define CQ_CLAMQUOTA_LOG_OPTIONS_H

#include "cli/options.h"
#include "core/period.h"
#include "core/units.h"
#include "log/log.h"

#include <regex.h>

/* as given on the command line */
struct cq_log_options {
    const char *format;         /* NULL: detected */
    const char *period;         /* NULL: not given */
    const char *free;           /* NULL: not given */
    int64_t grace_bytes;
};

/* Rows of a table of options.
 * @param at  offset of the struct above */
#define CQ_LOG_OPTIONS(at) \
    { .name = "format", .value = "FORMAT", .kind = CQ_OPTION_TEXT, \
      .offset = (at) + offsetof(struct cq_log_options, format), .least = 1, \
      .most = CQ_LOG_FORMAT_SIZE - 1, \
      .expected = "the name of a format or a LogFormat string, e.g. " \
          "--format combined", \
      .help = "common, combined, vhost, clamav, pairs or a LogFormat\n" \
          "string [detected]" }, \
    { .name = "grace", .value = "SIZE", .kind = CQ_OPTION_SIZE, \
      .offset = (at) + offsetof(struct cq_log_options, grace_bytes), \
      .least = 0, .most = CQ_SIZE_MAX_BYTES, \
      .expected = "a size up to 4T, e.g. --grace 200M", \
      .help = "once a period, as ClamQuotaGrace [0]" }, \
    { .name = "period", .value = "PERIOD", .kind = CQ_OPTION_TEXT, \
      .offset = (at) + offsetof(struct cq_log_options, period), .least = 1, \
      .most = 9, .expected = CQ_LOG_PERIOD_EXPECTED, \
      .help = "Month, Week or Day, as ClamQuotaPeriod [Month;\n" \
          "feed: that of the table]" }, \
    { .name = "free", .value = "REGEX", .kind = CQ_OPTION_TEXT, \
      .offset = (at) + offsetof(struct cq_log_options, free), .least = 1, \
      .most = 1000, .expected = CQ_LOG_FREE_EXPECTED, \
      .help = "paths that are counted apart and never refused" }

#define CQ_LOG_PERIOD_EXPECTED "Month, Week or Day, e.g. --period Week"
#define CQ_LOG_FREE_EXPECTED \
    "an extended regular expression, e.g. --free '\\.(cdiff|sign)$'"

/* Their values. Must not be moved. */
struct cq_log_values {
    const struct cq_log_format *format; /* NULL: to be detected */
    const regex_t *free;        /* NULL: no path is free */
    enum cq_period_kind kind;   /* 0: not given */
    struct cq_log_format format_memory;
    regex_t free_memory;
};

/** Compiles what was given, or prints a sentence.
 * @param program  stands before it
 * @return false after the sentence */
bool cq_log_options_compile(const struct cq_log_options *options,
                            const char *program, FILE *err,
                            struct cq_log_values *values);

void cq_log_values_free(struct cq_log_values *values);

#endif
