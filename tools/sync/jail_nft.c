/* jail_nft - the jail of a modern firewall: a set of addresses for each
 * family in an nft table, changed in one transaction.
 *
 * How the kernel wants it (measured on Linux 6.18): adding an element that is
 * there renews nothing, deleting one that is not there undoes the whole
 * transaction, and older kernels cannot change an element's timeout. So to
 * renew is add, delete, add with a timeout, and to remove is add, delete: in
 * one transaction nobody is out in between. A network that overlaps with one
 * that is there is an error. */
#include "sync/jail_nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE "expected nft:FAMILY/TABLE/SET4[,SET6], " \
              "e.g. nft:inet/clamquota/jail4,jail6"

static struct nft *of(struct jail *jail)
{
    return (struct nft *)jail;
}

/* Copies a name that reaches to the first of `ends`; NULL for a bad one, else
 * where it ends. */
static const char *take_name(char *name, const char *text, const char *ends)
{
    size_t length = strcspn(text, ends);

    if (!jail_is_name(text, length, NFT_NAME_ALSO, NFT_NAME_LONGEST)) {
        return NULL;
    }
    memcpy(name, text, length);
    name[length] = '\0';
    return text + length;
}

/* The families whose packets have addresses. */
static const char *take_family(struct nft *nft, const char *text)
{
    static const struct {
        const char *name;
        uint16_t number;
    } families[] = {
        { "ip", NFPROTO_IPV4 }, { "ip6", NFPROTO_IPV6 },
        { "inet", NFPROTO_INET }, { "bridge", NFPROTO_BRIDGE },
        { "netdev", NFPROTO_NETDEV }
    };
    size_t length = strcspn(text, "/");
    size_t i;

    for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strlen(families[i].name) == length
            && strncmp(families[i].name, text, length) == 0) {
            nft->family = families[i].name;
            nft->family_number = families[i].number;
            return text + length;
        }
    }
    return NULL;
}

static enum jail_status parse(const char *spec, struct jail **jail,
                              struct jail_why *why)
{
    struct nft *nft = calloc(1, sizeof(*nft));
    const char *wrong = "FAMILY is ip, ip6, inet, bridge or netdev";
    const char *at;

    if (nft == NULL) {
        return jail_fail(why, JAIL_USAGE, "no memory");
    }
    nft->sets[0].family = 4;
    nft->sets[1].family = 6;
    at = take_family(nft, spec);
    if (at != NULL) {
        wrong = "a name has 1 to 255 letters, digits and any of _ - . behind "
                "the first";
        at = *at == '/' ? take_name(nft->table, at + 1, "/") : NULL;
    }
    if (at != NULL) {
        at = *at == '/' ? take_name(nft->sets[0].name, at + 1, ",") : NULL;
    }
    if (at != NULL && *at == ',') {
        at = take_name(nft->sets[1].name, at + 1, "");
    }
    if (at != NULL && strcmp(nft->sets[0].name, nft->sets[1].name) == 0) {
        wrong = "SET6 is another set than SET4";
        at = NULL;
    }
    if (at == NULL) {
        free(nft);
        return jail_fail(why, JAIL_USAGE, "--jail \"nft:%.200s\": %s, " USAGE,
                         spec, wrong);
    }
    *jail = &nft->jail;
    return JAIL_OK;
}

static enum jail_status open_jail(struct jail *jail, bool to_write,
                                  struct jail_why *why)
{
    (void)to_write;     /* nft wants root for looking too */
    nft_known_forget(of(jail));
    return nft_read_sets(of(jail), why);
}

static const char *cannot_hold(const struct jail *jail,
                               const struct cq_key *key)
{
    const struct nft *nft = (const struct nft *)jail;
    const struct nft_set *set = &nft->sets[key->family == 6];

    if (set->name[0] == '\0') {
        return "holds IPv6 only in a second set (nft:FAMILY/TABLE/SET4,SET6)";
    }
    if (!set->holds_networks && key->prefix != (key->family == 4 ? 32 : 128)) {
        return "holds single addresses, no networks: its set has no \"flags "
               "interval\"";
    }
    return NULL;
}

static enum jail_status list(struct jail *jail, struct jail_listing *listing,
                             struct jail_why *why)
{
    return nft_list(of(jail), listing, why);
}

/* What to say of an element that the kernel did not take. */
static enum jail_status refused(const struct nft *nft,
                                const struct jail_change *change, int error,
                                struct jail_why *why)
{
    const struct nft_set *set = &nft->sets[change->key.family == 6];
    char text[CQ_KEY_TEXT_SIZE];

    cq_key_format_cidr(&change->key, text, sizeof(text));
    if (error == EPERM || error == EACCES) {
        return nft_fail(nft, error, why);
    }
    if (error == ENFILE) {
        return jail_fail(why, JAIL_PARTLY,
                         "nft table %s %s: the set %s is full; raise its "
                         "size, or leave it out", nft->family, nft->table,
                         set->name);
    }
    if (error == ENOTEMPTY || error == EEXIST) {
        return jail_fail(why, JAIL_PARTLY,
                         "nft table %s %s: %s overlaps with what is in the "
                         "set %s already; take that out first", nft->family,
                         nft->table, text, set->name);
    }
    return jail_fail(why, JAIL_PARTLY, "nft table %s %s: %s in the set %s: %s",
                     nft->family, nft->table, text, set->name,
                     strerror(error));
}

