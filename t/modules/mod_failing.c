/* mod_failing - a filter behind mod_clamquota's that passes 300,000 bytes and
 * then fails, as one does whose disk is full: the client is still there. */
#include <httpd.h>
#include <http_config.h>
#include <util_filter.h>

#define PASSED_BYTES 300000

static apr_status_t fail(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_off_t *passed_bytes = f->ctx, length = 0;

    if (passed_bytes == NULL) {
        f->ctx = passed_bytes = apr_pcalloc(f->r->pool, sizeof(*passed_bytes));
    }
    (void)apr_brigade_length(bb, 1, &length);
    if (*passed_bytes + length > PASSED_BYTES) {
        return APR_EGENERAL;
    }
    *passed_bytes += length;
    return ap_pass_brigade(f->next, bb);
}

static void register_filter(apr_pool_t *p)
{
    (void)p;
    ap_register_output_filter("FAILING", fail, NULL,
                              (ap_filter_type)(AP_FTYPE_TRANSCODE + 7));
}

AP_DECLARE_MODULE(failing) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_filter,
    AP_MODULE_FLAG_NONE
};
