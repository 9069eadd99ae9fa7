/* page - the operator's page, and our section in mod_status's.
 *
 * Reads a copy of the table and hands it to render/; what it changes is in
 * change.c. Require around the handler decides which clients may see it. */
#include "httpd/answer.h"
#include "httpd/change.h"
#include "render/collect.h"
#include "render/query.h"

#include <string.h>

#include <mod_status.h>

/* ---- showing ---- */

/* what there is to show without a table */
static void fill_empty_view(struct cq_view *view,
                            const struct cq_view_facts *facts,
                            const struct cq_query *query)
{
    const struct cq_server_conf *conf = cq_site.conf;

    memset(view, 0, sizeof(*view));
    view->facts = *facts;
    view->query = *query;
    view->now_s = apr_time_sec(apr_time_now());
    if (cq_period_at(conf->period_kind, conf->zone, view->now_s,
                     &view->period) == CQ_OK) {
        view->day = cq_period_day(&view->period, view->now_s);
        view->next_day_s = view->period.midnight_s[view->day];
    }
}

static void fill_facts(request_rec *r, struct cq_view_facts *facts)
{
    struct cq_counting counting;

    cq_counting_now(&counting);
    facts->version = CQ_VERSION;
    facts->engine = counting.engine;
    facts->notice = counting.notice;
    facts->counts = counting.counts;
    facts->readable = counting.readable;
    facts->own = &cq_site.conf->own_addresses;
    facts->proxies = &cq_site.conf->proxies;
    facts->document_root = ap_document_root(r);
}

/* Totals only, without a look at the rows. */
static enum cq_status fill_totals(request_rec *r,
                                  const struct cq_query *query,
                                  const struct cq_view_facts *facts,
                                  struct cq_view *view)
{
    const struct cq_arena arena = cq_page_arena(r);
    struct cq_clock clock;

    cq_table_clock(cq_site.table, apr_time_sec(r->request_time), &clock);
    return cq_collect_totals(view, cq_site.table, &clock, query, facts,
                             &arena);
}

/* @param rows  false: totals are enough, the table is not to be searched */
static int fill_view(request_rec *r, const struct cq_query *query,
                     struct cq_view_facts *facts, bool rows,
                     struct cq_view *view)
{
    const struct cq_view *kept = NULL;

    fill_facts(r, facts);
    if (!facts->readable) {
        fill_empty_view(view, facts, query);
        return OK;
    }
    if (rows) {
        kept = cq_page_view(r, query, facts);
    }
    if (rows ? kept == NULL
             : fill_totals(r, query, facts, view) != CQ_OK) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CQNO("0303")
                      "no memory to show the table");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (rows) {
        *view = *kept;
        view->facts = *facts;   /* its own path, of this request */
    }
    return OK;
}

/* Only the style element with this nonce is applied: an address or a path that
 * slips through as markup brings no style with it, and no script at all. */
static const char *set_headers(request_rec *r)
{
    unsigned char random[16];
    char *nonce = apr_palloc(r->pool, 2 * sizeof(random) + 1);

    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    /* as much as the browser's Origin and Referer in our own POST need */
    apr_table_setn(r->headers_out, "Referrer-Policy", "same-origin");
    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        memset(random, 0, sizeof(random));      /* unstyled would be worse */
    }
    ap_bin2hex(random, sizeof(random), nonce);
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   apr_pstrcat(r->pool, "default-src 'none'; style-src 'nonce-",
                               nonce, "'; img-src data:; form-action 'self'; "
                               "base-uri 'none'; frame-ancestors 'none'",
                               NULL));
    return nonce;
}

static int show_page(request_rec *r, const char *nonce)
{
    static const struct {
        const char *type;
        void (*render)(const struct cq_view *view, const struct cq_sink *sink);
    } formats[] = {
        [CQ_FORMAT_HTML] = { "text/html; charset=utf-8", cq_render_html },
        [CQ_FORMAT_JSON] = { "application/json", cq_render_json },
        [CQ_FORMAT_AUTO] = { "text/plain; charset=utf-8", cq_render_auto },
        [CQ_FORMAT_OPENMETRICS] = { CQ_OPENMETRICS_TYPE,
                                    cq_render_openmetrics }
    };
    const struct cq_sink sink = cq_page_sink(r);
    struct cq_query_request request;
    struct cq_view_facts facts = { .self = cq_page_path(r), .nonce = nonce,
                                   .changes = cq_dir_conf(r)->changes == 1 };
    struct cq_view view;
    const char *why;
    int status;

    if (cq_query_parse(&request, r->args, &why) != CQ_OK) {
        return cq_page_answer(r, HTTP_BAD_REQUEST, why);
    }
    ap_set_content_type(r, formats[request.format].type);
    if (r->header_only) {
        return OK;
    }
    facts.refresh_s = request.refresh_s;
    if (facts.changes && !cq_change_read_done(r, &facts.done, &facts.done_on)) {
        facts.done = CQ_ACTION_NONE;
    }
    status = fill_view(r, &request.query, &facts,
                       request.format != CQ_FORMAT_AUTO, &view);
    if (status == OK) {
        formats[request.format].render(&view, &sink);
    }
    return status;
}

/* ---- hooks ---- */

int cq_page_handler(request_rec *r)
{
    const char *nonce;

    if (strcmp(r->handler, CQ_HANDLER_ME) == 0) {
        return cq_me_handler(r);
    }
    nonce = set_headers(r);
    if (r->method_number == M_GET && cq_change_is_asked(r)) {
        return cq_change_show_form(r, nonce);
    }
    if (r->method_number == M_GET) {
        return show_page(r, nonce);
    }
    if (r->method_number == M_POST) {
        return cq_change(r);
    }
    apr_table_setn(r->headers_out, "Allow", "GET, HEAD, POST");
    return cq_page_answer(r, HTTP_METHOD_NOT_ALLOWED,
                          "Expected GET, HEAD or POST.");
}

int cq_page_status_hook(request_rec *r, int flags)
{
    const struct cq_sink sink = cq_page_sink(r);
    struct cq_query query = { .limit = 1 };
    struct cq_view_facts facts = { .self = NULL };
    struct cq_view view;

    if (cq_site.table == NULL && cq_site.trouble == CQ_TROUBLE_NONE) {
        return DECLINED;        /* of no use here, and none is wanted */
    }
    if (fill_view(r, &query, &facts, false, &view) != OK) {
        return DECLINED;
    }
    if (flags & AP_STATUS_SHORT) {
        cq_render_auto(&view, &sink);
    }
    else {
        cq_render_status_section(&view, &sink);
    }
    return OK;
}
