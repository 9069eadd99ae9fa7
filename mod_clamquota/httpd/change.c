/* change - what the operator's page changes: a client's figures are forgotten.
 *
 * By POST only, where ClamQuotaChanges is On in the server's configuration,
 * under a name of this server, and from the page itself. */
#include "httpd/private.h"

#include <string.h>

/* a form of ours is far below */
#define FORM_MAX_BYTES 1024

#define FORM_TYPE "application/x-www-form-urlencoded"

/* ---- may it? ---- */

/* "https://host:8443" of this request; NULL for a request without Host */
static const char *origin_of(const request_rec *r)
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
static const char *why_not(const request_rec *r)
{
    const char *own = origin_of(r);

    if (cq_dir_conf(r)->changes != 1) {
        return "Nothing is changed here: expected ClamQuotaChanges On in the "
               "<Location> of this page.";
    }
    if (!has_own_name(r)) {
        return "Nothing is changed under this name: expected the ServerName "
               "or a ServerAlias of this virtual host, or an address.";
    }
    if (!from_own_page(r)) {
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

/* ---- resetting ---- */

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
    struct cq_counting counting;
    struct cq_clock clock;
    struct cq_key client;
    char name[CQ_KEY_TEXT_SIZE];
    const char *why = client_of(text, &client);
    int rows;

    if (why != NULL) {
        return cq_page_say(r, HTTP_BAD_REQUEST,
                   apr_pstrcat(r->pool, "client: ", why, ".", NULL));
    }
    cq_counting_now(&counting);
    if (!counting.readable) {
        return cq_page_say(r, HTTP_SERVICE_UNAVAILABLE, counting.notice);
    }
    cq_table_clock(cq_site.table, apr_time_sec(r->request_time), &clock);
    rows = cq_table_reset(cq_site.table, &client, &clock);
    cq_key_format_cidr(&client, name, sizeof(name));
    if (rows == 0) {
        return cq_page_say(r, HTTP_NOT_FOUND,
                   apr_pstrcat(r->pool, "No row belongs to ", name, ".",
                               NULL));
    }
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, CQNO("0301")
                  "what %s has used is forgotten, as %s asked", name,
                  r->user != NULL ? ap_escape_logitem(r->pool, r->user)
                                  : r->useragent_ip);
    apr_table_setn(r->headers_out, "Location",
                   ap_os_escape_path(r->pool, cq_page_path(r), 1));
    return cq_page_say(r, HTTP_SEE_OTHER, "Done.");
}

int cq_change(request_rec *r)
{
    const char *why = why_not(r);
    const char *action, *client;
    char *form;
    int status;

    if (why != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, CQNO("0302")
                      "a POST to the page is refused: %s", why);
        return cq_page_say(r, HTTP_FORBIDDEN, why);
    }
    if (!is_form(r)) {
        return cq_page_say(r, HTTP_UNSUPPORTED_MEDIA_TYPE,
                           "Expected a form, " FORM_TYPE ".");
    }
    status = read_form(r, &form);
    if (status != OK) {
        return cq_page_say(r, status, status == HTTP_REQUEST_ENTITY_TOO_LARGE
                           ? "The form is too large."
                           : "The form is not readable.");
    }
    action = form_value(r, form, "action");
    client = form_value(r, form, "client");
    if (action == NULL || strcmp(action, "reset") != 0) {
        return cq_page_say(r, HTTP_BAD_REQUEST, "action: expected reset.");
    }
    if (client == NULL) {
        return cq_page_say(r, HTTP_BAD_REQUEST,
                           "client: expected an address such as 192.0.2.7.");
    }
    return reset(r, client);
}
