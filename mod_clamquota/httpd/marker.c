/* marker - buckets that tell what the kernel took (HTTP/1.x).
 *
 * The response is cut into pieces and a marker put behind each. The core output
 * filter destroys buckets in order, and only after the kernel took the bytes
 * before them, so a marker's destruction is the moment to book its piece -
 * unless the connection is aborted or going down, when buckets are destroyed
 * unsent. What is behind the last marker needs none: httpd's own end-of-request
 * bucket comes after it.
 *
 * A large file is not cut all at once, which would take some 300 bytes for each
 * piece as long as it is downloaded, but one piece ahead:
 *
 *     piece  M1  piece  M2  rest-of-the-file  T
 *
 * M1, when it goes, cuts the next piece off the rest, with a marker of its own;
 * T, the tail, books what nobody has cut off. */
#include "httpd/request.h"

#include <http_ssl.h>

/* Pieces begin small and double: who hangs up early has not had much for
 * nothing. A killed child forgets at most two large ones, 256 KiB: the core
 * output filter deletes what follows the last bucket of a writev() only with
 * the next one, so a marker may go one piece late. */
#define PIECE_MIN_BYTES (8 * 1024)
#define PIECE_MAX_BYTES (128 * 1024)

/* One block with its bucket. */
struct cq_marker {
    apr_bucket bucket;
    struct cq_request *q;       /* NULL: the request has ended */
    struct cq_marker *next;     /* of the same request */
    struct cq_marker *previous;
    struct cq_marker *tail;     /* whose rest is to be cut when this goes */
    int64_t bytes;              /* of the piece before it */
};

static bool was_sent(const struct cq_request *q)
{
    return !q->c->aborted && !q->connection->closing;
}

void cq_marker_end(struct cq_request *q)
{
    if (q->connection != NULL && q->rest_bytes > 0 && was_sent(q)) {
        cq_meter_book(q, q->rest_bytes);
    }
    q->rest_bytes = 0;
}

void cq_marker_let_go(struct cq_request *q)
{
    struct cq_marker *marker;

    for (marker = q->markers; marker != NULL; marker = marker->next) {
        marker->q = NULL;
    }
    q->markers = NULL;
}

/* ---- the bucket ---- */

static void unlink_marker(struct cq_request *q, struct cq_marker *marker)
{
    struct cq_marker *other;

    if (marker->previous != NULL) {
        marker->previous->next = marker->next;
    }
    else {
        q->markers = marker->next;
    }
    if (marker->next != NULL) {
        marker->next->previous = marker->previous;
    }
    for (other = q->markers; other != NULL; other = other->next) {
        if (other->tail == marker) {
            other->tail = NULL;
        }
    }
}

static void cut_next(struct cq_request *q, struct cq_marker *tail);

static void marker_destroy(void *data)
{
    struct cq_marker *marker = data;
    struct cq_request *q = marker->q;

    if (q == NULL) {
        return;
    }
    unlink_marker(q, marker);
    if (was_sent(q)) {
        cq_meter_book(q, marker->bytes);
        if (marker->tail != NULL) {
            cut_next(q, marker->tail);
        }
    }
}

static apr_status_t marker_read(apr_bucket *b, const char **data,
                                apr_size_t *length, apr_read_type_e block)
{
    (void)b;
    (void)block;
    *data = NULL;
    *length = 0;
    return APR_SUCCESS;
}

/* never copied: a copy would book its piece twice */
static const apr_bucket_type_t marker_type = {
    "CLAMQUOTA", 5, APR_BUCKET_METADATA, marker_destroy, marker_read,
    apr_bucket_setaside_noop, apr_bucket_split_notimpl,
    apr_bucket_copy_notimpl
};

static struct cq_marker *marker_create(struct cq_request *q, int64_t bytes,
                                       apr_bucket_alloc_t *list)
{
    struct cq_marker *marker = apr_bucket_alloc(sizeof(*marker), list);
    apr_bucket *b = &marker->bucket;

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    b->type = &marker_type;
    b->length = 0;
    b->start = 0;
    b->data = marker;
    marker->q = q;
    marker->tail = NULL;
    marker->bytes = bytes;
    marker->previous = NULL;
    marker->next = q->markers;
    if (q->markers != NULL) {
        q->markers->previous = marker;
    }
    q->markers = marker;
    return marker;
}

/* ---- cutting ---- */

/* A file that goes out by sendfile() may be cut twice as large: there is one
 * call for each bucket, and what follows it is deleted at once. */
