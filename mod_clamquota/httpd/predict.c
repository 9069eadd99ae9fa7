/* predict - what a request will probably be answered with.
 *
 * A prediction only ever decides whether to refuse and how much to reserve;
 * the column is decided by what is sent (meter.c), so a wrong one is booked
 * as used. */
#include "httpd/request.h"

#include <apr_lib.h>

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

struct range {
    int64_t first;              /* -1: a suffix of last bytes */
    int64_t last;               /* -1: open */
};

/* Reads "bytes=A-B", "bytes=A-" or "bytes=-N": exactly one range. */
static bool read_range(const request_rec *r, struct range *range)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *at = apr_table_get(r->headers_in, "Range");

    range->first = -1;
    range->last = -1;
    if (at == NULL || ap_cstr_casecmpn(at, "bytes=", 6) != 0
        || core->max_ranges == AP_MAXRANGES_NORANGES) {
        return false;
    }
    at += 6;
    if (*at != '-' && (at = read_offset(at, &range->first)) == NULL) {
        return false;
    }
    if (*at++ != '-') {
        return false;
    }
    if (*at != '\0' && (at = read_offset(at, &range->last)) == NULL) {
        return false;
    }
    return *at == '\0' && (range->first >= 0 || range->last >= 0);
}

int64_t cq_predict_bytes(const request_rec *r)
{
    struct range range;
    int64_t size = r->finfo.size;
    int64_t end;

    if (r->finfo.filetype != APR_REG) {
        return 0;
    }
    if (!read_range(r, &range)
        || apr_table_get(r->headers_in, "If-Range") != NULL) {
        return size;            /* it may become the whole */
    }
    if (range.first < 0) {
        return range.last < size ? range.last : size;
    }
    end = range.last < 0 || range.last >= size ? size - 1 : range.last;
    return range.first <= end ? end - range.first + 1 : 0;
}

bool cq_predict_small_range(const request_rec *r, int64_t at_most_bytes)
{
    struct range range;

    return at_most_bytes > 0 && r->method_number == M_GET
        && read_range(r, &range)
        && range.first >= 0 && range.last >= range.first
        && range.last - range.first < at_most_bytes
        && apr_table_get(r->headers_in, "If-Range") == NULL;
}

/* As the range filter will ask, on a copy of the headers. */
static bool if_range_holds(request_rec *r)
{
    apr_table_t *headers = r->headers_out;
    apr_time_t mtime = r->mtime;
    bool holds;

    if (apr_table_get(r->headers_in, "If-Range") == NULL) {
        return true;
    }
    r->headers_out = apr_table_copy(r->pool, headers);
    ap_update_mtime(r, r->finfo.mtime);
    ap_set_last_modified(r);
    ap_set_etag(r);
    holds = ap_condition_if_range(r, r->headers_out) == AP_CONDITION_STRONG;
    r->headers_out = headers;
    r->mtime = mtime;
    return holds;
}

bool cq_predict_open_range(request_rec *r)
{
    struct range range;

    return r->method_number == M_GET && read_range(r, &range)
        && range.first > 0 && range.last < 0 && range.first < r->finfo.size
        && if_range_holds(r);
}

bool cq_predict_plain_file(const request_rec *r)
{
    return r->finfo.filetype == APR_REG
        && (r->path_info == NULL || *r->path_info == '\0'
            || r->used_path_info == AP_REQ_ACCEPT_PATH_INFO)
        /* to the default handler they are the same */
        && (r->method_number == M_GET || r->method_number == M_POST)
        && r->proxyreq == PROXYREQ_NONE
        && (r->handler == NULL || strcmp(r->handler, "default-handler") == 0)
        /* httpd takes the content type for the handler when there is none:
         * application/x-httpd-php, -cgi ... */
        && (r->handler != NULL || r->content_type == NULL
            || strncmp(r->content_type, "application/x-httpd-", 20) != 0);
}

bool cq_predict_not_modified(request_rec *r)
{
    apr_table_t *headers = r->headers_out;
    apr_time_t mtime = r->mtime;
    bool not_modified;

    if (r->no_local_copy
        || (apr_table_get(r->headers_in, "If-Modified-Since") == NULL
            && apr_table_get(r->headers_in, "If-None-Match") == NULL)) {
        return false;
    }
    /* as default_handler() will do it, on a copy of the headers */
    r->headers_out = apr_table_copy(r->pool, headers);
    ap_update_mtime(r, r->finfo.mtime);
    ap_set_last_modified(r);
    ap_set_etag(r);
    not_modified = ap_meets_conditions(r) == HTTP_NOT_MODIFIED;
    r->headers_out = headers;
    r->mtime = mtime;
    return not_modified;
}
