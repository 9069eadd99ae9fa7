/* private - what the files of httpd/ share.
 *
 * The only folder that knows httpd. conf reads directives, start attaches the
 * table, exchanger shares it, drop shuts out, gate decides, meter counts,
 * refuse answers, variables report, page and me show; mod_clamquota.c is the
 * table of contents. */
#ifndef CQ_HTTPD_PRIVATE_H
#define CQ_HTTPD_PRIVATE_H

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <ap_mpm.h>
#include <apr_strings.h>
#include <util_filter.h>

#include "core/net.h"
#include "core/offence.h"
#include "core/policy.h"
#include "core/seldom.h"
#include "core/units.h"
#include "core/version.h"
#include "table/exempt.h"
#include "table/table.h"

extern module AP_MODULE_DECLARE_DATA clamquota_module;
APLOG_USE_MODULE(clamquota);

/* A stable tag to grep for and to look up in mod_clamquota(5). Not APLOGNO:
 * those numbers are httpd's own. */
#define CQNO(number) "CQ" number ": "

/* ---- conf ---- */

enum cq_engine {
    CQ_ENGINE_UNSET = 0,
    CQ_ENGINE_OFF,
    CQ_ENGINE_ON,
    CQ_ENGINE_LOGONLY
};

#define CQ_POOL_DEFAULT "default"

/* One for each name in ClamQuotaPool (and "default"), made while the
 * configuration is read and shared by all scopes that name it; the indexes
 * are known once the table is attached. */
struct cq_pool_decl {
    const char *name;
    bool used;                  /* some scope counts in it */
    bool refuses;               /* some scope of it is On, not only LogOnly */
    uint16_t index;             /* in the table; CQ_ANY_POOL: it has no room
                                 * for this pool, serve uncounted */
    uint16_t policy_index;      /* of ClamQuotaDaily in this pool */
    int64_t daily_bytes;        /* as first declared; CQ_UNSET: none */
    int64_t grace_bytes;        /* as first declared; CQ_UNSET: none */
    struct cq_pool_decl *next;
};

/* one for each ClamQuotaClient; the value of its cq_net_rule is the index in
 * cq_server_conf.clients */
struct cq_client_decl {
    struct cq_key net;
    int64_t daily_bytes;        /* or CQ_UNLIMITED */
    const char *rule;           /* "ClamQuotaClient CIDR" */
    const char *where;          /* "FILE line N", for complaints */
    uint16_t policy_index;
};

/* everything that stands in the server config only; there is one for each
 * time the configuration is read, vhosts share it */
struct cq_server_conf {
    enum cq_period_kind period_kind;
    enum cq_zone zone;
    struct cq_prefixes prefixes;
    const char *table_path;
    int64_t clients_n;          /* ClamQuotaClients */
    int64_t drop_after_n;       /* ClamQuotaDropAfter; 0: Off */
    int64_t files_n;            /* ClamQuotaFiles; CQ_UNSET: 4 for each of
                                 * ClamQuotaClients */
    struct cq_net_list client_nets;
    apr_array_header_t *clients;        /* struct cq_client_decl */
    struct cq_pool_decl *pools; /* the first is "default" */
    apr_array_header_t *scopes; /* struct cq_dir_conf *, each as written */

    /* found by cq_conf_check() */
    bool wanted;                /* some scope counts: a table is needed */
    bool wants_copies;          /* some has ClamQuotaCopies: with files in it */
    enum cq_engine strongest;   /* On if any scope is, else LogOnly, else Off */

    const char *memcached;      /* as written; NULL: there is no cluster */
    const struct cq_cluster_options *cluster;   /* what that means */
    const char *node;           /* this node's label in the cluster */
    int64_t sync_ms;

    struct cq_net_list proxies; /* that mod_remoteip lists */

    /* found by cq_peers_start() */
    struct cq_net_list own_addresses;   /* this machine's and its gateways' */
};

#define CQ_UNSET INT64_C(-2)

/* what may differ from scope to scope: server, vhost, Location, Directory,
 * Files; merged per request */
struct cq_dir_conf {
    enum cq_engine engine;              /* as set here */
    int64_t daily_bytes;                /* CQ_UNSET */
    int64_t grace_bytes;                /* CQ_UNSET; default 0 */
    struct cq_pool_decl *pool;          /* NULL: default */
    int64_t copies_n;                   /* CQ_UNSET; 0 = Off, the default */
    int free;                           /* -1 unset, 0, 1 */
    int64_t free_range_bytes;           /* CQ_UNSET; 0 = Off; default 4096 */
    int64_t free_range_daily_bytes;     /* CQ_UNSET; default 10 MiB */
    int status;                         /* 0 unset; default 429 */
    int64_t retry_max_s;                /* CQ_UNSET; default 6 h */
    int64_t retry_jitter_s;             /* CQ_UNSET; default 10 min */
    int variables;                      /* -1 unset, 0, 1 */
    int changes;                        /* -1 unset, 0, 1 */
    server_rec *server;                 /* it was written in; NULL: .htaccess,
                                         * or nothing was */
    bool section;                       /* not a server's own top level */
    const char *me_path;                /* a server's page for its clients, in
                                         * URL form; NULL: none is known */
};

