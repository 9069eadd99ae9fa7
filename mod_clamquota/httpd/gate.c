/* gate - decides, before the first byte, whether a request may have its answer.
 *
 *   refused  =>  used + in flight had reached the allowance, before the request
 *
 * Up to three hooks, each with more knowledge, none of them needed twice:
 * header_parser   refuses a client over quota while nothing expensive was done,
 *                 where something large is certain to answer
 * handler         decides, just before one is called: what answers, by which
 *                 filters, under which conditions is known
 * a filter        for what looks free (304, 416, a small range): other filters
 *                 may have made the whole of it; its header is not yet sent
 * Nothing here waits, and no trouble of ours becomes a visitor's error. */
#include "httpd/request.h"

static ap_filter_rec_t *guard_handle;

/* ---- steps 2 to 4: the verdict ---- */

/* A file that the client's allowance lets through. */
CQ_SELDOM static enum cq_state judge_copies(request_rec *r,
                                            struct cq_request *q,
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
        d->usage.used_bytes = used_bytes;
        d->allowance_bytes = conf->copies_n * r->finfo.size;
    }
    return state;
}

/* Whose request it is, and up to where the client may go today. */
static inline bool open_client(request_rec *r, struct cq_request *q,
                               const struct cq_dir_conf *conf)
{
    struct cq_decision *d = &q->decision;

    if (d->conf == conf) {
        return true;            /* as at the first look */
    }
    if (!cq_client_open(&q->client, &q->connection->by_proxy, r, conf)) {
        return false;
    }
    d->conf = conf;
    d->policy = cq_client_policy(q->client.override, conf);
    d->exempt = cq_client_is_exempt(&q->client);
    d->allowance_bytes = d->exempt ? CQ_BYTES_MAX
        : cq_policy_allowance(&d->policy, q->client.clock.day);
    return true;
}

/* What the quota says of this response. Where it doesn't refuse, most_bytes
 * are reserved. */
static enum cq_state judge_response(request_rec *r, struct cq_request *q,
                                    const struct cq_dir_conf *conf)
{
    struct cq_decision *d = &q->decision;
    const struct cq_prediction *p = &q->prediction;
    struct cq_client *client = &q->client;
    enum cq_state state = CQ_STATE_OK;
    int64_t body_bytes;

    if (!open_client(r, q, conf)) {
        return CQ_STATE_ERROR;
    }
    if (d->policy.daily_bytes == CQ_UNLIMITED || conf->free == 1) {
        cq_account_usage(&client->account, &client->clock, &d->usage);
        return conf->free == 1 ? CQ_STATE_FREE
            : client->override != NULL ? CQ_STATE_EXEMPT : CQ_STATE_OK;
    }
    d->reserved_bytes = p->is_file ? p->most_bytes : 0;
    if (cq_account_admit(&client->account, &client->clock, d->allowance_bytes,
                         p->most_bytes, &d->usage) != CQ_OK) {
        state = cq_policy_state(&d->policy, &d->usage, client->clock.day);
    }
    if (d->exempt) {
        return CQ_STATE_EXEMPT; /* counted like others, whatever it says */
    }
    if (!p->is_file || conf->copies_n <= 0) {
        return state;
    }
    body_bytes = p->most_bytes < r->finfo.size ? p->most_bytes
                                               : r->finfo.size;
    if (state == CQ_STATE_OK) {
        return judge_copies(r, q, conf, body_bytes);
    }
    return p->is_rest
           && cq_copies_finish(r, client, d->policy.daily_bytes, body_bytes,
                               &q->pair) ? CQ_STATE_OK : state;
}

