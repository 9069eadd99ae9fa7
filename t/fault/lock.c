/* lock - preloaded into httpd, which leads its session: while the file
 * CQ_FAULT_LOCK exists, no other process of it acquires a lock. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fcntl(int fd, int command, ...)
{
    const char *path = getenv("CQ_FAULT_LOCK");
    va_list list;
    long argument;

    va_start(list, command);
    argument = va_arg(list, long);
    va_end(list);
    if (command == F_SETLK && getpid() != getsid(0) && path != NULL
        && access(path, F_OK) == 0) {
        errno = ENOLCK;
        return -1;
    }
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));