extern const command_rec cq_directives[];
void *cq_server_conf_create(apr_pool_t *p, server_rec *s);
void *cq_dir_conf_create(apr_pool_t *p, char *dir);
void *cq_dir_conf_merge(apr_pool_t *p, void *base, void *add);

/** The engine in force in a scope: as set, else On if a Daily was set, else
 * Off. */
enum cq_engine cq_dir_conf_engine(const struct cq_dir_conf *conf);

/** The pool of this name, made if need be.
 * @return NULL: there are CQ_POOLS_MAX others */
struct cq_pool_decl *cq_conf_pool(apr_pool_t *p, struct cq_server_conf *conf,
                                  const char *name);

/** The <VirtualHost> that a server was made of; NULL: the base server. */
const ap_directive_t *cq_conf_vhost(const server_rec *s);

/** Does any scope of this server count? Judged as conf_check.c does. */
bool cq_conf_counts_in(apr_pool_t *p, server_rec *base, const server_rec *s);

/** "On", "LogOnly" or "Off". */
const char *cq_engine_word(enum cq_engine engine);

/** Cross-checks after all was read, e.g. two Dailies in one pool: a hook of
 * check_config, so `httpd -t` runs it too.
 * @return OK or an error after having logged its sentence */
int cq_conf_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                  server_rec *base);

/** Part of it: does mod_cache's quick handler stand in the way in a server in
 * which something counts? */
int cq_conf_check_cache(apr_pool_t *ptemp, server_rec *base);

/** Part of it, under `httpd -t` only: warns of files larger than what a new
 * client may download. */
void cq_conf_check_files(apr_pool_t *ptemp, server_rec *base);

/** Part of it: warns of an ErrorDocument that would make a redirect of a
 * refusal. */
void cq_conf_check_documents(apr_pool_t *ptemp, server_rec *base);

/** Part of it: finds each server's page for its clients. */
void cq_conf_find_me(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *base);

static inline struct cq_server_conf *cq_server_conf(server_rec *base)
{
    return ap_get_module_config(base->module_config, &clamquota_module);
}

static inline struct cq_dir_conf *cq_dir_conf(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &clamquota_module);
}

/* the pool of a scope; never NULL */
static inline struct cq_pool_decl *
cq_dir_conf_pool(const struct cq_dir_conf *conf,
                 const struct cq_server_conf *server_conf)
{
    return conf->pool != NULL ? conf->pool : server_conf->pools;
}

/* ---- start ---- */

/* why nothing is counted though some scope wants it */
enum cq_trouble {
    CQ_TROUBLE_NONE = 0,
    CQ_TROUBLE_STALE,           /* httpd was started with another version */
    CQ_TROUBLE_UNUSABLE,        /* the table can't be had */
    CQ_TROUBLE_UNLOCKED,        /* this child can't lock it */
    CQ_TROUBLE_LOST             /* what was the table is no more */
};

/* what of a generation's configuration the request path needs, found through
 * one pointer: set before children are made, then only read */
struct cq_site {
    struct cq_table *table;     /* NULL: no table (nothing is counted) */
    enum cq_trouble trouble;    /* of the start; the table may be lost since */
    struct cq_server_conf *conf;
    struct cq_prefixes prefixes;        /* in force in the table */
    server_rec *base;
    const module *remoteip;     /* mod_remoteip; NULL: it is not loaded */
    bool logs_variables;        /* requests get theirs before they are logged */
};

extern struct cq_site cq_site;     /* mod_clamquota.c */

int cq_start_pre_config(apr_pool_t *pconf, apr_pool_t *plog,
                        apr_pool_t *ptemp);
int cq_start_open_logs(apr_pool_t *pconf, apr_pool_t *plog,
                       apr_pool_t *ptemp, server_rec *base);
int cq_start_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                         apr_pool_t *ptemp, server_rec *base);
void cq_start_child_init(apr_pool_t *p, server_rec *s);
int cq_start_monitor(apr_pool_t *p, server_rec *s);
void cq_start_child_status(server_rec *s, pid_t pid,
                           ap_generation_t generation, int slot,
                           mpm_child_status status);

/* ---- kept ---- */

/* values of directives, of the process's pool */
struct cq_kept {
    const char *table_path;
    enum cq_period_kind period_kind;
    enum cq_zone zone;
    struct cq_prefixes prefixes;
    int64_t clients_n;
    int64_t files_n;            /* 0: without room for files */
    const char *memcached;      /* NULL: unset */
    const char *node;
};

/** Remembers the values with which a table is opened, until httpd ends. */
void cq_kept_remember(const server_rec *s, const struct cq_server_conf *conf,
                      struct cq_kept *kept);

