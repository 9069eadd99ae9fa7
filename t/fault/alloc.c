/* alloc - preloaded: one allocation of the program fails, once.
 *
 * CQ_FAULT_ALLOC=N  the N-th since main() is about to begin; 0: none
 * CQ_FAULT_COUNT=FILE  how many there were is written there at the end */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static long fail_at = -1;       /* before the constructor: not counted */
static _Atomic long made;

static int fails(void)
{
    if (fail_at < 0 || ++made != fail_at) {
        return 0;
    }
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}

__attribute__((constructor)) static void begin(void)
{
    const char *number = getenv("CQ_FAULT_ALLOC");

    fail_at = number != NULL ? strtol(number, NULL, 10) : -1;
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("CQ_FAULT_COUNT");
    int fd = path != NULL && fail_at >= 0
        ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;

    if (fd >= 0) {
        dprintf(fd, "%ld\n", made);
        close(fd);
    }
}
