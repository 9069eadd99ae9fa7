/* meter - counts what really leaves.
 *
 * One output filter for each request that came over the wire, behind the
 * header, chunk, range and deflate filters and before TLS: it sees every byte
 * of the response, and still knows the request. It does not book what it
 * hands on, but what went:
 *
 * HTTP/1.x: marker buckets in the response tell when it went (marker.c).
 *
 * HTTP/2: a marker would never leave the stream's connection, but passing on
 * blocks until the peer's window has room: pieces are passed one by one and
 * booked when the call comes back. */
#include "httpd/request.h"

#include <http_ssl.h>

#define PIECE_BYTES_H2 (64 * 1024)      /* what an abort may book too much */

static ap_filter_rec_t *meter_handle;

/* ---- booking ---- */

static void book_bytes(struct cq_request *q, int64_t bytes)
{
    q->response.sent_bytes += bytes;
    cq_client_book(&q->client, q->response.column, bytes);
    if (q->pair != NULL) {
        cq_copies_book(q->pair, bytes);
    }
}

/* Of markers: bytes are gone, sent or not. */
static bool gone(void *baton, int64_t bytes)
{
    struct cq_request *q = baton;

    if (q->c->aborted || q->connection->closing || q->response.failed) {
        return false;
    }
    book_bytes(q, bytes);
    return true;
}

static void prepare_markers(struct cq_request *q)
{
    const core_server_config *core =
        ap_get_core_module_config(q->c->base_server->module_config);

    q->markers.gone = gone;
    q->markers.baton = q;
    q->markers.sendfile = !ap_ssl_conn_is_ssl(q->c);
    /* as far as the core output filter may read ahead of the kernel */
    q->markers.ahead_bytes = (int64_t)core->flush_max_threshold;
}

/* ---- the first bytes of a response ---- */

/* An error whose body is a file: an ErrorDocument, also when a filter has
 * changed what is in it. */
CQ_SELDOM static bool has_file_body(const request_rec *r,
                                    apr_bucket_brigade *bb)
{
    apr_bucket *b;

    if (cq_is_error_document(r) && r->finfo.filetype == APR_REG
        && cq_is_default_handled(r)) {
        return true;
    }
    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        if (APR_BUCKET_IS_FILE(b) || APR_BUCKET_IS_MMAP(b)) {
            return true;
        }
    }
    return false;
}

/* Which column a response belongs to, by what it is. */
static enum cq_column find_column(const struct cq_request *q,
                                  const request_rec *r,
                                  const struct cq_dir_conf *conf,
                                  apr_bucket_brigade *bb)
{
    /* some filter may have put something else in its place */
    if (q->decision.verdict == CQ_VERDICT_REFUSED
        && (r->status >= 400 || cq_is_error_document(r))) {
        return CQ_COLUMN_REFUSED;
    }
    if (conf->free == 1 || r->header_only
        || r->status == HTTP_NO_CONTENT || ap_is_HTTP_INFO(r->status)
        || ap_is_HTTP_REDIRECT(r->status)
        || (q->client.has_free_range && r->status == HTTP_PARTIAL_CONTENT)) {
        return CQ_COLUMN_FREE;
    }
    return r->status >= 400 && !has_file_body(r, bb) ? CQ_COLUMN_FREE
                                                     : CQ_COLUMN_USED;
}

/* Corrects the reservation, up as well as down: the length is known now, if it
 * is at all. Most responses are as long as predicted. */
static void correct_reservation(struct cq_request *q, const request_rec *r)
{
    struct cq_account *account = &q->client.account;
    int64_t length;

    if (q->response.column != CQ_COLUMN_USED) {
        cq_account_reserve_at_most(account, 0);
        return;
    }
    if (r->clength > 0 && r->clength == q->decision.reserved_bytes) {
        return;
    }
    length = cq_predict_length(r);
    /* stale where a filter made the length unknown: no smaller then */
    if (length >= 0 || r->clength > 0) {
        cq_account_reserve_at_most(account, length >= 0 ? length
                                                        : r->clength);
    }
    cq_account_reserve_at_least(account, length >= 0 ? length
                                                     : CQ_UNKNOWN_BYTES);
}

/* What of the first brigade is the header: over HTTP/1.x all, the body comes
 * in others; over HTTP/2 the header is no data here (H2_C2_RESPONSE_OUT, a
 * protocol filter, has made a metadata bucket of it). */
static int64_t head_length(const struct cq_request *q, const request_rec *r,
                           apr_bucket_brigade *bb)
{
    apr_off_t length = 0;

    if (!q->connection->http2 && !r->assbackwards) {    /* HTTP/0.9: none */
        (void)apr_brigade_length(bb, 0, &length);
    }
    return length > 0 ? length : 0;
}

CQ_SELDOM static void begin_copies(struct cq_request *q, const request_rec *r,
                                   apr_bucket_brigade *bb)
{
    if (q->response.column == CQ_COLUMN_USED
        && (r->status == HTTP_OK || r->status == HTTP_PARTIAL_CONTENT)) {
        cq_copies_begin(&q->pair, r, cq_predict_length(r), head_length(q, r,
                                                                       bb));
        return;
    }
    cq_copies_end(&q->pair);    /* something else is sent */
}

