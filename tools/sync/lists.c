/* lists - reads the deny and never files. */
#include "sync/lists.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool cq_lists_open(struct cq_lists *lists, const struct cq_texts *deny,
                   const struct cq_texts *never)
{
    size_t i;

    lists->files = calloc(deny->count + never->count + 1,
                          sizeof(lists->files[0]));
    if (lists->files == NULL) {
        return false;
    }
    lists->deny_n = deny->count;
    lists->count = deny->count + never->count;
    for (i = 0; i < lists->count; i++) {
        bool is_deny = i < deny->count;

        lists->files[i].path = is_deny ? deny->texts[i]
                                       : never->texts[i - deny->count];
        lists->files[i].form = is_deny ? CQ_DENY_ANY_FORM
                                       : CQ_DENY_PLAIN_ONLY;
    }
    return true;
}

/* ---- one file ---- */

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

enum outcome {
    OUTCOME_READ,
    OUTCOME_RESTLESS,           /* it is being written: with a reason, too */
    OUTCOME_FAILED              /* with a reason */
};

static enum outcome read_open(struct cq_list *list, int fd,
                              const struct stat *st, struct cq_say *say,
                              const char **why)
{
    size_t size = (size_t)st->st_size;
    enum outcome outcome = OUTCOME_READ;
    struct stat after;
    char *text;

    if (st->st_size > CQ_LIST_SIZE_MAX) {
        *why = "it is larger than 64 MiB, expected a list of addresses";
        return OUTCOME_FAILED;
    }
    if (rest_ms(st) > 0) {
        *why = "it is being written";
        return OUTCOME_RESTLESS;
    }
    if (size == 0 && list->form == CQ_DENY_PLAIN_ONLY) {
        *why = "it is empty, as after a write that failed; expected addresses "
               "or a comment";
        return OUTCOME_FAILED;
    }
    text = malloc(size + 1);
    /* at once: it is shorter only if others write it meanwhile */
    if (text == NULL || read(fd, text, size) < 0 || fstat(fd, &after) != 0) {
        *why = strerror(errno);
        outcome = OUTCOME_FAILED;
    }
    else if (after.st_size != st->st_size || rest_ms(&after) > 0) {
        *why = "it is being written";
        outcome = OUTCOME_RESTLESS;
    }
    else if (cq_deny_parse(list->path, text, size, list->form, &list->entries,
                           say) != CQ_OK) {
        *why = strerror(ENOMEM);
        outcome = OUTCOME_FAILED;
    }
    free(text);
    return outcome;
}

static enum outcome read_file(struct cq_list *list, struct cq_say *say,
                              const char **why)
{
    struct stat st;
    int fd = open_regular(list->path, &st, why);
    enum outcome outcome = OUTCOME_FAILED;

    if (fd >= 0) {
        outcome = read_open(list, fd, &st, say, why);
        close(fd);
    }
    return outcome;
}

/* ---- all of them ---- */

static void read_list(struct cq_list *list, struct cq_say *say)
{
    const char *why = NULL;
    enum outcome outcome = read_file(list, say, &why);
    struct timespec pause = { 1, 0 };
    int tries;

    for (tries = 0; outcome == OUTCOME_RESTLESS && tries < 2
         && nanosleep(&pause, NULL) == 0; tries++) {
        outcome = read_file(list, say, &why);
    }
    list->is_known |= outcome == OUTCOME_READ;
    if (outcome != OUTCOME_READ) {
        cq_say_trouble(say, "%s: cannot be read: %s; %s", list->path, why,
                       list->is_known ? "what it said before still holds"
                       : list->form == CQ_DENY_ANY_FORM
                       ? "until it can, no address is released"
                       : "until it can, no client is jailed anew");
    }
}

void cq_lists_read(struct cq_lists *lists, struct cq_say *say)
{
    size_t i;

    for (i = 0; i < lists->count; i++) {
        read_list(&lists->files[i], say);
    }
}

bool cq_lists_know(const struct cq_lists *lists, enum cq_deny_form form)
{
    size_t i;

    for (i = 0; i < lists->count; i++) {
        if (lists->files[i].form == form && !lists->files[i].is_known) {
            return false;
        }
    }
    return true;
}

void cq_lists_close(struct cq_lists *lists)
{
    size_t i;

    for (i = 0; i < lists->count; i++) {
        cq_wanted_free(&lists->files[i].entries);
    }
    free(lists->files);
    memset(lists, 0, sizeof(*lists));
}
