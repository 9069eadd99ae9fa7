/* file - between tablefile.c, view.c, newfile.c and validate.c. Private to
 * table/. */
#ifndef CQ_TABLE_FILE_H
#define CQ_TABLE_FILE_H

#include "table/parts.h"
#include "table/tablefile.h"

#include <sys/types.h>

/* where a sentence about a failure goes */
struct cq_why {
    char *text;
    size_t size;
};

/** Writes the sentence and returns the status, so that a failure is one line
 * where it happens. */
enum cq_status cq_fail(const struct cq_why *why, enum cq_status status,
                       const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** CQ_EACCES or CQ_EIO for an errno. */
enum cq_status cq_status_from_errno(int error);

/** Maps an open file whose geometry was found sound; what the file itself
 * says of that from now on is not asked.
 * @param table  result: allocated; fd is kept in it */
enum cq_status cq_file_map(int fd, const struct cq_geometry *geometry,
                           bool writable, const char *path,
                           struct cq_table **table,
                           const struct cq_why *why);

/** Makes a new table under a temporary name, locked, not yet at its path.
 * @param temporary  result: its path, malloc'd; the caller renames or unlinks
 *                   it and frees this */
enum cq_status cq_newfile_make(const struct cq_tablefile_want *want,
                               struct cq_table **table, char **temporary,
                               const struct cq_why *why);

enum cq_publish {
    CQ_PUBLISH_NEW,             /* CQ_ELOCKED when another server was quicker */
    CQ_PUBLISH_OVER             /* in place of the file that has the name, which
                                 * this process holds locked */
};

/** Gives it its name and makes that durable. */
enum cq_status cq_newfile_publish(const struct cq_table *table,
                                  const char *temporary, const char *path,
                                  enum cq_publish how,
                                  const struct cq_why *why);

/** Copies what outlives a change of size: pools, policies, totals, history,
 * seed and, if wanted, the rows. No other process uses either table; sections
 * that from does not have are NULL.
 * @return CQ_EFULL when a client of this period does not fit */
enum cq_status cq_newfile_copy(struct cq_table *to,
                               const struct cq_table *from, bool rows);

/* a table of layout 2, open for reading its counters */
struct cq_import {
    struct cq_table table;      /* a view of it, private to this process */
    void *base;
    size_t size;
};

/** Opens a file of layout 2 and repairs what was read of it; the file itself
 * is never changed.
 * @param fd  stays the caller's
 * @return CQ_OK; CQ_ECORRUPT, without a sentence, when it is none or damaged;
 *         CQ_EIO, CQ_ENOMEM. To be closed in any case. */
enum cq_status cq_import_open(int fd, const char *path,
                              struct cq_import *import,
                              const struct cq_why *why);
void cq_import_close(struct cq_import *import);

/* what a file is, by its first page and its size alone */
enum cq_file_kind {
    CQ_FILE_GOOD,
    CQ_FILE_OLDER,
    CQ_FILE_DAMAGED,            /* ours, or empty, or zeros */
    CQ_FILE_BAD
};

/** Looks at an open file without believing a byte of it.
 * @param status  for CQ_FILE_BAD and CQ_FILE_DAMAGED: what to return, after
 *                the sentence */
enum cq_file_kind cq_file_validate(int fd, const char *path,
                                   struct cq_geometry *geometry,
                                   enum cq_status *status,
                                   const struct cq_why *why);

/** Looks at the counts in a mapped file's header.
 * @return CQ_OK or CQ_ECORRUPT */
enum cq_status cq_file_counts(const struct cq_table *table, const char *path,
                              const struct cq_why *why);

/** Takes the lock of a server on a file, for this process.
 * @param wait_ms  how long to try when another process has it */
enum cq_status cq_file_lock(int fd, const char *path, int wait_ms,
                            const struct cq_why *why);

/** Gives a file another name, under which there must be none: EEXIST, else as
 * rename(2). Needs no hard links where the system can do without. */
bool cq_file_rename(const char *from, const char *to);

/** Opens an existing file: a regular one, not through a symlink.
 * @return CQ_ENOENT when there is none */
enum cq_status cq_file_open(const char *path, bool writable, int *fd,
                            const struct cq_why *why);

#endif
