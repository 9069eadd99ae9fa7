/* scan - counts, filters and judges rows; every judgement is core/policy's. */
#include "render/scan.h"

#include <string.h>

void cq_scan_begin(struct cq_scan *scan)
{
    scan->matched = 0;
    scan->in_flight_bytes = 0;
    memset(scan->shares, 0, sizeof(scan->shares));
}

bool cq_scan_has_figures(const struct cq_row *row)
{
    return row->used_bytes != 0 || row->free_bytes != 0 || row->hits != 0 ||
           row->refused != 0 || row->in_flight_bytes != 0 ||
           row->others_used_bytes != 0 || row->others_in_flight_bytes != 0;
}

/* of all nodes; each part is below CQ_BYTES_MAX */
static int64_t sum(int64_t here_bytes, int64_t others_bytes)
{
    int64_t bytes = here_bytes + others_bytes;

    return bytes < CQ_BYTES_MAX ? bytes : CQ_BYTES_MAX;
}

/* but for the state */
static bool matches(const struct cq_scan *scan, const struct cq_row *row)
{
    const struct cq_query *query = scan->query;

    if (query->pool && strcmp(query->pool, scan->pools[row->pool].name) != 0) {
        return false;
    }
    return !query->has_client || cq_key_touches(&query->client, &row->key);
}

static bool touches_list(const struct cq_net_list *list,
                         const struct cq_key *key)
{
    return list != NULL && cq_net_touches(list, key);
}

/* Of several networks that hold the client the one that lasts longest. */
static int64_t exempt_until_s(const struct cq_net_list *exempt,
                              const struct cq_key *key)
{
    int64_t until_s = 0;
    size_t i;

    for (i = 0; exempt != NULL && i < exempt->count; i++) {
        if (exempt->rules[i].value > until_s
            && cq_key_touches(&exempt->rules[i].net, key)) {
            until_s = exempt->rules[i].value;
        }
    }
    return until_s;
}

/* Above 80 % of an allowance; both sides are below 2^51. */
static bool is_near(const struct cq_scan *scan, const struct cq_row *row,
                    const struct cq_policy *policy)
{
    return policy->daily_bytes > 0
        && 5 * sum(row->used_bytes, row->others_used_bytes)
            > 4 * cq_policy_allowance(policy, scan->day);
}

static bool has_state(const struct cq_scan *scan, const struct cq_row *row,
                      const struct cq_policy *policy, enum cq_state state)
{
    switch (scan->query->filter) {
    case CQ_FILTER_OK:
        return state == CQ_STATE_OK;
    case CQ_FILTER_OVER:
        return state == CQ_STATE_OVER;
    case CQ_FILTER_EXEMPT:
        return state == CQ_STATE_EXEMPT;
    case CQ_FILTER_NEAR:
        return state == CQ_STATE_OK && is_near(scan, row, policy);
    case CQ_FILTER_REFUSED:
        return row->refused_today > 0;
    case CQ_FILTER_JAILED:
        return row->jailed;
    case CQ_FILTER_ALL:
    default:
        return true;
    }
}

static void count_share(struct cq_scan *scan, const struct cq_row *row,
                        const struct cq_policy *policy)
{
    int64_t tenth;

    if (policy->daily_bytes > 0) {
        /* 10 x 2^48 is no overflow, and no allowance is 0 */
        tenth = 10 * sum(row->used_bytes, row->others_used_bytes)
            / cq_policy_allowance(policy, scan->day);
        scan->shares[tenth < CQ_VIEW_SHARES ? tenth : CQ_VIEW_SHARES - 1]++;
    }
}

/* The page knows ok, over and exempt: a client that only open transfers hold up
 * is ok. A daily of 0 is of a policy that was never set: it refuses no
 * client. */
static enum cq_state row_state(const struct cq_scan *scan,
                               const struct cq_policy *policy, bool exempt,
                               const struct cq_row *row)
{
    struct cq_usage usage = {
        .used_bytes = sum(row->used_bytes, row->others_used_bytes)
    };

    if (exempt) {
        return CQ_STATE_EXEMPT;
    }
    if (policy->daily_bytes == 0) {
        return CQ_STATE_OK;
    }
    return cq_policy_state(policy, &usage, scan->day);
}

