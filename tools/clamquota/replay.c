/* replay - clamquota replay: what would these quotas have done to these access
 * logs. Reads several logs at once, in the order of their times. */
#include "clamquota/command.h"

#include "clamquota/replay_read.h"
#include "cli/attach.h"
#include "cli/options.h"
#include "core/units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOGS_MAX 900            /* open files, below a process's 1,024 */

#define DAILY_EXPECTED "1 to 8 sizes, e.g. --daily 20M,50M,100M"

static const struct cq_option options[] = {
    { .name = "daily", .value = "SIZE,...", .kind = CQ_OPTION_TEXT,
      .offset = offsetof(struct cq_replay_options, daily), .least = 1,
      .most = 200, .expected = DAILY_EXPECTED,
      .help = "the quotas, as ClamQuotaDaily [20M,50M,100M]" },
    CQ_LOG_OPTIONS(offsetof(struct cq_replay_options, log)),
    { .name = "copies", .value = "N", .kind = CQ_OPTION_NUMBER,
      .offset = offsetof(struct cq_replay_options, copies_n), .least = 1,
      .most = 1000000,
      .expected = "a number of copies from 1 to 1000000, e.g. --copies 4",
      .help = "of one file a day, as ClamQuotaCopies [no limit]" },
    { .name = "table", .value = "FILE", .kind = CQ_OPTION_FILE,
      .offset = offsetof(struct cq_replay_options, table),
      .help = "the counters whose ClamQuotaPrefix defines a client\n"
          "[an IPv4 address or an IPv6 /64]" },
    { .name = "json", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct cq_replay_options, json), .help = "as JSON" },
    { .name = "csv", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct cq_replay_options, csv),
      .help = "comma-separated values" }
};

static const struct cq_program program = {
    .name = "clamquota replay",
    .usage = "Usage: clamquota replay [OPTION]... LOG...\n"
        "Shows the effect that quotas would have had on the requests of\n"
        "access logs, plain or gzip; \"-\" is standard input.\n\n",
    .more = "\nDays begin at midnight of the time zone of this command (TZ).\n"
        "Exit status: 0 done, 1 a part could not be read, 2 usage, 4\n"
        "not permitted, 6 no table.\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0]),
    .operand_n = LOGS_MAX
};

/* ---- options ---- */

static enum cq_exit misused(const struct cq_replay_run *run, const char *option,
                            const char *value, const char *expected)
{
    fprintf(run->err, "clamquota replay: --%s \"%s\": expected %s\n", option,
            value, expected);
    return CQ_EXIT_USAGE;
}

static int compare_quotas(const void *a, const void *b)
{
    const struct cq_policy *x = a, *y = b;

    return (x->daily_bytes > y->daily_bytes) - (x->daily_bytes
                                                < y->daily_bytes);
}

static bool read_quotas(struct cq_replay *replay, const char *text,
                        int64_t grace_bytes)
{
    char size[CQ_SIZE_TEXT_SIZE];
    size_t n;

    for (;; text += n + 1) {
        struct cq_policy *quota = &replay->quotas[replay->quota_n];

        n = strcspn(text, ",");
        if (replay->quota_n == CQ_REPLAY_QUOTAS_MAX || n >= sizeof(size)) {
            return false;
        }
        memcpy(size, text, n);
        size[n] = '\0';
        if (cq_size_parse(size, &quota->daily_bytes) != CQ_OK
            || quota->daily_bytes == 0) {
            return false;
        }
        quota->grace_bytes = grace_bytes;
        replay->quota_n++;
        if (text[n] == '\0') {
            qsort(replay->quotas, replay->quota_n, sizeof(*quota),
                  compare_quotas);
            return true;
        }
    }
}

static enum cq_exit apply_options(struct cq_replay_run *run)
{
    const struct cq_replay_options *o = &run->options;
    struct cq_replay *replay = &run->replay;

