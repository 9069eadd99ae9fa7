/* jail - figures of the kernel jail, and which rows are in it. Only
 * clamquota-sync writes here, except cq_table_mark_dropped(), which requests
 * call. */
#include "table/jail.h"
#include "table/parts.h"

#include <time.h>

_Static_assert(CQ_JAIL_SPEC_SIZE
               == sizeof(((struct cq_jail_words *)0)->spec), "layout.h");
_Static_assert(CQ_JAIL_FILES_SIZE
               == sizeof(((struct cq_header *)0)->deny_files), "layout.h");

/* ---- the report: cq_record_begin() has its invariant ---- */

bool cq_table_jail(const struct cq_table *t, struct cq_jail_report *report)
{
    const struct cq_jail_words *jail = &t->header->jail;
    uint32_t before = atomic_load(&jail->motion);

    memcpy(report->spec, jail->spec, sizeof(report->spec));
    report->spec[sizeof(report->spec) - 1] = '\0';
    memcpy(report->deny_files, t->header->deny_files,
           sizeof(report->deny_files));
    report->deny_files[sizeof(report->deny_files) - 1] = '\0';
    report->jailed = atomic_load(&jail->jailed);
    report->capacity = atomic_load(&jail->capacity);
    report->dropped_packets = atomic_load(&jail->dropped);
    report->as_of_s = atomic_load(&jail->as_of_s);
    atomic_thread_fence(memory_order_acquire);
    return before % 2 == 0 && atomic_load(&jail->motion) == before
        && report->as_of_s > 0;
}

void cq_table_jail_set(struct cq_table *t,
                       const struct cq_jail_report *report)
{
    struct cq_jail_words *jail = &t->header->jail;
    uint32_t motion = cq_record_begin(&jail->motion);

    memcpy(jail->spec, report->spec, sizeof(jail->spec));
    memcpy(t->header->deny_files, report->deny_files,
           sizeof(report->deny_files));
    atomic_store(&jail->jailed, report->jailed);
    atomic_store(&jail->capacity, report->capacity);
    atomic_store(&jail->dropped, report->dropped_packets);
    atomic_store(&jail->as_of_s, report->as_of_s);
    cq_record_end(&jail->motion, motion);
}

void cq_jail_report_file(struct cq_jail_report *report, const char *path)
{
    size_t used = strlen(report->deny_files), length = strlen(path);

    if (path[0] == '/' && strchr(path, '\n') == NULL
        && length + 1 < sizeof(report->deny_files) - used) {
        memcpy(report->deny_files + used, path, length);
        memcpy(report->deny_files + used + length, "\n", 2);
    }
}

bool cq_jail_report_next(const struct cq_jail_report *report,
                         const char **next, char path[CQ_JAIL_FILES_SIZE])
{
    const char *at = *next != NULL ? *next : report->deny_files;
    const char *end = strchr(at, '\n');

    if (end == NULL || *at != '/') {
        return false;
    }
    memcpy(path, at, (size_t)(end - at));
    path[end - at] = '\0';
    *next = end + 1;
    return true;
}

/* ---- the marks ---- */

/* The row of a client, or CQ_NO_ROW. */
static uint32_t find_row(const struct cq_table *t, uint16_t pool,
                         const struct cq_key *key, uint64_t *identity)
{
    uint64_t hash = cq_identity(t, pool, key);
    struct cq_homes homes = cq_window_homes(&t->clients, hash);

    *identity = hash | CQ_LIVE;
    return cq_window_find(t, &homes, hash);
}

static uint32_t refusals_noted(const struct cq_table *t, uint32_t row)
{
    uint64_t over = atomic_load(&t->cold[row].over);

    return (cq_over_refusals(over) << CQ_MARK_NOTED_SHIFT) & CQ_MARK_NOTED;
}

/* At midnight refusals begin anew: 0 are none, another number is growth. */
static bool has_grown(uint32_t mark, uint32_t noted)
{
    return (mark & CQ_MARK_JAILED) != 0 && (mark & CQ_MARK_HELD) != 0
        && noted != 0 && (mark & CQ_MARK_NOTED) != noted;
}

