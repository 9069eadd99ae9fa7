/* hints - which clients are over quota, from the nodes that served them.
 *
 * A node that a client has not asked yet has no row for it, and would admit
 * its first request. So each node lists the clients over quota by the sum that
 * it served itself; a reader makes the row, asks for the sum, and decides by
 * its own Daily and day. A hint is never a verdict: it refuses no request, puts
 * no client into a jail, and costs a free row at most if it is made up. A
 * list only grows, until midnight; then a new one begins. */
#include "cluster/parts.h"

#include <string.h>

/* A chunk, little endian: seal:32 n:32 reserved:64, then hints of 32 bytes:
 * 0 pool's hash:64  8 address:128  24 family:8 prefix:8 reserved:48 */
#define HEAD_SIZE 16
#define HINT_SIZE 32
#define HINTS_OF_CHUNK 500
_Static_assert(HEAD_SIZE + HINT_SIZE * HINTS_OF_CHUNK <= CQ_VALUE_SIZE_MAX,
               "a chunk is stored even by a full server");

#define EXPIRY_S (2 * 86400)

/* chunks that are read in a round */
#define CHUNKS_READ_MAX 8

static void make_key(uint64_t node, uint64_t epoch, uint32_t chunk,
                     struct cq_item_key *key)
{
    struct cq_key place = { .family = 4 };
    struct cq_item_seeds seeds = cq_item_seeds("over ", (int64_t)node,
                                               (int64_t)epoch,
                                               (struct cq_prefixes){ 0, 0 });

    cq_encode_number(place.bytes, 4, chunk);
    cq_item_key(&seeds, &place, key);
}

void cq_hint_add(struct cq_exchange *x, const struct cq_share *share)
{
    struct cq_hint *hint;
    uint8_t bit = (uint8_t)(1u << share->row % 8);

    if (x->hints_n == CQ_HINTS_MAX || (x->hinted[share->row / 8] & bit) != 0
        || share->pool >= x->pools_n) {
        return;
    }
    x->hinted[share->row / 8] |= bit;
    hint = &x->hints[x->hints_n++];
    hint->pool_hash = x->pool_hashes[share->pool];
    hint->key = share->key;
}

static size_t encode_chunk(const struct cq_exchange *x, uint32_t number,
                           const struct cq_item_key *key, unsigned char *value)
{
    uint32_t first = number * HINTS_OF_CHUNK;
    uint32_t n = x->hints_n - first < HINTS_OF_CHUNK ? x->hints_n - first
                                                     : HINTS_OF_CHUNK;
    size_t size = HEAD_SIZE + HINT_SIZE * (size_t)n;
    uint32_t i;

    memset(value, 0, size);
    cq_encode_number(value + 4, 4, n);
    for (i = 0; i < n; i++) {
        const struct cq_hint *hint = &x->hints[first + i];
        unsigned char *at = value + HEAD_SIZE + HINT_SIZE * (size_t)i;

        cq_encode_number(at, 8, hint->pool_hash);
        memcpy(at + 8, hint->key.bytes, 16);
        at[24] = hint->key.family;
        at[25] = hint->key.prefix;
    }
    cq_seal(value, size, &key->hash);
    return size;
}

/* Brings one chunk to its server.
 * @return true: it was seen there */
static bool store_chunk(struct cq_exchange *x, uint32_t number)
{
    static struct cq_value theirs, own;     /* one exchange in a process */
    struct cq_item_key key;
    struct cq_server *s;
    int tries;

    make_key(x->node, x->hints_epoch, number, &key);
    s = cq_server_find(x, key.hash.k0);
    own.size = encode_chunk(x, number, &key, own.bytes);
    for (tries = 0; tries < 3 && s->up; tries++) {
        if (!cq_server_fetch(x, s, &key, &theirs)) {
            return false;
        }
        if (theirs.size == own.size
            && memcmp(theirs.bytes, own.bytes, own.size) == 0) {
            return true;
        }
        own.cas = theirs.cas;
        if (!cq_server_store(x, s, &key, &own, EXPIRY_S)) {
            return false;
        }
    }
    return false;
}

bool cq_hints_store(struct cq_exchange *x)
{
    uint32_t before = x->hints_stored_n;
    uint32_t chunks;

    while (x->hints_stored_n < x->hints_n) {
        uint32_t number = x->hints_stored_n / HINTS_OF_CHUNK;
        uint32_t end = (number + 1) * HINTS_OF_CHUNK;

        if (!store_chunk(x, number)) {
            return x->hints_stored_n != before;
        }
        x->hints_stored_n = end < x->hints_n ? end : x->hints_n;
    }
    /* one that a server has lost is stored again, by and by */
    chunks = (x->hints_n + HINTS_OF_CHUNK - 1) / HINTS_OF_CHUNK;
    if (chunks > 0 && x->hints_stored_n == before) {
        store_chunk(x, x->hints_check++ % chunks);
    }
    return x->hints_stored_n != before;
}

/* ---- of others ---- */

static void make_guest(struct cq_exchange *x, const unsigned char *at)
{
    uint64_t pool_hash = cq_decode_number(at, 8);
    struct cq_key key;
    size_t pool;
    uint32_t row;

    memset(&key, 0, sizeof(key));
    memcpy(key.bytes, at + 8, 16);
    key.family = at[24];
    key.prefix = at[25];
    for (pool = 0; pool < x->pools_n; pool++) {
        if (x->pool_hashes[pool] == pool_hash
            && cq_guest_make(x->table, (uint16_t)pool, &key, &x->clock,
                             &row)) {
            x->confirmed[row] = 0;
        }
    }
}

/* @return false: the chunk is not there, or its server is not */
static bool read_chunk(struct cq_exchange *x, struct cq_node *node)
{
    static struct cq_value chunk;
    uint32_t number = node->over_read_n / HINTS_OF_CHUNK;
    uint32_t i, n, first = number * HINTS_OF_CHUNK;
    struct cq_item_key key;
    struct cq_server *s;

    make_key(node->shown.id, node->over_epoch, number, &key);
    s = cq_server_find(x, key.hash.k0);
    if (!s->up || !cq_server_fetch(x, s, &key, &chunk)
        || chunk.size < HEAD_SIZE
        || !cq_is_sealed(chunk.bytes, chunk.size, &key.hash)) {
        return false;
    }
    n = (uint32_t)cq_decode_number(chunk.bytes + 4, 4);
    if (n > HINTS_OF_CHUNK
        || chunk.size != HEAD_SIZE + HINT_SIZE * (size_t)n) {
        return false;
    }
    for (i = node->over_read_n - first; i < n; i++) {
        make_guest(x, chunk.bytes + HEAD_SIZE + HINT_SIZE * (size_t)i);
    }
    if (first + n <= node->over_read_n) {
        return false;           /* an older one: next time */
    }
    node->over_read_n = first + n;
    return true;
}

void cq_hints_read(struct cq_exchange *x)
{
    int left = CHUNKS_READ_MAX;
    size_t i;

    for (i = 0; i < x->nodes_n; i++) {
        struct cq_node *node = &x->nodes[i];

        if (node->shown.self || node->shown.other_period) {
            continue;
        }
        if (node->over_epoch != node->over_read_epoch) {
            node->over_read_epoch = node->over_epoch;
            node->over_read_n = 0;
        }
        while (left > 0 && node->over_n <= CQ_HINTS_MAX
               && node->over_read_n < node->over_n) {
            left--;
            if (!read_chunk(x, node)) {
                break;
            }
        }
    }
}