    if (!read_quotas(replay, o->daily, o->log.grace_bytes)) {
        return misused(run, "daily", o->daily, DAILY_EXPECTED);
    }
    replay->copies_n = o->copies_n;
    if (!cq_log_options_compile(&o->log, program.name, run->err,
                                &run->values)) {
        return CQ_EXIT_USAGE;
    }
    replay->kind = run->values.kind != 0 ? run->values.kind : CQ_PERIOD_MONTH;
    if (run->values.format != NULL && !run->values.format->has_time) {
        return misused(run, "format", o->log.format, "one with a time (%t)");
    }
    if (o->json && o->csv) {
        fputs("clamquota replay: --json and --csv: expected one of them\n",
              run->err);
        return CQ_EXIT_USAGE;
    }
    return CQ_EXIT_DONE;
}

/* The table is asked for nothing else: what a replay decides by is its own. */
static enum cq_exit read_prefixes(struct cq_replay_run *run)
{
    struct cq_table *table;
    char why[CQ_WHY_SIZE];
    enum cq_exit result;

    if (run->options.table == NULL) {
        return CQ_EXIT_DONE;
    }
    result = cq_attach_open(run->options.table, CQ_ATTACH_READ, &table, why,
                            sizeof(why));
    if (result != CQ_EXIT_DONE) {
        fprintf(run->err, "clamquota replay: %s\n", why);
        return result;
    }
    run->prefixes = cq_table_prefixes(table);
    cq_tablefile_close(table);
    return CQ_EXIT_DONE;
}

/* ---- the whole ---- */

static enum cq_exit finish(struct cq_replay_run *run, FILE *out)
{
    struct cq_replay *replay = &run->replay;

    if (isatty(fileno(run->err)) != 0) {
        fputs("\r\033[K", run->err);
    }
    cq_replay_end(replay);
    run->logs.line_n = run->report.line_n;
    run->logs.bad_n = run->report.bad_n;
    run->logs.failed_n = run->report.failed_n;
    run->logs.no_client_n = run->report.no_client_n;
    if (replay->is_out_of_memory) {
        fprintf(run->err, "clamquota replay: out of memory after %" PRIu64
                " lines; nothing is shown\n", run->report.line_n);
        return CQ_EXIT_PARTLY;
    }
    if (run->options.json) {
        cq_replay_print_json(replay, &run->logs, out);
    }
    else if (run->options.csv) {
        cq_replay_print_csv(replay, out);
    }
    else {
        cq_replay_print_text(replay, &run->logs, out);
    }
    return run->logs.bad_n > 0 || run->logs.failed_n > 0
        || run->logs.ahead_n > 0 ? CQ_EXIT_PARTLY : CQ_EXIT_DONE;
}

static enum cq_exit replay_logs(struct cq_replay_run *run, char **names,
                                size_t n, FILE *out)
{
    enum cq_exit result = CQ_EXIT_PARTLY;

    if (cq_replay_begin(&run->replay) && cq_replay_read(run, names, n)) {
        result = finish(run, out);
    }
    else {
        fputs("clamquota replay: out of memory\n", run->err);
    }
    cq_replay_free(&run->replay);
    return result;
}

enum cq_exit cq_command_replay(int argc, char **argv, FILE *out, FILE *err)
{
    struct cq_replay_run *run = calloc(1, sizeof(*run));
    enum cq_exit result = CQ_EXIT_USAGE;
    int first;

    if (run == NULL) {
        fputs("clamquota replay: out of memory\n", err);
        return CQ_EXIT_PARTLY;
    }
    run->options = (struct cq_replay_options){ .daily = "20M,50M,100M" };
    run->report = (struct cq_log_report){ .err = err,
                                          .program = "clamquota replay" };
    run->prefixes = (struct cq_prefixes){ 32, 64 };
    run->err = err;
    run->now_s = time(NULL);
    switch (cq_options_read(&program, &run->options, argc, argv, &first, out,
                            err)) {
    case CQ_OPTIONS_DONE:
        result = CQ_EXIT_DONE;
        break;
    case CQ_OPTIONS_RUN:
        if (first == argc) {
            fputs("clamquota replay: no log; expected e.g. clamquota replay "
                  "/var/log/apache2/access.log\n", err);
            break;
        }
        result = apply_options(run);
        if (result == CQ_EXIT_DONE) {
            result = read_prefixes(run);
        }
        if (result == CQ_EXIT_DONE) {
            result = replay_logs(run, argv + first, (size_t)(argc - first),
                                 out);
        }
        break;
    case CQ_OPTIONS_WRONG:
        break;
    }
    cq_log_values_free(&run->values);
    free(run);
    return result;
}
