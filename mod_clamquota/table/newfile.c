/* newfile - making a table: under a temporary name, with all its blocks
 * allocated, and renamed when it is whole. Never writes to a file that has the
 * table's name. Only a start calls it. */
#include "table/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static enum cq_status fill_header(struct cq_geometry *g,
                                  const struct cq_tablefile_want *want,
                                  const struct cq_why *why)
{
    memset(g, 0, sizeof(*g));
    cq_geometry_plan(g, want->clients, want->files, want->ledger_entries,
                     want->cluster);
    g->period_kind = (uint8_t)want->kind;
    g->zone = (uint8_t)want->zone;
    g->prefixes = want->prefixes;
    if (getrandom(&g->seed, sizeof(g->seed), 0)
        != (ssize_t)sizeof(g->seed)) {
        return cq_fail(why, CQ_EIO, "%s: no random numbers for the table's "
                       "seed: %s", want->path, strerror(errno));
    }
    g->checksum = cq_geometry_checksum(g);
    return CQ_OK;
}

static char *temporary_name(const char *path)
{
    size_t size = strlen(path) + sizeof(".XXXXXX");
    char *name = malloc(size);

    if (name != NULL) {
        snprintf(name, size, "%s.XXXXXX", path);
    }
    return name;
}

static enum cq_status allocate(int fd, const struct cq_geometry *g,
                               const char *path, const struct cq_why *why)
{
    struct rlimit limit;
    int flags = 0;
    int error;

    /* beyond it a process is killed by SIGXFSZ, without a word */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0
        && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < g->file_size) {
        return cq_fail(why, CQ_EIO,
            "%s: no room for the table of %llu bytes: files of this process "
            "are limited to %llu (ulimit -f, LimitFSIZE=)", path,
            (unsigned long long)g->file_size,
            (unsigned long long)limit.rlim_cur);
    }
    if (g->file_size > SIZE_MAX) {
        return cq_fail(why, CQ_EINVAL, "%s: a table of %llu bytes is more "
                       "than a process of this machine can map", path,
                       (unsigned long long)g->file_size);
    }
    if (fchmod(fd, 0640) != 0) {
        return cq_fail(why, CQ_EIO, "%s: cannot be made: %s", path,
                       strerror(errno));
    }
#ifdef FS_NOCOW_FL
    /* on btrfs: else each write-back needs new blocks, allocated or not */
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
#endif
    /* a sparse file would be a lost page in every child once the disk is
     * full */
    error = posix_fallocate(fd, 0, (off_t)g->file_size);
    if (error != 0) {
        return cq_fail(why, CQ_EIO,
            "%s: no room for the table of %llu bytes (ClamQuotaClients "
            "%llu, ClamQuotaFiles %llu): %s", path,
            (unsigned long long)g->file_size,
            (unsigned long long)g->clients_n,
            (unsigned long long)g->files_n, strerror(error));
    }
    if (pwrite(fd, g, sizeof(*g), 0) != (ssize_t)sizeof(*g)) {
        return cq_fail(why, CQ_EIO, "%s: cannot be written: %s", path,
                       strerror(errno));
    }
    return CQ_OK;
}

enum cq_status cq_newfile_make(const struct cq_tablefile_want *want,
                               struct cq_table **table, char **temporary,
                               const struct cq_why *why)
{
    struct cq_geometry g;
    enum cq_status status;
    int fd;

    *temporary = NULL;
    status = fill_header(&g, want, why);
    if (status != CQ_OK) {
        return status;
    }
    *temporary = temporary_name(want->path);
    if (*temporary == NULL) {
        return cq_fail(why, CQ_ENOMEM, "%s: out of memory", want->path);
    }
    fd = mkostemp(*temporary, O_CLOEXEC);
    if (fd < 0) {
        const char *slash = strrchr(want->path, '/');

        status = cq_fail(why, cq_status_from_errno(errno),
            "%s: cannot be made in its directory: %s; the directory must "
            "exist and be writable for the user that starts the server, "
            "e.g. install -d -m 0750 %.*s", want->path, strerror(errno),
            slash != NULL ? (int)(slash - want->path) : 1,
            slash != NULL ? want->path : ".");
        free(*temporary);
        *temporary = NULL;
        return status;
    }
    status = allocate(fd, &g, want->path, why);
    if (status == CQ_OK) {
        status = cq_file_lock(fd, want->path, 0, why);
    }
    if (status == CQ_OK) {
        status = cq_file_map(fd, &g, true, want->path, table, why);
    }
    if (status != CQ_OK) {
        unlink(*temporary);
        free(*temporary);
        *temporary = NULL;
        close(fd);
        return status;
    }
    return CQ_OK;
}

static void sync_directory(const char *path)
{
    char *copy = strdup(path);
    int dir = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY
                                                     | O_CLOEXEC)
                           : -1;

    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    free(copy);
}

bool cq_file_rename(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return true;
    }
    /* a kernel or file system that can't: by a second name */
    return (errno == EINVAL || errno == ENOSYS) && link(from, to) == 0
        && unlink(from) == 0;
}

