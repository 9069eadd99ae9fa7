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

/* ---- one line for each client ---- */

static void report_jailed(struct cq_sync *sync, const struct cq_wanted *wanted,
                          const char *address)
{
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

static const char *reason_of_release(struct cq_sync *sync,
                                     const struct cq_key *element,
                                     bool is_network)
{
    struct cq_key client;

    if (sync->options->flush) {
        return "--flush";
    }
    if (is_network) {
        return "no deny file names it";
    }
    client = cq_sync_client(sync, element);
    return cq_source_reason(&sync->source, &client, (int64_t)time(NULL));
}

void cq_sync_report_changes(struct cq_sync *sync,
                            const struct cq_sync_jail *sj, size_t from,
                            size_t to)
{
    const struct cq_plan *plan = &sj->plan;
    char address[CQ_KEY_TEXT_SIZE];
    size_t i;

    if (!sync->say.verbose && !sync->say.is_journal) {
        return;
    }
    for (i = from; i < to; i++) {
        const struct cq_jail_change *change = &plan->changes[i];

        cq_sync_text(&change->key, address, sizeof(address));
        if (change->has_failed) {
            continue;
        }
        if (change->op == CQ_JAIL_ADD) {
            report_jailed(sync, &sync->wanted.entries[plan->of[i]], address);
        }
        else if (change->op == CQ_JAIL_REMOVE) {
            cq_say_info(&sync->say, "released %s: %s", address,
                        reason_of_release(sync, &change->key,
                                          i >= plan->change_n));
        }
    }
}

/* ---- what cannot be in a jail ---- */

static void report_places(struct cq_sync *sync, const struct cq_sync_jail *sj)
{
    const char *spec = cq_jail_spec(sj->jail);
    size_t no_place_n = sj->plan.n[CQ_FATE_NO_PLACE];
    size_t jailed_n = cq_plan_jailed_n(&sj->plan);
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    size_t first = 0;

    if (no_place_n == 0) {
        return;
    }
    while (sj->plan.fates[first] != CQ_FATE_NO_PLACE) {
        first++;
    }
    snprintf(topic, sizeof(topic), "no places in %s", spec);
    cq_say_state(&sync->say, topic, "%s is full: %zu of %zu are jailed, the "
                 "worst; %zu have no place, e.g. %s: %s", spec, jailed_n,
                 jailed_n + no_place_n, no_place_n,
                 cq_sync_text(&sync->wanted.entries[first].client, text,
                              sizeof(text)),
                 sj->contents.how_to_raise);
}

/* One sentence for each reason. */
static void report_not_held(struct cq_sync *sync,
                            const struct cq_sync_jail *sj)
{
    const char *why = NULL, *last = NULL;
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    size_t i;

    for (i = 0; i < sj->plan.wanted_n; i++, last = why) {
        const struct cq_wanted *wanted = &sync->wanted.entries[i];

        if (sj->plan.fates[i] != CQ_FATE_NOT_HELD) {
            continue;
        }
        why = wanted->from.file != 0
            ? cq_jail_cannot_deny(sj->jail, &wanted->client)
            : cq_jail_cannot_hold(sj->jail, &wanted->client);
        if (why == last) {
            continue;
        }
        snprintf(topic, sizeof(topic), "%s %s", cq_jail_spec(sj->jail), why);
        cq_say_state(&sync->say, topic, "%s: %zu of %zu clients and networks "
                     "are not jailed there, e.g. %s", topic,
                     sj->plan.n[CQ_FATE_NOT_HELD], sj->plan.wanted_n,
                     cq_sync_text(&wanted->client, text, sizeof(text)));
    }
}

void cq_sync_report_plan(struct cq_sync *sync, const struct cq_sync_jail *sj)
{
    report_places(sync, sj);
    report_not_held(sync, sj);
}

/* ---- what others put in ---- */

void cq_sync_report_takeover(struct cq_sync *sync,
                             const struct cq_sync_jail *sj)
{
    const char *spec = cq_jail_spec(sj->jail);
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    char names[NAMED_MAX * (CQ_KEY_TEXT_SIZE + 2)] = "";
    size_t i, at = 0, n = 0;
    bool fills;

    snprintf(topic, sizeof(topic), "fills %s", spec);
    fills = cq_say_has(&sync->say, topic) || sync->options->flush;
    cq_say_keep(&sync->say, topic);
    for (i = 0; !fills && i < sj->plan.change_n; i++) {
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

/* Is this the removal after FEUD_REMOVALS running, pass after pass or look
 * after look? Each removal is kept with the sentences of the pass, so the next
 * pass of cron knows of it, too. */
static bool is_feud(struct cq_sync *sync, const char *spec,
                    const struct cq_key *key)
{
    struct cq_key client = cq_sync_client(sync, key);
    char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];
    bool known = true;
    int n;

    /* one that has no place now may have had one, and have it again */
    if (cq_wanted_find(&sync->wanted, &client) != NULL) {
        return false;
    }
    cq_key_format(key, text, sizeof(text));
    for (n = 1; n <= FEUD_REMOVALS && known; n++) {
        snprintf(topic, sizeof(topic), "removal %d of %s from %s", n, text,
                 spec);
        known = cq_say_has(&sync->say, topic);
        cq_say_keep(&sync->say, topic);
    }
    return known;
}

void cq_sync_leave_feuds(struct cq_sync *sync, struct cq_sync_jail *sj,
                         enum cq_depth depth)
{
    const char *spec = cq_jail_spec(sj->jail);
    struct cq_plan *plan = &sj->plan;
    size_t all_n = plan->change_n + plan->network_change_n;
    size_t i, n = 0, removed_n = 0;

    for (i = 0; i < all_n && !sync->options->flush; i++) {
        const struct cq_key *key = &plan->changes[i].key;
        char topic[CQ_SAY_SIZE], text[CQ_KEY_TEXT_SIZE];

        if (i < plan->change_n && plan->changes[i].op == CQ_JAIL_REMOVE
            && removed_n++ < FEUDS_MAX && is_feud(sync, spec, key)) {
            cq_key_format(key, text, sizeof(text));
            snprintf(topic, sizeof(topic), "%s is put back into %s", text,
                     spec);
            cq_say_state(&sync->say, topic, "%s: %s was removed %d times "
                         "running and another program added it again each "
                         "time; it is removed once a minute from now on. Have "
                         "that program use a list of its own, or a deny file",
                         spec, text, FEUD_REMOVALS);
            if (depth == CQ_LOOK) {
                continue;
            }
        }
        plan->changes[n] = plan->changes[i];
        plan->of[n++] = plan->of[i];
    }
    plan->change_n -= i - n;
}
