/* collect - fills a view from a table.
 *
 * The only file of this room that reads a table. No lock, nothing changed: a
 * table that is mapped read-only will do. */
#ifndef CQ_COLLECT_H
#define CQ_COLLECT_H

#include "render/view.h"
#include "table/table.h"

/* Where a view's memory comes from: an arena, freed as a whole by its owner,
 * aligned for any type. NULL: there is none. */
struct cq_arena {
    void *(*alloc)(void *baton, size_t size);
    void *baton;
};

/** Fills a view, with everything that a renderer looks at.
 * @param view   result; of no use on failure
 * @param clock  from cq_table_clock() (or made by hand from the period in
 *               force where the table is mapped read-only): decides which
 *               rows are of this period and what "now" is
 * @param query  copied; its pool string must outlive the view. A limit below
 *               1 counts as 1
 * @param facts  copied; its strings must outlive the view
 * @return CQ_OK or CQ_ENOMEM */
enum cq_status cq_collect(struct cq_view *view, const struct cq_table *table,
                          const struct cq_clock *clock,
                          const struct cq_query *query,
                          const struct cq_view_facts *facts,
                          const struct cq_arena *arena);

/** The same without a look at the rows, whose number may be large: no clients,
 * 0 clients of each state and 0 bytes in flight. */
enum cq_status cq_collect_totals(struct cq_view *view,
                                 const struct cq_table *table,
                                 const struct cq_clock *clock,
                                 const struct cq_query *query,
                                 const struct cq_view_facts *facts,
                                 const struct cq_arena *arena);

#endif
