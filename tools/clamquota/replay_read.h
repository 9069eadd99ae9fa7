/* replay_read - a run of clamquota replay: its options, and the logs that it
 * reads. */
#ifndef CQ_CLAMQUOTA_REPLAY_READ_H
#define CQ_CLAMQUOTA_REPLAY_READ_H

#include "clamquota/replay.h"
#include "log/log.h"

#include <regex.h>

struct cq_replay_options {
    const char *daily;
    const char *period;
    int64_t grace_bytes;
    int64_t copies_n;
    const char *free;
    const char *format;
    const char *table;          /* NULL: none */
    bool json;
    bool csv;
};

struct cq_replay_source {
    struct cq_log *log;
    struct cq_log_record record;    /* the next one */
    bool has_record;
};

struct cq_replay_run {
    struct cq_replay_options options;
    struct cq_replay replay;
    struct cq_replay_logs logs;
    struct cq_log_report report;
    struct cq_log_format format;
    struct cq_prefixes prefixes;        /* how much of an address is a client */
    regex_t free_paths;         /* --free */
    bool has_free_paths;
    struct cq_replay_source *sources;
    size_t source_n;
    uint64_t progress_n;        /* lines since the clock was read */
    int64_t progress_s;
    int64_t now_s;
    FILE *err;
};

/** Reads logs into run->replay. A log that cannot be read is reported and
 * counted as bad in run->report.
 * @return false: out of memory, before the first line */
bool cq_replay_read(struct cq_replay_run *run, char **names, size_t n);

#endif
