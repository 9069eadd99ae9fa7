/* request - making, finding and ending the state of a request. */
#include "httpd/request.h"

const request_rec *cq_request_first(const request_rec *r)
{
    for (;;) {
        if (r->main != NULL) {
            r = r->main;
        }
        else if (r->prev != NULL) {
            r = r->prev;
        }
        else {
            return r;
        }
    }
}

struct cq_request *cq_request_of(const request_rec *r)
{
    return ap_get_module_config(cq_request_first(r)->request_config,
                                &clamquota_module);
}

/* The end of a request, however it ends: what is reserved goes back. */
static apr_status_t finish(void *data)
{
    struct cq_request *q = data;

    cq_meter_let_go(q);
    if (q->account_open) {
        cq_account_close(&q->account);
        q->account_open = false;
    }
    return APR_SUCCESS;
}

static apr_status_t connection_closes(void *data)
{
    struct cq_connection *connection = data;

    connection->closing = true;
    return APR_SUCCESS;
}

static struct cq_connection *connection_of(conn_rec *c)
{
    struct cq_connection *connection =
        ap_get_module_config(c->conn_config, &clamquota_module);

    if (connection == NULL) {
        connection = apr_pcalloc(c->pool, sizeof(*connection));
        apr_pool_pre_cleanup_register(c->pool, connection, connection_closes);
        ap_set_module_config(c->conn_config, &clamquota_module, connection);
    }
    return connection;
}

struct cq_request *cq_request_make(request_rec *r)
{
    const request_rec *first = cq_request_first(r);
    struct cq_request *q =
        ap_get_module_config(first->request_config, &clamquota_module);

    if (q != NULL || cq_site.table == NULL) {
        return q;
    }
    q = apr_pcalloc(first->pool, sizeof(*q));
    q->c = r->connection;
    q->connection = r->connection->master == NULL
                    ? connection_of(r->connection) : NULL;
    ap_set_module_config(first->request_config, &clamquota_module, q);
    apr_pool_cleanup_register(first->pool, q, finish, apr_pool_cleanup_null);
    return q;
}

bool cq_request_client(const request_rec *r, struct cq_key *key,
                       const struct cq_client_decl **override)
{
    const struct cq_server_conf *conf = cq_site.conf;
    const apr_sockaddr_t *peer = r->useragent_addr;
    const struct cq_net_rule *rule = NULL;

    if (cq_key_make(key, peer->ipaddr_ptr, (size_t)peer->ipaddr_len,
                    cq_site.prefixes) != CQ_OK) {
        return false;
    }
    if (conf->client_nets.count > 0) {
        rule = cq_net_find(&conf->client_nets, key);
    }
    *override = rule != NULL
        ? &APR_ARRAY_IDX(conf->clients, rule->value, struct cq_client_decl)
        : NULL;
    return true;
}

bool cq_request_account(struct cq_request *q, const request_rec *r,
                        const struct cq_dir_conf *conf)
{
    if (q->account_tried) {
        return q->account_open;
    }
    q->account_tried = true;
    q->pool = cq_dir_conf_pool(conf, cq_site.conf);
    q->proxied = r->useragent_addr != r->connection->client_addr;
    if (q->pool->index == CQ_ANY_POOL
        || !cq_request_client(r, &q->client, &q->override)
        || cq_account_open(cq_site.table, q->pool->index, &q->client,
                           cq_request_clock(q, r->request_time),
                           &q->account) != CQ_OK) {
        q->state = CQ_STATE_ERROR;
        return false;
    }
    q->account_open = true;
    cq_account_mark(&q->account,
                    q->override != NULL ? q->override->policy_index
                                        : q->pool->policy_index,
                    q->proxied);
    return true;
}

struct cq_policy cq_request_policy(const struct cq_request *q,
                                   const struct cq_dir_conf *conf)
{
    struct cq_policy policy = {
        .daily_bytes = conf->daily_bytes != CQ_UNSET ? conf->daily_bytes
                                                     : CQ_UNLIMITED,
        .grace_bytes = conf->grace_bytes != CQ_UNSET ? conf->grace_bytes : 0,
    };

    if (q->override != NULL) {
        policy.daily_bytes = q->override->daily_bytes;
    }
    return policy;
}

const char *cq_request_client_text(apr_pool_t *p, const struct cq_key *key)
{
    char text[CQ_KEY_TEXT_SIZE];

    if (key->prefix == (key->family == 4 ? 32 : 128)) {
        cq_key_format(key, text, sizeof(text));
    }
    else {
        cq_key_format_cidr(key, text, sizeof(text));
    }
    return apr_pstrdup(p, text);
}
