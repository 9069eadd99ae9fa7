/* nft - the jail of today's firewall: a plain set with time-outs for the
 * clients of each family, an interval set for the networks of each family.
 *
 * The kernel numbers every change of its tables: the generation. A transaction
 * carries the generation at which the sets' headers were checked
 * (NFNL_BATCH_GENID) and is refused at any other. So an address never gets into
 * a set that has become one of intervals, where it would begin a range up to
 * the last address. */
#include "jail/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>

/* For this long after another program's change a listing may lack elements,
 * because the kernel still grows its hash (measured; lib/rhashtable.c); a later
 * listing reads all of them once more. */
#define UNSETTLED_S 2

/* A rule may add and remove elements when packets arrive, which is no new
 * generation. The elements are read again at this interval in any case. */
#define READ_AGAIN_S 600

static struct cq_nft *to_nft(struct cq_jail *jail)
{
    return (struct cq_nft *)jail;
}

/* The families whose packets have addresses. */
static bool read_family(struct cq_nft *nft, const char **at)
{
    static const struct {
        const char *name;
        uint8_t number;
    } families[] = {
        { "ip", NFPROTO_IPV4 }, { "ip6", NFPROTO_IPV6 },
        { "inet", NFPROTO_INET }, { "bridge", NFPROTO_BRIDGE },
        { "netdev", NFPROTO_NETDEV }
    };
    size_t length = strcspn(*at, "/"), i;

    for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strlen(families[i].name) == length
            && strncmp(families[i].name, *at, length) == 0) {
            nft->family_name = families[i].name;
            nft->family = families[i].number;
            *at += length;
            return true;
        }
    }
    return false;
}

static bool read_name(const char **at, char delimiter, const char *ends,
                      char name[NFT_NAME_MAXLEN])
{
    if (**at != delimiter) {
        return false;
    }
    ++*at;
    return cq_jail_read_name(at, ends, "-.", name, NFT_NAME_MAXLEN);
}

/* One, two or four sets, all different. */
static bool read_set_names(struct cq_nft *nft, const char **at,
                           const char **wrong)
{
    int n = 1, i, k;

    if (!read_name(at, '/', ",", nft->sets[0].name)) {
        return false;
    }
    while (n < CQ_NFT_SETS && **at != '\0') {
        if (!read_name(at, ',', ",", nft->sets[n++].name)) {
            return false;
        }
    }
    *wrong = "SET6 is missing, or DENY6, or there are too many sets";
    if (**at != '\0' || n == 3) {
        return false;
    }
    *wrong = "its sets are different ones";
    for (i = 0; i < n; i++) {
        for (k = 0; k < i; k++) {
            if (strcmp(nft->sets[i].name, nft->sets[k].name) == 0) {
                return false;
            }
        }
    }
    return true;
}

static struct cq_jail *parse(const char *names, const char **wrong)
{
    struct cq_nft *nft = calloc(1, sizeof(*nft));
    bool good = false;

    if (nft == NULL) {
        return NULL;
    }
    *wrong = "FAMILY is ip, ip6, inet, bridge or netdev";
    if (read_family(nft, &names)) {
        *wrong = "a name has 1 to 255 letters, digits and any of _ - . behind "
                 "the first";
        good = read_name(&names, '/', "/", nft->table)
               && read_set_names(nft, &names, wrong);
    }
    if (!good) {
        free(nft);
        return NULL;
    }
    return &nft->jail;
}

static enum cq_jail_status open_sets(struct cq_jail *jail,
                                     struct cq_jail_why *why)
{
    struct cq_nft *nft = to_nft(jail);
    enum cq_jail_status status;

    nft->generation = 0;        /* the headers are to be read */
    status = cq_nft_read_sets(nft, why);
    jail->batch = cq_nft_batch(nft);
    return status;
}

/* --- what is known of the elements ---------------------------------------- */

static void drop_expired(struct cq_nft *nft)
{
    struct cq_jail_elements *elements = &nft->jail.elements;
    int64_t now_s = cq_jail_now_s();
    size_t i, n = 0;

    if (now_s < nft->first_expiry_s) {
        return;
    }
    nft->first_expiry_s = INT64_MAX;
    for (i = 0; i < elements->count; i++) {
        int64_t expires_at_s = elements->list[i].expires_at_s;

        if (expires_at_s > now_s) {
            elements->list[n++] = elements->list[i];
            if (expires_at_s < nft->first_expiry_s) {
                nft->first_expiry_s = expires_at_s;
            }
        }
    }
    elements->count = n;
}

static void sort(struct cq_nft *nft)
{
    cq_jail_elements_sort(&nft->jail.elements);
    nft->sorted_n = nft->jail.elements.count;
}

/* After our own transaction: what is known of the elements changes with it.
 * Added elements are appended, and sorted when they are next looked up. */
