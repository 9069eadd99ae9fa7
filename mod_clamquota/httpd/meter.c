/* meter - counts what really leaves.
 *
 * One output filter for each request that came over the wire, behind the
 * header, chunk, range and deflate filters and before TLS: it sees every byte
 * of the response, and still knows the request. It does not book what it
 * hands on, but what went:
 *
 * HTTP/1.x: the response is cut into pieces and a marker bucket put behind
 * each piece. The core output filter destroys buckets in order, and only after
 * the kernel took the bytes before them, so a marker's destruction is the
 * moment to book its piece - unless the connection is aborted or going down,
 * when buckets are destroyed unsent. What is behind the last marker needs none:
 * httpd's own end-of-request bucket comes after it.
 *
 * HTTP/2: a marker would never leave the stream's connection, but passing on
 * blocks until the peer's window has room: pieces are passed one by one and
 * booked when the call comes back. */
#include "httpd/request.h"

/* A killed child forgets at most two of these, 256 KiB: the core output filter
 * deletes what follows the last bucket of a writev() only with the next one, so
 * a marker is destroyed up to one piece late. */
#define PIECE_BYTES (128 * 1024)
#define PIECE_BYTES_H2 (64 * 1024)      /* what an abort may book too much */

static ap_filter_rec_t *meter_handle;

/* ---- booking ---- */

static void book(struct cq_request *q, int64_t bytes)
{
    static const enum cq_total total_of[] = {
        [CQ_COLUMN_USED] = CQ_TOTAL_SENT,
        [CQ_COLUMN_FREE] = CQ_TOTAL_FREE,
        [CQ_COLUMN_REFUSED] = CQ_TOTAL_REFUSED_BYTES,
        [CQ_COLUMN_HANDLER] = CQ_TOTAL_HANDLER_BYTES
    };
    int64_t now_s;

    q->sent_bytes += bytes;
    if (q->pool == NULL || q->pool->index == CQ_ANY_POOL) {
        return;
    }
    cq_table_total_add(cq_site.table, q->pool->index, total_of[q->column],
                       bytes);
    if (!q->account_open || q->column == CQ_COLUMN_REFUSED
        || q->column == CQ_COLUMN_HANDLER) {
        return;
    }
    /* not the request's own time: what flows after midnight is the new day's.
     * time() and not apr_time_now(): seconds are enough, for a third of it. */
    now_s = (int64_t)time(NULL);
    if (now_s > q->clock.now_s) {
        cq_table_clock(cq_site.table, now_s, &q->clock);
    }
    if (q->column == CQ_COLUMN_USED) {
        cq_account_charge(&q->account, &q->clock, bytes);
        return;
    }
    cq_account_free(&q->account, &q->clock, bytes);
    if (q->free_range) {
        cq_account_free_range(&q->account, &q->clock, bytes);
    }
}

/* ---- markers ---- */

/* One block with its bucket. */
struct cq_marker {
    apr_bucket bucket;
    struct cq_request *q;       /* NULL: the request has ended */
    struct cq_marker *next;     /* of the same request */
    struct cq_marker *previous;
    int64_t bytes;              /* of the piece before it */
};

void cq_meter_let_go(struct cq_request *q)
{
    struct cq_marker *marker;

    for (marker = q->markers; marker != NULL; marker = marker->next) {
        marker->q = NULL;
    }
    q->markers = NULL;
}

static bool was_sent(const struct cq_request *q)
{
    return !q->c->aborted && !q->connection->closing;
}

void cq_meter_end(struct cq_request *q)
{
    if (q->connection != NULL && q->rest_bytes > 0 && was_sent(q)) {
        book(q, q->rest_bytes);
    }
    q->rest_bytes = 0;
}

static void marker_destroy(void *data)
{
    struct cq_marker *marker = data;
    struct cq_request *q = marker->q;

    if (q == NULL) {
        return;
    }
    if (marker->previous != NULL) {
        marker->previous->next = marker->next;
    }
    else {
        q->markers = marker->next;
    }
    if (marker->next != NULL) {
        marker->next->previous = marker->previous;
    }
    if (was_sent(q)) {
        book(q, marker->bytes);
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

static apr_bucket *marker_create(struct cq_request *q, int64_t bytes,
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
    marker->bytes = bytes;
    marker->previous = NULL;
    marker->next = q->markers;
    if (q->markers != NULL) {
        q->markers->previous = marker;
    }
    q->markers = marker;
    return b;
}

/* ---- the first bytes of a response ---- */

static bool brings_a_file(apr_bucket_brigade *bb)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        if (APR_BUCKET_IS_FILE(b) || APR_BUCKET_IS_MMAP(b)) {
            return true;
        }
    }
    return false;
}