/* What LogOnly makes of a refusal. */
CQ_SELDOM static void log_would_refuse(request_rec *r, struct cq_request *q)
{
    struct cq_decision *d = &q->decision;

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, CQNO("0202")
                  "would refuse (LogOnly, %s): %s has used %"
                  APR_INT64_T_FMT " of %" APR_INT64_T_FMT
                  " bytes%s in pool %s: %s", cq_state_word(d->state),
                  cq_client_text(r, &q->client.key),
                  d->usage.used_bytes,
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
CQ_SELDOM static int refuse_request(request_rec *r, struct cq_request *q,
                  const struct cq_dir_conf *conf,
                  enum cq_answer_time when)
{
    struct cq_decision *d = &q->decision;
    struct cq_client *client = &q->client;
    struct cq_period period;
    struct cq_retry retry;

    d->verdict = CQ_VERDICT_REFUSED;
    cq_copies_end(&q->pair);
    cq_account_reserve_at_most(&client->account, 0);
    cq_account_count_refusal(&client->account, &client->clock, d->state);
    cq_table_total_add(cq_site.table, client->pool->index, CQ_TOTAL_REFUSED,
                       1);
    cq_table_period(cq_site.table, &period);
    cq_refuse_retry(conf, &client->key, &retry);
    d->retry_after_s = cq_policy_retry_after_s(&d->policy, d->usage.used_bytes,
                                               d->state, &period,
                                               client->clock.now_s, &retry);
    if (!q->connection->peer_refused) {
        q->connection->peer_refused = cq_peer_refused(r);
    }
    if (r->main == NULL && conf->variables == 1) {
        cq_variables_set(r, q);
    }
    return cq_refuse(r, q, conf, &period, when);
}

static bool is_refusal(enum cq_state state)
{
    return state == CQ_STATE_OVER || state == CQ_STATE_BUSY
        || state == CQ_STATE_COPIES;
}

/* @return as a hook; DECLINED: admitted all the same */
CQ_SELDOM static int apply_refusal(request_rec *r, struct cq_request *q,
                                   const struct cq_dir_conf *conf,
                                   enum cq_answer_time when)
{
    if (cq_dir_conf_engine(conf) == CQ_ENGINE_LOGONLY) {
        log_would_refuse(r, q);
        return DECLINED;
    }
    if (cq_is_error_document(r) && q->prediction.is_file) {
        /* the error stands, in httpd's own words and not in the file's */
        cq_copies_end(&q->pair);
        q->decision.verdict = CQ_VERDICT_NONE;
        return HTTP_TOO_MANY_REQUESTS;
    }
    return refuse_request(r, q, conf, when);
}

/* @return as a hook; DECLINED: admitted */
static int decide_request(request_rec *r, struct cq_request *q,
                          const struct cq_dir_conf *conf,
                          enum cq_answer_time when)
{
    struct cq_decision *d = &q->decision;

    if (cq_is_error_document(r)) {
        /* of the answer in whose place it comes */
        cq_account_reserve_at_most(&q->client.account, 0);
    }
    d->state = judge_response(r, q, conf);
    d->verdict = CQ_VERDICT_ADMITTED;
    return is_refusal(d->state) ? apply_refusal(r, q, conf, when) : DECLINED;
}

/* ---- the three hooks ---- */

/* Is this a request to be decided, and not yet decided? */
static inline struct cq_request *find_undecided(request_rec *r,
                                                const struct cq_dir_conf *conf)
{
    struct cq_request *q;

    if (r->main != NULL || cq_dir_conf_engine(conf) == CQ_ENGINE_OFF) {
        return NULL;
    }
    q = cq_request_find(r);
    if (q == NULL) {
        return cq_request_make(r);
    }
    return q->decision.verdict == CQ_VERDICT_REFUSED
           || (q->decision.verdict == CQ_VERDICT_ADMITTED
               && !cq_is_error_document(r)) ? NULL : q;
}

/* The client has no room left, as it looked before access control. */
CQ_SELDOM static int refuse_early(request_rec *r, struct cq_request *q,
                                  const struct cq_dir_conf *conf)
{
    struct cq_decision *d = &q->decision;

    cq_account_usage(&q->client.account, &q->client.clock, &d->usage);
    d->state = cq_policy_state(&d->policy, &d->usage, q->client.clock.day);
    q->client.account.allowance_bytes = d->allowance_bytes;
    /* else it is decided when more is known */
    return is_refusal(d->state) && !cq_predict_is_conditional(r)
        ? refuse_request(r, q, conf, CQ_ANSWER_INSTEAD) : DECLINED;
}

int cq_gate_header_parser(request_rec *r)
{
    const struct cq_dir_conf *conf = cq_dir_conf(r);
    struct cq_request *q;

    if (r->prev != NULL || conf->free == 1
        || cq_dir_conf_engine(conf) != CQ_ENGINE_ON || !cq_predict_early(r)
        || (q = find_undecided(r, conf)) == NULL || !open_client(r, q, conf)
        || cq_account_has_room(&q->client.account, &q->client.clock,
                               q->decision.allowance_bytes)) {
        return DECLINED;
    }
    return refuse_early(r, q, conf);
}

CQ_SELDOM static void guard_prediction(request_rec *r, struct cq_request *q,
                                       const struct cq_dir_conf *conf)
{
    struct cq_client *client = &q->client;

    cq_client_open(client, &q->connection->by_proxy, r, conf);
    cq_account_reserve_at_most(&client->account, 0);
    cq_account_usage(&client->account, &client->clock, &q->decision.usage);
    q->decision.verdict = CQ_VERDICT_ADMITTED;
    q->decision.state = CQ_STATE_FREE;
    ap_add_output_filter_handle(guard_handle, NULL, r, r->connection);
}

int cq_gate_handler(request_rec *r)
{
    const struct cq_dir_conf *conf = cq_dir_conf(r);
    struct cq_request *q;
    int rv = DECLINED;

    if (cq_is_own_page(r->handler)) {
        return cq_page_handler(r);
    }
    q = find_undecided(r, conf);
    if (q == NULL) {
        return DECLINED;
    }
    cq_predict(r, conf, &q->prediction);
    if (q->prediction.refusable) {
        if (q->prediction.column == CQ_COLUMN_FREE) {
            guard_prediction(r, q, conf);
        }
        else {
            rv = decide_request(r, q, conf, CQ_ANSWER_INSTEAD);
        }
    }
    if (rv == DECLINED && conf->variables == 1) {
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
    struct cq_request *q = cq_request_find(r);
    struct cq_prediction *p = &q->prediction;
    const struct cq_dir_conf *conf = cq_dir_conf(r);

    if (APR_BRIGADE_EMPTY(bb)) {
        return ap_pass_brigade(f->next, bb);
    }
    if (q->decision.verdict != CQ_VERDICT_REFUSED
        && (!cq_predict_again(r, bb, p)
            || (p->is_small_range && !cq_client_grant_range(
                    &q->client, conf, p->most_bytes)))) {
        (void)decide_request(r, q, conf, CQ_ANSWER_NOW);
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