static void note_changes(struct cq_nft *nft,
                         const struct cq_jail_change *changes, size_t count)
{
    struct cq_jail_elements *elements = &nft->jail.elements;
    int64_t expires_at_s = cq_jail_now_s() + nft->jail.lease_s;
    size_t i;

    if (expires_at_s < nft->first_expiry_s) {
        nft->first_expiry_s = expires_at_s;
    }
    for (i = 0; i < count && nft->has_elements; i++) {
        struct cq_jail_element *element = NULL;

        if (changes[i].has_failed) {
            continue;
        }
        if (changes[i].op != CQ_JAIL_ADD) {
            if (nft->sorted_n < elements->count) {
                sort(nft);
            }
            element = cq_jail_elements_find(elements, &changes[i].key);
        }
        if (changes[i].op == CQ_JAIL_REMOVE) {
            if (element != NULL) {
                element->expires_at_s = nft->first_expiry_s = 0;
            }
        } else if (element != NULL) {
            element->expires_at_s = expires_at_s;
            element->is_operators = false;
        } else {
            nft->has_elements = cq_jail_elements_add(elements,
                                                     &changes[i].key, false,
                                                     expires_at_s);
        }
    }
}

/* Reads at one generation, whose headers were checked. */
static enum cq_jail_status read_stable(struct cq_nft *nft,
                                       int (*read)(struct cq_nft *nft),
                                       bool *has_read, struct cq_jail_why *why)
{
    enum cq_jail_status status;
    uint32_t after = 0;
    int error = EINTR, tries;

    for (tries = 0; tries < CQ_NFT_TRIES && error == EINTR; tries++) {
        status = cq_nft_read_sets(nft, why);
        if (status != CQ_JAIL_OK || *has_read) {
            return status;
        }
        error = read(nft);
        if (error == 0) {
            error = cq_nft_read_generation(nft, &after);
        }
        if (error == 0 && after != nft->generation) {
            error = EINTR;
        }
    }
    *has_read = error == 0;
    return error == 0 ? CQ_JAIL_OK : cq_nft_fail(nft, error, why);
}

static enum cq_jail_status list(struct cq_jail *jail, struct cq_jail_why *why)
{
    struct cq_nft *nft = to_nft(jail);
    int64_t now_s = cq_jail_now_s();
    enum cq_jail_status status;

    if (now_s - nft->read_s >= READ_AGAIN_S
        || (nft->read_s < nft->changed_s + UNSETTLED_S
            && now_s >= nft->changed_s + UNSETTLED_S)) {
        nft->has_elements = false;
    }
    status = read_stable(nft, cq_nft_read_elements, &nft->has_elements, why);
    if (status != CQ_JAIL_OK) {
        return status;
    }
    if (nft->sorted_n != jail->elements.count) {
        sort(nft);
    }
    drop_expired(nft);
    nft->sorted_n = jail->elements.count;
    return CQ_JAIL_OK;
}

/* --- changes -------------------------------------------------------------- */

/* What to say of the one change that the kernel did not take. */
static enum cq_jail_status refuse(struct cq_nft *nft,
                                  const struct cq_jail_change *change,
                                  int error, struct cq_jail_why *why)
{
    int family = cq_jail_index(&change->key);
    char text[CQ_KEY_TEXT_SIZE];

    if (error == ENFILE) {
        if (change->op == CQ_JAIL_REMOVE) {
            return CQ_JAIL_OK;      /* no room to make sure that it is there */
        }
        nft->jail.is_full[family] = true;
        return cq_jail_fail(why, CQ_JAIL_PARTLY,
                            "nft table %s %s: the set %s is full; raise its "
                            "size, or leave it out", nft->family_name,
                            nft->table, nft->sets[family].name);
    }
    return cq_jail_fail(why, CQ_JAIL_PARTLY, "nft table %s %s: %s in the set "
                        "%s: %s", nft->family_name, nft->table,
                        cq_key_format(&change->key, text, sizeof(text)),
                        nft->sets[family].name, strerror(error));
}

/* Sends until others' changes no longer come before; each time the headers
 * are read, nothing else. */
static int send_again(struct cq_nft *nft,
                      int (*send)(struct cq_nft *nft, const void *what,
                                  size_t count),
                      const void *what, size_t count,
                      enum cq_jail_status *status, struct cq_jail_why *why)
{
    int error = ERESTART, tries;

    *status = CQ_JAIL_OK;
    for (tries = 0; tries < CQ_NFT_TRIES && error == ERESTART; tries++) {
        *status = cq_nft_read_sets(nft, why);
        if (*status != CQ_JAIL_OK) {
            return EINTR;
        }
        error = send(nft, what, count);
    }
    if (error == ERESTART || error == EPERM) {
        *status = cq_nft_fail(nft, error, why);
        nft->jail.gives_up = true;
    }
    return error;
}

