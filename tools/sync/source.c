/* source - the table's offenders. */
#include "sync/source.h"

#include <stdlib.h>
#include <string.h>

/* ---- one row ---- */

struct verdict {
    enum cq_offence offence;
    enum cq_spared spared;      /* of an offender */
    struct cq_row row;
    int64_t allowance_bytes;
};

static enum cq_spared spared(const struct cq_source *source,
                             const struct cq_row *row)
{
    struct cq_prefixes prefixes = cq_table_prefixes(source->table);
    const struct cq_address_facts facts = {
        .key = &row->key,
        .client_bits = row->key.family == 4 ? prefixes.v4_bits
                                            : prefixes.v6_bits,
        /* in another pool, too: it is the same address */
        .proxied = row->proxied
            || (source->rules.pool_n > 1
                && cq_table_seen_proxied(source->table, &row->key,
                                         &source->clock)),
        .own = cq_net_touches(source->terms.own, &row->key),
        .never = cq_net_touches(source->terms.never, &row->key)
    };

    return cq_offence_spared(&facts);
}

/* The policy of the configuration in force, not the row's. */
static void judge_copy(struct cq_source *source, struct verdict *v)
{
    const struct cq_row *row = &v->row;
    const struct cq_offence_facts facts = {
        .used_bytes = row->used_bytes,
        .over_since_s = row->over_since_s,
        .refusals = row->over_refusals,
        .exempt = cq_net_touches(&source->rules.exempt, &row->key)
    };
    struct cq_policy policy;
    int64_t due_s = 0;
    bool refuses;

    policy = cq_rules_policy(&source->rules, row->pool, &row->key, &refuses);
    v->allowance_bytes = cq_policy_allowance(&policy, source->clock.day);
    v->offence = cq_offence_of(&facts, &policy, refuses, source->clock.day,
                               source->clock.now_s, &source->terms.limits,
                               &due_s);
    v->spared = v->offence == CQ_OFFENCE_OFFENDER ? spared(source, row)
                                                  : CQ_SPARED_NOT;
    if (v->offence == CQ_OFFENCE_RECENT
        && (source->due_s == 0 || due_s < source->due_s)) {
        source->due_s = due_s;
    }
}

static void judge(struct cq_source *source, uint32_t row, struct verdict *v)
{
    v->offence = CQ_OFFENCE_NONE;
    v->spared = CQ_SPARED_NOT;
    if (cq_table_row_at(source->table, row, &source->clock, &v->row)
        && v->row.over_since_s > 0 && v->row.pool < CQ_POOLS_MAX
        && source->counts_pool[v->row.pool]) {
        judge_copy(source, v);
    }
}

static bool is_jailed(const struct verdict *v)
{
    return v->offence == CQ_OFFENCE_OFFENDER && v->spared == CQ_SPARED_NOT;
}

static struct cq_wanted make_wanted(const struct verdict *v)
{
    return (struct cq_wanted){
        .client = v->row.key,
        .pool = v->row.pool,
        .refusals = v->row.over_refusals,
        .excess_bytes = v->row.used_bytes - v->allowance_bytes,
        .last_hit_s = v->row.last_hit_s,
        .over_since_s = v->row.over_since_s
    };
}

/* ---- all rows ---- */

static bool has_text(const struct cq_texts *texts, const char *text)
{
    size_t i;

    for (i = 0; i < texts->count; i++) {
        if (strcmp(texts->texts[i], text) == 0) {
            return true;
        }
    }
    return false;
}

/* Reads the rules and the clock. */
static enum cq_status begin(struct cq_source *source, int64_t now_s)
{
    enum cq_status status;
    size_t i;

    cq_rules_free(&source->rules);
    status = cq_rules_read(source->table, now_s, &source->rules);
    for (i = 0; status == CQ_OK && i < source->rules.pool_n; i++) {
        source->counts_pool[i] = source->terms.pools->count == 0
            || has_text(source->terms.pools, source->rules.pools[i].name);
    }
    cq_table_clock(source->table, now_s, &source->clock);
    source->due_s = 0;
    return status;
}

