/* drop - ClamQuotaDropAfter: a client that keeps sending requests after N
 * refusals gets no further answer, not even a TLS handshake.
 *
 * A hook asks for every new connection, before mod_ssl has done anything for
 * it. The peer's address is all that is known: peers.c knows reasons to spare
 * it. The policy is the one of the configuration in force, not the row's: an
 * offender makes no request that would set its row's policy anew. */
#include "httpd/private.h"
#include "table/jail.h"

#include <sys/socket.h>

/* Is it an offender in this pool?
 * @param allowance_bytes  result */
static bool is_offender(const struct cq_pool_decl *pool,
                        const struct cq_key *key,
                        const struct cq_clock *clock, int64_t *allowance_bytes)
{
    const struct cq_server_conf *conf = cq_site.conf;
    struct cq_offence_limits limits = { CQ_OFFENCE_GRACE_S,
                                        conf->drop_after_n };
    struct cq_policy policy = {
        .daily_bytes = pool->daily_bytes != CQ_UNSET ? pool->daily_bytes
                                                     : CQ_UNLIMITED,
        .grace_bytes = pool->grace_bytes != CQ_UNSET ? pool->grace_bytes : 0,
    };
    const struct cq_net_rule *rule;
    struct cq_offence_facts facts;
    struct cq_row row;

    if (cq_table_row(cq_site.table, pool->index, key, clock, &row) != CQ_OK
        || row.over_refusals < conf->drop_after_n) {
        return false;
    }
    rule = cq_net_find(&conf->client_nets, key);
    if (rule != NULL) {
        policy.daily_bytes = APR_ARRAY_IDX(conf->clients, rule->value,
                                           struct cq_client_decl).daily_bytes;
    }
    *allowance_bytes = cq_policy_allowance(&policy, clock->day);
    facts.used_bytes = row.used_bytes;
    facts.over_since_s = row.over_since_s;
    facts.refusals = row.over_refusals;
    facts.exempt = cq_exempt_until(cq_site.table, key) > clock->now_s;
    return cq_offence_judge(&facts, &policy, pool->refuses, clock->day,
                            clock->now_s, &limits, NULL) == CQ_OFFENCE_OFFENDER;
}

static bool is_in_table(const struct cq_pool_decl *pool)
{
    return pool->used && pool->index != CQ_ANY_POOL;
}

static const struct cq_pool_decl *
find_offended_pool(const struct cq_key *key, const struct cq_clock *clock,
                   int64_t *allowance_bytes)
{
    const struct cq_pool_decl *pool;

    for (pool = cq_site.conf->pools; pool != NULL; pool = pool->next) {
        if (pool->refuses && is_in_table(pool)
            && is_offender(pool, key, clock, allowance_bytes)) {
            return pool;
        }
    }
    return NULL;
}

/* The close is to be a reset: nothing lingers, and neither a TIME_WAIT nor a
 * FIN_WAIT_2 stays in the kernel, however many connections the peer makes. */
static void close_with_reset(apr_socket_t *csd)
{
    struct linger none = { .l_onoff = 1, .l_linger = 0 };
    apr_os_sock_t fd;

    if (apr_os_sock_get(&fd, csd) == APR_SUCCESS) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
}

int cq_drop_pre_connection(conn_rec *c, void *csd)
{
    const struct cq_server_conf *conf = cq_site.conf;
    const apr_sockaddr_t *peer = c->client_addr;
    const struct cq_pool_decl *pool;
    int64_t allowance_bytes = 0;
    struct cq_clock clock;
    struct cq_key key;
    char text[CQ_KEY_TEXT_SIZE];

    /* HTTP/2 runs this hook for each stream, mod_proxy for its own
     * connections: outgoing, and without a place in the scoreboard */
    if (cq_site.table == NULL || conf->drop_after_n == 0 || c->master != NULL
        || c->outgoing || c->sbh == NULL
        || cq_key_make(&key, peer->ipaddr_ptr, (size_t)peer->ipaddr_len,
                       cq_site.prefixes) != CQ_OK) {
        return DECLINED;
    }
    cq_table_clock(cq_site.table, apr_time_sec(apr_time_now()), &clock);
    pool = find_offended_pool(&key, &clock, &allowance_bytes);
    if (pool == NULL
        || cq_peer_spared(c, &key, cq_table_seen_proxied(cq_site.table, &key,
                                                         &clock))
            != CQ_SPARED_NOT) {
        return DECLINED;
    }
    ap_log_cerror(APLOG_MARK, APLOG_INFO, 0, c, CQNO("0203")
                  "closed the connection of %s: it keeps sending requests that "
                  "pool %s refuses (ClamQuotaDropAfter %" APR_INT64_T_FMT ")",
                  cq_key_format(&key, text, sizeof(text)), pool->name,
                  conf->drop_after_n);
    cq_table_total_add(cq_site.table, pool->index, CQ_TOTAL_DROPPED, 1);
    cq_table_mark_dropped(cq_site.table, pool->index, &key, &clock,
                          allowance_bytes);
    close_with_reset(csd);
    return HTTP_TOO_MANY_REQUESTS;      /* is sent to no client */
}
