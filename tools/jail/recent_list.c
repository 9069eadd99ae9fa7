/* recent_list - the protocol of /proc/net/xt_recent/NAME and its errors.
 *
 * From net/netfilter/xt_recent.c, and measured: one write() is one command, a
 * second one in it is lost without an error, so there is no buffer in between;
 * the offset has to be 0; a list that was deleted answers EIO on the old
 * descriptor, even when there is another one of that name. */
#include "jail/recent_list.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

void cq_recent_close(struct cq_recent_list *list)
{
    if (list->fd >= 0) {
        close(list->fd);
        list->fd = -1;
    }
}

static enum cq_jail_status read_only(const struct cq_recent_list *list,
                                     struct cq_jail_why *why)
{
    return cq_jail_fail(why, CQ_JAIL_READ_ONLY,
                        "%s: /proc is mounted read-only here, as in a "
                        "container; run clamquota-sync on the host, or use "
                        "an nft jail", list->path);
}

/* Missing rights are reported before a missing list. */
static enum cq_jail_status missing(const struct cq_recent_list *list,
                                   enum cq_jail_access access,
                                   struct cq_jail_why *why)
{
    bool writes = access == CQ_JAIL_WRITE;
    struct statvfs proc;

    if (writes && statvfs("/proc/net/", &proc) == 0
        && (proc.f_flag & ST_RDONLY) != 0) {
        return read_only(list, why);
    }
    if (writes && geteuid() != 0) {
        return cq_jail_fail(why, CQ_JAIL_NOT_PERMITTED,
                            "%s does not exist, and only root could write to "
                            "it: run clamquota-sync as root", list->path);
    }
    return cq_jail_fail(why, CQ_JAIL_MISSING,
                        "%s does not exist: no firewall rule of this network "
                        "namespace names that list; load one, e.g. "
                        "iptables-restore -n <clamquota.iptables and "
                        "ip6tables-restore -n <clamquota.ip6tables",
                        list->path);
}

/* What failed at an open list. A list that was deleted answers EIO. */
static enum cq_jail_status lost(const struct cq_recent_list *list, int error,
                                struct cq_jail_why *why)
{
    return error == EIO ? missing(list, CQ_JAIL_WRITE, why)
           : error == EROFS ? read_only(list, why)
           : cq_jail_fail(why, CQ_JAIL_PARTLY, "%s: %s", list->path,
                          strerror(error));
}

enum cq_jail_status cq_recent_open(struct cq_recent_list *list,
                                   enum cq_jail_access access,
                                   struct cq_jail_why *why)
{
    bool writes = access == CQ_JAIL_WRITE;
    struct stat file;
    int error;

    cq_recent_close(list);
    list->fd = open(list->path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    error = errno;
    if (list->fd >= 0) {
        list->inode = fstat(list->fd, &file) == 0 ? file.st_ino : 0;
        return CQ_JAIL_OK;
    }
    if (error == ENOENT) {
        return missing(list, access, why);
    }
    if (error == EROFS) {
        return read_only(list, why);
    }
    if (error == EACCES || error == EPERM) {
        return cq_jail_fail(why, CQ_JAIL_NOT_PERMITTED,
                            "%s may not be %s by this user: run "
                            "clamquota-sync as root, or give the file to its "
                            "group with chgrp and chmod g+w", list->path,
                            writes ? "written" : "read");
    }
    return cq_jail_fail(why, CQ_JAIL_MISSING, "%s cannot be opened: %s",
                        list->path, strerror(error));
}

bool cq_recent_is_stale(const struct cq_recent_list *list)
{
    struct stat file;

    return stat(list->path, &file) != 0 || file.st_ino != list->inode;
}

/* A list of several pages is no snapshot: an entry can be overlooked when one
 * before it is removed meanwhile. It counts as absent, and adding it renews
 * it.
 *
 * "src=2001:0db8:0000:...:0001 ttl: 0 last_seen: 4295114568 oldest_pkt: 2 ..."
 * @return false: no memory */
static bool read_line(char *line,
                      bool (*entry)(void *, const void *, int, uint64_t),
                      void *data)
{
    char *address = line + strlen("src=");
    const char *seen = strstr(line, " last_seen: ");
    unsigned char bytes[sizeof(struct in6_addr)];
    int family;

    if (strncmp(line, "src=", 4) != 0 || seen == NULL) {
        return true;
    }
    address[strcspn(address, " ")] = '\0';
    family = strchr(address, ':') == NULL ? 4 : 6;
    if (inet_pton(family == 4 ? AF_INET : AF_INET6, address, bytes) != 1) {
        return true;
    }
    return entry(data, bytes, family,
                 strtoull(seen + strlen(" last_seen: "), NULL, 10));
}

enum cq_jail_status cq_recent_read(struct cq_recent_list *list,
                                   bool (*entry)(void *data, const void *bytes,
                                                 int family,
                                                 uint64_t last_seen),
                                   void *data, struct cq_jail_why *why)
{
    char text[65536], *end;
    size_t kept = 0;
    ssize_t n;

    list->count = 0;
    lseek(list->fd, 0, SEEK_SET);
    while ((n = read(list->fd, text + kept, sizeof(text) - kept)) > 0
           || (n < 0 && errno == EINTR)) {
        char *line = text;

        kept += n > 0 ? (size_t)n : 0;
        while ((end = memchr(line, '\n', kept)) != NULL) {
            *end = '\0';
            list->count++;
            if (!read_line(line, entry, data)) {
                return cq_jail_fail(why, CQ_JAIL_PARTLY, "%s: no memory for "
                                    "its entries", list->path);
            }
            kept -= (size_t)(end + 1 - line);
            line = end + 1;
        }
        memmove(text, line, kept);
        kept = kept == sizeof(text) ? 0 : kept;     /* longer than any entry */
    }
    return n == 0 ? CQ_JAIL_OK : lost(list, errno, why);
}

/* "+192.0.2.7". IPv4 by hand: inet_ntop() takes as long as the write. */
static size_t format_command(char command[1 + INET6_ADDRSTRLEN], char sign,
                             const struct cq_key *key)
{
    char *at = command;
    int i;

    *at++ = sign;
    if (key->family != 4) {
        inet_ntop(AF_INET6, key->bytes, at, INET6_ADDRSTRLEN);
        return strlen(command);
    }
    for (i = 0; i < 4; i++) {
        unsigned byte = key->bytes[i];

        if (byte >= 100) {
            *at++ = (char)('0' + byte / 100);
        }
        if (byte >= 10) {
            *at++ = (char)('0' + byte / 10 % 10);
        }
        *at++ = (char)('0' + byte % 10);
        *at++ = '.';
    }
    *--at = '\0';
    return (size_t)(at - command);
}

enum cq_jail_status cq_recent_write(const struct cq_recent_list *list,
                                    char sign, const struct cq_key *key,
                                    struct cq_jail_why *why)
{
    char command[1 + INET6_ADDRSTRLEN];
    size_t length = format_command(command, sign, key);
    ssize_t n;

    lseek(list->fd, 0, SEEK_SET);
    do {
        n = write(list->fd, command, length);
    } while (n < 0 && errno == EINTR);
    if (n == (ssize_t)length) {
        return CQ_JAIL_OK;
    }
    return n < 0 ? lost(list, errno, why)
           : cq_jail_fail(why, CQ_JAIL_PARTLY, "%s took \"%s\" in part",
                          list->path, command);
}
