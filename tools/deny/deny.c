/* deny - reads a deny or never file from the disk, and finds a client in it. */
#include "deny/deny.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Opens a regular file and nothing else. A link in the place of a list may
 * lead to a device, and even to open one can do something: /dev/watchdog
 * resets the machine. O_PATH opens nothing of it.
 * @return -1 with a reason */
static int open_regular(const char *path, struct stat *st, const char **why)
{
    char name[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
    int at = open(path, O_PATH | O_CLOEXEC);
    int fd = -1;

    if (at >= 0 && fstat(at, st) == 0 && !S_ISREG(st->st_mode)) {
        *why = S_ISDIR(st->st_mode) ? strerror(EISDIR)
                                    : "it is no regular file";
    }
    else {
        snprintf(name, sizeof(name), "/proc/self/fd/%d", at);
        fd = at < 0 ? -1 : open(name, O_RDONLY | O_CLOEXEC);
        *why = strerror(errno);
    }
    if (at >= 0) {
        close(at);
    }
    return fd;
}

/* Did it change less than CQ_DENY_QUIET_MS ago? One whose time lies ahead was
 * given it, and counts as written. */
static bool is_restless(const struct stat *st)
{
    struct timespec now;
    int64_t age_ms;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    age_ms = ((int64_t)now.tv_sec - st->st_mtim.tv_sec) * 1000
        + (now.tv_nsec - st->st_mtim.tv_nsec) / 1000000;
    return age_ms >= 0 && age_ms < CQ_DENY_QUIET_MS;
}

enum outcome {
    OUTCOME_READ,
    OUTCOME_RESTLESS,           /* it is being written: with a reason, too */
    OUTCOME_FAILED              /* with a reason */
};

/* @param text  result, malloc'd, of *size bytes; unless it fails */
static enum outcome read_text(int fd, enum cq_deny_form form, char **text,
                              size_t *size, const char **why)
{
    struct stat before, after;
    ssize_t n;

    *text = NULL;
    if (fstat(fd, &before) != 0) {
        *why = strerror(errno);
        return OUTCOME_FAILED;
    }
    if (before.st_size > CQ_DENY_SIZE_MAX) {
        *why = "it is larger than 64 MiB, expected a list of addresses";
        return OUTCOME_FAILED;
    }
    *size = (size_t)before.st_size;
    *text = malloc(*size + 1);
    /* at once: it is shorter only if another program writes it meanwhile, which
     * may have brought it back to its size and time since */
    n = *text == NULL ? -1 : read(fd, *text, *size);
    if (n < 0 || fstat(fd, &after) != 0) {
        *why = strerror(errno);
        return OUTCOME_FAILED;
    }
    if ((size_t)n != *size || after.st_size != before.st_size
        || is_restless(&after)) {
        *why = "it is being written";
        return OUTCOME_RESTLESS;
    }
    if (*size == 0 && form == CQ_NEVER_FILE) {
        *why = "it is empty, as after a write that failed; expected addresses "
               "or a comment";
        return OUTCOME_FAILED;
    }
    return OUTCOME_READ;
}

static enum outcome open_and_read(const char *path, enum cq_deny_form form,
                                  char **text, size_t *size, const char **why)
{
    struct stat st;
    int fd = open_regular(path, &st, why);
    enum outcome outcome = OUTCOME_FAILED;

    *text = NULL;
    if (fd >= 0) {
        outcome = read_text(fd, form, text, size, why);
        close(fd);
    }
    return outcome;
}

bool cq_deny_read(const char *path, enum cq_deny_form form,
                  struct cq_deny_list *list, cq_deny_report *report,
                  void *baton, const char **why)
{
    const struct timespec pause = { 1, 0 };
    char *text;
    size_t size;
    enum outcome outcome = open_and_read(path, form, &text, &size, why);
    int tries;

    for (tries = 0; outcome == OUTCOME_RESTLESS && tries < 2
         && nanosleep(&pause, NULL) == 0; tries++) {
        free(text);
        outcome = open_and_read(path, form, &text, &size, why);
    }
    if (outcome == OUTCOME_READ
        && cq_deny_parse(path, text, size, form, list, report, baton)
            != CQ_OK) {
        *why = strerror(ENOMEM);
        outcome = OUTCOME_FAILED;
    }
    free(text);
    return outcome == OUTCOME_READ;
}

const struct cq_deny_entry *cq_deny_find(const struct cq_deny_list *list,
                                         const struct cq_key *client)
{
    const struct cq_deny_entry *found = NULL;
    size_t i;

    for (i = 0; i < list->count; i++) {
        const struct cq_deny_entry *entry = &list->entries[i];

        if (cq_key_contains(&entry->net, client)
            && (found == NULL || entry->net.prefix > found->net.prefix
                || (entry->net.prefix == found->net.prefix
                    && entry->line < found->line))) {
            found = entry;
        }
    }
    return found;
}

bool cq_deny_add(struct cq_deny_list *list, const struct cq_deny_entry *entry)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        struct cq_deny_entry *entries = reallocarray(list->entries, capacity,
                                                     sizeof(entries[0]));

        if (entries == NULL) {
            return false;
        }
        list->entries = entries;
        list->capacity = capacity;
    }
    list->entries[list->count++] = *entry;
    return true;
}

void cq_deny_free(struct cq_deny_list *list)
{
    free(list->entries);
    memset(list, 0, sizeof(*list));
}
