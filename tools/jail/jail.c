/* jail - the interface in front of the three kinds: which there are, what all
 * of them do alike. Changes go to a kind in batches; a batch of which one
 * change is bad is halved until the bad one is alone. */
#include "jail/kind.h"
#include "jail/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cq_key cq_jail_element_key(const struct cq_key *client)
{
    struct cq_key key = *client;

    key.prefix = key.family == 4 ? 32 : 128;
    return key;
}

/* --- specs ---------------------------------------------------------------- */

bool cq_jail_read_name(const char **at, char end, const char *letters,
                       char *name, size_t size)
{
    size_t length = strspn(*at, letters);
    char behind = (*at)[length];

    if (strspn(*at, CQ_JAIL_LETTERS) == 0 || length >= size
        || (behind != end && behind != '\0')) {
        return false;
    }
    memcpy(name, *at, length);
    name[length] = '\0';
    *at += length;
    return true;
}

/* Names of sets, all different: one, two or four. */
static const char *read_names(struct cq_jail *jail, const char *at)
{
    const struct cq_jail_kind *kind = jail->kind;
    int n = 0, i;

    do {
        if (n == kind->set_most) {
            return "there are too many names";
        }
        if (!cq_jail_read_name(&at, ',', kind->name_letters, jail->names[n],
                               kind->name_size)) {
            return "a name is empty, too long, or has a character that is no "
                   "letter, digit or, behind the first, one of _ - .";
        }
        for (i = 0; i < n; i++) {
            if (strcmp(jail->names[n], jail->names[i]) == 0) {
                return "a name stands twice";
            }
        }
        n++;
    } while (*at++ == ',');
    return n == 3 ? "DENY6 is missing" : NULL;
}

/* The kind that the spec begins with, or NULL. */
static const struct cq_jail_kind *find_kind(const char *spec)
{
    static const struct cq_jail_kind *const kinds[] = {
        &cq_jail_recent, &cq_jail_nft, &cq_jail_ipset
    };
    size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strncmp(spec, kinds[i]->prefix, strlen(kinds[i]->prefix)) == 0) {
            return kinds[i];
        }
    }
    return NULL;
}

enum cq_jail_status cq_jail_parse(const char *spec, enum cq_jail_access access,
                                  int64_t lease_s, struct cq_jail **jail,
                                  struct cq_jail_why *why)
{
    const struct cq_jail_kind *kind = find_kind(spec);
    const char *wrong = "no memory", *at;
    struct cq_jail *made;

    if (kind == NULL) {
        snprintf(why->text, sizeof(why->text), "--jail \"%.100s\": no such "
                 "kind of jail, expected %s, %s or %s", spec,
                 cq_jail_recent.expected, cq_jail_nft.expected,
                 cq_jail_ipset.expected);
        return CQ_JAIL_USAGE;
    }
    at = spec + strlen(kind->prefix);
    made = calloc(1, kind->size);
    if (made != NULL) {
        made->kind = kind;
        made->spec = strdup(spec);
        made->link = calloc(1, sizeof(*made->link));
        made->access = access;
        made->lease_s = lease_s < CQ_JAIL_LEASE_MOST_S ? lease_s
                                                       : CQ_JAIL_LEASE_MOST_S;
        made->dropped_packets = -1;
        snprintf(made->place, sizeof(made->place), "%s", kind->place);
        if (made->spec != NULL && made->link != NULL) {
            wrong = kind->parse == NULL ? NULL : kind->parse(made, &at);
            wrong = wrong == NULL ? read_names(made, at) : wrong;
        }
    }
    if (wrong != NULL) {
        cq_jail_close(made);
        snprintf(why->text, sizeof(why->text), "--jail \"%.200s\": %s, "
                 "expected %s", spec, wrong, kind->expected);
        return CQ_JAIL_USAGE;
    }
    *jail = made;
    return CQ_JAIL_OK;
}

const char *cq_jail_spec(const struct cq_jail *jail)
{
    return jail->spec;
}

void cq_jail_close(struct cq_jail *jail)
{
    if (jail != NULL) {
        if (jail->kind->close != NULL) {
            jail->kind->close(jail);
        }
        cq_netlink_close(jail->link);
        free(jail->link);
        free(jail->elements.list);
        free(jail->networks.list);
        free(jail->spec);
        free(jail);
    }
}

