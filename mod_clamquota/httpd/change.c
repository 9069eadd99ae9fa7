/* change - what the operator's page changes: what clients have used is
 * forgotten, or no quota refuses them for a time.
 *
 * By POST only, where ClamQuotaChanges is On in the server's configuration,
 * under a name of this server, and from the page itself. A GET with ?action=
 * asks first. */
#include "httpd/change.h"
#include "httpd/answer.h"
#include "render/html_change.h"
#include "render/query.h"
#include "table/shares.h"

#include <string.h>

/* a form of ours is far below */
#define FORM_MAX_BYTES 1024

#define FORM_TYPE "application/x-www-form-urlencoded"

#define NOT_HERE \
    "This page accepts no changes: expected ClamQuotaChanges On in the " \
    "<Location> of this page."

/* ---- may it? ---- */

/* "https://host:8443" of this request; NULL for a request without Host */
static const char *own_origin(const request_rec *r)
{
    const char *host = apr_table_get(r->headers_in, "Host");

    if (host == NULL || *host == '\0') {
        return NULL;
    }
    return apr_pstrcat(r->pool, ap_http_scheme(r), "://", host, NULL);
}

/* Any site can make an operator's browser send a form here, with the
 * operator's credentials. Headers that the browser adds by itself
 * distinguish such a form from ours; a client without them has to add one. */
static bool is_from_own_page(const request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *referer = apr_table_get(r->headers_in, "Referer");
    const char *own = own_origin(r);
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

static bool is_among(const apr_array_header_t *names, const char *host)
{
    int i;

    for (i = 0; names != NULL && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        /* "ServerAlias *" is no name: it matches every one */
        if (name != NULL && strcmp(name, "*") != 0
            && ap_strcasecmp_match(host, name) == 0) {
            return true;
        }
    }
    return false;
}

/* DNS rebinding: an attacker lets a domain of its own point here for a moment.
 * Its page in an operator's browser then has the same origin as ours, and may
 * read our page and any token in a form. The name of the host shows it. An
 * address or localhost cannot be an attacker's domain. */
static bool has_own_name(const request_rec *r)
{
    const server_rec *s = r->server;
    struct cq_key literal;

    return r->hostname != NULL
        && (cq_key_parse(&literal, r->hostname, NULL) == CQ_OK
            || ap_cstr_casecmp(r->hostname, "localhost") == 0
            || (s->server_hostname != NULL
                && ap_cstr_casecmp(r->hostname, s->server_hostname) == 0)
            || is_among(s->names, r->hostname)
            || is_among(s->wild_names, r->hostname));
}

/* @return NULL, or the sentence that says what is missing */
static const char *find_objection(const request_rec *r)
{
    const char *own = own_origin(r);

    if (cq_dir_conf(r)->changes != 1) {
        return NOT_HERE;
    }
    if (!has_own_name(r)) {
        return "This page accepts no changes under this name: expected the "
               "ServerName or a ServerAlias of this virtual host, or an "
               "address.";
    }
    if (!is_from_own_page(r)) {
        return apr_pstrcat(r->pool, "This form must come from the page "
                           "itself; without a browser add the header Origin: ",
                           own != NULL ? own : "http://host", NULL);
    }
    return NULL;
}

/* ---- the form ---- */

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

/* cq_query_value(); NULL: there is none */
static const char *form_value(const request_rec *r, const char *form,
                              const char *key)
{
    char value[CQ_QUERY_VALUE_SIZE];

    return form != NULL && cq_query_value(form, key, value)
        ? apr_pstrdup(r->pool, value) : NULL;
}

/* ---- what it is to do ---- */

struct change {
    enum cq_change_action action;
    struct cq_key net;
    int64_t for_s;              /* of an exemption */
};

/* @return NULL, or the sentence that says what is wrong */
static const char *read_change(const request_rec *r, const char *form,
                               const char *client, struct change *change)
{
    const char *action = form_value(r, form, "action");
    const char *lasts = form_value(r, form, "for");
    const char *why;

    if (!cq_change_action_parse(action, &change->action)) {
        return "action: expected reset, exempt or unexempt.";
    }
    if (client == NULL) {
        return "client: expected an address or a network such as 192.0.2.7 "
               "or 192.0.2.0/24.";
    }
    if (cq_key_parse(&change->net, client, &why) != CQ_OK) {
        return apr_pstrcat(r->pool, "client: ", why, ".", NULL);
    }
    change->for_s = CQ_CHANGE_FOR_S;
    if (change->action == CQ_ACTION_EXEMPT && lasts != NULL
        && (cq_duration_parse_s(lasts, &change->for_s) != CQ_OK
            || change->for_s < 1 || change->for_s > CQ_CHANGE_FOR_MAX_S)) {
        return "for: expected a duration from 1s to 366d, e.g. 1w.";
    }
    return NULL;
}

/* ---- doing it ---- */

static const char *format_net(const request_rec *r, const struct cq_key *net)
{
    return cq_link_client(net, apr_palloc(r->pool, CQ_KEY_TEXT_SIZE),
                          CQ_KEY_TEXT_SIZE);
}

/* @return OK, or an HTTP status with a sentence */
static int reset_net(request_rec *r, const struct change *change,
                     const struct cq_clock *clock, const char **why)
{
    int rows = cq_table_reset(cq_site.table, &change->net, clock);

    /* another node may have one: that reset is on its way */
    if (rows > 0 || cq_table_has_cluster(cq_site.table)) {
        return OK;
    }
    *why = apr_pstrcat(r->pool, "No row belongs to ",
                       format_net(r, &change->net), ".", NULL);
    return HTTP_NOT_FOUND;
}

static int change_exemption(request_rec *r, const struct change *change,
                            const struct cq_clock *clock, const char **why)
{
    enum cq_status status = change->action == CQ_ACTION_EXEMPT
        ? cq_exempt_set(cq_site.table, &change->net,
                        clock->now_s + change->for_s, clock->now_s)
        : cq_exempt_end(cq_site.table, &change->net, clock->now_s);

    if (status == CQ_OK) {
        return OK;
    }
    if (status == CQ_ENOENT) {
        *why = apr_pstrcat(r->pool, "There is no exemption of ",
                           format_net(r, &change->net), ".", NULL);
        return HTTP_NOT_FOUND;
    }
    *why = status == CQ_EFULL
        ? "There are 1024 exemptions, and no more are possible: end one "
          "first, or exempt one network instead of many."
        : cq_status_word(status);
    return HTTP_CONFLICT;
}

/* The query of the page without what a change adds to it. */
static const char *copy_query(const request_rec *r)
{
    static const char *const own[] = { "action", "for", "done", "on" };
    const char *at = r->args;
    char *kept = apr_pstrdup(r->pool, "");
    size_t i;

    while (at != NULL && *at != '\0') {
        const char *pair = ap_getword(r->pool, &at, '&');
        size_t length = strcspn(pair, "=");
        bool is_own = false;

        for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
            is_own = is_own || (strlen(own[i]) == length
                                && strncmp(pair, own[i], length) == 0);
        }
        if (!is_own && *pair != '\0') {
            kept = apr_pstrcat(r->pool, kept, *kept != '\0' ? "&" : "", pair,
                               NULL);
        }
    }
    return kept;
}

