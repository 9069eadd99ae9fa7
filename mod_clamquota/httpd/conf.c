/* conf - the configuration as data: made, inherited, shared.
 *
 * Owns the defaults of the server config and what a scope inherits from the
 * one around it. How directives are read is in directives.c, what can only be
 * judged when all was read in conf_check.c. */
#include "core/paths.h"
#include "httpd/private.h"

#include <string.h>

/* under which the server config of this reading hangs on its pool */
#define CONF_KEY "mod_clamquota:conf"

#define CLIENTS_DEFAULT 262144
#define SYNC_DEFAULT_MS 500

/* ---- what is made and merged ---- */

static apr_status_t free_nets(void *data)
{
    struct cq_server_conf *conf = data;

    cq_net_free(&conf->client_nets);
    cq_net_free(&conf->own_addresses);
    cq_net_free(&conf->proxies);
    return APR_SUCCESS;
}

static struct cq_pool_decl *make_pool(apr_pool_t *p, const char *name)
{
    struct cq_pool_decl *pool = apr_pcalloc(p, sizeof(*pool));

    pool->name = name;
    pool->index = CQ_ANY_POOL;
    pool->daily_bytes = CQ_UNSET;
    pool->grace_bytes = CQ_UNSET;
    return pool;
}

static const char *host_name(apr_pool_t *p)
{
    char name[APRMAXHOSTLEN + 1];

    return apr_gethostname(name, (int)sizeof(name), p) == APR_SUCCESS
        ? apr_pstrdup(p, name) : "unnamed";
}

/* NULL when p is not the pool of a configuration being read: .htaccess */
static struct cq_server_conf *find_conf(apr_pool_t *p)
{
    void *conf = NULL;

    (void)apr_pool_userdata_get(&conf, CONF_KEY, p);
    return conf;
}

/* The first caller, for the base server or a vhost, makes the one conf that all
 * of them share: their directives may come in any order. */
void *cq_server_conf_create(apr_pool_t *p, server_rec *s)
{
    struct cq_server_conf *conf = find_conf(p);

    (void)s;
    if (conf != NULL) {
        return conf;
    }
    conf = apr_pcalloc(p, sizeof(*conf));
    conf->period_kind = CQ_PERIOD_MONTH;
    conf->zone = CQ_ZONE_LOCAL;
    conf->prefixes.v4_bits = 32;
    conf->prefixes.v6_bits = 64;
    conf->table_path = CQ_TABLE_PATH;
    conf->clients_n = CLIENTS_DEFAULT;
    conf->files_n = CQ_UNSET;
    conf->clients = apr_array_make(p, 8, sizeof(struct cq_client_decl));
    conf->pools = make_pool(p, CQ_POOL_DEFAULT);
    conf->scopes = apr_array_make(p, 8, sizeof(struct cq_dir_conf *));
    conf->strongest = CQ_ENGINE_OFF;
    conf->node = host_name(p);
    conf->sync_ms = SYNC_DEFAULT_MS;
    apr_pool_cleanup_register(p, conf, free_nets, apr_pool_cleanup_null);
    (void)apr_pool_userdata_setn(conf, CONF_KEY, apr_pool_cleanup_null, p);
    return conf;
}

void *cq_dir_conf_create(apr_pool_t *p, char *dir)
{
    struct cq_dir_conf *conf = apr_pcalloc(p, sizeof(*conf));

    conf->engine = CQ_ENGINE_UNSET;
    conf->daily_bytes = CQ_UNSET;
    conf->grace_bytes = CQ_UNSET;
    conf->copies_n = CQ_UNSET;
    conf->free = -1;
    conf->free_range_bytes = CQ_UNSET;
    conf->free_range_daily_bytes = CQ_UNSET;
    conf->retry_max_s = CQ_UNSET;
    conf->retry_jitter_s = CQ_UNSET;
    conf->variables = -1;
    conf->changes = -1;
    conf->server = NULL;
    conf->section = dir != NULL;
    conf->me_path = NULL;
    return conf;
}

static int64_t inherit(int64_t base, int64_t add)
{
    return add != CQ_UNSET ? add : base;
}

