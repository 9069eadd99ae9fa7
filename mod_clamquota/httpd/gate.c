/* gate - decides, before the first byte, whether a request may draw.
 *
 * First look in header_parser: scope and file are known, nothing expensive
 * was done. Where it is not yet known what will answer (no file yet, a
 * client that is over and asks for what may be small) the gate looks again at
 * the end of fixups, and after internal redirects, until there is a verdict.
 * Nothing here waits, and no trouble of ours becomes a visitor's error. */
#include "httpd/request.h"


/* The contract's defaults. */
#define FREE_RANGE_BYTES 4096
#define FREE_RANGE_DAILY_BYTES (INT64_C(10) << 20)

static int64_t free_range_of(const struct cq_dir_conf *conf)
{
    return conf->free_range_bytes != CQ_UNSET ? conf->free_range_bytes
                                              : FREE_RANGE_BYTES;
}

/* Small ranges are free up to so much a day; what was let through because it
 * looked small and then was not counts against the same bound. What looks
 * unchanged has twice that and counts twice when it was not: so small ranges,
 * which end at the bound, never stand in the way of a 304. */
static bool has_leniency_left(struct cq_request *q,
                              const struct cq_dir_conf *conf, int times)
{
    int64_t daily = conf->free_range_daily_bytes != CQ_UNSET
                    ? conf->free_range_daily_bytes : FREE_RANGE_DAILY_BYTES;

    return cq_account_free_range(&q->account, &q->clock, 0) / times < daily;
}

int cq_gate_looks_free(struct cq_request *q, request_rec *r,
                       const struct cq_dir_conf *conf)
{
    return cq_gate_is_free_range(q, r, conf) ? 1
        : cq_predict_not_modified(r) && has_leniency_left(q, conf, 2) ? 2 : 0;
}

bool cq_gate_is_free_range(struct cq_request *q, const request_rec *r,
                           const struct cq_dir_conf *conf)
{
    return cq_predict_small_range(r, free_range_of(conf))
        && has_leniency_left(q, conf, 1);
}

/* An ErrorDocument: the verdict on the request it answers stands. */
static bool is_error_document(const request_rec *r)
{
    return r->prev != NULL && ap_is_HTTP_ERROR(r->prev->status);
}

static bool is_own_page(const request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    return cq_is_own_page(r->handler != NULL ? r->handler : core->handler);
}

int cq_gate_over(request_rec *r, struct cq_request *q,
                 const struct cq_dir_conf *conf)
{
    if (cq_dir_conf_engine(conf) == CQ_ENGINE_LOGONLY) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, CQNO("0202")
                      "would refuse (LogOnly): %s has drawn %" APR_INT64_T_FMT
                      " of %" APR_INT64_T_FMT " bytes in pool %s: %s",
                      r->useragent_ip, q->used_bytes, q->allowance_bytes,
                      q->pool->name,
                      ap_escape_logitem(r->pool, r->unparsed_uri));
        cq_table_total_add(cq_site.table, q->pool->index,
                           CQ_TOTAL_WOULD_REFUSE, 1);
        q->verdict = CQ_VERDICT_ADMITTED;
        q->state = CQ_STATE_LOGONLY;
        return DECLINED;
    }
    q->verdict = CQ_VERDICT_REFUSED;
    cq_account_refused(&q->account, &q->clock, q->state);
    cq_table_total_add(cq_site.table, q->pool->index, CQ_TOTAL_REFUSED, 1);
    return cq_refuse(r, q, conf);
}

/* Nothing of this is refused, whatever was drawn; only asked in fixups. */
static bool is_lenient(request_rec *r, struct cq_request *q,
                       const struct cq_dir_conf *conf)
{
    q->lenient = cq_predict_plain_file(r) ? cq_gate_looks_free(q, r, conf) : 0;
    if (q->lenient == 1) {
        q->state = CQ_STATE_FREE;
    }
    return q->lenient > 0;
}

static bool may_be_lenient(const request_rec *r)
{
    return apr_table_get(r->headers_in, "Range") != NULL
        || apr_table_get(r->headers_in, "If-Modified-Since") != NULL
        || apr_table_get(r->headers_in, "If-None-Match") != NULL;
}

