/* recent - the jail of 2012: one or two lists of xt_recent.
 *
 * NAME holds IPv4 and, if it is the only one, single IPv6 addresses; NAME6
 * holds IPv6 networks of one prefix, the mask of the list's first rule. An
 * entry matches for the rule's --seconds after its last "+", whichever program
 * wrote that; they replace a longer lease. It keeps its place for ever, and a
 * full list silently drops its oldest entry: nothing is added to a full one.
 *
 * One write() is one command, a second one in it is lost without an error; the
 * offset has to be 0; a list that was deleted answers EIO on the old
 * descriptor, even when there is another one of that name (xt_recent.c). */
#include "jail/kind.h"

#include <arpa/inet.h>
#include <errno.h>
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
    char path[sizeof(PLACE) + XT_RECENT_NAME_LEN];
    FILE *file;                 /* NULL: not open */
    ino_t inode;
    int64_t count;              /* entries, of any program */
};

struct recent {
    struct cq_jail jail;
    struct list lists[2];
    int64_t rules_until_s;      /* the rules' next reading */
    uint64_t ticks_per_s;       /* the kernel's HZ */
};

static struct recent *to_recent(struct cq_jail *jail)
{
    return (struct recent *)jail;
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
static int classify_error(const struct cq_jail *jail, int error)
{
    struct statvfs proc;

    if (jail->access == CQ_JAIL_READ || (error != EIO && error != ENOENT)) {
        return error == EIO ? ENOENT : error;
    }
    if (statvfs("/proc/net/", &proc) == 0 && (proc.f_flag & ST_RDONLY) != 0) {
        return EROFS;
    }
    return geteuid() != 0 ? EPERM : ENOENT;
}

static void close_list(struct list *list)
{
    if (list->file != NULL) {
        fclose(list->file);
        list->file = NULL;
    }
}

static void close_lists(struct cq_jail *jail)
{
    close_list(&to_recent(jail)->lists[0]);
    close_list(&to_recent(jail)->lists[1]);
}

/* Whether the kernel has another list of that name by now. */
static bool is_stale(const struct list *list)
{
    struct stat file;

    return list->file == NULL || stat(list->path, &file) != 0
           || file.st_ino != list->inode;
}

static bool has_changed(struct cq_jail *jail)
{
    const struct recent *recent = to_recent(jail);

    return is_stale(&recent->lists[0])
           || (jail->names[CQ_JAIL_V6] != NULL && is_stale(&recent->lists[1]));
}

/* --- reading -------------------------------------------------------------- */

/* When an entry stops to match. INITIAL_JIFFIES of a 64-bit kernel is 2^32
 * less 300 s (linux/jiffies.h), so ticks are counted from there; a tick is no
 * finer than what is known here, hence the second. */
static int64_t expires_at_s(const struct recent *recent, uint64_t last_seen)
{
    uint64_t boot = (UINT64_C(1) << 32) - 300 * recent->ticks_per_s;
    int64_t seen_s = last_seen < boot ? 0
                     : (int64_t)((last_seen - boot) / recent->ticks_per_s);
    int64_t lease_s = recent->jail.lease_s;
    int64_t rule_s = recent->jail.rule_s[recent->jail.set];

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
static bool read_line(struct recent *recent, char *line)
{
    struct cq_jail *jail = &recent->jail;
    char *address = line + strlen("src=");
    const char *seen = strstr(line, " last_seen: ");
    unsigned char bytes[sizeof(struct in6_addr)];
    struct cq_key key;
    int family;

    if (strncmp(line, "src=", 4) != 0 || seen == NULL) {
        return true;
    }
    address[strcspn(address, " ")] = '\0';
    family = strchr(address, ':') == NULL ? CQ_JAIL_V4 : CQ_JAIL_V6;
    /* a mapped address matches no packet, nor does IPv4 in NAME6 */
    if (inet_pton(family == CQ_JAIL_V4 ? AF_INET : AF_INET6, address,
                  bytes) != 1 || family < jail->set) {
        return true;
    }
    key = cq_jail_address(bytes, family);
    /* IPv6 in NAME beside a NAME6 is in the wrong list, a left-over: to be
     * written at once, which moves it */
    return cq_jail_add_element(
        jail, &key, false,
        family > jail->set && !jail->shares_capacity ? jail->now_s
        : expires_at_s(recent, strtoull(seen + strlen(" last_seen: "), NULL,
                                        10)));
}

/* Opens jail->set anew and reads it. A list of several pages is no snapshot: an
 * entry can be overlooked when one before it is removed meanwhile. It counts as
 * absent, and adding it renews it. */
static int read_list(struct cq_jail *jail)
{
    struct list *list = &to_recent(jail)->lists[jail->set];
    char *line = NULL;
    size_t room = 0;
    struct stat status;
    FILE *file;
    int error = 0;

    snprintf(list->path, sizeof(list->path), "%s%s", jail->place,
             jail->names[jail->set]);
    file = fopen(list->path, jail->access == CQ_JAIL_WRITE ? "r+e" : "re");
    if (file == NULL) {
        return classify_error(jail, errno);
    }
    close_list(list);
    list->file = file;
    list->inode = fstat(fileno(file), &status) == 0 ? status.st_ino : 0;
    list->count = 0;
    while (error == 0 && getline(&line, &room, file) > 0) {
        list->count++;
        error = read_line(to_recent(jail), line) ? 0 : ENOMEM;
    }
    if (error == 0 && ferror(file)) {
        error = classify_error(jail, errno);
    }
    free(line);
    return error;
}

static int list(struct cq_jail *jail)
{
    struct recent *recent = to_recent(jail);

    jail->capacity[0] = jail->capacity[1] = read_capacity();
    jail->shares_capacity = jail->names[CQ_JAIL_V6] == NULL;
    jail->elements.count = 0;
    recent->ticks_per_s = read_ticks_per_s();
    /* A new list has the mask of its first rule. Rules of both families may
     * name one list. Without the rights to ask, as without a rule. */
    if (has_changed(jail) || jail->now_s >= recent->rules_until_s) {
        (void)cq_jail_read_rules(jail, NFPROTO_UNSPEC, NULL);
        recent->rules_until_s = jail->now_s + RULES_S;
    }
    return cq_jail_for_sets(jail, read_list);
}

/* --- changes -------------------------------------------------------------- */

/* "+192.0.2.7", into jail->set */
static int write_command(struct cq_jail *jail, char sign,
                         const struct cq_key *key)
{
    int fd = fileno(to_recent(jail)->lists[jail->set].file);
    char command[1 + CQ_KEY_TEXT_SIZE] = { sign };
    ssize_t n, length;

    cq_key_format(key, command + 1, CQ_KEY_TEXT_SIZE);
    length = (ssize_t)strlen(command);
    lseek(fd, 0, SEEK_SET);
    n = write(fd, command, (size_t)length);
    return n == length ? 0 : classify_error(jail, n < 0 ? errno : EPROTO);
}

/* Counts the entries of jail->set anew, as only additions were counted since
 * the last reading.
 * @return 0, or ENFILE: it is full */
static int make_sure_of_room(struct cq_jail *jail)
{
    size_t listed_n = jail->elements.count;
    int error = read_list(jail);

    jail->elements.count = listed_n;
    return error != 0 ? error
           : to_recent(jail)->lists[jail->set].count
             >= jail->capacity[jail->set] ? ENFILE : 0;
}

static int commit(struct cq_jail *jail, const struct cq_jail_change *change,
                  size_t count)
{
    int set = jail->shares_capacity ? 0 : cq_jail_index(&change->key);
    struct list *into = &to_recent(jail)->lists[set];
    int error = 0;

    (void)count;                /* 1 */
    jail->set = set;
    if (change->op == CQ_JAIL_ADD && into->count >= jail->capacity[set]) {
        error = make_sure_of_room(jail);
    }
    if (error == 0 && set == 1) {
        jail->set = 0;
        error = write_command(jail, '-', &change->key);
    }
    if (error == 0) {
        jail->set = set;
        error = write_command(jail, change->op == CQ_JAIL_REMOVE ? '-' : '+',
                              &change->key);
        into->count += change->op == CQ_JAIL_ADD;
    }
    return error;
}

#define MAKE "no firewall rule of this network namespace names that list; " \
             "load one, e.g. iptables-restore -n <clamquota.iptables and " \
             "ip6tables-restore -n <clamquota.ip6tables"

const struct cq_jail_kind cq_jail_recent = {
    .prefix = "recent:",
    .expected = "recent:NAME[,NAME6], e.g. recent:DenyAccessClamAV",
    .size = sizeof(struct recent),
    .batch = 1,                 /* one write is one command */
    .name_size = XT_RECENT_NAME_LEN,
    .place = PLACE,
    .how_to_make = { MAKE, MAKE },
    .how_to_raise = "raise ip_list_tot of xt_recent "
                    "(clamquota-modprobe.conf), or use an nft jail",
    .list = list,
    .commit = commit,
    .has_changed = has_changed,
    .close = close_lists
};