/* Notes a row that is about to be looked at; NULL: out of memory. */
static struct cq_seen *note_row(struct cq_source *source, uint32_t row)
{
    struct cq_seen *seen;

    if (source->seen_n == source->seen_capacity) {
        size_t capacity = source->seen_capacity > 0
            ? 2 * source->seen_capacity : 64;

        seen = reallocarray(source->seen, capacity, sizeof(seen[0]));
        if (seen == NULL) {
            return NULL;
        }
        source->seen = seen;
        source->seen_capacity = capacity;
    }
    seen = &source->seen[source->seen_n++];
    seen->row = row;
    cq_table_row_words(source->table, row, &seen->words);
    return seen;
}

static void keep_verdict(struct cq_seen *seen, const struct verdict *v)
{
    seen->offence = (uint8_t)v->offence;
    seen->spared = (uint8_t)v->spared;
}

enum cq_status cq_source_scan(struct cq_source *source, int64_t now_s,
                              struct cq_wanted_list *list)
{
    uint64_t position = 0;
    uint32_t row;

    source->valid = false;
    source->seen_n = 0;
    if (begin(source, now_s) != CQ_OK) {
        return CQ_ENOMEM;
    }
    while (cq_table_next_over(source->table, &position, &row)) {
        struct cq_seen *seen = note_row(source, row);
        struct verdict v;

        if (seen == NULL) {
            return CQ_ENOMEM;
        }
        judge(source, row, &v);
        keep_verdict(seen, &v);
        if (is_jailed(&v)) {
            struct cq_wanted wanted = make_wanted(&v);

            if (!cq_wanted_add(list, &wanted)) {
                return CQ_ENOMEM;
            }
        }
    }
    source->valid = true;
    return CQ_OK;
}

/* ---- the same as the last time? ---- */

static bool are_equal_lists(const struct cq_net_list *a,
                            const struct cq_net_list *b)
{
    bool same = a->count == b->count;
    size_t i;

    for (i = 0; same && i < a->count; i++) {
        same = a->rules[i].value == b->rules[i].value
            && cq_key_compare(&a->rules[i].net, &b->rules[i].net) == 0;
    }
    return same;
}

static bool are_equal_rules(const struct cq_rules *a, const struct cq_rules *b)
{
    bool same = a->pool_n == b->pool_n && are_equal_lists(&a->nets, &b->nets)
        && are_equal_lists(&a->exempt, &b->exempt);
    size_t i;

    for (i = 0; same && i < a->pool_n; i++) {
        const struct cq_pool_info *one = &a->pools[i], *other = &b->pools[i];

        same = strcmp(one->name, other->name) == 0
            && one->policy.daily_bytes == other->policy.daily_bytes
            && one->policy.grace_bytes == other->policy.grace_bytes
            && one->refuses == other->refuses;
    }
    return same;
}

/* Rules and day in force, against those of the last look. */
static bool begins_alike(struct cq_source *source, int64_t now_s)
{
    struct cq_rules rules;
    struct cq_clock clock;
    bool same;

    cq_table_clock(source->table, now_s, &clock);
    if (now_s < source->clock.now_s
        || clock.period_id != source->clock.period_id
        || clock.day != source->clock.day
        || cq_rules_read(source->table, now_s, &rules) != CQ_OK) {
        return false;
    }
    same = are_equal_rules(&rules, &source->rules);
    cq_rules_free(&rules);
    source->clock = clock;
    source->due_s = 0;
    return same;
}

static bool was_jailed(const struct cq_seen *seen)
{
    return seen->offence == CQ_OFFENCE_OFFENDER
        && seen->spared == CQ_SPARED_NOT;
}

/* Does the verdict on this row, NULL: it was not over quota, still hold? */
static bool is_still(struct cq_source *source, uint32_t row,
                     struct cq_seen *seen)
{
    struct cq_row_words before;
    struct verdict v;
    bool was;

