/* source - the table's offenders, asked of core/offence with the rules that
 * the configuration in force has for them: a jailed client makes no request
 * that would decide its row anew. */
#include "sync/source.h"

#include "table/bell.h"
#include "table/rules.h"

#include <setjmp.h>
#include <signal.h>
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
}

/* ---- rows ---- */

struct rows_work {
    const struct source *source;
    const struct source_terms *terms;
    int64_t now_s;
    struct wanted_list *list;
    bool one;                   /* only the row that rang */
    uint32_t row;
    struct cq_rules rules;
    bool pools[CQ_POOLS_MAX];   /* those that count */
    struct cq_clock clock;
    enum cq_status status;
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

static void look_at_row(struct rows_work *w, const struct cq_row *row)
{
    struct cq_offence_facts facts = {
        .used_bytes = row->used_bytes,
        .over_since_s = row->over_since_s,
        .refusals = row->over_refusals,
        .proxied = row->proxied
    };
    struct plan_wanted wanted = { .key = row->key,
                                  .last_hit_s = row->last_hit_s };
    struct cq_policy policy;
    int64_t due_s = 0;
    bool refuses;

    if (row->pool >= CQ_POOLS_MAX || !w->pools[row->pool]) {
        return;
    }
    policy = cq_rules_policy(&w->rules, row->pool, &row->key, &refuses);
    switch (cq_offence_of(&facts, &policy, refuses, w->clock.day, w->now_s,
                          &w->terms->limits, &due_s)) {
    case CQ_OFFENCE_OFFENDER:
        /* in another pool, too: it is the same address */
        if (w->rules.pool_n > 1
            && cq_table_seen_proxied(w->source->table, &row->key,
                                     &w->clock)) {
            break;
        }
        wanted.excess_bytes = row->used_bytes
            - cq_policy_allowance(&policy, w->clock.day);
        if (!wanted_add(w->list, &wanted)) {
            w->status = CQ_ENOMEM;
        }
        break;
    case CQ_OFFENCE_RECENT:
        if (w->list->due_s == 0 || due_s < w->list->due_s) {
            w->list->due_s = due_s;
        }
        break;
    case CQ_OFFENCE_NONE:
    case CQ_OFFENCE_EXEMPT:
    case CQ_OFFENCE_PROXIED:
    case CQ_OFFENCE_FEW:
        break;
    }
}

static void look(void *data)
{
    struct rows_work *w = data;
    const struct cq_table *table = w->source->table;
    struct cq_row row;
    uint64_t position = 0;
    size_t i;

    w->status = cq_rules_read(table, &w->rules);
    if (w->status != CQ_OK) {
        return;
    }
    for (i = 0; i < w->rules.pool_n; i++) {
        w->pools[i] = is_wanted_pool(w->terms, w->rules.pools[i].name);
    }
    cq_table_clock(w->source->table, w->now_s, &w->clock);
    if (w->one) {
        if (cq_table_row_at(table, w->row, &w->clock, &row)) {
            look_at_row(w, &row);
        }
        return;
    }
    while (w->status == CQ_OK
           && cq_table_next_over(table, &w->clock, &position, &row)) {
        look_at_row(w, &row);
    }
}

static enum cq_status look_guarded(struct rows_work *w)
{
    bool whole = source_guarded(look, w);

    cq_rules_free(&w->rules);
    return whole ? w->status : CQ_ECORRUPT;
}

enum cq_status source_offenders(const struct source *source,
                                const struct source_terms *terms,
                                int64_t now_s, struct wanted_list *list)
{
    struct rows_work w = { .source = source, .terms = terms, .now_s = now_s,
                           .list = list };

    return look_guarded(&w);
}

enum cq_status source_row(const struct source *source,
                          const struct source_terms *terms, int64_t now_s,
                          uint32_t row, struct wanted_list *list)
{
    struct rows_work w = { .source = source, .terms = terms, .now_s = now_s,
                           .list = list, .one = true, .row = row };

    return look_guarded(&w);
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
