/* window - puts requests into the order of their seconds. httpd logs a request
 * when its response has ended, with the time at which it began: a log is out of
 * order by as much as a download takes. */
#ifndef CQ_CLAMQUOTA_WINDOW_H
#define CQ_CLAMQUOTA_WINDOW_H

#include "clamquota/rows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Requests wait until one is read that began this much later. */
#define CQ_WINDOW_S 3600
#define CQ_WINDOW_SLOTS 4096    /* a power of two above CQ_WINDOW_S */

/* At most this many wait (192 MiB); of more the first ones go early. */
#define CQ_WINDOW_REQUESTS_MAX (UINT32_C(1) << 23)

#define CQ_NO_CLIENT UINT32_MAX

enum cq_replay_column {
    CQ_REPLAY_USED,
    CQ_REPLAY_RANGE,            /* free while the day's ranges are few */
    CQ_REPLAY_FREE,
    CQ_REPLAY_REFUSED           /* a 429 of the site's own quota */
};

struct cq_request {
    uint64_t bytes;
    uint32_t next;              /* the window's; 0: last of its second */
    uint32_t client;            /* a row; CQ_NO_CLIENT: none */
    uint32_t file;              /* a row, for Copies */
    uint8_t column;
    uint8_t family;             /* of user agents */
    bool is_copy;               /* counts for Copies */
};

/** Receives the requests in order. */
typedef void cq_window_sink_fn(void *baton, int64_t time_s,
                               const struct cq_request *request);

/* All zero at first, but for sink, baton and rows. */
struct cq_window {
    cq_window_sink_fn *sink;
    void *baton;
    const struct cq_rows *rows;     /* of clients: the next one's is fetched
                                     * while a request is counted */
    struct cq_request *requests;    /* [0] is none */
    uint32_t request_n;
    uint32_t capacity;
    uint32_t unused;            /* a list of them */
    uint32_t waiting_n;
    uint64_t late_n;            /* more than the window behind */
    int64_t first_s;            /* no request before it waits */
    bool has_begun;
    struct { uint32_t head, tail; } seconds[CQ_WINDOW_SLOTS];
};

/** Puts a request into its second; within one they stay in the order in which
 * they came. One that is too late counts in the first second that is open.
 * @return false: out of memory */
bool cq_window_add(struct cq_window *window, int64_t time_s,
                   const struct cq_request *request);

/** Hands out what waits and frees the window's memory. */
void cq_window_end(struct cq_window *window);

#endif
