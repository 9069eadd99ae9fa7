/* copies - which versions of files a client has used up today. */
#ifndef CQ_RENDER_COPIES_H
#define CQ_RENDER_COPIES_H

#include "render/collect.h"
#include "table/copies.h"

/* of one client; more are not shown */
#define CQ_COPIES_SHOWN_MAX 32

/* Where they are looked for, for as many clients as one view shows. */
struct cq_copies_source {
    const struct cq_table *table;
    const struct cq_clock *clock;
    const char *document_root;      /* as in struct cq_view_facts */
    struct cq_copies_name *names;
    size_t names_n;
    int64_t lookups_left;
};

/** Makes ready; takes up to 256 KiB of the arena where the table has copies.
 * @return CQ_OK or CQ_ENOMEM */
enum cq_status cq_copies_source_begin(struct cq_copies_source *source,
                                      const struct cq_table *table,
                                      const struct cq_clock *clock,
                                      const char *document_root,
                                      const struct cq_arena *arena);

/** Finds the versions that a row's client has used up.
 * @param found  room for CQ_COPIES_SHOWN_MAX
 * @param n      how many were found
 * @return false: not looked for: a view looks up a million pairs at most */
bool cq_copies_used_up(struct cq_copies_source *source,
                       const struct cq_row *row, struct cq_view_copy *found,
                       size_t *n);

/** The same for versions of which the client has more than one copy, used up
 * or not. */
bool cq_copies_repeated(struct cq_copies_source *source,
                        const struct cq_row *row, struct cq_view_copy *found,
                        size_t *n);

#endif
