/* source - the table's offenders. */
#include "sync/source.h"

#include "core/hash.h"

#include <string.h>

/* ---- one row ---- */

struct verdict {
    enum cq_offence offence;
    enum cq_spared spared;      /* of an offender */
    struct cq_row row;
    int64_t excess_bytes;
};

/* Judges v->row by the policy of the configuration in force, not the row's.
 * @return true: jailed */
static bool judge(struct cq_source *source, struct verdict *v)
{
    const struct cq_row *row = &v->row;
    const struct cq_offence_limits limits = {
        .grace_s = source->options->grace_s, .after = source->options->after
    };
    const struct cq_offence_facts facts = {
        .used_bytes = row->used_bytes,
        .over_since_s = row->over_since_s,
        .refusals = row->over_refusals,
        .exempt = cq_net_touches(&source->rules.exempt, &row->key)
    };
    struct cq_prefixes prefixes = cq_table_prefixes(source->table);
    struct cq_policy policy;
    int64_t due_s = 0;
    bool refuses;

    policy = cq_rules_policy(&source->rules, row->pool, &row->key, &refuses);
    v->excess_bytes = row->used_bytes
        - cq_policy_allowance(&policy, source->clock.day);
    v->offence = cq_offence_judge(&facts, &policy, refuses, source->clock.day,
                               source->clock.now_s, &limits, &due_s);
    v->spared = CQ_SPARED_NOT;
    if (v->offence == CQ_OFFENCE_OFFENDER) {
        /* proxied in another pool, too: it is the same address */
        v->spared = cq_lists_spared(source->lists, &row->key,
            row->key.family == 4 ? prefixes.v4_bits : prefixes.v6_bits,
            row->proxied
            || (source->rules.pool_n > 1
                && cq_table_seen_proxied(source->table, &row->key,
                                         &source->clock)));
    }
    if (v->offence == CQ_OFFENCE_RECENT
        && (source->due_s == 0 || due_s < source->due_s)) {
        source->due_s = due_s;
    }
    return v->offence == CQ_OFFENCE_OFFENDER && v->spared == CQ_SPARED_NOT;
}

/* With -v: a client that is refused often enough and not jailed. */
static void report_spared(struct cq_say *say, const struct verdict *v)
{
    const char *why = v->offence == CQ_OFFENCE_RECENT
        ? "it is over quota for less than --grace"
        : cq_spared_text(v->spared);
    char text[CQ_KEY_TEXT_SIZE];

    if (why != NULL) {
        cq_say_info(say, "%s is left out: %s",
                    cq_key_format(&v->row.key, text, sizeof(text)), why);
    }
}

/* ---- all rows ---- */

static bool has_text(const struct cq_texts *texts, const char *text)
{
    size_t i = 0;

    while (i < texts->count && strcmp(texts->texts[i], text) != 0) {
        i++;
    }
    return i < texts->count;
}

/* Reads the rules and the clock. */
static enum cq_status begin(struct cq_source *source, int64_t now_s)
{
    struct cq_rules rules;
    size_t i;

    if (cq_rules_read(source->table, now_s, &rules) != CQ_OK) {
        return CQ_ENOMEM;
    }
    cq_rules_free(&source->rules);
    source->rules = rules;
    for (i = 0; i < rules.pool_n; i++) {
        source->counts_pool[i] = source->options->pools.count == 0
            || has_text(&source->options->pools, rules.pools[i].name);
    }
    cq_table_clock(source->table, now_s, &source->clock);
    return CQ_OK;
}

/* Rows that collide would stay unseen until the next scan, a minute. */
static void mix(uint64_t *sum, const void *data, size_t size)
{
    const struct cq_seed seed = { .k0 = *sum };

    *sum = cq_hash_text(&seed, data, size, NULL, 0);
}

static void mix_nets(uint64_t *sum, const struct cq_net_list *nets)
{
    size_t i;

    for (i = 0; i < nets->count; i++) {
        mix(sum, &nets->rules[i].net, sizeof(nets->rules[i].net));
        mix(sum, &nets->rules[i].value, sizeof(nets->rules[i].value));
    }
    mix(sum, &nets->count, sizeof(nets->count));
}

/* Of all that a scan depends on, but for the time. */
static uint64_t sum_up(const struct cq_source *source)
{
    const struct cq_rules *rules = &source->rules;
    uint64_t sum = 0, position = 0;
    uint32_t row;

    /* cq_table_pool_info() fills them with zeros first */
    mix(&sum, rules->pools, rules->pool_n * sizeof(rules->pools[0]));
    mix_nets(&sum, &rules->nets);
    mix_nets(&sum, &rules->exempt);
    mix(&sum, &source->clock.period_id, sizeof(source->clock.period_id));
    mix(&sum, &source->clock.day, sizeof(source->clock.day));
    while (cq_table_next_over(source->table, &position, &row)) {
        struct cq_row_words words;

        cq_table_row_words(source->table, row, &words);
        mix(&sum, &words, sizeof(words));
    }
    return sum | 1;             /* never 0 */
}

