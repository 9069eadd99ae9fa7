/* acts - resets, exemptions and forgotten nodes, published whole by every node.
 *
 *   of acts of one kind on one network the one with the latest at_ms wins
 *   all digests alike  =>  every node and every server has every act
 *
 * Every server has the log of a period, spread over eight items, and every node
 * merges it with its own. So an act outlives the node that it was made on, any
 * server, and a node that was away for a week. Nodes show the digest of their
 * log with their heartbeat; while all are alike nothing is exchanged. A server
 * that loses its items breaks the second line until its list of nodes is born
 * anew, which the next round sees. */
#include "cluster/parts.h"

#include <stdlib.h>
#include <string.h>

/* An item, little endian: seal:32 n:32, then acts of 40 bytes:
 *   0 address:128   16 family:8 prefix:8 reserved:16 kind:32
 *  24 at_ms:64      32 until_s:64 */
#define ACTS_ITEMS 8
#define HEAD_SIZE 8
#define ACT_SIZE 40
#define ACTS_OF_ITEM ((CQ_VALUE_SIZE_MAX - HEAD_SIZE) / ACT_SIZE)

static uint64_t hash_act(const struct cq_act *act)
{
    static const struct cq_seed seed = { 1, 2 };
    uint64_t words[5];

    memcpy(words, act->net.bytes, 16);
    words[2] = (uint64_t)act->net.family << 8 | act->net.prefix
        | (uint64_t)act->kind << 32;
    words[3] = (uint64_t)act->at_ms;
    words[4] = (uint64_t)act->until_s;
    return cq_hash_words(&seed, words, 5);
}

/* An act and a later one of its network lie in one item. */
static unsigned choose_item(const struct cq_act *act)
{
    struct cq_act place = *act;

    place.at_ms = 0;
    place.until_s = 0;
    return (unsigned)(hash_act(&place) % ACTS_ITEMS);
}

static bool is_past(const struct cq_exchange *x, const struct cq_act *act)
{
    return act->at_ms / 1000 < x->period.midnight_s[0]
        && (act->kind != CQ_ACT_EXEMPT
            || act->until_s < x->now_ms / 1000);
}

/* What servers have is less than this node has by now. */
static void forget_servers(struct cq_exchange *x)
{
    size_t i;

    for (i = 0; i < x->servers_n; i++) {
        x->servers[i].has_acts = false;
    }
}

/* A node more, or anew: the sums of all clients may be less without it. */
static void load_forgotten(struct cq_exchange *x, const struct cq_act *acts,
                           size_t n)
{
    struct cq_net_list now = { .count = 0 };
    bool same;
    size_t i;

    for (i = 0; i < n; i++) {
        if (acts[i].kind == CQ_ACT_FORGET && !cq_net_has(&now, &acts[i].net)) {
            cq_net_add(&now, &acts[i].net, acts[i].at_ms);
        }
    }
    cq_net_seal(&now, NULL);
    same = now.count == x->forgotten.count;
    for (i = 0; same && i < now.count; i++) {
        same = now.rules[i].value == x->forgotten.rules[i].value;
    }
    cq_net_free(&x->forgotten);
    x->forgotten = now;
    if (!same) {
        x->sweep_n = x->rows_n;
    }
}

bool cq_node_is_forgotten(const struct cq_exchange *x, uint64_t id)
{
    struct cq_key net = cq_node_net(id);
    const struct cq_net_rule *rule = cq_net_find(&x->forgotten, &net);
    size_t i;

    for (i = 0; rule != NULL && i < x->nodes_n; i++) {
        const struct cq_node *node = &x->nodes[i];

        if (node->shown.id == id) {
            return !node->shown.self && !node->shown.alive
                && node->since_ms <= rule->value;
        }
    }
    return rule != NULL;
}

bool cq_acts_load(struct cq_exchange *x)
{
    struct cq_act *acts = malloc(CQ_ACTS_MAX * sizeof(*acts));
    size_t i, j, n = acts != NULL ? cq_acts_read(x->table, acts) : 0;
    uint64_t digest = 0;

    if (acts == NULL) {
        return false;
    }
    for (i = 0; i < n; i++) {
        digest += hash_act(&acts[i]);
    }
    if (digest != x->acts_digest || !x->acts_loaded) {
        x->acts_loaded = true;
        forget_servers(x);
        load_forgotten(x, acts, n);
        cq_net_free(&x->resets);
        for (i = 0; i < n; i++) {
            int64_t at_ms = acts[i].at_ms;

            /* The longest prefix is found: it gets the latest of all that hold
             * it. One inside of a later one is seldom here, but an exchanger
             * that was killed before it ended it leaves it for good. */
            for (j = 0; j < n; j++) {
                if (acts[j].kind == CQ_ACT_RESET && acts[j].at_ms > at_ms
                    && cq_key_contains(&acts[j].net, &acts[i].net)) {
                    at_ms = acts[j].at_ms;
                }
            }
            if (acts[i].kind == CQ_ACT_RESET
                && !cq_net_has(&x->resets, &acts[i].net)) {
                cq_net_add(&x->resets, &acts[i].net, at_ms);
            }
        }
        cq_net_seal(&x->resets, NULL);
        x->acts_digest = digest;
    }
    free(acts);
    return true;
}

int64_t cq_acts_reset_ms(const struct cq_exchange *x,
                         const struct cq_key *client)
{
    const struct cq_net_rule *rule = cq_net_find(&x->resets, client);

    return rule != NULL ? rule->value : 0;
}

