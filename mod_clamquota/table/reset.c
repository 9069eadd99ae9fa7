/* reset - what a client has used is forgotten, or what all clients of a network
 * have: asked for by an operator, or by another node of the cluster. */
#include "table/parts.h"

/* @return whether it is such a row; adds what it had used */
static bool reset_row(struct cq_table *t, uint32_t row,
                      const struct cq_key *net, const struct cq_clock *clock,
                      int64_t *used_bytes)
{
    uint64_t id = atomic_load(&t->hot[row].identity);
    struct cq_account a;
    struct cq_row copy;

    if (!cq_row_copy(t, row, clock, &copy) || !cq_key_contains(net, &copy.key)
        || !cq_account_open_row(t, row, id & ~CQ_STATE_MASK, &a)) {
        return false;
    }
    *used_bytes = cq_sum_bytes(*used_bytes, copy.used_bytes);
    cq_account_reset(&a);
    cq_copies_forget(t, id & ~CQ_STATE_MASK);
    cq_account_close(&a);
    return true;
}

static int reset_client(struct cq_table *t, const struct cq_key *client,
                        const struct cq_clock *clock, int64_t *used_bytes)
{
    size_t pool, n = cq_table_pool_count(t);
    int rows = 0;

    for (pool = 0; pool < n; pool++) {
        uint64_t identity = cq_identity(t, (uint16_t)pool, client);
        struct cq_window w;
        uint32_t i;

        cq_window_fill(&t->clients, identity, &w);
        for (i = 0; i < CQ_WINDOW_ROWS; i++) {
            if (atomic_load(&t->hot[w.row[i]].identity)
                == (identity | CQ_LIVE)) {
                rows += reset_row(t, w.row[i], client, clock, used_bytes);
            }
        }
    }
    return rows;
}

int cq_reset_locally(struct cq_table *t, const struct cq_key *net,
                     const struct cq_clock *clock)
{
    struct cq_prefixes prefixes = t->header->geometry.prefixes;
    struct cq_change change = { .kind = CQ_CHANGE_RESET,
                                .at_s = clock->now_s, .net = *net,
                                .pool = CQ_ANY_POOL };
    uint64_t row;
    int rows = 0;

    if (net->prefix < (net->family == 4 ? prefixes.v4_bits
                                        : prefixes.v6_bits)) {
        for (row = 0; row < t->rows_n; row++) {
            rows += reset_row(t, (uint32_t)row, net, clock,
                              &change.used_bytes);
        }
    }
    else {
        rows = reset_client(t, net, clock, &change.used_bytes);
    }
    if (rows > 0) {
        cq_change_note(t, &change);
    }
    return rows;
}
