/* validate - may this file be believed?
 *
 * Reads the first page with pread(), compares every number in it with what
 * it must be, and only then is the file mapped. */
#include "core/paths.h"
#include "table/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PAUSE_MS 10

enum cq_status cq_fail(const struct cq_why *why, enum cq_status status,
                       const char *format, ...)
{
    va_list args;

    if (why->size > 0) {
        va_start(args, format);
        vsnprintf(why->text, why->size, format, args);
        va_end(args);
    }
    return status;
}

enum cq_status cq_status_from_errno(int error)
{
    return error == EACCES || error == EPERM || error == EROFS ? CQ_EACCES
                                                               : CQ_EIO;
}

/* The same numbers must come out when the file is planned anew. */
static bool geometry_is_ours(const struct cq_geometry *g)
{
    struct cq_geometry plan;

    if (g->file_size > SIZE_MAX || g->clients_n == 0
        || g->clients_n > CQ_CLIENTS_MAX || g->files_n > CQ_FILES_MAX
        || g->ledger_n == 0 || g->ledger_n > CQ_LEDGER_MAX) {
        return false;
    }
    memset(&plan, 0, sizeof(plan));
    cq_geometry_plan(&plan, g->clients_n, g->files_n, g->ledger_n,
                     g->cluster_size > 0);
    /* all offsets lie side by side */
    return g->file_size == plan.file_size && g->rows_n == plan.rows_n
        && g->file_rows_n == plan.file_rows_n
        && g->networks_n == plan.networks_n
        && g->network_rows_n == plan.network_rows_n
        && memcmp(&g->names_n, &plan.names_n,
                  offsetof(struct cq_geometry, seed)
                      - offsetof(struct cq_geometry, names_n)) == 0
        && g->period_kind >= CQ_PERIOD_MONTH && g->period_kind <= CQ_PERIOD_DAY
        && (g->zone == CQ_ZONE_LOCAL || g->zone == CQ_ZONE_UTC)
        && g->prefixes.v4_bits <= 32 && g->prefixes.v6_bits <= 128;
}

enum cq_status cq_file_counts(const struct cq_table *t, const char *path,
                              const struct cq_why *why)
{
    const struct cq_header *h = t->header;
    uint32_t pools = atomic_load(&h->pool_n);
    uint32_t i;

    for (i = 0; i < pools && i < CQ_POOLS_MAX; i++) {
        if (memchr(t->pools[i].name, '\0', CQ_POOL_NAME_SIZE) == NULL) {
            break;
        }
    }
    if (i < pools || atomic_load(&h->policy_n) > CQ_POLICIES_MAX
        || atomic_load(&h->ledger_high) > t->ledger_n) {
        return cq_fail(why, CQ_ECORRUPT,
            "%s: the table is damaged (a count in its header is larger than "
            "what it counts): move the file away to start with new counters",
            path);
    }
    return CQ_OK;
}

/* What a disk shows of a file whose blocks were allocated and never written. */
static bool is_all_zeros(int fd, off_t size)
{
    static const char zeros[65536];
    char text[sizeof(zeros)];
    off_t at;
    ssize_t n;

    for (at = 0; at < size; at += n) {
        n = pread(fd, text, sizeof(text), at);
        if (n <= 0 || memcmp(text, zeros, (size_t)n) != 0) {
            return false;
        }
    }
    return true;
}

