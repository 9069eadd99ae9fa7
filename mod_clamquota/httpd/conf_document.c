/* conf_document - an ErrorDocument on another server and a refusal.
 *
 * httpd makes a redirect of it: wget and curl -f then store a page in the place
 * of the file and report success. refuse.c answers such a refusal itself; here
 * the operator is told. What ErrorDocument says is in the configuration only,
 * as it may stand in any section. */
#include "httpd/private.h"

static bool is_status_of_refusal(const struct cq_server_conf *conf, int status)
{
    const struct cq_dir_conf *const *scopes = (const void *)conf->scopes->elts;
    int i;

    for (i = 0; i < conf->scopes->nelts; i++) {
        if (scopes[i]->status == status) {
            return true;
        }
    }
    return status == HTTP_TOO_MANY_REQUESTS;
}

static void look_at(apr_pool_t *ptemp, server_rec *base,
                    const ap_directive_t *directive)
{
    for (; directive != NULL; directive = directive->next) {
        const char *args = directive->args;
        int status;

        look_at(ptemp, base, directive->first_child);
        if (ap_cstr_casecmp(directive->directive, "ErrorDocument") != 0) {
            continue;
        }
        status = atoi(ap_getword_conf(ptemp, &args));
        if (is_status_of_refusal(cq_server_conf(base), status)
            && ap_is_url(ap_getword_conf(ptemp, &args))) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, base, CQNO("0109")
                         "ErrorDocument %d (%s line %d) is a full URL, which "
                         "would make a redirect of a refusal: it is answered "
                         "without; expected a path of this server or a text, "
                         "e.g. ErrorDocument %d /refused.html", status,
                         directive->filename, directive->line_num, status);
        }
    }
}

void cq_conf_check_documents(apr_pool_t *ptemp, server_rec *base)
{
    look_at(ptemp, base, ap_conftree);
}
