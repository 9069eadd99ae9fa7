/* attach - a table in the hands of a tool. */
#include "cli/attach.h"

enum cq_exit cq_attach_open(const char *path, enum cq_attach_access access,
                            struct cq_table **table, char *why,
                            size_t why_size)
{
    enum cq_status status = CQ_EACCES;

    if (access == CQ_ATTACH_WRITE) {
        status = cq_tablefile_attach(path, true, table, why, why_size);
    }
    /* not to be written by us, or on a file system that is read-only */
    if (status == CQ_EACCES || status == CQ_EIO) {
        status = cq_tablefile_attach(path, false, table, why, why_size);
    }
    if (status != CQ_OK) {
        return status == CQ_EACCES ? CQ_EXIT_NOT_PERMITTED : CQ_EXIT_NO_TABLE;
    }
    if (cq_attach_is_current(*table)) {
        return CQ_EXIT_DONE;
    }
    cq_tablefile_close(*table);
    *table = NULL;
    snprintf(why, why_size, "%s: is being cut short or replaced at this "
             "moment, expected a whole table", path);
    return CQ_EXIT_NO_TABLE;
}

bool cq_attach_is_current(struct cq_table *table)
{
    (void)cq_table_inspect(table);
    return cq_table_health(table) == CQ_HEALTH_OK;
}
