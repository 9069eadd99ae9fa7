/* jail_recent - the jail that the 2012 post has: an xt_recent list, through
 * /proc/net/xt_recent/NAME.
 *
 * How the kernel wants it (net/netfilter/xt_recent.c; measured): one write()
 * is one command, a second one in it is lost without an error; the offset has
 * to be 0; a list that was deleted and made again answers EIO for ever on the
 * old descriptor; a full list silently drops its oldest entry, whoever put it
 * in, so this never writes into a full one. There is no lease in the kernel:
 * the rule's --seconds is counted from the last "+".
 *
 * The list NAME holds IPv4 addresses and single IPv6 addresses, NAME6 networks
 * of one length, written as their network address. */
#include "sync/jail_recent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define USAGE "expected recent:NAME[,NAME6[/BITS]], " \
              "e.g. recent:DenyAccessClamAV"

static enum jail_status bad_spec(const char *spec, const char *what,
                                 struct jail_why *why)
{
    return jail_fail(why, JAIL_USAGE, "--jail \"recent:%.200s\": %s, " USAGE,
                     spec, what);
}

/* The prefix of the networks, behind the slash: 1 to 127, else 0. */
static uint8_t read_bits(const char *text)
{
    char *end;
    long bits;

    if (*text < '1' || *text > '9') {
        return 0;
    }
    bits = strtol(text, &end, 10);
    return *end == '\0' && bits < 128 ? (uint8_t)bits : 0;
}

static enum jail_status parse(const char *spec, struct jail **jail,
                              struct jail_why *why)
{
    size_t first = strcspn(spec, ",");
    const char *second = spec[first] == ',' ? spec + first + 1 : NULL;
    size_t second_n = second == NULL ? 0 : strcspn(second, "/");
    uint8_t bits = RECENT_BITS_DEFAULT;
    struct recent *recent;

    if (!jail_is_name(spec, first, RECENT_NAME_ALSO, RECENT_NAME_LONGEST)
        || (second != NULL
            && !jail_is_name(second, second_n, RECENT_NAME_ALSO,
                             RECENT_NAME_LONGEST))) {
        return bad_spec(spec, "a name of a list has 1 to 199 letters, digits "
                        "and any of _ - . behind the first", why);
    }
    if (second != NULL && second[second_n] == '/') {
        bits = read_bits(second + second_n + 1);
        if (bits == 0) {
            return bad_spec(spec, "BITS is 1 to 127", why);
        }
    }
    if (second != NULL && first == second_n
        && strncmp(spec, second, first) == 0) {
        return bad_spec(spec, "NAME6 is another list than NAME", why);
    }
    recent = calloc(1, sizeof(*recent));
    if (recent == NULL) {
        return jail_fail(why, JAIL_USAGE, "no memory");
    }
    recent_list_name(&recent->addresses, spec, first);
    recent_list_name(&recent->networks, second, second_n);
    recent->networks.bits = bits;
    snprintf(recent->other_bits, sizeof(recent->other_bits),
             "holds IPv6 networks of %u bits only", (unsigned)bits);
    *jail = &recent->jail;
    return JAIL_OK;
}

static struct recent *of(struct jail *jail)
{
    return (struct recent *)jail;
}

/* How many addresses a list holds: a parameter of the module, of mode 0400.
 * Without it the kernel's own default. */
static int64_t read_places(void)
{
    FILE *file = fopen("/sys/module/xt_recent/parameters/ip_list_tot", "re");
    long long places = 0;

    if (file != NULL) {
        if (fscanf(file, "%lld", &places) != 1) {
            places = 0;
        }
        fclose(file);
    }
    return places > 0 ? places : 100;
}

static enum jail_status open_jail(struct jail *jail, bool to_write,
                                  struct jail_why *why)
{
    struct recent *recent = of(jail);
    struct jail_why other;
    enum jail_status status, second = JAIL_OK;

    recent->to_write = to_write;
    recent->places = read_places();
    status = recent_list_open(&recent->addresses, to_write, why);
    if (recent->networks.path[0] != '\0') {
        second = recent_list_open(&recent->networks, to_write, &other);
    }
    /* what is not permitted is said before what is missing */
    if (status == JAIL_OK || (status == JAIL_MISSING && second > status)) {
        status = second;
        if (status != JAIL_OK) {
            *why = other;
        }
    }
    return status;
}

/* The list that a key belongs in, or NULL. */
static struct recent_list *list_of(struct recent *recent,
                                   const struct cq_key *key)
{
    if (key->prefix == (key->family == 4 ? 32 : 128)) {
        return &recent->addresses;
    }
    if (key->family == 6 && recent->networks.path[0] != '\0'
        && key->prefix == recent->networks.bits) {
        return &recent->networks;
    }
    return NULL;
}

static const char *cannot_hold(const struct jail *jail,
                               const struct cq_key *key)
{
    const struct recent *recent = (const struct recent *)jail;

    if (key->prefix == (key->family == 4 ? 32 : 128)) {
        return NULL;
    }
    if (key->family == 4) {
        return "holds single IPv4 addresses, no networks";
    }
    if (recent->networks.path[0] == '\0') {
        return "holds IPv6 networks only in a second list whose rule has "
               "their --mask (recent:NAME,NAME6)";
    }
    return key->prefix == recent->networks.bits ? NULL : recent->other_bits;
}

