/* gate - decides, before the first byte, whether a request may have its answer.
 *
 * Up to three looks, each with more knowledge, none of them needed twice:
 * header_parser   refuses a client over quota while nothing expensive was done,
 *                 where something large is certain to answer
 * handler         decides, just before one is called: what answers, by which
 *                 filters, under which conditions is known
 * a filter        for what looks free (304, 416, a small range): other filters
 *                 may have made the whole of it; its header is not yet sent
 * Nothing here waits, and no trouble of ours becomes a visitor's error. */
#include "httpd/request.h"

#define FREE_RANGE_BYTES 4096           /* the contract's default */

static ap_filter_rec_t *guard_handle;

/* ---- steps 2 to 4: the verdict ---- */

/* A file, whose client has allowance left. */
static enum cq_state judge_copies(request_rec *r, struct cq_request *q,
                                  const struct cq_dir_conf *conf,
                                  int64_t body_bytes)
{
    struct cq_decision *d = &q->decision;
    int64_t used_bytes;
    enum cq_state state = cq_copies_judge(r, &q->client, conf->copies_n,
                                          body_bytes, &q->pair, &used_bytes);

    if (state != CQ_STATE_OK) {
        /* what a refusal speaks of: the file, not all that was used */
        d->file = r->uri;
        d->used_bytes = used_bytes;
        d->allowance_bytes = conf->copies_n * r->finfo.size;
    }
    return state;
}

/* What the quota says of this response. Where it doesn't refuse, most_bytes
 * are reserved. */
static enum cq_state judge(request_rec *r, struct cq_request *q,
                           const struct cq_dir_conf *conf,
                           const struct cq_prediction *p)
{
    struct cq_decision *d = &q->decision;
    struct cq_client *client = &q->client;
    struct cq_usage usage = { 0, 0 };
    struct cq_policy policy;
    bool copies = p->is_file && conf->copies_n > 0;
    int64_t body_bytes = p->most_bytes < r->finfo.size ? p->most_bytes
                                                       : r->finfo.size;
    enum cq_state state = CQ_STATE_OK;

    if (!client->is_open && !cq_client_open(client, q->connection, r, conf)) {
        return CQ_STATE_ERROR;
    }
    policy = cq_client_policy(client->override, conf);
    d->allowance_bytes = cq_policy_allowance(&policy, client->clock.day);
    if (policy.daily_bytes == CQ_UNLIMITED || conf->free == 1) {
        cq_account_usage(&client->account, &client->clock, &usage);
        d->used_bytes = usage.used_bytes;
        return conf->free == 1 ? CQ_STATE_FREE
            : client->override != NULL ? CQ_STATE_EXEMPT : CQ_STATE_OK;
    }
    d->reserved_bytes = p->is_file ? p->most_bytes : 0;
    if (cq_account_admit(&client->account, &client->clock, d->allowance_bytes,
                         p->most_bytes, &usage) != CQ_OK) {
        state = cq_policy_state(&policy, &usage, client->clock.day);
    }
    d->used_bytes = usage.used_bytes;
    if (state == CQ_STATE_OK) {
        return copies ? judge_copies(r, q, conf, body_bytes) : CQ_STATE_OK;
    }
    return copies && p->is_rest
           && cq_copies_finish(r, client, policy.daily_bytes, body_bytes,
                               &q->pair) ? CQ_STATE_OK : state;
}

/* What LogOnly makes of a refusal. */
static void would_refuse(request_rec *r, struct cq_request *q)
{
    struct cq_decision *d = &q->decision;

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, CQNO("0202")
                  "would refuse (LogOnly, %s): %s has used %"
                  APR_INT64_T_FMT " of %" APR_INT64_T_FMT
                  " bytes%s in pool %s: %s", cq_state_word(d->state),
                  cq_client_text(r->pool, &q->client.key), d->used_bytes,
                  d->allowance_bytes, d->file != NULL ? " of this file" : "",
                  q->client.pool->name,
                  ap_escape_logitem(r->pool, r->unparsed_uri));
    cq_table_total_add(cq_site.table, q->client.pool->index,
                       CQ_TOTAL_WOULD_REFUSE, 1);
    if (q->pair != NULL) {
        cq_copies_allow(q->pair, r->finfo.size);
    }
    d->verdict = CQ_VERDICT_ADMITTED;
    d->state = CQ_STATE_LOGONLY;
}

