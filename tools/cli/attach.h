/* attach - a table in the hands of a tool.
 *
 * A lost page of it (the file was cut short) kills no tool: table/guard.h puts
 * zeros there. So figures are used only after cq_attach_is_current() said that
 * they are still the file's. One thread. */
#ifndef CQ_CLI_ATTACH_H
#define CQ_CLI_ATTACH_H

#include "cli/exit.h"
#include "table/tablefile.h"

enum cq_attach_access {
    CQ_ATTACH_READ,
    CQ_ATTACH_WRITE             /* where that is permitted, else as READ */
};

/** Maps the table of this name.
 * @param table  result, to be closed by cq_tablefile_close(); NULL on failure
 * @param why    on failure one sentence; CQ_WHY_SIZE is enough
 * @return CQ_EXIT_DONE, CQ_EXIT_NO_TABLE or CQ_EXIT_NOT_PERMITTED */
enum cq_exit cq_attach_open(const char *path, enum cq_attach_access access,
                            struct cq_table **table, char *why,
                            size_t why_size);

/** Is it still the file of that name, and whole? If not, close it and attach
 * anew. Two system calls. */
bool cq_attach_is_current(struct cq_table *table);

#endif
