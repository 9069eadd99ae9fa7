/* conf_me - where a client finds its own figures, as far as the configuration
 * shows it.
 *
 * The refusal's text leads to the page of SetHandler clamquota-me, if that
 * stands in a <Location> whose argument is a plain path: then the path is its
 * URL. SetHandler is compiled to an expression by the time we look: what is
 * read here is the configuration itself. */
#include "httpd/private.h"

#include <apr_fnmatch.h>

/* what is left of a refusal's 400 bytes is less */
#define PATH_MAX_LENGTH 120

/* The path of <Location PATH>; NULL: a pattern, or not a path. */
static const char *plain_path(apr_pool_t *p, const ap_directive_t *section)
{
    const char *args = section->args;
    const char *end = ap_strrchr_c(args, '>');
    const char *path;

    args = apr_pstrmemdup(p, args, end != NULL ? (apr_size_t)(end - args)
                                               : strlen(args));
    path = ap_getword_conf(p, &args);
    return path[0] == '/' && path[1] != '/' && !apr_fnmatch_test(path)
        ? path : NULL;
}

/* The handler that a section sets last; NULL: none. An <If> inside it is left
 * out: its condition is only known for a request. */
static const char *handler_in(apr_pool_t *p, const ap_directive_t *section)
{
    const ap_directive_t *directive;
    const char *handler = NULL;

    for (directive = section->first_child; directive != NULL;
         directive = directive->next) {
        if (ap_cstr_casecmp(directive->directive, "SetHandler") == 0) {
            const char *args = directive->args;

            handler = ap_getword_conf(p, &args);
        }
    }
    return handler;
}

/* The first page among the sections of a server. An inherited one is none any
 * more where another handler is set for its path. */
static const char *find_path(apr_pool_t *p, const ap_directive_t *directive,
                             const char *inherited)
{
    const char *own = NULL;

    for (; directive != NULL; directive = directive->next) {
        const char *path, *handler;

        if (ap_cstr_casecmp(directive->directive, "<Location") != 0
            || (handler = handler_in(p, directive)) == NULL
            || (path = plain_path(p, directive)) == NULL) {
            continue;
        }
        if (ap_cstr_casecmp(handler, CQ_HANDLER_ME) == 0) {
            own = own != NULL ? own : path;
            continue;
        }
        if (own != NULL && strcmp(own, path) == 0) {
            own = NULL;
        }
        if (inherited != NULL && strcmp(inherited, path) == 0) {
            inherited = NULL;
        }
    }
    return own != NULL ? own : inherited;
}

/* A virtual host without a directive of ours shares the base server's. */
static void set_path(apr_pool_t *p, server_rec *s, const char *path)
{
    struct cq_dir_conf *conf =
        apr_pmemdup(p, ap_get_module_config(s->lookup_defaults,
                                            &clamquota_module),
                    sizeof(*conf));

    conf->me_path = path;
    ap_set_module_config(s->lookup_defaults, &clamquota_module, conf);
}

void cq_conf_find_me(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *base)
{
    const char *of_base = find_path(ptemp, ap_conftree, NULL);
    server_rec *s;

    for (s = base; s != NULL; s = s->next) {
        const ap_directive_t *vhost = cq_conf_vhost(s);
        const char *path = vhost != NULL
            ? find_path(ptemp, vhost->first_child, of_base) : of_base;

        if (path != NULL) {
            path = ap_os_escape_path(pconf, path, 1);
        }
        if (path != NULL && strlen(path) <= PATH_MAX_LENGTH) {
            set_path(pconf, s, path);
        }
    }
}
