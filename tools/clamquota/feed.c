/* feed - clamquota feed: counts the lines of an access log as they come, into
 * a table that clamquota-sync, report and export read.
 *
 * One thread and no queue: a line is counted before the next one is read. A
 * timer's signal interrupts a read() that waits, for the housekeeping. What a
 * kill -9 loses is what was read and not counted, at most 256 KiB of text. */
#include "clamquota/command.h"

#include "clamquota/feed_table.h"
#include "clamquota/line.h"
#include "clamquota/log_options.h"
#include "core/paths.h"
#include "table/exempt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* httpd logs at the end of a response and writes when it began: a line this
 * much older than the period may tell of bytes that were sent in it. */
#define LATE_S 3600

struct options {
    struct cq_log_options log;
    int64_t daily_bytes;        /* 0: none */
    struct cq_texts pools;
    int64_t clients_n;
    bool until_end;
    const char *table;
};

#define AT(member) offsetof(struct options, member)

static const struct cq_option option_table[] = {
    CQ_LOG_OPTIONS(AT(log)),
    { .name = "daily", .value = "SIZE", .kind = CQ_OPTION_SIZE,
      .offset = AT(daily_bytes), .least = 1, .most = CQ_SIZE_MAX_BYTES,
      .expected = "a size from 1 byte to 4T, e.g. --daily 50M",
      .help = "as ClamQuotaDaily [none: only count]" },
    { .name = "pool", .value = "NAME", .kind = CQ_OPTION_POOLS,
      .offset = AT(pools), .help = "as ClamQuotaPool [default]" },
    { .name = "clients", .value = "N", .kind = CQ_OPTION_NUMBER,
      .offset = AT(clients_n), .least = 1, .most = 100000000,
      .expected = "a number from 1 to 100000000, e.g. --clients 1000000",
      .help = "clients of a period [as the table; 262144 for a new one]" },
    { .name = "until-end", .offset = AT(until_end),
      .help = "for CustomLog: SIGTERM hands the table to the next feed\n"
              "and the end of the input ends this one" },
    { .name = "table", .value = "FILE", .kind = CQ_OPTION_FILE,
      .offset = AT(table), .help = "the counters [" CQ_TABLE_PATH "]" }
};

static const struct cq_program program = {
    .name = "clamquota feed",
    .usage = "Usage: clamquota feed [OPTION]...\n"
        "Counts the lines of an access log from standard input into a table,\n"
        "which is made if there is none: a quota for a server of any kind.\n"
        "\n",
    .more = "\nExit status: 0 done, 1 some lines could not be read, 2 usage,\n"
        "4 not permitted, 6 the table cannot be used, e.g. as a server "
        "does.\n",
    .options = option_table,
    .option_n = sizeof(option_table) / sizeof(option_table[0])
};

struct feed {
    struct options options;
    struct cq_log_values values;
    struct cq_feed_table table;
    struct cq_log_report report;
    struct cq_log *log;
    struct cq_clock clock;      /* of the last line */
    struct cq_period period;
    uint64_t past_n;            /* lines of past periods */
    bool is_stopping;
    uint64_t stop_bytes;        /* then: to be read to the end */
};

static volatile sig_atomic_t end_signals, is_tick_due;

/* ---- the command line ---- */

static bool check_options(struct feed *feed)
{
    const struct options *o = &feed->options;

    if (o->pools.count > 1) {
        fprintf(feed->report.err, "%s: --pool \"%s\": expected one pool\n",
                program.name, o->pools.texts[1]);
        return false;
    }
    feed->table.path = o->table;
    feed->table.clients_n = o->clients_n;
    feed->table.pool_name = o->pools.count > 0 ? o->pools.texts[0]
                                               : "default";
    feed->table.policy.daily_bytes = o->daily_bytes > 0 ? o->daily_bytes
                                                        : CQ_UNLIMITED;
    feed->table.policy.grace_bytes = o->log.grace_bytes;
    if (!cq_log_options_compile(&o->log, program.name, feed->report.err,
                                &feed->values)) {
        return false;
    }
    feed->table.kind = feed->values.kind;
    return true;
}

/* ---- one line ---- */

/* Sets the clock to when the line was logged: a log that is fed late has its
 * bytes on the days that they were sent.
 * @return false: it belongs to a past period */
