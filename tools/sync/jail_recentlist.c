/* jail_recentlist - one file of /proc/net/xt_recent: open, read, one command.
 *
 * Knows the kernel's protocol and its errors; jail_recent.c knows what goes
 * into which list. open, lseek and write by hand: a buffer in between would
 * put two commands into one write, and the kernel does only the first. */
#include "sync/jail_recent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* No result of a call has this: the list was deleted and made anew, EIO. */
#define STALE ((enum jail_status)-1)

void recent_list_name(struct recent_list *list, const char *name, size_t len)
{
    *list = (struct recent_list){ .fd = -1, .taken = -1 };
    if (name != NULL) {
        snprintf(list->path, sizeof(list->path), "/proc/net/xt_recent/%.*s",
                 (int)len, name);
    }
}

void recent_list_close(struct recent_list *list)
{
    if (list->fd >= 0) {
        close(list->fd);
        list->fd = -1;
    }
}

static enum jail_status read_only(const struct recent_list *list,
                                  struct jail_why *why)
{
    return jail_fail(why, JAIL_READ_ONLY,
                     "%s: /proc is mounted read-only here, as in a container; "
                     "run clamquota-sync on the host, or use an nft jail",
                     list->path);
}

/* An absent list: the contract asks for the rights first. */
static enum jail_status missing(const struct recent_list *list, bool to_write,
                                struct jail_why *why)
{
    struct statvfs proc;

    if (to_write && statvfs("/proc/net/", &proc) == 0
        && (proc.f_flag & ST_RDONLY) != 0) {
        return read_only(list, why);
    }
    if (to_write && geteuid() != 0) {
        return jail_fail(why, JAIL_NOT_PERMITTED,
                         "%s does not exist, and if it did only root could "
                         "write into it: run clamquota-sync as root",
                         list->path);
    }
    return jail_fail(why, JAIL_MISSING,
                     "%s does not exist: no firewall rule of this network "
                     "namespace names that list; load one first, e.g. "
                     "ip%stables-restore -n <clamquota.ip%stables",
                     list->path, list->bits != 0 ? "6" : "",
                     list->bits != 0 ? "6" : "");
}

enum jail_status recent_list_open(struct recent_list *list, bool to_write,
                                  struct jail_why *why)
{
    int error;

    recent_list_close(list);
    list->taken = -1;
    list->fd = open(list->path, (to_write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (list->fd >= 0) {
        return JAIL_OK;
    }
    error = errno;
    if (error == ENOENT) {
        return missing(list, to_write, why);
    }
    if (error == EROFS) {
        return read_only(list, why);
    }
    if (error == EACCES || error == EPERM) {
        return jail_fail(why, JAIL_NOT_PERMITTED,
                         "%s may not be %s by this user: run clamquota-sync "
                         "as root, or give the file to its group with chgrp "
                         "and chmod g+w", list->path,
                         to_write ? "written" : "read");
    }
    return jail_fail(why, JAIL_MISSING, "%s cannot be opened: %s", list->path,
                     strerror(error));
}

/* what a reading of a list gathers */
struct reading {
    const struct recent_list *list;
    struct jail_listing *listing;   /* NULL: only count */
    size_t *room;
    int64_t lines;
    size_t pages;                   /* reads that gave something */
    bool no_memory;
};

/* "src=2001:0db8:0000:...:0001 ttl: 0 last_seen: ..." -> key. Not what could
 * never have come from us: a mapped address (which the kernel takes and never
 * matches), an address with host bits in a list of networks. */
static bool read_line(const struct reading *reading, const char *line,
                      struct cq_key *key)
{
    struct cq_prefixes whole = { 32, 128 };
    uint8_t bits = reading->list->bits;
    char text[INET6_ADDRSTRLEN];
    size_t length;
    struct in6_addr v6;
    struct in_addr v4;

    if (strncmp(line, "src=", 4) != 0) {
        return false;
    }
    line += 4;
    length = strcspn(line, " ");
    if (length >= sizeof(text)) {
        return false;
    }
    memcpy(text, line, length);
    text[length] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1) {
        return bits == 0
               && cq_key_make(key, &v4, sizeof(v4), whole) == CQ_OK;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1) {
        return false;
    }
    *key = (struct cq_key){ .family = 6, .prefix = bits != 0 ? bits : 128 };
    memcpy(key->bytes, &v6, sizeof(v6));
    return cq_key_valid(key);
}

/* Takes the whole lines of text[0..length); returns how much that was. */
static size_t take_lines(struct reading *reading, char *text, size_t length)
{
    size_t taken = 0;
    char *end;

    while ((end = memchr(text + taken, '\n', length - taken)) != NULL) {
        struct cq_key key;

        *end = '\0';
        reading->lines++;
        if (reading->listing != NULL && read_line(reading, text + taken, &key)
            && !jail_listing_put(reading->listing, reading->room, &key,
                                 JAIL_NO_EXPIRY)) {
            reading->no_memory = true;
        }
        taken = (size_t)(end - text) + 1;
    }
    return taken;
}

/* Reads the file once from its start. */
static enum jail_status read_once(struct reading *reading,
                                  struct jail_why *why)
{
    char text[65536];
    size_t kept = 0;
    ssize_t n;

