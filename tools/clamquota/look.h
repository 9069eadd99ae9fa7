/* look - a subcommand's look at a table: from its command line to its exit
 * code, with the table attached, the time by the table's own calendar, and
 * memory for what is copied out of it. One thread. */
#ifndef CQ_CLAMQUOTA_LOOK_H
#define CQ_CLAMQUOTA_LOOK_H

#include "cli/attach.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/say.h"
#include "core/paths.h"
#include "render/collect.h"

struct cq_look {
    const char *path;           /* of the table */
    struct cq_table *table;
    struct cq_output output;    /* for what was asked */
    struct cq_clock clock;
    struct cq_view view;        /* from cq_look_collect() */
    struct cq_say say;          /* for sentences on standard error */
    struct cq_net_list own;     /* this machine's addresses, sealed; empty
                                 * where they are not known */
    struct cq_block *blocks;    /* memory of the view */
};

/* A subcommand. Its own struct begins with the name of the table, which
 * CQ_LOOK_TABLE reads, and with the defaults in it. */
struct cq_look_command {
    const struct cq_program *program;
    /** Checks what needs no table. NULL: there is nothing to check.
     * @param operand  NULL: none was given
     * @param access   CQ_ATTACH_READ, may be changed. CQ_ATTACH_WRITE: a table
     *                 that may not be written is refused with a sentence that
     *                 says which user may
     * @return false after a sentence */
    bool (*check)(void *command, struct cq_look *look, const char *operand,
                  enum cq_attach_access *access);
    /** @return the exit code, after a sentence where something is wrong */
    enum cq_exit (*run)(void *command, struct cq_look *look);
};

#define CQ_LOOK_TABLE { .name = "table", .value = "FILE", \
    .kind = CQ_OPTION_FILE, .offset = 0, \
    .help = "the counters [" CQ_TABLE_PATH "]" }

/** Runs a subcommand: reads its command line, attaches the table, closes it.
 * @param into  the subcommand's own struct
 * @param out, err  as of cq_command_fn */
enum cq_exit cq_look_run(const struct cq_look_command *command, void *into,
                         int argc, char **argv, FILE *out, FILE *err);

/** Looks at the clock again: for a subcommand that goes on. */
void cq_look_read_clock(struct cq_look *look);

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

/** Says that memory ran out.
 * @return CQ_EXIT_PARTLY */
enum cq_exit cq_look_report_no_memory(struct cq_look *look);

#endif