/* --- what went wrong ------------------------------------------------------ */

/* The status and the sentence of a kind's errno, of which kind.h has the
 * meanings. A jail that cannot be used is to be listed before the next use.
 * @param key  the change that failed, or NULL */
static enum cq_jail_status explain(struct cq_jail *jail, int error,
                                   const struct cq_key *key,
                                   struct cq_jail_why *why)
{
    static const struct {
        int error;
        enum cq_jail_status status;
        const char *text;       /* the set is the subject */
    } faults[] = {
        { EPERM, CQ_JAIL_NOT_PERMITTED,
          "is not permitted to this user; run clamquota-sync as root" },
        { EACCES, CQ_JAIL_NOT_PERMITTED,
          "is not permitted to this user; run clamquota-sync as root" },
        { EROFS, CQ_JAIL_READ_ONLY,
          "cannot be written, as /proc is mounted read-only here, as in a "
          "container; run clamquota-sync on the host, or use an nft jail" },
        { ENOENT, CQ_JAIL_MISSING, "does not exist; " },
        { EMEDIUMTYPE, CQ_JAIL_MISSING, "; " },
        { ENFILE, CQ_JAIL_PARTLY, "is full; " },
        { EINTR, CQ_JAIL_PARTLY,
          "is changed by others faster than it can be read; the next look "
          "tries again" },
        { 0, CQ_JAIL_PARTLY, "cannot be used: " }
    };
    const char *clause = error == ENFILE ? jail->kind->how_to_raise : "";
    const struct cq_key *at = NULL;
    char address[CQ_KEY_TEXT_SIZE];
    size_t i = 0;

    while (faults[i].error != error && faults[i].error != 0) {
        i++;
    }
    if (faults[i].status == CQ_JAIL_MISSING) {
        clause = jail->kind->how_to_make[jail->set];
    } else if (faults[i].error == 0) {
        clause = strerror(error);
        at = key;
    }
    snprintf(why->text, sizeof(why->text), "%s%s %s%s%s%s%s", jail->place,
             jail->names[jail->set], error == EMEDIUMTYPE ? jail->wrong : "",
             faults[i].text, clause, at == NULL ? "" : ", at ",
             at == NULL ? "" : cq_key_format(at, address, sizeof(address)));
    jail->is_listed = jail->is_listed && faults[i].status == CQ_JAIL_PARTLY;
    return faults[i].status;
}

int cq_jail_for_sets(struct cq_jail *jail, int (*read)(struct cq_jail *jail))
{
    int error = 0, i;

    for (i = 0; i < CQ_JAIL_SETS && error == 0; i++) {
        if (jail->names[i][0] != '\0') {
            jail->set = i;
            jail->wrong = NULL;
            error = read(jail);
            if (error == 0 && jail->wrong != NULL) {
                error = EMEDIUMTYPE;
            }
        }
    }
    return error;
}

static enum cq_jail_status explain_not_listed(const struct cq_jail *jail,
                                              struct cq_jail_why *why)
{
    snprintf(why->text, sizeof(why->text), "%s was not listed", jail->spec);
    return CQ_JAIL_MISSING;
}

/* --- the jail ------------------------------------------------------------- */

const char *cq_jail_cannot_hold(const struct cq_jail *jail,
                                const struct cq_key *client)
{
    uint8_t bits = jail->bits[cq_jail_index(client)];

    if (bits == 0) {
        return "holds no IPv6: it names no second list or set";
    }
    return client->prefix == bits ? NULL
           : "holds no clients of this prefix length: ClamQuotaPrefix and the "
             "mask of its firewall rule differ";
}

const char *cq_jail_cannot_deny(const struct cq_jail *jail,
                                const struct cq_key *network)
{
    int set = CQ_JAIL_DENY4 + cq_jail_index(network);

    if (jail->kind->deny == NULL) {
        return "holds no networks, only nft can";
    }
    return jail->names[set][0] != '\0' ? NULL
           : "holds no networks: name interval sets, as in "
             "nft:inet/clamquota/jail4,jail6,deny4,deny6";
}

