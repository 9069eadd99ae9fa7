/* start - the table's life in httpd: opened, kept, watched.
 *
 * httpd reads its configuration twice at a start and once more at each
 * graceful restart. In the first pass the table is opened and closed again,
 * so that a fault of it is shown on the terminal. In the second one,
 * in the process that stays, it is opened for good: its lock belongs to the
 * process, and closing any descriptor of the file would lose it. The mapping
 * lies in retained data, because a graceful restart unloads this module; from
 * then on nothing here fails, and nothing is opened twice. */
#include "cluster/cluster.h"
#include "httpd/private.h"
#include "table/guard.h"
#include "table/tablefile.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#define RETAINED_KEY "mod_clamquota"

/* what the default ledger holds; 8 entries for each worker are asked for
 * beyond that: (AsyncRequestWorkerFactor, 2, + 1) and some HTTP/2 streams,
 * twice as many where files are counted too */
#define LEDGER_DEFAULT 65536
#define LEDGER_PER_WORKER 8

/* A server that is being replaced closes its port some milliseconds before it
 * ends, and with it its lock. */
#define LOCK_WAIT_MS 2000

/* outlives the module's being unloaded */
struct retained {
    char version[16];           /* whose struct this is: stays first, and so */
    size_t size;                /* do the sizes of it and of what it points */
    size_t view_size;           /* to: builds of one version may differ */
    bool running;               /* a start succeeded: later ones are graceful */
    struct cq_table *table;
    struct cq_clock_watch watch;
    unsigned events;            /* of the first pass, to be logged */
    const char *aside;          /* where an older table went in that pass */
    const char *failure;        /* of the first pass */
    struct cq_kept kept;        /* with what the table was opened */
};

static struct retained *get_retained(void)
{
    struct retained *retained = ap_retained_data_get(RETAINED_KEY);

    if (retained == NULL) {
        retained = ap_retained_data_create(RETAINED_KEY, sizeof(*retained));
        apr_cpystrn(retained->version, CQ_VERSION, sizeof(retained->version));
        retained->size = sizeof(*retained);
        retained->view_size = cq_tablefile_view_size();
    }
    return retained;
}

/* ---- opening ---- */

static uint32_t count_ledger_entries(void)
{
    int daemons = 0, threads = 0;
    int64_t entries;

    (void)ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &daemons);
    (void)ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    entries = (int64_t)LEDGER_PER_WORKER * daemons * (threads > 0 ? threads
                                                                  : 1);
    if (entries <= LEDGER_DEFAULT) {
        return 0;
    }
    return (uint32_t)(entries < CQ_LEDGER_MAX ? entries : CQ_LEDGER_MAX);
}

/* Adds to what the first pass found.
 * @return NULL: why has the reason */
static struct cq_table *open_table(server_rec *s, struct retained *retained,
                                   char *why, size_t why_size)
{
    const struct cq_server_conf *conf = cq_server_conf(s);
    struct cq_tablefile_want want;
    struct cq_table *table = NULL;
    unsigned events = 0;

    why[0] = '\0';
    memset(&want, 0, sizeof(want));
    want.path = conf->table_path;
    want.clients = (uint64_t)conf->clients_n;
    want.files = (uint64_t)cq_kept_files_wanted(conf);
    want.ledger_entries = count_ledger_entries();
    want.kind = conf->period_kind;
    want.zone = conf->zone;
    want.prefixes = conf->prefixes;
    want.now_s = apr_time_sec(apr_time_now());
    want.cluster = conf->memcached != NULL;
    want.machine = want.cluster ? cq_cluster_machine() : 0;
    want.lock_wait_ms = LOCK_WAIT_MS;
    if (cq_tablefile_open(&want, &table, &events, why, why_size) != CQ_OK) {
        return NULL;
    }
    if (events & (CQ_TABLE_SET_ASIDE | CQ_TABLE_DAMAGED)) {
        retained->aside = apr_pstrdup(s->process->pool, why);
    }
    retained->events |= events;
    return table;
}

/* s: NULL for the terminal, where the bare sentence stands */
static void log_failure(server_rec *s, const char *why)
{
    ap_log_error(APLOG_MARK,
                 s != NULL ? APLOG_EMERG : APLOG_STARTUP | APLOG_EMERG, 0, s,
                 CQNO("0110") "%s", why);
}

/* ---- pools and policies ---- */

/* A pool without room is served uncounted, a network without room shown under
 * the pool's rule: neither is worth an outage. */
