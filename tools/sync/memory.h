/* memory - the state file: what was already reported, nothing else; and the
 * lock beside it, so that one instance works at a time.
 *
 *     clamquota-sync state 2
 *     said LINE
 *     end 3                   lines, this one too: nothing is missing */
#ifndef CQ_SYNC_MEMORY_H
#define CQ_SYNC_MEMORY_H

#include "cli/say.h"

#include <signal.h>

/* All zero bytes: no lock, nothing to save. */
struct cq_memory {
    const char *path;           /* the caller's */
    bool has_lock;
    int lock_fd;
    char *saved;                /* the lines that the file holds; malloc'd */
};

enum cq_lock {
    CQ_LOCK_HELD,
    CQ_LOCK_BUSY,               /* another instance is at work, and was until
                                 * we were stopped */
    CQ_LOCK_NONE,               /* nothing can be written there; work without,
                                 * nothing will be remembered. One sentence */
    CQ_LOCK_REFUSED             /* not permitted. One sentence */
};

/** Takes the lock, PATH.lock, until cq_memory_close(). Makes its directory if
 * only that is missing.
 * @param stop  wait until the lock is free or a signal handler sets this; NULL:
 *              do not wait */
enum cq_lock cq_memory_lock(struct cq_memory *memory, const char *path,
                            const volatile sig_atomic_t *stop,
                            struct cq_say *say);

/** Reads the file; only with the lock. One that is damaged, or that others may
 * write, is set aside as PATH.damaged, which is trouble.
 * @return the lines, malloc'd; NULL: there are none, or no memory */
char *cq_memory_load(struct cq_memory *memory, struct cq_say *say);

/** Writes the lines of this pass unless the file holds them: a temporary file
 * that takes the name. Without the lock nothing is done. */
void cq_memory_save(struct cq_memory *memory, struct cq_say *say);

void cq_memory_close(struct cq_memory *memory);

#endif
