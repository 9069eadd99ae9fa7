/* predict - what httpd will answer a request with.
 *
 * Follows default_handler() in server/core.c, ap_set_byterange() in
 * modules/http/byterange_filter.c and ap_meets_conditions(). */
#include "httpd/predict.h"

#include <apr_lib.h>

/* ---- ranges ---- */

struct range {
    int64_t first;
    int64_t last;               /* INT64_MAX: open */
};

/* Reads a number of a range; at least one digit, no overflow. */
static const char *read_offset(const char *at, int64_t *offset)
{
    int64_t n = 0;

    if (!apr_isdigit(*at)) {
        return NULL;
    }
    for (; apr_isdigit(*at); at++) {
        if (n > (INT64_MAX - 9) / 10) {
            return NULL;
        }
        n = n * 10 + (*at - '0');
    }
    *offset = n;
    return at;
}

/* Reads "bytes=A-B", "bytes=A-" or "bytes=-N" of so many bytes.
 * @return false: none, several, or one that httpd ignores: the whole */
static bool read_range(const request_rec *r, int64_t size, struct range *range)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *at = apr_table_get(r->headers_in, "Range");
    bool is_suffix;

    if (at == NULL || ap_cstr_casecmpn(at, "bytes=", 6) != 0
        || core->max_ranges == AP_MAXRANGES_NORANGES
        || r->status != HTTP_OK || r->assbackwards) {
        return false;
    }
    at += 6;
    is_suffix = *at == '-';
    range->first = 0;
    range->last = INT64_MAX;
    if ((!is_suffix && (at = read_offset(at, &range->first)) == NULL)
        || *at++ != '-'
        || (*at != '\0' && (at = read_offset(at, &range->last)) == NULL)
        || *at != '\0') {
        return false;
    }
    if (is_suffix) {
        if (range->last == 0 || range->last == INT64_MAX) {
            return false;
        }
        range->first = range->last < size ? size - range->last : 0;
        range->last = INT64_MAX;
    }
    return range->first <= range->last;
}

static int64_t length_of(const struct range *range, int64_t size)
{
    return range->first >= size ? 0
        : (range->last < size ? range->last + 1 : size) - range->first;
}

static bool is_small(const struct range *range, int64_t at_most_bytes)
{
    return range->last != INT64_MAX
        && range->last - range->first < at_most_bytes;
}

/* ---- conditions ---- */

static bool has_condition(const request_rec *r)
{
    const apr_table_t *in = r->headers_in;

    return apr_table_get(in, "If-Modified-Since") != NULL
        || apr_table_get(in, "If-None-Match") != NULL
        || apr_table_get(in, "If-Match") != NULL
        || apr_table_get(in, "If-Unmodified-Since") != NULL;
}

/* Asks httpd as default_handler() will, on a copy of the headers.
 * @param if_range  whether an If-Range holds; else whether the others do */
static bool condition_holds(request_rec *r, bool if_range)
{
    apr_table_t *headers = r->headers_out;
    apr_time_t mtime = r->mtime;
    bool holds;

    r->headers_out = apr_table_copy(r->pool, headers);
    ap_update_mtime(r, r->finfo.mtime);
    ap_set_last_modified(r);
    ap_set_etag(r);
    holds = if_range
        ? ap_condition_if_range(r, r->headers_out) == AP_CONDITION_STRONG
        : ap_meets_conditions(r) == OK;
    r->headers_out = headers;
    r->mtime = mtime;
    return holds;
}

/* ---- what answers ---- */

bool cq_is_default_handled(const request_rec *r)
{
    const char *handler = r->handler;

    return handler == NULL || *handler == '\0'
        || strcmp(handler, "default-handler") == 0
        || (strchr(handler, '/') != NULL
            && strncmp(handler, "application/x-httpd-", 20) != 0
            && strncmp(handler, "httpd/", 6) != 0
            && strcmp(handler, "application/x-type-map") != 0);
}

static bool has_path_info(const request_rec *r)
{
    return r->path_info != NULL && *r->path_info != '\0';
}

static bool is_index_listed(request_rec *r)
{
    return r->method_number == M_GET
        && (ap_allow_options(r) & OPT_INDEXES) != 0
        && ap_find_linked_module("mod_autoindex.c") != NULL;
}

/* Will something other than an error or a redirect come of this? */
static bool is_answered(request_rec *r, bool by_default)
{
    if (r->proxyreq != PROXYREQ_NONE) {
        return true;
    }
    if (r->finfo.filetype == APR_DIR && r->handler != NULL
        && strcmp(r->handler, DIR_MAGIC_TYPE) == 0) {
        return is_index_listed(r);
    }
    if (!by_default) {          /* mod_rewrite: looked at where it leads to */
        return strcmp(r->handler, "redirect-handler") != 0;
    }
    return r->finfo.filetype == APR_REG
        && (r->method_number == M_GET || r->method_number == M_POST)
        && (!has_path_info(r) || r->used_path_info == AP_REQ_ACCEPT_PATH_INFO);
}

