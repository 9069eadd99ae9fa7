/* nodes - the other nodes: on every server a list of them, with a heartbeat
 * each.
 *
 *   a node lives  <=>  its heartbeat moved within cq_lapse_ms() on our clock
 *
 * The list is also the server's marker. An answer without it may come from a
 * server that has lost everything, or from one at its limit of connections
 * (measured: it looks like an empty one), so no miss in it counts.
 *
 * Two ways in which nodes look for clients in different places show here, each
 * as a counterexample to the protocol without it:
 * - Nodes that list the same servers in another order place clients alike, as
 *   the place depends on names alone. One that says localhost for 127.0.0.1
 *   does not: so every node notes how it calls the server that the list is on.
 * - A copy of a table has the id of the original. Both would write one entry
 *   by turns, and each would take the other's bytes for its own, lost by a
 *   power failure. So an entry names the session that wrote it; where two write
 *   under one id, the younger session takes another id and forgets its counts,
 *   which the cluster has under the former one. */
#include "cluster/list.h"
#include "cluster/parts.h"

#include <stdio.h>
#include <string.h>

#define EXPIRY_S 86400          /* of a list to which no node writes any more */
#define GONE_MS (INT64_C(86400) * 1000)     /* a dead node leaves the list */
#define TRIES 3                 /* to see our own heartbeat in a list */
#define ARRIVES_MS 3000         /* a first heartbeat, at the latest */
#define STRIKES_MAX 2
#define DIFFERS_MS 10000        /* clocks may be apart at midnight */

/* ---- what others say ---- */

static uint64_t hash_daily(const struct cq_exchange *x)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < x->pools_n; i++) {
        uint64_t words[2] = {
            (uint64_t)x->rules.pools[i].policy.daily_bytes,
            (uint64_t)x->rules.pools[i].policy.grace_bytes
        };
        struct cq_seed seed = { x->pool_hashes[i], 0 };

        /* pools have other numbers elsewhere */
        sum += words[0] == 0 ? 0 : cq_hash_words(&seed, words, 2);
    }
    return sum;
}

static struct cq_node *find_node(struct cq_exchange *x, uint64_t id)
{
    size_t i;

    for (i = 0; i < x->nodes_n; i++) {
        if (x->nodes[i].shown.id == id) {
            return &x->nodes[i];
        }
    }
    return NULL;
}

/* Of the dead the one with the oldest heartbeat gives its place: a node that is
 * still listed asks for its place again at the next look, and would have that
 * of the new one, which is dead as well until its heartbeat moves. */
static struct cq_node *add_node(struct cq_exchange *x, uint64_t id)
{
    struct cq_node *node = NULL;
    size_t i;

    for (i = 0; x->nodes_n == CQ_CLUSTER_NODES_MAX && i < x->nodes_n; i++) {
        if (!x->nodes[i].shown.alive && !x->nodes[i].shown.self
            && (node == NULL || x->nodes[i].beat < node->beat)) {
            node = &x->nodes[i];
        }
    }
    if (x->nodes_n < CQ_CLUSTER_NODES_MAX) {
        node = &x->nodes[x->nodes_n++];
    }
    if (node != NULL) {
        memset(node, 0, sizeof(*node));
        node->shown.id = id;
    }
    return node;
}

static void note_entry(struct cq_exchange *x, const struct cq_server *s,
                       const struct cq_list_entry *e, uint64_t daily_hash)
{
    struct cq_node *node = find_node(x, e->node);
    bool known = node != NULL;

    node = known ? node : add_node(x, e->node);
    if (node != NULL && e->name_hash != s->seed) {
        node->other_name_ms = cq_steady_ms(x);
    }
    if (node == NULL
        || (known && (e->session == node->session
                          ? e->beat <= node->beat
                          : e->since_ms < node->since_ms))) {
        return;                 /* on another server it was later */
    }
    if (known) {
        /* seen to move: on its first sight it may be long dead */
        node->seen_ms = cq_steady_ms(x);
        node->shown.last_seen_s = x->now_ms / 1000;
        node->shown.offset_ms = e->wall_ms - x->now_ms;
    }
    node->session = e->session;
    node->since_ms = e->since_ms;
    node->beat = e->beat;
    memcpy(node->shown.label, e->label, sizeof(e->label));
    node->over_epoch = e->over_epoch;
    node->over_n = e->over_n;
    node->acts_agree = e->acts_digest == x->acts_digest;
    node->shown.self = e->node == x->node;
    node->shown.other_daily = e->daily_hash != daily_hash;
    node->shown.other_period = e->period_start_s != x->period.midnight_s[0]
        || e->period_end_s != x->period.midnight_s[x->period.days]
        || e->prefixes.v4_bits != cq_table_prefixes(x->table).v4_bits
        || e->prefixes.v6_bits != cq_table_prefixes(x->table).v6_bits;
    node->other_names = e->servers_hash != x->servers_hash;
}

