/* source - the table's offenders, asked of core/offence with the rules that
 * the configuration in force has for them: a jailed client makes no request
 * that would decide its row anew. */
#include "sync/source.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- a file that ends before its mapping does ---- */

static sigjmp_buf file_ended;
static volatile sig_atomic_t guarded;

static void on_sigbus(int signal)
{
    if (guarded) {
        siglongjmp(file_ended, 1);
    }
    /* some other trouble: end as if nobody had asked */
    (void)sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL },
                    NULL);
    (void)raise(signal);
}

bool source_guarded(void (*work)(void *data), void *data)
{
    struct sigaction action = { .sa_handler = on_sigbus };
    struct sigaction before;
    volatile bool whole = false;

    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, &before);
    if (sigsetjmp(file_ended, 1) == 0) {
        guarded = 1;
        work(data);
        whole = true;
    }
    guarded = 0;
    (void)sigaction(SIGBUS, &before, NULL);
    return whole;
}

/* ---- the file ---- */

struct attach_work {
    const char *path;
    struct cq_table *table;
    char *why;
    size_t why_size;
    enum cq_status status;
};

static void attach(void *data)
{
    struct attach_work *w = data;

    w->status = cq_tablefile_attach(w->path, false, &w->table, w->why,
                                    w->why_size);
}

enum cq_status source_attach(struct source *source, const char *path,
                             char *why, size_t why_size)
{
    struct attach_work w = { .path = path, .why = why, .why_size = why_size };
    struct stat st;

    memset(source, 0, sizeof(*source));
    source->path = path;
    /* Named before it is mapped: if it is replaced in between, the next
     * question about its name says so and all begins anew. */
    if (stat(path, &st) == 0) {
        source->dev = st.st_dev;
        source->ino = st.st_ino;
    }
    if (!source_guarded(attach, &w)) {
        snprintf(why, why_size, "%s: is being cut short at this moment, "
                 "expected a whole table", path);
        return CQ_ECORRUPT;
    }
    source->table = w.table;
    return w.status;
}

bool source_is_named(const struct source *source)
{
    struct stat st;

    return stat(source->path, &st) == 0 && st.st_dev == source->dev
        && st.st_ino == source->ino;
}

void source_detach(struct source *source)
{
    cq_tablefile_close(source->table);
    source->table = NULL;
    cq_rules_free(&source->look.rules);
    free(source->look.seen);
    memset(&source->look, 0, sizeof(source->look));
}

/* ---- rows ---- */

struct rows_work {
    struct source *source;
    const struct source_terms *terms;
    int64_t now_s;
    struct wanted_list *list;
    uint32_t row;               /* source_row() */
    struct cq_rules rules;
    bool pools[CQ_POOLS_MAX];   /* those that count */
    struct cq_clock clock;
    int64_t due_s;
    enum cq_status status;
    bool same;                  /* source_is_same() */
};

static bool is_wanted_pool(const struct source_terms *terms, const char *name)
{
    size_t i;

    for (i = 0; i < terms->pool_n; i++) {
        if (strcmp(terms->pools[i], name) == 0) {
            return true;
        }
    }
    return terms->pool_n == 0;
}

/* The server counts nobody under another prefix: this row was made by hand. */
static bool has_prefix(const struct rows_work *w, const struct cq_key *key)
{
    struct cq_prefixes prefixes = cq_table_prefixes(w->source->table);

    return key->prefix == (key->family == 4 ? prefixes.v4_bits
                                            : prefixes.v6_bits);
}

/* What its client is, now. */
static enum cq_offence judge(struct rows_work *w, uint32_t row,
                             struct plan_wanted *wanted)
{
    struct cq_offence_facts facts;
    struct cq_policy policy;
    struct cq_row copy;
    enum cq_offence offence;
    int64_t due_s = 0;
    bool refuses;

