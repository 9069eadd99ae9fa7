/* alloc - preloaded: one allocation of the program fails, once.
 *
 * CQ_FAULT_ALLOC=N  the N-th since main() is about to begin; 0: none
 * CQ_FAULT_OBJECT=NAME  only those count that this object asks for
 * CQ_FAULT_COUNT=FILE  how many there were is written there at the end
 * CQ_FAULT_VIEWS=N  SIGTERM comes in the N-th wait for a second */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static long fail_at = -1;       /* before the constructor: not counted */
static const char *object;
static _Atomic long made;

static int fails(const void *caller)
{
    Dl_info info;

    if (fail_at < 0 || (object != NULL && (dladdr(caller, &info) == 0
                        || strstr(info.dli_fname, object) == NULL))
        || ++made != fail_at) {
        return 0;
    }
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL
        : __libc_realloc(old, size);
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
          const sigset_t *mask)
{
    static int waits;
    const char *views = getenv("CQ_FAULT_VIEWS");
    struct timespec left = timeout != NULL ? *timeout
        : (struct timespec){ 0, 0 };

    if (views != NULL && left.tv_sec * 1000 + left.tv_nsec / 1000000 > 900
        && ++waits == atoi(views)) {
        raise(SIGTERM);
    }
    return (int)syscall(SYS_ppoll, fds, n, timeout != NULL ? &left : NULL, mask,
                        _NSIG / 8);
}

__attribute__((constructor)) static void begin(void)
{
    const char *number = getenv("CQ_FAULT_ALLOC");

    object = getenv("CQ_FAULT_OBJECT");
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
