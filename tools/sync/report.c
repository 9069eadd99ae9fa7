/* report - lines about clients: what is jailed and released, what cannot be,
 * and what others put back. */
#include "sync/sync.h"

#include <string.h>
#include <time.h>

/* removed and put back by others in this many passes, or looks, running */
#define FEUD_REMOVALS 3

/* removals of one pass that are watched for being undone; of more, none are */
#define FEUDS_MAX 64

/* addresses that a pass names when it takes over a list */
#define NAMED_MAX 10

const char *cq_sync_text(const struct cq_key *key, char *text, size_t size)
{
    return key->prefix == (key->family == 4 ? 32 : 128)
        ? cq_key_format(key, text, size)
        : cq_key_format_cidr(key, text, size);
}

struct cq_key cq_sync_client(const struct cq_sync *sync,
                             const struct cq_key *element)
{
    struct cq_prefixes prefixes = cq_table_prefixes(sync->table);

    return cq_key_network(element, element->family == 4 ? prefixes.v4_bits
                                                        : prefixes.v6_bits);
}

const struct cq_wanted *cq_sync_find_wanted(const struct cq_sync *sync,
                                            const struct cq_key *key)
{
    struct cq_key client = cq_sync_client(sync, key);
    const struct cq_wanted *found = cq_wanted_find(&sync->wanted, key);

    return found != NULL ? found : cq_wanted_find(&sync->wanted, &client);
}

/* ---- what was done ---- */

/* Has the client or network this element? One added by hand may be an address
 * inside of it. */
static bool is_element(const struct cq_wanted *wanted,
                       const struct cq_key *key)
{
    struct cq_key element = cq_jail_element_key(&wanted->key);

    return cq_key_compare(key, &wanted->key) == 0
        || cq_key_compare(key, &element) == 0;
}

static void report_change(struct cq_sync *sync,
                          const struct cq_jail_change *change)
{
    bool is_added = change->op == CQ_JAIL_ADD;
    const char *word = is_added ? "jailed" : "released";
    char address[CQ_KEY_TEXT_SIZE], clause[CQ_SOURCE_CLAUSE_SIZE];
    const struct cq_wanted *wanted;
    struct cq_key client;

    cq_sync_text(&change->key, address, sizeof(address));
    if (sync->options->flush) {
        cq_say_info(&sync->say, "%s %s: --flush", word, address);
        return;
    }
    wanted = cq_sync_find_wanted(sync, &change->key);
    client = cq_sync_client(sync, &change->key);
    if (is_added && wanted != NULL && wanted->file != 0) {
        cq_say_info(&sync->say, "%s %s: %s:%u", word, address,
                    sync->lists.files[wanted->file - 1].path, wanted->line);
        return;
    }
    cq_source_explain(&sync->source, &client, (int64_t)time(NULL), clause);
    cq_say_info(&sync->say, "%s %s: %s", word, address,
                is_added || wanted == NULL ? clause
                : !is_element(wanted, &change->key)
                ? "it is an address inside of a client's network, which no "
                  "rule looks for"
                : wanted->file != 0 ? "a wider network holds it, or it has no "
                                      "place" : "it has no place");
}

void cq_sync_report_changes(struct cq_sync *sync,
                            const struct cq_jail_change *changes,
                            size_t count)
{
    bool is_heard = sync->say.verbose || sync->say.is_journal;
    size_t i;

    for (i = 0; is_heard && i < count; i++) {
        if (!changes[i].has_failed && changes[i].op != CQ_JAIL_RENEW) {
            report_change(sync, &changes[i]);
        }
    }
}

/* ---- what cannot be in a jail ---- */

static void report_places(struct cq_sync *sync, const struct cq_sync_jail *sj,
                          const struct cq_key *first)
{
    const char *spec = cq_jail_spec(sj->jail);
    size_t no_place_n = sj->plan.n[CQ_FATE_NO_PLACE];
    size_t jailed_n = cq_plan_jailed_n(&sj->plan);
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];

    snprintf(topic, sizeof(topic), "no places in %s", spec);
    cq_say_state(&sync->say, topic, "%s is full: %zu of %zu are jailed, the "
                 "worst; %zu have no place, e.g. %s: %s", spec, jailed_n,
                 jailed_n + no_place_n, no_place_n,
                 cq_sync_text(first, text, sizeof(text)),
                 sj->contents.how_to_raise);
}