static void count_hit(struct cq_request *q, const request_rec *r)
{
    if (cq_account_count_hit(&q->client.account, &q->client.clock) == 1
        && cq_peer_may_be_proxy(r)) {
        cq_table_notice(cq_site.table, CQ_NOTICE_PROXY);
        cq_notices_log(r->server);
    }
    cq_table_total_add(cq_site.table, q->client.pool->index, CQ_TOTAL_HITS, 1);
}

/* Decides what is counted and how.
 * @return false: not counted at all */
static bool begin_response(struct cq_request *q, request_rec *r,
                           apr_bucket_brigade *bb)
{
    const struct cq_dir_conf *conf = cq_dir_conf(r);

    if (cq_is_own_page(r->handler)) {
        q->response.column = CQ_COLUMN_HANDLER;
        q->client.pool = cq_dir_conf_pool(conf, cq_site.conf);
    }
    else {
        if (!q->client.tried) {
            /* no verdict fell: the scope that was asked for counts */
            const request_rec *first = cq_request_first(r);

            conf = cq_dir_conf(first);
            if (cq_dir_conf_engine(conf) == CQ_ENGINE_OFF) {
                return false;
            }
            cq_client_open(&q->client, &q->connection->by_proxy, first,
                           conf);
        }
        q->response.column = find_column(q, r, conf, bb);
    }
    q->response.begun = true;
    if (q->markers.gone == NULL) {      /* of the connection's first request */
        prepare_markers(q);
    }
    if (!cq_account_is_open(&q->client.account)
        || q->response.column == CQ_COLUMN_HANDLER) {
        return true;
    }
    if (q->pair != NULL) {
        begin_copies(q, r, bb);
    }
    correct_reservation(q, r);
    if (q->response.column != CQ_COLUMN_REFUSED) {
        count_hit(q, r);
    }
    return true;
}

/* ---- the filter ---- */

/* Moves the next piece of a brigade.
 * @return its bytes, -1 on an error */
static int64_t move_piece(apr_bucket_brigade *bb, apr_bucket_brigade *piece_bb,
                          bool *ends, apr_status_t *rv)
{
    int64_t piece = 0;

    while (!APR_BRIGADE_EMPTY(bb) && piece < PIECE_BYTES_H2) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);

        *ends = *ends || APR_BUCKET_IS_EOS(b);
        if (!APR_BUCKET_IS_METADATA(b)) {
            *rv = cq_marker_split(b, PIECE_BYTES_H2 - piece);
            if (*rv != APR_SUCCESS) {
                apr_brigade_cleanup(piece_bb);
                return -1;
            }
            piece += (int64_t)b->length;
        }
        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(piece_bb, b);
    }
    return piece;
}

static void reserve_at_most(struct cq_request *q, int64_t bytes)
{
    cq_account_reserve_at_most(&q->client.account, bytes);
    if (q->pair != NULL) {
        cq_copies_reserve_at_most(q->pair, bytes);
    }
}

/* HTTP/2: passes the brigade on piece by piece. */
static apr_status_t pass_in_pieces(ap_filter_t *f, struct cq_request *q,
                                   apr_bucket_brigade *bb)
{
    apr_bucket_brigade *piece_bb = q->response.piece_bb;
    apr_status_t rv = APR_SUCCESS;
    bool ends = false;

    if (piece_bb == NULL) {
        piece_bb = apr_brigade_create(cq_request_first(f->r)->pool,
                                      bb->bucket_alloc);
        q->response.piece_bb = piece_bb;
    }
    do {
        int64_t piece = move_piece(bb, piece_bb, &ends, &rv);

        if (piece < 0) {
            return rv;
        }
        if (ends) {
            /* a quick client asks again before the call comes back */
            reserve_at_most(q, piece);
        }
        rv = ap_pass_brigade(f->next, piece_bb);
        apr_brigade_cleanup(piece_bb);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        /* also when the stream was closed meanwhile: a quick client does that
         * the moment it has the last byte */
        if (piece > 0) {
            book_bytes(q, piece);
        }
    } while (!APR_BRIGADE_EMPTY(bb));
    if (ends) {
        /* not only when the session next clears the stream away */
        reserve_at_most(q, 0);
        cq_copies_end(&q->pair);
    }
    return APR_SUCCESS;
}

static apr_status_t meter_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    struct cq_request *q = f->ctx;
    apr_status_t rv;

    if (APR_BRIGADE_EMPTY(bb)) {
        return ap_pass_brigade(f->next, bb);
    }
    if (q == NULL) {
        q = cq_request_find(f->r);
        q = q != NULL ? q : cq_request_make(f->r);
        if (q == NULL || q->handed_over || !begin_response(q, f->r, bb)) {
            ap_remove_output_filter(f);
            return ap_pass_brigade(f->next, bb);
        }
        f->ctx = q;
    }
    if (q->response.column == CQ_COLUMN_FREE && f->r->status >= 400) {
        /* its body may be a file, which comes behind the header */
        q->response.column = find_column(q, f->r, cq_dir_conf(f->r), bb);
    }
    if (q->connection->http2) {
        return pass_in_pieces(f, q, bb);
    }
    rv = cq_markers_cut(&q->markers, bb);
    if (rv == APR_SUCCESS) {
        rv = ap_pass_brigade(f->next, bb);
    }
    q->response.failed = q->response.failed || rv != APR_SUCCESS;
    return rv;
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
