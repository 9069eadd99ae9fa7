/* tablefile - opening a table for a server and attaching to it for a tool.
 *
 * The order matters: validate before mapping, lock before changing, make a
 * new file whole before it gets the name. Nothing here ever overwrites a file
 * that it has not understood. */
#include "table/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* names for damaged files that are tried */
#define DAMAGED_MAX 10

/* The period at a start: what the clock says is believed at once. */
static enum cq_status set_calendar(struct cq_table *t,
                                   const struct cq_tablefile_want *want,
                                   unsigned *events, const struct cq_why *why)
{
    uint32_t was = atomic_load(&t->header->period_id);
    struct cq_period now;
    struct cq_clock clock;

    if (cq_period_at(want->kind, want->zone, want->now_s, &now) != CQ_OK) {
        return cq_fail(why, CQ_EINVAL,
            "%s: the clock shows a time outside 1970 to 2149: set it and "
            "start again", want->path);
    }
    cq_calendar_set(t, &now);
    atomic_store(&t->header->period_id, now.id);
    cq_calendar_prepare_next(t);
    cq_table_clock(t, want->now_s, &clock);
    cq_history_tick(t, &clock);
    if (was != 0 && now.id != was && now.id != was + 1) {
        *events |= CQ_TABLE_PERIOD_JUMP;
    }
    return CQ_OK;
}

static enum cq_status create(const struct cq_tablefile_want *want,
                             struct cq_table **table, unsigned *events,
                             const struct cq_why *why)
{
    char *temporary = NULL;
    enum cq_status status = cq_newfile_make(want, table, &temporary, why);

    if (status != CQ_OK) {
        return status;
    }
    status = set_calendar(*table, want, events, why);
    if (status == CQ_OK) {
        uint32_t id = atomic_load(&(*table)->header->period_id);

        atomic_store(&(*table)->header->turned_id, id);
        atomic_store(&(*table)->header->erased_id, id);
        status = cq_newfile_publish(*table, temporary, want->path,
                                    CQ_PUBLISH_NEW, why);
    }
    if (status != CQ_OK) {
        unlink(temporary);
        cq_tablefile_close(*table);
        *table = NULL;
    }
    free(temporary);
    return status;
}

/* Makes a table of what another one holds and gives it the name. The old one
 * stays mapped and locked until then.
 * @param rows  false: without its clients, for another calendar */
static enum cq_status replace_table(const struct cq_tablefile_want *want,
                                    const struct cq_table *old,
                                    struct cq_table **table, bool rows,
                                    unsigned *events, const struct cq_why *why)
{
    char *temporary = NULL;
    enum cq_status status = cq_newfile_make(want, table, &temporary, why);

    if (status != CQ_OK) {
        return status;
    }
    status = cq_newfile_copy(*table, old, rows);
    if (status == CQ_OK && !rows) {
        status = set_calendar(*table, want, events, why);
    }
    if (status == CQ_OK) {
        status = cq_newfile_publish(*table, temporary, want->path,
                                    CQ_PUBLISH_OVER, why);
    }
    if (status != CQ_OK) {
        unlink(temporary);
        cq_tablefile_close(*table);
        *table = NULL;
    }
    free(temporary);
    return status;
}

static bool has_other_calendar(const struct cq_tablefile_want *want,
                               const struct cq_geometry *g)
{
    return g->period_kind != want->kind || g->zone != want->zone
        || g->prefixes.v4_bits != want->prefixes.v4_bits
        || g->prefixes.v6_bits != want->prefixes.v6_bits;
}

/* Repairs what was left in the middle of a step. While children of an earlier
 * server still count, only what the dead left is touched. */
static enum cq_status repair_table(struct cq_table *t, unsigned *events,
                                   const struct cq_why *why)
{
    int64_t repaired = 0;

    if (cq_table_is_as_left(t)) {
        return CQ_OK;
    }
    if (!cq_ledger_is_idle(t)) {
        cq_table_settle(t);
        return CQ_OK;
    }
    if (cq_table_repair(t, &repaired) != CQ_OK) {
        return cq_fail(why, CQ_ENOMEM, "%s: out of memory", t->path);
    }
    *events |= repaired > 0 ? CQ_TABLE_REPAIRED : 0;
    return CQ_OK;
}

