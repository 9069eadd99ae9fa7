/* marker - buckets that tell what the kernel took (HTTP/1.x).
 *
 * The response is cut into pieces and a marker put behind each. The core output
 * filter destroys buckets in order, and only after the kernel took the bytes
 * before them, so a marker's destruction is the moment to book its piece -
 * unless the connection is aborted or going down, when buckets are destroyed
 * unsent. Bytes behind the last marker need none: httpd's own end-of-request
 * bucket comes after them.
 *
 * A large file is not cut all at once, which would take some 300 bytes for each
 * piece as long as it is downloaded, but one piece ahead:
 *
 *     piece  M1  piece  M2  rest-of-the-file  T
 *
 * M1, when it goes, cuts the next piece off the rest, with a marker of its own;
 * T, the tail, books what was never cut off. */
#include "httpd/marker.h"
#include "core/seldom.h"

#include <apr_portable.h>

/* Pieces begin small and double: a client that hangs up early has not had much
 * uncounted. A killed child forgets at most two large ones, 256 KiB: the core
 * output filter deletes what follows the last bucket of a writev() only with
 * the next one, so a marker may go one piece late. */
#define PIECE_MIN_BYTES (8 * 1024)
#define PIECE_MAX_BYTES (128 * 1024)

/* One block with its bucket. */
struct cq_marker {
    apr_bucket bucket;
    struct cq_markers *owner;   /* NULL: the request has ended */
    struct cq_marker *next;     /* of the same owner */
    struct cq_marker *previous;
    struct cq_marker *tail;     /* whose rest is to be cut when this goes */
    int64_t bytes;              /* of the piece before it */
};

void cq_markers_end(struct cq_markers *m)
{
    int64_t bytes = m->rest_bytes;

    m->rest_bytes = 0;
    if (bytes > 0) {
        (void)m->gone(m->baton, bytes);
    }
}

void cq_markers_detach(struct cq_markers *m)
{
    struct cq_marker *marker;

    for (marker = m->first; marker != NULL; marker = marker->next) {
        marker->owner = NULL;
    }
    m->first = NULL;
    m->piece_bytes = 0;
}

/* ---- the bucket ---- */

static void unlink_marker(struct cq_markers *m, struct cq_marker *marker)
{
    struct cq_marker *other;

    if (marker->previous != NULL) {
        marker->previous->next = marker->next;
    }
    else {
        m->first = marker->next;
    }
    if (marker->next != NULL) {
        marker->next->previous = marker->previous;
    }
    for (other = m->first; other != NULL; other = other->next) {
        if (other->tail == marker) {
            other->tail = NULL;
        }
    }
}

static struct cq_marker *cut_next(struct cq_markers *m,
                                  struct cq_marker *tail);

