/* conf_cache - mod_cache's quick handler and a quota don't go together.
 *
 * It answers before Location, Directory and Files are known, so what it serves
 * would pass the gate and be counted in the wrong pool. Its setting is private
 * to mod_cache: what is read here is the configuration itself. */
#include "httpd/private.h"

struct cache_use {
    const ap_directive_t *enable;       /* NULL: nothing is cached */
    int quick;                          /* -1: not said; the default is On */
};

static void look_at(const ap_directive_t *directive, struct cache_use *use)
{
    for (; directive != NULL; directive = directive->next) {
        if (ap_cstr_casecmp(directive->directive, "CacheEnable") == 0) {
            use->enable = directive;
        }
        else if (ap_cstr_casecmp(directive->directive,
                                 "CacheQuickHandler") == 0) {
            use->quick = ap_cstr_casecmp(directive->args, "off") != 0;
        }
    }
}

static int complain(server_rec *base, const ap_directive_t *enable)
{
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, base,
                 CQNO("0106") "CacheEnable (%s line %d) with mod_cache's quick "
                 "handler: it would answer clients before their quota is "
                 "known; expected \"CacheQuickHandler off\" beside it",
                 enable->filename, enable->line_num);
    return HTTP_INTERNAL_SERVER_ERROR;
}

int cq_conf_check_cache(apr_pool_t *ptemp, server_rec *base)
{
    struct cache_use of_base = { NULL, -1 };
    server_rec *s;

    look_at(ap_conftree, &of_base);
    for (s = base; s != NULL; s = s->next) {
        const ap_directive_t *vhost = cq_conf_vhost(s);
        struct cache_use use = of_base;

        if (vhost != NULL) {
            look_at(vhost->first_child, &use);
        }
        if (use.enable != NULL && use.quick != 0
            && cq_conf_counts_in(ptemp, base, s)) {
            return complain(base, use.enable);
        }
    }
    return OK;
}
