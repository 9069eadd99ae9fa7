/* exchanger_events - the cluster's events in the log. Each event comes once,
 * and again only after its end. Only the exchanger calls it. */
#include "httpd/exchanger.h"

void cq_exchanger_log(void *server, enum cq_cluster_event event,
                      const char *text)
{
    server_rec *s = server;

    switch (event) {
    case CQ_CLUSTER_SERVER_DOWN:
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0153")
                     "memcached %s", text);
        break;
    case CQ_CLUSTER_SERVER_UP:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0154")
                     "memcached %s answers again", text);
        break;
    case CQ_CLUSTER_ALL_DOWN:
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0155")
                     "no memcached answers: this node counts alone until one "
                     "does");
        break;
    case CQ_CLUSTER_ALL_UP:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0156")
                     "every memcached answers");
        break;
    case CQ_CLUSTER_NODE_DIFFERS:
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0157")
                     "node %s", text);
        break;
    case CQ_CLUSTER_NODE_AGREES:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0158")
                     "node %s has the same settings again", text);
        break;
    case CQ_CLUSTER_NODE_RENEWED:
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0159")
                     "another machine runs with a copy of this table: this "
                     "node has a new identity in the cluster");
        break;
    case CQ_CLUSTER_FULL:
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0160")
                     "%s", text);
        break;
    }
}
