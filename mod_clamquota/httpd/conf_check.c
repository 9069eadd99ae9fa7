/* conf_check - what can only be judged when the whole configuration was read.
 *
 * Runs in check_config, that is at `httpd -t`, at a start (twice: for the
 * terminal, then for the error log) and at a restart. Finds out whether some
 * scope counts at all. A scope is judged as it was written over its server:
 * sections that meet only in a request are not foreseen here. */
#include "httpd/private.h"

#include <apr_hash.h>

/* the configuration at a server's top level, vhosts with the base's merged */
static struct cq_dir_conf *find_defaults(const server_rec *s)
{
    return ap_get_module_config(s->lookup_defaults, &clamquota_module);
}

/* what is complained about once, however many scopes have it */
struct findings {
    server_rec *base;
    bool with_daily;
    bool without_daily;
    bool idle_daily;            /* a Daily where the Engine is Off */
    const struct cq_pool_decl *idle_pool;   /* named where nothing counts */
};

static const char *size_text(apr_pool_t *p, int64_t bytes)
{
    char text[CQ_SIZE_TEXT_SIZE];

    return apr_pstrdup(p, cq_size_format_exact(bytes, text, sizeof(text)));
}

/* One warning for each pool, about the first two scopes that disagree. */
static void meet(apr_pool_t *p, struct cq_pool_decl *pool,
                 const struct cq_dir_conf *scope, server_rec *base,
                 apr_hash_t *warned)
{
    const char *directive = NULL;
    int64_t grace_bytes = scope->grace_bytes != CQ_UNSET
                          ? scope->grace_bytes : 0;
    int64_t first_bytes = 0, other_bytes = 0;

    pool->used = true;
    if (scope->daily_bytes == CQ_UNSET) {
        return;
    }
    if (pool->daily_bytes == CQ_UNSET) {
        pool->daily_bytes = scope->daily_bytes;
        pool->grace_bytes = grace_bytes;
        return;
    }
    if (pool->daily_bytes != scope->daily_bytes) {
        directive = "ClamQuotaDaily";
        first_bytes = pool->daily_bytes;
        other_bytes = scope->daily_bytes;
    }
    else if (pool->grace_bytes != grace_bytes) {
        directive = "ClamQuotaGrace";
        first_bytes = pool->grace_bytes;
        other_bytes = grace_bytes;
    }
    if (directive == NULL ||
        apr_hash_get(warned, pool->name, APR_HASH_KEY_STRING) != NULL) {
        return;
    }
    apr_hash_set(warned, pool->name, APR_HASH_KEY_STRING, pool);
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, base, CQNO("0101")
                 "%s %s and %s %s share the pool %s, where a client has one "
                 "counter: give one of the scopes a ClamQuotaPool of its own",
                 directive, size_text(p, first_bytes),
                 directive, size_text(p, other_bytes), pool->name);
}

/* the scope as a request would find it that meets no other section */
static const struct cq_dir_conf *over_server(apr_pool_t *p,
                                             const server_rec *base,
                                             struct cq_dir_conf *scope)
{
    const server_rec *around = scope->section ? scope->server : base;

    return cq_dir_conf_merge(p, find_defaults(around), scope);
}

static void look_at_scopes(apr_pool_t *p, struct cq_server_conf *conf,
                           struct findings *found)
{
    apr_hash_t *warned = apr_hash_make(p);
    int i;

    for (i = 0; i < conf->scopes->nelts; i++) {
        struct cq_dir_conf *written = APR_ARRAY_IDX(conf->scopes, i,
                                                    struct cq_dir_conf *);
        const struct cq_dir_conf *scope = over_server(p, found->base, written);
        enum cq_engine engine = cq_dir_conf_engine(scope);
        struct cq_pool_decl *pool = cq_dir_conf_pool(scope, conf);

        if (scope->copies_n > 0) {
            conf->wants_copies = true;  /* another section may count here */
        }
        if (engine == CQ_ENGINE_OFF) {
            if (scope->daily_bytes != CQ_UNSET) {
                found->idle_daily = true;
            }
            if (written->engine == CQ_ENGINE_UNSET && written->pool != NULL
                && written->daily_bytes == CQ_UNSET) {
                found->idle_pool = pool;
            }
            continue;
        }
        conf->wanted = true;
        if (conf->strongest != CQ_ENGINE_ON) {
            conf->strongest = engine;
        }
        if (scope->daily_bytes == CQ_UNSET) {
            found->without_daily = true;
        }
        else {
            found->with_daily = true;
        }
        if (engine == CQ_ENGINE_ON) {
            pool->refuses = true;
        }
        meet(p, pool, scope, found->base, warned);
    }
}

/* A Daily that an Off around it switches off was not meant so: an Off that is
 * meant stands beside it. One warning for each virtual host. */