/* Back to the page, which shows what was done. */
static int redirect_to_page(request_rec *r, const struct change *change)
{
    const char *kept = copy_query(r);

    apr_table_setn(r->headers_out, "Location",
                   apr_pstrcat(r->pool,
                               ap_os_escape_path(r->pool, cq_page_path(r), 1),
                               "?", kept, *kept != '\0' ? "&" : "", "done=",
                               cq_change_action_word(change->action), "&on=",
                               format_net(r, &change->net), NULL));
    return cq_page_answer(r, HTTP_SEE_OTHER, "Done.");
}

static int carry_out_change(request_rec *r, const struct change *change)
{
    const char *user = r->user != NULL
        ? ap_escape_logitem(r->pool, r->user) : r->useragent_ip;
    struct cq_counting counting;
    struct cq_clock clock;
    const char *why;
    int status;

    cq_counting_now(&counting);
    if (!counting.readable) {
        return cq_page_answer(r, HTTP_SERVICE_UNAVAILABLE, counting.notice);
    }
    cq_table_clock(cq_site.table, apr_time_sec(r->request_time), &clock);
    status = (change->action == CQ_ACTION_RESET ? reset_net : change_exemption)(
        r, change, &clock, &why);
    if (status != OK) {
        return cq_page_answer(r, status, why);
    }
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, CQNO("0301")
                  "the page: %s of %s, requested by %s",
                  cq_change_action_word(change->action),
                  format_net(r, &change->net), user);
    return redirect_to_page(r, change);
}

int cq_change(request_rec *r)
{
    const char *why = find_objection(r);
    struct change change;
    char *form;
    int status;

    if (why != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, CQNO("0302")
                      "a POST to the page is refused: %s", why);
        return cq_page_answer(r, HTTP_FORBIDDEN, why);
    }
    if (!is_form(r)) {
        return cq_page_answer(r, HTTP_UNSUPPORTED_MEDIA_TYPE,
                              "Expected a form, " FORM_TYPE ".");
    }
    status = read_form(r, &form);
    if (status != OK) {
        return cq_page_answer(r, status, status == HTTP_REQUEST_ENTITY_TOO_LARGE
                              ? "The form is too large."
                              : "The form is not readable.");
    }
    why = read_change(r, form, form_value(r, form, "client"), &change);
    return why != NULL ? cq_page_answer(r, HTTP_BAD_REQUEST, why)
                       : carry_out_change(r, &change);
}

/* ---- asking first, and saying that it was done ---- */

bool cq_change_is_asked(const request_rec *r)
{
    return form_value(r, r->args, "action") != NULL;
}

int cq_change_show_form(request_rec *r, const char *nonce)
{
    const struct cq_sink sink = cq_page_sink(r);
    struct cq_change_form form = { .self = cq_page_path(r), .nonce = nonce,
                                   .query = copy_query(r) };
    const char *lasts = form_value(r, r->args, "for");
    /* beside a page that shows one network, the row's own client */
    const char *on = form_value(r, r->args, "on");
    struct change change;
    const char *why;

    if (cq_dir_conf(r)->changes != 1) {
        return cq_page_answer(r, HTTP_FORBIDDEN, NOT_HERE);
    }
    why = read_change(r, r->args,
                      on != NULL ? on : form_value(r, r->args, "client"),
                      &change);
    if (why != NULL) {
        return cq_page_answer(r, HTTP_BAD_REQUEST, why);
    }
    form.action = change.action;
    form.net = change.net;
    form.lasts = lasts != NULL ? lasts : CQ_CHANGE_FOR;
    form.prefixes = cq_site.prefixes;
    ap_set_content_type(r, "text/html; charset=utf-8");
    if (!r->header_only) {
        cq_render_change_form(&form, &sink);
    }
    return OK;
}

bool cq_change_read_done(const request_rec *r, enum cq_change_action *action,
                         struct cq_key *net)
{
    const char *on = form_value(r, r->args, "on");

    return cq_change_action_parse(form_value(r, r->args, "done"), action)
        && on != NULL && cq_key_parse(net, on, NULL) == CQ_OK;
}
