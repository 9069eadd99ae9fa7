/* refuse - the answer to a client that is over: a status, when to come back,
 * and a few lines for whoever reads them. */
#include "httpd/request.h"

#include <mod_core.h>

#define RETRY_MAX_S (INT64_C(6) * 3600)
#define RETRY_JITTER_S (INT64_C(10) * 60)

/* What freshclam, cvdupdate, curl and wget all understand: whole seconds,
 * never a date, never 0. */
static int64_t retry_after(const struct cq_request *q,
                           const struct cq_dir_conf *conf,
                           const struct cq_clock *clock,
                           struct cq_period *period)
{
    static const struct cq_seed fixed;  /* the spread is no secret */
    struct cq_policy policy = cq_request_policy(q, conf);
    struct cq_retry retry = {
        .max_s = conf->retry_max_s != CQ_UNSET ? conf->retry_max_s
                                               : RETRY_MAX_S,
        .jitter_s = conf->retry_jitter_s != CQ_UNSET ? conf->retry_jitter_s
                                                     : RETRY_JITTER_S,
        .spread = cq_hash_key(&fixed, q->pool->index, &q->client),
    };

    cq_table_period(cq_site.table, period);
    return cq_policy_retry_after_s(&policy, q->used_bytes, q->state, period,
                                   clock->now_s, &retry);
}

/* draft-ietf-httpapi-ratelimit-headers-10: what the pool allows in the
 * period, and that nothing of it is left for so many seconds. */
static void set_fields(request_rec *r, const struct cq_request *q,
                       const struct cq_period *period)
{
    apr_table_t *fields = r->err_headers_out;   /* also an ErrorDocument's */

    apr_table_setn(fields, "Retry-After",
                   apr_psprintf(r->pool, "%" APR_INT64_T_FMT,
                                q->retry_after_s));
    apr_table_setn(fields, "Cache-Control", "no-store");
    apr_table_setn(fields, "RateLimit-Policy",
                   apr_psprintf(r->pool, "\"%s\";q=%" APR_INT64_T_FMT
                                ";qu=\"content-bytes\";w=%" APR_INT64_T_FMT,
                                q->pool->name, q->allowance_bytes,
                                period->midnight_s[period->days]
                                    - period->midnight_s[0]));
    apr_table_setn(fields, "RateLimit",
                   apr_psprintf(r->pool, "\"%s\";r=0;t=%" APR_INT64_T_FMT,
                                q->pool->name, q->retry_after_s));
}

/* Under 400 bytes whatever the numbers are. */
static const char *text_of(request_rec *r, const struct cq_request *q,
                           const struct cq_clock *clock)
{
    char client[CQ_KEY_TEXT_SIZE];
    char used[CQ_SIZE_TEXT_SIZE], allowed[CQ_SIZE_TEXT_SIZE];
    char until[APR_RFC822_DATE_LEN];

    cq_key_format(&q->client, client, sizeof(client));
    cq_size_format_human(q->used_bytes, used, sizeof(used));
    cq_size_format_human(q->allowance_bytes, allowed, sizeof(allowed));
    apr_rfc822_date(until, apr_time_from_sec(clock->now_s
                                             + q->retry_after_s));
    if (q->state == CQ_STATE_BUSY) {
        return apr_psprintf(r->pool,
            "%s has drawn %s of %s and downloads under way will use up the "
            "rest.\nCome back in %" APR_INT64_T_FMT " seconds, when they have "
            "ended.\n", client, used, allowed, q->retry_after_s);
    }
    return apr_psprintf(r->pool,
        "%s has drawn %s (%" APR_INT64_T_FMT " bytes); allowed by now are %s "
        "(%" APR_INT64_T_FMT ").\nCome back in %" APR_INT64_T_FMT
        " seconds: %s.\nFetch only what has changed (freshclam: "
        "ScriptedUpdates yes), share one\nlocal copy, or ask the operator of "
        "this server for more.\n", client, used, q->used_bytes, allowed,
        q->allowance_bytes, q->retry_after_s, until);
}

/* Has the operator an ErrorDocument for it? */
static bool has_error_document(request_rec *r, int status)
{
    /* 509 is none of httpd's own: its index would be that of another */
    return status != 509
        && ap_response_code_string(r, ap_index_of_response(status)) != NULL;
}

int cq_refuse(request_rec *r, struct cq_request *q,
              const struct cq_dir_conf *conf, const struct cq_clock *clock)
{
    int status = conf->status != 0 ? conf->status : HTTP_TOO_MANY_REQUESTS;
    struct cq_period period;
    const char *text;

    q->retry_after_s = retry_after(q, conf, clock, &period);
    set_fields(r, q, &period);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, CQNO("0201")
                  "refused (%s): %s has drawn %" APR_INT64_T_FMT " of %"
                  APR_INT64_T_FMT " bytes in pool %s, may come back in %"
                  APR_INT64_T_FMT " s: %s", cq_state_word(q->state),
                  r->useragent_ip, q->used_bytes, q->allowance_bytes,
                  q->pool->name, q->retry_after_s,
                  ap_escape_logitem(r->pool, r->unparsed_uri));
    cq_variables_fixups(r);
    if (has_error_document(r, status)) {
        return status;
    }
    if (ap_request_has_body(r)) {
        /* not worth the wait for what it wanted to send */
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    text = text_of(r, q, clock);
    r->status = status;
    if (status == 509) {
        r->status_line = "509 Bandwidth Limit Exceeded";
    }
    ap_set_content_type(r, "text/plain; charset=us-ascii");
    ap_set_content_length(r, (apr_off_t)strlen(text));
    ap_rputs(text, r);
    return DONE;
}
