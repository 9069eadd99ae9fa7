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

/* tries, if changes of other programs come in between */
#define TRIES 3

/* --- specs ---------------------------------------------------------------- */

/* Names of sets, all different: one, two or four.
 * @return NULL, or a clause that says what is wrong */
static const char *read_names(struct cq_jail *jail, char *names)
{
    const struct cq_jail_kind *kind = jail->kind;
    int n = 0, i;

    do {
        const char *name = strsep(&names, ",");

        if (n == (kind->deny != NULL ? CQ_JAIL_SETS : CQ_JAIL_DENY4)) {
            return "there are too many names";
        }
        if (!cq_jail_is_name(name, kind->name_size)) {
            return "a name is empty, too long, or has a character that is no "
                   "letter, digit or, behind the first, one of _ - .";
        }
        for (i = 0; i < n; i++) {
            if (strcmp(name, jail->names[i]) == 0) {
                return "a name stands twice";
            }
        }
        jail->names[n++] = name;
    } while (names != NULL);
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
    const char *wrong = "no memory";
    struct cq_jail *made;

    if (kind == NULL) {
        snprintf(why->text, sizeof(why->text), "--jail \"%.100s\": no such "
                 "kind of jail, expected %s, %s or %s", spec,
                 cq_jail_recent.expected, cq_jail_nft.expected,
                 cq_jail_ipset.expected);
        return CQ_JAIL_USAGE;
    }
    made = calloc(1, kind->size);
    if (made != NULL) {
        made->kind = kind;
        made->place = kind->place;
        made->spec = strdup(spec);
        made->words = strdup(spec + strlen(kind->prefix));
        made->link = calloc(1, sizeof(*made->link));
        made->access = access;
        made->lease_s = lease_s < CQ_JAIL_LEASE_MOST_S ? lease_s
                                                       : CQ_JAIL_LEASE_MOST_S;
        made->dropped_packets = -1;
        if (made->spec != NULL && made->words != NULL && made->link != NULL) {
            char *at = made->words;

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
        free(jail->words);
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
    enum cq_jail_status status = CQ_JAIL_PARTLY;
    const char *text = jail->wrong, *hint = jail->kind->how_to_make[jail->set];
    char other[64 + CQ_KEY_TEXT_SIZE], address[CQ_KEY_TEXT_SIZE];

    switch (error) {
    case EPERM:
    case EACCES:
        status = CQ_JAIL_NOT_PERMITTED;
        text = "is not permitted to this user";
        hint = "run clamquota-sync as root";
        break;
    case EROFS:
        status = CQ_JAIL_READ_ONLY;
        text = "cannot be written, as /proc is mounted read-only here, as in "
               "a container";
        hint = "run clamquota-sync on the host, or use an nft jail";
        break;
    case ENOENT:
        status = CQ_JAIL_MISSING;
        text = "does not exist";
        break;
    case EMEDIUMTYPE:
        status = CQ_JAIL_MISSING;
        break;
    case ENFILE:
        text = "is full";
        hint = jail->kind->how_to_raise;
        break;
    case EINTR:
        text = "is changed by others faster than it can be read";
        hint = "the next look tries again";
        break;
    default:
        snprintf(other, sizeof(other), "%s%s%s", strerror(error),
                 key == NULL ? "" : ", at ",
                 key == NULL ? "" : cq_key_format(key, address,
                                                  sizeof(address)));
        text = "cannot be used";
        hint = other;
    }
    snprintf(why->text, sizeof(why->text), "%s%s %s%s%s", jail->place,
             jail->names[jail->set], text, hint == other ? ": " : "; ", hint);
    jail->is_listed = jail->is_listed && status == CQ_JAIL_PARTLY;
    return status;
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
    return jail->names[set] != NULL ? NULL
           : "holds no networks: name interval sets, as in "
             "nft:inet/clamquota/jail4,jail6,deny4,deny6";
}

enum cq_jail_status cq_jail_list(struct cq_jail *jail,
                                 struct cq_jail_contents *contents,
                                 struct cq_jail_why *why)
{
    int error = EINTR, tries;

    jail->now_s = cq_jail_now_s();
    for (tries = 0; tries < TRIES && error == EINTR; tries++) {
        error = jail->kind->list(jail);
    }
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

/* What became of changes. */
struct application {
    struct cq_jail *jail;
    enum cq_jail_status worst;
    struct cq_jail_why *why;    /* of the first of the worst */
    bool is_full[2];            /* no more is added */
    bool is_over;               /* nothing more is tried */
};

/* Marks what is not to be tried.
 * @return whether anything is left */
static bool skip(const struct application *a, struct cq_jail_change *changes,
                 size_t count)
{
    bool is_left = false;
    size_t i;

    for (i = 0; i < count; i++) {
        changes[i].has_failed = a->is_over
            || (changes[i].op == CQ_JAIL_ADD
                && a->is_full[cq_jail_index(&changes[i].key)]);
        is_left |= !changes[i].has_failed;
    }
    return is_left;
}

/* Carries out a batch, and both halves of one that fails, until each change
 * that fails is alone. */
static void carry_out(struct application *a, struct cq_jail_change *changes,
                      size_t count)
{
    struct cq_jail_why said = { "" };
    enum cq_jail_status status;
    int error = skip(a, changes, count) ? EINTR : 0, tries;

    for (tries = 0; tries < TRIES && error == EINTR; tries++) {
        error = a->jail->kind->commit(a->jail, changes, count);
    }
    /* a full nft set has no room to make sure that it is there */
    if (error == 0 || (error == ENFILE && count == 1
                       && changes[0].op == CQ_JAIL_REMOVE)) {
        return;
    }
    status = explain(a->jail, error, count == 1 ? &changes[0].key : NULL,
                     &said);
    a->is_over = status > CQ_JAIL_PARTLY || error == EINTR;
    if (count > 1 && !a->is_over) {
        carry_out(a, changes, (count + 1) / 2);
        carry_out(a, changes + (count + 1) / 2, count / 2);
        return;
    }
    if (status > a->worst) {
        a->worst = status;
        *a->why = said;
    }
    a->is_full[cq_jail_index(&changes[0].key)] |= error == ENFILE;
    for (; count > 0; count--) {
        changes[count - 1].has_failed = true;
    }
}

enum cq_jail_status cq_jail_apply(struct cq_jail *jail,
                                  struct cq_jail_change *changes, size_t count,
                                  struct cq_jail_why *why)
{
    struct application a = { .jail = jail, .why = why,
                             .is_over = !jail->is_listed };
    size_t n;

    if (a.is_over) {
        a.worst = explain_not_listed(jail, why);
    }
    for (; count > 0; changes += n, count -= n) {
        n = jail->kind->batch < count ? jail->kind->batch : count;
        carry_out(&a, changes, n);
    }
    return a.worst;
}

enum cq_jail_status cq_jail_deny(struct cq_jail *jail,
                                 const struct cq_key *networks, size_t count,
                                 struct cq_jail_why *why)
{
    int error = EINTR, tries;

    if (!jail->is_listed) {
        return explain_not_listed(jail, why);
    }
    if (jail->names[CQ_JAIL_DENY4] == NULL) {
        snprintf(why->text, sizeof(why->text), "%s holds no networks",
                 jail->spec);
        return count == 0 ? CQ_JAIL_OK : CQ_JAIL_PARTLY;
    }
    for (tries = 0; tries < TRIES && error == EINTR; tries++) {
        error = jail->kind->deny(jail, networks, count);
    }
    return error == 0 ? CQ_JAIL_OK : explain(jail, error, NULL, why);
}

bool cq_jail_has_changed(struct cq_jail *jail)
{
    return !jail->is_listed || (jail->kind->has_changed != NULL
                                && jail->kind->has_changed(jail));
}