/* The length the response was given by now, -1 if it has none. */
static int64_t content_length(const request_rec *r)
{
    const char *text = apr_table_get(r->headers_out, "Content-Length");
    apr_off_t length;

    return text != NULL && ap_parse_strict_length(&length, text)
        ? (int64_t)length : -1;
}

/* Which column a response belongs to, by what it is. */
static enum cq_column column_of(struct cq_request *q, const request_rec *r,
                                const struct cq_dir_conf *conf,
                                apr_bucket_brigade *bb)
{
    if (q->verdict == CQ_VERDICT_REFUSED) {
        return CQ_COLUMN_REFUSED;
    }
    if (conf->free == 1 || r->header_only
        || r->status == HTTP_NO_CONTENT || ap_is_HTTP_INFO(r->status)
        || ap_is_HTTP_REDIRECT(r->status)) {
        return CQ_COLUMN_FREE;
    }
    if (r->status >= 400) {
        return brings_a_file(bb) ? CQ_COLUMN_USED : CQ_COLUMN_FREE;
    }
    if (r->status == HTTP_PARTIAL_CONTENT && r->finfo.filetype == APR_REG
        && q->account_open) {
        int64_t length = content_length(r);

        if (length >= 0 && cq_gate_is_free_range(q, r, conf)
            && length <= cq_predict_bytes(r)) {
            q->free_range = true;
            return CQ_COLUMN_FREE;
        }
    }
    return CQ_COLUMN_USED;
}

/* Decides what is counted and how.
 * @return false: not counted at all */
static bool begin(struct cq_request *q, request_rec *r,
                  apr_bucket_brigade *bb)
{
    const struct cq_dir_conf *conf = cq_dir_conf(r);

    if (cq_is_own_page(r->handler)) {
        q->column = CQ_COLUMN_HANDLER;
        q->pool = cq_dir_conf_pool(conf, cq_site.conf);
        return true;
    }
    if (!q->account_tried) {
        /* no verdict fell: the scope that was asked for counts */
        const request_rec *first = cq_request_first(r);

        conf = cq_dir_conf(first);
        if (cq_dir_conf_engine(conf) == CQ_ENGINE_OFF) {
            return false;
        }
        cq_request_account(q, first, conf);
    }
    q->column = column_of(q, r, conf, bb);
    if (!q->account_open) {
        return true;
    }
    if (q->column == CQ_COLUMN_USED) {
        /* as set last by the byte range or content length filter; stale where
         * a filter made the length unknown, and then no smaller */
        if (r->clength > 0) {
            cq_account_reserve_at_most(&q->account, r->clength);
        }
    }
    else {
        cq_account_reserve_at_most(&q->account, 0);
    }
    if (q->column != CQ_COLUMN_REFUSED) {
        if (cq_account_hit(&q->account, &q->clock) == 1 && !cq_site.has_remoteip
            && apr_table_get(r->headers_in, "X-Forwarded-For") != NULL) {
            cq_table_notice(cq_site.table, CQ_NOTICE_PROXY);
        }
        cq_table_total_add(cq_site.table, q->pool->index, CQ_TOTAL_HITS, 1);
    }
    cq_start_say_notices(r);
    return true;
}

/* ---- the filter ---- */

/* Reads a bucket of unknown length: it then has one. */
static apr_status_t known_length(apr_bucket *b)
{
    const char *data;
    apr_size_t length;

    return b->length == (apr_size_t)-1
        ? apr_bucket_read(b, &data, &length, APR_BLOCK_READ) : APR_SUCCESS;
}