/* Tallies a refusal and answers: in the place of the resource, or here and now
 * because a response has begun. */
static int refuse(request_rec *r, struct cq_request *q,
                  const struct cq_dir_conf *conf, bool here)
{
    struct cq_decision *d = &q->decision;
    struct cq_client *client = &q->client;
    struct cq_policy policy = cq_client_policy(client->override, conf);
    struct cq_period period;
    struct cq_retry retry;

    d->verdict = CQ_VERDICT_REFUSED;
    cq_copies_end(q->pair);
    q->pair = NULL;
    cq_account_reserve_at_most(&client->account, 0);
    cq_account_refused(&client->account, &client->clock, d->state);
    cq_table_total_add(cq_site.table, client->pool->index, CQ_TOTAL_REFUSED,
                       1);
    cq_table_period(cq_site.table, &period);
    cq_refuse_retry(conf, &client->key, &retry);
    d->retry_after_s = cq_policy_retry_after_s(&policy, d->used_bytes,
                                               d->state, &period,
                                               client->clock.now_s, &retry);
    cq_peer_refused(r);
    cq_variables_set(r, q);
    return here ? cq_refuse_here(r, q, conf, &period)
                : cq_refuse(r, q, conf, &period);
}

static bool is_refusal(enum cq_state state)
{
    return state == CQ_STATE_OVER || state == CQ_STATE_BUSY
        || state == CQ_STATE_COPIES;
}

/* @return as a hook; DECLINED: admitted */
static int decide(request_rec *r, struct cq_request *q,
                  const struct cq_dir_conf *conf,
                  const struct cq_prediction *p, bool here)
{
    struct cq_decision *d = &q->decision;

    if (cq_is_error_document(r) && q->client.is_open) {
        /* of the answer in whose place it comes */
        cq_account_reserve_at_most(&q->client.account, 0);
    }
    d->state = judge(r, q, conf, p);
    d->verdict = CQ_VERDICT_ADMITTED;
    if (!is_refusal(d->state)) {
        return DECLINED;
    }
    if (cq_dir_conf_engine(conf) == CQ_ENGINE_LOGONLY) {
        would_refuse(r, q);
        return DECLINED;
    }
    if (cq_is_error_document(r) && p->is_file) {
        /* the error stands, in httpd's own words and not in the file's */
        cq_copies_end(q->pair);
        q->pair = NULL;
        d->verdict = CQ_VERDICT_NONE;
        return HTTP_TOO_MANY_REQUESTS;
    }
    return refuse(r, q, conf, here);
}

/* ---- the looks ---- */

/* Is this a request to be decided, and not yet decided? */
static struct cq_request *undecided(request_rec *r)
{
    struct cq_request *q;

    if (r->main != NULL || cq_site.table == NULL
        || cq_dir_conf_engine(cq_dir_conf(r)) == CQ_ENGINE_OFF) {
        return NULL;
    }
    q = cq_request_of(r);
    if (q != NULL && (q->decision.verdict == CQ_VERDICT_REFUSED
                      || (q->decision.verdict == CQ_VERDICT_ADMITTED
                          && !cq_is_error_document(r)))) {
        return NULL;
    }
    return q != NULL ? q : cq_request_make(r);
}

