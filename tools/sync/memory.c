/* memory - the state file and its lock. */
#include "sync/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_LINE "clamquota-sync state 2"

/* A file above this is none of ours: CQ_SAY_LINES_MAX lines of CQ_SAY_SIZE */
#define SIZE_MAX_BYTES (INT64_C(2) << 20)

/* PATH with something behind it; malloc'd. */
static char *beside(const char *path, const char *end)
{
    size_t size = strlen(path) + strlen(end) + 1;
    char *text = malloc(size);

    if (text != NULL) {
        snprintf(text, size, "%s%s", path, end);
    }
    return text;
}

/* ---- the lock ---- */

/* @return false with errno */
static bool make_directory(const char *path)
{
    char *directory = strdup(path);
    char *slash = directory != NULL ? strrchr(directory, '/') : NULL;
    bool made = false;
    int error;

    if (slash != NULL && slash != directory) {
        *slash = '\0';
        made = mkdir(directory, 0755) == 0 || errno == EEXIST;
    }
    error = errno;
    free(directory);
    errno = error;
    return made;
}

static int open_lock(const char *path, bool makes_directory)
{
    const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    char *name = beside(path, ".lock");
    int fd, error;

    if (name == NULL) {
        errno = ENOMEM;
        return -1;
    }
    fd = open(name, flags, 0600);
    if (fd < 0 && errno == ENOENT && makes_directory && make_directory(path)) {
        fd = open(name, flags, 0600);
    }
    error = errno;
    free(name);
    errno = error;
    return fd;
}

enum cq_lock cq_memory_lock(struct cq_memory *memory, const char *path,
                            bool makes_directory, bool waits,
                            struct cq_say *say)
{
    int fd = open_lock(path, makes_directory);

    memory->path = path;
    if (fd < 0 && (errno == EACCES || errno == EPERM)) {
        cq_say_trouble(say, "%s.lock: cannot be made: %s; run clamquota-sync "
                       "as root, or name a file with --state", path,
                       strerror(errno));
        return CQ_LOCK_REFUSED;
    }
    if (fd < 0) {
        cq_say_trouble(say, "%s.lock: cannot be made: %s; trouble is reported "
                       "each time, as nothing can be remembered", path,
                       strerror(errno));
        return CQ_LOCK_NONE;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (!waits || errno != EWOULDBLOCK) {
            close(fd);
            return CQ_LOCK_BUSY;
        }
        cq_say_info(say, "waits for another clamquota-sync that works with "
                    "%s", path);
        if (flock(fd, LOCK_EX) != 0) {
            close(fd);
            return CQ_LOCK_INTERRUPTED;
        }
    }
    memory->lock_fd = fd;
    memory->has_lock = true;
    return CQ_LOCK_HELD;
}

/* ---- loading ---- */

static void set_aside(const struct cq_memory *memory, const char *path,
                      const char *why, struct cq_say *say)
{
    char *aside = memory->has_lock ? beside(path, ".damaged") : NULL;

    if (aside != NULL && rename(path, aside) == 0) {
        cq_say_trouble(say, "%s: %s; it was set aside as %s", path, why,
                       aside);
    }
    else {
        cq_say_trouble(say, "%s: %s; it is not used", path, why);
    }
    free(aside);
}

/* The lines of a whole file; false: it is damaged. */
static bool parse(char *text, size_t size, struct cq_say *say)
{
    char *line, *end;
    size_t n = 0;

    if (size == 0 || text[size - 1] != '\n' || strlen(text) != size) {
        return false;
    }
    for (line = text; *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        *end = '\0';
        n++;
        if (n == 1 ? strcmp(line, FIRST_LINE) != 0
                   : strncmp(line, "said ", 5) != 0) {
            char last[32];

            snprintf(last, sizeof(last), "end %zu", n);
            return n > 1 && strcmp(line, last) == 0 && end[1] == '\0';
        }
        if (n > 1) {
            cq_say_remember(say, line + 5);
        }
    }
    return false;
}

static uint64_t add_up(const struct cq_say_lines *lines)
{
    uint64_t sum = lines->count;
    size_t i;

    /* FNV-1a (Fowler, Noll, Vo), 64 bits, of each line, in any order; nothing
     * is gained by lines that collide */
    for (i = 0; i < lines->count; i++) {
        uint64_t hash = UINT64_C(14695981039346656037);
        const char *at;

        for (at = lines->lines[i]; *at != '\0'; at++) {
            hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
        }
        sum += hash;
    }
    return sum;
}

/* NULL: whole; else what is wrong with it. */
static const char *load_open(int fd, struct cq_say *say)
{
    struct stat st;
    const char *why = NULL;
    char *text;
    ssize_t n;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)
        || st.st_size > SIZE_MAX_BYTES
        || (st.st_uid != 0 && st.st_uid != geteuid())
        || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return "is not a file that only this user writes";
    }
    text = calloc(1, (size_t)st.st_size + 1);
    n = text == NULL ? -1 : read(fd, text, (size_t)st.st_size);
    if (n < 0) {
        why = "cannot be read";
    }
    else if (!parse(text, (size_t)n, say)) {
        why = "is damaged";
    }
    free(text);
    return why;
}

void cq_memory_load(struct cq_memory *memory, const char *path,
                    struct cq_say *say)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    const char *why;

    memory->sum = add_up(&(struct cq_say_lines){ .count = 0 });
    if (fd < 0) {
        if (errno == ELOOP) {
            set_aside(memory, path, "is a symbolic link", say);
        }
        return;
    }
    why = load_open(fd, say);
    close(fd);
    if (why != NULL) {
        set_aside(memory, path, why, say);
        return;
    }
    memory->sum = add_up(&say->before);
}

/* ---- saving ---- */

static bool write_whole(int fd, const struct cq_say_lines *said)
{
    FILE *out = fdopen(fd, "w");
    size_t i;
    bool good;

    if (out == NULL) {
        close(fd);
        return false;
    }
    fputs(FIRST_LINE "\n", out);
    for (i = 0; i < said->count; i++) {
        fprintf(out, "said %s\n", said->lines[i]);
    }
    fprintf(out, "end %zu\n", said->count + 2);
    good = fflush(out) == 0 && !ferror(out);
    /* what a power failure takes is reported again */
    return (fclose(out) == 0) && good;
}

void cq_memory_save(struct cq_memory *memory, struct cq_say *say)
{
    uint64_t sum = add_up(&say->now);
    char *temporary;
    int fd = -1;

    if (!memory->has_lock || sum == memory->sum) {
        return;
    }
    temporary = beside(memory->path, ".new");
    if (temporary != NULL) {
        /* one that was left there by a killed instance; we hold the lock */
        (void)unlink(temporary);
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
                                 | O_CLOEXEC, 0600);
    }
    if (fd >= 0 && write_whole(fd, &say->now)
        && rename(temporary, memory->path) == 0) {
        memory->sum = sum;
    }
    else {
        cq_say_trouble(say, "%s: cannot be written: %s", memory->path,
                       strerror(errno));
        if (temporary != NULL) {
            (void)unlink(temporary);
        }
    }
    free(temporary);
}

void cq_memory_close(struct cq_memory *memory)
{
    if (memory->has_lock) {
        close(memory->lock_fd);
        memory->has_lock = false;
    }
}
