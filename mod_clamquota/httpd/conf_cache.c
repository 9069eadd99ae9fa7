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

static int complain(server_rec *base, const struct cache_use *use)
{
    if (use->enable == NULL || use->quick == 0) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, base,
                 CQNO("0106") "CacheEnable (%s line %d) with mod_cache's quick "
                 "handler: it would answer clients before their quota is "
                 "known; expected \"CacheQuickHandler off\" beside it",
                 use->enable->filename, use->enable->line_num);
    return HTTP_INTERNAL_SERVER_ERROR;
}

int cq_conf_check_cache(server_rec *base)
{
    const ap_directive_t *directive;
    struct cache_use of_base = { NULL, -1 };

    look_at(ap_conftree, &of_base);
    if (complain(base, &of_base) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    for (directive = ap_conftree; directive != NULL;
         directive = directive->next) {
        struct cache_use use = of_base;

        if (ap_cstr_casecmp(directive->directive, "<VirtualHost") == 0) {
            look_at(directive->first_child, &use);
            if (complain(base, &use) != OK) {
                return HTTP_INTERNAL_SERVER_ERROR;
            }
        }
    }
    return OK;
}