void cq_sync_report_plan(struct cq_sync *sync, const struct cq_sync_jail *sj)
{
    const struct cq_plan *plan = &sj->plan;
    size_t no_place_n = plan->n[CQ_FATE_NO_PLACE];
    size_t not_held_n = plan->n[CQ_FATE_NOT_HELD];
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    const char *why, *last = NULL;
    size_t i;

    for (i = 0; i < plan->wanted_n && no_place_n + not_held_n > 0; i++) {
        const struct cq_wanted *wanted = &sync->wanted.entries[i];

        if (plan->fates[i] == CQ_FATE_NO_PLACE && no_place_n > 0) {
            report_places(sync, sj, &wanted->key);
            no_place_n = 0;     /* one sentence */
        }
        if (plan->fates[i] != CQ_FATE_NOT_HELD) {
            continue;
        }
        why = wanted->file != 0 ? cq_jail_cannot_deny(sj->jail, &wanted->key)
                                : cq_jail_cannot_hold(sj->jail, &wanted->key);
        if (why != last) {      /* one sentence for each reason */
            snprintf(topic, sizeof(topic), "%s %s", cq_jail_spec(sj->jail),
                     why);
            cq_say_state(&sync->say, topic, "%s: %zu of %zu clients and "
                         "networks are not jailed there, e.g. %s", topic,
                         not_held_n, plan->wanted_n,
                         cq_sync_text(&wanted->key, text, sizeof(text)));
        }
        last = why;
    }
}

/* ---- what others put in ---- */

static const char *make_fills(char topic[CQ_SAY_SIZE],
                              const struct cq_sync_jail *sj)
{
    snprintf(topic, CQ_SAY_SIZE, "fills %s", cq_jail_spec(sj->jail));
    return topic;
}

void cq_sync_keep_takeovers(struct cq_sync *sync)
{
    char topic[CQ_SAY_SIZE];
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        if (cq_say_has(&sync->say, make_fills(topic, &sync->jails[i]))) {
            cq_say_keep(&sync->say, topic);
        }
    }
}

void cq_sync_report_takeover(struct cq_sync *sync,
                             const struct cq_sync_jail *sj)
{
    const char *spec = cq_jail_spec(sj->jail);
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    char names[NAMED_MAX * (CQ_KEY_TEXT_SIZE + 2)] = "";
    size_t all_n = sj->plan.change_n + sj->plan.network_change_n;
    size_t i, at = 0, n = 0;
    bool fills;

    /* a pass that removes nothing leaves it to the next one */
    fills = cq_say_has(&sync->say, make_fills(topic, sj))
        || sync->options->flush || !sync->lists.knows_denied;
    if (!fills) {
        cq_say_keep(&sync->say, topic);
    }
    for (i = 0; !fills && i < all_n; i++) {
        if (sj->plan.changes[i].op == CQ_JAIL_REMOVE && n++ < NAMED_MAX) {
            at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s",
                                   n > 1 ? ", " : "",
                                   cq_sync_text(&sj->plan.changes[i].key,
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

/* Is this the removal after FEUD_REMOVALS running, pass after pass or look
 * after look? Each removal is kept with the sentences of the pass, so the next
 * pass of cron knows of it, too. */
static bool is_feud(struct cq_sync *sync, const char *spec,
                    const struct cq_key *key)
{
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    bool is_known = true;
    int n;

    /* one that has no place now may have had one, and have it again */
    if (cq_sync_find_wanted(sync, key) != NULL) {
        return false;
    }
    cq_key_format(key, text, sizeof(text));
    for (n = 1; n <= FEUD_REMOVALS && is_known; n++) {
        snprintf(topic, sizeof(topic), "removal %d of %s from %s", n, text,
                 spec);
        is_known = cq_say_has(&sync->say, topic);
        cq_say_keep(&sync->say, topic);
    }
    if (is_known) {
        snprintf(topic, sizeof(topic), "%s is put back into %s", text, spec);
        cq_say_state(&sync->say, topic, "%s: %s was removed %d times running "
                     "and another program added it again each time; it is "
                     "removed once a minute from now on. Have that program "
                     "use a list of its own, or a deny file", spec, text,
                     FEUD_REMOVALS);
    }
    return is_known;
}

void cq_sync_leave_feuds(struct cq_sync *sync, struct cq_sync_jail *sj,
                         enum cq_depth depth)
{
    struct cq_plan *plan = &sj->plan;
    size_t all_n = plan->change_n + plan->network_change_n;
    size_t i, n = 0, removed_n = 0;

    for (i = 0; i < all_n && !sync->options->flush; i++) {
        bool is_left = i < plan->change_n
            && plan->changes[i].op == CQ_JAIL_REMOVE
            && removed_n++ < FEUDS_MAX
            && is_feud(sync, cq_jail_spec(sj->jail), &plan->changes[i].key)
            && depth == CQ_LOOK;

        plan->changes[n] = plan->changes[i];
        n += !is_left;
    }
    plan->change_n -= i - n;
}
