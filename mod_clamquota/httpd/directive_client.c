/* directive_client - how ClamQuotaClient is read: a network and what each
 * client in it may download. The other directives are in directives.c. */
#include "httpd/directives.h"

/* leaves room for each pool's own policy */
#define CLIENT_RULES_MAX (CQ_POLICIES_MAX - CQ_POOLS_MAX)

/* NULL, or what is wrong with a network that is well-formed */
static const char *wrong_network(const cmd_parms *cmd,
                                 const struct cq_server_conf *conf,
                                 const struct cq_key *net)
{
    struct cq_key nat64;
    int i;

    if (cq_key_parse(&nat64, "64:ff9b::/48", NULL) == CQ_OK
        && cq_key_contains(&nat64, net)) {
        return "clients behind NAT64 count as their IPv4 addresses, expected "
               "a network of these, as in 192.0.2.0/24 or "
               "64:ff9b::192.0.2.0/120";
    }
    for (i = 0; i < conf->clients->nelts; i++) {
        const struct cq_client_decl *other =
            &APR_ARRAY_IDX(conf->clients, i, struct cq_client_decl);

        if (cq_key_compare(&other->net, net) == 0) {
            return apr_pstrcat(cmd->pool, "this network has a value already (",
                               other->where, "), expected each one once",
                               NULL);
        }
    }
    if (conf->clients->nelts >= CLIENT_RULES_MAX) {
        return apr_psprintf(cmd->pool, "there are %d networks already, "
                            "expected at most that many", CLIENT_RULES_MAX);
    }
    return NULL;
}

const char *cq_directive_client(cmd_parms *cmd, void *conf, int argc,
                                char *const argv[])
{
    struct cq_server_conf *server_conf = cq_server_conf(cmd->server);
    const char *error = cq_directive_enter_server(cmd);
    struct cq_client_decl *client;
    struct cq_key net;
    char text[CQ_KEY_TEXT_SIZE];
    int64_t bytes = CQ_UNLIMITED;

    (void)conf;
    if (error != NULL) {
        return error;
    }
    if (argc != 2 ||
        (ap_cstr_casecmp(argv[1], "Unlimited") != 0 &&
         (cq_size_parse(argv[1], &bytes) != CQ_OK || bytes < 1))) {
        return cq_directive_refuse(cmd, argc, argv);
    }
    if (cq_key_parse(&net, argv[0], &error) == CQ_OK) {
        error = wrong_network(cmd, server_conf, &net);
    }
    if (error != NULL) {
        return apr_psprintf(cmd->pool, "ClamQuotaClient \"%.200s\": %s, such "
                            "as ClamQuotaClient 192.0.2.0/24 500M",
                            cq_directive_arguments(cmd, argc, argv), error);
    }
    if (cq_net_add(&server_conf->client_nets, &net,
                   server_conf->clients->nelts) != CQ_OK) {
        return "ClamQuotaClient: no memory for another network";
    }
    cq_directive_doubt_size(cmd, argv[1]);
    client = apr_array_push(server_conf->clients);
    client->net = net;
    client->daily_bytes = bytes;
    client->rule = apr_pstrcat(cmd->pool, "ClamQuotaClient ",
                               cq_key_format_cidr(&net, text, sizeof(text)),
                               NULL);
    client->where = apr_psprintf(cmd->pool, "%s line %d",
                                 cmd->directive->filename,
                                 cmd->directive->line_num);
    return NULL;
}
