/* refuse - the answer to a client over quota: a status, when to come back, and
 * a few lines for people. Decides nothing: gate.c does. */
#include "httpd/request.h"
#include "render/refusal.h"

#include <mod_core.h>

#define RETRY_MAX_S (INT64_C(6) * 3600)
#define RETRY_JITTER_S (INT64_C(10) * 60)

/* A number of the client's own, the same at each refusal; no secret. */
static uint64_t client_spread(const struct cq_key *client)
{
    uint64_t words[2];

    memcpy(words, client->bytes, sizeof(words));
    /* 2^64 / golden ratio: neighbours come out far apart */
    return ((words[0] ^ words[1]) * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
}

void cq_refuse_retry(const struct cq_dir_conf *conf,
                     const struct cq_key *client, struct cq_retry *retry)
{
    retry->max_s = conf->retry_max_s != CQ_UNSET ? conf->retry_max_s
                                                 : RETRY_MAX_S;
    retry->jitter_s = conf->retry_jitter_s != CQ_UNSET ? conf->retry_jitter_s
                                                       : RETRY_JITTER_S;
    retry->spread = client_spread(client);
}

/* ---- words ---- */

/* How long what is allowed is for. */
static int64_t window_s(const struct cq_request *q,
                        const struct cq_period *period)
{
    int day = cq_period_day(period, q->client.clock.now_s);

    return q->decision.file != NULL
        ? period->midnight_s[day] - period->midnight_s[day - 1]
        : period->midnight_s[period->days] - period->midnight_s[0];
}

/* Where the client finds its figures, as this request calls this server. */
static void find_link(request_rec *r, const struct cq_dir_conf *conf,
                      struct cq_refusal *refusal)
{
    apr_port_t port;

    if (conf->me_path == NULL || r->proxyreq == PROXYREQ_PROXY) {
        return;
    }
    port = ap_get_server_port(r);
    refusal->path = conf->me_path;
    refusal->scheme = ap_http_scheme(r);
    refusal->host = ap_get_server_name_for_url(r);
    refusal->port = ap_is_default_port(port, r) ? 0 : port;
}

static struct cq_refusal fill_refusal(request_rec *r,
                                      const struct cq_request *q,
                                      const struct cq_dir_conf *conf,
                                      const struct cq_period *period)
{
    const struct cq_decision *d = &q->decision;
    const char *admin = r->server->server_admin;
    struct cq_refusal refusal = {
        .client = cq_client_text(r, &q->client.key),
        .pool = q->client.pool->name,
        .window_s = window_s(q, period),
        .state = d->state,
        .file = d->file,
        .used_bytes = d->usage.used_bytes,
        .allowance_bytes = d->allowance_bytes,
        .retry_after_s = d->retry_after_s,
        /* not Retry-After, which is capped and spread: people plan by it */
        .admitted_at_s = q->client.clock.now_s
            + cq_policy_retry_after_s(&d->policy, d->usage.used_bytes, d->state,
                                      period, q->client.clock.now_s, NULL),
        .admin = admin != NULL && strcmp(admin, DEFAULT_ADMIN) != 0 ? admin
                                                                    : NULL
    };

    find_link(r, conf, &refusal);
    return refusal;
}

static void set_fields(request_rec *r, const struct cq_refusal *refusal)
{
    apr_table_t *headers = r->err_headers_out;  /* also an ErrorDocument's */
    struct cq_refusal_fields *fields = apr_palloc(r->pool, sizeof(*fields));

    cq_refusal_fields(refusal, fields);
    apr_table_addn(headers, "Retry-After", fields->retry_after);
    apr_table_addn(headers, "Cache-Control", "no-store");
    apr_table_addn(headers, "RateLimit-Policy", fields->policy);
    apr_table_addn(headers, "RateLimit", fields->limit);
}

/* ---- answering ---- */

/* Has the operator a text, file or script of this server for it? A full URL
 * would make a redirect, which programs take for the file. */
static bool has_error_document(request_rec *r, int status)
{
    /* 509 is none of httpd's own: its index would be that of another */
    const char *document = status == 509 ? NULL
        : ap_response_code_string(r, ap_index_of_response(status));

    return document != NULL && !ap_is_url(document);
}

static void send_text(request_rec *r, int status,
                      const struct cq_refusal *refusal)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, list);
    char *text = apr_palloc(r->pool, CQ_REFUSAL_SIZE);
    apr_size_t length = cq_refusal_text(refusal, text);

    /* Nothing of the resource: not its filters, which would change the text or
     * put a cached body in its place, nor its header. */
    r->output_filters = r->proto_output_filters;
    r->content_encoding = NULL;
    r->content_languages = NULL;
    apr_table_clear(r->headers_out);
    apr_table_unset(r->err_headers_out, "Content-Location");
    /* as ap_send_error_response() does, for "Header always set"; with a status
     * that mod_cache doesn't take for an error it may answer from the cache */
    r->status = HTTP_TOO_MANY_REQUESTS;
    ap_run_insert_error_filter(r);
    r->status = status;
    if (status == 509) {
        r->status_line = "509 Bandwidth Limit Exceeded";
    }
    ap_set_content_type(r, "text/plain; charset=us-ascii");
    ap_set_content_length(r, (apr_off_t)length);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(text, length, r->pool,
                                                       list));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(list));
    ap_pass_brigade(r->output_filters, bb);
}

int cq_refuse(request_rec *r, const struct cq_request *q,
              const struct cq_dir_conf *conf, const struct cq_period *period,
              enum cq_answer_time when)
{
    struct cq_refusal refusal = fill_refusal(r, q, conf, period);
    int status = conf->status != 0 ? conf->status : HTTP_TOO_MANY_REQUESTS;

    set_fields(r, &refusal);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, CQNO("0201")
                  "refused (%s): %s has used %" APR_INT64_T_FMT " of %"
                  APR_INT64_T_FMT " bytes%s in pool %s, may return in %"
                  APR_INT64_T_FMT " s: %s", cq_state_word(refusal.state),
                  refusal.client, refusal.used_bytes, refusal.allowance_bytes,
                  refusal.file != NULL ? " of this file" : "", refusal.pool,
                  refusal.retry_after_s,
                  ap_escape_logitem(r->pool, r->unparsed_uri));
    if (ap_request_has_body(r)) {
        /* not worth the wait for what it wanted to send */
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    if (when == CQ_ANSWER_INSTEAD && has_error_document(r, status)) {
        return status;
    }
    send_text(r, status, &refusal);
    if (when == CQ_ANSWER_NOW) {
        (void)ap_rflush(r);     /* what is refused may run for long */
    }
    return DONE;
}