/* Another session writes under our id, where ours had been. It is not our
 * former one, which writes nothing after our first heartbeat. */
static void judge_rival(struct cq_exchange *x,
                        const struct cq_list_entry *rival)
{
    if (++x->strikes < STRIKES_MAX) {
        return;
    }
    x->strikes = 0;
    if (rival->since_ms > x->since_ms
        || (rival->since_ms == x->since_ms && rival->session > x->session)) {
        return;                 /* the younger one goes */
    }
    cq_node_renew(x->table);
    x->node = cq_table_node(x->table);
    memset(x->confirmed, 0, x->rows_n * sizeof(*x->confirmed));
    x->sweep_n = x->rows_n;
    cq_report(x, CQ_CLUSTER_NODE_RENEWED, "another machine uses a copy of this "
              "table: this node has a new id and counts from zero; the "
              "cluster keeps the shares of the former id");
}

/* ---- our own entry ---- */

static void fill_own_entry(const struct cq_exchange *x,
                           const struct cq_server *s,
                           uint64_t daily_hash, struct cq_list_entry *e)
{
    memset(e, 0, sizeof(*e));
    e->node = x->node;
    e->session = x->session;
    e->since_ms = x->since_ms;
    e->beat = x->beat;
    e->wall_ms = x->now_ms;
    e->period_start_s = x->period.midnight_s[0];
    e->period_end_s = x->period.midnight_s[x->period.days];
    e->prefixes = cq_table_prefixes(x->table);
    e->servers_hash = x->servers_hash;
    e->name_hash = s->seed;
    e->daily_hash = daily_hash;
    e->acts_digest = x->acts_digest;
    e->over_epoch = x->hints_epoch;
    e->over_n = x->hints_stored_n;
    memcpy(e->label, x->label, sizeof(e->label));
}

/* Is its place free: is it a node that has not been seen to live for a day? */
static bool is_gone(struct cq_exchange *x, const struct cq_list_entry *e)
{
    const struct cq_node *node = find_node(x, e->node);
    int64_t away_ms = x->now_ms - e->wall_ms;

    return node != NULL && !node->shown.alive && !node->shown.self
        && (away_ms > GONE_MS || away_ms < -GONE_MS);
}

static bool set_own_entry(struct cq_exchange *x, struct cq_list *list,
                          const struct cq_list_entry *own)
{
    size_t i;

    for (i = 0; i < list->n && list->entries[i].node != own->node; i++) {
    }
    if (i == list->n) {
        for (i = 0; i < list->n && !is_gone(x, &list->entries[i]); i++) {
        }
        if (i == CQ_CLUSTER_NODES_MAX) {
            return false;
        }
        list->n += i == list->n;
    }
    list->entries[i] = *own;
    return true;
}

static void remove_forgotten(const struct cq_exchange *x, struct cq_list *list)
{
    size_t i, kept = 0;

    for (i = 0; i < list->n; i++) {
        if (!cq_node_is_forgotten(x, list->entries[i].node)) {
            list->entries[kept++] = list->entries[i];
        }
    }
    list->n = kept;
}

/* One look at a list, and our heartbeat into it unless it is there.
 * @param present  result: this session was in it, with whatever beat
 * @return 1: our heartbeat is there; 0: written; -1: the server failed */
static int look_up_list(struct cq_exchange *x, struct cq_server *s,
                struct cq_value *answer, bool *present)
{
    static struct cq_list list;    /* one exchange runs in a process */
    struct cq_item_key key;
    struct cq_list_entry own;
    uint64_t daily_hash = hash_daily(x);
    const struct cq_list_entry *rival = NULL;
    bool current = false;
    size_t i;

