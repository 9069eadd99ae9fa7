/* account - whose request it is, and booking in the client's account. */
#include "httpd/account.h"
#include "render/link.h"

#define FREE_RANGE_DAILY_BYTES (INT64_C(10) << 20)     /* the contract's */

bool cq_client_find(const apr_sockaddr_t *address, struct cq_key *key,
                    const struct cq_client_decl **override)
{
    const struct cq_server_conf *conf = cq_site.conf;
    const struct cq_net_rule *rule = NULL;

    if (cq_key_make(key, address->ipaddr_ptr, (size_t)address->ipaddr_len,
                    cq_site.prefixes) != CQ_OK) {
        return false;
    }
    if (conf->client_nets.count > 0) {
        rule = cq_net_find(&conf->client_nets, key);
    }
    *override = rule != NULL
        ? &APR_ARRAY_IDX(conf->clients, rule->value, struct cq_client_decl)
        : NULL;
    return true;
}

const char *cq_client_text(const request_rec *r, const struct cq_key *key)
{
    return cq_client_is_shown(r, key) ? r->useragent_ip
        : cq_link_client(key, apr_palloc(r->pool, CQ_KEY_TEXT_SIZE),
                         CQ_KEY_TEXT_SIZE);
}

struct cq_policy cq_client_policy(const struct cq_client_decl *override,
                                  const struct cq_dir_conf *conf)
{
    struct cq_policy policy = {
        .daily_bytes = conf->daily_bytes != CQ_UNSET ? conf->daily_bytes
                                                     : CQ_UNLIMITED,
        .grace_bytes = conf->grace_bytes != CQ_UNSET ? conf->grace_bytes : 0,
    };

    if (override != NULL) {
        policy.daily_bytes = override->daily_bytes;
    }
    return policy;
}

/* ---- whose ---- */

/* Is it the account of the connection's last request? */
static bool has_account(const struct cq_client *client, const request_rec *r)
{
    const apr_sockaddr_t *peer = r->useragent_addr;

    return cq_account_is_open(&client->account)
        && client->pool_index == client->pool->index
        && client->address_size == peer->ipaddr_len
        && (peer->ipaddr_len == 4
            ? memcmp(client->address, peer->ipaddr_ptr, 4) == 0
            : memcmp(client->address, peer->ipaddr_ptr, 16) == 0)
        && cq_table_health(cq_site.table) != CQ_HEALTH_LOST;
}

CQ_SELDOM static void open_account(struct cq_client *client,
                                   const request_rec *r)
{
    const apr_sockaddr_t *peer = r->useragent_addr;

    cq_account_close(&client->account);
    client->pool_index = client->pool->index;
    client->exempt.seen = 0;
    if (client->pool_index == CQ_ANY_POOL
        || !cq_client_find(peer, &client->key, &client->override)) {
        memset(&client->key, 0, sizeof(client->key));
        return;
    }
    client->address_size = peer->ipaddr_len;
    memcpy(client->address, peer->ipaddr_ptr, (size_t)peer->ipaddr_len);
    (void)cq_account_open(cq_site.table, client->pool_index, &client->key,
                          &client->clock, &client->account);
    cq_notices_log(r->server);  /* of a new row, or none */
}

static uint16_t policy_index(const struct cq_client_decl *override,
                             const struct cq_pool_decl *pool)
{
    return override != NULL ? override->policy_index : pool->policy_index;
}

/* A peer that brings requests of other addresses is a proxy. Its own requests,
 * such as health checks, may take it over quota, but it must not be shut out,
 * and with it all clients behind it. So its row is marked before it asks for
 * itself; a mark in any pool counts (cq_table_seen_proxied()). */
CQ_SELDOM static void mark_proxy(const struct cq_client *client,
                                 const conn_rec *c)
{
    const struct cq_pool_decl *pool = client->pool;
    const struct cq_client_decl *override;
    struct cq_account account;
    struct cq_key key;

    if (pool->index != CQ_ANY_POOL
        && cq_client_find(c->client_addr, &key, &override)
        && cq_account_open(cq_site.table, pool->index, &key, &client->clock,
                           &account) == CQ_OK) {
        cq_account_mark(&account, policy_index(override, pool),
                        CQ_ORIGIN_PROXIED);
        cq_account_close(&account);
    }
}

