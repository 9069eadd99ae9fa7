/* check - every invariant of a table, verified.
 *
 * Stress tests call it after every round, an operator through the tool. On a
 * table in use only what holds at every instant is looked at. */
#include "table/file.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

struct check {
    const struct cq_table *table;
    FILE *out;
    bool quiet;                 /* nobody else uses the table */
    int violations;
};

static void complain(struct check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct check *c, const char *format, ...)
{
    va_list args;

    c->violations++;
    if (c->out != NULL) {
        va_start(args, format);
        vfprintf(c->out, format, args);
        va_end(args);
        fputc('\n', c->out);
    }
}

/* Is the row in its own window, and the only live one of its client there? */
static void check_place(struct check *c, uint32_t row, uint64_t id)
{
    struct cq_window w;
    uint32_t i;
    bool found = false;

    cq_window_of(cq_row_is_pair(c->table, row) ? &c->table->pairs
                                               : &c->table->clients,
                 id & ~CQ_STATE_MASK, &w);
    for (i = 0; i < CQ_WINDOW_ROWS; i++) {
        if (w.row[i] == row) {
            found = true;
        }
        else if (atomic_load(&c->table->hot[w.row[i]].identity) == id) {
            complain(c, "rows %" PRIu32 " and %" PRIu32
                     " are of one client or pair", row, w.row[i]);
        }
    }
    if (!found) {
        complain(c, "row %" PRIu32 " lies where it is not looked for", row);
    }
}

static void check_sums(struct check *c, uint32_t row, const int64_t *left,
                       const uint32_t *held)
{
    const struct cq_hot *hot = &c->table->hot[row];
    uint64_t committed = atomic_load(&hot->committed);
    uint64_t drawn = atomic_load(&hot->drawn);
    uint32_t holders = atomic_load(&hot->holders) & CQ_HOLDERS;

    if (holders != held[row]) {
        complain(c, "row %" PRIu32 " is held by %" PRIu32 " requests, the "
                 "ledger knows %" PRIu32, row, holders, held[row]);
    }
    if (cq_stamp(committed) != cq_stamp(drawn)) {
        complain(c, "row %" PRIu32 " has committed in period %u and drawn in "
                 "period %u", row, cq_stamp(committed), cq_stamp(drawn));
    }
    else if (cq_bytes(committed) - cq_bytes(drawn) != left[row]) {
        complain(c, "row %" PRIu32 " has %" PRId64 " bytes in flight, the "
                 "ledger knows %" PRId64, row,
                 cq_bytes(committed) - cq_bytes(drawn), left[row]);
    }
}

static void check_row(struct check *c, uint32_t row)
{
    const struct cq_hot *hot = &c->table->hot[row];
    uint64_t id = atomic_load(&hot->identity);
    struct cq_clock clock = { 0 };
    struct cq_row copy;
    uint64_t position = row;

    if ((id & CQ_STATE_MASK) != CQ_LIVE) {
        if (c->quiet && id != CQ_EMPTY) {
            complain(c, "row %" PRIu32 " was left in state %u", row,
                     (unsigned)(id & CQ_STATE_MASK));
        }
        else if (c->quiet && atomic_load(&hot->drawn) != 0) {
            complain(c, "row %" PRIu32 " is empty and has bytes", row);
        }
        return;
    }
    check_place(c, row, id);
    if (cq_row_is_pair(c->table, row)) {
        if ((atomic_load(&hot->mark) & CQ_MARK_OVER) != 0) {
            complain(c, "row %" PRIu32 " is a pair's and marked as over",
                     row);
        }
        return;
    }
    if (!cq_table_next_row(c->table, &clock, &position, &copy)
        || position != (uint64_t)row + 1) {
        if (c->quiet) {
            complain(c, "row %" PRIu32 " has an address that is not its "
                     "client's", row);
        }
    }
    else if (copy.pool >= cq_table_pool_count(c->table)) {
        complain(c, "row %" PRIu32 " is of pool %u, which there is not", row,
                 copy.pool);
    }
}

static void check_ledger(struct check *c, int64_t *left, uint32_t *held)
{
    const struct cq_table *t = c->table;
    uint32_t i;

    for (i = 0; i < t->ledger_n; i++) {
        const struct cq_entry *e = &t->ledger[i];
        uint32_t row = atomic_load(&e->row);

        if (atomic_load(&e->owner) == 0
            || atomic_load(&e->purpose) != CQ_ENTRY_HELD) {
            continue;
        }
        if (row >= t->all_rows_n) {
            complain(c, "ledger entry %" PRIu32 " names row %" PRIu32
                     " of %" PRIu64, i, row, t->all_rows_n);
            continue;
        }
        if (i >= atomic_load(&t->header->ledger_high)) {
            complain(c, "ledger entry %" PRIu32 " is in use past the mark",
                     i);
        }
        held[row]++;
        /* as unsigned: a damaged file's sums may overflow */
        left[row] = (int64_t)((uint64_t)left[row]
                              + (uint64_t)atomic_load(&e->left_bytes));
    }
}

static void check_calendar(struct check *c)
{
    uint16_t id = (uint16_t)atomic_load(&c->table->header->period_id);
    struct cq_period period;

    if (!cq_calendar_get(c->table, id, &period)
        || !cq_period_valid(&period)) {
        complain(c, "period %u is in force, but its calendar is missing or "
                 "damaged", id);
    }
    if (atomic_load(&c->table->header->pool_n) > CQ_POOLS_MAX
        || atomic_load(&c->table->header->policy_n) > CQ_POLICIES_MAX
        || atomic_load(&c->table->header->ledger_high)
               > c->table->ledger_n) {
        complain(c, "a count in the header is larger than its section");
    }
}

int cq_table_check(const struct cq_table *t, bool quiet_table, FILE *out)
{
    struct check c = { t, out, quiet_table, 0 };
    int64_t *left = calloc(t->all_rows_n, sizeof(*left));
    uint32_t *held = calloc(t->all_rows_n, sizeof(*held));
    uint64_t row;

    if (left == NULL || held == NULL) {
        complain(&c, "out of memory: nothing was checked");
        free(left);
        free(held);
        return c.violations;
    }
    check_calendar(&c);
    check_ledger(&c, left, held);
    for (row = 0; row < t->all_rows_n; row++) {
        check_row(&c, (uint32_t)row);
        if (quiet_table) {
            check_sums(&c, (uint32_t)row, left, held);
        }
    }
    free(left);
    free(held);
    return c.violations;
}
