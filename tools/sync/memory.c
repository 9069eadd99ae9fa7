/* memory - the state file and its lock. */
#include "sync/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIRST_LINE "clamquota-sync state 2\n"

/* A file above this is none of ours. */
#define SIZE_MAX_BYTES (2 * CQ_SAY_KEPT_MAX)

/* @param name  result: "", which no file has, if it is too long */
static const char *add_suffix(char name[PATH_MAX], const char *path,
                              const char *suffix)
{
    if (snprintf(name, PATH_MAX, "%s%s", path, suffix) >= PATH_MAX) {
        name[0] = '\0';
    }
    return name;
}

/* ---- the lock ---- */

/* Makes its directory, too, if only that is missing. */
static int open_lock(const char *path)
{
    const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    char name[PATH_MAX];
    int fd = open(add_suffix(name, path, ".lock"), flags, 0600);
    char *slash = strrchr(name, '/');

    if (fd < 0 && errno == ENOENT && slash != NULL) {
        *slash = '\0';
        if (mkdir(name, 0755) == 0 || errno == EEXIST) {
            *slash = '/';
            fd = open(name, flags, 0600);
        }
    }
    return fd;
}

/* A signal that comes between a look at `stop` and flock() would not end a
 * flock() that waits: so none does. */
static bool wait_for_lock(int fd, const char *path,
                          const volatile sig_atomic_t *stop,
                          struct cq_say *say)
{
    const struct timespec pause = { 0, 100000000 };
    bool is_waiting = false;

    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (stop == NULL || *stop) {
            return false;
        }
        if (!is_waiting) {
            cq_say_info(say, "waits for another clamquota-sync that works "
                        "with %s", path);
            is_waiting = true;
        }
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

enum cq_lock cq_memory_lock(struct cq_memory *memory, const char *path,
                            const volatile sig_atomic_t *stop,
                            struct cq_say *say)
{
    int fd = open_lock(path);

    if (fd < 0) {
        bool refused = errno == EACCES || errno == EPERM;

        cq_say_trouble(say, "%s.lock: cannot be made: %s; %s", path,
                       strerror(errno), refused
                       ? "run clamquota-sync as root, or name a file with "
                         "--state"
                       : "trouble is reported each time, as nothing can be "
                         "remembered");
        return refused ? CQ_LOCK_REFUSED : CQ_LOCK_NONE;
    }
    if (!wait_for_lock(fd, path, stop, say)) {
        close(fd);
        return CQ_LOCK_BUSY;
    }
    memory->path = path;
    memory->lock_fd = fd;
    memory->has_lock = true;
    return CQ_LOCK_HELD;
}

/* ---- the file ---- */

/* Leaves the lines alone of a whole file; false: it is damaged. */
static bool cut_lines(char *text, size_t size)
{
    char *line = text + strlen(FIRST_LINE), *end;
    char last[32];
    size_t n = 2;

    if (strlen(text) != size
        || strncmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0) {
        return false;
    }
    for (; strncmp(line, "said ", 5) == 0
         && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        n++;
    }
    snprintf(last, sizeof(last), "end %zu\n", n);
    if (strcmp(line, last) != 0) {
        return false;
    }
    *line = '\0';
    line = text + strlen(FIRST_LINE);
    memmove(text, line, strlen(line) + 1);
    return true;
}

/* @param why  result: what is wrong with it; NULL: nothing */
static char *read_lines(int fd, const char **why)
{
    char *text = NULL;
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)
        || st.st_size > SIZE_MAX_BYTES
        || (st.st_uid != 0 && st.st_uid != geteuid())
        || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        *why = "is not a file that only this user writes";
        return NULL;
    }
    text = calloc(1, (size_t)st.st_size + 1);
    n = text == NULL ? -1 : read(fd, text, (size_t)st.st_size);
    *why = n < 0 ? "cannot be read"
        : !cut_lines(text, (size_t)n) ? "is damaged" : NULL;
    if (*why != NULL) {
        free(text);
        text = NULL;
    }
    return text;
}

static void set_aside(const char *path, const char *why, struct cq_say *say)
{
    char aside[PATH_MAX];

    if (rename(path, add_suffix(aside, path, ".damaged")) == 0) {
        cq_say_trouble(say, "%s: %s; it was set aside as %s", path, why,
                       aside);
    }
    else {
        cq_say_trouble(say, "%s: %s; it is not used", path, why);
    }
}

char *cq_memory_load(struct cq_memory *memory, struct cq_say *say)
{
    int fd = open(memory->path,
                  O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    const char *why = fd < 0 && errno == ELOOP ? "is a symbolic link" : NULL;
    char *lines = NULL;

    if (fd >= 0) {
        lines = read_lines(fd, &why);
        close(fd);
    }
    if (why != NULL) {
        set_aside(memory->path, why, say);
    }
    memory->saved = lines != NULL ? strdup(lines) : NULL;
    return lines;
}

static bool write_lines(const char *name, const char *lines)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                  0600);
    const char *at;
    size_t n = 2;
    bool good;

    for (at = lines; *at != '\0'; at++) {
        n += *at == '\n';
    }
    /* what a power failure takes is reported again */
    good = fd >= 0 && dprintf(fd, FIRST_LINE "%send %zu\n", lines, n) >= 0;
    return fd >= 0 && close(fd) == 0 && good;
}

void cq_memory_save(struct cq_memory *memory, struct cq_say *say)
{
    const char *lines = say->now != NULL ? say->now : "";
    char name[PATH_MAX];

    if (!memory->has_lock
        || strcmp(lines, memory->saved != NULL ? memory->saved : "") == 0) {
        return;
    }
    /* one that was left there by a killed instance; we hold the lock */
    (void)unlink(add_suffix(name, memory->path, ".new"));
    if (write_lines(name, lines) && rename(name, memory->path) == 0) {
        free(memory->saved);
        memory->saved = strdup(lines);
    }
    else {
        cq_say_trouble(say, "%s: cannot be written: %s", memory->path,
                       strerror(errno));
        (void)unlink(name);
    }
}

void cq_memory_close(struct cq_memory *memory)
{
    free(memory->saved);
    if (memory->has_lock) {
        close(memory->lock_fd);
    }
    *memory = (struct cq_memory){ .path = NULL };
}