enum cq_jail_status cq_jail_list(struct cq_jail *jail,
                                 struct cq_jail_contents *contents,
                                 struct cq_jail_why *why)
{
    int error;

    jail->now_s = cq_jail_now_s();
    error = jail->kind->list(jail);
    jail->is_listed = error == 0;
    if (error != 0) {
        *contents = (struct cq_jail_contents){ .element_n = 0 };
        return explain(jail, error, NULL, why);
    }
    cq_jail_elements_sort(&jail->elements);
    cq_jail_elements_sort(&jail->networks);
    *contents = (struct cq_jail_contents){
        .elements = jail->elements.list, .element_n = jail->elements.count,
        .networks = jail->networks.list, .network_n = jail->networks.count,
        .capacity_v4 = jail->capacity[0], .capacity_v6 = jail->capacity[1],
        .shares_capacity = jail->shares_capacity,
        .dropped_packets = jail->dropped_packets,
        .how_to_raise = jail->kind->how_to_raise
    };
    return CQ_JAIL_OK;
}

/* Marks what has no place, so that it is not tried.
 * @return whether anything is left */
static bool skip_full(const bool is_full[2], struct cq_jail_change *changes,
                      size_t count)
{
    bool is_left = false;
    size_t i;

    for (i = 0; i < count; i++) {
        changes[i].has_failed = changes[i].op == CQ_JAIL_ADD
            && is_full[cq_jail_index(&changes[i].key)];
        is_left |= !changes[i].has_failed;
    }
    return is_left;
}

enum cq_jail_status cq_jail_apply(struct cq_jail *jail,
                                  struct cq_jail_change *changes, size_t count,
                                  struct cq_jail_why *why)
{
    enum cq_jail_status worst = CQ_JAIL_OK, status;
    bool is_full[2] = { false, false };     /* no more is added */
    bool is_over = !jail->is_listed;        /* nothing more is tried */
    size_t i = 0, n, bad_end = 0;           /* a batch up to there has failed */
    struct cq_jail_why said;

    if (is_over) {
        worst = explain_not_listed(jail, why);
    }
    while (i < count && !is_over) {
        int error = 0;

        n = jail->kind->batch < count - i ? jail->kind->batch : count - i;
        n = i < bad_end ? (bad_end - i + 1) / 2 : n;
        if (skip_full(is_full, changes + i, n)) {
            error = jail->kind->commit(jail, changes + i, n);
        }
        /* a full nft set has no room to make sure that it is there */
        if (error == 0 || (error == ENFILE && n == 1
                           && changes[i].op == CQ_JAIL_REMOVE)) {
            i += n;
            continue;
        }
        status = explain(jail, error, n == 1 ? &changes[i].key : NULL, &said);
        is_over = status > CQ_JAIL_PARTLY || error == EINTR;
        bad_end = i + n;
        if (n > 1 && !is_over) {
            continue;
        }
        /* the first reason, unless a worse one follows */
        if (status > worst) {
            worst = status;
            *why = said;
        }
        is_full[cq_jail_index(&changes[i].key)] |= error == ENFILE;
        changes[i].has_failed = true;
        i += !is_over;
    }
    for (; i < count; i++) {
        changes[i].has_failed = true;
    }
    return worst;
}

enum cq_jail_status cq_jail_deny(struct cq_jail *jail,
                                 const struct cq_key *networks, size_t count,
                                 struct cq_jail_why *why)
{
    int error;

    if (!jail->is_listed) {
        return explain_not_listed(jail, why);
    }
    if (jail->names[CQ_JAIL_DENY4][0] == '\0') {
        snprintf(why->text, sizeof(why->text), "%s holds no networks",
                 jail->spec);
        return count == 0 ? CQ_JAIL_OK : CQ_JAIL_PARTLY;
    }
    error = jail->kind->deny(jail, networks, count);
    return error == 0 ? CQ_JAIL_OK : explain(jail, error, NULL, why);
}

bool cq_jail_has_changed(struct cq_jail *jail)
{
    return !jail->is_listed || (jail->kind->has_changed != NULL
                                && jail->kind->has_changed(jail));
}