/* ---- bytes ---- */

static void encode_act(unsigned char *at, const struct cq_act *act)
{
    memset(at, 0, ACT_SIZE);
    memcpy(at, act->net.bytes, 16);
    at[16] = act->net.family;
    at[17] = act->net.prefix;
    cq_encode_number(at + 20, 4, act->kind);
    cq_encode_number(at + 24, 8, (uint64_t)act->at_ms);
    cq_encode_number(at + 32, 8, (uint64_t)act->until_s);
}

static void decode_act(const unsigned char *at, struct cq_act *act)
{
    memset(act, 0, sizeof(*act));
    memcpy(act->net.bytes, at, 16);
    act->net.family = at[16];
    act->net.prefix = at[17];
    act->kind = (uint32_t)cq_decode_number(at + 20, 4);
    act->at_ms = (int64_t)cq_decode_number(at + 24, 8);
    act->until_s = (int64_t)cq_decode_number(at + 32, 8);
}

/* ---- merging ---- */

static int by_hash(const void *a, const void *b)
{
    uint64_t x = hash_act(a), y = hash_act(b);

    return x < y ? -1 : x > y;
}

/* What this node would store. */
static size_t encode_item(const struct cq_exchange *x, struct cq_act *acts,
                          unsigned item, const struct cq_item_key *key,
                          unsigned char *value)
{
    size_t i, kept = 0, n = cq_acts_read(x->table, acts);

    for (i = 0; i < n; i++) {
        if (choose_item(&acts[i]) == item && !is_past(x, &acts[i])) {
            acts[kept++] = acts[i];
        }
    }
    kept = kept < ACTS_OF_ITEM ? kept : ACTS_OF_ITEM;
    qsort(acts, kept, sizeof(*acts), by_hash);
    for (i = 0; i < kept; i++) {
        encode_act(value + HEAD_SIZE + ACT_SIZE * i, &acts[i]);
    }
    cq_encode_number(value + 4, 4, kept);
    cq_seal(value, HEAD_SIZE + ACT_SIZE * kept, &key->hash);
    return HEAD_SIZE + ACT_SIZE * kept;
}

/* Notes the acts of a server that a node can have made. */
static void merge_acts(struct cq_exchange *x, const struct cq_value *r,
                       const struct cq_item_key *key)
{
    size_t i, n;

    if (r->size < HEAD_SIZE || !cq_is_sealed(r->bytes, r->size, &key->hash)) {
        return;
    }
    n = cq_decode_number(r->bytes + 4, 4);
    for (i = 0; i < n && HEAD_SIZE + ACT_SIZE * (i + 1) <= r->size; i++) {
        struct cq_act act;

        decode_act(r->bytes + HEAD_SIZE + ACT_SIZE * i, &act);
        if (act.kind != 0 && act.at_ms > 0 && cq_key_is_valid(&act.net)
            && act.at_ms <= x->now_ms + CQ_RESET_AHEAD_MS
            && !is_past(x, &act)
            && cq_act_note(x->table, &act, x->now_ms) == CQ_EFULL
            && !x->reported_full) {
            x->reported_full = true;
            cq_report(x, CQ_CLUSTER_FULL, "the log of resets and exemptions is "
                      "full: %d", CQ_ACTS_MAX);
        }
    }
}

static bool others_agree(const struct cq_exchange *x)
{
    size_t i;

    for (i = 0; i < x->nodes_n; i++) {
        if (x->nodes[i].shown.alive && !x->nodes[i].shown.self
            && !x->nodes[i].shown.other_period && !x->nodes[i].acts_agree) {
            return false;
        }
    }
    return true;
}

/* @return true: the server has what this node has */
static bool exchange_item(struct cq_exchange *x, struct cq_server *s,
                          unsigned item, struct cq_act *acts)
{
    static struct cq_value theirs, own;     /* one exchange in a process */
    struct cq_key place = { .family = 4, .bytes = { (uint8_t)item } };
    struct cq_item_seeds seeds = cq_item_seeds(
        "acts ", x->period.midnight_s[0],
        x->period.midnight_s[x->period.days], cq_table_prefixes(x->table));
    struct cq_item_key key;

    cq_item_key(&seeds, &place, &key);
    if (!cq_server_fetch(x, s, &key, &theirs)) {
        return false;
    }
    merge_acts(x, &theirs, &key);
    own.cas = theirs.cas;
    own.size = encode_item(x, acts, item, &key, own.bytes);
    if ((own.size == HEAD_SIZE && theirs.size == 0)
        || (own.size == theirs.size
            && memcmp(own.bytes, theirs.bytes, own.size) == 0)) {
        return true;
    }
    cq_server_store(x, s, &key, &own, cq_expiry_s(x));
    return false;
}

void cq_acts_exchange(struct cq_exchange *x, struct cq_server *s)
{
    struct cq_act *acts;
    unsigned item;
    bool same = true;

    if (!s->up || (s->has_acts && others_agree(x))) {
        return;
    }
    acts = malloc(CQ_ACTS_MAX * sizeof(*acts));
    for (item = 0; acts != NULL && item < ACTS_ITEMS && s->link != NULL;
         item++) {
        same = exchange_item(x, s, item, acts) && same;
    }
    free(acts);
    if (cq_acts_apply(x->table, &x->clock) > 0 || !same) {
        cq_acts_load(x);
        same = false;
    }
    s->has_acts = same;
}
