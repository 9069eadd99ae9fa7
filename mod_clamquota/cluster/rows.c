/* rows - the shares of clients: those that moved, and a slice of all in turn.
 *
 *   confirmed(row) = print(row)  =>  its item was seen to have the share
 *   a row's mark is READ_BACK    =>  confirmed(row) = print(row), or the row's
 *                                    server does not answer
 *
 * The share is this node's; the next round's fetch confirms what a store wrote:
 * each move costs two fetches and a store. This process remembers what is
 * confirmed; the table has a mark for 16 rows. A server that loses its items
 * breaks the first line; the rotation finds it. For a server that answers again
 * all rows are asked for (sweep_n), and so they are at a start, as the process
 * before may have left marks IN_EXCHANGE. */
#include "cluster/list.h"
#include "cluster/parts.h"

#include <stdlib.h>
#include <string.h>

/* the rotation: all rows in a minute, but at most this many clients a second,
 * and in a round of a sweep */
#define ROTATION_MS 60000
#define ROTATION_CLIENTS_A_S 8000
#define SWEEP_CLIENTS_A_ROUND 20000u

struct batch {
    struct cq_exchange *x;
    struct cq_server *server;
    bool marker;
    bool store_failed;
    bool has_stored;
    bool found[CQ_BATCH];
};

/* ---- one client ---- */

static int64_t find_allowance(const struct cq_exchange *x,
                            const struct cq_share *share)
{
    bool refuses;
    struct cq_policy policy = cq_rules_policy(&x->rules, share->pool,
                                              &share->key, &refuses);

    return policy.daily_bytes == 0 ? CQ_BYTES_MAX
        : cq_policy_allowance(&policy, x->clock.day);
}

/* Stores this node's share in the item, if it has another one.
 * @return true: it has the share already */
static bool store_share(struct batch *b, const struct cq_pending *p,
                        struct cq_item *item, const struct cq_item_sum *sum,
                        uint64_t cas)
{
    struct cq_exchange *x = b->x;
    const struct cq_share *share = &p->share;
    struct cq_key_text key = { p->key.text, sizeof(p->key.text) };
    struct cq_item_entry own = {
        x->node, share->used_bytes, share->in_flight_bytes, sum->reset_ms,
        (uint16_t)x->session,
        share->refused < UINT32_MAX ? (uint32_t)share->refused : UINT32_MAX
    };
    uint16_t day = (uint16_t)(x->now_ms / 86400000);
    unsigned char value[CQ_ITEM_SIZE_MAX];
    size_t size;

    if (sum->own == NULL && share->used_bytes == 0
        && share->in_flight_bytes == 0) {
        return true;
    }
    /* the day renews the expiry */
    if (sum->own != NULL && item->day == day
        && cq_item_equals(sum->own, &own)) {
        return true;
    }
    if (!cq_item_set(item, &own)) {
        if (!x->reported_full) {
            x->reported_full = true;
            cq_report(x, CQ_CLUSTER_FULL, "%d other nodes have shares of one "
                      "client: this node shares nothing of it",
                      CQ_ITEM_ENTRIES_MAX);
        }
        return true;
    }
    item->day = day;
    size = cq_item_encode(item, &p->key, value);
    b->has_stored = true;
    if (!b->store_failed) {
        b->store_failed = !x->transport->store(x->world, b->server->link, &key,
                                               value, size, cq_expiry_s(x),
                                               cas);
    }
    return false;
}

/* Shares of forgotten nodes count no more; the next store removes them. */
static void remove_forgotten(const struct cq_exchange *x, struct cq_item *item)
{
    size_t i, kept = 0;

    for (i = 0; i < item->entries_n; i++) {
        if (!cq_node_is_forgotten(x, item->entries[i].node)) {
            item->entries[kept++] = item->entries[i];
        }
    }
    item->entries_n = kept;
}

/* A reset is known from acts, then from the node's own entry. Only if another
 * node's entry is later than both, this row has not seen it. */
static void exchange_client(struct batch *b, struct cq_pending *p,
                            struct cq_item *item, uint64_t cas)
{
    struct cq_exchange *x = b->x;
    struct cq_share *share = &p->share;
    uint32_t *confirmed = &x->confirmed[share->row];
    int64_t known_ms = cq_acts_reset_ms(x, &share->key);
    struct cq_item_sum sum = cq_item_add_up(item, x->node, known_ms,
                                            cq_node_lives, x);
    struct cq_share_update update = { 0 };
    int64_t own_bytes = 0;
    bool raised;

