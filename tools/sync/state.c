/* state - keeps the state file: locks it, loads it, puts a new one in its
 * place. What stands in it is state_text.c's business. */
#include "sync/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A state above this is none of ours: two million addresses take a tenth. */
#define SIZE_MAX_BYTES (INT64_C(1) << 30)

/* What we own in network namespaces that nobody visits is forgotten after
 * this: longer than any lease that makes sense, so nothing is left there. */
#define FORGET_S (INT64_C(7) * 86400)

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_SIZE 64

static enum state_result fail(struct say *say, const char *path,
                              const char *what)
{
    int error = errno;

    say_trouble(say, "%s: %s: %s", path, what, strerror(error));
    return error == EACCES || error == EPERM ? STATE_NOT_PERMITTED
        : error == EROFS ? STATE_READ_ONLY : STATE_FAILED;
}

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

/* The directory of a path; malloc'd. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return strdup(".");
    }
    return slash == path ? strdup("/")
                         : strndup(path, (size_t)(slash - path));
}

static void read_boot(char boot[BOOT_SIZE])
{
    FILE *file = fopen(BOOT_ID, "re");

    snprintf(boot, BOOT_SIZE, "unknown");
    if (file != NULL) {
        char line[BOOT_SIZE];

        if (fgets(line, sizeof(line), file) != NULL) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(boot, BOOT_SIZE, "%s", line);
        }
        fclose(file);
    }
}

/* ---- the lock ---- */

static void make_directory(const char *path)
{
    char *directory = directory_of(path);

    if (directory != NULL) {
        (void)mkdir(directory, 0750);
    }
    free(directory);
}

enum state_result state_lock(struct state *state, const char *path,
                             bool make_dir, struct say *say)
{
    const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    char *name = beside(path, ".lock");
    enum state_result result = STATE_OK;
    int fd;

    if (name == NULL) {
        errno = ENOMEM;
        return fail(say, path, "cannot be locked");
    }
    fd = open(name, flags, 0600);
    if (fd < 0 && errno == ENOENT && make_dir) {
        make_directory(path);
        fd = open(name, flags, 0600);
    }
    if (fd < 0) {
        result = fail(say, name, "the lock cannot be made");
    }
    else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        result = errno == EWOULDBLOCK ? STATE_BUSY
                                      : fail(say, name, "cannot be locked");
        close(fd);
    }
    else {
        state->lock_fd = fd;
        state->locked = true;
    }
    free(name);
    return result;
}

/* ---- loading ---- */

static void clear(struct state *state)
{
    size_t i;

    for (i = 0; i < state->jail_n; i++) {
        free(state->jails[i].spec);
        free(state->jails[i].owned);
    }
    for (i = 0; i < state->file_n; i++) {
        free(state->files[i].path);
        key_list_free(&state->files[i].keys);
    }
    free(state->jails);
    free(state->files);
    state->jails = NULL;
    state->files = NULL;
    state->jail_n = state->file_n = 0;
}

/* Nothing in it is believed: it could have us take out what others put in. */
static void set_aside(const struct state *state, const char *path,
                      const char *why, struct say *say)
{
    char *aside = state->locked ? beside(path, ".damaged") : NULL;
    bool moved = aside != NULL && rename(path, aside) == 0;

    say_trouble(say, "%s: %s; %s%s, and whoever is jailed now stays until "
                "his time is over", path, why,
                moved ? "it was set aside as " : "it is not believed",
                moved ? aside : "");
    free(aside);
}

static char *slurp(int fd, size_t size)
{
    char *text = malloc(size + 1);
    size_t done = 0;
    ssize_t n = 1;

    while (text != NULL && done < size && n != 0) {
        n = read(fd, text + done, size - done);
        if (n < 0 && errno != EINTR) {
            free(text);
            return NULL;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    if (text != NULL) {
        /* one that became shorter ends in NULs, which it may not hold */
        memset(text + done, 0, size + 1 - done);
    }
    return text;
}

static enum state_result load_open(struct state *state, int fd,
                                   struct say *say)
{
    char boot[BOOT_SIZE], why_text[160];
    const char *why;
    struct stat st;
    size_t line;
    char *text;

    if (fstat(fd, &st) != 0) {
        return fail(say, state->path, "cannot be read");
    }
    if (!S_ISREG(st.st_mode) || st.st_size > SIZE_MAX_BYTES
        || (st.st_uid != 0 && st.st_uid != geteuid())
        || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        set_aside(state, state->path, "is not a file that only we write",
                  say);
        return STATE_OK;
    }
    text = slurp(fd, (size_t)st.st_size);
    if (text == NULL) {
        return fail(say, state->path, "cannot be read");
    }
    read_boot(boot);
    why = state_read(state, text, (size_t)st.st_size, boot, say, &line);
    free(text);
    if (why != NULL) {
        clear(state);
        snprintf(why_text, sizeof(why_text), "line %zu is damaged (%s)", line,
                 why);
        set_aside(state, state->path, why_text, say);
        state->changed = true;
    }
    return STATE_OK;
}

static void forget_old(struct state *state)
{
    uint64_t here = state_netns();
    int64_t now_s = (int64_t)time(NULL);
    size_t i, j;

    for (i = 0; i < state->jail_n; i++) {
        struct state_jail *jail = &state->jails[i];
        bool old = jail->netns != here;

        for (j = 0; j < jail->owned_n && old; j++) {
            old = jail->owned[j].renewed_at_s < now_s - FORGET_S;
        }
        if (old) {
            jail->owned_n = 0;
        }
    }
}

enum state_result state_load(struct state *state, const char *path,
                             struct say *say)
{
    enum state_result result;
    int fd;

    free(state->path);
    state->path = strdup(path);
    if (state->path == NULL) {
        errno = ENOMEM;
        return fail(say, path, "cannot be read");
    }
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return STATE_OK;
        }
        return fail(say, path, errno == ELOOP
                    ? "is a symbolic link, expected the state file"
                    : "cannot be read");
    }
    result = load_open(state, fd, say);
    close(fd);
    forget_old(state);
    return result;
}