enum cq_file_kind cq_file_validate(int fd, const char *path,
                                   struct cq_geometry *g,
                                   enum cq_status *status,
                                   const struct cq_why *why)
{
    struct stat st;
    ssize_t n = pread(fd, g, sizeof(*g), 0);

    if (n < 0 || fstat(fd, &st) != 0) {
        *status = cq_fail(why, CQ_EIO, "%s: cannot be read: %s", path,
                          strerror(errno));
        return CQ_FILE_BAD;
    }
    if (st.st_size == 0 || is_all_zeros(fd, st.st_size)) {
        *status = cq_fail(why, CQ_ECORRUPT, "%s: the table is empty: it was "
            "cut short or never written to the disk; move the file away to "
            "start with new counters", path);
        return CQ_FILE_DAMAGED;
    }
    if ((size_t)n < sizeof(g->magic) || g->magic != CQ_MAGIC) {
        *status = cq_fail(why, CQ_ENOTTABLE,
            "%s: not a clamquota table: expected a file made by this module; "
            "move it away or name another with ClamQuotaTable", path);
        return CQ_FILE_BAD;
    }
    if ((size_t)n == sizeof(*g) && g->version < CQ_LAYOUT_VERSION) {
        return CQ_FILE_OLDER;
    }
    if ((size_t)n == sizeof(*g) && g->version > CQ_LAYOUT_VERSION) {
        *status = cq_fail(why, CQ_EVERSION,
            "%s: a clamquota table of layout %u, expected %u at most: it was "
            "made by a newer version; install that, or move the file away",
            path, g->version, CQ_LAYOUT_VERSION);
        return CQ_FILE_BAD;
    }
    if ((size_t)n < sizeof(*g) || g->checksum != cq_geometry_checksum(g)
        || !geometry_is_ours(g)) {
        *status = cq_fail(why, CQ_ECORRUPT,
            "%s: the table's header is damaged (its checksum does not "
            "agree): move the file away to start with new counters", path);
        return CQ_FILE_DAMAGED;
    }
    if ((uint64_t)st.st_size != g->file_size) {
        *status = cq_fail(why, CQ_ECORRUPT,
            "%s: the table has %lld bytes, expected %llu: it was cut short "
            "or written to; move the file away to start with new counters",
            path, (long long)st.st_size, (unsigned long long)g->file_size);
        return CQ_FILE_DAMAGED;
    }
    return CQ_FILE_GOOD;
}

enum cq_status cq_file_lock(int fd, const char *path, int wait_ms,
                            const struct cq_why *why)
{
    const struct timespec pause = { 0, LOCK_PAUSE_MS * 1000000L };
    struct flock lock;

    /* a POSIX lock: of this process alone, not inherited by children, so a
     * server whose parent was killed can be started anew at once */
    memset(&lock, 0, sizeof(lock));
    lock.l_whence = SEEK_SET;
    lock.l_start = CQ_SERVER_BYTE;
    lock.l_len = 1;
    for (;; wait_ms -= LOCK_PAUSE_MS) {
        lock.l_type = F_WRLCK;
        if (fcntl(fd, F_SETLK, &lock) == 0) {
            return CQ_OK;
        }
        if (errno != EACCES && errno != EAGAIN) {
            return cq_fail(why, CQ_EIO, "%s: cannot be locked: %s", path,
                           strerror(errno));
        }
        if (wait_ms <= 0) {
            break;
        }
        nanosleep(&pause, NULL);    /* no lock has a time-out of its own */
    }
    lock.l_pid = 0;
    fcntl(fd, F_GETLK, &lock);
    return cq_fail(why, CQ_ELOCKED,
        "%s: used by another server (process %ld): two servers cannot count "
        "in one table; give each its own with ClamQuotaTable", path,
        (long)lock.l_pid);
}

/* Is a lock of another process there? length 0: on any byte from start. */
static bool is_locked(const struct cq_table *table, off_t start, off_t length)
{
    struct flock lock;

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return fcntl(table->fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool cq_tablefile_is_served(const struct cq_table *table)
{
    return is_locked(table, CQ_SERVER_BYTE, 1);
}

bool cq_tablefile_is_in_use(const struct cq_table *table)
{
    return is_locked(table, 0, 0);
}

enum cq_status cq_file_open(const char *path, bool writable, int *fd,
                            const struct cq_why *why)
{
    struct stat st;

    *fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC
                         | O_NONBLOCK);
    if (*fd < 0) {
        int error = errno;

        if (error == ENOENT) {
            return cq_fail(why, CQ_ENOENT, "%s: no such table: "
                           "expected the file that ClamQuotaTable names, "
                           "which httpd makes when it starts", path);
        }
        if (error == ELOOP) {
            return cq_fail(why, CQ_ENOTTABLE,
                "%s: is a symbolic link: name the table itself with "
                "ClamQuotaTable, links are not followed", path);
        }
        if (error == EISDIR) {
            return cq_fail(why, CQ_ENOTTABLE,
                "%s: is a directory, expected a file such as "
                CQ_TABLE_PATH, path);
        }
        return cq_fail(why, cq_status_from_errno(error),
                       "%s: cannot be opened: %s", path, strerror(error));
    }
    if (fstat(*fd, &st) != 0) {
        int error = errno;

        close(*fd);
        *fd = -1;
        return cq_fail(why, CQ_EIO, "%s: cannot be read: %s", path,
                       strerror(error));
    }
    if (!S_ISREG(st.st_mode)) {
        close(*fd);
        *fd = -1;
        return cq_fail(why, CQ_ENOTTABLE,
            "%s: is not a regular file, expected one such as "
            CQ_TABLE_PATH, path);
    }
    return CQ_OK;
}