/* HTTP/1.x: cuts the brigade and puts markers in. */
static apr_status_t mark(struct cq_request *q, apr_bucket_brigade *bb)
{
    int64_t piece = q->rest_bytes;
    apr_bucket *b = APR_BRIGADE_FIRST(bb);

    while (b != APR_BRIGADE_SENTINEL(bb)) {
        if (!APR_BUCKET_IS_METADATA(b)) {
            apr_status_t rv = known_length(b);

            if (rv == APR_SUCCESS
                && (int64_t)b->length > PIECE_BYTES - piece) {
                rv = apr_bucket_split(b, (apr_size_t)(PIECE_BYTES - piece));
            }
            if (rv != APR_SUCCESS) {
                return rv;
            }
            piece += (int64_t)b->length;
        }
        b = APR_BUCKET_NEXT(b);
        if (piece >= PIECE_BYTES) {
            APR_BUCKET_INSERT_BEFORE(b, marker_create(q, piece,
                                                      bb->bucket_alloc));
            piece = 0;
        }
    }
    q->rest_bytes = piece;
    return APR_SUCCESS;
}

/* HTTP/2: passes the brigade on piece by piece. */
static apr_status_t pass_in_pieces(ap_filter_t *f, struct cq_request *q,
                                   apr_bucket_brigade *bb)
{
    apr_bucket_brigade *piece_bb =
        apr_brigade_create(f->r->pool, bb->bucket_alloc);

    do {
        int64_t piece = 0;
        apr_status_t rv = APR_SUCCESS;

        while (!APR_BRIGADE_EMPTY(bb) && piece < PIECE_BYTES_H2) {
            apr_bucket *b = APR_BRIGADE_FIRST(bb);

            if (!APR_BUCKET_IS_METADATA(b)) {
                rv = known_length(b);
                if (rv == APR_SUCCESS
                    && (int64_t)b->length > PIECE_BYTES_H2 - piece) {
                    rv = apr_bucket_split(
                        b, (apr_size_t)(PIECE_BYTES_H2 - piece));
                }
                if (rv != APR_SUCCESS) {
                    apr_brigade_destroy(piece_bb);
                    return rv;
                }
                piece += (int64_t)b->length;
            }
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(piece_bb, b);
        }
        rv = ap_pass_brigade(f->next, piece_bb);
        apr_brigade_cleanup(piece_bb);
        if (rv != APR_SUCCESS) {
            apr_brigade_destroy(piece_bb);
            return rv;
        }
        /* also when the stream was closed meanwhile: a quick client does that
         * the moment it has the last byte */
        if (piece > 0) {
            book(q, piece);
        }
    } while (!APR_BRIGADE_EMPTY(bb));
    apr_brigade_destroy(piece_bb);
    return APR_SUCCESS;
}

static apr_status_t meter_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    struct cq_request *q;
    apr_status_t rv;

    if (APR_BRIGADE_EMPTY(bb)) {
        return ap_pass_brigade(f->next, bb);
    }
    q = f->ctx;
    if (q == NULL) {
        q = cq_request_make(f->r);
        if (q == NULL || !begin(q, f->r, bb)) {
            ap_remove_output_filter(f);
            return ap_pass_brigade(f->next, bb);
        }
        f->ctx = q;
    }
    if (q->column == CQ_COLUMN_FREE && f->r->status >= 400
        && brings_a_file(bb)) {
        q->column = CQ_COLUMN_USED;
    }
    if (q->connection == NULL) {
        return pass_in_pieces(f, q, bb);
    }
    rv = mark(q, bb);
    return rv == APR_SUCCESS ? ap_pass_brigade(f->next, bb) : rv;
}

void cq_meter_register(void)
{
    /* +5: behind everything that still changes the response */
    meter_handle = ap_register_output_filter("CLAMQUOTA", meter_filter, NULL,
                                             (ap_filter_type)
                                             (AP_FTYPE_TRANSCODE + 5));
}

int cq_meter_create_request(request_rec *r)
{
    /* protocol filters stay for redirects, ErrorDocuments and subrequests:
     * added once, to the request that came over the wire */
    if (cq_site.table != NULL && r->main == NULL && r->prev == NULL) {
        ap_add_output_filter_handle(meter_handle, NULL, r, r->connection);
    }
    return OK;
}

/* The end-of-request bucket logs: what was sent is known now. */
int cq_meter_log(request_rec *r)
{
    struct cq_request *q = cq_request_of(r);

    if (q != NULL) {
        cq_meter_end(q);
        cq_variables_log(r, q);
    }
    return DECLINED;
}
