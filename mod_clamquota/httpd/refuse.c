/* refuse - the answer to a client that is over: a status, when to come back,
 * and a few lines for whoever reads them. */
#include "httpd/request.h"
#include "render/refusal.h"

#include <mod_core.h>

#define RETRY_MAX_S (INT64_C(6) * 3600)
#define RETRY_JITTER_S (INT64_C(10) * 60)

/* A number of the client's own, the same at each refusal; no secret. */
static uint64_t spread_of(const struct cq_key *client)
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
    retry->spread = spread_of(client);
}

/* ---- words ---- */

/* A refusal must cost less than what it refuses, and formatting would be most
 * of what it costs: so everything is written once, from left to right, into
 * one block: two fields with a pool's name and four numbers, then the text. */
#define WORDS_SIZE (CQ_REFUSAL_SIZE + 400)

struct words {
    char *at;                   /* where the next one goes */
    const char *client;
    const char *retry_s;
    const char *policy;
    const char *limit;
    const char *text;
    apr_size_t text_length;
};

#define PUT(w, literal) put((w), (literal), sizeof(literal) - 1)

static inline void put(struct words *w, const char *text, apr_size_t length)
{
    memcpy(w->at, text, length);
    w->at += length;
}

static void put_number(struct words *w, int64_t n)
{
    char digits[20];
    apr_size_t at = sizeof(digits);
    uint64_t rest = n < 0 ? 0 : (uint64_t)n;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    put(w, digits + at, sizeof(digits) - at);
}

/* Where the client finds his figures, as this request calls this server. */
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

static void put_text(struct words *w, request_rec *r,
                     const struct cq_request *q,
                     const struct cq_dir_conf *conf,
                     const struct cq_period *period)
{
    const struct cq_decision *d = &q->decision;
    const char *admin = r->server->server_admin;
    struct cq_refusal refusal = {
        .client = w->client,
        .state = d->state,
        .file = d->file,
        .used_bytes = d->usage.used_bytes,
        .allowance_bytes = d->allowance_bytes,
        .retry_after_s = d->retry_after_s,
        /* not Retry-After, which is capped and spread: people plan by it */
        .admitted_at_s = q->client.clock.now_s
            + cq_policy_retry_after_s(&d->policy, d->usage.used_bytes, d->state,
                                      period, q->client.clock.now_s, NULL)
    };

    find_link(r, conf, &refusal);
    if (admin != NULL && strcmp(admin, DEFAULT_ADMIN) != 0) {
        refusal.admin = admin;
    }
    w->text = w->at;
    w->text_length = cq_refusal_text(&refusal, w->at);
    w->at += w->text_length + 1;
}

/* Whose limit it is: the pool's, or that of each file in it. */
static void put_limit_name(struct words *w, const struct cq_request *q)
{
    PUT(w, "\"");
    put(w, q->client.pool->name, strlen(q->client.pool->name));
    if (q->decision.file != NULL) {
        PUT(w, ":file");
    }
}

/* How long what is allowed is for. */
static int64_t window_s(const struct cq_request *q,
                        const struct cq_period *period)
{
    int day = cq_period_day(period, q->client.clock.now_s);

    return q->decision.file != NULL
        ? period->midnight_s[day] - period->midnight_s[day - 1]
        : period->midnight_s[period->days] - period->midnight_s[0];
}

/* draft-ietf-httpapi-ratelimit-headers-10: what is allowed in the period (of a
 * file: in a day), and that nothing of it is left for so many seconds. */
static void put_limits(struct words *w, const struct cq_request *q,
                       const struct cq_period *period)
{
    w->policy = w->at;
    put_limit_name(w, q);
    PUT(w, "\";q=");
    put_number(w, q->decision.allowance_bytes);
    PUT(w, ";qu=\"content-bytes\";w=");
    put_number(w, window_s(q, period));
    *w->at++ = '\0';
    w->limit = w->at;
    put_limit_name(w, q);
    PUT(w, "\";r=0;t=");
    w->retry_s = w->at;         /* Retry-After is the end of this field */
    put_number(w, q->decision.retry_after_s);
    *w->at++ = '\0';
}

static void set_fields(request_rec *r, const struct words *w)
{
    apr_table_t *fields = r->err_headers_out;   /* also an ErrorDocument's */

    apr_table_addn(fields, "Retry-After", w->retry_s);
    apr_table_addn(fields, "Cache-Control", "no-store");
    apr_table_addn(fields, "RateLimit-Policy", w->policy);
    apr_table_addn(fields, "RateLimit", w->limit);
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

static int answer(request_rec *r, int status, const struct words *w)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, list);

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
    ap_set_content_length(r, (apr_off_t)w->text_length);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(w->text,
                                                       w->text_length,
                                                       r->pool, list));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(list));
    ap_pass_brigade(r->output_filters, bb);
    return DONE;
}

/* The header fields and the log line of a refusal. */
static int begin(request_rec *r, const struct cq_request *q,
                 const struct cq_dir_conf *conf,
                 const struct cq_period *period, struct words *w)
{
    const struct cq_decision *d = &q->decision;

    /* as it is shown everywhere; httpd has an IPv4 address as text already */
    w->client = cq_client_is_shown(r, &q->client.key)
        ? r->useragent_ip : cq_client_text(r->pool, &q->client.key);
    w->at = apr_palloc(r->pool, WORDS_SIZE);
    put_limits(w, q, period);
    set_fields(r, w);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, CQNO("0201")
                  "refused (%s): %s has used %" APR_INT64_T_FMT " of %"
                  APR_INT64_T_FMT " bytes%s in pool %s, may come back in %s "
                  "s: %s", cq_state_word(d->state), w->client,
                  d->usage.used_bytes, d->allowance_bytes,
                  d->file != NULL ? " of this file" : "",
                  q->client.pool->name, w->retry_s,
                  ap_escape_logitem(r->pool, r->unparsed_uri));
    if (ap_request_has_body(r)) {
        /* not worth the wait for what it wanted to send */
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    return conf->status != 0 ? conf->status : HTTP_TOO_MANY_REQUESTS;
}

int cq_refuse(request_rec *r, const struct cq_request *q,
              const struct cq_dir_conf *conf, const struct cq_period *period)
{
    struct words w;
    int status = begin(r, q, conf, period, &w);

    if (has_error_document(r, status)) {
        return status;
    }
    put_text(&w, r, q, conf, period);
    return answer(r, status, &w);
}

int cq_refuse_here(request_rec *r, const struct cq_request *q,
                   const struct cq_dir_conf *conf,
                   const struct cq_period *period)
{
    struct words w;
    int status = begin(r, q, conf, period, &w);

    put_text(&w, r, q, conf, period);
    (void)answer(r, status, &w);
    (void)ap_rflush(r);         /* what is refused may run for long */
    return DONE;
}