static void set_policies(server_rec *s, struct cq_table *table,
                         struct cq_server_conf *conf)
{
    struct cq_policy policy = { CQ_UNLIMITED, 0 };
    struct cq_pool_decl *pool;
    uint16_t fallback = 0;
    int i;

    cq_table_policies_begin(table);
    for (pool = conf->pools; pool != NULL; pool = pool->next) {
        if (!pool->used) {
            continue;
        }
        policy.daily_bytes = pool->daily_bytes != CQ_UNSET
                             ? pool->daily_bytes : CQ_UNLIMITED;
        policy.grace_bytes = pool->grace_bytes != CQ_UNSET
                             ? pool->grace_bytes : 0;
        if (cq_table_pool(table, pool->name, &pool->index) != CQ_OK ||
            cq_table_policy(table, pool->index, "ClamQuotaDaily", &policy,
                            &pool->policy_index) != CQ_OK) {
            pool->index = CQ_ANY_POOL;
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, CQNO("0118")
                         "the table has no room for another pool or "
                         "rule: the pool %s is not counted; stop httpd, "
                         "move %s away and start again", pool->name,
                         conf->table_path);
            continue;
        }
        cq_table_pool_refuses(table, pool->index, pool->refuses);
        fallback = pool->policy_index;
    }
    policy.grace_bytes = 0;     /* a pool's own counts */
    for (i = 0; i < conf->clients->nelts; i++) {
        struct cq_client_decl *client =
            &APR_ARRAY_IDX(conf->clients, i, struct cq_client_decl);

        policy.daily_bytes = client->daily_bytes;
        if (cq_table_policy(table, CQ_ANY_POOL, client->rule, &policy,
                            &client->policy_index) != CQ_OK) {
            client->policy_index = fallback;
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0119")
                         "the table has no room for another rule: "
                         "%s is in force, but reports show another rule",
                         client->rule);
        }
    }
    cq_table_policies_end(table);
}

/* ---- housekeeping ---- */

static int64_t boot_clock_s(void)
{
    struct timespec now;

#ifdef CLOCK_BOOTTIME
    if (clock_gettime(CLOCK_BOOTTIME, &now) == 0) {
        return now.tv_sec;
    }
#endif
    return clock_gettime(CLOCK_MONOTONIC, &now) == 0 ? now.tv_sec : 0;
}

/* Logs once for the life of the table. */
static void log_health(server_rec *s, const char *path)
{
    if (!cq_table_inspect(cq_site.table)) {
        return;
    }
    if (cq_table_health(cq_site.table) == CQ_HEALTH_LOST) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, CQNO("0127")
                     "%s was cut short or overwritten, or its disk is full: "
                     "nothing is counted until a full restart", path);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0128")
                     "%s was removed or replaced: httpd counts in the old "
                     "file, which tools no longer see and a restart forgets; "
                     "restart httpd to use the new file", path);
    }
}

static void run_housekeeping(server_rec *s, struct cq_clock_watch *watch)
{
    /* httpd puts its own handlers in the place of ours when it starts */
    cq_table_guard(cq_site.table);
    log_health(s, get_retained()->kept.table_path);
    switch (cq_table_tick(cq_site.table, watch, apr_time_sec(apr_time_now()),
                          boot_clock_s())) {
    case CQ_CLOCK_DOUBT:
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0122")
                     "the clock jumped into another period: the old one stays "
                     "in force unless the clock still shows the other in %d s",
                     CQ_CLOCK_DOUBT_S);
        break;
    case CQ_CLOCK_ADOPT:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0123")
                     "another period is in force: its counters start at zero");
        break;
    case CQ_CLOCK_STAY:
    default:
        break;
    }
}

/* ---- hooks ---- */

int cq_start_pre_config(apr_pool_t *pconf, apr_pool_t *plog,
                        apr_pool_t *ptemp)
{
    (void)pconf;
    (void)plog;
    (void)ptemp;
    memset(&cq_site, 0, sizeof(cq_site));
    return OK;
}

/* Runs before httpd's own ap_open_logs(): stderr is still the terminal. Not
 * in check_config, where `httpd -k stop` passes while a server has the lock. */
