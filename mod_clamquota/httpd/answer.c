/* answer - the response of our own pages, as renderers see it. */
#include "httpd/answer.h"

#include <mod_core.h>

static void *alloc_from_pool(void *baton, size_t size)
{
    return apr_palloc(baton, size);
}

static void write_response(void *baton, const char *data, size_t size)
{
    (void)ap_rwrite(data, (int)size, baton);
}

struct cq_sink cq_page_sink(request_rec *r)
{
    return (struct cq_sink){ write_response, r };
}

struct cq_arena cq_page_arena(const request_rec *r)
{
    return (struct cq_arena){ alloc_from_pool, r->pool };
}

/* "//host/" in a link or a Location would be another site */
const char *cq_page_path(const request_rec *r)
{
    const char *path = r->uri;

    while (path[0] == '/' && path[1] == '/') {
        path++;
    }
    return path;
}

int cq_page_answer(request_rec *r, int status, const char *sentence)
{
    if (ap_is_HTTP_ERROR(status)
        && ap_response_code_string(r, ap_index_of_response(status)) != NULL) {
        return status;          /* the operator's ErrorDocument */
    }
    r->status = status;
    ap_set_content_type(r, "text/plain; charset=utf-8");
    ap_rputs(sentence, r);
    ap_rputs("\n", r);
    return OK;
}
