/* changes - the ring of changes of state; layout_exempt.h has its invariant.
 * Every process writes it; only httpd's parent calls cq_changes_next(). */
#include "table/parts.h"

static uint64_t change_seal(const struct cq_table *t, uint32_t number,
                            const uint64_t words[6])
{
    uint64_t all[7];

    memcpy(all, words, 6 * sizeof(words[0]));
    all[6] = number;
    return cq_hash_words(&t->header->geometry.seed, all, 7);
}

void cq_change_note(struct cq_table *t, const struct cq_change *c)
{
    uint32_t number = atomic_fetch_add(&t->header->change_n, 1);
    struct cq_change_slot *slot = &t->changes[number % CQ_CHANGES];
    uint64_t words[6];

    memcpy(words, c->net.bytes, sizeof(c->net.bytes));
    words[2] = (uint64_t)c->policy_index << 48 | (uint64_t)c->pool << 32
        | (uint64_t)c->kind << 16 | cq_key_pack(&c->net);
    words[3] = (uint64_t)c->at_s;
    words[4] = (uint64_t)(c->kind == CQ_CHANGE_PERIOD ? c->clients
                                                      : c->used_bytes);
    words[5] = (uint64_t)(c->kind == CQ_CHANGE_EXEMPT ? c->until_s
                                                      : c->allowance_bytes);
    CQ_POINT("change-numbered");
    atomic_store(&slot->address[0], words[0]);
    atomic_store(&slot->address[1], words[1]);
    atomic_store(&slot->packed, words[2]);
    CQ_POINT("change-half");
    atomic_store(&slot->at_s, words[3]);
    atomic_store(&slot->used_bytes, words[4]);
    atomic_store(&slot->allowance_bytes, words[5]);
    atomic_store(&slot->seal, change_seal(t, number, words));
}

void cq_change_note_row(struct cq_table *t, uint32_t row,
                        enum cq_change_kind kind, int64_t now_s,
                        int64_t used_bytes, int64_t allowance_bytes)
{
    const struct cq_cold *cold = &t->cold[row];
    uint64_t packed = atomic_load(&cold->pool_prefix);
    uint64_t address[2] = { atomic_load(&cold->address[0]),
                            atomic_load(&cold->address[1]) };
    struct cq_change change = {
        .kind = kind, .at_s = now_s,
        .net = cq_key_unpack(address, packed),
        .pool = (uint16_t)(packed >> 16),
        .policy_index = (uint16_t)(atomic_load(&t->hot[row].mark)
                                   & CQ_MARK_POLICY),
        .used_bytes = used_bytes, .allowance_bytes = allowance_bytes
    };

    cq_change_note(t, &change);
}

/* @return false: the place has no whole change of this number */
static bool read_change(const struct cq_table *t, uint32_t number,
                        struct cq_change *c)
{
    const struct cq_change_slot *slot = &t->changes[number % CQ_CHANGES];
    uint64_t seal = atomic_load(&slot->seal);
    uint64_t words[6] = {
        atomic_load(&slot->address[0]), atomic_load(&slot->address[1]),
        atomic_load(&slot->packed), atomic_load(&slot->at_s),
        atomic_load(&slot->used_bytes), atomic_load(&slot->allowance_bytes)
    };
    unsigned kind = (unsigned)(words[2] >> 16) & 0xffu;

    if (seal != change_seal(t, number, words)) {
        return false;
    }
    memset(c, 0, sizeof(*c));
    c->number = number;
    c->kind = (enum cq_change_kind)kind;
    c->net = cq_key_unpack(words, words[2]);
    c->pool = (uint16_t)(words[2] >> 32);
    c->policy_index = (uint16_t)(words[2] >> 48);
    c->at_s = (int64_t)words[3];
    if (kind == CQ_CHANGE_PERIOD) {
        c->clients = (int64_t)words[4];
        return true;
    }
    c->used_bytes = (int64_t)words[4];
    *(kind == CQ_CHANGE_EXEMPT ? &c->until_s : &c->allowance_bytes)
        = (int64_t)words[5];
    return kind != 0 && kind < CQ_CHANGE_KINDS && cq_key_is_valid(&c->net);
}

size_t cq_changes_read(const struct cq_table *t, const struct cq_key *client,
                       struct cq_change *list, size_t max)
{
    uint32_t next = atomic_load(&t->header->change_n);
    size_t n = 0;
    uint32_t i;

    for (i = 1; i <= CQ_CHANGES && n < max; i++) {
        struct cq_change *c = &list[n];

        n += read_change(t, next - i, c)
            && (client == NULL || c->net.family == 0
                || cq_key_touches(&c->net, client));
    }
    return n;
}

bool cq_changes_next(struct cq_table *t, struct cq_change *change,
                     int64_t *lost)
{
    uint32_t next = atomic_load(&t->header->change_n);
    uint32_t logged = atomic_load(&t->header->changes_logged);

    if (next - logged > CQ_CHANGES) {
        *lost += next - logged - CQ_CHANGES;
        logged = next - CQ_CHANGES;
    }
    while (logged != next) {
        bool whole = read_change(t, logged, change);

        atomic_store(&t->header->changes_logged, ++logged);
        if (whole) {
            return true;
        }
        ++*lost;
    }
    return false;
}

const char *cq_change_word(enum cq_change_kind kind)
{
    static const char *const words[CQ_CHANGE_KINDS] = {
        [CQ_CHANGE_OVER] = "over", [CQ_CHANGE_AGAIN] = "admitted again",
        [CQ_CHANGE_DROPPED] = "dropped", [CQ_CHANGE_JAILED] = "jailed",
        [CQ_CHANGE_RELEASED] = "released", [CQ_CHANGE_EXEMPT] = "exempt",
        [CQ_CHANGE_EXEMPT_END] = "exemption ended", [CQ_CHANGE_RESET] = "reset",
        [CQ_CHANGE_PERIOD] = "new period"
    };

    return kind > 0 && kind < CQ_CHANGE_KINDS ? words[kind] : "unknown";
}