static void marker_destroy(void *data)
{
    struct cq_marker *marker = data;
    struct cq_markers *m = marker->owner;

    if (m == NULL) {
        return;
    }
    unlink_marker(m, marker);
    if (m->gone(m->baton, marker->bytes) && marker->tail != NULL) {
        (void)cut_next(m, marker->tail);
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

static struct cq_marker *marker_create(struct cq_markers *m, int64_t bytes,
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
    marker->owner = m;
    marker->tail = NULL;
    marker->bytes = bytes;
    marker->previous = NULL;
    marker->next = m->first;
    if (m->first != NULL) {
        m->first->previous = marker;
    }
    m->first = marker;
    return marker;
}

/* ---- cutting ---- */

/* A file that goes out by sendfile() may be cut twice as large: there is one
 * call for each bucket, and what follows it is deleted at once. */
static apr_size_t size_of_pieces(const struct cq_markers *m,
                                 const apr_bucket *file)
{
#if APR_HAS_SENDFILE
    const apr_bucket_file *f = file->data;

    if (m->sendfile
        && (apr_file_flags_get(f->fd) & APR_SENDFILE_ENABLED) != 0) {
        return 2 * PIECE_MAX_BYTES;
    }
#endif
    return PIECE_MAX_BYTES;
}

/* Cuts the next piece off the rest of a file before a tail.
 * @return its marker, NULL when nothing was cut */
static struct cq_marker *cut_next(struct cq_markers *m,
                                  struct cq_marker *tail)
{
    /* What stands before the tail is the rest, or what others left of it. If
     * nothing does, this is a brigade's sentinel, whose `type' is the brigade's
     * allocator and so no file's. */
    apr_bucket *rest = APR_BUCKET_PREV(&tail->bucket);
    struct cq_marker *marker;
    apr_size_t size;
    int64_t gone;

    if (!APR_BUCKET_IS_FILE(rest) || (int64_t)rest->length > tail->bytes) {
        return NULL;            /* all taken: the tail stands for it */
    }
    gone = tail->bytes - (int64_t)rest->length;
    if (gone > 0) {
        /* a filter behind us (mod_ratelimit) has split it before we did */
        marker = marker_create(m, gone, rest->list);
        APR_BUCKET_INSERT_BEFORE(rest, &marker->bucket);
        marker->tail = tail;
        tail->bytes -= gone;
    }
    size = size_of_pieces(m, rest);
    if (rest->length <= size || apr_bucket_split(rest, size) != APR_SUCCESS) {
        return NULL;
    }
    marker = marker_create(m, (int64_t)size, rest->list);
    APR_BUCKET_INSERT_AFTER(rest, &marker->bucket);
    marker->tail = tail;
    tail->bytes -= marker->bytes;
    return marker;
}

/* Leaves the rest of a large file for later, when enough of it is cut.
 * @param first  the marker that was put in front of it
 * @return the bucket behind the file */
CQ_SELDOM static apr_bucket *leave_rest(struct cq_markers *m,
                                        struct cq_marker *first,
                                        apr_bucket *file)
{
    struct cq_marker *tail = marker_create(m, (int64_t)file->length,
                                           file->list);
    struct cq_marker *piece;
    int64_t ahead = 0;

    APR_BUCKET_INSERT_AFTER(file, &tail->bucket);
    first->tail = tail;
    do {
        piece = cut_next(m, tail);
        ahead += piece != NULL ? piece->bytes : 0;
    } while (piece != NULL && ahead < m->ahead_bytes);
    return APR_BUCKET_NEXT(&tail->bucket);
}

CQ_SELDOM apr_status_t cq_marker_split(apr_bucket *b, int64_t most_bytes)
{
    apr_status_t rv = APR_SUCCESS;
    const char *data;
    apr_size_t length;

    if (b->length == (apr_size_t)-1) {
        rv = apr_bucket_read(b, &data, &length, APR_BLOCK_READ);
    }
    if (rv != APR_SUCCESS || (int64_t)b->length <= most_bytes) {
        return rv;
    }
    rv = apr_bucket_split(b, (apr_size_t)most_bytes);
    if (rv == APR_ENOTIMPL
        && (rv = apr_bucket_read(b, &data, &length, APR_BLOCK_READ))
            == APR_SUCCESS) {
        /* what was read may be another type of bucket, and shorter */
        rv = (int64_t)b->length <= most_bytes ? APR_SUCCESS
            : apr_bucket_split(b, (apr_size_t)most_bytes);
    }
    return rv == APR_ENOTIMPL ? APR_SUCCESS : rv;
}

apr_status_t cq_markers_cut(struct cq_markers *m, apr_bucket_brigade *bb)
{
    int64_t piece = m->rest_bytes;
    int64_t size = m->piece_bytes != 0 ? m->piece_bytes : PIECE_MIN_BYTES;
    apr_bucket *b = APR_BRIGADE_FIRST(bb);

    while (b != APR_BRIGADE_SENTINEL(bb)) {
        struct cq_marker *marker;

        if (!APR_BUCKET_IS_METADATA(b)) {
            if (b->length > (apr_size_t)(size - piece)) {   /* or unknown */
                apr_status_t rv = cq_marker_split(b, size - piece);

                if (rv != APR_SUCCESS) {
                    return rv;
                }
            }
            piece += (int64_t)b->length;
        }
        b = APR_BUCKET_NEXT(b);
        if (piece < size) {
            continue;
        }
        marker = marker_create(m, piece, bb->bucket_alloc);
        APR_BUCKET_INSERT_BEFORE(b, &marker->bucket);
        piece = 0;
        if (size < PIECE_MAX_BYTES) {
            size *= 2;
        }
        else if (b != APR_BRIGADE_SENTINEL(bb) && APR_BUCKET_IS_FILE(b)
                 && b->length > 2 * PIECE_MAX_BYTES) {
            b = leave_rest(m, marker, b);
        }
    }
    m->rest_bytes = piece;
    m->piece_bytes = size;
    return APR_SUCCESS;
}
