/* replay_count - the quotas at work: requests come in order, each is decided
 * before it is counted.
 *
 * A request counts at its second with all of its bytes: the module reserves
 * them then. A log does not have what was reserved and never sent, the part of
 * a download that went over midnight, the order within a second, an If-Range,
 * whether a range was open, or which version of a file it was. */
#include "clamquota/line.h"
#include "clamquota/replay.h"

#include <stdlib.h>
#include <string.h>

struct file {
    uint64_t key[CQ_ROWS_KEY_WORDS];
    uint64_t size_bytes;        /* the largest response: the whole file */
};

struct pair {
    uint64_t key[CQ_ROWS_KEY_WORDS];
    uint64_t day_n;
    uint64_t bytes[];           /* by each quota, on that day */
};

/* ---- time ---- */

static void enter_month(struct cq_replay *r, int64_t now_s)
{
    struct cq_period month;
    struct cq_tally *months;

    if (cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_LOCAL, now_s, &month) != CQ_OK) {
        return;
    }
    months = realloc(r->months, (r->month_n + 1) * sizeof(*months));
    if (months == NULL) {
        r->is_out_of_memory = true;
        return;
    }
    r->months = months;
    memset(&months[r->month_n], 0, sizeof(*months));
    months[r->month_n++].start_s = month.midnight_s[0];
    r->month_end_s = month.midnight_s[month.days];
}

/* Requests are in order: time only goes on. */
static void enter_day(struct cq_replay *r, int64_t now_s)
{
    if (r->period.id == 0 || now_s >= r->period.midnight_s[r->period.days]) {
        (void)cq_period_at(r->kind, CQ_ZONE_LOCAL, now_s, &r->period);
    }
    if (r->month_n == 0 || now_s >= r->month_end_s) {
        enter_month(r, now_s);
    }
    r->day = cq_period_day(&r->period, now_s);
    r->day_end_s = r->period.midnight_s[r->day];
    r->day_n++;
}

/* ---- decisions ---- */

/* May a small range be free? As cq_client_grant_range(). */
static bool grant_range(const struct cq_replay *r, struct cq_replay_client *c,
                        uint64_t bytes)
{
    if (c->day_n != r->day_n) {
        c->day_n = r->day_n;
        c->range_bytes = 0;
    }
    if (c->range_bytes >= CQ_LINE_RANGE_DAILY_BYTES) {
        return false;
    }
    c->range_bytes += (uint32_t)bytes;
    return true;
}

/* The bytes of this client and file today; NULL: they don't count. */
static struct pair *find_pair(struct cq_replay *r, const struct cq_request *q)
{
    const uint64_t key[CQ_ROWS_KEY_WORDS] = { q->client, q->file, 0 };
    struct pair *pair;
    uint32_t index;

    if (r->copies_n == 0 || !q->is_copy) {
        return NULL;
    }
    pair = cq_rows_find(&r->pairs, key, &index);
    if (pair == NULL) {
        r->is_out_of_memory = true;
        return NULL;
    }
    if (pair->day_n != r->day_n) {
        pair->day_n = r->day_n;
        memset(pair->bytes, 0, r->quota_n * sizeof(*pair->bytes));
    }
    return pair;
}

static void refuse(struct cq_replay *r, size_t i, const struct cq_request *q,
                   struct cq_replay_use *use, int64_t now_s)
{
    struct cq_refused *totals[] = {
        &r->total.refused[i], &r->families[q->family].refused[i],
        &r->months[r->month_n - 1].refused[i]
    };
    size_t t;

    for (t = 0; t < sizeof(totals) / sizeof(totals[0]); t++) {
        totals[t]->requests++;
        totals[t]->bytes += q->bytes;
    }
    use->refused_n += use->refused_n < UINT32_MAX;
    use->refused_bytes += q->bytes;
    use->families |= (uint8_t)(1u << q->family);
    if (r->first_refused_s[i] == 0) {
        r->first_refused_s[i] = now_s;
    }
}

static void decide_request(struct cq_replay *r, const struct cq_request *q,
                           struct cq_replay_client *c, int64_t now_s)
{
    struct pair *pair = find_pair(r, q);
    const struct file *file = pair != NULL ? cq_rows_at(&r->files, q->file)
                                           : NULL;
    size_t i;

    for (i = 0; i < r->quota_n; i++) {
        struct cq_replay_use *use = &c->uses[i];
        const struct cq_usage usage = { use->used_bytes, 0 };

        if (cq_policy_state(&r->quotas[i], &usage, r->day) != CQ_STATE_OK
            || (pair != NULL && pair->bytes[i]
                >= (uint64_t)r->copies_n * file->size_bytes)) {
            refuse(r, i, q, use, now_s);
            continue;
        }
        use->used_bytes += (int64_t)q->bytes;
        if (pair != NULL) {
            pair->bytes[i] += q->bytes;
        }
    }
}