/* Filters that come before mod_headers' and mod_deflate's may put anything in
 * the place of a file. */
static bool may_be_replaced(const request_rec *r)
{
    const ap_filter_t *f = r->output_filters;

    for (; f != NULL && f->frec->ftype < AP_FTYPE_CONTENT_SET; f = f->next) {
        if (strcmp(f->frec->name, "bytype:deflate") != 0) {
            return true;
        }
    }
    return false;
}

/* What the contract wants reserved for an unknown length. */
static int64_t unknown_bytes(const request_rec *r)
{
    return r->finfo.filetype == APR_REG && r->finfo.size > CQ_UNKNOWN_BYTES
        ? r->finfo.size : CQ_UNKNOWN_BYTES;
}

static void predict_file(request_rec *r, int64_t free_range_bytes,
                         struct cq_prediction *p)
{
    int64_t size = r->finfo.size;
    const char *if_range = apr_table_get(r->headers_in, "If-Range");
    struct range range;

    p->is_file = true;
    p->most_bytes = size;
    if (r->status == HTTP_OK && has_condition(r)
        && !condition_holds(r, false)) {
        p->column = CQ_COLUMN_FREE;     /* 304 or 412 */
        p->most_bytes = 0;
        return;
    }
    if (read_range(r, size, &range)
        && (if_range == NULL || condition_holds(r, true))) {
        p->most_bytes = length_of(&range, size);
        p->is_small_range = r->method_number == M_GET && if_range == NULL
            && p->most_bytes > 0 && is_small(&range, free_range_bytes);
        p->is_rest = r->method_number == M_GET && range.first > 0
            && range.last == INT64_MAX && p->most_bytes > 0;
        if (p->is_small_range || (range.first > 0 && p->most_bytes == 0)) {
            p->column = CQ_COLUMN_FREE; /* 416 is the other one */
            return;
        }
    }
    if (may_be_replaced(r)) {
        p->most_bytes = unknown_bytes(r);
    }
}

void cq_predict(request_rec *r, int64_t free_range_bytes,
                struct cq_prediction *p)
{
    bool by_default = cq_is_default_handled(r);

    memset(p, 0, sizeof(*p));
    p->column = CQ_COLUMN_FREE;
    if (cq_is_own_page(r->handler)) {
        p->column = CQ_COLUMN_HANDLER;
        return;
    }
    if (r->header_only || !is_answered(r, by_default)) {
        return;
    }
    p->refusable = true;
    p->column = CQ_COLUMN_USED;
    if (by_default && r->proxyreq == PROXYREQ_NONE) {
        predict_file(r, free_range_bytes, p);
        return;
    }
    p->most_bytes = unknown_bytes(r);
    if (cq_is_error_document(r)) {
        p->column = CQ_COLUMN_FREE;     /* unless it gives another status */
    }
}

bool cq_predict_early(const request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    return (r->method_number == M_GET || r->method_number == M_POST)
        && !r->header_only
        && (r->proxyreq != PROXYREQ_NONE
            || (r->finfo.filetype == APR_REG && !has_path_info(r)
                && core->expr_handler == NULL
                && !cq_is_own_page(core->handler)));
}

bool cq_predict_is_conditional(const request_rec *r)
{
    return apr_table_get(r->headers_in, "Range") != NULL || has_condition(r);
}

/* Does a free prediction hold for so many bytes of the resource, all of which
 * are there? */
static bool holds(const request_rec *r, const struct cq_prediction *p,
                  int64_t length)
{
    struct range range;

    if (r->status != HTTP_OK) {
        return length == 0;
    }
    return apr_table_get(r->headers_out, "Content-Range") == NULL
        && read_range(r, length, &range)
        && apr_table_get(r->headers_in, "If-Range") == NULL
        && length_of(&range, length) <= p->most_bytes
        && (p->is_small_range ? range.last != INT64_MAX
                              : length_of(&range, length) == 0);
}

bool cq_predict_again(const request_rec *r, apr_bucket_brigade *bb,
                      struct cq_prediction *p)
{
    apr_off_t length = -1;

    if (ap_is_HTTP_ERROR(r->status) && !p->is_file) {
        return true;            /* as an ErrorDocument's script has it */
    }
    /* without an end in its first brigade httpd cuts no ranges */
    if (APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb))) {
        (void)apr_brigade_length(bb, 0, &length);
    }
    if (length >= 0 && p->is_file && holds(r, p, length)) {
        return true;
    }
    p->column = CQ_COLUMN_USED;
    p->is_small_range = false;
    p->most_bytes = length >= 0 ? length : unknown_bytes(r);
    return false;
}