    if (sum.own != NULL) {
        known_ms = sum.own->reset_ms > known_ms ? sum.own->reset_ms : known_ms;
        own_bytes = sum.own->reset_ms == sum.reset_ms ? sum.own->used_bytes
                                                      : 0;
    }
    if (*confirmed == share->print
        && (sum.own == NULL ? share->used_bytes > 0
                            : own_bytes < share->used_bytes
                                  && sum.own->reset_ms >= known_ms)) {
        x->status.missing++;
    }
    update.forget = sum.reset_ms > known_ms;
    update.own_bytes = own_bytes;
    update.others_used_bytes = sum.used_bytes;
    update.others_in_flight_bytes = sum.in_flight_bytes;
    update.until_s = (x->now_ms + cq_lapse_ms(x)) / 1000 + 1;
    update.allowance_bytes = find_allowance(x, share);
    if (!cq_share_apply(x->table, share, &update, &x->clock, &raised)) {
        *confirmed = 0;         /* another client's by now */
        return;
    }
    x->status.raised += raised;
    cq_question_end(x, share, item, &sum);
    if (share->used_bytes > 0
        && sum.used_bytes >= update.allowance_bytes - share->used_bytes) {
        cq_hint_add(x, share);
    }
    *confirmed = store_share(b, p, item, &sum, cas) ? share->print : 0;
}

/* ---- a batch ---- */

static void accept_item(void *baton, size_t i, const unsigned char *value,
                        size_t size, uint64_t cas)
{
    struct batch *b = baton;
    struct cq_pending *p = &b->server->pending[i];
    struct cq_item item;

    if (i == b->server->pending_n) {
        b->marker = true;
        return;
    }
    if (i > b->server->pending_n || b->found[i]) {
        return;
    }
    b->found[i] = true;
    switch (cq_item_decode(value, size, &p->key, b->x->now_ms, &item)) {
    case CQ_ITEM_NEWER:
        b->x->confirmed[p->share.row] = p->share.print;
        break;
    case CQ_ITEM_GOOD:
    case CQ_ITEM_BAD:
    default:
        remove_forgotten(b->x, &item);
        exchange_client(b, p, &item, cas);
        break;
    }
}

/* Asks a server for all that is pending there, and puts what has changed. */
static void run_batch(struct cq_exchange *x, struct cq_server *s)
{
    static struct cq_key_text keys[CQ_BATCH + 1];
    struct batch b = { .x = x, .server = s };
    struct cq_item_key marker;
    size_t i, n = s->pending_n;
    bool answered;

    if (n == 0 || s->link == NULL) {
        s->pending_n = 0;
        return;
    }
    for (i = 0; i < n; i++) {
        keys[i] = (struct cq_key_text){ s->pending[i].key.text,
                                        CQ_ITEM_KEY_LENGTH };
    }
    cq_list_key(&marker);
    keys[n] = (struct cq_key_text){ marker.text, sizeof(marker.text) };
    answered = x->transport->fetch(x->world, s->link, keys, n + 1, accept_item,
                                   &b);
    for (i = 0; answered && b.marker && i < n; i++) {
        struct cq_item none = { 0 };

        if (!b.found[i]) {
            exchange_client(&b, &s->pending[i], &none, 0);
        }
    }
    s->pending_n = 0;
    if (!answered || !b.marker || b.store_failed) {
        cq_server_fail(x, s);
    }
    else if (b.has_stored && !x->transport->flush(x->world, s->link)) {
        cq_server_fail(x, s);
    }
}

static void add_row(struct cq_exchange *x, uint32_t row)
{
    struct cq_pending p;
    struct cq_server *s;

    if (!cq_share_read(x->table, row, &x->clock, &p.share)
        || p.share.pool >= x->pools_n) {
        return;
    }
    cq_item_key(&x->seeds[p.share.pool], &p.share.key, &p.key);
    s = cq_server_find(x, p.key.hash.k0);
    if (!s->up) {
        return;
    }
    s->pending[s->pending_n++] = p;
    if (s->pending_n == CQ_BATCH) {
        run_batch(x, s);
    }
}

static void run_batches(struct cq_exchange *x)
{
    size_t i;

    for (i = 0; i < x->servers_n; i++) {
        run_batch(x, &x->servers[i]);
    }
}

/* ---- rows that moved ---- */

