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
 * --seconds replace a longer lease where they can be read. */
#include "jail/recent_list.h"
#include "jail/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX_V6 64        /* ClamQuotaPrefix 32 64, clamquota.ip6tables */

struct recent {
    struct cq_jail jail;
    struct cq_recent_list lists[2];
    struct cq_rules_use use[2];     /* what rules say of each list */
    int64_t capacity;               /* of each list */
    int64_t now_s;                  /* at the beginning of a listing */
    uint64_t ticks_per_s;           /* the kernel's HZ */
};

static struct cq_jail *parse(const char *names, const char **wrong)
{
    struct recent *recent = calloc(1, sizeof(*recent));
    struct cq_recent_list *lists;
    int i;

    if (recent == NULL) {
        return NULL;
    }
    lists = recent->lists;
    /* a name becomes a path: no slash, no dot in front */
    if (!cq_jail_read_names(names, "-.", lists[0].name, lists[1].name,
                            sizeof(lists[0].name))) {
        *wrong = "the name of a list has 1 to 199 letters, digits and any of "
                 "_ - . behind the first, and NAME6 is another list";
        free(recent);
        return NULL;
    }
    for (i = 0; i < 2; i++) {
        lists[i].fd = -1;
        snprintf(lists[i].path, sizeof(lists[i].path),
                 "/proc/net/xt_recent/%.199s", lists[i].name);
    }
    return &recent->jail;
}

static bool has_second(const struct recent *recent)
{
    return recent->lists[1].name[0] != '\0';
}

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

/* Asks the firewall about the rules that name the lists. */
static void read_rules(struct recent *recent)
{
    cq_rules_of_recent(recent->lists[0].name, &recent->use[0]);
    recent->jail.bits[0] = recent->use[0].bits[0];
    if (has_second(recent)) {
        cq_rules_of_recent(recent->lists[1].name, &recent->use[1]);
        recent->jail.bits[1] = recent->use[1].rules == 0
                               ? PREFIX_V6 : recent->use[1].bits[1];
    } else {
        recent->jail.bits[1] = recent->use[0].bits[1];
    }
}

static enum cq_jail_status open_lists(struct cq_jail *jail,
                                      struct cq_jail_why *why)
{
    struct recent *recent = (struct recent *)jail;
    enum cq_jail_status status, second = CQ_JAIL_OK;
    struct cq_jail_why said;

    jail->batch = 1;            /* one write is one command */
    recent->capacity = read_capacity();
    recent->ticks_per_s = read_ticks_per_s();
    read_rules(recent);
    status = cq_recent_open(&recent->lists[0], jail->access, why);
    if (has_second(recent)) {
        second = cq_recent_open(&recent->lists[1], jail->access, &said);
    }
    /* rights before what is missing */
    if (second > status) {
        *why = said;
        status = second;
    }
    return status;
}

struct reading {
    struct recent *recent;
    int list;
};

/* When an entry stops to match. INITIAL_JIFFIES of a 64-bit kernel is 2^32
 * less 300 s (linux/jiffies.h), so ticks are counted from there; a tick is no
 * finer than what is known here, hence the second. */
static int64_t expires_at_s(const struct recent *recent, int list,
                            uint64_t last_seen)
{
    uint64_t boot = (UINT64_C(1) << 32) - 300 * recent->ticks_per_s;
    int64_t seen_s = last_seen < boot ? 0
                     : (int64_t)((last_seen - boot) / recent->ticks_per_s);
    int64_t lease_s = recent->jail.lease_s;
    int64_t rule_s = recent->use[list].seconds;

    if (rule_s > 0 && rule_s < lease_s) {
        lease_s = rule_s;
    }
    if (seen_s > recent->now_s) {
        seen_s = recent->now_s;
    }
    return seen_s + lease_s;
}

static bool add_entry(void *data, const void *bytes, int family,
                      uint64_t last_seen)
{
    struct reading *reading = data;
    struct recent *recent = reading->recent;
    int64_t expires = expires_at_s(recent, reading->list, last_seen);
    struct cq_key key;

    /* A mapped address matches no packet, nor does IPv4 in NAME6. */
    if (!cq_jail_address(&key, bytes, family)
        || (family == 4 && reading->list == 1)) {
        return true;
    }
    /* IPv6 in NAME beside a NAME6 is in the wrong list, a left-over: to be
     * written at once, which moves it. */
    if (family == 6 && reading->list == 0 && has_second(recent)) {
        expires = recent->now_s;
    }
    return cq_jail_elements_add(&recent->jail.elements, &key, false, expires);
}

static enum cq_jail_status list(struct cq_jail *jail, struct cq_jail_why *why)
{
    struct recent *recent = (struct recent *)jail;
    struct reading reading = { .recent = recent };
    enum cq_jail_status status = CQ_JAIL_OK;

