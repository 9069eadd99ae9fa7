/* apply - carries out the plans, and leaves figures and marks in the table. */
#include "sync/sync.h"

#include "table/jail.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Removed and put back by others this many times, each within this time of the
 * one before: it stays until the next full pass. */
#define FEUD_REMOVALS 3
#define FEUD_S 150

/* addresses that a pass names when it takes over a list */
#define NAMED_MAX 10

/* The client that an element stands for. */
static struct cq_key client_of(const struct cq_sync *sync,
                               const struct cq_key *element)
{
    struct cq_prefixes prefixes = cq_table_prefixes(sync->table);

    return cq_key_network(element, element->family == 4 ? prefixes.v4_bits
                                                        : prefixes.v6_bits);
}

/* ---- one line for each client ---- */

static void report_jailed(struct cq_sync *sync, const struct cq_wanted *wanted,
                          const char *address)
{
    if (wanted == NULL) {
        return;
    }
    if (wanted->from.file != 0) {
        cq_say_info(&sync->say, "jailed %s: %s:%u", address,
                    sync->lists.files[wanted->from.file - 1].path,
                    wanted->from.line);
        return;
    }
    cq_say_info(&sync->say, "jailed %s: over quota in pool %s for %lld s, "
                "refused %u times", address,
                cq_source_pool(&sync->source, wanted->pool),
                (long long)((int64_t)time(NULL) - wanted->over_since_s),
                wanted->refusals);
}

static void report_released(struct cq_sync *sync, const struct cq_key *element,
                            const char *address)
{
    struct cq_key client = client_of(sync, element);

    cq_say_info(&sync->say, "released %s: %s", address,
                cq_source_reason(&sync->source, &client,
                                 (int64_t)time(NULL)));
}

static int compare_clients(const void *key, const void *entry)
{
    return cq_key_compare(key, &((const struct cq_wanted *)entry)->client);
}

/* The line of a deny file that a network, or an IPv6 address, is from. */
static const struct cq_wanted *find_network(const struct cq_sync *sync,
                                            const struct cq_key *key)
{
    const struct cq_wanted *found = sync->networks.count == 0 ? NULL
        : bsearch(key, sync->networks.entries, sync->networks.count,
                  sizeof(sync->networks.entries[0]), compare_clients);

    return found != NULL ? found : cq_wanted_find(&sync->wanted, key);
}

static void report_changes(struct cq_sync *sync,
                           const struct cq_jail_change *changes, size_t n,
                           bool are_networks)
{
    char address[CQ_KEY_TEXT_SIZE];
    size_t i;

    if (!sync->say.verbose && !sync->say.is_journal) {
        return;
    }
    for (i = 0; i < n; i++) {
        const struct cq_key *key = &changes[i].key;

        cq_sync_text(key, address, sizeof(address));
        if (changes[i].has_failed || changes[i].op == CQ_JAIL_RENEW) {
            continue;
        }
        if (changes[i].op == CQ_JAIL_ADD) {
            report_jailed(sync, are_networks ? find_network(sync, key)
                                : cq_wanted_find(&sync->wanted, key),
                          address);
        }
        else if (are_networks) {
            cq_say_info(&sync->say, "released %s: no deny file names it",
                        address);
        }
        else {
            report_released(sync, key, address);
        }
    }
}

/* The first pass on a list that others filled: what it takes out. */
static void report_takeover(struct cq_sync *sync,
                            const struct cq_sync_jail *sj)
{
    const char *spec = cq_jail_spec(sj->jail);
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    char names[NAMED_MAX * (CQ_KEY_TEXT_SIZE + 2)] = "";
    size_t i, at = 0, n = 0;

    snprintf(topic, sizeof(topic), "fills %s", spec);
    if (cq_say_knows(&sync->say, topic)) {
        return;
    }
    for (i = 0; i < sj->plan.change_n; i++) {
        if (sj->plan.changes[i].op == CQ_JAIL_REMOVE && n++ < NAMED_MAX) {
            at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s",
                                   n > 1 ? ", " : "",
                                   cq_key_format(&sj->plan.changes[i].key,
                                                 text, sizeof(text)));
        }
    }
    if (n > 0) {
        snprintf(topic, sizeof(topic), "took over %s", spec);
        cq_say_state(&sync->say, topic, "%s: the first pass removes %zu "
                     "addresses that others added and that are not wanted: "
                     "%s%s; addresses to keep jailed belong into a deny file",
                     spec, n, names, n > NAMED_MAX ? ", ..." : "");
    }
}

/* ---- addresses that others put back ---- */

static struct cq_feud *find_feud(struct cq_sync_jail *sj,
                                 const struct cq_key *key)
{
    size_t i;

    for (i = 0; i < sj->feud_n; i++) {
        if (cq_key_compare(&sj->feuds[i].key, key) == 0) {
            return &sj->feuds[i];
        }
    }
    return NULL;
}