enum cq_status cq_source_scan(struct cq_source *source, int64_t now_s,
                              struct cq_wanted_list *list,
                              struct cq_say *say)
{
    uint64_t position = 0, sum;
    uint32_t row;

    source->sum = 0;
    source->due_s = 0;
    if (begin(source, now_s) != CQ_OK) {
        return CQ_ENOMEM;
    }
    sum = sum_up(source);       /* first: what changes meanwhile shows later */
    while (cq_table_next_over(source->table, &position, &row)) {
        struct verdict v;

        if (!cq_table_row_at(source->table, row, &source->clock, &v.row)
            || v.row.over_since_s <= 0 || v.row.pool >= CQ_POOLS_MAX
            || !source->counts_pool[v.row.pool]) {
            continue;
        }
        if (judge(source, &v)) {
            const struct cq_wanted wanted = {
                .key = v.row.key,
                .last_hit_s = (uint32_t)v.row.last_hit_s,
                .excess_bytes = v.excess_bytes
            };

            if (!cq_wanted_add(list, &wanted)) {
                return CQ_ENOMEM;
            }
        }
        else if (say != NULL && say->verbose) {
            report_spared(say, &v);
        }
    }
    source->sum = sum;
    return CQ_OK;
}

bool cq_source_is_unchanged(struct cq_source *source, int64_t now_s)
{
    return source->sum != 0 && now_s >= source->clock.now_s
        && (source->due_s == 0 || now_s < source->due_s)
        && begin(source, now_s) == CQ_OK && sum_up(source) == source->sum;
}

/* ---- clauses for reports ---- */

void cq_source_check_pools(const struct cq_source *source,
                           struct cq_say *say)
{
    const struct cq_rules *rules = &source->rules;
    const struct cq_texts *pools = &source->options->pools;
    size_t i, j;

    for (i = 0; i < pools->count; i++) {
        char names[512] = "";
        bool is_there = false;

        for (j = 0; j < rules->pool_n; j++) {
            size_t at = strlen(names);

            is_there |= strcmp(rules->pools[j].name, pools->texts[i]) == 0;
            snprintf(names + at, sizeof(names) - at, "%s%s",
                     j > 0 ? ", " : "", rules->pools[j].name);
        }
        if (!is_there) {
            cq_say_trouble(say, "--pool %s: no such pool in %s, expected one "
                           "of: %s", pools->texts[i], source->options->table,
                           names);
        }
    }
}

/* An offender that is not jailed is spared. */
static void explain(const struct cq_source *source, const struct verdict *v,
                    char clause[CQ_SOURCE_CLAUSE_SIZE])
{
    static const char *const clauses[] = {
        [CQ_OFFENCE_NONE] = "it is not over quota",
        [CQ_OFFENCE_EXEMPT] = "it is exempt, or its pool refuses no client",
        [CQ_OFFENCE_FEW] = "it was refused fewer times than --after says",
        [CQ_OFFENCE_RECENT] = "it is over quota for less than --grace"
    };

    if (v->offence == CQ_OFFENCE_OFFENDER && v->spared == CQ_SPARED_NOT) {
        snprintf(clause, CQ_SOURCE_CLAUSE_SIZE, "over quota in pool %s for "
                 "%lld s, refused %u times",
                 source->rules.pools[v->row.pool].name,
                 (long long)(source->clock.now_s - v->row.over_since_s),
                 v->row.over_refusals);
        return;
    }
    snprintf(clause, CQ_SOURCE_CLAUSE_SIZE, "%s",
             v->spared != CQ_SPARED_NOT ? cq_spared_text(v->spared)
                                        : clauses[v->offence]);
}

/* Of several pools the one that says most. */
void cq_source_explain(struct cq_source *source, const struct cq_key *client,
                       int64_t now_s, char clause[CQ_SOURCE_CLAUSE_SIZE])
{
    enum cq_offence most = CQ_OFFENCE_NONE;
    bool is_never = cq_net_touches(&source->lists->never, client);
    uint16_t pool;

    snprintf(clause, CQ_SOURCE_CLAUSE_SIZE, "%s", is_never
             ? "it is on a never list"
             : cq_net_touches(&source->rules.exempt, client)
             ? "it is exempt"
             : source->options->pools.count > 0
             ? "neither a pool that --pool names nor a deny file has it"
             : "neither the table nor a deny file names it");
    cq_table_clock(source->table, now_s, &source->clock);
    for (pool = 0; pool < source->rules.pool_n; pool++) {
        struct verdict v;

        if (!is_never && source->counts_pool[pool]
            && cq_table_row(source->table, pool, client, &source->clock,
                            &v.row) == CQ_OK) {
            (void)judge(source, &v);
            if (v.offence >= most) {
                most = v.offence;
                explain(source, &v, clause);
            }
        }
    }
}

void cq_source_forget(struct cq_source *source)
{
    cq_rules_free(&source->rules);
    source->sum = 0;
}
