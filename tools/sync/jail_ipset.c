/* jail_ipset - the jail of a firewall that has iptables and ipset: a set for
 * each family, through the program ipset.
 *
 * No shell: the program is started from where Debian and others have it, its
 * input and output are files in memory, so that neither side waits for the
 * other. `restore -exist` takes one command a line, renews a timeout and lets
 * an absent one be removed; it stops at a line that fails, with what came
 * before done, so what comes behind it is sent again. */
#include "sync/jail_ipset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE "expected ipset:SET4[,SET6], e.g. ipset:clamquota4,clamquota6"

static struct ipset *of(struct jail *jail)
{
    return (struct ipset *)jail;
}

static enum jail_status parse(const char *spec, struct jail **jail,
                              struct jail_why *why)
{
    size_t first = strcspn(spec, ",");
    const char *second = spec[first] == ',' ? spec + first + 1 : NULL;
    struct ipset *ipset;

    if (!jail_is_name(spec, first, IPSET_NAME_ALSO, IPSET_NAME_LONGEST)
        || (second != NULL
            && !jail_is_name(second, strlen(second), IPSET_NAME_ALSO,
                             IPSET_NAME_LONGEST))) {
        return jail_fail(why, JAIL_USAGE,
                         "--jail \"ipset:%.200s\": a name of a set has 1 to "
                         "31 letters, digits and any of _ - . : behind the "
                         "first, " USAGE, spec);
    }
    if (second != NULL && strlen(second) == first
        && strncmp(spec, second, first) == 0) {
        return jail_fail(why, JAIL_USAGE, "--jail \"ipset:%.200s\": SET6 is "
                         "another set than SET4, " USAGE, spec);
    }
    ipset = calloc(1, sizeof(*ipset));
    if (ipset == NULL) {
        return jail_fail(why, JAIL_USAGE, "no memory");
    }
    memcpy(ipset->sets[0].name, spec, first);
    if (second != NULL) {
        memcpy(ipset->sets[1].name, second, strlen(second));
    }
    ipset->sets[0].family = 4;
    ipset->sets[1].family = 6;
    *jail = &ipset->jail;
    return JAIL_OK;
}

static enum jail_status open_jail(struct jail *jail, bool to_write,
                                  struct jail_why *why)
{
    enum jail_status status = JAIL_OK;
    int s;

    (void)to_write;     /* ipset wants root for looking too */
    for (s = 0; s < 2 && status == JAIL_OK; s++) {
        if (of(jail)->sets[s].name[0] != '\0') {
            status = ipset_read_header(&of(jail)->sets[s], why);
        }
    }
    return status;
}

static const char *cannot_hold(const struct jail *jail,
                               const struct cq_key *key)
{
    const struct ipset *ipset = (const struct ipset *)jail;
    const struct ipset_set *set = &ipset->sets[key->family == 6];

    if (set->name[0] == '\0') {
        return "holds IPv6 only in a second set (ipset:SET4,SET6)";
    }
    if (set->holds_networks) {
        return key->prefix != 0 ? NULL : "holds no network of prefix 0";
    }
    if (key->prefix == set->bits) {
        return NULL;
    }
    return set->bits == (key->family == 4 ? 32 : 128)
           ? "holds single addresses, no networks: its set is of type hash:ip"
           : "holds networks of its set's netmask only";
}

static enum jail_status list(struct jail *jail, struct jail_listing *listing,
                             struct jail_why *why)
{
    enum jail_status status = JAIL_OK;
    size_t room = 0;
    int s;

    *listing = (struct jail_listing){ .entries = NULL };
    for (s = 0; s < 2 && status == JAIL_OK; s++) {
        if (of(jail)->sets[s].name[0] != '\0') {
            status = ipset_read_set(&of(jail)->sets[s], listing, &room, why);
        }
    }
    if (status != JAIL_OK) {
        jail_listing_free(listing);
        return status;
    }
    jail_listing_sort(listing);
    return JAIL_OK;
}

/* "add clamquota4 192.0.2.7 timeout 3600" */
static void add_line(struct jail_text *text, const struct ipset_set *set,
                     const struct jail_change *change, int64_t lease_s)
{
    struct cq_key key = change->key;

    /* A set of hash:ip with a netmask cuts addresses itself, and a network
     * would be all its addresses. */
    if (!set->holds_networks) {
        key.prefix = key.family == 4 ? 32 : 128;
    }
    jail_text_add(text, change->op == JAIL_REMOVE ? "del " : "add ");
    jail_text_add(text, set->name);
    jail_text_add(text, " ");
    jail_text_add_key(text, &key);
    if (change->op != JAIL_REMOVE && set->has_timeouts) {
        jail_text_add_format(text, " timeout %lld", (long long)
                             (lease_s < IPSET_TIMEOUT_MAX_S
                              ? lease_s : IPSET_TIMEOUT_MAX_S));
    }
    jail_text_add(text, "\n");
}

