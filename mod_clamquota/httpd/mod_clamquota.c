/* mod_clamquota - the module record, the site and the hooks: the table of
 * contents.
 *
 * Every hook of the module is registered here, in the order in which it runs
 * in the life of a server and of a request, with the reason for its place;
 * except variables.c's own before a request is logged. */
#include "httpd/request.h"

#include <http_connection.h>
#include <mod_status.h>
#include <mpm_common.h>

struct cq_site cq_site;

static void register_hooks(apr_pool_t *p)
{
    /* stderr is the terminal until httpd's own open_logs has run */
    static const char *const before_logs[] = { "core.c", NULL };

    static const char *const after_http[] = { "http_core.c", NULL };
    static const char *const before_cache[] = { "mod_cache.c", NULL };
    static const char *const before_tls[] = { "mod_ssl.c", NULL };
    static const char *const after_remoteip[] = { "mod_remoteip.c", NULL };

    (void)p;

    /* the server's life */
    ap_hook_pre_config(cq_start_pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(cq_conf_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_open_logs(cq_start_open_logs, NULL, before_logs,
                      APR_HOOK_REALLY_FIRST);
    ap_hook_post_config(cq_start_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(cq_start_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_monitor(cq_start_monitor, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(cq_start_child_status, NULL, NULL, APR_HOOK_MIDDLE);

    /* A connection. Before mod_ssl makes its part of it, which is most of what
     * it costs, after mod_remoteip found out whether it begins with a PROXY
     * header; core's own hook is REALLY_LAST. */
    ap_hook_pre_connection(cq_drop_pre_connection, after_remoteip, before_tls,
                           APR_HOOK_MIDDLE);

    /* A request. The meter goes in after http_core has put its own protocol
     * filters in: before them the response would go out without its header
     * filter (http_core's hook is REALLY_LAST). */
    cq_meter_register();
    cq_gate_register();
    ap_hook_create_request(cq_meter_create_request, after_http, NULL,
                           APR_HOOK_REALLY_LAST);
    /* first of all: before access control and authentication cost anything */
    ap_hook_header_parser(cq_gate_header_parser, NULL, NULL, APR_HOOK_FIRST);
    /* When it is known what will answer, and by which filters; before all
     * that do answer, of which mod_cache's is REALLY_FIRST, too. */
    ap_hook_handler(cq_gate_handler, NULL, before_cache,
                    APR_HOOK_REALLY_FIRST);
    /* before mod_http2 serves the connection from within this hook */
    ap_hook_protocol_switch(cq_request_hand_over, NULL, NULL,
                            APR_HOOK_FIRST);
    ap_hook_expr_lookup(cq_variables_lookup, NULL, NULL, APR_HOOK_MIDDLE);

    /* mod_status may be absent */
    APR_OPTIONAL_HOOK(ap, status_hook, cq_page_status_hook, NULL, NULL,
                      APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA clamquota_module = {
    STANDARD20_MODULE_STUFF,
    cq_dir_conf_create,
    cq_dir_conf_merge,
    cq_server_conf_create,
    NULL,                       /* vhosts share the base server's */
    cq_directives,
    register_hooks,
    AP_MODULE_FLAG_NONE
};