static void forget_old_feuds(struct cq_sync_jail *sj)
{
    int64_t now_s = cq_sync_now_s();
    size_t i, n = 0;

    for (i = 0; i < sj->feud_n; i++) {
        if (now_s - sj->feuds[i].at_s <= FEUD_S) {
            sj->feuds[n++] = sj->feuds[i];
        }
    }
    sj->feud_n = n;
}

/* Takes out of the plan what would only be put back once more. */
static void leave_feuds(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    struct cq_plan *plan = &sj->plan;
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    size_t i, n = 0;

    forget_old_feuds(sj);
    for (i = 0; i < plan->change_n; i++) {
        const struct cq_feud *feud = plan->changes[i].op == CQ_JAIL_REMOVE
            ? find_feud(sj, &plan->changes[i].key) : NULL;

        if (feud == NULL || feud->removals < FEUD_REMOVALS) {
            plan->changes[n++] = plan->changes[i];
            continue;
        }
        cq_key_format(&feud->key, text, sizeof(text));
        snprintf(topic, sizeof(topic), "%s is put back into %s", text,
                 cq_jail_spec(sj->jail));
        cq_say_state(&sync->say, topic, "%s: %s was removed %d times and "
                     "another program added it again each time; it is removed "
                     "once a minute from now on. Have that program use a list "
                     "of its own, or a deny file", cq_jail_spec(sj->jail),
                     text, feud->removals);
    }
    plan->change_n = n;
}

static void note_removals(struct cq_sync_jail *sj)
{
    const struct cq_plan *plan = &sj->plan;
    int64_t now_s = cq_sync_now_s();
    size_t i;

    for (i = 0; i < plan->change_n && i < CQ_FEUDS_MAX; i++) {
        const struct cq_jail_change *change = &plan->changes[i];
        struct cq_feud *feud;

        if (change->op != CQ_JAIL_REMOVE || change->has_failed) {
            continue;
        }
        feud = find_feud(sj, &change->key);
        if (feud == NULL && sj->feud_n < CQ_FEUDS_MAX) {
            feud = &sj->feuds[sj->feud_n++];
            *feud = (struct cq_feud){ .key = change->key };
        }
        if (feud != NULL) {
            feud->at_s = now_s;
            feud->removals++;
        }
    }
}

/* ---- changes ---- */

static bool has_failed(struct cq_sync *sync, struct cq_sync_jail *sj)
{
    if (sj->status != CQ_JAIL_OK) {
        cq_say_trouble(&sync->say, "%s", sj->why.text);
        cq_sync_failed(sync, (enum cq_exit)sj->status);
        sj->is_open = sj->status <= CQ_JAIL_PARTLY;
        sj->is_settled = false;
    }
    return sj->status != CQ_JAIL_OK;
}

static void apply_one(struct cq_sync *sync, struct cq_sync_jail *sj,
                      enum cq_depth depth)
{
    struct cq_plan *plan = &sj->plan;

    if (depth == CQ_FULL) {
        report_takeover(sync, sj);
        forget_old_feuds(sj);
    }
    else {
        leave_feuds(sync, sj);
    }
    if (plan->change_n > 0) {
        sj->status = cq_jail_apply(sj->jail, plan->changes, plan->change_n,
                                   &sj->why);
        report_changes(sync, plan->changes, plan->change_n, false);
        note_removals(sj);
        if (has_failed(sync, sj) && !sj->is_open) {
            return;
        }
    }
    if (sj->network_change_n > 0) {
        sj->status = cq_jail_deny(sj->jail, sj->networks, sj->network_n,
                                  &sj->why);
        if (!has_failed(sync, sj)) {
            report_changes(sync, sj->network_changes, sj->network_change_n,
                           true);
        }
    }
}

/* ---- the table ---- */

static bool is_jailed(const struct cq_sync *sync, size_t i)
{
    size_t j;

    for (j = 0; j < sync->jail_n; j++) {
        if (sync->jails[j].is_open && i < sync->jails[j].plan.wanted_n
            && sync->jails[j].plan.fates[i] == CQ_FATE_JAILED) {
            return true;
        }
    }
    return false;
}

/* Clears the marks of clients that were released while no process watched. */
static void clear_old_marks(struct cq_sync *sync)
{
    struct cq_clock clock;
    uint64_t position = 0;
    struct cq_key client;

    cq_table_clock(sync->table, (int64_t)time(NULL), &clock);
    while (cq_table_next_jailed(sync->table, &clock, &position, &client)) {
        const struct cq_wanted *wanted = cq_wanted_find(&sync->wanted,
                                                        &client);

        if (wanted == NULL
            || !is_jailed(sync, (size_t)(wanted - sync->wanted.entries))) {
            (void)cq_table_mark_jailed(sync->table, &client, false);
        }
    }
}