static void check_vhosts(apr_pool_t *p, const struct cq_server_conf *conf,
                         struct findings *found)
{
    const server_rec *s;
    int i;

    for (s = found->base->next; s != NULL; s = s->next) {
        bool idle = false;

        for (i = 0; i < conf->scopes->nelts && !idle; i++) {
            const struct cq_dir_conf *scope =
                APR_ARRAY_IDX(conf->scopes, i, struct cq_dir_conf *);

            idle = scope->server == s && scope->daily_bytes != CQ_UNSET
                && scope->engine == CQ_ENGINE_UNSET;
        }
        if (idle && !cq_conf_counts_in(p, found->base, s)) {
            found->idle_daily = false;
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, found->base,
                         CQNO("0143") "ClamQuotaDaily in the virtual host %s "
                         "(%s line %u) has no effect: ClamQuotaEngine is Off "
                         "in the server config; write \"ClamQuotaEngine On\" "
                         "beside it", s->server_hostname, s->defn_name,
                         s->defn_line_number);
        }
    }
}

/* At a start the opener of the table reports it. For -t only: stop
 * and a graceful restart must go on without the directory. */
static int check_table_path(apr_pool_t *p, server_rec *base,
                            const struct cq_server_conf *conf)
{
    const char *folder = ap_make_dirstr_parent(p, conf->table_path);
    apr_finfo_t finfo;
    apr_status_t rv = apr_stat(&finfo, folder, APR_FINFO_TYPE, p);

    if (rv == APR_SUCCESS && finfo.filetype == APR_DIR) {
        rv = apr_stat(&finfo, conf->table_path, APR_FINFO_TYPE, p);
        if (rv != APR_SUCCESS || finfo.filetype != APR_DIR) {
            return OK;
        }
    }
    else if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv)
             && !APR_STATUS_IS_ENOTDIR(rv)) {
        return OK;              /* not for this user to see */
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, base,
                 CQNO("0144") "ClamQuotaTable \"%s\": expected the path of a "
                 "file in a directory that exists, such as "
                 "/var/lib/clamquota/clamquota.table", conf->table_path);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int check_networks(server_rec *base, const struct cq_server_conf *conf)
{
    int i;

    for (i = 0; i < conf->clients->nelts; i++) {
        const struct cq_client_decl *client =
            &APR_ARRAY_IDX(conf->clients, i, struct cq_client_decl);
        int bits = client->net.family == 4 ? conf->prefixes.v4_bits
                                           : conf->prefixes.v6_bits;

        if (client->net.prefix > bits) {
            ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, base,
                         CQNO("0102") "%s (%s): a client is a /%d by "
                         "ClamQuotaPrefix, expected a network of at most that "
                         "length, such as /%d", client->rule, client->where,
                         bits, bits);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

/* A section inside of another may count in a pool that no scope alone does:
 * all that were named go to the table. The default one is there if something
 * counts without naming any. */
static void use_named_pools(struct cq_server_conf *conf)
{
    struct cq_pool_decl *pool;

    for (pool = conf->pools->next; pool != NULL; pool = pool->next) {
        pool->used = true;
    }
}

int cq_conf_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                  server_rec *base)
{
    struct cq_server_conf *conf = cq_server_conf(base);
    struct findings found = { base, false, false, false, NULL };
    bool is_test = ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;

    (void)plog;
    if (check_networks(base, conf) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (cq_net_seal(&conf->client_nets, NULL) != CQ_OK) {
        /* the setters let no network in twice */
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, base,
                     CQNO("0103") "ClamQuotaClient: the networks could not be "
                     "put in order");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    look_at_scopes(ptemp, conf, &found);
    if (conf->wanted && cq_conf_check_cache(ptemp, base) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (conf->wanted && is_test
        && check_table_path(ptemp, base, conf) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    check_vhosts(ptemp, conf, &found);
    if (found.without_daily && !found.with_daily) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, base, CQNO("0104")
                     "ClamQuotaEngine %s without ClamQuotaDaily: counts, but "
                     "refuses no client", cq_engine_word(conf->strongest));
    }
    if (found.idle_pool != NULL && !found.idle_pool->used) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, base, CQNO("0105")
                     "ClamQuotaPool %s without ClamQuotaDaily or with "
                     "ClamQuotaEngine Off around it: nothing is counted there",
                     found.idle_pool->name);
    }
    if (found.idle_daily && !conf->wanted && !is_test) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, base, CQNO("0107")
                     "ClamQuotaDaily has no effect: ClamQuotaEngine is Off, "
                     "as in the clamquota.conf that comes with it; write "
                     "\"ClamQuotaEngine On\" beside ClamQuotaDaily");
    }
    use_named_pools(conf);
    if (conf->wanted) {
        cq_conf_check_documents(ptemp, base);
    }
    cq_conf_find_me(pconf, ptemp, base);
    cq_conf_check_files(ptemp, base);
    return OK;
}
