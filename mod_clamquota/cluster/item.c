/* item - every node's share of a client, side by side in one value. */
#include "cluster/item.h"
#include "cluster/bytes.h"

#include <string.h>

/* Any numbers would do, as long as every node has the same: the digits of pi.
 * The hash is no secret; a client can choose its address, but not among 2^128
 * keys. */
static const struct cq_seed fixed[2] = {
    { UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707344) },
    { UINT64_C(0xa4093822299f31d0), UINT64_C(0x082efa98ec4e6c89) }
};

struct cq_item_seeds cq_item_seeds(const char *pool, int64_t period_start_s,
                                   int64_t period_end_s,
                                   struct cq_prefixes prefixes)
{
    struct cq_item_seeds seeds;
    uint64_t words[4] = {
        (uint64_t)period_start_s, (uint64_t)period_end_s,
        (uint64_t)prefixes.v4_bits << 8 | prefixes.v6_bits, 0
    };
    uint64_t hash[4];
    size_t i;

    for (i = 0; i < 4; i++) {
        words[3] = i;
        hash[i] = cq_hash_text(&fixed[i / 2], pool, strlen(pool), words, 4);
    }
    seeds.seed[0] = (struct cq_seed){ hash[0], hash[1] };
    seeds.seed[1] = (struct cq_seed){ hash[2], hash[3] };
    return seeds;
}

void cq_item_key(const struct cq_item_seeds *seeds, const struct cq_key *client,
                 struct cq_item_key *key)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t low, high;
    int i;

    key->hash.k0 = low = cq_hash_key(&seeds->seed[0], 0, client);
    key->hash.k1 = high = cq_hash_key(&seeds->seed[1], 0, client);
    key->text[0] = 'c';
    key->text[1] = 'q';
    for (i = 2; i < CQ_ITEM_KEY_LENGTH; i++) {
        key->text[i] = letters[low & 63];
        low = low >> 6 | high << 58;
        high >>= 6;
    }
}

/* ---- bytes ---- */

static uint64_t clip(int64_t n, uint64_t most)
{
    return n < 0 ? 0 : (uint64_t)n < most ? (uint64_t)n : most;
}

size_t cq_item_encode(const struct cq_item *item, const struct cq_item_key *key,
                      unsigned char *value)
{
    size_t size = 8 + 32 * item->entries_n;
    size_t i;

    value[4] = CQ_ITEM_VERSION;
    value[5] = (unsigned char)item->entries_n;
    cq_encode_number(value + 6, 2, item->day);
    for (i = 0; i < item->entries_n; i++) {
        const struct cq_item_entry *e = &item->entries[i];
        unsigned char *at = value + 8 + 32 * i;

        cq_encode_number(at, 8, e->node);
        cq_encode_number(at + 8, 6, clip(e->used_bytes, CQ_BYTES_MAX));
        cq_encode_number(at + 14, 6, clip(e->in_flight_bytes, CQ_BYTES_MAX));
        cq_encode_number(at + 20, 6, clip(e->reset_ms, CQ_BYTES_MAX));
        cq_encode_number(at + 26, 2, e->boot);
        cq_encode_number(at + 28, 4, e->refusals);
    }
    cq_seal(value, size, &key->hash);
    return size;
}

enum cq_item_kind cq_item_decode(const unsigned char *value, size_t size,
                                 const struct cq_item_key *key, int64_t now_ms,
                                 struct cq_item *item)
{
    uint64_t last = 0;
    size_t i;

