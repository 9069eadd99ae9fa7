/* directive_cluster - how ClamQuotaMemcached, ClamQuotaSync and ClamQuotaNode
 * are read. What libmemcached's options mean is known to cluster/ only. */
#include "cluster/cluster.h"
#include "httpd/directives.h"
#include "table/tablefile.h"

#include <string.h>

#define SYNC_MIN_MS 50
#define SYNC_MAX_MS 60000

const char *cq_directive_memcached(cmd_parms *cmd, void *conf, int argc,
                                   char *const argv[])
{
    const char *error = cq_directive_enter_server(cmd);
    struct cq_server_conf *server_conf = cq_server_conf(cmd->server);
    struct cq_cluster_options *options;
    char why[CQ_WHY_SIZE];

    (void)conf;
    if (error != NULL) {
        return error;
    }
    if (argc != 1 || argv[0][0] == '\0') {
        return cq_directive_refuse(cmd, argc, argv);
    }
    options = apr_palloc(cmd->pool, sizeof(*options));
    if (cq_cluster_parse(argv[0], options, why, sizeof(why)) != CQ_OK) {
        return apr_psprintf(cmd->pool, "ClamQuotaMemcached \"%.200s\": %s; "
                            "expected %s", argv[0], why, cmd->cmd->errmsg);
    }
    if (!cq_cluster_available()) {
        return apr_psprintf(cmd->pool, "ClamQuotaMemcached \"%.200s\": this "
                            "module was built without libmemcached; install "
                            "libmemcached-dev and build it again, such as "
                            "with ./build.sh install", argv[0]);
    }
    server_conf->memcached = apr_pstrdup(cmd->pool, argv[0]);
    server_conf->cluster = options;
    return NULL;
}

const char *cq_directive_sync(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[])
{
    const char *error = cq_directive_enter_server(cmd);
    int64_t ms;

    (void)conf;
    if (error != NULL) {
        return error;
    }
    if (argc != 1 || cq_duration_parse_ms(argv[0], &ms) != CQ_OK
        || ms < SYNC_MIN_MS || ms > SYNC_MAX_MS) {
        return cq_directive_refuse(cmd, argc, argv);
    }
    cq_server_conf(cmd->server)->sync_ms = ms;
    return NULL;
}

static bool is_label(const char *text)
{
    size_t length = strlen(text);

    return length >= 1 && length < CQ_CLUSTER_LABEL_SIZE
        && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789._-") == length;
}

const char *cq_directive_node(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[])
{
    const char *error = cq_directive_enter_server(cmd);

    (void)conf;
    if (error != NULL) {
        return error;
    }
    if (argc != 1 || !is_label(argv[0])) {
        return cq_directive_refuse(cmd, argc, argv);
    }
    cq_server_conf(cmd->server)->node = apr_pstrdup(cmd->pool, argv[0]);
    return NULL;
}
