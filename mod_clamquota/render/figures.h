/* figures - the part of a view that collect begins with. Private to these
 * two. */
#ifndef CQ_FIGURES_H
#define CQ_FIGURES_H

#include "render/collect.h"

/** Zeroed memory for count things of a size; NULL: there is none. */
void *cq_arena_alloc(const struct cq_arena *arena, size_t count, size_t size);

/** All of a view but the rows.
 * @param pools  view->pools, where the states of clients are to be counted
 * @return CQ_OK or CQ_ENOMEM */
enum cq_status cq_collect_figures(struct cq_view *view,
                                  const struct cq_table *table,
                                  const struct cq_clock *clock,
                                  const struct cq_query *query,
                                  const struct cq_view_facts *facts,
                                  const struct cq_arena *arena,
                                  struct cq_view_pool **pools);

#endif
