/* jail - the interface in front of the three kinds: which there are, what all
 * of them do alike. Changes go to a kind in batches; a batch of which one
 * change is bad is halved until the bad one is alone. */
#include "jail/kind.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum cq_jail_status cq_jail_fail(struct cq_jail_why *why,
                                 enum cq_jail_status status,
                                 const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    return status;
}

bool cq_jail_read_name(const char **at, const char *ends, const char *also,
                       char *name, size_t size)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t length = strcspn(*at, ends), i;

    if (length == 0 || length >= size) {
        return false;
    }
    for (i = 0; i < length; i++) {
        if (strchr(letters, (*at)[i]) == NULL
            && (i == 0 || strchr(also, (*at)[i]) == NULL)) {
            return false;
        }
    }
    memcpy(name, *at, length);
    name[length] = '\0';
    *at += length;
    return true;
}

bool cq_jail_read_names(const char *names, const char *also, char *first,
                        char *second, size_t size)
{
    if (!cq_jail_read_name(&names, ",", also, first, size)) {
        return false;
    }
    if (*names == '\0') {
        second[0] = '\0';
        return true;
    }
    names++;
    return cq_jail_read_name(&names, "", also, second, size)
           && strcmp(first, second) != 0;
}

int64_t cq_jail_now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* --- elements ------------------------------------------------------------- */

bool cq_jail_address(struct cq_key *key, const void *bytes, int family)
{
    *key = (struct cq_key){ .family = (uint8_t)family,
                            .prefix = family == 4 ? 32 : 128 };
    memcpy(key->bytes, bytes, family == 4 ? 4 : 16);
    return cq_key_valid(key);
}

bool cq_jail_elements_add(struct cq_jail_elements *elements,
                          const struct cq_key *key, bool is_operators,
                          int64_t expires_at_s)
{
    if (elements->count == elements->room) {
        size_t room = elements->room == 0 ? 128 : elements->room * 2;
        struct cq_jail_element *list =
            reallocarray(elements->list, room, sizeof(*list));

        if (list == NULL) {
            return false;
        }
        elements->list = list;
        elements->room = room;
    }
    elements->list[elements->count++] = (struct cq_jail_element){
        .key = *key, .is_operators = is_operators,
        .expires_at_s = expires_at_s
    };
    return true;
}

/* struct cq_key begins with the address, so its first bytes order a family */
static int compare_elements(const void *a, const void *b)
{
    const struct cq_jail_element *one = a;
    const struct cq_jail_element *other = b;
    int order = cq_key_compare(&one->key, &other->key);

    return order != 0 ? order : (one->expires_at_s < other->expires_at_s)
                                - (one->expires_at_s > other->expires_at_s);
}

void cq_jail_elements_sort(struct cq_jail_elements *elements)
{
    size_t i, n = 0;

    if (elements->count > 1) {
        qsort(elements->list, elements->count, sizeof(*elements->list),
              compare_elements);
    }
    for (i = 0; i < elements->count; i++) {
        if (n == 0 || cq_key_compare(&elements->list[n - 1].key,
                                     &elements->list[i].key) != 0) {
            elements->list[n++] = elements->list[i];
        }
    }
    elements->count = n;
}

static int compare_key(const void *key, const void *element)
{
    return cq_key_compare(key, &((const struct cq_jail_element *)element)->key);
}

struct cq_jail_element *cq_jail_elements_find(
    const struct cq_jail_elements *elements, const struct cq_key *key)
{
    return elements->count == 0 ? NULL
           : bsearch(key, elements->list, elements->count,
                     sizeof(*elements->list), compare_key);
}

struct cq_key cq_jail_element_key(const struct cq_key *client)
{
    struct cq_key key = *client;

    key.prefix = key.family == 4 ? 32 : 128;
    return key;
}

/* --- the jail ------------------------------------------------------------- */

static const struct cq_jail_kind *const kinds[] = {
    &cq_jail_recent, &cq_jail_nft, &cq_jail_ipset
};

static const struct cq_jail_kind *find_kind(const char *spec)
{
    size_t length = strcspn(spec, ":"), i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (spec[length] == ':' && strlen(kinds[i]->name) == length
            && strncmp(spec, kinds[i]->name, length) == 0) {
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
        return cq_jail_fail(why, CQ_JAIL_USAGE, "--jail \"%.100s\": no such "
                            "kind of jail, expected %s, %s or %s", spec,
                            cq_jail_recent.expected, cq_jail_nft.expected,
                            cq_jail_ipset.expected);
    }
    made = kind->parse(spec + strlen(kind->name) + 1, &wrong);
    if (made != NULL) {
        made->kind = kind;
        made->access = access;
        made->lease_s = lease_s < CQ_JAIL_LEASE_MOST_S ? lease_s
                                                       : CQ_JAIL_LEASE_MOST_S;
        made->spec = strdup(spec);
        if (made->spec == NULL) {
            cq_jail_close(made);
            made = NULL;
        }
    }
    if (made == NULL) {
        return cq_jail_fail(why, CQ_JAIL_USAGE,
                            "--jail \"%.200s\": %s, expected %s", spec, wrong,
                            kind->expected);
    }
    *jail = made;
    return CQ_JAIL_OK;
}

/* What a kind's function returned: after anything worse than PARTLY the jail
 * is to be opened again. */
static enum cq_jail_status note(struct cq_jail *jail,
                                enum cq_jail_status status)
{
    if (status > CQ_JAIL_PARTLY) {
        jail->is_open = false;
    }
    return status;
}

