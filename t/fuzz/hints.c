/* hints - fuzzes what another node says of clients over quota and of resets and
 * exemptions: a byte for which of the two, then the value that each server has
 * for it, sealed, and with a pool's hash, as a forger would make it. A hint
 * makes a row and no offender; the table is in order, and a round later still.
 */
#include "exchange.h"

#include "cluster/parts.h"

/* of a list of clients: its head, a client */
#define HEAD_SIZE 16
#define HINT_SIZE 32

static struct input value;
static uint64_t pool_hash;      /* 0: leaves those of the input */

static bool answer_get(void *baton, struct cq_link *link,
                       const struct cq_key_text *keys, size_t n,
                       cq_found *found, void *what)
{
    static uint8_t bytes[65536];
    size_t i, at, size = value.size < sizeof(bytes) ? value.size
                                                   : sizeof(bytes);

    (void)baton;
    (void)link;
    for (i = 0; i < n && size >= CQ_SEAL_SIZE; i++) {
        struct cq_seed hash = hash_of(&keys[i]);

        memcpy(bytes, value.at, size);
        for (at = HEAD_SIZE; pool_hash != 0 && at + HINT_SIZE <= size;
             at += HINT_SIZE) {
            cq_encode_number(bytes + at, 8, pool_hash);
        }
        cq_seal(bytes, size, &hash);
        found(what, i, bytes, size, 1);
    }
    return true;
}

static const struct cq_transport answers = {
    world_open, world_close, answer_get, world_put, world_flush, world_clock_ms
};

/* The node that says it, alive and in this period. */
static void know_other(struct cq_exchange *x, uint64_t n)
{
    struct cq_node *other = &x->nodes[x->nodes_n++];

    memset(other, 0, sizeof(*other));
    other->shown.id = 4711;
    other->shown.alive = true;
    other->over_epoch = 1;
    other->over_n = (uint32_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cq_exchange *x;
    uint64_t kind;

    begin(&world_transport);
    node_charge(&node, 1, 5000);
    rounds(&node, 1, 1);
    x = node.exchange;
    x->transport = &answers;
    value = (struct input){ data, size };
    kind = take(&value, 1);
    pool_hash = (kind & 2) != 0 ? x->pool_hashes[0] : 0;
    if ((kind & 1) != 0) {
        know_other(x, kind >> 2);
        cq_hints_read(x);
    }
    else {
        x->servers[0].has_acts = false;
        cq_acts_exchange(x, &x->servers[0]);
    }
    assert_sound(node.table);
    x->transport = &world_transport;
    rounds(&node, 1, 1);
    assert_no_offender();
    return 0;
}
