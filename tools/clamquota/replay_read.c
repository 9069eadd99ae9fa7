/* replay_read - the lines of several logs, in the order of their times, as
 * requests of clients. */
#include "clamquota/replay_read.h"

#include "clamquota/line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The clock is read again after this many lines. */
#define PROGRESS_LINES 65536

/* A request's time may be ahead of this machine's by this much. */
#define AHEAD_S 86400

/* ---- records ---- */

/* What another quota refused was asked for as a file; its size is not known. */
static enum cq_replay_column find_column(const struct cq_replay_run *run,
                                         const struct cq_log_record *record)
{
    static const enum cq_replay_column columns[] = {
        [CQ_LINE_USED] = CQ_REPLAY_USED, [CQ_LINE_FREE] = CQ_REPLAY_FREE,
        [CQ_LINE_SMALL_RANGE] = CQ_REPLAY_RANGE
    };

    return record->status == 429 ? CQ_REPLAY_REFUSED
        : columns[cq_line_find_column(record, run->values.free)];
}

static void find_file(struct cq_replay_run *run,
                      const struct cq_log_record *record,
                      struct cq_request *request)
{
    struct cq_rows *files = &run->replay.files;
    const uint64_t host = cq_hash_text(&files->seed, record->vhost.at,
                                       record->vhost.length, NULL, 0);
    const uint64_t key[CQ_ROWS_KEY_WORDS] = {
        cq_hash_text(&files->seed, record->path.at, record->path.length, &host,
                     1), 0, 0 };

    request->is_copy = cq_rows_find(files, key, &request->file) != NULL;
}

static void add_record(struct cq_replay_run *run,
                       const struct cq_log_record *record)
{
    struct cq_request request = {
        .bytes = (uint64_t)record->bytes, .client = CQ_NO_CLIENT,
        .family = (uint8_t)cq_family_find(record->agent.at,
                                          record->agent.length),
        .column = (uint8_t)find_column(run, record)
    };
    struct cq_replay *replay = &run->replay;

    if (record->time_s > run->now_s + AHEAD_S) {
        run->logs.ahead_n++;
        return;
    }
    /* no counter adds up to more */
    if (record->bytes > CQ_BYTES_MAX) {
        request.bytes = CQ_BYTES_MAX;
    }
    if (record->has_client) {
        uint64_t key[CQ_ROWS_KEY_WORDS] = { 0 };

        memcpy(key, &record->client, sizeof(record->client));
        if (cq_rows_find(&replay->clients, key, &request.client) == NULL) {
            replay->is_out_of_memory = true;
            return;
        }
    }
    if (replay->copies_n > 0 && request.column == CQ_REPLAY_USED
        && record->has_client && record->path.length > 0) {
        find_file(run, record, &request);
    }
    cq_replay_add(replay, record->time_s, &request);
}

/* ---- logs ---- */

static void show_progress(struct cq_replay_run *run)
{
    uint64_t done = 0, size = 0;
    struct timespec now;
    size_t i;

    run->progress_n = 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == run->progress_s || isatty(fileno(run->err)) == 0) {
        return;
    }
    run->progress_s = now.tv_sec;
    for (i = 0; i < run->source_n; i++) {
        uint64_t log_done = 0, log_size = 0;

        if (run->sources[i].log != NULL) {
            cq_log_progress(run->sources[i].log, &log_done, &log_size);
        }
        done += log_done;
        size += log_size;
    }
    fprintf(run->err, "\r%" PRIu64 " lines", run->report.line_n);
    if (size > 0) {
        fprintf(run->err, ", %" PRIu64 " %%", done * 100 / size);
    }
    fputs("\033[K", run->err);
}

/* Reads the next record of a log; a time that is missing ends it. */
static void read_next(struct cq_replay_run *run,
                      struct cq_replay_source *source)
{
    enum cq_log_next next;

    do {
        next = cq_log_next(source->log, &source->record);
    } while (next == CQ_LOG_WAIT);
    source->has_record = next == CQ_LOG_RECORD;
    if (source->has_record && !source->record.has_time) {
        fprintf(run->err, "clamquota replay: %s: its lines have no time, "
                "expected e.g. the format combined\n",
                cq_log_name(source->log));
        run->report.failed_n++;
        source->has_record = false;
    }
    if (++run->progress_n >= PROGRESS_LINES) {
        show_progress(run);
    }
}

/* The log with the earliest next record, and the time of the one behind it. */
static struct cq_replay_source *find_earliest(const struct cq_replay_run *run,
                                              int64_t *until_s)
{
    struct cq_replay_source *earliest = NULL;
    size_t i;

    *until_s = INT64_MAX;
    for (i = 0; i < run->source_n; i++) {
        struct cq_replay_source *source = &run->sources[i];

        if (!source->has_record) {
            continue;
        }
        if (earliest == NULL
            || source->record.time_s < earliest->record.time_s) {
            *until_s = earliest != NULL ? earliest->record.time_s : INT64_MAX;
            earliest = source;
        }
        else if (source->record.time_s < *until_s) {
            *until_s = source->record.time_s;
        }
    }
    return earliest;
}

static void merge(struct cq_replay_run *run)
{
    struct cq_replay_source *source;
    int64_t until_s;

    while ((source = find_earliest(run, &until_s)) != NULL) {
        do {
            add_record(run, &source->record);
            read_next(run, source);
        } while (source->has_record && source->record.time_s <= until_s
                 && !run->replay.is_out_of_memory);
        if (run->replay.is_out_of_memory) {
            return;
        }
    }
}

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

/* A log that cannot be opened is reported; the others count. */
static void open_log(struct cq_replay_run *run, const char *name,
                     struct cq_replay_source *source)
{
    if (!is_printable(name)) {
        fputs("clamquota replay: a log's name has control characters\n",
              run->err);
        run->report.failed_n++;
    }
    else if (cq_log_open(name, run->values.format, run->prefixes,
                         &run->report, &source->log) != CQ_OK) {
        fprintf(run->err, "clamquota replay: %s: %s\n", name, strerror(errno));
        run->report.failed_n++;
    }
    else {
        run->logs.log_n++;
        read_next(run, source);
    }
}

/* What the figures of a log's lines are. */
static void note_figure(struct cq_replay_run *run, const struct cq_log *log)
{
    const struct cq_log_format *format = cq_log_get_format(log);

    if (format != NULL) {
        run->logs.has_sent |= format->figure == CQ_LOG_SENT;
        run->logs.has_body |= format->figure == CQ_LOG_BODY;
        run->logs.has_unknown |= format->figure == CQ_LOG_UNKNOWN;
    }
}

bool cq_replay_read(struct cq_replay_run *run, char **names, size_t n)
{
    size_t i;

    run->source_n = n;
    run->sources = calloc(n, sizeof(*run->sources));
    if (run->sources == NULL) {
        return false;
    }
    for (i = 0; i < n; i++) {
        open_log(run, names[i], &run->sources[i]);
    }
    merge(run);
    for (i = 0; i < n; i++) {
        if (run->sources[i].log != NULL) {
            note_figure(run, run->sources[i].log);
            cq_log_close(run->sources[i].log);
        }
    }
    free(run->sources);
    return true;
}