    item->entries_n = 0;
    item->day = 0;
    if (size < 8 || !cq_is_sealed(value, size, &key->hash)) {
        return CQ_ITEM_BAD;
    }
    if (value[4] != CQ_ITEM_VERSION) {
        return value[4] > CQ_ITEM_VERSION ? CQ_ITEM_NEWER : CQ_ITEM_BAD;
    }
    if (value[5] > CQ_ITEM_ENTRIES_MAX || size != 8 + 32 * (size_t)value[5]) {
        return CQ_ITEM_BAD;
    }
    for (i = 0; i < value[5]; i++) {
        const unsigned char *at = value + 8 + 32 * i;
        struct cq_item_entry *e = &item->entries[i];

        e->node = cq_decode_number(at, 8);
        e->used_bytes = (int64_t)cq_decode_number(at + 8, 6);
        e->in_flight_bytes = (int64_t)cq_decode_number(at + 14, 6);
        e->reset_ms = (int64_t)cq_decode_number(at + 20, 6);
        e->boot = (uint16_t)cq_decode_number(at + 26, 2);
        e->refusals = (uint32_t)cq_decode_number(at + 28, 4);
        if (e->node <= last || e->reset_ms > now_ms + CQ_RESET_AHEAD_MS) {
            return CQ_ITEM_BAD;
        }
        last = e->node;
    }
    item->day = (uint16_t)cq_decode_number(value + 6, 2);
    item->entries_n = value[5];
    return CQ_ITEM_GOOD;
}

/* ---- sums ---- */

static int64_t add_saturating(int64_t a, int64_t b)
{
    return a + b < CQ_BYTES_MAX ? a + b : CQ_BYTES_MAX;
}

struct cq_item_sum cq_item_add_up(const struct cq_item *item, uint64_t node,
                                  int64_t reset_ms, cq_item_lives *lives,
                                  const void *baton)
{
    struct cq_item_sum sum = { NULL, reset_ms, 0, 0 };
    size_t i;

    for (i = 0; i < item->entries_n; i++) {
        const struct cq_item_entry *e = &item->entries[i];

        sum.reset_ms = e->reset_ms > sum.reset_ms ? e->reset_ms : sum.reset_ms;
        if (e->node == node) {
            sum.own = e;
        }
    }
    for (i = 0; i < item->entries_n; i++) {
        const struct cq_item_entry *e = &item->entries[i];

        /* what a node counted before it knew of the reset is worth nothing */
        if (e->node == node || e->reset_ms != sum.reset_ms) {
            continue;
        }
        sum.used_bytes = add_saturating(sum.used_bytes, e->used_bytes);
        if (e->in_flight_bytes > 0 && lives(baton, e->node, e->boot)) {
            sum.in_flight_bytes = add_saturating(sum.in_flight_bytes,
                                                 e->in_flight_bytes);
        }
    }
    return sum;
}

static void remove_stale(struct cq_item *item, int64_t reset_ms)
{
    size_t i;

    for (i = 0; i < item->entries_n; i++) {
        if (item->entries[i].reset_ms < reset_ms) {
            item->entries_n--;
            memmove(&item->entries[i], &item->entries[i + 1],
                    (item->entries_n - i) * sizeof(item->entries[0]));
            return;
        }
    }
}

bool cq_item_equals(const struct cq_item_entry *a,
                    const struct cq_item_entry *b)
{
    return a->used_bytes == b->used_bytes
        && a->in_flight_bytes == b->in_flight_bytes
        && a->reset_ms == b->reset_ms && a->boot == b->boot
        && a->refusals == b->refusals;
}

bool cq_item_set(struct cq_item *item, const struct cq_item_entry *entry)
{
    size_t i = 0;

    while (i < item->entries_n && item->entries[i].node < entry->node) {
        i++;
    }
    if (i == item->entries_n || item->entries[i].node != entry->node) {
        if (item->entries_n == CQ_ITEM_ENTRIES_MAX) {
            remove_stale(item, entry->reset_ms);
            if (item->entries_n == CQ_ITEM_ENTRIES_MAX) {
                return false;
            }
            return cq_item_set(item, entry);
        }
        memmove(&item->entries[i + 1], &item->entries[i],
                (item->entries_n - i) * sizeof(item->entries[0]));
        item->entries_n++;
    }
    item->entries[i] = *entry;
    return true;
}

static uint64_t score(uint64_t x)
{
    /* the finalizer of splitmix64 */
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

size_t cq_item_place(uint64_t hash, const uint64_t *seeds, size_t n)
{
    uint64_t highest = 0;
    size_t i, found = 0;

    for (i = 0; i < n; i++) {
        uint64_t its = score(hash ^ seeds[i]);

        if (i == 0 || its > highest
            || (its == highest && seeds[i] > seeds[found])) {
            highest = its;
            found = i;
        }
    }
    return found;
}
