/* housekeeping - what one process does for the whole table every few seconds.
 *
 * Owns the order: first which period is in force, then what depends on it.
 * httpd's parent calls it, or the tool that feeds a table; never two processes
 * at a time, and no request waits for it. */
#include "table/parts.h"

enum cq_clock_step cq_table_tick(struct cq_table *t,
                                 struct cq_clock_watch *watch, int64_t wall_s,
                                 int64_t boot_s)
{
    const struct cq_geometry *g = &t->header->geometry;
    struct cq_period seen;
    struct cq_clock clock;
    enum cq_clock_step step = CQ_CLOCK_STAY;

    if (cq_table_health(t) == CQ_HEALTH_LOST) {
        return CQ_CLOCK_STAY;
    }
    cq_table_clock(t, wall_s, &clock);
    if (cq_period_at((enum cq_period_kind)g->period_kind,
                     (enum cq_zone)g->zone, wall_s, &seen) == CQ_OK) {
        step = cq_clock_observe(watch, clock.period_id, seen.id, wall_s,
                                boot_s);
        if (step == CQ_CLOCK_ADOPT) {
            cq_calendar_set(t, &seen);
            atomic_store(&t->header->period_id, seen.id);
        }
    }
    cq_calendar_prepare_next(t);
    cq_table_clock(t, wall_s, &clock);
    cq_history_tick(t, &clock);
    cq_table_settle(t);
    cq_turnover(t, &clock);
    cq_exempt_expire(t, &clock);
    return step;
}