int cq_start_open_logs(apr_pool_t *pconf, apr_pool_t *plog,
                       apr_pool_t *ptemp, server_rec *base)
{
    struct retained *retained;
    struct cq_table *table;
    char why[CQ_WHY_SIZE];

    (void)pconf;
    (void)plog;
    (void)ptemp;
    if (!cq_server_conf(base)->wanted ||
        ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    retained = get_retained();
    table = open_table(base, retained, why, sizeof(why));
    if (table == NULL) {
        retained->failure = apr_pstrdup(base->process->pool, why);
        log_failure(NULL, why);
        return OK;      /* the error log shall have it too: post_config */
    }
    cq_tablefile_close(table);
    return OK;
}

static int start_cold(server_rec *s, struct retained *retained,
                      const struct cq_server_conf *conf)
{
    char why[CQ_WHY_SIZE];

    if (conf->wanted) {
        retained->table = open_table(s, retained, why, sizeof(why));
        if (retained->table == NULL) {
            if (!retained->running) {
                log_failure(s, why);
                return HTTP_INTERNAL_SERVER_ERROR;
            }
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, CQNO("0120")
                         "%s; nothing is counted until a full restart", why);
            cq_site.trouble = CQ_TROUBLE_UNUSABLE;
            return OK;
        }
        cq_kept_remember(s, conf, &retained->kept);
        cq_notices_opened(s, retained->kept.table_path, retained->aside,
                          retained->events);
    }
    retained->running = true;
    return OK;
}

/* This module is unloaded, the table stays mapped. */
static apr_status_t release_guard(void *table)
{
    cq_table_unguard(table);
    return APR_SUCCESS;
}

int cq_start_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                         apr_pool_t *ptemp, server_rec *base)
{
    struct cq_server_conf *conf = cq_server_conf(base);
    struct retained *retained = get_retained();

    (void)plog;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        if (retained->failure != NULL) {
            log_failure(base, retained->failure);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
        return OK;
    }
    cq_site.conf = conf;
    cq_site.base = base;
    cq_site.remoteip = ap_find_linked_module("mod_remoteip.c");
    cq_site.prefixes = conf->prefixes;
    if (strcmp(retained->version, CQ_VERSION) != 0
        || retained->size != sizeof(*retained)
        || retained->view_size != cq_tablefile_view_size()) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, base, CQNO("0121")
                     "the module was version %.15s when httpd started and is "
                     CQ_VERSION " now: nothing is counted until a full "
                     "restart", retained->version);
        cq_site.trouble = CQ_TROUBLE_STALE;
        return OK;
    }
    if (retained->table != NULL) {
        cq_table_guard(retained->table);
        cq_kept_restore(base, ptemp, &retained->kept, conf);
    }
    else if (start_cold(base, retained, conf) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    cq_site.table = retained->table;
    if (cq_site.table != NULL) {
        apr_pool_cleanup_register(pconf, cq_site.table, release_guard,
                                  apr_pool_cleanup_null);
        cq_site.prefixes = cq_table_prefixes(cq_site.table);
        set_policies(base, cq_site.table, conf);
        cq_peers_start(base, ptemp, conf);
        run_housekeeping(base, &retained->watch);
        if (conf->memcached != NULL) {
            cq_exchanger_start(pconf);
        }
    }
    return OK;
}

/* Without a lock of its own a child has no table: it could reserve nothing. */
void cq_start_child_init(apr_pool_t *p, server_rec *s)
{
    int error;

    (void)p;
    if (cq_site.table == NULL) {
        return;
    }
    cq_table_guard(cq_site.table);
    if (cq_table_enter(cq_site.table)) {
        return;
    }
    error = errno;
    if (cq_table_notice_first(cq_site.table, CQ_NOTICE_LOCK)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, error, s, CQNO("0138")
                     "%s cannot be locked by a child of httpd: requests that "
                     "this child serves are not counted",
                     cq_site.conf->table_path);
    }
    cq_site.table = NULL;
    cq_site.trouble = CQ_TROUBLE_UNLOCKED;
}

int cq_start_monitor(apr_pool_t *p, server_rec *s)
{
    (void)p;
    if (cq_site.table != NULL) {
        run_housekeeping(s, &get_retained()->watch);
        cq_notices_log(s);
        cq_changes_log(s);
        cq_exchanger_watch();
    }
    return OK;
}

void cq_start_child_status(server_rec *s, pid_t pid,
                           ap_generation_t generation, int slot,
                           mpm_child_status status)
{
    int settled;

    (void)generation;
    (void)slot;
    if (cq_site.table == NULL || status != MPM_CHILD_EXITED) {
        return;
    }
    cq_table_guard(cq_site.table);
    settled = cq_table_settle(cq_site.table);
    if (settled > 0) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, CQNO("0124")
                     "child %" APR_PID_T_FMT " held %d rows: the "
                     "reservations of its requests were released", pid,
                     settled);
    }
}
