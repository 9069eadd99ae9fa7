/* conf_document - an ErrorDocument on another server and a refusal.
 *
 * httpd makes a redirect of it: wget and curl -f then store a page in the place
 * of the file and report success. refuse.c answers such a refusal itself; this
 * file warns the operator. It reads the configuration's text, as ErrorDocument
 * may stand in any section. */
#include "httpd/private.h"

static bool is_status_of_refusal(apr_pool_t *ptemp,
                                 const struct cq_server_conf *conf,
                                 const char *code)
{
    const struct cq_dir_conf *const *scopes = (const void *)conf->scopes->elts;
    int i;

    for (i = 0; i < conf->scopes->nelts; i++) {
        if (strcmp(apr_itoa(ptemp, scopes[i]->status), code) == 0) {
            return true;
        }
    }
    return strcmp(code, "429") == 0;
}

static void look_at(apr_pool_t *ptemp, server_rec *base,
                    const ap_directive_t *directive)
{
    for (; directive != NULL; directive = directive->next) {
        const char *args = directive->args;
        const char *code;

        look_at(ptemp, base, directive->first_child);
        if (ap_cstr_casecmp(directive->directive, "ErrorDocument") != 0) {
            continue;
        }
        code = ap_getword_conf(ptemp, &args);
        if (is_status_of_refusal(ptemp, cq_server_conf(base), code)
            && ap_is_url(ap_getword_conf(ptemp, &args))) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, base, CQNO("0109")
                         "ErrorDocument %s (%s line %d) is a full URL, which "
                         "would turn a refusal into a redirect: it is "
                         "ignored; expected a path of this server or a text, "
                         "e.g. ErrorDocument %s /refused.html", code,
                         directive->filename, directive->line_num, code);
        }
    }
}

void cq_conf_check_documents(apr_pool_t *ptemp, server_rec *base)
{
    look_at(ptemp, base, ap_conftree);
}
