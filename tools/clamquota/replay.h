/* replay - what quotas would have done to the requests of access logs: the
 * account of each client under each quota, and the totals. Decides by
 * core/policy and core/period as the module does. */
#ifndef CQ_CLAMQUOTA_REPLAY_H
#define CQ_CLAMQUOTA_REPLAY_H

#include "clamquota/rows.h"
#include "clamquota/window.h"
#include "core/policy.h"

#include <stdio.h>

#define CQ_REPLAY_QUOTAS_MAX 8

enum cq_family { CQ_FAMILY_FRESHCLAM, CQ_FAMILY_CVDUPDATE, CQ_FAMILY_APT,
                 CQ_FAMILY_CURL, CQ_FAMILY_WGET, CQ_FAMILY_BROWSER,
                 CQ_FAMILY_OTHER, CQ_FAMILY_N };

/* What one quota would have refused. */
struct cq_refused {
    uint64_t clients;
    uint64_t requests;
    uint64_t bytes;
};

struct cq_tally {
    int64_t start_s;            /* of a month; 0: not of one */
    uint64_t clients;
    uint64_t requests;
    uint64_t bytes;
    struct cq_refused refused[CQ_REPLAY_QUOTAS_MAX];
};

/* A client under one quota. */
struct cq_replay_use {
    int64_t used_bytes;         /* in the present period */
    uint64_t refused_bytes;
    uint32_t refused_n;
    uint8_t families;           /* bits: agents that were refused */
};

struct cq_replay_client {
    uint64_t key[CQ_ROWS_KEY_WORDS];    /* a struct cq_key, then zeros */
    uint64_t bytes;
    uint32_t request_n;
    uint32_t day_n;             /* of range_bytes */
    uint32_t range_bytes;       /* small ranges of that day, saturating */
    uint16_t period_id;
    uint8_t families;
    struct cq_replay_use uses[];
};

struct cq_replay {
    size_t quota_n;
    struct cq_policy quotas[CQ_REPLAY_QUOTAS_MAX];      /* ascending Daily */
    int64_t copies_n;           /* 0: off */
    struct cq_rows clients;
    struct cq_rows files;
    struct cq_rows pairs;       /* of a client and a file */
    struct cq_window window;
    enum cq_period_kind kind;
    struct cq_period period;    /* id 0: none yet */
    int day;
    uint32_t day_n;             /* days begun, from 1 */
    int64_t day_end_s;
    int64_t first_s;
    int64_t last_s;
    int64_t month_end_s;
    uint64_t free_bytes;
    uint64_t refused_n;         /* 429s in the logs */
    uint64_t nameless_bytes;    /* of no client */
    int64_t first_refused_s[CQ_REPLAY_QUOTAS_MAX];  /* 0: none */
    struct cq_tally total;
    struct cq_tally families[CQ_FAMILY_N];
    struct cq_tally *months;
    size_t month_n;
    bool is_out_of_memory;
};

/** Begins: quotas, quota_n, copies_n and kind are set, all else is zero. Must
 * not be moved.
 * @return false: out of memory */
bool cq_replay_begin(struct cq_replay *replay);

/** Adds a request of any order. */
void cq_replay_add(struct cq_replay *replay, int64_t time_s,
                   const struct cq_request *request);

/** Takes the last requests and counts the clients. */
void cq_replay_end(struct cq_replay *replay);

void cq_replay_free(struct cq_replay *replay);

/* The figures of the logs themselves. */
struct cq_replay_logs {
    size_t log_n;
    uint64_t line_n;
    uint64_t bad_n;
    uint64_t failed_n;          /* logs that could not be read to their end */
    uint64_t no_client_n;
    uint64_t ahead_n;           /* later than this machine's clock */
    bool has_sent;              /* a log of %O */
    bool has_body;              /* one of %B or %b */
    bool has_unknown;           /* one that may be either */
};

/** Prints the page of text. */
void cq_replay_print_text(const struct cq_replay *replay,
                          const struct cq_replay_logs *logs, FILE *out);

void cq_replay_print_json(const struct cq_replay *replay,
                          const struct cq_replay_logs *logs, FILE *out);

void cq_replay_print_csv(const struct cq_replay *replay, FILE *out);

/* The clients that a quota would have refused most, by requests. */
#define CQ_REPLAY_MOST_N 10

/** @return how many there are, at most CQ_REPLAY_MOST_N */
size_t cq_replay_find_most(const struct cq_replay *replay, size_t quota,
    const struct cq_replay_client *most[CQ_REPLAY_MOST_N]);

/** "freshclam", "cvdupdate" ... */
const char *cq_family_word(enum cq_family family);

/** The family of a user agent. */
enum cq_family cq_family_find(const char *agent, size_t length);

#endif
