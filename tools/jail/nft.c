/* nft - the jail of today's firewall: a plain set with time-outs for the
 * clients of each family, an interval set for the networks of each family.
 *
 * The kernel numbers every change of its tables: the generation. A transaction
 * carries the generation at which the sets' headers were checked
 * (NFNL_BATCH_GENID) and is refused at any other. So an address never gets into
 * a set that has become one of intervals, where it would begin a range up to
 * the last address. */
#include "jail/nft.h"
#include "jail/rules.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

/* tries, if changes of other programs interrupt a reading or come before a
 * transaction */
#define TRIES 3

/* For this long after others' change a listing may lack elements, because the
 * kernel still grows its hash (measured; lib/rhashtable.c); a later listing
 * reads all of them once more. */
#define UNSETTLED_S 2

/* A rule may add and remove elements when packets arrive, which is no new
 * generation. The elements are read again at this interval in any case. */
#define READ_AGAIN_S 600

static struct cq_nft *to_nft(struct cq_jail *jail)
{
    return (struct cq_nft *)jail;
}

/* FAMILY/TABLE/. The families whose packets have addresses. */
static const char *parse(struct cq_jail *jail, const char **at)
{
    static const struct {
        const char *name;
        uint8_t number;
    } families[] = {
        { "ip", NFPROTO_IPV4 }, { "ip6", NFPROTO_IPV6 },
        { "inet", NFPROTO_INET }, { "bridge", NFPROTO_BRIDGE },
        { "netdev", NFPROTO_NETDEV }
    };
    const size_t family_n = sizeof(families) / sizeof(families[0]);
    struct cq_nft *nft = to_nft(jail);
    char family[8];
    size_t i = family_n;

    if (cq_jail_read_name(at, "/", "", family, sizeof(family))) {
        for (i = 0; i < family_n && strcmp(family, families[i].name) != 0;
             i++) {
        }
    }
    if (i == family_n || *(*at)++ != '/') {
        return "FAMILY is ip, ip6, inet, bridge or netdev";
    }
    nft->family = families[i].number;
    if (!cq_jail_read_name(at, "/", "-.", nft->table, sizeof(nft->table))
        || *(*at)++ != '/') {
        return "TABLE and its sets have names";
    }
    snprintf(jail->place, sizeof(jail->place), "nft table %s %s: the set ",
             family, nft->table);
    return NULL;
}

/* Does one step at a generation whose headers were checked; anew if others'
 * changes come in between. */
static int run_step(struct cq_nft *nft,
                    int (*step)(struct cq_nft *nft, const void *what,
                                size_t count), const void *what, size_t count)
{
    int error = EINTR, tries;

    for (tries = 0; tries < TRIES && error == EINTR; tries++) {
        error = cq_nft_check_sets(nft);
        if (error == 0) {
            error = step(nft, what, count);
        }
    }
    return error;
}

static int read_contents(struct cq_nft *nft, const void *unused, size_t zero)
{
    int64_t now_s = nft->jail.now_s;
    uint32_t after = 0;
    int error;

    (void)unused;
    (void)zero;
    if (now_s < nft->has_expired_s) {
        return 0;
    }
    nft->has_expired_s = now_s < nft->changed_s + UNSETTLED_S
                         ? nft->changed_s + UNSETTLED_S
                         : now_s + READ_AGAIN_S;
    error = cq_nft_read_contents(nft);
    if (error == 0) {
        error = cq_nft_read_generation(nft, &after);
    }
    if (error == 0 && after != nft->generation) {
        error = EINTR;
    }
    if (error != 0) {
        nft->has_expired_s = 0;
    }
    return error;
}

static int list(struct cq_jail *jail)
{
    struct cq_nft *nft = to_nft(jail);
    int error = run_step(nft, read_contents, NULL, 0);

    jail->batch = cq_nft_batch(nft);
    return error != 0 ? error
           : cq_jail_read_rules(jail, &nft->link, nft->family, nft->table,
                                NULL);
}

static int commit(struct cq_jail *jail, const struct cq_jail_change *changes,
                  size_t count)
{
    struct cq_nft *nft = to_nft(jail);
    int64_t expires_at_s;
    int error = run_step(nft, cq_nft_send_changes, changes, count);
    size_t i;

    if (error != 0) {
        /* that of a single change; an error of a set that is none is its own */
        jail->set = error == ENOENT || error == EMEDIUMTYPE
                    ? jail->set : cq_jail_index(&changes[0].key);
        return error;
    }
    /* what was listed changes with it: to list 100,000 takes 0.3 s */
    expires_at_s = cq_jail_now_s() + jail->lease_s;
    if (nft->has_expired_s > expires_at_s) {
        nft->has_expired_s = expires_at_s;
    }
    for (i = 0; i < count && nft->has_expired_s != 0; i++) {
        if (!changes[i].has_failed
            && !cq_jail_elements_add(&jail->elements, &changes[i].key, false,
                                     changes[i].op == CQ_JAIL_REMOVE
                                     ? CQ_JAIL_GONE : expires_at_s)) {
            nft->has_expired_s = 0;
        }
    }
    return 0;
}

static int deny(struct cq_jail *jail, const struct cq_key *networks,
                size_t count)
{
    jail->set = CQ_JAIL_DENY4;
    to_nft(jail)->has_expired_s = 0;
    return run_step(to_nft(jail), cq_nft_send_networks, networks, count);
}

static bool has_changed(struct cq_jail *jail)
{
    struct cq_nft *nft = to_nft(jail);
    uint32_t generation = 0;

    return cq_nft_read_generation(nft, &generation) != 0
           || generation != nft->generation || nft->has_expired_s == 0;
}

static void close_sets(struct cq_jail *jail)
{
    cq_netlink_close(&to_nft(jail)->link);
}

#define MAKE(rest) "load it first, nft -f clamquota.nft, or make it with " \
                   "\"type " rest ";\""

const struct cq_jail_kind cq_jail_nft = {
    .name = "nft",
    .expected = "nft:FAMILY/TABLE/SET4[,SET6[,DENY4,DENY6]], e.g. "
                "nft:inet/clamquota/jail4,jail6,deny4,deny6",
    .size = sizeof(struct cq_nft),
    .set_most = CQ_JAIL_SETS,
    .name_size = NFT_NAME_MAXLEN,
    .name_also = "-.",
    .place = "",
    .how_to_make = {
        MAKE("ipv4_addr; flags timeout"), MAKE("ipv6_addr; flags timeout"),
        MAKE("ipv4_addr; flags interval"), MAKE("ipv6_addr; flags interval")
    },
    .how_to_raise = "raise its size, or leave it out",
    .parse = parse,
    .list = list,
    .commit = commit,
    .deny = deny,
    .has_changed = has_changed,
    .close = close_sets
};
