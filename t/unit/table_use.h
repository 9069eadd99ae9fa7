/* table_use - everything that is done to a table once it is open. */
#ifndef CQ_TABLE_USE_H
#define CQ_TABLE_USE_H

#include "table_fixture.h"

/* Everything that a reader, a tool or a server does to a file it has opened. */
static inline void use_all(struct cq_table *t)
{
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_clock_watch watch = { 0 };
    struct cq_row row;
    struct cq_table_figures figures;
    struct cq_pool_info info;
    struct cq_policy_info policy;
    struct cq_policy some = { 1000, 10 };
    struct cq_hour hours[CQ_HOURS];
    struct cq_period period;
    uint64_t position = 0;
    uint32_t k;
    uint16_t index;

    cq_table_settle(t);
    while (cq_table_next_row(t, &clock, &position, &row)) {
        cq_table_policy_info(t, row.pool, row.policy_index, &policy);
    }
    cq_table_check(t, true, NULL);
    cq_table_check(t, false, NULL);
    cq_table_figures(t, &figures);
    cq_table_pool_info(t, 0, &info);
    cq_table_pool_info(t, 63, &info);
    cq_table_policy_info(t, 65535, 65535, &policy);
    cq_table_history(t, hours, CQ_HOURS);
    cq_table_period(t, &period);
    cq_table_pool(t, "another", &index);
    cq_table_policy(t, 0, "ClamQuotaDaily", &some, &index);
    cq_table_tick(t, &watch, NOON_S + 1, 1);
    cq_table_notices(t);
    for (k = 0; k < 20; k++) {
        struct cq_key key = client(k);
        struct cq_account a;

        cq_table_row(t, 0, &key, &clock, &row);
        if (cq_account_open(t, 0, &key, &clock, &a) == CQ_OK) {
            struct cq_usage usage;

            cq_account_admit(&a, &clock, 1000, 10, &usage);
            cq_account_charge(&a, &clock, 20);
            cq_account_usage(&a, &clock, &usage);
            cq_account_count_refusal(&a, &clock, CQ_STATE_OVER);
            cq_account_close(&a);
        }
        cq_table_reset(t, &key, &clock);
    }
    clock = clock_at(t, NEXT_MONTH_S);
}

#endif
