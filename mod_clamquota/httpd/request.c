/* request - making, finding and ending the state of a request. */
#include "httpd/request.h"

/* The end of a request, however it ends: what is reserved goes back. */
static apr_status_t finish(void *data)
{
    struct cq_request *q = data;

    cq_marker_end(q);
    cq_marker_let_go(q);
    cq_copies_end(q);
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
    q = apr_palloc(first->pool, sizeof(*q));
    memset(q, 0, offsetof(struct cq_request, client));
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

/* Finds out whose request it is.
 * @param identity  result: of the client in q->pool
 * @return false: nobody's who could be counted */
static bool find_client(struct cq_request *q, const request_rec *r,
                        uint64_t *identity)
{
    struct cq_connection *connection = q->proxied ? NULL : q->connection;

    if (connection != NULL && connection->known
        && connection->pool == q->pool->index) {
        q->client = connection->client;
        q->override = connection->override;
        *identity = connection->identity;
        return true;
    }
    if (q->pool->index == CQ_ANY_POOL
        || !cq_request_client(r, &q->client, &q->override)) {
        return false;
    }
    *identity = cq_table_identity(cq_site.table, q->pool->index, &q->client);
    if (connection != NULL) {
        connection->known = true;
        connection->pool = q->pool->index;
        connection->client = q->client;
        connection->override = q->override;
        connection->identity = *identity;
    }
    return true;
}

/* The same second as at the connection's last request: the same day. */
static void look_at_clock(struct cq_request *q, int64_t now_s)
{
    struct cq_connection *connection = q->connection;

    if (connection == NULL) {
        cq_table_clock(cq_site.table, now_s, &q->clock);
        return;
    }
    if (now_s != connection->clock.now_s) {
        cq_table_clock(cq_site.table, now_s, &connection->clock);
    }
    q->clock = connection->clock;
}

static void mark_row(const struct cq_request *q, uint16_t pool,
                     const struct cq_key *key, uint16_t policy_index)
{
    struct cq_account account;

    if (cq_account_open(cq_site.table, pool, key, &q->clock, &account)
        == CQ_OK) {
        cq_account_mark(&account, &q->clock, policy_index, true);
        cq_account_close(&account);
    }
}

/* Whoever brings requests of others is a proxy. What it asks for itself, as
 * for its health checks, may make it over: it must not be shut out, and all
 * who are behind it. Its rows are marked once for each connection; one that has
 * none gets one, so that it is known before it asks for itself. */
static void mark_proxy(struct cq_request *q, const conn_rec *c)
{
    const apr_sockaddr_t *peer = c->client_addr;
    const struct cq_pool_decl *pool;
    struct cq_key key;
    bool known = false;

    if (q->connection != NULL && q->connection->proxy) {
        return;
    }
    if (q->connection != NULL) {
        q->connection->proxy = true;
    }
    if (cq_key_make(&key, peer->ipaddr_ptr, (size_t)peer->ipaddr_len,
                    cq_site.prefixes) != CQ_OK) {
        return;
    }
    for (pool = cq_site.conf->pools; pool != NULL; pool = pool->next) {
        struct cq_row row;

        if (pool->used && pool->index != CQ_ANY_POOL
            && cq_table_row(cq_site.table, pool->index, &key, &q->clock, &row)
                == CQ_OK) {
            known = true;
            if (!row.proxied) {
                mark_row(q, pool->index, &key, row.policy_index);
            }
        }
    }
    if (!known && q->pool->index != CQ_ANY_POOL) {
        mark_row(q, q->pool->index, &key, q->pool->policy_index);
    }
}

bool cq_request_account(struct cq_request *q, const request_rec *r,
                        const struct cq_dir_conf *conf)
{
    uint64_t identity;

    if (q->account_tried) {
        return q->account_open;
    }
    q->account_tried = true;
    q->pool = cq_dir_conf_pool(conf, cq_site.conf);
    q->proxied = r->useragent_addr != r->connection->client_addr
        || cq_peer_is_proxy(r->connection)
        || cq_key_is_translated(r->useragent_addr->ipaddr_ptr,
                                (size_t)r->useragent_addr->ipaddr_len);
    look_at_clock(q, apr_time_sec(r->request_time));
    if (cq_peer_is_proxy(r->connection)) {
        mark_proxy(q, r->connection);
    }
    if (!find_client(q, r, &identity)
        || cq_account_open_as(cq_site.table, identity, q->pool->index,
                              &q->client, &q->clock, &q->account) != CQ_OK) {
        q->state = CQ_STATE_ERROR;
        memset(&q->client, 0, sizeof(q->client));
        return false;
    }
    q->account_open = true;
    cq_account_mark(&q->account, &q->clock,
                    q->override != NULL ? q->override->policy_index
                                        : q->pool->policy_index,
                    q->proxied
                        || (q->connection != NULL && q->connection->proxy));
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

int cq_request_hand_over(conn_rec *c, request_rec *r, server_rec *s,
                         const char *protocol)
{
    struct cq_request *q = r != NULL ? cq_request_of(r) : NULL;

    (void)c;
    (void)s;
    (void)protocol;
    if (q != NULL) {
        q->handed_over = true;
        cq_copies_end(q);
        if (q->account_open) {
            cq_account_close(&q->account);
            q->account_open = false;
        }
    }
    return DECLINED;
}