enum cq_status cq_newfile_publish(const struct cq_table *table,
                                  const char *temporary, const char *path,
                                  enum cq_publish how,
                                  const struct cq_why *why)
{
    /* through the fd that holds the lock: closing any other one on this file
     * would drop it (fcntl(2)) */
    bool done = fsync(table->fd) == 0
        && (how == CQ_PUBLISH_OVER ? rename(temporary, path) == 0
                                    : cq_file_rename(temporary, path));

    if (!done) {
        if (errno == EEXIST) {
            return cq_fail(why, CQ_ELOCKED, "%s: was made by another server "
                           "at this moment; start again", path);
        }
        return cq_fail(why, cq_status_from_errno(errno),
                       "%s: cannot be made: %s", path, strerror(errno));
    }
    sync_directory(path);
    return CQ_OK;
}

/* ---- copying ---- */

static bool is_current(const struct cq_table *t, uint64_t row)
{
    return cq_row_is_current(&t->hot[row],
                             (uint16_t)atomic_load(&t->header->period_id));
}

/* Puts a row of another table where this one's search finds it. */
static enum cq_status copy_row(struct cq_table *to, const struct cq_table *from,
                               uint64_t row)
{
    uint64_t id = atomic_load(&from->hot[row].identity);
    struct cq_window w;
    uint32_t fill[2] = { 0, 0 };
    uint32_t empty[2] = { CQ_NO_ROW, CQ_NO_ROW };
    uint32_t i, b;

    bool pair = cq_row_is_pair(from, (uint32_t)row);

    if (pair && to->pairs.buckets_n == 0) {
        return CQ_EFULL;
    }
    cq_window_fill(pair ? &to->pairs : &to->clients, id & ~CQ_STATE_MASK, &w);
    for (i = 0; i < CQ_WINDOW_ROWS; i++) {
        b = i / CQ_BUCKET_ROWS;
        if (atomic_load(&to->hot[w.row[i]].identity) != CQ_EMPTY) {
            fill[b]++;
        }
        else if (empty[b] == CQ_NO_ROW) {
            empty[b] = w.row[i];
        }
    }
    b = fill[1] < fill[0] ? 1 : 0;
    if (empty[b] == CQ_NO_ROW) {
        return CQ_EFULL;
    }
    memcpy(&to->hot[empty[b]], &from->hot[row], sizeof(struct cq_hot));
    if (!pair) {
        memcpy(&to->cold[empty[b]], &from->cold[row],
               sizeof(struct cq_cold));
    }
    atomic_store(&to->hot[empty[b]].holders, 0);
    atomic_store(&to->hot[empty[b]].committed,
                 atomic_load(&to->hot[empty[b]].used));
    return CQ_OK;
}

enum rows { CURRENT_ROWS, PAST_ROWS };

static enum cq_status copy_rows(struct cq_table *to,
                                const struct cq_table *from,
                                enum rows which)
{
    bool current = which == CURRENT_ROWS;
    uint64_t row;

    for (row = 0; row < from->all_rows_n; row++) {
        uint64_t id = atomic_load(&from->hot[row].identity);
        bool pair = cq_row_is_pair(from, (uint32_t)row);

        /* of pairs as many as fit: one that is lost harms no client */
        if ((id & CQ_STATE_MASK) == CQ_LIVE
            && (pair || is_current(from, row)) == current
            && copy_row(to, from, row) != CQ_OK && current && !pair) {
            return CQ_EFULL;
        }
    }
    return CQ_OK;
}

enum cq_status cq_newfile_copy(struct cq_table *to,
                               const struct cq_table *from, bool rows)
{
    struct cq_geometry *g = &to->header->geometry;
    struct cq_geometry kept = *g;

    memcpy(to->header, from->header, sizeof(*to->header));
    *g = kept;
    g->seed = from->header->geometry.seed;  /* identities depend on it */
    g->checksum = cq_geometry_checksum(g);
    atomic_store(&to->header->notices, 0);
    atomic_store(&to->header->ledger_high, 0);
    memcpy(to->pools, from->pools,
           CQ_POOLS_MAX * sizeof(struct cq_pool_slot));
    memcpy(to->stripes, from->stripes,
           CQ_POOLS_MAX * CQ_STRIPES * sizeof(struct cq_stripe));
    memcpy(to->policies, from->policies,
           CQ_POLICIES_MAX * sizeof(struct cq_policy_slot));
    memcpy(to->hours, from->hours, CQ_HOURS * sizeof(struct cq_hour_slot));
    if (from->days != NULL) {
        memcpy(to->days, from->days, CQ_DAYS * sizeof(struct cq_day_slot));
        memcpy(to->exemptions, from->exemptions,
               CQ_EXEMPT_SLOTS * sizeof(struct cq_exempt_slot));
        memcpy(to->changes, from->changes,
               CQ_CHANGES * sizeof(struct cq_change_slot));
    }
    if (to->cluster != NULL && from->cluster != NULL) {
        memcpy(to->cluster, from->cluster, sizeof(*to->cluster));
    }
    if (to->names_n > 0 && from->names_n > 0) {
        memcpy(to->names, from->names,
               CQ_NAMES * sizeof(struct cq_name_slot));
    }
    if (!rows) {
        atomic_store(&to->header->clients_now, 0);
        atomic_store(&to->header->period_id, 0);
        atomic_store(&to->header->turned_id, 0);
        atomic_store(&to->header->erased_id, 0);
        memset(to->header->calendar, 0, sizeof(to->header->calendar));
        return CQ_OK;
    }
    /* those of this period first: past ones only get what room is left */
    if (copy_rows(to, from, CURRENT_ROWS) != CQ_OK) {
        return CQ_EFULL;
    }
    return copy_rows(to, from, PAST_ROWS);
}
