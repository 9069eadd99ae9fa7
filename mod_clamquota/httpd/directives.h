/* directives - what the files that read directives share. Private to them. */
#ifndef CQ_HTTPD_DIRECTIVES_H
#define CQ_HTTPD_DIRECTIVES_H

#include "httpd/private.h"

/** All arguments as one text: a value too many shows like a wrong one. */
const char *cq_directive_arguments(const cmd_parms *cmd, int argc,
                                   char *const argv[]);

/** The complaint about a value: directive, value, expected form. */
const char *cq_directive_refuse(const cmd_parms *cmd, int argc,
                                char *const argv[]);

/** Warns under `httpd -t` of a size without a unit that is too small to be
 * meant, such as 50. */
void cq_directive_doubt_size(const cmd_parms *cmd, const char *text);

/** For directives of the server config.
 * @return NULL where they may stand, else the complaint */
const char *cq_directive_enter_server(cmd_parms *cmd);

/** The setter of ClamQuotaClient. */
const char *cq_directive_client(cmd_parms *cmd, void *conf, int argc,
                                char *const argv[]);

/** The setters of ClamQuotaMemcached, ClamQuotaSync and ClamQuotaNode. */
const char *cq_directive_memcached(cmd_parms *cmd, void *conf, int argc,
                                   char *const argv[]);
const char *cq_directive_sync(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[]);
const char *cq_directive_node(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[]);

/** RemoteIPInternalProxy and RemoteIPTrustedProxy, one value. */
const char *cq_directive_proxy(cmd_parms *cmd, void *conf, const char *text);

/** RemoteIPInternalProxyList and RemoteIPTrustedProxyList. */
const char *cq_directive_proxy_list(cmd_parms *cmd, void *conf,
                                    const char *path);

#endif
