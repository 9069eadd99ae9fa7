/* request - making, finding and ending the state of a request. */
#include "httpd/request.h"

static apr_status_t end_request(void *data)
{
    struct cq_request *q = data;
    struct cq_connection *connection = q->connection;

    cq_markers_end(&q->markers);
    cq_markers_detach(&q->markers);
    cq_copies_end(&q->pair);
    cq_account_reserve_at_most(&q->client.account, 0);
    /* One account for each connection stays open at most, while another request
     * may come: the ledger has an entry for each open request and not many
     * more. */
    if (connection->spare != NULL || connection->http2 || connection->closing
        || q->c->keepalive != AP_CONN_KEEPALIVE) {
        cq_account_close(&q->client.account);
    }
    q->next = connection->spare;
    connection->spare = q;
    return APR_SUCCESS;
}

static apr_status_t close_connection(void *data)
{
    struct cq_connection *connection = data;
    struct cq_request *q;

    connection->closing = true;
    for (q = connection->spare; q != NULL; q = q->next) {
        cq_account_close(&q->client.account);
    }
    return APR_SUCCESS;
}

static struct cq_connection *find_connection(conn_rec *c)
{
    struct cq_connection *connection =
        ap_get_module_config(c->conn_config, &clamquota_module);

    if (connection == NULL) {
        connection = apr_pcalloc(c->pool, sizeof(*connection));
        connection->http2 = c->master != NULL;
        apr_pool_pre_cleanup_register(c->pool, connection, close_connection);
        ap_set_module_config(c->conn_config, &clamquota_module, connection);
    }
    return connection;
}

static struct cq_request *make_request(conn_rec *c,
                                       struct cq_connection *connection)
{
    struct cq_request *q = apr_pcalloc(c->pool, sizeof(*q));

    q->c = c;
    q->connection = connection;
    q->client.account.entry = CQ_NO_ENTRY;
    return q;
}

struct cq_request *cq_request_make(request_rec *r)
{
    const request_rec *first = cq_request_first(r);
    struct cq_request *q =
        ap_get_module_config(first->request_config, &clamquota_module);
    struct cq_connection *connection;

    if (q != NULL || cq_site.table == NULL) {
        return q;
    }
    connection = find_connection(r->connection);
    q = connection->spare;
    if (q != NULL) {
        connection->spare = q->next;
        q->handed_over = false;
        q->pair = NULL;
        q->set_for = NULL;
        q->decision = (struct cq_decision){ 0 };
        q->response = (struct cq_response){ 0 };
        cq_client_begin(&q->client);
    }
    else {
        q = make_request(r->connection, connection);
    }
    ap_set_module_config(first->request_config, &clamquota_module, q);
    apr_pool_cleanup_register(first->pool, q, end_request,
                              apr_pool_cleanup_null);
    return q;
}

int cq_request_hand_over(conn_rec *c, request_rec *r, server_rec *s,
                         const char *protocol)
{
    struct cq_request *q = r != NULL ? cq_request_find(r) : NULL;

    (void)c;
    (void)s;
    (void)protocol;
    if (q != NULL) {
        q->handed_over = true;
        cq_copies_end(&q->pair);
        cq_account_close(&q->client.account);
    }
    return DECLINED;
}