static bool set_clock(struct feed *feed, const struct cq_log_record *line)
{
    int64_t now_s = (int64_t)time(NULL);
    int64_t at_s = line->has_time && line->time_s < now_s ? line->time_s
                                                          : now_s;

    if (at_s != feed->clock.now_s) {
        cq_table_clock(feed->table.table, at_s, &feed->clock);
    }
    if (feed->clock.period_id != feed->period.id) {
        cq_table_period(feed->table.table, &feed->period);
    }
    if (at_s >= feed->period.midnight_s[0]) {
        return true;
    }
    if (at_s >= feed->period.midnight_s[0] - LATE_S) {
        cq_table_clock(feed->table.table, feed->period.midnight_s[0],
                       &feed->clock);
        return true;
    }
    if (feed->past_n++ == 0) {
        fputs("clamquota feed: a line is older than the period: it is not "
              "counted, nor are further ones\n", feed->report.err);
    }
    return false;
}

static void charge(struct feed *feed, struct cq_account *account,
                   int64_t bytes, bool is_free)
{
    struct cq_table *table = feed->table.table;

    if (is_free) {
        cq_account_charge_free(account, &feed->clock, bytes);
    }
    else {
        cq_account_charge(account, &feed->clock, bytes);
    }
    cq_account_count_hit(account, &feed->clock);
    cq_table_total_add(table, feed->table.pool,
                       is_free ? CQ_TOTAL_FREE : CQ_TOTAL_SENT, bytes);
    cq_table_total_add(table, feed->table.pool, CQ_TOTAL_HITS, 1);
}

static void refuse(struct feed *feed, struct cq_account *account,
                   int64_t bytes)
{
    struct cq_table *table = feed->table.table;

    cq_account_count_refusal(account, &feed->clock, CQ_STATE_OVER);
    cq_table_total_add(table, feed->table.pool, CQ_TOTAL_REFUSED, 1);
    cq_table_total_add(table, feed->table.pool, CQ_TOTAL_REFUSED_BYTES,
                       bytes);
}

/* Is the small range one of those that are free today? */
static bool grant_range(struct feed *feed, struct cq_account *account,
                        int64_t bytes)
{
    return cq_account_free_range(account, &feed->clock, bytes) - bytes
        < CQ_LINE_RANGE_DAILY_BYTES;
}

/* May the client have a whole response? */
static bool is_admitted(struct feed *feed, struct cq_account *account,
                        const struct cq_key *client)
{
    const struct cq_policy *policy = &feed->table.policy;
    struct cq_exempt_answer unknown = { 0, 0 };

    return policy->daily_bytes == CQ_UNLIMITED
        || cq_exempt_covers(feed->table.table, client, feed->clock.now_s,
                            &unknown)
        || cq_account_admit(account, &feed->clock,
                            cq_policy_allowance(policy, feed->clock.day), 0,
                            NULL) == CQ_OK;
}

static void count(struct feed *feed, const struct cq_log_record *line)
{
    struct cq_account account;
    enum cq_line_column column;
    bool is_free;

    if (!line->has_client || !set_clock(feed, line)) {
        return;
    }
    /* without a row: tallied by the table, and counted in the totals */
    (void)cq_account_open(feed->table.table, feed->table.pool, &line->client,
                          &feed->clock, &account);
    cq_account_mark(&account, feed->table.policy_index, CQ_ORIGIN_PEER);
    column = cq_line_find_column(line, feed->values.free);
    is_free = column == CQ_LINE_FREE
        || (column == CQ_LINE_SMALL_RANGE
            && grant_range(feed, &account, line->bytes));
    if (is_free || is_admitted(feed, &account, &line->client)) {
        charge(feed, &account, line->bytes, is_free);
    }
    else {
        refuse(feed, &account, line->bytes);
    }
    cq_account_close(&account);
}

/* ---- all of them ---- */

static void note_signal(int signal)
{
    if (signal == SIGALRM) {
        is_tick_due = 1;
    }
    else {
        end_signals++;
    }
}

/* A signal interrupts read(): without SA_RESTART. */
static void catch_signals(void)
{
    const struct itimerval each_second = { { 1, 0 }, { 1, 0 } };
    static const int signals[] = { SIGALRM, SIGTERM, SIGINT, SIGHUP };
    struct sigaction action;
    size_t i;

    end_signals = is_tick_due = 0;
    memset(&action, 0, sizeof(action));
    action.sa_handler = note_signal;
    sigemptyset(&action.sa_mask);
    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &action, NULL);
    }
    setitimer(ITIMER_REAL, &each_second, NULL);
}

