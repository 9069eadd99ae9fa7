/* lists - reads the deny and never files. */
#include "sync/lists.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool cq_lists_open(struct cq_lists *lists, const struct cq_texts *deny,
                   const struct cq_texts *never)
{
    size_t i;

    lists->deny_n = deny->count;
    lists->count = deny->count + never->count;
    lists->files = calloc(lists->count + 1, sizeof(lists->files[0]));
    if (lists->files == NULL) {
        lists->count = 0;
        return false;
    }
    for (i = 0; i < lists->count; i++) {
        lists->files[i].path = i < deny->count
            ? deny->texts[i] : never->texts[i - deny->count];
        lists->files[i].form = i < deny->count ? CQ_DENY_ANY_FORM
                                               : CQ_DENY_PLAIN_ONLY;
    }
    return true;
}

/* ---- one file ---- */

/* Opens a regular file and nothing else. A link in the place of a list may
 * lead to a device, and even to open one can do something: /dev/watchdog
 * resets the machine. O_PATH opens nothing of it. */
static int open_regular(const char *path, struct stat *st)
{
    char name[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
    int at = open(path, O_PATH | O_CLOEXEC);
    int fd = -1, error;

    if (at < 0) {
        return -1;
    }
    if (fstat(at, st) == 0) {
        errno = S_ISDIR(st->st_mode) ? EISDIR : EINVAL;
        if (S_ISREG(st->st_mode)) {
            snprintf(name, sizeof(name), "/proc/self/fd/%d", at);
            fd = open(name, O_RDONLY | O_CLOEXEC);
        }
    }
    error = errno;
    close(at);
    errno = error;
    return fd;
}

/* Reads an open file up to size bytes; NULL with errno. */
static char *read_text(int fd, size_t size, size_t *length)
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
    *length = done;
    return text;
}

/* Milliseconds until the file counts as written; <= 0: it does. One whose time
 * lies ahead was given it, and counts too. */
static int64_t rest_ms(const struct stat *st)
{
    struct timespec now;
    int64_t age_ms;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    age_ms = ((int64_t)now.tv_sec - st->st_mtim.tv_sec) * 1000
        + (now.tv_nsec - st->st_mtim.tv_nsec) / 1000000;
    return age_ms < 0 ? 0 : CQ_LIST_QUIET_MS - age_ms;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino
        && a->st_size == b->st_size
        && a->st_mtim.tv_sec == b->st_mtim.tv_sec
        && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec
        && a->st_ctim.tv_sec == b->st_ctim.tv_sec
        && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

enum outcome {
    OUTCOME_READ,
    OUTCOME_SAME,               /* nothing has changed since it was read */
    OUTCOME_RESTLESS,           /* it is being written */
    OUTCOME_FAILED              /* errno, or a reason */
};

static enum outcome read_open(struct cq_list *list, int fd,
                              const struct stat *st, struct cq_say *say,
                              const char **why)
{
    enum cq_status status;
    struct stat after;
    size_t length = 0;
    char *text;

    if (st->st_size > CQ_LIST_SIZE_MAX) {
        *why = "it is larger than 64 MiB, expected a list of addresses";
        return OUTCOME_FAILED;
    }
    if (rest_ms(st) > 0) {
        return OUTCOME_RESTLESS;
    }
    if (st->st_size == 0 && list->form == CQ_DENY_PLAIN_ONLY) {
        *why = "it is empty, as after a write that failed; expected addresses "
               "or a comment";
        return OUTCOME_FAILED;
    }
    text = read_text(fd, (size_t)st->st_size, &length);
    if (text == NULL) {
        return OUTCOME_FAILED;
    }
    if (fstat(fd, &after) != 0 || !is_same_file(st, &after)) {
        free(text);
        return OUTCOME_RESTLESS;
    }
    status = cq_deny_parse(list->path, text, length, list->form,
                           &list->entries, say);
    free(text);
    if (status != CQ_OK) {
        errno = ENOMEM;
        return OUTCOME_FAILED;
    }
    return OUTCOME_READ;
}

static enum outcome read_file(struct cq_list *list, struct cq_say *say,
                              const char **why, struct stat *st)
{
    int fd = open_regular(list->path, st);
    enum outcome outcome;

    if (fd < 0) {
        *why = errno == EINVAL ? "it is no regular file" : NULL;
        return OUTCOME_FAILED;
    }
    outcome = read_open(list, fd, st, say, why);
    close(fd);
    if (outcome == OUTCOME_READ && list->is_known
        && is_same_file(st, &list->st)) {
        outcome = OUTCOME_SAME;
    }
    return outcome;
}

/* ---- all of them ---- */

static void report_failure(const struct cq_list *list, const char *why,
                           struct cq_say *say)
{
    const char *reason = why != NULL ? why : strerror(errno);

    if (list->is_known) {
        cq_say_trouble(say, "%s: cannot be read: %s; what it said before "
                       "still holds", list->path, reason);
    }
    else if (list->form == CQ_DENY_ANY_FORM) {
        cq_say_trouble(say, "%s: cannot be read: %s; until it can, no address "
                       "is released", list->path, reason);
    }
    else {
        cq_say_trouble(say, "%s: cannot be read: %s; until it can, no client "
                       "is jailed anew", list->path, reason);
    }
}

static bool read_list(struct cq_list *list, bool waits, bool *is_restless,
                      struct cq_say *say)
{
    const char *why = NULL;
    struct stat st = { 0 };
    enum outcome outcome = read_file(list, say, &why, &st);
    int tries;

    for (tries = 0; outcome == OUTCOME_RESTLESS && waits && tries < 2;
         tries++) {
        int64_t ms = rest_ms(&st);
        struct timespec pause = { ms / 1000, (ms % 1000 + 1) * 1000000 };

        if (ms > 0) {
            (void)nanosleep(&pause, NULL);
        }
        outcome = read_file(list, say, &why, &st);
    }
    *is_restless |= outcome == OUTCOME_RESTLESS;
    switch (outcome) {
    case OUTCOME_READ:
        list->is_known = true;
        list->st = st;
        return true;
    case OUTCOME_SAME:
        return false;
    case OUTCOME_RESTLESS:
        cq_say_note(say, "%s: is being written, and read at the next look",
                    list->path);
        return false;
    case OUTCOME_FAILED:
        report_failure(list, why, say);
        return false;
    }
    return false;
}

bool cq_lists_read(struct cq_lists *lists, bool waits, struct cq_say *say)
{
    bool changed = false;
    size_t i;

    lists->is_restless = false;
    for (i = 0; i < lists->count; i++) {
        changed |= read_list(&lists->files[i], waits, &lists->is_restless,
                             say);
    }
    return changed;
}

static bool are_known(const struct cq_list *files, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (!files[i].is_known) {
            return false;
        }
    }
    return true;
}

bool cq_lists_know_denied(const struct cq_lists *lists)
{
    return are_known(lists->files, lists->deny_n);
}

bool cq_lists_know_never(const struct cq_lists *lists)
{
    return are_known(lists->files + lists->deny_n,
                     lists->count - lists->deny_n);
}

void cq_lists_close(struct cq_lists *lists)
{
    size_t i;

    for (i = 0; i < lists->count; i++) {
        cq_deny_free(&lists->files[i].entries);
    }
    free(lists->files);
    memset(lists, 0, sizeof(*lists));
}
