/* me - a client's own figures: SetHandler clamquota-me.
 *
 * Shows a client what is counted for the address that it asks from, and no
 * other: the query string only chooses the form. It is never refused, so that a
 * client over quota can learn why. */
#include "httpd/answer.h"
#include "httpd/request.h"
#include "render/me.h"

#include <string.h>

static void set_headers(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'; "
                   "img-src data:; form-action 'none'; base-uri 'none'; "
                   "frame-ancestors 'none'");
}

/* ?json, also among others; a value does not matter */
static bool wants_json(const char *args)
{
    while (args != NULL && *args != '\0') {
        size_t length = strcspn(args, "&");

        if (strncmp(args, "json", 4) == 0
            && (length == 4 || args[4] == '=')) {
            return true;
        }
        args += length;
        args += *args == '&';
    }
    return false;
}

/* where nothing is counted there still is a calendar */
static void fill_calendar(struct cq_me *me)
{
    const struct cq_server_conf *conf = cq_site.conf;

    me->now_s = apr_time_sec(apr_time_now());
    if (cq_period_at(conf->period_kind, conf->zone, me->now_s, &me->period)
        == CQ_OK) {
        me->day = cq_period_day(&me->period, me->now_s);
        me->next_day_s = me->period.midnight_s[me->day];
    }
}

static struct cq_me *collect_figures(request_rec *r)
{
    const struct cq_dir_conf *conf = cq_dir_conf(r);
    const struct cq_pool_decl *pool = cq_dir_conf_pool(conf, cq_site.conf);
    const struct cq_client_decl *override = NULL;
    const char *admin = r->server->server_admin;
    struct cq_me *me = apr_palloc(r->pool, sizeof(*me));
    struct cq_me_place place = { .pool = pool->index };
    const struct cq_arena arena = cq_page_arena(r);
    struct cq_counting counting;
    struct cq_clock clock;

    memset(me, 0, offsetof(struct cq_me, pools));
    me->version = CQ_VERSION;
    me->log_only = cq_site.conf->strongest == CQ_ENGINE_LOGONLY;
    me->self = r->uri;
    me->admin = admin != NULL && strcmp(admin, DEFAULT_ADMIN) != 0
        ? admin : NULL;
    if (!cq_client_find(r->useragent_addr, &me->client, &override)) {
        memset(&me->client, 0, sizeof(me->client));
    }
    cq_counting_now(&counting);
    if (!counting.readable) {
        fill_calendar(me);
        return me;
    }
    place.document_root = ap_document_root(r);
    place.arena = &arena;
    place.policy_index = override != NULL ? override->policy_index
                                          : pool->policy_index;
    cq_refuse_retry(conf, &me->client, &place.retry);
    cq_table_clock(cq_site.table, apr_time_sec(r->request_time), &clock);
    cq_me_collect(me, cq_site.table, &clock, &place);
    return me;
}

int cq_me_handler(request_rec *r)
{
    const struct cq_sink sink = cq_page_sink(r);

    set_headers(r);
    if (r->method_number != M_GET) {
        apr_table_setn(r->headers_out, "Allow", "GET, HEAD");
        return cq_page_answer(r, HTTP_METHOD_NOT_ALLOWED,
                              "Expected GET or HEAD.");
    }
    if (wants_json(r->args)) {
        ap_set_content_type(r, "application/json");
        if (!r->header_only) {
            cq_render_me_json(collect_figures(r), &sink);
        }
        return OK;
    }
    ap_set_content_type(r, "text/html; charset=utf-8");
    if (!r->header_only) {
        cq_render_me_html(collect_figures(r), &sink);
    }
    return OK;
}