/* What has no chance is marked and left out: an addition to a full set. */
static bool has_chance(const struct ipset *ipset, struct jail_change *change)
{
    change->failed = change->failed
                     || (change->op == JAIL_ADD
                         && ipset->sets[change->key.family == 6].full);
    return !change->failed;
}

/* Sends the changes from `next` on, but what failed before.
 * @param lines  result: which change is in which line, from 0; line_n of them
 * @return how it went; ipset_run() */
static enum jail_status send_lines(struct ipset *ipset,
                                   struct jail_change *changes, size_t count,
                                   size_t next, int64_t lease_s,
                                   size_t *lines, size_t *line_n,
                                   struct ipset_result *result,
                                   struct jail_why *why)
{
    char *argv[] = { (char[]){"ipset"}, (char[]){"restore"},
                     (char[]){"-exist"}, NULL };
    struct jail_text text = { .bytes = NULL };
    enum jail_status status = JAIL_OK;

    *line_n = 0;
    for (; next < count; next++) {
        if (has_chance(ipset, &changes[next])) {
            lines[(*line_n)++] = next;
            add_line(&text, &ipset->sets[changes[next].key.family == 6],
                     &changes[next], lease_s);
        }
    }
    if (text.failed) {
        status = jail_no_memory(why);
    } else if (text.length > 0) {
        status = ipset_run(argv, text.bytes, text.length, result, why);
    }
    jail_text_free(&text);
    return status;
}

/* Sends until no line fails any more. */
static enum jail_status commit(struct ipset *ipset,
                               struct jail_change *changes, size_t count,
                               int64_t lease_s, size_t *lines,
                               struct jail_why *why)
{
    enum jail_status worst = JAIL_OK, status;
    size_t next = 0, line_n = 0, i;
    struct jail_why here;

    while (next < count) {
        struct ipset_result result = { .line = 0 };

        status = send_lines(ipset, changes, count, next, lease_s, lines,
                            &line_n, &result, &here);
        jail_text_free(&result.output);
        if (status > worst) {
            worst = status;
            *why = here;
        }
        if (status == JAIL_OK) {
            return worst;
        }
        if (status > JAIL_PARTLY || result.line == 0
            || result.line > line_n) {
            for (i = 0; i < line_n; i++) {
                changes[lines[i]].failed = true;
            }
            return worst;
        }
        next = lines[result.line - 1];
        changes[next].failed = true;
        if (result.full) {
            ipset->sets[changes[next].key.family == 6].full = true;
        }
        next++;
    }
    return worst;
}

static enum jail_status apply(struct jail *jail, struct jail_change *changes,
                              size_t count, int64_t lease_s,
                              struct jail_why *why)
{
    size_t *lines = calloc(count + 1, sizeof(*lines));
    enum jail_status unholdable = JAIL_OK, status;
    struct jail_why here;
    size_t i;

    for (i = 0; i < count; i++) {
        const char *clause = cannot_hold(jail, &changes[i].key);

        changes[i].failed = clause != NULL || lines == NULL;
        if (clause != NULL && unholdable == JAIL_OK) {
            unholdable = jail_fail(why, JAIL_PARTLY, "%s %s", jail->spec,
                                   clause);
        }
    }
    if (lines == NULL) {
        return jail_no_memory(why);
    }
    of(jail)->sets[0].full = of(jail)->sets[1].full = false;
    status = commit(of(jail), changes, count, lease_s, lines, &here);
    free(lines);
    if (status > unholdable) {
        *why = here;
        return status;
    }
    return unholdable;
}

static enum jail_status flush(struct jail *jail, struct jail_why *why)
{
    enum jail_status status = JAIL_OK;
    int s;

    for (s = 0; s < 2 && status == JAIL_OK; s++) {
        char *argv[] = { (char[]){"ipset"}, (char[]){"flush"},
                         of(jail)->sets[s].name, NULL };
        struct ipset_result result;

        if (argv[2][0] != '\0') {
            status = ipset_run(argv, "", 0, &result, why);
            jail_text_free(&result.output);
        }
    }
    return status;
}

static enum jail_status figures(struct jail *jail, bool drops,
                                struct jail_figures *figures,
                                struct jail_why *why)
{
    (void)drops;
    (void)why;
    *figures = (struct jail_figures){
        .places_v4 = of(jail)->sets[0].maxelem,
        .places_v6 = of(jail)->sets[1].maxelem,
        .dropped_packets = -1,      /* only iptables itself can tell */
        .dropped_bytes = -1,
        .how_to_raise = "create the set anew with a larger maxelem"
    };
    return JAIL_OK;
}

static void close_jail(struct jail *jail)
{
    if (jail != NULL) {
        free(jail->spec);
        free(jail);
    }
}

const struct jail_kind jail_ipset = {
    .name = "ipset",
    .parse = parse,
    .open = open_jail,
    .cannot_hold = cannot_hold,
    .list = list,
    .apply = apply,
    .flush = flush,
    .figures = figures,
    .close = close_jail
};
