/* request - making, finding and ending the state of a request. */
#include "httpd/request.h"

#include <http_ssl.h>

static apr_status_t finish(void *data)
{
    struct cq_request *q = data;

    cq_meter_end(q);
    cq_copies_end(q->pair);
    q->pair = NULL;
    cq_client_close(&q->client);
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
        connection->sendfile = !ap_ssl_conn_is_ssl(c);
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
    memset(q, 0, offsetof(struct cq_request, client.key));
    q->c = r->connection;
    q->connection = r->connection->master == NULL
                    ? connection_of(r->connection) : NULL;
    ap_set_module_config(first->request_config, &clamquota_module, q);
    apr_pool_cleanup_register(first->pool, q, finish, apr_pool_cleanup_null);
    return q;
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
        cq_copies_end(q->pair);
        q->pair = NULL;
        cq_client_close(&q->client);
    }
    return DECLINED;
}