static enum jail_status list(struct jail *jail, struct jail_listing *listing,
                             struct jail_why *why)
{
    struct recent *recent = of(jail);
    enum jail_status status;
    size_t room = 0;

    *listing = (struct jail_listing){ .entries = NULL };
    status = recent_list_read(&recent->addresses, listing, &room,
                              recent->to_write, why);
    if (status == JAIL_OK && recent->networks.path[0] != '\0') {
        status = recent_list_read(&recent->networks, listing, &room,
                                  recent->to_write, why);
    }
    if (status != JAIL_OK) {
        jail_listing_free(listing);
        return status;
    }
    jail_listing_sort(listing);
    return JAIL_OK;
}

/* Is there a place for one more? Counts only when our own count says no and
 * something has changed since the last reading. */
static enum jail_status find_place(const struct recent *recent,
                                   struct recent_list *into,
                                   struct jail_why *why)
{
    if (into->taken < 0
        || (into->taken >= recent->places && into->changed)) {
        enum jail_status status = recent_list_read(into, NULL, NULL, true,
                                                   why);

        if (status != JAIL_OK) {
            return status;
        }
    }
    if (into->taken < recent->places) {
        return JAIL_OK;
    }
    return jail_fail(why, JAIL_PARTLY,
                     "%s is full: it holds %lld addresses, and one more would "
                     "push out the oldest; raise ip_list_tot of xt_recent "
                     "(clamquota-modprobe.conf) or use an nft jail",
                     into->path, (long long)recent->places);
}

/* "+192.0.2.7". For IPv4 by hand: inet_ntop() takes as long as a write. */
static bool write_command(char command[1 + INET6_ADDRSTRLEN], char sign,
                          const struct cq_key *key)
{
    char *at = command;
    int i;

    *at++ = sign;
    if (key->family != 4) {
        return inet_ntop(AF_INET6, key->bytes, at, INET6_ADDRSTRLEN) != NULL;
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
        *at++ = i < 3 ? '.' : '\0';
    }
    return true;
}

static enum jail_status carry_out(struct recent *recent,
                                  const struct jail_change *change,
                                  struct jail_why *why)
{
    struct recent_list *into = list_of(recent, &change->key);
    char command[1 + INET6_ADDRSTRLEN];
    enum jail_status status = JAIL_OK;

    if (into == NULL) {
        return jail_fail(why, JAIL_PARTLY, "an xt_recent list %s",
                         cannot_hold(&recent->jail, &change->key));
    }
    if (change->op == JAIL_ADD) {
        status = find_place(recent, into, why);
    }
    if (status != JAIL_OK) {
        return status;
    }
    if (!write_command(command, change->op == JAIL_REMOVE ? '-' : '+',
                       &change->key)) {
        return jail_fail(why, JAIL_PARTLY, "not an address");
    }
    status = recent_list_command(into, command, why);
    if (status == JAIL_OK) {
        into->changed = true;
        into->taken += change->op == JAIL_ADD && into->taken >= 0;
    }
    return status;
}

static enum jail_status apply(struct jail *jail, struct jail_change *changes,
                              size_t count, int64_t lease_s,
                              struct jail_why *why)
{
    enum jail_status result = JAIL_OK;
    struct jail_why here;
    size_t i;

    (void)lease_s;      /* the rule's --seconds */
    /* a full list is worth another look, once */
    of(jail)->addresses.changed = true;
    of(jail)->networks.changed = true;
    for (i = 0; i < count; i++) {
        enum jail_status status = result;

        if (result <= JAIL_PARTLY) {
            status = carry_out(of(jail), &changes[i], &here);
        }
        changes[i].failed = status != JAIL_OK;
        /* the first reason is told, or why nothing more can be done */
        if (status > result) {
            result = status;
            *why = here;
        }
    }
    return result;
}

static enum jail_status flush(struct jail *jail, struct jail_why *why)
{
    struct recent *recent = of(jail);
    enum jail_status status = recent_list_command(&recent->addresses, "/",
                                                  why);

    recent->addresses.taken = -1;
    if (status == JAIL_OK && recent->networks.path[0] != '\0') {
        status = recent_list_command(&recent->networks, "/", why);
        recent->networks.taken = -1;
    }
    return status;
}

static enum jail_status figures(struct jail *jail, bool drops,
                                struct jail_figures *figures,
                                struct jail_why *why)
{
    const struct recent *recent = of(jail);

    (void)drops;
    (void)why;
    *figures = (struct jail_figures){
        .places_v4 = recent->places,
        .places_v6 = recent->places,
        .shared_places = recent->networks.path[0] == '\0',
        .dropped_packets = -1,      /* only iptables itself can tell */
        .dropped_bytes = -1,
        .how_to_raise = "raise ip_list_tot of xt_recent "
                        "(clamquota-modprobe.conf), or use an nft jail"
    };
    return JAIL_OK;
}

static void close_jail(struct jail *jail)
{
    if (jail != NULL) {
        recent_list_close(&of(jail)->addresses);
        recent_list_close(&of(jail)->networks);
        free(jail->spec);
        free(jail);
    }
}

const struct jail_kind jail_recent = {
    .name = "recent",
    .parse = parse,
    .open = open_jail,
    .cannot_hold = cannot_hold,
    .list = list,
    .apply = apply,
    .flush = flush,
    .figures = figures,
    .close = close_jail
};
