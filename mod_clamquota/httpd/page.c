/* page - the operator's page, and our section in mod_status's.
 *
 * Reads a copy of the table and hands it to render/; the only change it makes
 * is forgetting what a client has drawn, by a POST that must come from the
 * page itself. Who may see it is a matter of Require around the handler. */
#include "httpd/private.h"
#include "render/collect.h"
#include "render/query.h"

#include <string.h>

#include <mod_status.h>

/* a form of ours is far below */
#define FORM_MAX_BYTES 1024

#define FORM_TYPE "application/x-www-form-urlencoded"

/* rows in mod_status's section */
#define SECTION_ROWS 10

/* ---- showing ---- */

static void *alloc_from_pool(void *baton, size_t size)
{
    return apr_palloc(baton, size);
}

static void write_response(void *baton, const char *data, size_t size)
{
    (void)ap_rwrite(data, (int)size, baton);
}

/* "//host/" in a link or a Location would be another site */
static const char *own_path(const request_rec *r)
{
    const char *path = r->uri;

    while (path[0] == '/' && path[1] == '/') {
        path++;
    }
    return path;
}

/* what there is to show where nothing is counted */
static void empty_view(struct cq_view *view,
                       const struct cq_collect_facts *facts,
                       const struct cq_query *query)
{
    const struct cq_server_conf *conf = cq_site.conf;

    memset(view, 0, sizeof(*view));
    view->version = facts->version;
    view->engine = facts->engine;
    view->self = facts->self;
    view->refresh_s = facts->refresh_s;
    view->query = *query;
    view->now_s = apr_time_sec(apr_time_now());
    if (cq_period_at(conf->period_kind, conf->zone, view->now_s,
                     &view->period) == CQ_OK) {
        view->day = cq_period_day(&view->period, view->now_s);
        view->next_day_s = view->period.midnight_s[view->day];
    }
}

static int fill_view(request_rec *r, const struct cq_query *query,
                     const char *self, int refresh_s, struct cq_view *view)
{
    const struct cq_collect_facts facts = {
        CQ_VERSION, cq_engine_word(cq_site.conf->strongest), self, refresh_s
    };
    const struct cq_arena arena = { alloc_from_pool, r->pool };
    struct cq_clock clock;

    if (cq_site.table == NULL) {
        empty_view(view, &facts, query);
        return OK;
    }
    cq_table_clock(cq_site.table, apr_time_sec(r->request_time), &clock);
    if (cq_collect(view, cq_site.table, &clock, query, &facts, &arena)
        != CQ_OK) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CQNO("0303")
                      "no memory to show the table");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static void guard(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    /* as much as the browser's Origin and Referer in our own POST need */
    apr_table_setn(r->headers_out, "Referrer-Policy", "same-origin");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'; "
                   "img-src data:; form-action 'self'; base-uri 'none'; "
                   "frame-ancestors 'none'");
}

/* an answer of one sentence */
static int say(request_rec *r, int status, const char *sentence)
{
    r->status = status;
    ap_set_content_type(r, "text/plain; charset=utf-8");
    ap_rputs(sentence, r);
    ap_rputs("\n", r);
    return OK;
}

static void render_idle_html(const struct cq_view *view,
                             const struct cq_sink *sink)
{
    static const char page[] =
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<title>clamquota: off</title></head>\n<body>\n<h1>clamquota</h1>\n"
        "<p>Nothing is counted on this server. <code>ClamQuotaDaily 50M</code>"
        " in the server config, a virtual host or a &lt;Location&gt; switches "
        "the quota on where <code>ClamQuotaEngine</code> is not set to Off; "
        "<code>ClamQuotaEngine LogOnly</code> counts without refusing "
        "anybody.</p>\n</body></html>\n";

    (void)view;
    sink->write(sink->baton, page, sizeof(page) - 1);
}

static int show(request_rec *r)
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
    const struct cq_sink sink = { write_response, r };
    struct cq_query_request request;
    struct cq_view view;
    const char *why;
    int status;

    if (cq_query_parse(&request, r->args, &why) != CQ_OK) {
        return say(r, HTTP_BAD_REQUEST, why);
    }
    ap_set_content_type(r, formats[request.format].type);
    if (r->header_only) {
        return OK;
    }
    status = fill_view(r, &request.query, own_path(r), request.refresh_s,
                       &view);
    if (status != OK) {
        return status;
    }
    if (cq_site.table == NULL && request.format == CQ_FORMAT_HTML) {
        render_idle_html(&view, &sink);
    }
    else {
        formats[request.format].render(&view, &sink);
    }
    return OK;
}

/* ---- resetting ---- */

/* "https://host:8443" of this request; NULL for a request without Host */
static const char *origin_of(const request_rec *r)
{
    const char *host = apr_table_get(r->headers_in, "Host");

    if (host == NULL || *host == '\0') {
        return NULL;
    }
    return apr_pstrcat(r->pool, ap_http_scheme(r), "://", host, NULL);
}

/* Any site can make an operator's browser send a form here, with his
 * credentials. What the browser adds by itself tells such a form from ours;
 * who sends nothing of the kind has to. */
static bool from_own_page(const request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *referer = apr_table_get(r->headers_in, "Referer");
    const char *own = origin_of(r);
    size_t length;

    if (own == NULL) {
        return false;
    }
    if (site != NULL && strcmp(site, "same-origin") != 0 &&
        strcmp(site, "none") != 0) {
        return false;
    }
    if (origin != NULL) {
        return ap_cstr_casecmp(origin, own) == 0;
    }
    if (referer != NULL) {
        length = strlen(own);
        return ap_cstr_casecmpn(referer, own, length) == 0 &&
               (referer[length] == '/' || referer[length] == '\0');
    }
    return site != NULL;
}

