/* recent - the jail of 2012: one or two lists of xt_recent.
 *
 * NAME holds IPv4 and, if it is the only one, single IPv6 addresses. NAME6
 * holds IPv6 networks of one prefix as their network address; the mask belongs
 * to the list's first rule. A full list silently drops its oldest entry, so
 * nothing is added to a full one.
 *
 * The kernel has no lease. An entry matches for the rule's --seconds after its
 * last "+", and keeps its place for ever. The lease of an entry counts from
 * that "+", as the kernel shows it, whichever program wrote it; the rule's
 * --seconds replace a longer lease where they can be read.
 *
 * From net/netfilter/xt_recent.c, and measured: one write() is one command, a
 * second one in it is lost without an error, so there is no buffer in between;
 * the offset has to be 0; a list that was deleted answers EIO on the old
 * descriptor, even when there is another one of that name. */
#include "jail/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/xt_recent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* All rules of the firewall are read, of which there may be many, at most at
 * this interval. */
#define RULES_S 10

#define PLACE "/proc/net/xt_recent/"

struct list {
    char path[sizeof(PLACE) + CQ_JAIL_NAME_SIZE];
    int fd;
    ino_t inode;                /* of fd; 0: not open */
    int64_t count;              /* entries, of any program */
};

struct recent {
    struct cq_jail jail;
    struct list lists[2];
    int64_t rule_s[2];              /* the rules' --seconds; 0: none */
    int64_t rules_s;                /* when the rules were read */
    uint64_t ticks_per_s;           /* the kernel's HZ */
};

static struct recent *to_recent(struct cq_jail *jail)
{
    return (struct recent *)jail;
}

static bool has_second(const struct cq_jail *jail)
{
    return jail->names[1][0] != '\0';
}

/* --- the lists ------------------------------------------------------------ */

/* A parameter of the module, readable by root; else the kernel's default. */
static int64_t read_capacity(void)
{
    FILE *file = fopen("/sys/module/xt_recent/parameters/ip_list_tot", "re");
    long long capacity = 0;

    if (file != NULL) {
        if (fscanf(file, "%lld", &capacity) != 1) {
            capacity = 0;
        }
        fclose(file);
    }
    return capacity > 0 ? capacity : 100;
}

/* The coarse clock advances once a tick (KTIME_LOW_RES, linux/hrtimer.h). */
static uint64_t read_ticks_per_s(void)
{
    struct timespec tick;

    if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0
        || tick.tv_sec != 0 || tick.tv_nsec <= 0) {
        return 250;
    }
    return (uint64_t)((1000000000 + tick.tv_nsec / 2) / tick.tv_nsec);
}

/* What an errno says of a list. Missing rights are reported before a missing
 * list. */
static int classify_error(struct cq_jail *jail, int i, int error)
{
    struct statvfs proc;

    jail->set = i;
    if (error != EIO && error != ENOENT) {
        return error;
    }
    if (jail->access == CQ_JAIL_WRITE && statvfs("/proc/net/", &proc) == 0
        && (proc.f_flag & ST_RDONLY) != 0) {
        return EROFS;
    }
    return jail->access == CQ_JAIL_WRITE && geteuid() != 0 ? EPERM : ENOENT;
}

static void close_list(struct list *list)
{
    if (list->inode != 0) {
        close(list->fd);
        list->inode = 0;
    }
}

