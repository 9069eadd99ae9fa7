/* copies - how much of one version of a file a client has used today.
 *
 * A pair's row is counted by account.c; this gives it the day for a period.
 * Requests and readers call it. */
#include "table/copies.h"
#include "table/account.h"

_Static_assert(CQ_COPIES_NAMES_MAX == CQ_NAMES, "all of them");

/* A row's period is the day here: what an account asks of the clock is only
 * the stamp of its period and the time. */
static struct cq_clock by_days(const struct cq_clock *clock)
{
    struct cq_clock days = *clock;

    days.period_id = clock->day_stamp;
    return days;
}

static uint64_t pair_identity(const struct cq_table *t, uint64_t client,
                              uint64_t version)
{
    const uint64_t words[2] = { client, version };
    uint64_t h = cq_hash_words(&t->header->geometry.seed, words, 2)
                 & ~CQ_STATE_MASK;

    return h != 0 ? h : 4;
}

void cq_version_make(const struct cq_table *t, const char *path,
                     int64_t size_bytes, int64_t mtime_us,
                     struct cq_version *version)
{
    const uint64_t facts[2] = { (uint64_t)size_bytes, (uint64_t)mtime_us };

    version->hash = cq_hash_text(&t->header->geometry.seed, path,
                                 strlen(path), facts, 2);
    version->path = path;
    version->size_bytes = size_bytes;
    version->mtime_us = mtime_us;
}

bool cq_table_has_copies(const struct cq_table *t)
{
    return t->pairs.buckets_n > 0;
}

enum cq_status cq_copies_open(struct cq_table *t, uint64_t client,
                              const struct cq_version *version,
                              const struct cq_clock *clock,
                              struct cq_account *a)
{
    struct cq_clock days = by_days(clock);
    struct cq_subject subject = {
        &t->pairs, pair_identity(t, client, version->hash),
        { client, cq_name_keep(t, version, clock->day_stamp), 0 }, false
    };

    if (!cq_table_has_copies(t)) {
        a->entry = CQ_NO_ENTRY;
        return CQ_EFULL;
    }
    return cq_account_open_subject(t, &subject, &days, a);
}

void cq_copies_usage(struct cq_account *a, const struct cq_clock *clock,
                     struct cq_copies *copies)
{
    struct cq_clock days = by_days(clock);
    struct cq_usage usage;

    memset(copies, 0, sizeof(*copies));
    if (!cq_account_is_open(a)) {
        return;
    }
    cq_account_usage(a, &days, &usage);
    copies->today_bytes = usage.used_bytes;
    copies->in_flight_bytes = usage.in_flight_bytes;
    copies->yesterday_bytes = cq_stamped_get(
        &hot_row(a)->before, (uint16_t)(days.period_id - 1));
}

/* n x size, below the sums that overflow */
static int64_t copies_limit(int64_t n, int64_t size_bytes)
{
    /* an empty file has no copies to count */
    if (n <= 0 || size_bytes <= 0 || n > CQ_BYTES_MAX / size_bytes) {
        return INT64_MAX;
    }
    return n * size_bytes;
}

enum cq_status cq_copies_admit(struct cq_account *a,
                               const struct cq_clock *clock, int64_t n,
                               const struct cq_version *version,
                               int64_t bytes)
{
    struct cq_clock days = by_days(clock);
    enum cq_status status =
        cq_account_admit(a, &days, copies_limit(n, version->size_bytes), bytes,
                         NULL);

    /* a pair is never marked as over: it has no cold line to note that in */
    a->allowance_bytes = INT64_MAX;
    return status;
}

void cq_copies_note(struct cq_account *a, int64_t n)
{
    cq_account_mark(a, (uint16_t)(n < CQ_MARK_POLICY ? n : CQ_MARK_POLICY),
                    CQ_ORIGIN_PEER);
}

