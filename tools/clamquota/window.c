/* window - a ring of seconds, each a list of requests: as fast for one request
 * a second as for thousands, where a heap would take a step for each doubling
 * of what waits. */
#include "clamquota/window.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_REQUESTS 4096

/* Hands out the first second and closes it. */
static void close_second(struct cq_window *w)
{
    size_t at = (size_t)w->first_s % CQ_WINDOW_SLOTS;
    uint32_t i = w->seconds[at].head, next;

    for (; i != 0; i = next) {
        next = w->requests[i].next;
        if (next != 0 && w->requests[next].client != CQ_NO_CLIENT) {
            const char *row = cq_rows_at(w->rows, w->requests[next].client);

            __builtin_prefetch(row, 1);
            __builtin_prefetch(row + 64, 1);
        }
        w->sink(w->baton, w->first_s, &w->requests[i]);
        w->requests[i].next = w->unused;
        w->unused = i;
        w->waiting_n--;
    }
    w->seconds[at].head = w->seconds[at].tail = 0;
    w->first_s++;
}

static bool grow(struct cq_window *w)
{
    uint32_t capacity = w->capacity != 0 ? 2 * w->capacity : FIRST_REQUESTS;
    struct cq_request *requests = realloc(w->requests,
                                          capacity * sizeof(*requests));

    if (requests == NULL) {
        return false;
    }
    w->requests = requests;
    w->capacity = capacity;
    if (w->request_n == 0) {
        w->request_n = 1;
    }
    return true;
}

bool cq_window_add(struct cq_window *w, int64_t time_s,
                   const struct cq_request *request)
{
    size_t at;
    uint32_t i;

    if (!w->has_begun) {
        w->first_s = time_s - CQ_WINDOW_S;
        w->has_begun = true;
    }
    while (w->first_s < time_s - CQ_WINDOW_S && w->waiting_n > 0) {
        close_second(w);
    }
    if (w->first_s < time_s - CQ_WINDOW_S) {
        w->first_s = time_s - CQ_WINDOW_S;
    }
    while (w->waiting_n >= CQ_WINDOW_REQUESTS_MAX) {
        close_second(w);
    }
    if (time_s < w->first_s) {
        w->late_n++;
        time_s = w->first_s;
    }
    if (w->unused == 0 && w->request_n == w->capacity && !grow(w)) {
        return false;
    }
    i = w->unused;
    if (i != 0) {
        w->unused = w->requests[i].next;
    }
    else {
        i = w->request_n++;
    }
    w->requests[i] = *request;
    w->requests[i].next = 0;
    at = (size_t)time_s % CQ_WINDOW_SLOTS;
    if (w->seconds[at].tail != 0) {
        w->requests[w->seconds[at].tail].next = i;
    }
    else {
        w->seconds[at].head = i;
    }
    w->seconds[at].tail = i;
    w->waiting_n++;
    return true;
}

void cq_window_end(struct cq_window *w)
{
    while (w->waiting_n > 0) {
        close_second(w);
    }
    free(w->requests);
    w->requests = NULL;
}