/* @param changed  result: it was the other one before */
static bool mark_row(struct cq_table *t, uint32_t row, bool jailed,
                     bool *changed)
{
    _Atomic uint32_t *mark = &t->hot[row].mark;
    uint32_t noted = refusals_noted(t, row);
    uint32_t old = atomic_load(mark);
    uint32_t new;

    do {
        new = old & ~CQ_MARK_OF_JAIL;
        if (jailed) {
            new |= CQ_MARK_JAILED | noted
                | ((old & CQ_MARK_JAILED) != 0 ? CQ_MARK_HELD : 0);
        }
    } while (new != old && !atomic_compare_exchange_weak(mark, &old, new));
    *changed = ((old ^ new) & CQ_MARK_JAILED) != 0;
    return jailed && has_grown(old, noted);
}

/* A client has one place in the jail, whatever its pools. */
static void note_change(struct cq_table *t, uint32_t row, bool jailed)
{
    struct cq_clock clock;
    struct cq_row copy;
    struct cq_policy_info info;

    cq_table_clock(t, (int64_t)time(NULL), &clock);
    if (cq_row_copy(t, row, &clock, &copy)) {
        cq_table_policy_info(t, copy.pool, copy.policy_index, &info);
        cq_change_note_row(t, row, jailed ? CQ_CHANGE_JAILED
                                        : CQ_CHANGE_RELEASED, clock.now_s,
                           copy.used_bytes,
                           cq_policy_allowance(&info.policy, clock.day));
    }
}

bool cq_table_mark_jailed(struct cq_table *t, const struct cq_key *key,
                          bool jailed)
{
    size_t n = cq_table_pool_count(t);
    bool grown = false, noted = false;
    size_t pool;

    for (pool = 0; pool < n; pool++) {
        uint64_t identity;
        uint32_t row = find_row(t, (uint16_t)pool, key, &identity);
        bool changed;

        if (row == CQ_NO_ROW) {
            continue;
        }
        grown |= mark_row(t, row, jailed, &changed);
        if (changed && !noted) {
            note_change(t, row, jailed);
            noted = true;
        }
        /* another client's meanwhile: not jailed for that */
        if (atomic_load(&t->hot[row].identity) != identity) {
            atomic_fetch_and(&t->hot[row].mark, ~CQ_MARK_OF_JAIL);
        }
    }
    return grown;
}

void cq_table_mark_dropped(struct cq_table *t, uint16_t pool,
                           const struct cq_key *key,
                           const struct cq_clock *clock,
                           int64_t allowance_bytes)
{
    uint64_t identity;
    uint32_t row = find_row(t, pool, key, &identity);

    if (row == CQ_NO_ROW
        || (atomic_load_explicit(&t->hot[row].mark, memory_order_relaxed)
            & CQ_MARK_DROPPED) != 0
        || (atomic_fetch_or(&t->hot[row].mark, CQ_MARK_DROPPED)
            & CQ_MARK_DROPPED) != 0) {
        return;
    }
    cq_change_note_row(t, row, CQ_CHANGE_DROPPED, clock->now_s,
                       cq_row_used(&t->hot[row], clock->period_id),
                       allowance_bytes);
}

bool cq_table_refused_in_jail(const struct cq_table *t,
                              const struct cq_key *key)
{
    size_t n = cq_table_pool_count(t);
    size_t pool;

    for (pool = 0; pool < n; pool++) {
        uint64_t identity;
        uint32_t row = find_row(t, (uint16_t)pool, key, &identity);

        if (row != CQ_NO_ROW
            && has_grown(atomic_load(&t->hot[row].mark),
                         refusals_noted(t, row))) {
            return true;
        }
    }
    return false;
}

bool cq_table_next_jailed(const struct cq_table *t,
                          const struct cq_clock *clock, uint64_t *position,
                          struct cq_key *key)
{
    struct cq_row row;

    while (*position < t->rows_n) {
        uint32_t i = (uint32_t)(*position)++;

        if ((atomic_load_explicit(&t->hot[i].mark, memory_order_relaxed)
             & CQ_MARK_JAILED) != 0
            && cq_row_copy(t, i, clock, &row)) {
            *key = row.key;
            return true;
        }
    }
    return false;
}
