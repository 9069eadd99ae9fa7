/* variables - CLAMQUOTA_*: in expressions always, as environment and notes
 * with ClamQuotaVariables On. */
#include "httpd/request.h"

#include <ap_expr.h>

enum variable {
    VARIABLE_STATE, VARIABLE_CLIENT, VARIABLE_POOL, VARIABLE_USED,
    VARIABLE_ALLOWANCE, VARIABLE_SENT, VARIABLE_RETRY, VARIABLES
};

static const char *const names[VARIABLES] = {
    "CLAMQUOTA_STATE", "CLAMQUOTA_CLIENT", "CLAMQUOTA_POOL", "CLAMQUOTA_USED",
    "CLAMQUOTA_ALLOWANCE", "CLAMQUOTA_SENT", "CLAMQUOTA_RETRY"
};

/* what the variables are made of */
struct facts {
    struct cq_decision decision;
    struct cq_key client;
    const char *pool;
    int64_t sent_bytes;
};

/* Where a client stands whose request the gate has not seen: an <If> is
 * evaluated before it. */
static bool judge_by_row(request_rec *r, const struct cq_dir_conf *conf,
                         struct facts *facts)
{
    const struct cq_pool_decl *pool = cq_dir_conf_pool(conf, cq_site.conf);
    const struct cq_client_decl *override;
    struct cq_decision *d = &facts->decision;
    struct cq_policy policy;
    struct cq_clock clock;
    struct cq_row row;

    memset(d, 0, sizeof(*d));
    if (!cq_client_find(r->useragent_addr, &facts->client, &override)) {
        return false;
    }
    cq_table_clock(cq_site.table, apr_time_sec(r->request_time), &clock);
    facts->pool = pool->name;
    if (cq_table_row(cq_site.table, pool->index, &facts->client, &clock, &row)
        == CQ_OK) {
        d->usage.used_bytes = row.used_bytes;
        d->usage.in_flight_bytes = row.in_flight_bytes;
    }
    policy = cq_client_policy(override, conf);
    if (cq_exempt_until(cq_site.table, &facts->client) > clock.now_s) {
        d->allowance_bytes = CQ_BYTES_MAX;
        d->state = conf->free == 1 ? CQ_STATE_FREE : CQ_STATE_EXEMPT;
        return true;
    }
    d->allowance_bytes = cq_policy_allowance(&policy, clock.day);
    d->state = conf->free == 1 ? CQ_STATE_FREE
        : policy.daily_bytes == CQ_UNLIMITED && override == NULL
        ? CQ_STATE_OK : cq_policy_state(&policy, &d->usage, clock.day);
    return true;
}

/* A response without a body to speak of is never refused. Before it begins, its
 * status is all there is to judge by. */
static bool is_free(const request_rec *r, const struct cq_request *q)
{
    return q != NULL && q->response.begun
        ? q->response.column == CQ_COLUMN_FREE
        : r->header_only || r->status >= HTTP_MULTIPLE_CHOICES;
}

/* @return false: nothing is counted here, the variables are empty */
static bool find_facts(request_rec *r, struct facts *facts)
{
    const struct cq_dir_conf *conf = cq_dir_conf(r);
    const struct cq_request *q = cq_request_find(r);
    struct cq_decision *d = &facts->decision;

    facts->sent_bytes = q != NULL ? q->response.sent_bytes : 0;
    if (q != NULL && q->decision.verdict != CQ_VERDICT_NONE) {
        *d = q->decision;
        facts->client = q->client.key;
        facts->pool = q->client.pool->name;
    }
    else if (cq_site.table == NULL
             || cq_dir_conf_engine(conf) == CQ_ENGINE_OFF
             || !judge_by_row(r, conf, facts)) {
        return false;
    }
    if (d->verdict != CQ_VERDICT_REFUSED && d->state < CQ_STATE_FREE
        && is_free(r, q)) {
        d->state = CQ_STATE_FREE;
    }
    return true;
}

static const char *format_variable(const request_rec *r, apr_pool_t *p,
                                   const struct facts *facts, int variable)
{
    const struct cq_decision *d = &facts->decision;
    char client[CQ_KEY_TEXT_SIZE];

    switch ((enum variable)variable) {
    case VARIABLE_STATE:
        return cq_state_word(d->state);
    case VARIABLE_CLIENT:
        if (facts->client.family == 0) {
            return "";          /* not an address that can be counted */
        }
        if (cq_client_is_shown(r, &facts->client)) {
            return r->useragent_ip;
        }
        return apr_pstrdup(p, cq_key_format(&facts->client, client,
                                            sizeof(client)));
    case VARIABLE_POOL:
        return facts->pool;
    case VARIABLE_USED:
        return apr_off_t_toa(p, d->usage.used_bytes);
    case VARIABLE_ALLOWANCE:
        return apr_off_t_toa(p, d->allowance_bytes);
    case VARIABLE_SENT:
        return apr_off_t_toa(p, facts->sent_bytes);
    case VARIABLE_RETRY:
        return d->retry_after_s == 0 ? "0"
                                     : apr_off_t_toa(p, d->retry_after_s);
    case VARIABLES:
        break;
    }
    return "";
}

