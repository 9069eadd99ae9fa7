/* replay_read - a run of clamquota replay: its options, and the logs that it
 * reads. */
#ifndef CQ_CLAMQUOTA_REPLAY_READ_H
#define CQ_CLAMQUOTA_REPLAY_READ_H

#include "clamquota/log_options.h"
#include "clamquota/replay.h"

struct cq_replay_options {
    const char *daily;
    struct cq_log_options log;
    int64_t copies_n;
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
    struct cq_log_values values;
    struct cq_prefixes prefixes;        /* how much of an address is a client */
    struct cq_replay_source *sources;
    size_t source_n;
    uint64_t progress_n;        /* lines since the clock was read */
    int64_t progress_s;
    int64_t now_s;
    FILE *err;
};

/** Reads logs into run->replay. A log that cannot be read is reported and
 * counted in run->report.
 * @return false: out of memory, before the first line */
bool cq_replay_read(struct cq_replay_run *run, char **names, size_t n);

#endif