static bool is_confirmed(const struct cq_exchange *x, uint32_t row)
{
    uint32_t print = cq_share_print(x->table, row, x->clock.period_id);

    return print == 0 || print == x->confirmed[row];
}

static void add_group(struct cq_exchange *x, uint64_t group)
{
    uint32_t row = (uint32_t)(group * CQ_GROUP_ROWS);
    uint32_t i;

    cq_group_begin(x->table, group);
    for (i = 0; i < CQ_GROUP_ROWS; i++) {
        if (!is_confirmed(x, row + i)) {
            add_row(x, row + i);
        }
    }
}

static bool can_be_asked(struct cq_exchange *x, uint32_t row)
{
    struct cq_share share;
    struct cq_item_key key;

    if (!x->any_down) {
        return true;
    }
    if (!cq_share_read(x->table, row, &x->clock, &share)
        || share.pool >= x->pools_n) {
        return false;
    }
    cq_item_key(&x->seeds[share.pool], &share.key, &key);
    return cq_server_find(x, key.hash.k0)->up;
}

static void end_groups(struct cq_exchange *x, uint64_t from, uint64_t to)
{
    uint64_t group = from;

    while (cq_group_find(x->table, &group) && group < to) {
        uint32_t row = (uint32_t)(group * CQ_GROUP_ROWS);
        uint32_t i, away = 0;

        for (i = 0; i < CQ_GROUP_ROWS; i++) {
            if (!is_confirmed(x, row + i)) {
                if (can_be_asked(x, row + i)) {
                    break;
                }
                away = 1;
            }
        }
        if (i == CQ_GROUP_ROWS) {
            x->away_n += away;
            cq_group_end(x->table, group);
        }
        else {
            x->status.waiting++;
        }
        group++;
    }
}

/* @return false: the deadline came first; the next round goes on there */
static bool exchange_moved(struct cq_exchange *x, int64_t until_ms)
{
    uint64_t n = cq_groups_n(x->table);
    uint64_t first = x->group < n ? x->group : 0;
    uint64_t group = first;
    uint64_t done = 0;
    bool wrapped = first == 0;

    for (;;) {
        if (!cq_group_find(x->table, &group) || (wrapped && first > 0
                                                 && group >= first)) {
            if (wrapped) {
                run_batches(x);
                end_groups(x, 0, n);
                x->group = 0;
                return true;
            }
            wrapped = true;
            group = 0;
            continue;
        }
        add_group(x, group++);
        if (++done % 64 == 0 && cq_steady_ms(x) >= until_ms) {
            run_batches(x);
            end_groups(x, 0, n);
            x->group = group;
            return false;
        }
    }
}

/* ---- all rows in turn ---- */

static void exchange_rotation(struct cq_exchange *x, int64_t until_ms)
{
    uint64_t rows = x->rows_n * (uint64_t)x->want.interval_ms / ROTATION_MS
        + 64;
    uint64_t clients = (uint64_t)ROTATION_CLIENTS_A_S
        * (uint64_t)x->want.interval_ms / 1000 + 64;
    uint64_t i, asked = 0;

    if (x->sweep_n > 0) {
        rows = x->sweep_n;
        clients = clients > SWEEP_CLIENTS_A_ROUND ? clients
                                                  : SWEEP_CLIENTS_A_ROUND;
    }
    rows = rows < x->rows_n ? rows : x->rows_n;
    for (i = 0; i < rows && asked < clients; i++) {
        uint32_t row = (uint32_t)x->rotation;

        x->rotation = x->rotation + 1 < x->rows_n ? x->rotation + 1 : 0;
        /* a moved row is asked for again in the next round: what others put
         * after this one's put is known then */
        if (cq_share_print(x->table, row, x->clock.period_id) != 0
            && !cq_group_has_moved(x->table, row / CQ_GROUP_ROWS)) {
            add_row(x, row);
            if (++asked % CQ_BATCH == 0 && cq_steady_ms(x) >= until_ms) {
                i++;
                break;
            }
        }
    }
    x->sweep_n -= i < x->sweep_n ? i : x->sweep_n;
    run_batches(x);
}

bool cq_rows_exchange(struct cq_exchange *x, int64_t until_ms)
{
    bool complete;

    x->status.waiting = 0;
    cq_question_begin(x);
    complete = exchange_moved(x, until_ms);
    if (complete) {
        exchange_rotation(x, until_ms);
    }
    x->status.waiting += x->away_n;
    return complete;
}
