/* fields - the kinds of fields that a LogFormat string compiles to, and the
 * values that they hold. Private to log/. */
#ifndef CQ_LOG_FIELDS_H
#define CQ_LOG_FIELDS_H

#include "log/log.h"

#include <time.h>

enum cq_log_kind {
    CQ_LOG_SKIP = 0,    /* read over */
    CQ_LOG_CLIENT,      /* an address, or a list of them */
    CQ_LOG_USER,        /* free text, with blanks in it */
    CQ_LOG_TIME,        /* [28/Nov/2026:21:28:38 +0000] */
    CQ_LOG_DATE,        /* by strptime() */
    CQ_LOG_TIME_S,
    CQ_LOG_TIME_MS,
    CQ_LOG_TIME_US,
    CQ_LOG_REQUEST,
    CQ_LOG_METHOD,
    CQ_LOG_PATH,
    CQ_LOG_STATUS,
    CQ_LOG_BODY_BYTES,
    CQ_LOG_SENT_BYTES,
    CQ_LOG_VHOST,
    CQ_LOG_AGENT
};

#define CQ_LOG_TIME_LENGTH 28   /* [28/Nov/2026:21:28:38 +0000] */

static inline bool cq_log_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/** The number of a month by its three letters, 0..11; 12: none has them. */
int cq_log_find_month(const char *at);

/** Reads a time in brackets to unix seconds. False: there is none at `at`. */
bool cq_log_read_time(const char *at, const char *end, int64_t *time_s);

/** What strptime() read to unix seconds. */
int64_t cq_log_make_time(struct tm *tm, bool has_zone);

/** Reads digits, saturating. False: it is no number. */
bool cq_log_read_number(const char *at, const char *end, int64_t *number);

/** Reads the client out of a list of addresses, which may have one. A record
 * without a client stays so if there is none. */
void cq_log_read_clients(struct cq_log_record *record,
                         struct cq_prefixes prefixes, const char *at,
                         const char *end);

/** Cuts scheme, host and query off: "http://host/a?b" to "/a". */
struct cq_log_text cq_log_cut_path(const char *at, const char *end);

/** Reads "GET /a?b HTTP/1.1" to method and path. */
void cq_log_read_request(struct cq_log_record *record, const char *at,
                         const char *end);

static inline struct cq_log_text cq_log_make_text(const char *at,
                                                  const char *end)
{
    return (struct cq_log_text){ at, (size_t)(end - at) };
}

#endif
