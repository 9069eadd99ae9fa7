/* directive_complaints - messages about a directive that is wrong, or unlikely
 * to be meant: its name, the value, the expected form with an example. */
#include "httpd/directives.h"

#include <string.h>

#define DOUBTFUL_BYTES (INT64_C(1) << 20)   /* less a day is no quota */

const char *cq_directive_arguments(const cmd_parms *cmd, int argc,
                                   char *const argv[])
{
    const char *text = argc > 0 ? argv[0] : "";
    int i;

    for (i = 1; i < argc; i++) {
        text = apr_pstrcat(cmd->pool, text, " ", argv[i], NULL);
    }
    return text;
}

const char *cq_directive_refuse(const cmd_parms *cmd, int argc,
                                char *const argv[])
{
    if (argc == 0) {
        return apr_psprintf(cmd->pool, "%s: a value is missing, expected %s",
                            cmd->cmd->name, cmd->cmd->errmsg);
    }
    return apr_psprintf(cmd->pool, "%s \"%.200s\": expected %s",
                        cmd->cmd->name,
                        cq_directive_arguments(cmd, argc, argv),
                        cmd->cmd->errmsg);
}

const char *cq_directive_enter_server(cmd_parms *cmd)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (error == NULL) {
        return NULL;
    }
    return apr_pstrcat(cmd->pool, error, ", it belongs in the server config"
                       " outside of every section", NULL);
}

void cq_directive_doubt_size(const cmd_parms *cmd, const char *text)
{
    int64_t bytes = 0;

    if (ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST
        && text[strspn(text, "0123456789")] == '\0'
        && cq_size_parse(text, &bytes) == CQ_OK
        && bytes > 0 && bytes < DOUBTFUL_BYTES) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, cmd->server, CQNO("0145")
                     "%s %s (%s line %d) is a number of bytes: a size has a "
                     "unit, such as %sM", cmd->cmd->name, cmd->directive->args,
                     cmd->directive->filename, cmd->directive->line_num, text);
    }
}