static void count_request(void *baton, int64_t now_s,
                          const struct cq_request *q)
{
    struct cq_replay *r = baton;
    struct cq_replay_client *c;
    size_t i;

    if (now_s >= r->day_end_s) {
        enter_day(r, now_s);
    }
    if (r->is_out_of_memory || r->month_n == 0) {
        return;
    }
    r->first_s = r->first_s == 0 ? now_s : r->first_s;
    r->last_s = now_s;
    r->months[r->month_n - 1].requests++;
    r->months[r->month_n - 1].bytes += q->bytes;
    r->families[q->family].requests++;
    r->families[q->family].bytes += q->bytes;
    if (q->client == CQ_NO_CLIENT) {
        r->nameless_bytes += q->bytes;
        return;
    }
    c = cq_rows_at(&r->clients, q->client);
    c->bytes += q->bytes;
    c->request_n += c->request_n < UINT32_MAX;
    c->families |= (uint8_t)(1u << q->family);
    if (c->period_id != r->period.id) {
        c->period_id = r->period.id;
        for (i = 0; i < r->quota_n; i++) {
            c->uses[i].used_bytes = 0;
        }
    }
    if (q->column == CQ_REPLAY_FREE
        || (q->column == CQ_REPLAY_RANGE && grant_range(r, c, q->bytes))) {
        r->free_bytes += q->bytes;
        return;
    }
    if (q->column == CQ_REPLAY_REFUSED) {
        struct cq_request asked = *q;

        asked.bytes = 0;
        r->refused_n++;
        decide_request(r, &asked, c, now_s);
        return;
    }
    decide_request(r, q, c, now_s);
}

/* ---- the whole ---- */

bool cq_replay_begin(struct cq_replay *r)
{
    r->window.sink = count_request;
    r->window.baton = r;
    r->window.rows = &r->clients;
    return cq_rows_open(&r->clients, sizeof(struct cq_replay_client)
                        + r->quota_n * sizeof(struct cq_replay_use))
        && cq_rows_open(&r->files, sizeof(struct file))
        && cq_rows_open(&r->pairs, sizeof(struct pair)
                        + r->quota_n * sizeof(uint64_t));
}

void cq_replay_add(struct cq_replay *r, int64_t time_s,
                   const struct cq_request *request)
{
    if (request->is_copy) {
        struct file *file = cq_rows_at(&r->files, request->file);

        if (file->size_bytes < request->bytes) {
            file->size_bytes = request->bytes;
        }
    }
    if (!cq_window_add(&r->window, time_s, request)) {
        r->is_out_of_memory = true;
    }
}

/* Clients are counted once, whatever number of agents they have. */
void cq_replay_end(struct cq_replay *r)
{
    uint32_t n;
    size_t i, f;

    cq_window_end(&r->window);
    r->total.clients = r->clients.row_n;
    for (n = 0; n < r->clients.row_n; n++) {
        const struct cq_replay_client *c = cq_rows_at(&r->clients, n);

        for (f = 0; f < CQ_FAMILY_N; f++) {
            r->families[f].clients += c->families >> f & 1;
        }
        for (i = 0; i < r->quota_n; i++) {
            r->total.refused[i].clients += c->uses[i].refused_n > 0;
            for (f = 0; f < CQ_FAMILY_N; f++) {
                r->families[f].refused[i].clients += c->uses[i].families >> f
                    & 1;
            }
        }
    }
    for (f = 0; f < CQ_FAMILY_N; f++) {
        r->total.requests += r->families[f].requests;
        r->total.bytes += r->families[f].bytes;
    }
}

/* By refused requests, then bytes, then address. */
static bool is_refused_more(const struct cq_replay_client *a,
                            const struct cq_replay_client *b, size_t quota)
{
    const struct cq_replay_use *x = &a->uses[quota], *y = &b->uses[quota];

    return x->refused_n != y->refused_n ? x->refused_n > y->refused_n
        : x->refused_bytes != y->refused_bytes
        ? x->refused_bytes > y->refused_bytes
        : memcmp(a->key, b->key, sizeof(a->key)) < 0;
}

size_t cq_replay_find_most(const struct cq_replay *r, size_t quota,
    const struct cq_replay_client *most[CQ_REPLAY_MOST_N])
{
    size_t n = 0, at;
    uint32_t i;

    for (i = 0; i < r->clients.row_n; i++) {
        const struct cq_replay_client *c = cq_rows_at(&r->clients, i);

        if (c->uses[quota].refused_n == 0
            || (n == CQ_REPLAY_MOST_N
                && !is_refused_more(c, most[n - 1], quota))) {
            continue;
        }
        n += n < CQ_REPLAY_MOST_N;
        for (at = n - 1; at > 0 && is_refused_more(c, most[at - 1], quota);
             at--) {
            most[at] = most[at - 1];
        }
        most[at] = c;
    }
    return n;
}

void cq_replay_free(struct cq_replay *r)
{
    cq_rows_close(&r->clients);
    cq_rows_close(&r->files);
    cq_rows_close(&r->pairs);
    free(r->months);
}