void *cq_dir_conf_merge(apr_pool_t *p, void *base_conf, void *add_conf)
{
    const struct cq_dir_conf *base = base_conf;
    const struct cq_dir_conf *add = add_conf;
    struct cq_dir_conf *conf = apr_pcalloc(p, sizeof(*conf));

    conf->engine = add->engine != CQ_ENGINE_UNSET ? add->engine : base->engine;
    conf->daily_bytes = inherit(base->daily_bytes, add->daily_bytes);
    conf->grace_bytes = inherit(base->grace_bytes, add->grace_bytes);
    conf->pool = add->pool != NULL ? add->pool : base->pool;
    conf->copies_n = inherit(base->copies_n, add->copies_n);
    conf->free = add->free != -1 ? add->free : base->free;
    conf->free_range_bytes = inherit(base->free_range_bytes,
                                     add->free_range_bytes);
    conf->free_range_daily_bytes = inherit(base->free_range_daily_bytes,
                                           add->free_range_daily_bytes);
    conf->status = add->status != 0 ? add->status : base->status;
    conf->retry_max_s = inherit(base->retry_max_s, add->retry_max_s);
    conf->retry_jitter_s = inherit(base->retry_jitter_s, add->retry_jitter_s);
    conf->variables = add->variables != -1 ? add->variables : base->variables;
    conf->changes = add->changes != -1 ? add->changes : base->changes;
    conf->me_path = add->me_path != NULL ? add->me_path : base->me_path;
    conf->server = add->server;
    conf->section = add->section;
    return conf;
}

enum cq_engine cq_dir_conf_engine(const struct cq_dir_conf *conf)
{
    if (conf->engine != CQ_ENGINE_UNSET) {
        return conf->engine;
    }
    return conf->daily_bytes != CQ_UNSET ? CQ_ENGINE_ON : CQ_ENGINE_OFF;
}

const char *cq_engine_word(enum cq_engine engine)
{
    return engine == CQ_ENGINE_ON ? "On"
         : engine == CQ_ENGINE_LOGONLY ? "LogOnly" : "Off";
}

struct cq_pool_decl *cq_conf_pool(apr_pool_t *p, struct cq_server_conf *conf,
                                  const char *name)
{
    struct cq_pool_decl **pool;
    int count = 0;

    for (pool = &conf->pools; *pool != NULL; pool = &(*pool)->next) {
        if (strcmp((*pool)->name, name) == 0) {
            return *pool;
        }
        count++;
    }
    if (count < CQ_POOLS_MAX) {
        *pool = make_pool(p, apr_pstrdup(p, name));
    }
    return *pool;
}

const ap_directive_t *cq_conf_vhost(const server_rec *s)
{
    const ap_directive_t *directive;

    for (directive = ap_conftree; directive != NULL && s->is_virtual;
         directive = directive->next) {
        if (directive->line_num == (int)s->defn_line_number
            && s->defn_name != NULL && directive->filename != NULL
            && strcmp(directive->filename, s->defn_name) == 0
            && ap_cstr_casecmp(directive->directive, "<VirtualHost") == 0) {
            return directive;
        }
    }
    return NULL;
}

bool cq_conf_counts_in(apr_pool_t *p, server_rec *base, const server_rec *s)
{
    const struct cq_server_conf *conf = cq_server_conf(base);
    struct cq_dir_conf *defaults =
        ap_get_module_config(s->lookup_defaults, &clamquota_module);
    int i;

    if (cq_dir_conf_engine(defaults) != CQ_ENGINE_OFF) {
        return true;
    }
    for (i = 0; i < conf->scopes->nelts; i++) {
        struct cq_dir_conf *scope = APR_ARRAY_IDX(conf->scopes, i,
                                                  struct cq_dir_conf *);

        /* a virtual host has the base server's sections, too */
        if (scope->section && (scope->server == s || scope->server == base)
            && cq_dir_conf_engine(cq_dir_conf_merge(p, defaults, scope))
                != CQ_ENGINE_OFF) {
            return true;
        }
    }
    return false;
}