/* Brings an attached table to what is wanted. */
static enum cq_status adjust(const struct cq_tablefile_want *want,
                             struct cq_table **table, unsigned *events,
                             const struct cq_why *why)
{
    struct cq_geometry g = (*table)->header->geometry;
    uint32_t ledger_n = want->ledger_entries != 0 ? want->ledger_entries
                                                  : CQ_LEDGER_DEFAULT;
    bool restart = has_other_calendar(want, &g);
    bool resize = g.clients_n != want->clients || g.ledger_n != ledger_n
        || g.files_n != want->files || (g.cluster_size > 0) != want->cluster;
    struct cq_table *new = NULL;
    enum cq_status status = repair_table(*table, events, why);

    if (status != CQ_OK) {
        return status;
    }
    if (!restart && !resize) {
        return CQ_OK;
    }
    if (!cq_ledger_is_idle(*table)) {
        return cq_fail(why, CQ_ELOCKED,
            "%s: children of an earlier server still count in this table, so "
            "it cannot get its new %s: end them first", want->path,
            restart ? "period, time zone or prefixes" : "size");
    }
    status = replace_table(want, *table, &new, !restart, events, why);
    if (status == CQ_OK) {
        cq_tablefile_close(*table);
        *table = new;
        *events |= restart ? CQ_TABLE_RESTARTED : CQ_TABLE_RESIZED;
    }
    else if (status == CQ_EFULL) {
        *events |= CQ_TABLE_NOT_SHRUNK;
        status = CQ_OK;
    }
    return status;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat one, two;

    return lstat(a, &one) == 0 && lstat(b, &two) == 0
        && one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

/* Renames the file, never over another one, unless that is this very file
 * and a process died between making the second name and removing the first.
 * @param why  result: the new name */
static bool set_aside(const char *path, const char *suffix,
                      const struct cq_why *why)
{
    cq_fail(why, CQ_OK, "%s%s", path, suffix);
    return cq_file_rename(path, why->text)
        || (errno == EEXIST && is_same_file(path, why->text)
            && unlink(path) == 0);
}

static enum cq_status open_older(const struct cq_tablefile_want *want, int fd,
                                 uint32_t version, struct cq_table **table,
                                 unsigned *events, const struct cq_why *why)
{
    char suffix[16];
    struct cq_import import;
    enum cq_status status;

    status = version == 2 ? cq_import_open(fd, want->path, &import, why)
                          : CQ_ECORRUPT;
    if (status == CQ_OK) {
        bool rows = !has_other_calendar(want, &import.table.header->geometry);

        status = replace_table(want, &import.table, table, rows, events, why);
        *events |= status != CQ_OK ? 0
                 : rows ? CQ_TABLE_IMPORTED
                        : CQ_TABLE_IMPORTED | CQ_TABLE_RESTARTED;
    }
    if (version == 2) {
        cq_import_close(&import);
    }
    /* more clients than there are to be: as with any table of another size */
    if (status != CQ_ECORRUPT && status != CQ_EFULL) {
        return status;
    }
    snprintf(suffix, sizeof(suffix), ".v%u", version);
    if (!set_aside(want->path, suffix, why)) {
        int error = errno;

        return cq_fail(why, cq_status_from_errno(error),
            "%s: a table of the older layout %u that could not be set aside "
            "as %s%s: %s", want->path, version, want->path, suffix,
            strerror(error));
    }
    *events |= CQ_TABLE_SET_ASIDE;
    return create(want, table, events, why);
}

static enum cq_status replace_damaged(const struct cq_tablefile_want *want,
                                      struct cq_table **table, unsigned *events,
                                      const struct cq_why *why)
{
    char suffix[16] = ".damaged";
    int n;

    for (n = 1; !set_aside(want->path, suffix, why); n++) {
        if (errno != EEXIST || n == DAMAGED_MAX) {
            int error = errno;

            return cq_fail(why, cq_status_from_errno(error),
                "%s: the table is damaged and could not be set aside as "
                "%s%s: %s; move the file away to start with new counters",
                want->path, want->path, suffix, strerror(error));
        }
        snprintf(suffix, sizeof(suffix), ".damaged.%d", n);
    }
    *events |= CQ_TABLE_DAMAGED;
    return create(want, table, events, why);
}

static enum cq_status open_existing(const struct cq_tablefile_want *want,
                                    int fd, struct cq_table **table,
                                    unsigned *events,
                                    const struct cq_why *why)
{
    struct cq_geometry g;
    enum cq_status status = cq_file_lock(fd, want->path, want->lock_wait_ms,
                                         why);

    /* Between open and lock another server may have put a new file in this
     * one's place: the lock on the old one would guard nothing. */
    if (status == CQ_OK && !cq_file_is_named(fd, want->path)) {
        status = cq_fail(why, CQ_ELOCKED, "%s: was replaced by another "
                         "server at this moment; start again", want->path);
    }
    if (status != CQ_OK) {
        close(fd);
        return status;
    }
    switch (cq_file_validate(fd, want->path, &g, &status, why)) {
    case CQ_FILE_OLDER:
        status = open_older(want, fd, g.version, table, events, why);
        close(fd);
        return status;
    case CQ_FILE_DAMAGED:
        close(fd);
        return replace_damaged(want, table, events, why);
    case CQ_FILE_BAD:
        close(fd);
        return status;
    case CQ_FILE_GOOD:
        break;
    }
    status = cq_file_map(fd, &g, true, want->path, table, why);
    if (status != CQ_OK) {
        close(fd);
        return status;
    }
    status = cq_file_counts(*table, want->path, why);
    if (status == CQ_ECORRUPT) {
        cq_tablefile_close(*table);
        *table = NULL;
        return replace_damaged(want, table, events, why);
    }
    return adjust(want, table, events, why);
}

/* What every table needs that a server has opened, new or old. */
static enum cq_status begin_service(const struct cq_tablefile_want *want,
                                    struct cq_table *t, unsigned *events,
                                    const struct cq_why *why)
{
    enum cq_status status = CQ_OK;

    if ((*events & (CQ_TABLE_RESTARTED | CQ_TABLE_CREATED)) == 0) {
        status = set_calendar(t, want, events, why);
    }
    atomic_store(&t->header->notices, 0);
    if (getrandom(&t->session, sizeof(t->session), 0)
        != (ssize_t)sizeof(t->session)) {
        t->session = (uint64_t)want->now_s;
    }
    atomic_store(&t->header->session, t->session);
    t->server_pid = getpid();
    if (!cq_table_enter(t)) {
        return cq_fail(why, CQ_ENOMEM, "%s: cannot be locked: %s", want->path,
                       strerror(errno));
    }
    if (status == CQ_OK && cq_shares_begin(t, want->machine, want->now_s)) {
        *events |= CQ_TABLE_COPIED;
    }
    if (status == CQ_OK && cq_table_health(t) == CQ_HEALTH_LOST) {
        status = cq_fail(why, CQ_EIO, "%s: parts of the table cannot be read "
                         "or written: its disk is full or failing",
                         want->path);
    }
    return status;
}

enum cq_status cq_tablefile_open(const struct cq_tablefile_want *want,
                                 struct cq_table **table, unsigned *events,
                                 char *why_text, size_t why_size)
{
    struct cq_why why = { why_text, why_size };
    unsigned ignored = 0;
    enum cq_status status;
    int fd;

    if (events == NULL) {
        events = &ignored;
    }
    *events = 0;
    *table = NULL;
    if (want->clients == 0 || want->clients > CQ_CLIENTS_MAX
        || want->files > CQ_FILES_MAX
        || want->ledger_entries > CQ_LEDGER_MAX) {
        return cq_fail(&why, CQ_EINVAL,
            "%s: %llu clients, %llu files and %u open requests: expected 1 to "
            "%u, at most %u and at most %u", want->path,
            (unsigned long long)want->clients,
            (unsigned long long)want->files, want->ledger_entries,
            CQ_CLIENTS_MAX, CQ_FILES_MAX, CQ_LEDGER_MAX);
    }
    status = cq_file_open(want->path, true, &fd, &why);
    if (status == CQ_ENOENT) {
        status = create(want, table, events, &why);
        if (status == CQ_OK) {
            *events |= CQ_TABLE_CREATED;
        }
    }
    else if (status == CQ_OK) {
        status = open_existing(want, fd, table, events, &why);
    }
    if (status == CQ_OK) {
        status = begin_service(want, *table, events, &why);
    }
    if (status != CQ_OK) {
        cq_tablefile_close(*table);
        *table = NULL;
    }
    return status;
}

enum cq_status cq_tablefile_attach(const char *path, bool writable,
                                   struct cq_table **table, char *why_text,
                                   size_t why_size)
{
    struct cq_why why = { why_text, why_size };
    struct cq_geometry g;
    enum cq_status status;
    int fd;

    *table = NULL;
    status = cq_file_open(path, writable, &fd, &why);
    if (status != CQ_OK) {
        return status;
    }
    switch (cq_file_validate(fd, path, &g, &status, &why)) {
    case CQ_FILE_OLDER:
        status = cq_fail(&why, CQ_EVERSION,
            "%s: a table of the older layout %u, expected %u: start the "
            "server once to convert it", path, g.version,
            CQ_LAYOUT_VERSION);
        break;
    case CQ_FILE_DAMAGED:
    case CQ_FILE_BAD:
        break;
    case CQ_FILE_GOOD:
        status = cq_file_map(fd, &g, writable, path, table, &why);
        break;
    }
    if (status != CQ_OK) {
        close(fd);
        return status;
    }
    status = cq_file_counts(*table, path, &why);
    if (status == CQ_OK && !cq_calendar_is_sound(*table)) {
        status = cq_fail(&why, CQ_ECORRUPT, "%s: the table's calendar is "
            "damaged: start the server once to write it again", path);
    }
    if (status == CQ_OK && writable && !cq_table_enter(*table)) {
        status = cq_fail(&why, CQ_ENOMEM, "%s: cannot be locked: %s", path,
                         strerror(errno));
    }
    if (status != CQ_OK) {
        cq_tablefile_close(*table);
        *table = NULL;
    }
    return status;
}
