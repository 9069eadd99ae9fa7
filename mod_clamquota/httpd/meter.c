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

#define PIECE_BYTES_H2 (64 * 1024)      /* what an abort may book too much */

static ap_filter_rec_t *meter_handle;

/* ---- booking ---- */

void cq_meter_book(struct cq_request *q, int64_t bytes)
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
    cq_copies_book(q, bytes);
    if (q->column == CQ_COLUMN_USED) {
        cq_account_charge(&q->account, &q->clock, bytes);
        if (q->lenient > 0) {
            /* it looked free and was not: there is a bound to that */
            cq_account_free_range(&q->account, &q->clock,
                                  bytes * q->lenient);
        }
        return;
    }
    cq_account_free(&q->account, &q->clock, bytes);
    if (q->free_range) {
        cq_account_free_range(&q->account, &q->clock, bytes);
    }
}

/* ---- the first bytes of a response ---- */

/* While a handler runs, httpd has put the content type where none was set. */
static bool is_default_handled(const request_rec *r)
{
    return r->handler == NULL || strcmp(r->handler, "default-handler") == 0
        || (strchr(r->handler, '/') != NULL
            && strncmp(r->handler, "application/x-httpd-", 20) != 0);
}

/* An error whose body is a file: an ErrorDocument, also when a filter has
 * changed what is in it. */
static bool brings_a_file(const request_rec *r, apr_bucket_brigade *bb)
{
    apr_bucket *b;

    if (r->prev != NULL && ap_is_HTTP_ERROR(r->prev->status)
        && r->finfo.filetype == APR_REG && is_default_handled(r)) {
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
    /* some filter may have put something else in its place */
    if (q->verdict == CQ_VERDICT_REFUSED && r->status >= 400) {
        return CQ_COLUMN_REFUSED;
    }
    if (conf->free == 1 || r->header_only
        || r->status == HTTP_NO_CONTENT || ap_is_HTTP_INFO(r->status)
        || ap_is_HTTP_REDIRECT(r->status)) {
        return CQ_COLUMN_FREE;
    }
    if (r->status >= 400) {
        return brings_a_file(r, bb) ? CQ_COLUMN_USED : CQ_COLUMN_FREE;
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

/* Corrects the reservation: the length is known now, if it is at all. */
static void reserve(struct cq_request *q, const request_rec *r)
{
    /* as set last by the byte range or content length filter, or by who made
     * or proxied the response; stale where a filter made the length unknown:
     * no smaller then, and the header is gone */
    if (r->clength > 0) {
        cq_account_reserve_at_most(&q->account, r->clength);
        if ((r->finfo.filetype != APR_REG || q->verdict == CQ_VERDICT_NONE
             || r->prev != NULL)
            && content_length(r) == r->clength) {
            cq_account_reserve_at_least(&q->account, r->clength);
        }
    }
}

/* What of the first brigade is the header: over HTTP/1.x all, the body comes
 * in others; over HTTP/2 the header is no data here (H2_C2_RESPONSE_OUT, a
 * protocol filter, has made a metadata bucket of it). */
static int64_t head_of(const struct cq_request *q, const request_rec *r,
                       apr_bucket_brigade *bb)
{
    apr_off_t length = 0;

    if (q->connection != NULL && !r->assbackwards) {    /* HTTP/0.9: none */
        (void)apr_brigade_length(bb, 0, &length);
    }
    return length > 0 ? length : 0;
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
    if (q->pair != NULL || q->unpaired != NULL) {
        cq_copies_begin(q, r, conf, head_of(q, r, bb));
    }
    if (q->column == CQ_COLUMN_USED) {
        reserve(q, r);
    }
    else {
        cq_account_reserve_at_most(&q->account, 0);
    }
    if (q->column != CQ_COLUMN_REFUSED) {
        if (cq_account_hit(&q->account, &q->clock) == 1
            && cq_peer_may_be_proxy(r)) {
            cq_table_notice(cq_site.table, CQ_NOTICE_PROXY);
        }
        cq_table_total_add(cq_site.table, q->pool->index, CQ_TOTAL_HITS, 1);
    }
    cq_notices_say(r->server);
    return true;
}

/* ---- the filter ---- */

/* HTTP/2: passes the brigade on piece by piece. */
static apr_status_t pass_in_pieces(ap_filter_t *f, struct cq_request *q,
                                   apr_bucket_brigade *bb)
{
    apr_bucket_brigade *piece_bb;
    bool ends = false;

    if (q->piece_bb == NULL) {
        q->piece_bb = apr_brigade_create(cq_request_first(f->r)->pool,
                                         bb->bucket_alloc);
    }
    piece_bb = q->piece_bb;
    do {
        int64_t piece = 0;
        apr_status_t rv = APR_SUCCESS;

        while (!APR_BRIGADE_EMPTY(bb) && piece < PIECE_BYTES_H2) {
            apr_bucket *b = APR_BRIGADE_FIRST(bb);

            ends = ends || APR_BUCKET_IS_EOS(b);
            if (!APR_BUCKET_IS_METADATA(b)) {
                rv = cq_marker_known_length(b);
                if (rv == APR_SUCCESS
                    && (int64_t)b->length > PIECE_BYTES_H2 - piece) {
                    rv = apr_bucket_split(
                        b, (apr_size_t)(PIECE_BYTES_H2 - piece));
                }
                if (rv != APR_SUCCESS) {
                    apr_brigade_cleanup(piece_bb);
                    return rv;
                }
                piece += (int64_t)b->length;
            }
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(piece_bb, b);
        }
        if (ends && q->account_open) {
            /* a quick client asks again before the call comes back */
            cq_account_reserve_at_most(&q->account, piece);
            cq_copies_reserve_at_most(q, piece);
        }
        rv = ap_pass_brigade(f->next, piece_bb);
        apr_brigade_cleanup(piece_bb);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        /* also when the stream was closed meanwhile: a quick client does that
         * the moment it has the last byte */
        if (piece > 0) {
            cq_meter_book(q, piece);
        }
    } while (!APR_BRIGADE_EMPTY(bb));
    if (ends && q->account_open) {
        /* not only when the session next clears the stream away */
        cq_account_reserve_at_most(&q->account, 0);
        cq_copies_end(q);
    }
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
        if (q == NULL || q->handed_over || !begin(q, f->r, bb)) {
            ap_remove_output_filter(f);
            return ap_pass_brigade(f->next, bb);
        }
        f->ctx = q;
    }
    if (q->column == CQ_COLUMN_FREE && f->r->status >= 400
        && brings_a_file(f->r, bb)) {
        q->column = CQ_COLUMN_USED;
    }
    if (q->connection == NULL) {
        return pass_in_pieces(f, q, bb);
    }
    rv = cq_marker_cut(q, bb);
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
        cq_marker_end(q);
        cq_variables_log(r, q);
    }
    return DECLINED;
}