static apr_size_t size_of_pieces(const struct cq_request *q,
                                 const apr_bucket *file)
{
#if APR_HAS_SENDFILE
    const apr_bucket_file *f = file->data;

    if (!ap_ssl_conn_is_ssl(q->c)
        && (apr_file_flags_get(f->fd) & APR_SENDFILE_ENABLED) != 0) {
        return 2 * PIECE_MAX_BYTES;
    }
#endif
    return PIECE_MAX_BYTES;
}

/* Cuts a piece off a file bucket and puts a marker behind it.
 * @return the marker; the rest of the file comes after it. NULL: not cut */
static struct cq_marker *cut_piece(struct cq_request *q, apr_bucket *file)
{
    apr_size_t size = size_of_pieces(q, file);
    struct cq_marker *marker;

    if (file->length <= size
        || apr_bucket_split(file, size) != APR_SUCCESS) {
        return NULL;
    }
    marker = marker_create(q, (int64_t)size, file->list);
    APR_BUCKET_INSERT_AFTER(file, &marker->bucket);
    return marker;
}

static void cut_next(struct cq_request *q, struct cq_marker *tail)
{
    /* What stands before the tail is the rest, or what others left of it. If
     * nothing does, this is a brigade's sentinel, whose `type' is the brigade's
     * allocator and so no file's. */
    apr_bucket *rest = APR_BUCKET_PREV(&tail->bucket);
    struct cq_marker *marker;
    int64_t gone;

    if (!APR_BUCKET_IS_FILE(rest) || (int64_t)rest->length > tail->bytes) {
        return;                 /* all taken: the tail stands for it */
    }
    gone = tail->bytes - (int64_t)rest->length;
    if (gone > 0) {
        /* a filter behind us (mod_ratelimit) has split it before we did */
        marker = marker_create(q, gone, rest->list);
        APR_BUCKET_INSERT_BEFORE(rest, &marker->bucket);
        marker->tail = tail;
        tail->bytes -= gone;
    }
    marker = cut_piece(q, rest);
    if (marker != NULL) {
        marker->tail = tail;
        tail->bytes -= marker->bytes;
    }
}

/* Leaves the rest of a large file for later.
 * @param first  the marker that was put in front of it
 * @return the bucket behind the file */
static apr_bucket *leave_rest(struct cq_request *q, struct cq_marker *first,
                              apr_bucket *file)
{
    struct cq_marker *second = cut_piece(q, file);
    struct cq_marker *tail;
    apr_bucket *rest;

    if (second == NULL) {
        return file;
    }
    rest = APR_BUCKET_NEXT(&second->bucket);
    tail = marker_create(q, (int64_t)rest->length, rest->list);
    APR_BUCKET_INSERT_AFTER(rest, &tail->bucket);
    first->tail = tail;
    second->tail = tail;
    return APR_BUCKET_NEXT(&tail->bucket);
}

apr_status_t cq_marker_known_length(apr_bucket *b)
{
    const char *data;
    apr_size_t length;

    return b->length == (apr_size_t)-1
        ? apr_bucket_read(b, &data, &length, APR_BLOCK_READ) : APR_SUCCESS;
}

apr_status_t cq_marker_cut(struct cq_request *q, apr_bucket_brigade *bb)
{
    int64_t piece = q->rest_bytes;
    int64_t size = q->piece_bytes != 0 ? q->piece_bytes : PIECE_MIN_BYTES;
    apr_bucket *b = APR_BRIGADE_FIRST(bb);

    while (b != APR_BRIGADE_SENTINEL(bb)) {
        struct cq_marker *marker;

        if (!APR_BUCKET_IS_METADATA(b)) {
            apr_status_t rv = cq_marker_known_length(b);

            if (rv == APR_SUCCESS && (int64_t)b->length > size - piece) {
                rv = apr_bucket_split(b, (apr_size_t)(size - piece));
            }
            if (rv != APR_SUCCESS) {
                return rv;
            }
            piece += (int64_t)b->length;
        }
        b = APR_BUCKET_NEXT(b);
        if (piece < size) {
            continue;
        }
        marker = marker_create(q, piece, bb->bucket_alloc);
        APR_BUCKET_INSERT_BEFORE(b, &marker->bucket);
        piece = 0;
        if (size < PIECE_MAX_BYTES) {
            size *= 2;
        }
        else if (b != APR_BRIGADE_SENTINEL(bb) && APR_BUCKET_IS_FILE(b)
                 && b->length > 2 * PIECE_MAX_BYTES) {
            b = leave_rest(q, marker, b);
        }
    }
    q->rest_bytes = piece;
    q->piece_bytes = size;
    return APR_SUCCESS;
}
