/* exchanger - what its two files share. Private to them. */
#ifndef CQ_HTTPD_EXCHANGER_H
#define CQ_HTTPD_EXCHANGER_H

#include "cluster/cluster.h"
#include "httpd/private.h"

/** Logs what happened in the cluster: a cq_cluster_report.
 * @param server  the server_rec to log for */
void cq_exchanger_log(void *server, enum cq_cluster_event event,
                      const char *text);

#endif
