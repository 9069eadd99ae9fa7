/* predict - what httpd will answer a request with: the one place that knows.
 *
 * A prediction decides whether to refuse and how much to reserve. The column
 * is decided by what is sent (meter.c), so a wrong prediction is booked as
 * used. Knows request_rec only. */
#ifndef CQ_HTTPD_PREDICT_H
#define CQ_HTTPD_PREDICT_H

#include "httpd/private.h"

/* A response of unknown length reserves at least this much (contract). */
#define CQ_UNKNOWN_BYTES (INT64_C(1) << 20)

struct cq_prediction {
    enum cq_column column;      /* FREE and refusable: free if it holds */
    bool refusable;             /* false: an error, a redirect, a header */
    bool is_file;               /* the default handler sends a regular file */
    bool is_small_range;        /* FREE as a small closed range */
    bool is_rest;               /* of a file, from N > 0 to its end */
    int64_t most_bytes;         /* of the body, as far as can be known */
};

/** Is it certain before access control, types and filters are known that
 * something refusable will answer, unless the request is conditional? Then a
 * client over quota is refused at no more cost. */
bool cq_predict_early(const request_rec *r);

/** Has it a Range or an If-...? */
bool cq_predict_is_conditional(const request_rec *r);

/** What will answer. To be asked when the handler is about to be called.
 * @param conf  of its scope: how long a free range may be */
void cq_predict(request_rec *r, const struct cq_dir_conf *conf,
                struct cq_prediction *prediction);

/** Has a free prediction come true? To be asked between the filters that
 * change the content and those that cut ranges, with the first brigade.
 * @param prediction  corrected if it has not */
bool cq_predict_again(const request_rec *r, apr_bucket_brigade *bb,
                      struct cq_prediction *prediction);

/** The length of the body as the header gives it, -1 where it doesn't. To be
 * asked when that is made. */
CQ_SELDOM int64_t cq_predict_length(const request_rec *r);

/** An internal redirect for an error: the response is an ErrorDocument. */
static inline bool cq_is_error_document(const request_rec *r)
{
    return r->prev != NULL && ap_is_HTTP_ERROR(r->prev->status);
}

/** Will the default handler answer, whatever the content type is called?
 * While a handler runs, httpd has put the type where no handler was set. */
bool cq_is_default_handled(const request_rec *r);

#endif