static void count_state(struct cq_view_pool *pool, enum cq_state state)
{
    if (state == CQ_STATE_OVER) {
        pool->clients_over++;
    }
    else if (state == CQ_STATE_EXEMPT) {
        pool->clients_exempt++;
    }
    else {
        pool->clients_ok++;
    }
}

static void keep(struct cq_scan *scan, const struct cq_row *row,
                 enum cq_state state)
{
    if (scan->networks != NULL) {
        cq_networks_add(scan->networks, row, state);
    }
    else if (cq_select_wants(&scan->select, row)
             && (scan->is_proven == NULL
                 || scan->is_proven(scan->baton, row))) {
        cq_select_offer(&scan->select, row);
    }
}

enum cq_status cq_scan_row(struct cq_scan *scan, const struct cq_row *row)
{
    const struct cq_policy_info *info;
    enum cq_state state;

    if (!cq_scan_has_figures(row) || row->pool >= scan->pool_count) {
        return CQ_OK;
    }
    info = scan->policy_of(scan->baton, row->pool, row->policy_index);
    if (!info) {
        return CQ_ENOMEM;
    }
    state = row_state(scan, &info->policy,
                      touches_list(scan->exempt, &row->key), row);
    scan->in_flight_bytes += row->in_flight_bytes;
    count_state(&scan->pools[row->pool], state);
    if (matches(scan, row)) {
        count_share(scan, row, &info->policy);
        if (has_state(scan, row, &info->policy, state)) {
            scan->matched++;
            keep(scan, row, state);
        }
    }
    return CQ_OK;
}

/* A jail's never list is not known here. */
static enum cq_spared spared(const struct cq_scan *scan,
                             const struct cq_row *row, enum cq_state state)
{
    const struct cq_address_facts facts = {
        .key = &row->key,
        .client_bits = row->key.family == 4 ? scan->prefixes.v4_bits
                                            : scan->prefixes.v6_bits,
        .exempt = state == CQ_STATE_EXEMPT,
        .proxied = row->proxied || touches_list(scan->proxies, &row->key),
        .own = touches_list(scan->own, &row->key)
    };

    return cq_spared_reason(&facts);
}

void cq_scan_judge(const struct cq_scan *scan, const struct cq_row *row,
                   const char *pool, const struct cq_policy_info *info,
                   int64_t exempt_until_s, struct cq_view_client *client)
{
    enum cq_state state = row_state(scan, &info->policy,
                                    exempt_until_s > scan->now_s, row);

    memset(client, 0, sizeof(*client));
    client->client = row->key;
    client->pool = pool;
    client->used_bytes = sum(row->used_bytes, row->others_used_bytes);
    client->today_bytes = row->today_bytes;
    client->free_bytes = row->free_bytes;
    client->in_flight_bytes = sum(row->in_flight_bytes,
                                  row->others_in_flight_bytes);
    client->shared = scan->shared;
    client->here_used_bytes = row->used_bytes;
    client->here_in_flight_bytes = row->in_flight_bytes;
    client->daily_bytes = info->policy.daily_bytes;
    client->allowance_bytes = cq_policy_allowance(&info->policy, scan->day);
    if (info->policy.daily_bytes == 0) {
        client->daily_bytes = CQ_UNLIMITED;
        client->allowance_bytes = CQ_BYTES_MAX;
    }
    client->rule = info->rule;
    client->hits = row->hits;
    client->refused = row->refused;
    client->refused_today = row->refused_today;
    client->would_refuse = row->would_refuse;
    client->last_hit_s = row->last_hit_s;
    client->state = state;
    client->spared = spared(scan, row, state);
    client->jailed = row->jailed;
    client->exempt_until_s = exempt_until_s > scan->now_s
        ? exempt_until_s : 0;
    if (state == CQ_STATE_OVER) {
        client->over_since_s = row->over_since_s;
        client->retry_after_s =
            cq_policy_retry_after_s(&info->policy, client->used_bytes, state,
                                    scan->period, scan->now_s, NULL);
    }
}

enum cq_status cq_scan_client(const struct cq_scan *scan,
                              const struct cq_row *row,
                              struct cq_view_client *client)
{
    const struct cq_policy_info *info =
        scan->policy_of(scan->baton, row->pool, row->policy_index);

    if (!info) {
        return CQ_ENOMEM;
    }
    cq_scan_judge(scan, row, scan->pools[row->pool].name, info,
                  exempt_until_s(scan->exempt, &row->key), client);
    return CQ_OK;
}
