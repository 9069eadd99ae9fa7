/* activity - which clients download now. */
#include "clamquota/activity.h"

#include <stdlib.h>
#include <string.h>

/* what a row was at the last reading */
struct cq_activity_row {
    struct cq_key key;          /* family 0: of no client */
    uint16_t pool;
    int64_t bytes;
    int64_t refused;
};

static enum cq_status begin(struct cq_activity *a,
                            const struct cq_table *table, size_t limit)
{
    struct cq_table_figures figures;

    if (a->rows != NULL) {
        return CQ_OK;
    }
    cq_table_figures(table, &figures);
    a->row_n = figures.rows > 0 ? (size_t)figures.rows : 0;
    a->limit = limit;
    a->rows = calloc(a->row_n + 1, sizeof(a->rows[0]));
    a->active = calloc(limit + 1, sizeof(a->active[0]));
    return a->rows != NULL && a->active != NULL ? CQ_OK : CQ_ENOMEM;
}

/* A row of a new period, or of another client, begins at 0. */
static int64_t compute_growth(int64_t now, int64_t before, bool is_same)
{
    return is_same && before <= now ? now - before : now;
}

static bool is_before(const struct cq_active *a, const struct cq_active *b)
{
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes;
    }
    if (a->row.in_flight_bytes != b->row.in_flight_bytes) {
        return a->row.in_flight_bytes > b->row.in_flight_bytes;
    }
    return a->refused > b->refused;
}

/* A few tens are kept: a sorted array does. */
static void keep_active(struct cq_activity *a, const struct cq_active *active)
{
    size_t at = a->active_n;

    while (at > 0 && is_before(active, &a->active[at - 1])) {
        at--;
    }
    if (at == a->limit) {
        return;
    }
    if (a->active_n < a->limit) {
        a->active_n++;
    }
    memmove(&a->active[at + 1], &a->active[at],
            (a->active_n - 1 - at) * sizeof(a->active[0]));
    a->active[at] = *active;
}

static void compare_row(struct cq_activity *a, size_t i,
                        const struct cq_row *row)
{
    struct cq_activity_row *before = &a->rows[i];
    struct cq_active active = { .row = *row };
    const struct cq_activity_row now = {
        .key = row->key, .pool = row->pool,
        .bytes = row->used_bytes + row->free_bytes, .refused = row->refused
    };
    bool is_same = cq_key_compare(&before->key, &now.key) == 0
        && before->pool == now.pool;

    if (a->has_read) {
        active.bytes = compute_growth(now.bytes, before->bytes, is_same);
        active.refused = compute_growth(now.refused, before->refused, is_same);
    }
    *before = now;
    a->in_flight_bytes += row->in_flight_bytes;
    if (active.bytes > 0 || active.refused > 0 || row->in_flight_bytes > 0) {
        a->clients++;
        keep_active(a, &active);
    }
}

enum cq_status cq_activity_read(struct cq_activity *a,
                                const struct cq_table *table,
                                const struct cq_clock *clock, size_t limit)
{
    struct cq_row row;
    size_t i;

    if (begin(a, table, limit) != CQ_OK) {
        return CQ_ENOMEM;
    }
    a->active_n = 0;
    a->clients = 0;
    a->in_flight_bytes = 0;
    for (i = 0; i < a->row_n; i++) {
        if (cq_table_row_at(table, (uint32_t)i, clock, &row)) {
            compare_row(a, i, &row);
        }
    }
    a->has_read = true;
    return CQ_OK;
}

void cq_activity_free(struct cq_activity *a)
{
    free(a->rows);
    free(a->active);
    memset(a, 0, sizeof(*a));
}