static bool is_form(const request_rec *r)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    size_t length = sizeof(FORM_TYPE) - 1;

    return type != NULL && ap_cstr_casecmpn(type, FORM_TYPE, length) == 0 &&
           (type[length] == '\0' || type[length] == ';' ||
            type[length] == ' ');
}

/* Reads the body, of at most FORM_MAX_BYTES. Not ap_parse_form_data(), which
 * reads a body of any size to its end before it complains.
 * @return OK or an HTTP status */
static int read_form(request_rec *r, char **form)
{
    char *text = apr_palloc(r->pool, FORM_MAX_BYTES + 2);
    size_t length = 0;
    long got;
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);

    if (status != OK) {
        return status;
    }
    while (ap_should_client_block(r) &&
           (got = ap_get_client_block(r, text + length,
                                      FORM_MAX_BYTES + 1 - length)) != 0) {
        if (got < 0) {
            return HTTP_BAD_REQUEST;
        }
        length += (size_t)got;
        if (length > FORM_MAX_BYTES) {
            return HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
    }
    text[length] = '\0';
    *form = text;
    return strlen(text) == length ? OK : HTTP_BAD_REQUEST;
}

/* The value of a key in a form, decoded; NULL: not there or badly encoded. */
static const char *form_value(const request_rec *r, const char *form,
                              const char *key)
{
    while (*form != '\0') {
        char *value = ap_getword(r->pool, &form, '&');
        size_t length = strlen(key);

        if (strncmp(value, key, length) == 0 && value[length] == '=') {
            value += length + 1;
            return ap_unescape_urlencoded(value) == OK ? value : NULL;
        }
    }
    return NULL;
}

/* The client that an address belongs to.
 * @return NULL, or what is wrong with the text */
static const char *client_of(const char *text, struct cq_key *client)
{
    struct cq_key key;
    const char *why;
    int bits;

    if (cq_key_parse(&key, text, &why) != CQ_OK) {
        return why;
    }
    bits = key.family == 4 ? cq_site.prefixes.v4_bits
                           : cq_site.prefixes.v6_bits;
    if (key.prefix < bits) {
        return "this is a network of several clients, expected one address";
    }
    *client = cq_key_network(&key, (uint8_t)bits);
    return NULL;
}

static int reset(request_rec *r, const char *text)
{
    struct cq_clock clock;
    struct cq_key client;
    char name[CQ_KEY_TEXT_SIZE];
    const char *why = client_of(text, &client);
    int rows = 0;

    if (why != NULL) {
        return say(r, HTTP_BAD_REQUEST,
                   apr_pstrcat(r->pool, "client: ", why, ".", NULL));
    }
    if (cq_site.table != NULL) {
        cq_table_clock(cq_site.table, apr_time_sec(r->request_time), &clock);
        rows = cq_table_reset(cq_site.table, &client, &clock);
    }
    cq_key_format_cidr(&client, name, sizeof(name));
    if (rows == 0) {
        return say(r, HTTP_NOT_FOUND,
                   apr_pstrcat(r->pool, "No row belongs to ", name, ".",
                               NULL));
    }
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, CQNO("0301")
                  "what %s has drawn is forgotten, as %s asked", name,
                  r->user != NULL ? ap_escape_logitem(r->pool, r->user)
                                  : r->useragent_ip);
    apr_table_setn(r->headers_out, "Location",
                   ap_os_escape_path(r->pool, own_path(r), 1));
    return say(r, HTTP_SEE_OTHER, "Done.");
}

static int change(request_rec *r)
{
    const char *action, *client;
    char *form;
    int status;

    if (!from_own_page(r)) {
        const char *own = origin_of(r);

        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, CQNO("0302")
                      "a POST that does not come from the page itself is "
                      "refused");
        return say(r, HTTP_FORBIDDEN,
                   apr_pstrcat(r->pool, "This form must come from the page "
                               "itself; without a browser add the header "
                               "Origin: ", own != NULL ? own : "http://host",
                               NULL));
    }
    if (!is_form(r)) {
        return say(r, HTTP_UNSUPPORTED_MEDIA_TYPE,
                   "Expected a form, " FORM_TYPE ".");
    }
    status = read_form(r, &form);
    if (status != OK) {
        return say(r, status, status == HTTP_REQUEST_ENTITY_TOO_LARGE
                   ? "The form is too large." : "The form is not readable.");
    }
    action = form_value(r, form, "action");
    client = form_value(r, form, "client");
    if (action == NULL || strcmp(action, "reset") != 0) {
        return say(r, HTTP_BAD_REQUEST, "action: expected reset.");
    }
    if (client == NULL) {
        return say(r, HTTP_BAD_REQUEST,
                   "client: expected an address such as 192.0.2.7.");
    }
    return reset(r, client);
}

/* ---- hooks ---- */

int cq_page_handler(request_rec *r)
{
    if (r->handler == NULL || strcmp(r->handler, CQ_HANDLER_STATUS) != 0) {
        return DECLINED;
    }
    guard(r);
    if (r->method_number == M_GET) {
        return show(r);
    }
    if (r->method_number == M_POST) {
        return change(r);
    }
    apr_table_setn(r->headers_out, "Allow", "GET, HEAD, POST");
    return say(r, HTTP_METHOD_NOT_ALLOWED, "Expected GET, HEAD or POST.");
}

int cq_page_status_hook(request_rec *r, int flags)
{
    const struct cq_sink sink = { write_response, r };
    struct cq_query query;
    struct cq_view view;

    if (cq_site.table == NULL) {
        return DECLINED;
    }
    memset(&query, 0, sizeof(query));
    query.limit = SECTION_ROWS;
    if (fill_view(r, &query, NULL, 0, &view) != OK) {
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
