/* look - a subcommand's look at a table: attached, with the time by its own
 * calendar, and with memory for what is copied out of it. One thread. */
#ifndef CQ_CLAMQUOTA_LOOK_H
#define CQ_CLAMQUOTA_LOOK_H

#include "cli/attach.h"
#include "cli/options.h"
#include "cli/say.h"
#include "render/collect.h"

/* begun by cq_look_begin() */
struct cq_look {
    const char *path;           /* of the table */
    struct cq_table *table;     /* NULL: none */
    struct cq_clock clock;
    struct cq_view view;        /* from cq_look_collect() */
    struct cq_say say;          /* for sentences on standard error */
    struct cq_net_list own;     /* this machine's addresses, sealed; empty
                                 * where they are not known */
    struct cq_block *blocks;    /* memory of the view */
};

/** Begins without a table, and reads the command line.
 * @param into, first, out, err  as in cq_options_read(); err also gets each
 *                later sentence
 * @param exit  result on false: what the subcommand ends with */
bool cq_look_begin(struct cq_look *look, const struct cq_program *program,
                   void *into, int argc, char **argv, int *first, FILE *out,
                   FILE *err, enum cq_exit *exit);

/** Attaches the table.
 * @param access  CQ_ATTACH_WRITE: a table that may not be written is refused
 *                with a sentence that says which user may
 * @return CQ_EXIT_DONE, else after a sentence. To be closed in any case */
enum cq_exit cq_look_open(struct cq_look *look, const char *path,
                          enum cq_attach_access access);

/** Looks at the clock again: for a subcommand that goes on. */
void cq_look_again(struct cq_look *look);

/** Fills in look->view as the page does, and forgets the one before.
 * @param query  its pool string must outlive the view
 * @return CQ_EXIT_DONE; CQ_EXIT_NO_TABLE: the file was cut short or replaced
 *         meanwhile; CQ_EXIT_PARTLY: no memory. After a sentence */
enum cq_exit cq_look_collect(struct cq_look *look,
                             const struct cq_query *query);

/** The same without clients: cq_collect_totals(). */
enum cq_exit cq_look_totals(struct cq_look *look);

/* a row, judged by the rule in force */
struct cq_look_client {
    struct cq_pool_info pool;
    struct cq_policy_info policy;       /* daily 0: no quota holds */
    struct cq_view_client client;       /* refers to both */
};

/** Judges a row as the page does, but by the rule that its next request would
 * be judged by. Not before one of the two above.
 * @param judged  result; must not be moved */
void cq_look_judge(const struct cq_look *look, const struct cq_row *row,
                   struct cq_look_client *judged);

/** Is what was read still the file's? Else a sentence says that it is not: to
 * be asked before figures are shown.
 * @return CQ_EXIT_DONE or CQ_EXIT_NO_TABLE */
enum cq_exit cq_look_confirm(struct cq_look *look);

/** Memory that lasts until the next cq_look_collect().
 * @return NULL: there is none */
void *cq_look_alloc(struct cq_look *look, size_t size);

/** The same for those that take an arena. */
struct cq_arena cq_look_arena(struct cq_look *look);

void cq_look_close(struct cq_look *look);

#endif