static void mark_all(struct cq_sync *sync)
{
    size_t i;

    if (!sync->has_marked) {
        clear_old_marks(sync);
        sync->has_marked = true;
    }
    sync->refused_n = 0;
    for (i = 0; i < sync->wanted.count; i++) {
        const struct cq_key *client = &sync->wanted.entries[i].client;

        if (is_jailed(sync, i)
            && cq_table_mark_jailed(sync->table, client, true)
            && sync->refused_n++ == 0) {
            sync->refused = *client;
        }
    }
}

/* After a full pass only those that were removed: it has marked all others. */
static void mark_changes(struct cq_sync *sync, const struct cq_sync_jail *sj,
                         enum cq_depth depth)
{
    size_t i;

    for (i = 0; i < sj->plan.change_n; i++) {
        const struct cq_jail_change *change = &sj->plan.changes[i];
        struct cq_key client = client_of(sync, &change->key);

        if (!change->has_failed
            && (change->op == CQ_JAIL_REMOVE
                || (change->op == CQ_JAIL_ADD && depth == CQ_LOOK))) {
            (void)cq_table_mark_jailed(sync->table, &client,
                                       change->op == CQ_JAIL_ADD);
        }
    }
}

static void report_refused(struct cq_sync *sync)
{
    char text[CQ_KEY_TEXT_SIZE];

    if (sync->refused_n > 0) {
        cq_say_state(&sync->say, "refused in the jail", "%zu jailed clients "
                     "are refused by httpd all the same, e.g. %s: no firewall "
                     "rule drops their connections (a rule for another port "
                     "or hook, an address that was translated on its way), or "
                     "they use connections that were open before",
                     sync->refused_n,
                     cq_key_format(&sync->refused, text, sizeof(text)));
    }
}

/* The first jail is the one that the page shows. */
static void write_report(struct cq_sync *sync)
{
    const struct cq_sync_jail *sj = &sync->jails[0];
    const struct cq_jail_figures *f = &sj->figures;
    struct cq_jail_report report = {
        .jailed = (int64_t)(sj->plan.jailed_n + sj->network_n),
        .dropped_packets = f->dropped_packets,
        .as_of_s = (int64_t)time(NULL)
    };

    if (!sj->is_open || !sj->has_figures) {
        return;
    }
    if (f->capacity_v4 >= 0 && f->capacity_v6 >= 0) {
        report.capacity = f->capacity_v4
            + (f->shares_capacity ? 0 : f->capacity_v6);
    }
    snprintf(report.spec, sizeof(report.spec), "%s", cq_jail_spec(sj->jail));
    cq_table_jail_set(sync->table, &report);
}

void cq_sync_apply(struct cq_sync *sync, enum cq_depth depth)
{
    bool changed = false;
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        struct cq_sync_jail *sj = &sync->jails[i];

        if (sj->is_planned) {
            apply_one(sync, sj, depth);
            changed |= sj->plan.change_n > 0 || sj->network_change_n > 0;
        }
    }
    if (!cq_table_is_writable(sync->table)) {
        return;
    }
    if (depth == CQ_FULL) {
        mark_all(sync);
        report_refused(sync);
    }
    for (i = 0; i < sync->jail_n && changed; i++) {
        if (sync->jails[i].is_planned) {
            mark_changes(sync, &sync->jails[i], depth);
        }
    }
    if (changed || depth == CQ_FULL) {
        write_report(sync);
    }
}

/* ---- -n ---- */

static int compare_changes(const void *a, const void *b)
{
    const struct cq_jail_change *one = a;
    const struct cq_jail_change *other = b;

    return cq_key_compare(&one->key, &other->key);
}

static void print_changes(const struct cq_sync *sync,
                          struct cq_jail_change *changes, size_t n)
{
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    if (n > 0) {
        qsort(changes, n, sizeof(changes[0]), compare_changes);
    }
    for (i = 0; i < n; i++) {
        if (changes[i].op != CQ_JAIL_RENEW) {
            fprintf(sync->out, "%c%s\n",
                    changes[i].op == CQ_JAIL_ADD ? '+' : '-',
                    cq_sync_text(&changes[i].key, text, sizeof(text)));
        }
    }
}

void cq_sync_print(const struct cq_sync *sync)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        struct cq_sync_jail *sj = &sync->jails[i];

        if (sj->is_planned) {
            if (sync->jail_n > 1) {
                fprintf(sync->out, "# %s\n", cq_jail_spec(sj->jail));
            }
            print_changes(sync, sj->plan.changes, sj->plan.change_n);
            print_changes(sync, sj->network_changes, sj->network_change_n);
        }
    }
}
