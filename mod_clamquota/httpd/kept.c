/* kept - the directives that take effect at a full restart only.
 *
 * The table was made for their values, and at a graceful restart the children
 * of the old configuration go on counting in it: the old values stay, and a
 * new one is logged. */
#include "cluster/cluster.h"
#include "httpd/private.h"
#include "table/tablefile.h"

#include <string.h>

/* the contract's default of ClamQuotaFiles */
#define FILES_PER_CLIENT 4

int64_t cq_kept_files_wanted(const struct cq_server_conf *conf)
{
    if (!conf->wants_copies) {
        return 0;
    }
    return conf->files_n != CQ_UNSET ? conf->files_n
                                     : FILES_PER_CLIENT * conf->clients_n;
}

void cq_kept_remember(const server_rec *s, const struct cq_server_conf *conf,
                      struct cq_kept *kept)
{
    apr_pool_t *p = s->process->pool;

    kept->table_path = apr_pstrdup(p, conf->table_path);
    kept->period_kind = conf->period_kind;
    kept->zone = conf->zone;
    kept->prefixes = conf->prefixes;
    kept->clients_n = conf->clients_n;
    kept->files_n = cq_kept_files_wanted(conf);
    kept->memcached = apr_pstrdup(p, conf->memcached);
    kept->node = apr_pstrdup(p, conf->node);
}

static void log_kept(server_rec *s, const char *directive, const char *old,
                     const char *wanted)
{
    if (strcmp(old, wanted) != 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0117")
                     "%s stays %s: the new value, %s, takes effect at a full "
                     "restart (stop and start)", directive, old, wanted);
    }
}

static const char *period_name(enum cq_period_kind kind)
{
    return kind == CQ_PERIOD_WEEK ? "Week"
         : kind == CQ_PERIOD_DAY ? "Day" : "Month";
}

static const char *zone_name(enum cq_zone zone)
{
    return zone == CQ_ZONE_UTC ? "UTC" : "Local";
}

static const char *prefixes_text(apr_pool_t *p, struct cq_prefixes prefixes)
{
    return apr_psprintf(p, "%d %d", prefixes.v4_bits, prefixes.v6_bits);
}

static const char *number_text(apr_pool_t *p, int64_t number)
{
    return apr_psprintf(p, "%" APR_INT64_T_FMT, number);
}

/* Room that no scope uses any more is no loss: missing room is logged. */
static void keep_files(server_rec *s, apr_pool_t *ptemp,
                       const struct cq_kept *kept,
                       const struct cq_server_conf *conf)
{
    int64_t files_n = cq_kept_files_wanted(conf);

    if (files_n > 0 && kept->files_n == 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0126")
                     "ClamQuotaCopies takes effect at a full restart (stop "
                     "and start): the table has no room for files yet");
    }
    else if (files_n > 0) {
        log_kept(s, "ClamQuotaFiles", number_text(ptemp, kept->files_n),
                 number_text(ptemp, files_n));
    }
}

static void keep_cluster(server_rec *s, const struct cq_kept *kept,
                         struct cq_server_conf *conf)
{
    apr_pool_t *pconf = s->process->pconf;
    struct cq_cluster_options *options = apr_palloc(pconf, sizeof(*options));
    char why[CQ_WHY_SIZE];

    log_kept(s, "ClamQuotaMemcached",
             kept->memcached != NULL ? kept->memcached : "unset",
             conf->memcached != NULL ? conf->memcached : "unset");
    log_kept(s, "ClamQuotaNode", kept->node, conf->node);
    conf->memcached = NULL;
    if (kept->memcached != NULL
        && cq_cluster_parse(kept->memcached, options, why, sizeof(why))
               == CQ_OK) {
        conf->memcached = kept->memcached;
        conf->cluster = options;
    }
    conf->node = kept->node;
}

void cq_kept_restore(server_rec *s, apr_pool_t *ptemp,
                     const struct cq_kept *kept, struct cq_server_conf *conf)
{
    log_kept(s, "ClamQuotaPeriod", period_name(kept->period_kind),
             period_name(conf->period_kind));
    log_kept(s, "ClamQuotaTimezone", zone_name(kept->zone),
             zone_name(conf->zone));
    log_kept(s, "ClamQuotaPrefix", prefixes_text(ptemp, kept->prefixes),
             prefixes_text(ptemp, conf->prefixes));
    log_kept(s, "ClamQuotaTable", kept->table_path, conf->table_path);
    log_kept(s, "ClamQuotaClients", number_text(ptemp, kept->clients_n),
             number_text(ptemp, conf->clients_n));
    keep_files(s, ptemp, kept, conf);
    keep_cluster(s, kept, conf);
    conf->period_kind = kept->period_kind;
    conf->zone = kept->zone;
    conf->prefixes = kept->prefixes;
    conf->table_path = kept->table_path;
    conf->clients_n = kept->clients_n;
}
