/* memory - the state file: what was already reported, nothing else; and the
 * lock beside it, so that one instance works at a time.
 *
 *     clamquota-sync state 2
 *     said LINE
 *     end 3                   lines, this one too: nothing is missing */
#ifndef CQ_SYNC_MEMORY_H
#define CQ_SYNC_MEMORY_H

#include "cli/exit.h"
#include "cli/say.h"

#include <stdint.h>

/* All zero bytes: no lock, nothing to save. */
struct cq_memory {
    const char *path;           /* the caller's */
    int lock_fd;
    bool has_lock;
    uint64_t sum;               /* of the lines that the file holds */
};

enum cq_lock {
    CQ_LOCK_HELD,
    CQ_LOCK_BUSY,               /* another instance is at work */
    CQ_LOCK_INTERRUPTED,        /* a signal came while it waited */
    CQ_LOCK_NONE,               /* nothing can be written there; work without,
                                 * nothing will be remembered. One sentence */
    CQ_LOCK_REFUSED             /* not permitted. One sentence */
};

/** Takes the lock, PATH.lock, until cq_memory_close().
 * @param makes_directory  if only the directory is missing
 * @param waits  until the lock is free, or a signal comes */
enum cq_lock cq_memory_lock(struct cq_memory *memory, const char *path,
                            bool makes_directory, bool waits,
                            struct cq_say *say);

/** Remembers the lines of the file as said before. One that is damaged, or
 * that others may write, is set aside as PATH.damaged if the lock is held,
 * which is trouble. No file, or none that we may read, is an empty one. */
void cq_memory_load(struct cq_memory *memory, const char *path,
                    struct cq_say *say);

/** Writes the lines of this pass unless the file holds them: a temporary file
 * that takes the name. Only with the lock. */
void cq_memory_save(struct cq_memory *memory, struct cq_say *say);

void cq_memory_close(struct cq_memory *memory);

#endif