void cq_copies_charge(struct cq_account *a, const struct cq_clock *clock,
                      int64_t bytes)
{
    struct cq_clock days = by_days(clock);

    cq_account_charge(a, &days, bytes);
}

void cq_copies_forget(struct cq_table *t, uint64_t client)
{
    uint64_t row;

    for (row = t->pairs.first; row < t->all_rows_n; row++) {
        const struct cq_hot *hot = &t->hot[row];
        uint64_t id = atomic_load_explicit(&hot->identity,
                                           memory_order_acquire);
        struct cq_account a;

        if ((id & CQ_STATE_MASK) == CQ_LIVE
            && atomic_load(&hot->client) == client
            && cq_account_open_row(t, (uint32_t)row, id & ~CQ_STATE_MASK,
                                   &a)) {
            cq_account_reset(&a);
            cq_account_close(&a);
        }
    }
}

/* @return false: it is no pair, downloaded nothing today, or became another's
 * meanwhile */
static bool copy_pair(const struct cq_table *t, const struct cq_hot *hot,
                      const struct cq_clock *clock, struct cq_copies_row *copy)
{
    uint64_t id = atomic_load_explicit(&hot->identity, memory_order_acquire);
    uint64_t committed, version;

    if ((id & CQ_STATE_MASK) != CQ_LIVE) {
        return false;
    }
    memset(copy, 0, sizeof(*copy));
    copy->client = atomic_load(&hot->client);
    copy->copies_n = atomic_load(&hot->mark) & CQ_MARK_COPIES;
    committed = atomic_load(&hot->committed);
    copy->today_bytes = cq_row_used(hot, clock->day_stamp);
    if (cq_stamp(committed) == clock->day_stamp
        && cq_bytes(committed) > copy->today_bytes) {
        copy->in_flight_bytes = cq_bytes(committed) - copy->today_bytes;
    }
    version = cq_name_copy(t, atomic_load(&hot->name_number), copy);
    atomic_thread_fence(memory_order_acquire);
    if (copy->today_bytes + copy->in_flight_bytes == 0
        || atomic_load_explicit(&hot->identity, memory_order_relaxed) != id) {
        return false;
    }
    if (pair_identity(t, copy->client, version) != (id & ~CQ_STATE_MASK)) {
        copy->path[0] = '\0';       /* another version's by now */
        copy->size_bytes = 0;
        copy->mtime_us = 0;
    }
    return true;
}

bool cq_copies_next(const struct cq_table *t, const struct cq_clock *clock,
                    uint64_t *position, struct cq_copies_row *copy)
{
    while (*position < t->all_rows_n - t->pairs.first) {
        if (copy_pair(t, &t->hot[t->pairs.first + (*position)++], clock,
                      copy)) {
            return true;
        }
    }
    return false;
}

size_t cq_copies_names(const struct cq_table *t, const struct cq_clock *clock,
                       struct cq_copies_name *names)
{
    size_t n = 0;
    uint32_t i;

    for (i = 0; i < t->names_n && n < CQ_COPIES_NAMES_MAX; i++) {
        const struct cq_name_slot *slot = &t->names[i];

        if (atomic_load_explicit(&slot->day, memory_order_relaxed)
            == clock->day_stamp) {
            names[n++] = (struct cq_copies_name){ i, slot->size_bytes };
        }
    }
    return n;
}

bool cq_copies_find(const struct cq_table *t, const struct cq_clock *clock,
                    uint64_t client, const struct cq_copies_name *name,
                    struct cq_copies_row *copy)
{
    uint64_t id = pair_identity(t, client,
                                atomic_load(&t->names[name->number].version));
    struct cq_homes homes;
    uint32_t row;

    if (!cq_table_has_copies(t)) {
        return false;
    }
    homes = cq_window_homes(&t->pairs, id);
    row = cq_window_find(t, &homes, id);
    return row != CQ_NO_ROW && copy_pair(t, &t->hot[row], clock, copy)
        && copy->client == client;
}
