/* marker - buckets that tell what the kernel took (HTTP/1.x).
 *
 * Knows buckets and a callback, no request: a request owns one struct
 * cq_markers, and the markers under way may outlive it. */
#ifndef CQ_HTTPD_MARKER_H
#define CQ_HTTPD_MARKER_H

#include <apr_buckets.h>

#include <stdbool.h>
#include <stdint.h>

struct cq_marker;

struct cq_markers {
    /* These bytes are gone: sent, or dropped; the owner of the markers knows
     * which. Returns whether to go on cutting. */
    bool (*gone)(void *baton, int64_t bytes);
    void *baton;
    int64_t ahead_bytes;        /* how far ahead of the kernel a file is cut */
    bool sendfile;              /* a file leaves by sendfile() if it allows */

    /* the rest is marker.c's; zero to begin */
    struct cq_marker *first;    /* under way, newest first */
    int64_t rest_bytes;         /* handed on behind the last marker */
    int64_t piece_bytes;        /* size of the next piece */
};

/** Cuts a brigade into pieces with markers behind them. */
apr_status_t cq_markers_cut(struct cq_markers *markers,
                            apr_bucket_brigade *bb);

/** Reports what is behind the last marker as gone: when httpd's end of
 * request bucket is destroyed. A second call does nothing. */
void cq_markers_end(struct cq_markers *markers);

/** The markers under way report nothing any more; others may follow. */
void cq_markers_detach(struct cq_markers *markers);

/** Cuts a data bucket to at most most_bytes; it has a known length then. One
 * that can't be split at all stays whole. */
apr_status_t cq_marker_split(apr_bucket *b, int64_t most_bytes);

#endif