int cq_gate_header_parser(request_rec *r)
{
    const struct cq_dir_conf *conf = cq_dir_conf(r);
    struct cq_request *q;
    struct cq_decision *d;
    struct cq_policy policy;
    struct cq_usage usage;

    if (r->prev != NULL || conf->free == 1
        || cq_dir_conf_engine(conf) != CQ_ENGINE_ON || !cq_predict_early(r)
        || (q = undecided(r)) == NULL
        || !cq_client_open(&q->client, q->connection, r, conf)) {
        return DECLINED;
    }
    d = &q->decision;
    policy = cq_client_policy(q->client.override, conf);
    cq_account_usage(&q->client.account, &q->client.clock, &usage);
    d->state = cq_policy_state(&policy, &usage, q->client.clock.day);
    if (!is_refusal(d->state) || cq_predict_is_conditional(r)) {
        return DECLINED;        /* when more is known */
    }
    d->used_bytes = usage.used_bytes;
    d->allowance_bytes = cq_policy_allowance(&policy, q->client.clock.day);
    return refuse(r, q, conf, false);
}

static void guard_prediction(request_rec *r, struct cq_request *q,
                             const struct cq_prediction *p)
{
    struct cq_usage usage;

    if (cq_client_open(&q->client, q->connection, r, cq_dir_conf(r))) {
        cq_account_reserve_at_most(&q->client.account, 0);
        cq_account_usage(&q->client.account, &q->client.clock, &usage);
        q->decision.used_bytes = usage.used_bytes;
    }
    q->decision.verdict = CQ_VERDICT_ADMITTED;
    q->decision.state = CQ_STATE_FREE;
    ap_add_output_filter_handle(guard_handle,
                                apr_pmemdup(r->pool, p, sizeof(*p)), r,
                                r->connection);
}

int cq_gate_handler(request_rec *r)
{
    const struct cq_dir_conf *conf = cq_dir_conf(r);
    struct cq_request *q = undecided(r);
    struct cq_prediction p;
    int rv = DECLINED;

    if (q == NULL) {
        return DECLINED;
    }
    cq_predict(r, conf->free_range_bytes != CQ_UNSET ? conf->free_range_bytes
                                                     : FREE_RANGE_BYTES, &p);
    if (p.refusable && p.column == CQ_COLUMN_FREE) {
        guard_prediction(r, q, &p);
    }
    else if (p.refusable) {
        rv = decide(r, q, conf, &p, false);
    }
    if (rv == DECLINED) {
        cq_variables_set(r, q); /* they speak of the verdict */
    }
    return rv;
}

/* Reads the rest of a response that was refused, and drops it: mod_cgi waits
 * for the end of a script, and that for a reader of its output. */
static void discard(apr_bucket_brigade *bb)
{
    const char *data;
    apr_size_t length;
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);

        if (b->length == (apr_size_t)-1) {      /* no more than that runs */
            rv = apr_bucket_read(b, &data, &length, APR_BLOCK_READ);
        }
        apr_bucket_delete(b);
    }
    apr_brigade_cleanup(bb);
}

/* Nothing is booked as free because it looked so: before its header is made, a
 * response is looked at once more. */
static apr_status_t guard_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    struct cq_request *q = cq_request_of(r);
    struct cq_prediction *p = f->ctx;
    const struct cq_dir_conf *conf = cq_dir_conf(r);

    if (APR_BRIGADE_EMPTY(bb)) {
        return ap_pass_brigade(f->next, bb);
    }
    if (q->decision.verdict != CQ_VERDICT_REFUSED
        && (!cq_predict_again(r, bb, p)
            || (p->is_small_range && !cq_client_grant_range(
                    &q->client, conf, p->most_bytes)))) {
        (void)decide(r, q, conf, p, true);
    }
    if (q->decision.verdict == CQ_VERDICT_REFUSED) {
        discard(bb);            /* our answer has been passed on */
        return APR_SUCCESS;
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

void cq_gate_register(void)
{
    /* after what changes the content, before what cuts ranges from it */
    guard_handle = ap_register_output_filter("CLAMQUOTA_GUARD", guard_filter,
                                             NULL, (ap_filter_type)
                                             (AP_FTYPE_PROTOCOL - 1));
}