    jail->elements.count = 0;
    recent->now_s = cq_jail_now_s();
    for (reading.list = 0; reading.list < 1 + has_second(recent)
         && status == CQ_JAIL_OK; reading.list++) {
        struct cq_recent_list *from = &recent->lists[reading.list];

        if (cq_recent_is_stale(from)) {
            status = cq_recent_open(from, jail->access, why);
            read_rules(recent);     /* of which it has the mask */
        }
        if (status == CQ_JAIL_OK) {
            status = cq_recent_read(from, add_entry, &reading, why);
        }
    }
    cq_jail_elements_sort(&jail->elements);
    return status;
}

static bool count_entry(void *data, const void *bytes, int family,
                        uint64_t last_seen)
{
    (void)data;
    (void)bytes;
    (void)family;
    (void)last_seen;
    return true;
}

/* Only additions were counted since the last reading: a list that seems full
 * is read again. */
static enum cq_jail_status find_room(const struct recent *recent,
                                     struct cq_recent_list *into,
                                     struct cq_jail_why *why)
{
    enum cq_jail_status status = CQ_JAIL_OK;

    if (into->count >= recent->capacity) {
        status = cq_recent_read(into, count_entry, NULL, why);
    }
    if (status != CQ_JAIL_OK || into->count < recent->capacity) {
        return status;
    }
    return cq_jail_fail(why, CQ_JAIL_PARTLY,
                        "%s is full: it holds %lld addresses, and one more "
                        "would push out the oldest; raise ip_list_tot of "
                        "xt_recent (clamquota-modprobe.conf) or use an nft "
                        "jail", into->path, (long long)recent->capacity);
}

static enum cq_jail_status commit(struct cq_jail *jail,
                                  struct cq_jail_change *change, size_t count,
                                  struct cq_jail_why *why)
{
    struct recent *recent = (struct recent *)jail;
    int family = cq_jail_index(&change->key);
    struct cq_recent_list *into = &recent->lists[family == 1
                                                 && has_second(recent)];
    enum cq_jail_status status = CQ_JAIL_OK;

    (void)count;            /* 1 */
    if (change->has_failed) {
        return CQ_JAIL_OK;
    }
    if (change->op == CQ_JAIL_ADD) {
        status = find_room(recent, into, why);
        jail->is_full[family] = status == CQ_JAIL_PARTLY;
    }
    if (status != CQ_JAIL_OK) {
        return status;
    }
    if (into == &recent->lists[1]
        || (change->op == CQ_JAIL_REMOVE && into == &recent->lists[0])) {
        status = cq_recent_write(&recent->lists[0], '-', &change->key, why);
    }
    if (status == CQ_JAIL_OK && (into == &recent->lists[1]
                                 || change->op != CQ_JAIL_REMOVE)) {
        status = cq_recent_write(into,
                                 change->op == CQ_JAIL_REMOVE ? '-' : '+',
                                 &change->key, why);
    }
    into->count += change->op == CQ_JAIL_ADD;
    return status;
}

static bool has_changed(struct cq_jail *jail)
{
    const struct recent *recent = (const struct recent *)jail;

    return cq_recent_is_stale(&recent->lists[0])
           || (has_second(recent) && cq_recent_is_stale(&recent->lists[1]));
}

static enum cq_jail_status figures(struct cq_jail *jail,
                                   struct cq_jail_figures *figures,
                                   struct cq_jail_why *why)
{
    struct recent *recent = (struct recent *)jail;

    (void)why;
    read_rules(recent);
    *figures = (struct cq_jail_figures){
        .capacity_v4 = recent->capacity,
        .capacity_v6 = recent->capacity,
        .shares_capacity = !has_second(recent),
        .dropped_packets = -1,      /* iptables-legacy */
        .how_to_raise = "raise ip_list_tot of xt_recent "
                        "(clamquota-modprobe.conf), or use an nft jail"
    };
    if (recent->use[0].rules > 0
        && (!has_second(recent) || recent->use[1].rules > 0)) {
        figures->dropped_packets = recent->use[0].dropped_packets
                                   + recent->use[1].dropped_packets;
    }
    return CQ_JAIL_OK;
}

static void close_lists(struct cq_jail *jail)
{
    cq_recent_close(&((struct recent *)jail)->lists[0]);
    cq_recent_close(&((struct recent *)jail)->lists[1]);
}

const struct cq_jail_kind cq_jail_recent = {
    .name = "recent",
    .expected = "recent:NAME[,NAME6], e.g. recent:DenyAccessClamAV",
    .parse = parse,
    .open = open_lists,
    .list = list,
    .commit = commit,
    .has_changed = has_changed,
    .figures = figures,
    .close = close_lists
};
