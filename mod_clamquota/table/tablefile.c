/* tablefile - opening a table for a server and attaching to it for a tool.
 *
 * The order matters: validate before mapping, lock before changing, make a
 * new file whole before it gets the name. Nothing here ever overwrites a file
 * that it has not understood. */
#include "table/file.h"
#include "table/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
        cq_table_unguard(t);
        munmap(t->header, t->size);
        if (t->fd >= 0) {
            close(t->fd);
        }
        free_view(t);
    }
}

/* The period at a start: what the clock says is believed at once. */
static enum cq_status set_calendar(struct cq_table *t,
                                   const struct cq_tablefile_want *want,
                                   unsigned *events, const struct cq_why *why)
{
    uint32_t was = atomic_load(&t->header->period_id);
    struct cq_period now;

    if (cq_period_at(want->kind, want->zone, want->now_s, &now) != CQ_OK) {
        return cq_fail(why, CQ_EINVAL,
            "%s: the clock shows a time outside 1970 to 2149: set it and "
            "start again", want->path);
    }
    cq_calendar_set(t, &now);
    atomic_store(&t->header->period_id, now.id);
    cq_calendar_prepare_next(t);
    cq_history_tick(t, want->now_s);
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
        status = cq_newfile_publish(*table, temporary, want->path, false,
                                    why);
    }
    if (status != CQ_OK) {
        unlink(temporary);
        cq_tablefile_close(*table);
        *table = NULL;
    }
    free(temporary);
    return status;
}

/* Replaces a table by one of other sizes or another calendar. The old one
 * stays mapped and locked until the new one has its name. */
static enum cq_status replace(const struct cq_tablefile_want *want,
                              struct cq_table **table, bool rows,
                              unsigned *events, const struct cq_why *why)
{
    struct cq_table *old = *table;
    struct cq_table *new = NULL;
    char *temporary = NULL;
    enum cq_status status = cq_newfile_make(want, &new, &temporary, why);

    if (status != CQ_OK) {
        return status;
    }
    status = cq_newfile_copy(new, old, rows);
    if (status == CQ_OK && !rows) {
        status = set_calendar(new, want, events, why);
    }
    if (status == CQ_OK) {
        status = cq_newfile_publish(new, temporary, want->path, true, why);
    }
    if (status != CQ_OK) {
        unlink(temporary);
        cq_tablefile_close(new);
    }
    else {
        cq_tablefile_close(old);
        *table = new;
    }
    free(temporary);
    return status;
}

static bool ledger_is_idle(const struct cq_table *t)
{
    uint32_t i;

    for (i = 0; i < t->ledger_n; i++) {
        if (atomic_load(&t->ledger[i].owner) != 0) {
            return false;
        }
    }
    return true;
}

/* Brings an attached table to what is wanted. */
static enum cq_status adjust(const struct cq_tablefile_want *want,
                             struct cq_table **table, unsigned *events,
                             const struct cq_why *why)
{
    struct cq_geometry g = (*table)->header->geometry;
    uint32_t ledger_n = want->ledger_entries != 0 ? want->ledger_entries
                                                  : CQ_LEDGER_DEFAULT;
    bool restart = g.period_kind != want->kind || g.zone != want->zone
        || g.prefixes.v4_bits != want->prefixes.v4_bits
        || g.prefixes.v6_bits != want->prefixes.v6_bits;
    bool resize = g.clients_n != want->clients || g.ledger_n != ledger_n
        || g.files_n != want->files;
    enum cq_status status;

    cq_table_settle(*table, 0);
    if (!restart && !resize) {
        return CQ_OK;
    }
    if (!ledger_is_idle(*table)) {
        return cq_fail(why, CQ_ELOCKED,
            "%s: children of an earlier server still count in this table, so "
            "it cannot get its new %s: end them first", want->path,
            restart ? "period, time zone or prefixes" : "size");
    }
    status = replace(want, table, !restart, events, why);
    if (status == CQ_OK) {
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
    bool same = lstat(a, &one) == 0 && lstat(b, &two) == 0
        && one.st_dev == two.st_dev && one.st_ino == two.st_ino;

    if (!same) {
        errno = EEXIST;
    }
    return same;
}

static enum cq_status set_aside(const struct cq_tablefile_want *want,
                                uint32_t version, const struct cq_why *why)
{
    size_t size = strlen(want->path) + 16;
    char *aside = malloc(size);
    enum cq_status status = CQ_OK;

    if (aside == NULL) {
        return cq_fail(why, CQ_ENOMEM, "%s: out of memory", want->path);
    }
    snprintf(aside, size, "%s.v%u", want->path, version);
    /* link() and not rename(): what was set aside earlier is never lost,
     * unless it is this very file and who did it died before unlink() */
    if ((link(want->path, aside) != 0
         && !(errno == EEXIST && is_same_file(want->path, aside)))
        || unlink(want->path) != 0) {
        status = cq_fail(why, cq_status_of_errno(errno),
            "%s: a table of the older layout %u that could not be set aside "
            "as %s: %s", want->path, version, aside, strerror(errno));
    }
    free(aside);
    return status;
}

static enum cq_status open_existing(const struct cq_tablefile_want *want,
                                    int fd, struct cq_table **table,
                                    unsigned *events,
                                    const struct cq_why *why)
{
    struct cq_geometry g;
    enum cq_status status = cq_file_lock(fd, want->path, why);

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
        status = set_aside(want, g.version, why);
        close(fd);
        if (status == CQ_OK) {
            *events |= CQ_TABLE_SET_ASIDE;
            status = create(want, table, events, why);
        }
        return status;
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
    if (status == CQ_OK) {
        cq_table_enter(*table);
        atomic_store(&(*table)->header->notices, 0);
        status = adjust(want, table, events, why);
    }
    if (status == CQ_OK && (*events & CQ_TABLE_RESTARTED) == 0) {
        status = set_calendar(*table, want, events, why);
    }
    if (status != CQ_OK) {
        cq_tablefile_close(*table);
        *table = NULL;
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
        cq_table_enter(*table);
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
            "server once to have it set aside", path, g.version,
            CQ_LAYOUT_VERSION);
        break;
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
    if (status == CQ_OK && !cq_calendar_sound(*table)) {
        status = cq_fail(&why, CQ_ECORRUPT, "%s: the table's calendar is "
            "damaged: start the server once to have it written anew", path);
    }
    if (status != CQ_OK) {
        cq_tablefile_close(*table);
        *table = NULL;
        return status;
    }
    if (writable) {
        cq_table_enter(*table);
    }
    return CQ_OK;
}