/* Does the request come through a proxy, so that the address must not be
 * jailed for it? */
static bool is_proxied(const request_rec *r)
{
    const apr_sockaddr_t *address = r->useragent_addr;
    const conn_rec *c = r->connection;

    return (address != c->client_addr
            && !apr_sockaddr_equal(address, c->client_addr))
        || cq_key_is_translated(address->ipaddr_ptr,
                                (size_t)address->ipaddr_len);
}

bool cq_client_open(struct cq_client *client, bool *by_proxy,
                    const request_rec *r, const struct cq_dir_conf *conf)
{
    int64_t now_s = apr_time_sec(r->request_time);

    if (client->tried) {
        return cq_account_is_open(&client->account);
    }
    client->tried = true;
    client->pool = cq_dir_conf_pool(conf, cq_site.conf);
    if (now_s != client->clock.now_s) {
        cq_table_clock(cq_site.table, now_s, &client->clock);
    }
    if (cq_site.remoteip != NULL && !*by_proxy
        && cq_peer_is_proxy(r->connection)) {
        *by_proxy = true;
        mark_proxy(client, r->connection);
    }
    if (!has_account(client, r)) {
        open_account(client, r);
    }
    cq_account_mark(&client->account,
                    policy_index(client->override, client->pool),
                    *by_proxy || is_proxied(r) ? CQ_ORIGIN_PROXIED
                                               : CQ_ORIGIN_PEER);
    return cq_account_is_open(&client->account);
}

/* ---- booking ---- */

bool cq_client_grant_range(struct cq_client *client,
                           const struct cq_dir_conf *conf, int64_t bytes)
{
    int64_t daily = conf->free_range_daily_bytes != CQ_UNSET
                    ? conf->free_range_daily_bytes : FREE_RANGE_DAILY_BYTES;

    if (!cq_account_is_open(&client->account)
        || cq_account_free_range(&client->account, &client->clock, 0) >= daily
        || cq_account_free_range(&client->account, &client->clock, bytes)
            - bytes >= daily) {
        return false;
    }
    client->has_free_range = true;
    client->granted_bytes = bytes;
    return true;
}

void cq_client_book(struct cq_client *client, enum cq_column column,
                    int64_t bytes)
{
    static const enum cq_total total_of[] = {
        [CQ_COLUMN_USED] = CQ_TOTAL_SENT,
        [CQ_COLUMN_FREE] = CQ_TOTAL_FREE,
        [CQ_COLUMN_REFUSED] = CQ_TOTAL_REFUSED_BYTES,
        [CQ_COLUMN_HANDLER] = CQ_TOTAL_HANDLER_BYTES
    };
    struct cq_clock *clock = &client->clock;
    int64_t granted, now_s;

    if (client->pool == NULL || client->pool->index == CQ_ANY_POOL) {
        return;
    }
    cq_table_total_add(cq_site.table, client->pool->index, total_of[column],
                       bytes);
    if (column == CQ_COLUMN_REFUSED || column == CQ_COLUMN_HANDLER) {
        return;
    }
    /* not the request's own time: what flows after midnight is the new day's.
     * time() and not apr_time_now(): seconds are enough, for a third of it. */
    now_s = (int64_t)time(NULL);
    if (now_s > clock->now_s) {
        cq_table_clock(cq_site.table, now_s, clock);
    }
    if (column == CQ_COLUMN_USED) {
        cq_account_charge(&client->account, clock, bytes);
        return;
    }
    cq_account_charge_free(&client->account, clock, bytes);
    if (client->has_free_range) {
        granted = bytes < client->granted_bytes ? bytes
                                                : client->granted_bytes;
        client->granted_bytes -= granted;
        if (bytes > granted) {
            cq_account_free_range(&client->account, clock, bytes - granted);
        }
    }
}
