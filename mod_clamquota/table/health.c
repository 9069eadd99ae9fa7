/* health - what befell a table's file since it was mapped.
 *
 * A server goes on with what it has mapped, whatever happens to the file; here
 * it finds out that something did. */
#include "table/parts.h"

#include <sys/mman.h>
#include <sys/stat.h>

struct cq_condition *cq_condition_make(void)
{
    void *memory = mmap(NULL, CQ_PAGE, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory != MAP_FAILED ? memory : NULL;
}

void cq_condition_free(struct cq_condition *condition)
{
    if (condition != NULL) {
        munmap(condition, CQ_PAGE);
    }
}

enum cq_table_health cq_table_health(const struct cq_table *t)
{
    const struct cq_condition *c = t->condition;

    if (atomic_load_explicit(&c->lost, memory_order_relaxed) != 0) {
        return CQ_HEALTH_LOST;
    }
    return atomic_load_explicit(&c->detached, memory_order_relaxed) != 0
        ? CQ_HEALTH_DETACHED : CQ_HEALTH_OK;
}

bool cq_file_is_named(int fd, const char *path)
{
    struct stat open_file, named;

    return fstat(fd, &open_file) == 0 && lstat(path, &named) == 0
        && open_file.st_dev == named.st_dev
        && open_file.st_ino == named.st_ino;
}

bool cq_table_inspect(struct cq_table *t)
{
    struct cq_condition *c = t->condition;
    enum cq_table_health health;
    struct stat st;
    uint32_t reported;

    /* A file that is shorter has lost pages that may not have been touched yet;
     * one that shows another opening was overwritten under us. */
    if ((fstat(t->fd, &st) == 0 && (uint64_t)st.st_size < t->size)
        || (t->session != 0
            && atomic_load(&t->header->session) != t->session)) {
        atomic_store(&c->lost, 1);
    }
    if (!cq_file_is_named(t->fd, t->path)) {
        atomic_store(&c->detached, 1);
    }
    health = cq_table_health(t);
    reported = atomic_load(&c->reported);
    return (uint32_t)health > reported
        && atomic_compare_exchange_strong(&c->reported, &reported,
                                          (uint32_t)health);
}