/* The verdict on a request that something large may come of. */
static int decide(request_rec *r, struct cq_request *q,
                  const struct cq_dir_conf *conf, bool in_fixups)
{
    struct cq_policy policy;
    struct cq_usage usage = { 0, 0 };

    if (!cq_request_account(q, r, conf)) {
        q->verdict = CQ_VERDICT_ADMITTED;
        return DECLINED;
    }
    policy = cq_request_policy(q, conf);
    q->allowance_bytes = cq_policy_allowance(&policy, q->clock.day);
    if (policy.daily_bytes == CQ_UNLIMITED || conf->free == 1) {
        cq_account_usage(&q->account, &q->clock, &usage);
        q->used_bytes = usage.used_bytes;
        q->verdict = CQ_VERDICT_ADMITTED;
        q->state = conf->free == 1 ? CQ_STATE_FREE
            : q->override != NULL ? CQ_STATE_EXEMPT : CQ_STATE_OK;
        return DECLINED;
    }
    if (cq_account_admit(&q->account, &q->clock, q->allowance_bytes,
                         cq_predict_bytes(r), &usage) == CQ_OK) {
        q->used_bytes = usage.used_bytes;
        q->verdict = CQ_VERDICT_ADMITTED;
        q->state = CQ_STATE_OK;
        return DECLINED;
    }
    q->used_bytes = usage.used_bytes;
    q->state = cq_policy_state(&policy, &usage, q->clock.day);
    if (!in_fixups && may_be_lenient(r)) {
        return DECLINED;        /* when the handler is known */
    }
    if (in_fixups && is_lenient(r, q, conf)) {
        q->verdict = CQ_VERDICT_ADMITTED;
        return DECLINED;
    }
    if (in_fixups && cq_copies_may_finish(r, q, conf)) {
        q->verdict = CQ_VERDICT_ADMITTED;
        return DECLINED;
    }
    return cq_gate_over(r, q, conf);
}

/* Is this a request that the gate has to look at, and not yet decided? */
static struct cq_request *undecided(request_rec *r)
{
    const struct cq_dir_conf *conf;
    struct cq_request *q;

    if (r->main != NULL || cq_site.table == NULL || is_error_document(r)
        || ((q = cq_request_of(r)) != NULL
            && q->verdict != CQ_VERDICT_NONE)) {
        return NULL;
    }
    conf = cq_dir_conf(r);
    if (cq_dir_conf_engine(conf) == CQ_ENGINE_OFF) {
        return NULL;
    }
    if (is_own_page(r) || r->header_only || r->method_number == M_TRACE) {
        return NULL;
    }
    return cq_request_make(r);
}

int cq_gate_header_parser(request_rec *r)
{
    struct cq_request *q = undecided(r);
    const core_dir_config *core;

    if (q == NULL) {
        return DECLINED;
    }
    core = ap_get_core_module_config(r->per_dir_config);
    if (r->method_number == M_OPTIONS
        || (r->proxyreq == PROXYREQ_NONE
            && (r->finfo.filetype != APR_REG
                || (r->path_info != NULL && *r->path_info != '\0')
                || core->expr_handler != NULL))) {
        return DECLINED;        /* fixups will know more */
    }
    return decide(r, q, cq_dir_conf(r), false);
}

/* Will something other than an error or a redirect come of this? */
static bool is_answered(request_rec *r)
{
    bool handled = r->handler != NULL
        && strcmp(r->handler, "default-handler") != 0;

    if (r->proxyreq != PROXYREQ_NONE) {
        return true;
    }
    if (r->method_number == M_OPTIONS && !handled) {
        return false;           /* httpd's own answer has no body */
    }
    if (handled && strcmp(r->handler, "redirect-handler") == 0) {
        return false;           /* mod_rewrite: looked at where it leads to */
    }
    if (r->finfo.filetype == APR_REG) {
        return handled || r->path_info == NULL || *r->path_info == '\0'
            || r->used_path_info == AP_REQ_ACCEPT_PATH_INFO;
    }
    if (r->finfo.filetype == APR_DIR) {
        return handled || (ap_allow_options(r) & OPT_INDEXES) != 0;
    }
    return handled;             /* else 404 */
}

int cq_gate_fixups(request_rec *r)
{
    struct cq_request *q = undecided(r);
    int rv = DECLINED;

    if (q != NULL && is_answered(r)) {
        rv = decide(r, q, cq_dir_conf(r), true);
    }
    if (rv == DECLINED && cq_dir_conf(r)->copies_n > 0
        && !is_error_document(r) && (q = cq_request_of(r)) != NULL) {
        rv = cq_copies_decide(r, q, cq_dir_conf(r));
    }
    if (rv == DECLINED) {
        cq_variables_set(r);    /* they speak of the verdict */
    }
    return rv;
}