static int send_changes(struct cq_nft *nft, const void *what, size_t count)
{
    return cq_nft_send_changes(nft, what, count);
}

static enum cq_jail_status commit(struct cq_jail *jail,
                                  struct cq_jail_change *changes, size_t count,
                                  struct cq_jail_why *why)
{
    struct cq_nft *nft = to_nft(jail);
    enum cq_jail_status status;
    int error = send_again(nft, send_changes, changes, count, &status, why);

    if (error == 0) {
        note_changes(nft, changes, count);
    } else if (status == CQ_JAIL_OK) {
        status = refuse(nft, &changes[0], error, why);
        nft->jail.is_full[0] = nft->jail.is_full[0] && count == 1;
        nft->jail.is_full[1] = nft->jail.is_full[1] && count == 1;
        status = count == 1 ? status : CQ_JAIL_PARTLY;
    }
    return status;
}

/* --- networks ------------------------------------------------------------- */

static bool has_networks(const struct cq_jail *jail, uint8_t family)
{
    const struct cq_nft *nft = (const struct cq_nft *)jail;

    return nft->sets[family == 4 ? CQ_NFT_DENY4 : CQ_NFT_DENY6].name[0]
           != '\0';
}

static enum cq_jail_status networks(struct cq_jail *jail,
                                    struct cq_jail_why *why)
{
    struct cq_nft *nft = to_nft(jail);

    return read_stable(nft, cq_nft_read_networks, &nft->has_networks, why);
}

static int send_networks(struct cq_nft *nft, const void *what, size_t count)
{
    return cq_nft_send_networks(nft, what, count);
}

static enum cq_jail_status deny(struct cq_jail *jail,
                                const struct cq_key *networks, size_t count,
                                struct cq_jail_why *why)
{
    struct cq_nft *nft = to_nft(jail);
    enum cq_jail_status status;
    int error;

    if (nft->sets[CQ_NFT_DENY4].name[0] == '\0') {
        return count == 0 ? CQ_JAIL_OK
               : cq_jail_fail(why, CQ_JAIL_PARTLY, "%s names no sets for "
                              "networks", jail->spec);
    }
    nft->has_networks = false;
    error = send_again(nft, send_networks, networks, count, &status, why);
    if (error == 0 || status != CQ_JAIL_OK) {
        return status;
    }
    return cq_jail_fail(why, CQ_JAIL_PARTLY, "nft table %s %s: the networks "
                        "were not replaced: %s", nft->family_name, nft->table,
                        error == ENFILE ? "the set is full, raise its size"
                                        : strerror(error));
}

/* --- the rest ------------------------------------------------------------- */

static bool has_changed(struct cq_jail *jail)
{
    struct cq_nft *nft = to_nft(jail);
    uint32_t generation = 0;

    return cq_nft_read_generation(nft, &generation) != 0
           || generation != nft->generation || !nft->has_elements;
}

static enum cq_jail_status figures(struct cq_jail *jail,
                                   struct cq_jail_figures *figures,
                                   struct cq_jail_why *why)
{
    struct cq_nft *nft = to_nft(jail);
    struct cq_rules_use uses[CQ_NFT_SETS];
    enum cq_jail_status status = cq_nft_read_sets(nft, why);
    int error, i;

    if (status != CQ_JAIL_OK) {
        return status;
    }
    *figures = (struct cq_jail_figures){
        .capacity_v4 = nft->sets[CQ_NFT_JAIL4].size,
        .capacity_v6 = jail->bits[1] == 0 ? 0 : nft->sets[CQ_NFT_JAIL6].size,
        .how_to_raise = "raise the set's size, or leave it out"
    };
    for (i = 0; i < CQ_NFT_SETS; i++) {
        uses[i].name = nft->sets[i].name;
    }
    error = cq_rules_of_sets(&nft->link, nft->family, nft->table, uses,
                             CQ_NFT_SETS);
    if (error != 0) {
        return cq_nft_fail(nft, error, why);
    }
    figures->dropped_packets = -1;
    for (i = 0; i < CQ_NFT_SETS; i++) {
        if (uses[i].rules > 0) {
            figures->dropped_packets += uses[i].dropped_packets
                                        + (figures->dropped_packets < 0);
        }
    }
    return CQ_JAIL_OK;
}

static void close_sets(struct cq_jail *jail)
{
    cq_netlink_close(&to_nft(jail)->link);
}

const struct cq_jail_kind cq_jail_nft = {
    .name = "nft",
    .expected = "nft:FAMILY/TABLE/SET4[,SET6[,DENY4,DENY6]], e.g. "
                "nft:inet/clamquota/jail4,jail6,deny4,deny6",
    .parse = parse,
    .open = open_sets,
    .list = list,
    .commit = commit,
    .networks = networks,
    .deny = deny,
    .has_networks = has_networks,
    .has_changed = has_changed,
    .figures = figures,
    .close = close_sets
};
