/* check - every invariant of a table, verified.
 *
 * Stress tests call it after every round, an operator through the tool. On a
 * table in use only what holds at every instant is looked at. */
#include "table/exchange.h"
#include "table/file.h"

#include <inttypes.h>
#include <stdarg.h>

struct check {
    const struct cq_table *table;
    FILE *out;
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

static void check_ledger(struct check *c)
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
        }
        if (i >= atomic_load(&t->header->ledger_high)) {
            complain(c, "ledger entry %" PRIu32 " is in use past the mark",
                     i);
        }
    }
}

static void check_cluster(struct check *c)
{
    const struct cq_table *t = c->table;
    uint64_t g;

    if (t->cluster != NULL && atomic_load(&t->header->node) == 0) {
        complain(c, "the node has no id");
    }
    for (g = 0; g < cq_groups_n(t); g++) {
        if (atomic_load(&t->moved[g]) > CQ_IN_EXCHANGE) {
            complain(c, "group %" PRIu64 " of rows has an unknown mark", g);
        }
    }
}

static void check_exemptions(struct check *c)
{
    uint32_t i;

    for (i = 0; i < CQ_EXEMPT_SLOTS; i++) {
        const char *fault = cq_exempt_fault(c->table, i);

        if (fault != NULL) {
            complain(c, "exemption %" PRIu32 " %s", i, fault);
        }
    }
}

static void check_calendar(struct check *c)
{
    uint16_t id = (uint16_t)atomic_load(&c->table->header->period_id);
    struct cq_period period;

    if (!cq_calendar_get(c->table, id, &period)
        || !cq_period_is_valid(&period)) {
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
    struct check c = { t, out, 0 };
    struct cq_holdings holdings = { NULL, NULL };
    uint64_t row;

    if (quiet_table && !cq_holdings_read(t, &holdings)) {
        return -1;
    }
    check_calendar(&c);
    check_ledger(&c);
    check_cluster(&c);
    check_exemptions(&c);
    for (row = 0; row < t->all_rows_n; row++) {
        enum cq_row_fault fault = cq_row_fault(
            t, (uint32_t)row, quiet_table ? &holdings : NULL);

        if (fault != CQ_ROW_SOUND) {
            complain(&c, "row %" PRIu64 " %s", row, cq_row_fault_text(fault));
        }
    }
    cq_holdings_free(&holdings);
    return c.violations;
}