/* ---- saving ---- */

/* Makes the new file whole and durable under its temporary name. */
static bool write_whole(const struct state *state,
                        const struct say_lines *said, int fd)
{
    char boot[BOOT_SIZE];
    FILE *out = fdopen(fd, "w");
    bool good;

    if (out == NULL) {
        close(fd);
        return false;
    }
    read_boot(boot);
    state_write(state, said, boot, out);
    good = fflush(out) == 0 && ferror(out) == 0 && fsync(fd) == 0;
    /* close() has nothing left to lose */
    fclose(out);
    return good;
}

static void sync_directory(const char *path)
{
    char *directory = directory_of(path);
    int fd = directory == NULL ? -1
                               : open(directory, O_RDONLY | O_CLOEXEC);

    /* not every file system can; then the name is written a little later */
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(directory);
}

enum state_result state_save(struct state *state,
                             const struct say_lines *said, struct say *say)
{
    char *temporary = beside(state->path, ".new");
    enum state_result result = STATE_OK;
    int fd;

    if (temporary == NULL) {
        errno = ENOMEM;
        return fail(say, state->path, "cannot be written");
    }
    /* what somebody left there who was killed; we hold the lock */
    (void)unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
              0600);
    if (fd < 0) {
        result = fail(say, temporary, "cannot be made");
    }
    else if (!write_whole(state, said, fd)
             || rename(temporary, state->path) != 0) {
        result = fail(say, state->path, "cannot be written");
        (void)unlink(temporary);
    }
    else {
        sync_directory(state->path);
        state->changed = false;
    }
    free(temporary);
    return result;
}

/* ---- looking and noting ---- */

uint64_t state_netns(void)
{
    struct stat st;

    return stat("/proc/self/ns/net", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static struct state_jail *find_jail(struct state *state, const char *spec)
{
    uint64_t netns = state_netns();
    struct state_jail *jails;
    size_t i;

    for (i = 0; i < state->jail_n; i++) {
        if (state->jails[i].netns == netns
            && strcmp(state->jails[i].spec, spec) == 0) {
            return &state->jails[i];
        }
    }
    jails = reallocarray(state->jails, state->jail_n + 1, sizeof(jails[0]));
    if (jails == NULL) {
        return NULL;
    }
    state->jails = jails;
    memset(&jails[i], 0, sizeof(jails[i]));
    jails[i].netns = netns;
    jails[i].spec = strdup(spec);
    if (jails[i].spec == NULL) {
        return NULL;
    }
    state->jail_n++;
    return &jails[i];
}

const struct state_jail *state_jail(struct state *state, const char *spec)
{
    return find_jail(state, spec);
}

static bool same_owned(const struct state_jail *jail,
                       const struct plan_owned *owned, size_t owned_n)
{
    size_t i;

    if (jail->owned_n != owned_n) {
        return false;
    }
    for (i = 0; i < owned_n; i++) {
        if (jail->owned[i].renewed_at_s != owned[i].renewed_at_s
            || cq_key_compare(&jail->owned[i].key, &owned[i].key) != 0) {
            return false;
        }
    }
    return true;
}

bool state_own(struct state *state, const char *spec,
               const struct plan_owned *owned, size_t owned_n)
{
    struct state_jail *jail = find_jail(state, spec);
    struct plan_owned *copy;

    if (jail == NULL) {
        return false;
    }
    if (same_owned(jail, owned, owned_n)) {
        return true;
    }
    copy = reallocarray(NULL, owned_n + 1, sizeof(copy[0]));
    if (copy == NULL) {
        return false;
    }
    if (owned_n > 0) {
        memcpy(copy, owned, owned_n * sizeof(copy[0]));
    }
    free(jail->owned);
    jail->owned = copy;
    jail->owned_n = owned_n;
    state->changed = true;
    return true;
}

const struct key_list *state_file(const struct state *state, const char *path)
{
    size_t i;

    for (i = 0; i < state->file_n; i++) {
        if (strcmp(state->files[i].path, path) == 0) {
            return &state->files[i].keys;
        }
    }
    return NULL;
}

static bool copy_keys(struct key_list *to, const struct key_list *from)
{
    struct key_list copy = { .keys = NULL };
    size_t i;

    for (i = 0; i < from->count; i++) {
        if (!key_list_add(&copy, &from->keys[i])) {
            key_list_free(&copy);
            return false;
        }
    }
    key_list_free(to);
    *to = copy;
    return true;
}

bool state_remember(struct state *state, const char *path,
                    const struct key_list *keys)
{
    struct state_file *files;
    size_t i;

    for (i = 0; i < state->file_n; i++) {
        if (strcmp(state->files[i].path, path) == 0) {
            if (key_list_equal(&state->files[i].keys, keys)) {
                return true;
            }
            state->changed = true;
            return copy_keys(&state->files[i].keys, keys);
        }
    }
    files = reallocarray(state->files, state->file_n + 1, sizeof(files[0]));
    if (files == NULL) {
        return false;
    }
    state->files = files;
    memset(&files[i], 0, sizeof(files[i]));
    files[i].path = strdup(path);
    if (files[i].path == NULL || !copy_keys(&files[i].keys, keys)) {
        free(files[i].path);
        return false;
    }
    state->file_n++;
    state->changed = true;
    return true;
}

void state_free(struct state *state)
{
    clear(state);
    free(state->path);
    if (state->locked) {
        close(state->lock_fd);
    }
    memset(state, 0, sizeof(*state));
}
