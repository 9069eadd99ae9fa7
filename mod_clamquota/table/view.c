/* view - one process's mapping of a table file: made, guarded, given up.
 *
 * Owns struct cq_table from cq_file_map() to cq_tablefile_close(). Believes the
 * geometry that its caller has validated, and no other byte of the file. */
#include "table/file.h"
#include "table/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void free_view(struct cq_table *t)
{
    if (t != NULL) {
        cq_condition_free(t->condition);
        free(t->path);
        free(t);
    }
}

enum cq_status cq_file_map(int fd, const struct cq_geometry *g,
                           bool writable, const char *path,
                           struct cq_table **table,
                           const struct cq_why *why)
{
    struct cq_table *t = calloc(1, sizeof(*t));
    void *base;

    if (t == NULL || (t->path = strdup(path)) == NULL
        || (t->condition = cq_condition_make()) == NULL) {
        free_view(t);
        return cq_fail(why, CQ_ENOMEM, "%s: out of memory", path);
    }
    base = mmap(NULL, g->file_size, PROT_READ | (writable ? PROT_WRITE : 0),
                MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        int error = errno;

        free_view(t);
        return cq_fail(why, CQ_EIO, "%s: cannot be mapped: %s", path,
                       strerror(error));
    }
    cq_table_view(t, base, g);
    t->fd = fd;
    t->writable = writable;
    cq_table_guard(t);
    *table = t;
    return CQ_OK;
}

void cq_tablefile_close(struct cq_table *t)
{
    if (t != NULL) {
        cq_table_leave(t);
        cq_table_unguard(t);
        munmap(t->header, t->size);
        close(t->fd);
        free_view(t);
    }
}