/** Puts them in the place of a configuration's own ones at a graceful restart;
 * logs each that differs. */
void cq_kept_restore(server_rec *s, apr_pool_t *ptemp,
                     const struct cq_kept *kept, struct cq_server_conf *conf);

/** Room for pairs of clients and files; 0: no scope counts copies. */
int64_t cq_kept_files_wanted(const struct cq_server_conf *conf);

/* ---- exchanger ---- */

/** Starts the process that exchanges counters with other nodes, for as long as
 * this configuration lasts. For the parent, when its table is open. */
void cq_exchanger_start(apr_pool_t *pconf);

/** Starts another one if there is none though there should be. */
void cq_exchanger_watch(void);

/* ---- notices ---- */

/** Logs what opening the table found.
 * @param aside   name under which a file lies now that was in the way
 * @param events  enum cq_tablefile_event bits */
void cq_notices_opened(server_rec *s, const char *path, const char *aside,
                       unsigned events);

/** Logs what the table has to say once, if it has; there must be one. */
CQ_SELDOM void cq_notices_log(server_rec *s);

/* ---- changes ---- */

/** Logs the changes of clients' states since the last call, one line each, and
 * one for the rest where there are many. For the parent. */
void cq_changes_log(server_rec *s);

/* ---- peers ---- */

/** Finds this machine's addresses, once for a configuration; switches
 * ClamQuotaDropAfter off, with a sentence in the log, if that fails. */
void cq_peers_start(server_rec *base, apr_pool_t *ptemp,
                    struct cq_server_conf *conf);

/** Is the other end a proxy that mod_remoteip lists, by its address or
 * by RemoteIPProxyProtocol? Not before mod_remoteip's own pre_connection. */
CQ_SELDOM bool cq_peer_is_proxy(const conn_rec *c);

/** Why this peer is never shut out, as far as its address and its connection
 * tell: it is a declared proxy, this machine, its default gateway, or an
 * address of no host.
 * @param key      the peer as a client
 * @param proxied  its row was marked so */
enum cq_spared cq_peer_spared(const conn_rec *c, const struct cq_key *key,
                              bool proxied);

/** Does this request look as if it came through an undeclared proxy?
 * Only from where proxies stand: a header alone is easily sent. */
CQ_SELDOM bool cq_peer_may_be_proxy(const request_rec *r);

/** To be called for each refusal until it returns true: logs once if it hits a
 * declared proxy in its own name, or a default gateway.
 * @return whether it hits the peer, and not a client behind it */
bool cq_peer_refused(const request_rec *r);

/* ---- drop ---- */

/** Ends the new connection of an offender before a byte is sent on it: a hook
 * of pre_connection.
 * @param csd  the connection's apr_socket_t
 * @return DECLINED, or an error: httpd then closes without lingering */
int cq_drop_pre_connection(conn_rec *c, void *csd);

/* which column of the contract's table a response is booked in */
enum cq_column {
    CQ_COLUMN_USED = 0,
    CQ_COLUMN_FREE,
    CQ_COLUMN_REFUSED,          /* our own refusal */
    CQ_COLUMN_HANDLER           /* our own pages */
};

/* ---- variables ---- */

/** Registers the hook that makes variables final before the access log is
 * written. To be called while the configuration is read, for each use of a
 * variable; later calls, as for an expression in an .htaccess file, do
 * nothing. */
void cq_variables_expect(void);

/* ---- counting ---- */

struct cq_counting {
    const char *engine;         /* On, LogOnly or Off; stale or unusable where
                                 * one of the first two should be in force */
    const char *notice;         /* what is wrong and what to do; or NULL */
    bool counts;                /* requests are counted */
    bool readable;              /* the table's figures may be shown */
};

void cq_counting_now(struct cq_counting *now);

/* ---- page and me ---- */

struct cq_query;
struct cq_view;
struct cq_view_facts;

/** What the table has for the operator's page; may be up to two seconds old
 * where the table is large. One request of a child at a time looks into the
 * table. Lives as long as r; its facts are those of the request that looked.
 * @return NULL: there is no memory */
const struct cq_view *cq_page_view(request_rec *r,
                                   const struct cq_query *query,
                                   const struct cq_view_facts *facts);

/** Answers a request for one of our own pages. */
CQ_SELDOM int cq_page_handler(request_rec *r);
int cq_page_status_hook(request_rec *r, int flags);

int cq_me_handler(request_rec *r);

#define CQ_HANDLER_STATUS "clamquota-status"
#define CQ_HANDLER_ME "clamquota-me"

/** Is this one of our own handlers? Asked for every request. */
static inline bool cq_is_own_page(const char *handler)
{
    return handler != NULL && handler[0] == CQ_HANDLER_STATUS[0]
        && (strcmp(handler, CQ_HANDLER_STATUS) == 0
            || strcmp(handler, CQ_HANDLER_ME) == 0);
}

#endif