    if (lseek(reading->list->fd, 0, SEEK_SET) != 0) {
        return STALE;
    }
    for (;;) {
        n = read(reading->list->fd, text + kept, sizeof(text) - kept);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        reading->pages++;
        kept += (size_t)n;
        n = (ssize_t)take_lines(reading, text, kept);
        kept -= (size_t)n;
        memmove(text, text + n, kept);
        if (kept == sizeof(text)) {     /* no list has such a line */
            kept = 0;
        }
    }
    if (n < 0) {
        return errno == EIO ? STALE
               : jail_fail(why, JAIL_MISSING, "%s cannot be read: %s",
                           reading->list->path, strerror(errno));
    }
    return reading->no_memory ? jail_no_memory(why) : JAIL_OK;
}

enum jail_status recent_list_read(struct recent_list *list,
                                  struct jail_listing *listing, size_t *room,
                                  bool to_write, struct jail_why *why)
{
    struct reading reading = { .list = list, .listing = listing,
                               .room = room };
    enum jail_status status = read_once(&reading, why);

    if (status == STALE) {
        status = recent_list_open(list, to_write, why);
        if (status == JAIL_OK) {
            reading.lines = 0;
            status = read_once(&reading, why);
        }
        if (status == STALE) {
            status = missing(list, to_write, why);
        }
    }
    if (status == JAIL_OK) {
        list->taken = reading.lines;
        list->changed = false;
    }
    /* A list that takes several reads is no snapshot: an entry can slip
     * through when one before it goes in between. Not through two of them,
     * or hardly, and sorting drops what is there twice. */
    if (status == JAIL_OK && reading.pages > 1 && listing != NULL) {
        status = read_once(&reading, why);
        if (status == STALE) {
            status = JAIL_OK;
        }
    }
    return status;
}

/* One write at offset 0. */
static enum jail_status write_once(const struct recent_list *list,
                                   const char *command, struct jail_why *why)
{
    size_t length = strlen(command);
    ssize_t n;
    int error;

    if (lseek(list->fd, 0, SEEK_SET) != 0) {
        return STALE;   /* EINVAL for a list that is gone */
    }
    do {
        n = write(list->fd, command, length);
    } while (n < 0 && errno == EINTR);
    if (n == (ssize_t)length) {
        return JAIL_OK;
    }
    error = errno;
    if (n < 0 && error == EIO) {
        return STALE;
    }
    if (n < 0 && error == EROFS) {
        return read_only(list, why);
    }
    return jail_fail(why, JAIL_PARTLY, "%s did not take \"%s\": %s",
                     list->path, command,
                     n < 0 ? strerror(error) : "written in part");
}

enum jail_status recent_list_command(struct recent_list *list,
                                     const char *command,
                                     struct jail_why *why)
{
    enum jail_status status = write_once(list, command, why);

    if (status == STALE) {
        status = recent_list_open(list, true, why);
        if (status == JAIL_OK) {
            status = write_once(list, command, why);
        }
        if (status == STALE) {
            status = missing(list, true, why);
        }
    }
    return status;
}