static enum cq_jail_status not_open(const struct cq_jail *jail,
                                    struct cq_jail_why *why)
{
    return cq_jail_fail(why, CQ_JAIL_MISSING, "%s was not listed", jail->spec);
}

const char *cq_jail_spec(const struct cq_jail *jail)
{
    return jail->spec;
}

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
    if (jail->kind->has_networks == NULL) {
        return "holds no networks, only nft can";
    }
    return jail->kind->has_networks(jail, network->family) ? NULL
           : "holds no networks of this family: name interval sets, as in "
             "nft:inet/clamquota/jail4,jail6,deny4,deny6";
}

enum cq_jail_status cq_jail_list(struct cq_jail *jail,
                                 struct cq_jail_contents *contents,
                                 struct cq_jail_why *why)
{
    enum cq_jail_status status = CQ_JAIL_OK;

    if (!jail->is_open) {
        status = jail->kind->open(jail, why);
        jail->is_open = status == CQ_JAIL_OK;
    }
    if (status == CQ_JAIL_OK && jail->kind->networks != NULL) {
        status = note(jail, jail->kind->networks(jail, why));
    }
    if (status == CQ_JAIL_OK) {
        status = note(jail, jail->kind->list(jail, why));
    }
    if (status != CQ_JAIL_OK) {
        jail->elements.count = jail->networks.count = 0;
    }
    *contents = (struct cq_jail_contents){
        .elements = jail->elements.list, .element_n = jail->elements.count,
        .networks = jail->networks.list, .network_n = jail->networks.count
    };
    return status;
}

/* Marks what has no place, so that it is not tried. */
static void skip_full(const struct cq_jail *jail,
                      struct cq_jail_change *changes, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (changes[i].op == CQ_JAIL_ADD
            && jail->is_full[cq_jail_index(&changes[i].key)]) {
            changes[i].has_failed = true;
        }
    }
}

static void fail_all(struct cq_jail_change *changes, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        changes[i].has_failed = true;
    }
}

/* The first reason is kept, unless a worse one follows. */
static void keep_worse(enum cq_jail_status *worst, struct cq_jail_why *why,
                       enum cq_jail_status status,
                       const struct cq_jail_why *said)
{
    if (status > *worst) {
        *worst = status;
        *why = *said;
    }
}

/* Commits a batch, or its halves. @return the worst status */
static enum cq_jail_status commit(struct cq_jail *jail,
                                  struct cq_jail_change *changes, size_t count,
                                  struct cq_jail_why *why)
{
    enum cq_jail_status worst = CQ_JAIL_OK, status;
    struct cq_jail_why said;
    size_t half = count / 2;

    skip_full(jail, changes, count);
    status = jail->kind->commit(jail, changes, count, &said);
    if (status == CQ_JAIL_PARTLY && count > 1 && !jail->gives_up) {
        keep_worse(&worst, why, commit(jail, changes, half, &said), &said);
        if (worst <= CQ_JAIL_PARTLY && !jail->gives_up) {
            status = commit(jail, changes + half, count - half, &said);
        } else {
            fail_all(changes + half, count - half);
        }
    } else if (status != CQ_JAIL_OK) {
        fail_all(changes, count);
    }
    keep_worse(&worst, why, status, &said);
    return worst;
}

enum cq_jail_status cq_jail_apply(struct cq_jail *jail,
                                  struct cq_jail_change *changes, size_t count,
                                  struct cq_jail_why *why)
{
    enum cq_jail_status worst = CQ_JAIL_OK;
    struct cq_jail_why said;
    size_t i, n;

    for (i = 0; i < count; i++) {
        changes[i].has_failed = false;
    }
    if (!jail->is_open) {
        fail_all(changes, count);
        return not_open(jail, why);
    }
    jail->is_full[0] = jail->is_full[1] = jail->gives_up = false;
    for (i = 0; i < count; i += n) {
        n = count - i < jail->batch ? count - i : jail->batch;
        if (worst > CQ_JAIL_PARTLY || jail->gives_up) {
            fail_all(changes + i, n);
            continue;
        }
        keep_worse(&worst, why, commit(jail, changes + i, n, &said), &said);
    }
    return note(jail, worst);
}

enum cq_jail_status cq_jail_deny(struct cq_jail *jail,
                                 const struct cq_key *networks, size_t count,
                                 struct cq_jail_why *why)
{
    if (!jail->is_open) {
        return not_open(jail, why);
    }
    if (jail->kind->deny == NULL) {
        return count == 0 ? CQ_JAIL_OK
               : cq_jail_fail(why, CQ_JAIL_PARTLY, "%s holds no networks",
                              jail->spec);
    }
    return note(jail, jail->kind->deny(jail, networks, count, why));
}

bool cq_jail_has_changed(struct cq_jail *jail)
{
    return !jail->is_open || jail->kind->has_changed(jail);
}

enum cq_jail_status cq_jail_figures(struct cq_jail *jail,
                                    struct cq_jail_figures *figures,
                                    struct cq_jail_why *why)
{
    if (!jail->is_open) {
        return not_open(jail, why);
    }
    return note(jail, jail->kind->figures(jail, figures, why));
}

void cq_jail_close(struct cq_jail *jail)
{
    if (jail != NULL) {
        jail->kind->close(jail);
        free(jail->elements.list);
        free(jail->networks.list);
        free(jail->spec);
        free(jail);
    }
}