    if (!cq_table_row_at(w->source->table, row, &w->clock, &copy)
        || !has_prefix(w, &copy.key)
        || copy.over_since_s <= 0 || copy.pool >= CQ_POOLS_MAX
        || !w->pools[copy.pool]) {
        return CQ_OFFENCE_NONE;
    }
    facts = (struct cq_offence_facts){ .used_bytes = copy.used_bytes,
                                       .over_since_s = copy.over_since_s,
                                       .refusals = copy.over_refusals };
    policy = cq_rules_policy(&w->rules, copy.pool, &copy.key, &refuses);
    offence = cq_offence_of(&facts, &policy, refuses, w->clock.day, w->now_s,
                            &w->terms->limits, &due_s);
    if (offence == CQ_OFFENCE_RECENT
        && (w->due_s == 0 || due_s < w->due_s)) {
        w->due_s = due_s;
    }
    /* in another pool, too: it is the same address */
    if (offence == CQ_OFFENCE_OFFENDER
        && cq_table_seen_proxied(w->source->table, &copy.key, &w->clock)) {
        offence = CQ_OFFENCE_EXEMPT;
    }
    *wanted = (struct plan_wanted){
        .key = copy.key,
        .excess_bytes = copy.used_bytes
            - cq_policy_allowance(&policy, w->clock.day),
        .last_hit_s = copy.last_hit_s
    };
    return offence;
}

/* What is asked before the first row. */
static bool prepare(struct rows_work *w)
{
    const struct cq_table *table = w->source->table;
    size_t i;

    w->status = cq_rules_read(table, &w->rules);
    if (w->status != CQ_OK) {
        return false;
    }
    for (i = 0; i < w->rules.pool_n; i++) {
        w->pools[i] = is_wanted_pool(w->terms, w->rules.pools[i].name);
    }
    cq_table_clock(w->source->table, w->now_s, &w->clock);
    return true;
}

/* Notes a row that is about to be looked at. */
static struct source_seen *note(struct source *source, uint32_t row)
{
    struct source_look *look = &source->look;
    struct source_seen *seen;

    if (look->seen_n == look->seen_capacity) {
        size_t capacity = look->seen_capacity > 0 ? 2 * look->seen_capacity
                                                  : 64;

        seen = reallocarray(look->seen, capacity, sizeof(seen[0]));
        if (seen == NULL) {
            return NULL;
        }
        look->seen = seen;
        look->seen_capacity = capacity;
    }
    seen = &look->seen[look->seen_n++];
    seen->row = row;
    cq_table_row_words(source->table, row, &seen->words);
    return seen;
}

static void look_at_all(void *data)
{
    struct rows_work *w = data;
    struct source_look *look = &w->source->look;
    uint64_t position = 0;
    uint32_t row;

    look->valid = false;
    look->seen_n = 0;
    if (!prepare(w)) {
        return;
    }
    while (cq_table_next_over(w->source->table, &position, &row)) {
        struct source_seen *seen = note(w->source, row);
        struct plan_wanted wanted;
        enum cq_offence offence;

        if (seen == NULL) {
            w->status = CQ_ENOMEM;
            return;
        }
        offence = judge(w, row, &wanted);
        seen->offender = offence == CQ_OFFENCE_OFFENDER;
        seen->recent = offence == CQ_OFFENCE_RECENT;
        if (seen->offender && !wanted_add(w->list, &wanted)) {
            w->status = CQ_ENOMEM;
            return;
        }
    }
    w->list->due_s = w->due_s;
}

static void look_at_one(void *data)
{
    struct rows_work *w = data;
    struct plan_wanted wanted;

    if (prepare(w) && judge(w, w->row, &wanted) == CQ_OFFENCE_OFFENDER
        && !wanted_add(w->list, &wanted)) {
        w->status = CQ_ENOMEM;
    }
}

enum cq_status source_offenders(struct source *source,
                                const struct source_terms *terms,
                                int64_t now_s, struct wanted_list *list)
{
    struct rows_work w = { .source = source, .terms = terms, .now_s = now_s,
                           .list = list };
    struct source_look *look = &source->look;

    if (!source_guarded(look_at_all, &w)) {
        w.status = CQ_ECORRUPT;
    }
    cq_rules_free(&look->rules);
    look->rules = w.rules;
    look->period_id = w.clock.period_id;
    look->day = w.clock.day;
    look->now_s = now_s;
    look->valid = w.status == CQ_OK;
    return w.status;
}

enum cq_status source_row(struct source *source,
                          const struct source_terms *terms, int64_t now_s,
                          uint32_t row, struct wanted_list *list)
{
    struct rows_work w = { .source = source, .terms = terms, .now_s = now_s,
                           .list = list, .row = row };
    bool whole = source_guarded(look_at_one, &w);

    if (w.due_s > 0 && (list->due_s == 0 || w.due_s < list->due_s)) {
        list->due_s = w.due_s;
    }
    cq_rules_free(&w.rules);
    return whole ? w.status : CQ_ECORRUPT;
}