    cq_list_key(&key);
    if (!cq_server_fetch(x, s, &key, answer)) {
        return -1;
    }
    cq_list_decode(answer->bytes, answer->size, &list);
    *present = false;
    for (i = 0; i < list.n; i++) {
        const struct cq_list_entry *e = &list.entries[i];

        if (e->node == x->node && e->session == x->session) {
            *present = true;
            current = e->beat == x->beat && e->acts_digest == x->acts_digest
                && e->over_n == x->hints_stored_n;
        }
        else if (e->node == x->node) {
            rival = e;
            continue;
        }
        note_entry(x, s, e, daily_hash);
    }
    if (rival != NULL && s->has_written) {
        judge_rival(x, rival);
    }
    if (list.born != s->born && list.born != 0) {
        x->sweep_n = s->born != 0 ? x->rows_n : x->sweep_n;
        s->born = list.born;
        s->has_acts = false;
    }
    if (current) {
        return 1;
    }
    remove_forgotten(x, &list);
    fill_own_entry(x, s, daily_hash, &own);
    if (list.born == 0) {
        list.born = x->beat ^ x->node;      /* as good as random */
    }
    if (!set_own_entry(x, &list, &own)) {
        if (!x->reported_full) {
            x->reported_full = true;
            cq_report(x, CQ_CLUSTER_FULL,
                      "there are %d nodes: this one is in no "
                      "list of nodes", CQ_CLUSTER_NODES_MAX);
        }
        return 1;
    }
    answer->size = cq_list_encode(&list, answer->bytes);
    return cq_server_store(x, s, &key, answer, EXPIRY_S) ? 0 : -1;
}

/* The server accepts what is stored and does not have it: at first the writer
 * may not be connected yet. */
static bool await_heartbeat(struct cq_exchange *x, struct cq_server *s)
{
    s->up = false;
    s->first_ms = s->first_ms != 0 ? s->first_ms : cq_steady_ms(x);
    if (cq_steady_ms(x) - s->first_ms < ARRIVES_MS) {
        return true;
    }
    snprintf(s->link->why, sizeof(s->link->why),
             "answers and stores nothing: its limit of connections or of "
             "memory is reached");
    return cq_server_fail(x, s);
}

bool cq_nodes_exchange(struct cq_exchange *x, struct cq_server *s)
{
    static struct cq_value answer; /* one exchange runs in a process */
    bool present = false;
    int tries;

    for (tries = 0; tries < TRIES; tries++) {
        int result = look_up_list(x, s, &answer, &present);

        if (result < 0) {
            return false;
        }
        if (result > 0) {
            present = true;
            break;
        }
    }
    if (!present) {
        return await_heartbeat(x, s);
    }
    s->has_written = true;
    s->first_ms = 0;
    cq_server_answered(x, s);
    return true;
}

/* ---- verdicts ---- */

static void report_difference(struct cq_exchange *x, struct cq_node *node,
                              int64_t steady_ms)
{
    const struct cq_cluster_node *n = &node->shown;

    if (!n->self && n->alive && (n->other_period || n->other_servers)) {
        node->differs_ms = node->differs_ms != 0 ? node->differs_ms
                                                 : steady_ms;
        if (!node->reported_differs
            && steady_ms - node->differs_ms >= DIFFERS_MS) {
            node->reported_differs = true;
            cq_report(x, CQ_CLUSTER_NODE_DIFFERS, "%s: %s", n->label,
                      n->other_period
                       ? "its period, time zone or prefixes are not this "
                         "node's: the two share nothing"
                       : "it does not name the same servers in the same way: "
                         "the two share only a part of the clients");
        }
        return;
    }
    node->differs_ms = 0;
    if (node->reported_differs && n->alive) {
        node->reported_differs = false;
        cq_report(x, CQ_CLUSTER_NODE_AGREES, "%s", n->label);
    }
}

void cq_nodes_judge(struct cq_exchange *x)
{
    int64_t steady_ms = cq_steady_ms(x);
    size_t i;

    for (i = 0; i < x->nodes_n; i++) {
        struct cq_node *node = &x->nodes[i];

        node->shown.self = node->shown.id == x->node;
        node->shown.alive = node->shown.self
            || (node->seen_ms != 0
                && steady_ms - node->seen_ms < cq_lapse_ms(x));
        node->shown.other_servers = node->other_names
            || (node->other_name_ms != 0
                && steady_ms - node->other_name_ms < cq_lapse_ms(x));
        report_difference(x, node, steady_ms);
    }
}

bool cq_node_lives(const void *exchange, uint64_t id, uint16_t boot)
{
    const struct cq_exchange *x = exchange;
    size_t i;

    for (i = 0; i < x->nodes_n; i++) {
        if (x->nodes[i].shown.id == id) {
            return x->nodes[i].shown.alive
                && (uint16_t)x->nodes[i].session == boot;
        }
    }
    return false;
}
