/* jail_ipsetrun - the ipset program, run without a shell. */
#include "sync/jail_ipset.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where distributions put it; not the caller's PATH, for this runs as root. */
static const char *program(void)
{
    static const char *const paths[] = {
        "/usr/sbin/ipset", "/sbin/ipset", "/usr/local/sbin/ipset",
        "/usr/bin/ipset"
    };
    size_t i;

    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (access(paths[i], X_OK) == 0) {
            return paths[i];
        }
    }
    return NULL;
}

/* A file in memory with this in it, at its start; -1 with errno. */
static int memory_file(const char *bytes, size_t length)
{
    int fd = memfd_create("clamquota-ipset", MFD_CLOEXEC);
    size_t done = 0;

    while (fd >= 0 && done < length) {
        ssize_t n = write(fd, bytes + done, length - done);

        if (n < 0 && errno != EINTR) {
            close(fd);
            return -1;
        }
        done += n < 0 ? 0 : (size_t)n;
    }
    if (fd >= 0) {
        lseek(fd, 0, SEEK_SET);
    }
    return fd;
}

static void read_all(int fd, struct jail_text *text)
{
    char bytes[65536];
    ssize_t n;

    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, bytes, sizeof(bytes))) > 0
           || (n < 0 && errno == EINTR)) {
        if (n > 0) {
            jail_text_put(text, bytes, (size_t)n);
        }
    }
}

/* Starts it with these three and waits: its exit status, or -1 with errno. */
static int spawn(const char *path, char *const argv[], const int fds[3])
{
    char *environment[] = { (char[]){"LC_ALL=C"}, NULL };
    posix_spawn_file_actions_t actions;
    int error, status = 0;
    pid_t pid;
    int i;

    error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        errno = error;
        return -1;
    }
    for (i = 0; i < 3 && error == 0; i++) {
        error = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
    }
    if (error == 0) {
        error = posix_spawn(&pid, path, &actions, NULL, argv, environment);
    }
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        errno = error;
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* "ipset v7.17: Error in line 3: Hash is full, cannot add more elements" */
static enum jail_status failure(const char *said, struct ipset_result *result,
                                struct jail_why *why)
{
    static const char in_line[] = "Error in line ";
    const char *line = strstr(said, in_line);

    said += strspn(said, "\n");
    if (line != NULL) {
        result->line = strtoul(line + strlen(in_line), NULL, 10);
    }
    if (strstr(said, "Operation not permitted") != NULL) {
        return jail_fail(why, JAIL_NOT_PERMITTED,
                         "ipset: not permitted, looking at a set needs root "
                         "too; run clamquota-sync as root");
    }
    if (strstr(said, "set with the given name does not exist") != NULL) {
        return jail_fail(why, JAIL_MISSING,
                         "ipset: a set does not exist; create it first, e.g. "
                         "ipset restore -exist <clamquota.ipset");
    }
    if (strstr(said, "Hash is full") != NULL) {
        result->full = true;
        return jail_fail(why, JAIL_PARTLY,
                         "ipset: a set is full; create it anew with a larger "
                         "maxelem");
    }
    return jail_fail(why, JAIL_PARTLY, "ipset: %.*s",
                     (int)strcspn(said, "\n"), said);
}

enum jail_status ipset_run(char *const argv[], const char *input,
                           size_t length, struct ipset_result *result,
                           struct jail_why *why)
{
    const char *path = program();
    struct jail_text said = { .bytes = NULL };
    int fds[3], status = -1, error, i;
    enum jail_status outcome;

    *result = (struct ipset_result){ .line = 0 };
    if (path == NULL) {
        return jail_fail(why, JAIL_MISSING,
                         "ipset is not installed, looked for in /usr/sbin, "
                         "/sbin, /usr/local/sbin and /usr/bin: install the "
                         "package ipset, or use an nft jail");
    }
    fds[0] = memory_file(input, length);
    fds[1] = memory_file("", 0);
    fds[2] = memory_file("", 0);
    if (fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0) {
        status = spawn(path, argv, fds);
    }
    error = errno;
    if (status >= 0) {
        read_all(fds[1], &result->output);
        read_all(fds[2], &said);
    }
    for (i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    if (status < 0) {
        outcome = jail_fail(why, JAIL_PARTLY, "%s cannot be run: %s", path,
                            strerror(error));
    } else if (status != 0) {
        outcome = failure(said.bytes == NULL ? "failed without a word"
                                             : said.bytes, result, why);
    } else {
        outcome = result->output.failed ? jail_no_memory(why) : JAIL_OK;
    }
    jail_text_free(&said);
    return outcome;
}