/* ---- the same as the last time? ---- */

static bool same_rules(const struct cq_rules *a, const struct cq_rules *b)
{
    bool same = a->pool_n == b->pool_n && a->nets.count == b->nets.count;
    size_t i;

    for (i = 0; same && i < a->pool_n; i++) {
        const struct cq_pool_info *one = &a->pools[i], *other = &b->pools[i];

        same = strcmp(one->name, other->name) == 0
            && one->policy.daily_bytes == other->policy.daily_bytes
            && one->policy.grace_bytes == other->policy.grace_bytes
            && one->refuses == other->refuses;
    }
    for (i = 0; same && i < a->nets.count; i++) {
        same = a->nets.rules[i].value == b->nets.rules[i].value
            && cq_key_compare(&a->nets.rules[i].net, &b->nets.rules[i].net)
                == 0;
    }
    return same;
}

/* Is what was said of this row, NULL: nothing, still so? */
static bool is_still(struct rows_work *w, uint32_t row,
                     struct source_seen *seen)
{
    bool was_offender = seen != NULL && seen->offender;
    struct cq_row_words before = { { 0 } };
    struct plan_wanted wanted;
    enum cq_offence offence;

    if (seen != NULL) {
        if (!seen->recent
            && cq_table_row_is(w->source->table, row, &seen->words)) {
            return true;
        }
        before = seen->words;
        cq_table_row_words(w->source->table, row, &seen->words);
    }
    offence = judge(w, row, &wanted);
    if (seen != NULL) {
        seen->recent = offence == CQ_OFFENCE_RECENT;
    }
    return (offence == CQ_OFFENCE_OFFENDER) == was_offender
        && (!was_offender || before.words[0] == seen->words.words[0]);
}

static void compare_looks(void *data)
{
    struct rows_work *w = data;
    struct source_look *look = &w->source->look;
    uint64_t position = 0;
    uint32_t row;
    size_t at = 0;

    if (!prepare(w) || !same_rules(&look->rules, &w->rules)
        || w->clock.period_id != look->period_id
        || w->clock.day != look->day) {
        return;
    }
    while (cq_table_next_over(w->source->table, &position, &row)) {
        struct source_seen *seen = NULL;

        for (; at < look->seen_n && look->seen[at].row < row; at++) {
            if (look->seen[at].offender) {
                return;
            }
        }
        if (at < look->seen_n && look->seen[at].row == row) {
            seen = &look->seen[at++];
        }
        if (!is_still(w, row, seen)) {
            return;
        }
    }
    while (at < look->seen_n && !look->seen[at].offender) {
        at++;
    }
    w->same = at == look->seen_n;
}

bool source_is_same(struct source *source, const struct source_terms *terms,
                    int64_t now_s, int64_t *due_s)
{
    struct rows_work w = { .source = source, .terms = terms, .now_s = now_s };
    bool same;

    if (!source->look.valid || now_s < source->look.now_s) {
        return false;
    }
    same = source_guarded(compare_looks, &w) && w.same;
    cq_rules_free(&w.rules);
    if (same) {
        source->look.now_s = now_s;
        *due_s = w.due_s;
    }
    return same;
}

struct pools_work {
    const struct source *source;
    const char *name;
    char *names;
    size_t size;
    bool found;
};

static void look_for_pool(void *data)
{
    struct pools_work *w = data;
    size_t i, n = cq_table_pool_count(w->source->table), at = 0;

    for (i = 0; i < n; i++) {
        struct cq_pool_info info;

        cq_table_pool_info(w->source->table, (uint16_t)i, &info);
        w->found |= strcmp(info.name, w->name) == 0;
        if (w->names != NULL && at < w->size) {
            at += (size_t)snprintf(w->names + at, w->size - at, "%s%s",
                                   i > 0 ? ", " : "", info.name);
        }
    }
}

bool source_has_pool(const struct source *source, const char *name,
                     char *names, size_t size)
{
    struct pools_work w = { .source = source, .name = name, .names = names,
                            .size = size };

    if (names != NULL && size > 0) {
        names[0] = '\0';
    }
    return source_guarded(look_for_pool, &w) && w.found;
}
