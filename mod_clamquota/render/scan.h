/* scan - what becomes of each row on its way into a view.
 *
 * Counts states, filters by the query, offers what matches to render/select
 * and turns the best rows into clients of a view. Gets rows and policies
 * handed to it and never looks into a table: render/collect does. */
#ifndef CQ_SCAN_H
#define CQ_SCAN_H

#include "render/networks.h"
#include "render/select.h"

struct cq_scan {
    /* what it works by, set by the caller before cq_scan_begin() */
    const struct cq_query *query;
    const struct cq_period *period;
    int64_t now_s;
    int day;
    struct cq_prefixes prefixes;    /* of the table */
    const struct cq_net_list *own;  /* as in struct cq_view_facts */
    const struct cq_net_list *proxies;
    const struct cq_net_list *exempt;   /* sealed, values until_s; NULL: no
                                         * client is */
    bool shared;                    /* the table is part of a cluster */
    struct cq_view_pool *pools;     /* states are counted here */
    size_t pool_count;
    /* the policy of a row; what it fills in stays valid until the view is
     * done. NULL: no memory */
    const struct cq_policy_info *(*policy_of)(void *baton, uint16_t pool,
                                              uint16_t policy_index);
    /* Does the row belong to the client that it names? Asked for the rows that
     * are kept only. NULL: it is known of all */
    bool (*is_proven)(void *baton, const struct cq_row *row);
    void *baton;
    struct cq_select select;        /* begun by the caller */
    struct cq_networks *networks;   /* NULL: select the rows; else add them
                                     * up here, begun by the caller */

    /* results */
    int64_t matched;
    int64_t in_flight_bytes;        /* of every row */
    int64_t shares[CQ_VIEW_SHARES]; /* as in struct cq_view */
};

/** Zeroes the results and gets ready for rows. */
void cq_scan_begin(struct cq_scan *scan);

/** Takes one row in. Rows without any figure are of a past period: neither
 * counted nor listed. So are rows of a pool that pools lacks.
 * @return CQ_OK or CQ_ENOMEM (from policy_of) */
enum cq_status cq_scan_row(struct cq_scan *scan, const struct cq_row *row);

/** Has this row any figure in this period? */
bool cq_scan_has_figures(const struct cq_row *row);

/** Makes the client of a row: its state, allowance and waiting time. Of scan
 * only period, now_s, day, prefixes, own, proxies and shared are looked at.
 * @param exempt_until_s  as of cq_exempt_until(): past, it is not exempt
 * @param client  result; keeps pool and info->rule by reference */
void cq_scan_judge(const struct cq_scan *scan, const struct cq_row *row,
                   const char *pool, const struct cq_policy_info *info,
                   int64_t exempt_until_s, struct cq_view_client *client);

/** Makes the client of a row that was selected.
 * @return CQ_OK or CQ_ENOMEM (from policy_of) */
enum cq_status cq_scan_client(const struct cq_scan *scan,
                              const struct cq_row *row,
                              struct cq_view_client *client);

#endif