static int open_list(struct cq_jail *jail, int i)
{
    struct list *list = &to_recent(jail)->lists[i];
    struct stat file;

    close_list(list);
    snprintf(list->path, sizeof(list->path), PLACE "%s", jail->names[i]);
    list->fd = open(list->path, (jail->access == CQ_JAIL_WRITE
                                 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (list->fd < 0 || fstat(list->fd, &file) != 0) {
        return classify_error(jail, i, errno);
    }
    list->inode = file.st_ino;
    return 0;
}

/* Whether the kernel has another list of that name by now. */
static bool is_stale(const struct list *list)
{
    struct stat file;

    return list->inode == 0 || stat(list->path, &file) != 0
           || file.st_ino != list->inode;
}

/* --- reading -------------------------------------------------------------- */

/* When an entry stops to match. INITIAL_JIFFIES of a 64-bit kernel is 2^32
 * less 300 s (linux/jiffies.h), so ticks are counted from there; a tick is no
 * finer than what is known here, hence the second. */
static int64_t expires_at_s(const struct recent *recent, int i,
                            uint64_t last_seen)
{
    uint64_t boot = (UINT64_C(1) << 32) - 300 * recent->ticks_per_s;
    int64_t seen_s = last_seen < boot ? 0
                     : (int64_t)((last_seen - boot) / recent->ticks_per_s);
    int64_t lease_s = recent->jail.lease_s, rule_s = recent->rule_s[i];

    if (rule_s > 0 && rule_s < lease_s) {
        lease_s = rule_s;
    }
    if (seen_s > recent->jail.now_s) {
        seen_s = recent->jail.now_s;
    }
    return seen_s + lease_s;
}

/* "src=2001:0db8:0000:...:0001 ttl: 0 last_seen: 4295114568 oldest_pkt: 2 ..."
 * @return false: no memory */
static bool read_line(struct recent *recent, int i, char *line)
{
    char *address = line + strlen("src=");
    const char *seen = strstr(line, " last_seen: ");
    unsigned char bytes[sizeof(struct in6_addr)];
    struct cq_key key;
    int64_t expires;
    int family;

    if (strncmp(line, "src=", 4) != 0 || seen == NULL) {
        return true;
    }
    address[strcspn(address, " ")] = '\0';
    family = strchr(address, ':') == NULL ? CQ_JAIL_V4 : CQ_JAIL_V6;
    /* a mapped address matches no packet, nor does IPv4 in NAME6 */
    if (inet_pton(family == CQ_JAIL_V4 ? AF_INET : AF_INET6, address,
                  bytes) != 1 || family < i) {
        return true;
    }
    key = cq_jail_address(bytes, family);
    if (!cq_key_is_valid(&key)) {
        return true;
    }
    expires = expires_at_s(recent, i, strtoull(seen + strlen(" last_seen: "),
                                               NULL, 10));
    /* IPv6 in NAME beside a NAME6 is in the wrong list, a left-over: to be
     * written at once, which moves it */
    if (family > i && has_second(&recent->jail)) {
        expires = recent->jail.now_s;
    }
    return cq_jail_elements_add(&recent->jail.elements, &key, false, expires);
}

/* Reads a list, or only counts its entries. One of several pages is no
 * snapshot: an entry can be overlooked when one before it is removed meanwhile.
 * It counts as absent, and adding it renews it. */
static int read_list(struct recent *recent, int i, bool counts_only)
{
    struct list *list = &recent->lists[i];
    FILE *file = fopen(list->path, "re");
    char *line = NULL;
    size_t room = 0;
    int error = 0;

    if (file == NULL) {
        return classify_error(&recent->jail, i, errno);
    }
    list->count = 0;
    while (error == 0 && getline(&line, &room, file) > 0) {
        list->count++;
        if (!counts_only && !read_line(recent, i, line)) {
            error = ENOMEM;
        }
    }
    if (error == 0 && ferror(file)) {
        error = classify_error(&recent->jail, i, errno);
    }
    free(line);
    fclose(file);
    return error;
}

static int list(struct cq_jail *jail)
{
    struct recent *recent = to_recent(jail);
    int list_n = 1 + has_second(jail), error = 0, i;
    bool is_new = false;

    jail->capacity[0] = jail->capacity[1] = read_capacity();
    jail->shares_capacity = !has_second(jail);
    jail->elements.count = 0;
    recent->ticks_per_s = read_ticks_per_s();
    for (i = 0; i < list_n && error == 0; i++) {
        if (is_stale(&recent->lists[i])) {
            error = open_list(jail, i);
            is_new = true;
        }
    }
    /* A new list has the mask of its first rule. Rules of both families may
     * name one list. Without the rights to ask, as without a rule. */
    if (is_new || jail->now_s - recent->rules_s >= RULES_S) {
        (void)cq_jail_read_rules(jail, NFPROTO_UNSPEC, NULL, recent->rule_s);
        recent->rules_s = jail->now_s;
    }
    for (i = 0; i < list_n && error == 0; i++) {
        error = read_list(recent, i, false);
    }
    return error;
}

/* --- changes -------------------------------------------------------------- */

/* "+192.0.2.7" */
static int write_command(struct cq_jail *jail, int i, char sign,
                         const struct cq_key *key)
{
    struct list *list = &to_recent(jail)->lists[i];
    char command[1 + CQ_KEY_TEXT_SIZE] = { sign };
    ssize_t n, length;

    cq_key_format(key, command + 1, CQ_KEY_TEXT_SIZE);
    length = (ssize_t)strlen(command);
    lseek(list->fd, 0, SEEK_SET);
    n = write(list->fd, command, (size_t)length);
    return n == length ? 0 : classify_error(jail, i, n < 0 ? errno : EPROTO);
}

static int commit(struct cq_jail *jail, const struct cq_jail_change *change,
                  size_t count)
{
    struct recent *recent = to_recent(jail);
    int i = has_second(jail) ? cq_jail_index(&change->key) : 0, error = 0;
    struct list *into = &recent->lists[i];

    (void)count;                /* 1 */
    /* only additions were counted since the last reading */
    if (change->op == CQ_JAIL_ADD && into->count >= jail->capacity[i]) {
        error = read_list(recent, i, true);
        if (error == 0 && into->count >= jail->capacity[i]) {
            jail->set = i;
            error = ENFILE;
        }
    }
    if (error == 0 && i == 1) {
        error = write_command(jail, 0, '-', &change->key);
    }
    if (error == 0) {
        error = write_command(jail, i, change->op == CQ_JAIL_REMOVE
                                       ? '-' : '+', &change->key);
        into->count += change->op == CQ_JAIL_ADD;
    }
    return error;
}

static bool has_changed(struct cq_jail *jail)
{
    const struct recent *recent = to_recent(jail);

    return is_stale(&recent->lists[0])
           || (has_second(jail) && is_stale(&recent->lists[1]));
}

static void close_lists(struct cq_jail *jail)
{
    close_list(&to_recent(jail)->lists[0]);
    close_list(&to_recent(jail)->lists[1]);
}

#define MAKE "no firewall rule of this network namespace names that list; " \
             "load one, e.g. iptables-restore -n <clamquota.iptables and " \
             "ip6tables-restore -n <clamquota.ip6tables"

const struct cq_jail_kind cq_jail_recent = {
    .prefix = "recent:",
    .expected = "recent:NAME[,NAME6], e.g. recent:DenyAccessClamAV",
    .size = sizeof(struct recent),
    .batch = 1,                 /* one write is one command */
    .set_most = 2,
    .name_size = XT_RECENT_NAME_LEN,
    .name_letters = CQ_JAIL_LETTERS "-.",   /* a name becomes a path: no slash,
                                             * no dot in front */
    .place = PLACE,
    .how_to_make = { MAKE, MAKE },
    .how_to_raise = "raise ip_list_tot of xt_recent "
                    "(clamquota-modprobe.conf), or use an nft jail",
    .list = list,
    .commit = commit,
    .has_changed = has_changed,
    .close = close_lists
};
