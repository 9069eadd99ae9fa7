/* me - one client's rows, judged as the operator's page judges them. */
#include "render/me.h"

#include "render/scan.h"

#include <string.h>

static void add_pool(struct cq_me *me, const struct cq_table *table,
                     const struct cq_row *row, uint16_t policy_index,
                     const struct cq_retry *retry,
                     struct cq_copies_source *copies)
{
    const struct cq_scan scan = { .period = &me->period,
                                  .now_s = me->now_s,
                                  .day = me->day,
                                  .prefixes = cq_table_prefixes(table),
                                  .shared = cq_table_has_cluster(table) };
    struct cq_me_pool *pool = &me->pools[me->pool_count++];
    struct cq_view_client *client = &pool->client;
    struct cq_pool_info info;

    cq_table_pool_info(table, row->pool, &info);
    memcpy(pool->name, info.name, sizeof(pool->name));
    cq_table_policy_info(table, row->pool, policy_index, &pool->policy);
    cq_scan_judge(&scan, row, pool->name, &pool->policy,
                  cq_exempt_until(table, &row->key), client);
    if (copies != NULL
        && cq_copies_used_up(copies, row, pool->copies, &client->copies_n)) {
        client->copies = pool->copies;
    }
    pool->wait_s = client->retry_after_s;
    client->retry_after_s =
        cq_policy_retry_after_s(&pool->policy.policy, client->used_bytes,
                                client->state, &me->period, me->now_s, retry);
}

void cq_me_collect(struct cq_me *me, const struct cq_table *table,
                   const struct cq_clock *clock,
                   const struct cq_me_place *place)
{
    size_t count = cq_table_pool_count(table);
    struct cq_copies_source source, *copies = NULL;
    struct cq_row row;
    size_t i;

    me->counted = true;
    me->now_s = clock->now_s;
    me->day = clock->day;
    me->next_day_s = clock->next_day_s;
    cq_table_period(table, &me->period);
    me->pool_count = 0;
    if (me->client.family == 0) {
        return;
    }
    if (place->arena != NULL
        && cq_copies_source_begin(&source, table, clock, place->document_root,
                                  place->arena) == CQ_OK) {
        copies = &source;
    }
    if (place->pool < count) {
        if (cq_table_row(table, place->pool, &me->client, clock, &row)
            != CQ_OK) {
            memset(&row, 0, sizeof(row));
            row.key = me->client;
            row.pool = place->pool;
        }
        add_pool(me, table, &row, place->policy_index, &place->retry, copies);
    }
    for (i = 0; i < count && i < CQ_POOLS_MAX; i++) {
        if (i != place->pool
            && cq_table_row(table, (uint16_t)i, &me->client, clock, &row)
                == CQ_OK
            && cq_scan_has_figures(&row)) {
            add_pool(me, table, &row, row.policy_index, &place->retry, copies);
        }
    }
}