    if (seen == NULL) {
        judge(source, row, &v);
        return !is_jailed(&v);
    }
    if (seen->offence != CQ_OFFENCE_RECENT
        && cq_table_row_is(source->table, row, &seen->words)) {
        return true;
    }
    was = was_jailed(seen);
    before = seen->words;
    cq_table_row_words(source->table, row, &seen->words);
    judge(source, row, &v);
    keep_verdict(seen, &v);
    /* the first word is the identity: another client may have the row */
    return is_jailed(&v) == was
        && (!was || before.words[0] == seen->words.words[0]);
}

bool cq_source_is_unchanged(struct cq_source *source, int64_t now_s)
{
    uint64_t position = 0;
    uint32_t row;
    size_t at = 0;

    if (!source->valid || !begins_alike(source, now_s)) {
        return false;
    }
    while (cq_table_next_over(source->table, &position, &row)) {
        struct cq_seen *seen = NULL;

        for (; at < source->seen_n && source->seen[at].row < row; at++) {
            if (was_jailed(&source->seen[at])) {
                return false;
            }
        }
        if (at < source->seen_n && source->seen[at].row == row) {
            seen = &source->seen[at++];
        }
        if (!is_still(source, row, seen)) {
            return false;
        }
    }
    while (at < source->seen_n && !was_jailed(&source->seen[at])) {
        at++;
    }
    return at == source->seen_n;
}

/* ---- single questions ---- */

bool cq_source_row(struct cq_source *source, uint32_t row, int64_t now_s,
                   struct cq_wanted *wanted)
{
    struct verdict v;

    if (!source->valid) {
        return false;
    }
    cq_table_clock(source->table, now_s, &source->clock);
    judge(source, row, &v);
    if (is_jailed(&v)) {
        *wanted = make_wanted(&v);
    }
    return is_jailed(&v);
}

/* Of several pools the one that says most. */
const char *cq_source_reason(struct cq_source *source,
                             const struct cq_key *client, int64_t now_s)
{
    static const char *const offences[] = {
        [CQ_OFFENCE_NONE] = "it is not over quota",
        [CQ_OFFENCE_EXEMPT] = "it is exempt, or its pool refuses no client",
        [CQ_OFFENCE_FEW] = "it was refused fewer times than --after says",
        [CQ_OFFENCE_RECENT] = "it is over quota for less than --grace",
        [CQ_OFFENCE_OFFENDER] = "it has no place"
    };
    const char *reason = "the table does not know it";
    enum cq_offence most = CQ_OFFENCE_NONE;
    size_t pool;

    if (cq_net_touches(source->terms.never, client)) {
        return "it is on a never list";
    }
    cq_table_clock(source->table, now_s, &source->clock);
    for (pool = 0; pool < source->rules.pool_n; pool++) {
        struct verdict v = { .offence = CQ_OFFENCE_NONE };

        if (!source->counts_pool[pool]
            || cq_table_row(source->table, (uint16_t)pool, client,
                            &source->clock, &v.row) != CQ_OK) {
            continue;
        }
        judge_copy(source, &v);
        if (v.offence >= most) {
            most = v.offence;
            reason = v.spared == CQ_SPARED_NOT ? offences[v.offence]
                : v.spared == CQ_SPARED_PROXIED
                ? "other clients share its address"
                : "it is this machine's own or a reserved address";
        }
    }
    return reason;
}

const char *cq_source_pool(const struct cq_source *source, uint16_t pool)
{
    return pool < source->rules.pool_n ? source->rules.pools[pool].name : "?";
}

bool cq_source_next_spared(const struct cq_source *source, size_t *at,
                           struct cq_key *client, const char **why)
{
    while (*at < source->seen_n) {
        const struct cq_seen *seen = &source->seen[(*at)++];
        struct cq_row row;

        *why = seen->offence == CQ_OFFENCE_RECENT
            ? "it is over quota for less than --grace"
            : cq_spared_word((enum cq_spared)seen->spared);
        if (*why != NULL
            && cq_table_row_at(source->table, seen->row, &source->clock,
                               &row)) {
            *client = row.key;
            return true;
        }
    }
    return false;
}

void cq_source_forget(struct cq_source *source)
{
    cq_rules_free(&source->rules);
    free(source->seen);
    source->seen = NULL;
    source->seen_n = source->seen_capacity = 0;
    source->valid = false;
}