/* Takes out the bad ones, as failed. */
static size_t without_failed(struct nft *nft, struct nft_step *steps,
                             size_t count, enum jail_status *status,
                             struct jail_why *why)
{
    struct jail_why here;
    size_t i, n = 0;

    for (i = 0; i < count; i++) {
        if (steps[i].error == 0) {
            steps[n++] = steps[i];
            continue;
        }
        steps[i].change->failed = true;
        if (*status == JAIL_OK) {
            *status = refused(nft, steps[i].change, steps[i].error, &here);
            *why = here;
        }
    }
    return n;
}

static void fail_all(struct nft_step *steps, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        steps[i].change->failed = true;
    }
}

static bool adds_network(const struct nft_step *steps, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const struct cq_key *key = &steps[i].change->key;

        if (steps[i].change->op == JAIL_ADD
            && key->prefix != (key->family == 4 ? 32 : 128)) {
            return true;
        }
    }
    return false;
}

/* Tries one transaction, and again without those that made it fail. */
static enum jail_status commit(struct nft *nft, struct nft_step *steps,
                               size_t count, int64_t lease_s,
                               struct jail_why *why)
{
    enum jail_status status = JAIL_OK;
    bool looked = false;

    if (adds_network(steps, count)) {
        count = nft_without_overlaps(nft, steps, count);
        count = without_failed(nft, steps, count, &status, why);
    }
    while (count > 0) {
        uint32_t before = 0;
        bool counted = nft->known.valid && nft_generation(&before) == 0;
        bool learnt = false;
        int error = nft_commit(nft, steps, count, lease_s, &learnt);

        if (error == 0 && counted) {
            nft_known_changed(nft, before, steps, count, lease_s);
            break;
        }
        nft_known_forget(nft);
        if (error == 0) {
            break;
        }
        if (!looked) {
            enum jail_status gone = nft_read_sets(nft, why);

            if (gone != JAIL_OK) {
                fail_all(steps, count);
                return gone;
            }
            looked = true;
            count = nft_without_overlaps(nft, steps, count);
        } else if (!learnt) {
            fail_all(steps, count);
            return refused(nft, steps[0].change, error, why);
        }
        count = without_failed(nft, steps, count, &status, why);
    }
    return status;
}

static enum jail_status apply(struct jail *jail, struct jail_change *changes,
                              size_t count, int64_t lease_s,
                              struct jail_why *why)
{
    struct nft_step *steps = calloc(count + 1, sizeof(*steps));
    enum jail_status unholdable = JAIL_OK, status;
    struct jail_why here;
    size_t i, n = 0;

    for (i = 0; i < count; i++) {
        const char *clause = cannot_hold(jail, &changes[i].key);

        changes[i].failed = clause != NULL || steps == NULL;
        if (clause == NULL && steps != NULL) {
            steps[n++].change = &changes[i];
        } else if (clause != NULL && unholdable == JAIL_OK) {
            unholdable = jail_fail(why, JAIL_PARTLY, "%s %s", jail->spec,
                                   clause);
        }
    }
    if (steps == NULL) {
        return jail_no_memory(why);
    }
    status = commit(of(jail), steps, n, lease_s, &here);
    free(steps);
    if (status > unholdable) {
        *why = here;
        return status;
    }
    return unholdable;
}

static enum jail_status flush(struct jail *jail, struct jail_why *why)
{
    int error = nft_flush(of(jail));

    nft_known_forget(of(jail));
    return error == 0 ? JAIL_OK : nft_fail(of(jail), error, why);
}

static enum jail_status figures(struct jail *jail, bool drops,
                                struct jail_figures *figures,
                                struct jail_why *why)
{
    struct nft *nft = of(jail);
    enum jail_status status = drops ? nft_read_sets(nft, why) : JAIL_OK;

    *figures = (struct jail_figures){
        .places_v4 = nft->sets[0].size,
        .places_v6 = nft->sets[1].size,
        .dropped_packets = -1,
        .dropped_bytes = -1,
        .how_to_raise = "raise the set's size, or leave it out"
    };
    return status != JAIL_OK || !drops
        ? status : nft_read_counters(nft, &figures->dropped_packets,
                                     &figures->dropped_bytes, why);
}

static void close_jail(struct jail *jail)
{
    if (jail != NULL) {
        nft_known_forget(of(jail));
        free(jail->spec);
        free(jail);
    }
}

const struct jail_kind jail_nft = {
    .name = "nft",
    .parse = parse,
    .open = open_jail,
    .cannot_hold = cannot_hold,
    .list = list,
    .apply = apply,
    .flush = flush,
    .figures = figures,
    .close = close_jail
};
