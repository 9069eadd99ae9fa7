/* predict - what httpd will answer a request with.
 *
 * Follows default_handler() in server/core.c, ap_set_byterange() in
 * modules/http/byterange_filter.c and ap_meets_conditions(). */
#include "httpd/predict.h"

#include <apr_lib.h>

#define FREE_RANGE_BYTES 4096           /* the contract's default */

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

/* Reads "bytes=A-B", "bytes=A-" or "bytes=-N" of size bytes.
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

static int64_t range_bytes(const struct range *range, int64_t size)
{
    return range->first >= size ? 0
        : (range->last < size ? range->last + 1 : size) - range->first;
}

static bool is_small(const struct range *range, const struct cq_dir_conf *conf)
{
    int64_t at_most_bytes = conf->free_range_bytes != CQ_UNSET
                            ? conf->free_range_bytes : FREE_RANGE_BYTES;

    return range->last != INT64_MAX
        && range->last - range->first < at_most_bytes;
}

/* ---- conditions ---- */

bool cq_predict_is_conditional(const request_rec *r)
{
    /* one look at the header instead of six */
    const apr_array_header_t *fields = apr_table_elts(r->headers_in);
    const apr_table_entry_t *field = (const void *)fields->elts;
    const apr_table_entry_t *end = field + fields->nelts;

    for (; field < end; field++) {
        int initial = field->key[0] | 0x20;

        if ((initial == 'i' && ap_cstr_casecmpn(field->key, "If-", 3) == 0)
            || (initial == 'r' && ap_cstr_casecmp(field->key, "Range") == 0)) {
            return true;
        }
    }
    return false;
}

enum condition { IF_RANGE, OTHER_CONDITIONS };

/* Asks httpd as default_handler() will, on a copy of the headers. */
CQ_SELDOM static bool condition_holds(request_rec *r, enum condition which)
{
    apr_table_t *headers = r->headers_out;
    apr_time_t mtime = r->mtime;
    bool holds;

    r->headers_out = apr_table_copy(r->pool, headers);
    ap_update_mtime(r, r->finfo.mtime);
    ap_set_last_modified(r);
    ap_set_etag(r);
    holds = which == IF_RANGE
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

CQ_SELDOM static bool is_index_listed(request_rec *r)
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

/* What a Range or a condition makes of a file.
 * @return whether it is free, as it looks */
CQ_SELDOM static bool apply_conditions(request_rec *r,
                                       const struct cq_dir_conf *conf,
                                       struct cq_prediction *p)
{
    int64_t size = r->finfo.size;
    const char *if_range = apr_table_get(r->headers_in, "If-Range");
    struct range range;

    if (!condition_holds(r, OTHER_CONDITIONS)) {
        p->most_bytes = 0;      /* 304 or 412 */
        return true;
    }
    if (!read_range(r, size, &range)
        || (if_range != NULL && !condition_holds(r, IF_RANGE))) {
        return false;
    }
    p->most_bytes = range_bytes(&range, size);
    if (p->most_bytes == 0) {
        return range.first > 0; /* 416 */
    }
    p->is_small_range = r->method_number == M_GET && if_range == NULL
        && is_small(&range, conf);
    p->is_rest = r->method_number == M_GET && range.first > 0
        && range.last == INT64_MAX;
    return p->is_small_range;
}

static void predict_file(request_rec *r, const struct cq_dir_conf *conf,
                         struct cq_prediction *p)
{
    p->is_file = true;
    p->most_bytes = r->finfo.size;
    /* httpd ignores them where it sends an ErrorDocument */
    if (r->status == HTTP_OK && cq_predict_is_conditional(r)
        && apply_conditions(r, conf, p)) {
        p->column = CQ_COLUMN_FREE;
    }
    else if (may_be_replaced(r)) {
        p->most_bytes = unknown_bytes(r);
    }
}

void cq_predict(request_rec *r, const struct cq_dir_conf *conf,
                struct cq_prediction *p)
{
    bool by_default = cq_is_default_handled(r);

    memset(p, 0, sizeof(*p));
    p->column = CQ_COLUMN_FREE;
    if (r->header_only || !is_answered(r, by_default)) {
        return;
    }
    p->refusable = true;
    p->column = CQ_COLUMN_USED;
    if (by_default && r->proxyreq == PROXYREQ_NONE) {
        predict_file(r, conf, p);
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

/* Does a free prediction hold for a whole resource of length bytes? */
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
        && range_bytes(&range, length) <= p->most_bytes
        && (p->is_small_range ? range.last != INT64_MAX
                              : range_bytes(&range, length) == 0);
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

int64_t cq_predict_length(const request_rec *r)
{
    const char *text = apr_table_get(r->headers_out, "Content-Length");
    int64_t length;

    return text != NULL && (text = read_offset(text, &length)) != NULL
           && *text == '\0' ? length : -1;
}