/* ---- in expressions ---- */

static const char *evaluate(ap_expr_eval_ctx_t *ctx, const void *data)
{
    struct facts facts;

    return find_facts(ctx->r, &facts)
        ? format_variable(ctx->r, ctx->p, &facts,
                          (int)((const char *const *)data - names)) : "";
}

int cq_variables_lookup(ap_expr_lookup_parms *parms)
{
    int i;

    if (parms->type != AP_EXPR_FUNC_VAR
        || ap_cstr_casecmpn(parms->name, "CLAMQUOTA_", 10) != 0) {
        return DECLINED;
    }
    for (i = 0; i < VARIABLES; i++) {
        if (ap_cstr_casecmp(parms->name, names[i]) == 0) {
            ap_expr_var_func_t *func = evaluate;

            cq_variables_expect();
            /* ISO C has no conversion for what this interface wants */
            memcpy(parms->func, &func, sizeof(func));
            *parms->data = &names[i];
            return OK;
        }
    }
    return DECLINED;
}

/* ---- as environment and notes ---- */

/* Both are final only when the response has ended. */
static void write_texts(request_rec *r, struct cq_request *q,
                        const struct facts *facts)
{
    apr_cpystrn(q->state_text, cq_state_word(facts->decision.state),
                sizeof(q->state_text));
    apr_cpystrn(q->sent_text, apr_off_t_toa(r->pool, facts->sent_bytes),
                sizeof(q->sent_text));
}

/* Puts them in front of what is there without looking for old ones, all at
 * once: to add one by one costs twice as much. */
static void set_variables(request_rec *r, struct cq_request *q,
                          const struct facts *facts)
{
    apr_table_entry_t *field;
    int i;

    if (q->variables == NULL) {
        q->variables = apr_table_make(q->c->pool, VARIABLES);
        for (i = 0; i < VARIABLES; i++) {
            apr_table_addn(q->variables, names[i], "");
        }
    }
    field = (void *)apr_table_elts(q->variables)->elts;
    write_texts(r, q, facts);
    for (i = 0; i < VARIABLES; i++) {
        /* two are rewritten in place at log time */
        const char *value = i == VARIABLE_SENT ? q->sent_text
            : i == VARIABLE_STATE ? q->state_text
            : format_variable(r, r->pool, facts, i);

        memcpy(&field[i].val, &value, sizeof(value));
    }
    r->subprocess_env = apr_table_overlay(r->pool, q->variables,
                                          r->subprocess_env);
    r->notes = apr_table_overlay(r->pool, q->variables, r->notes);
    q->set_for = r;
}

void cq_variables_set(request_rec *r, struct cq_request *q)
{
    struct facts facts;

    if (q->set_for != r && apr_table_get(r->notes, names[0]) == NULL
        && find_facts(r, &facts)) {
        set_variables(r, q, &facts);
    }
}

/* For the access log: what was sent, and whether it was free, is final now, and
 * requests that the gate did not see get all of them. In the request that was
 * asked for and in the one that answered, since log formats may look at
 * either. */
static int log_variables(request_rec *r)
{
    struct cq_request *q = cq_request_find(r);
    request_rec *last = r;
    struct facts facts;

    if (q == NULL) {
        return DECLINED;
    }
    cq_markers_end(&q->markers);        /* the end-of-request bucket logs */
    while (last->next != NULL) {
        last = last->next;
    }
    if (cq_dir_conf(r)->variables == 1 || cq_dir_conf(last)->variables == 1) {
        cq_variables_set(last, q);
        cq_variables_set(r, q);
        if (find_facts(last, &facts)) {
            write_texts(r, q, &facts);
        }
    }
    return DECLINED;
}

void cq_variables_expect(void)
{
    static const char *const before_log_config[] = { "mod_log_config.c",
                                                     NULL };

    if (cq_site.conf == NULL && !cq_site.logs_variables) {
        cq_site.logs_variables = true;
        ap_hook_log_transaction(log_variables, NULL, before_log_config,
                                APR_HOOK_REALLY_FIRST);
    }
}