/* Reads what the pipe holds at this moment, and no more. Of a file nothing:
 * it stays. */
static void begin_stop(struct feed *feed)
{
    struct stat st;
    int waiting = 0;

    if (fstat(cq_log_fd(feed->log), &st) != 0 || S_ISREG(st.st_mode)
        || ioctl(cq_log_fd(feed->log), FIONREAD, &waiting) != 0) {
        waiting = 0;
    }
    cq_log_progress(feed->log, &feed->stop_bytes, &(uint64_t){ 0 });
    feed->stop_bytes += (uint64_t)waiting;
    feed->is_stopping = true;
}

/* Does what a signal asked for. */
static enum cq_exit handle_signals(struct feed *feed)
{
    uint64_t read_bytes, size_bytes;

    if (end_signals > (feed->options.until_end ? 1 : 0) && !feed->is_stopping) {
        begin_stop(feed);
    }
    else if (end_signals > 0 && !feed->is_stopping && feed->table.has_lock) {
        return cq_feed_table_hand_over(&feed->table);
    }
    if (feed->is_stopping) {
        cq_log_progress(feed->log, &read_bytes, &size_bytes);
        if (read_bytes >= feed->stop_bytes) {
            cq_log_stop(feed->log);
        }
    }
    if (is_tick_due == 0) {
        return CQ_EXIT_DONE;
    }
    is_tick_due = 0;
    return cq_feed_table_tick(&feed->table);
}

static enum cq_exit count_lines(struct feed *feed)
{
    enum cq_exit result = CQ_EXIT_DONE;
    enum cq_log_next next = CQ_LOG_WAIT;
    struct cq_log_record line;

    while (result == CQ_EXIT_DONE && next != CQ_LOG_END) {
        next = cq_log_next(feed->log, &line);
        if (next == CQ_LOG_RECORD) {
            count(feed, &line);
        }
        if (is_tick_due != 0 || end_signals > 0) {
            result = handle_signals(feed);
        }
    }
    return result == CQ_EXIT_DONE
        && (feed->report.bad_n > 0 || feed->report.failed_n > 0)
        ? CQ_EXIT_PARTLY : result;
}

static void report_totals(const struct feed *feed)
{
    const struct cq_log_report *r = &feed->report;

    if (r->bad_n > 0 || r->no_client_n > 0 || feed->past_n > 0) {
        fprintf(r->err, "clamquota feed: %llu lines: %llu could not be read, "
                "%llu had no address, %llu were older than the period\n",
                (unsigned long long)r->line_n, (unsigned long long)r->bad_n,
                (unsigned long long)r->no_client_n,
                (unsigned long long)feed->past_n);
    }
}

static enum cq_exit run(struct feed *feed)
{
    enum cq_exit result = cq_feed_table_open(&feed->table);

    if (result != CQ_EXIT_DONE) {
        return result;
    }
    catch_signals();
    if (cq_log_open("-", feed->values.format,
                    cq_table_prefixes(feed->table.table), &feed->report,
                    &feed->log) == CQ_OK) {
        result = count_lines(feed);
        report_totals(feed);
        cq_log_close(feed->log);
    }
    else {
        fprintf(feed->report.err, "clamquota feed: standard input: %s\n",
                strerror(errno));
        result = CQ_EXIT_PARTLY;
    }
    cq_tablefile_close(feed->table.table);
    return result;
}

enum cq_exit cq_command_feed(int argc, char **argv, FILE *out, FILE *err)
{
    static struct feed feed;    /* large for a stack */
    enum cq_exit result;
    int first;

    memset(&feed, 0, sizeof(feed));
    feed.options.table = CQ_TABLE_PATH;
    feed.table.err = err;
    feed.report.err = err;
    feed.report.program = program.name;
    switch (cq_options_read(&program, &feed.options, argc, argv, &first, out,
                            err)) {
    case CQ_OPTIONS_RUN:
        break;
    case CQ_OPTIONS_DONE:
        return CQ_EXIT_DONE;
    case CQ_OPTIONS_WRONG:
        return CQ_EXIT_USAGE;
    }
    if (!check_options(&feed)) {
        return CQ_EXIT_USAGE;
    }
    result = run(&feed);
    cq_log_values_free(&feed.values);
    return result;
}
