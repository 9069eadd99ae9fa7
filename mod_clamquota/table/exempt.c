/* exempt - the list of exemptions; layout_exempt.h has its invariants.
 *
 * Tools, httpd's children (the page) and the exchanger write at the same time;
 * each may die at any instruction. Two that exempt one network may acquire a
 * place each: then the first place counts, and a writer frees each later one
 * that it finds. */
#include "table/exempt.h"
#include "table/parts.h"

#include <endian.h>
#include <stdlib.h>

#define UNTIL_MASK ((UINT64_C(1) << CQ_EXEMPT_UNTIL_BITS) - 1)
#define STATE_BITS (UINT64_C(3) << CQ_EXEMPT_STATE_SHIFT)
/* of a place in use: until_s and state may change, these bits do not */
#define SAME_BITS (~(UNTIL_MASK | STATE_BITS))

_Static_assert(CQ_EXEMPTIONS_MAX == CQ_EXEMPT_SLOTS, "one place for each");
_Static_assert(CQ_EXEMPT_UNTIL_MAX_S == (int64_t)UNTIL_MASK, "as in packed");

/* ---- one place ---- */

static unsigned exempt_state(uint64_t packed)
{
    return (unsigned)(packed >> CQ_EXEMPT_STATE_SHIFT) & 3u;
}

static int64_t exempt_until_s(uint64_t packed)
{
    return (int64_t)(packed & UNTIL_MASK);
}

/* When the writer of a place in WRITING began: the same bits. */
static int64_t exempt_began_s(uint64_t packed)
{
    return exempt_until_s(packed);
}

static uint64_t exempt_in_state(uint64_t packed, enum cq_exempt_state state,
                                int64_t until_s)
{
    return (packed & SAME_BITS) | (uint64_t)state << CQ_EXEMPT_STATE_SHIFT
        | (uint64_t)until_s;
}

static uint64_t exempt_seal(const struct cq_table *t, uint64_t packed,
                            const uint64_t address[2])
{
    uint64_t words[3] = { address[0], address[1], packed & SAME_BITS };

    return cq_hash_words(&t->header->geometry.seed, words, 3);
}

/* Copies a place, if it is an exemption.
 * @param packed  result: its word, whatever it is */
static bool exempt_read(const struct cq_table *t, uint32_t place,
                        uint64_t *packed, struct cq_key *net)
{
    const struct cq_exempt_slot *slot = &t->exemptions[place];
    uint64_t address[2];

    *packed = atomic_load_explicit(&slot->packed, memory_order_acquire);
    if (exempt_state(*packed) != CQ_EXEMPT_LIVE) {
        return false;
    }
    address[0] = atomic_load_explicit(&slot->address[0], memory_order_relaxed);
    address[1] = atomic_load_explicit(&slot->address[1], memory_order_relaxed);
    memset(net, 0, sizeof(*net));
    memcpy(net->bytes, address, sizeof(net->bytes));
    net->family = (uint8_t)((*packed >> CQ_EXEMPT_FAMILY_SHIFT) & 7);
    net->prefix = (uint8_t)(*packed >> CQ_EXEMPT_PREFIX_SHIFT);
    return atomic_load_explicit(&slot->seal, memory_order_relaxed)
            == exempt_seal(t, *packed, address)
        && cq_key_is_valid(net);
}

/* ---- the header's word ---- */

static uint32_t count_places(uint32_t word)
{
    uint32_t places = word >> CQ_EXEMPT_PLACES_SHIFT;

    return places < CQ_EXEMPT_SLOTS ? places : CQ_EXEMPT_SLOTS;
}

static uint32_t exempt_next(uint32_t word, uint32_t places)
{
    return places << CQ_EXEMPT_PLACES_SHIFT
        | ((word + 1) & CQ_EXEMPT_TURN_MASK);
}

/* The list has changed, and at least this number of places is in use. */
static void invalidate_answers(struct cq_table *t, uint32_t places)
{
    uint32_t word = atomic_load(&t->header->exempt);
    uint32_t now;

    do {
        now = exempt_next(word, count_places(word) > places ? count_places(word)
                                                         : places);
    } while (!atomic_compare_exchange_weak(&t->header->exempt, &word, now));
}

/* ---- writers ---- */

#define NO_PLACE UINT32_MAX

/* by a writer that may still live */
static bool is_being_written(uint64_t packed, int64_t now_s)
{
    return exempt_state(packed) == CQ_EXEMPT_WRITING
        && exempt_began_s(packed) + CQ_EXEMPT_WRITING_S >= now_s;
}

/* The first place of a network, and the best one to acquire. */
static uint32_t find_place(const struct cq_table *t, const struct cq_key *net,
                           int64_t now_s, uint64_t *packed, uint32_t *spare,
                           uint64_t *spare_packed)
{
    bool expired = false;
    uint32_t i;

    *spare = NO_PLACE;
    for (i = 0; i < CQ_EXEMPT_SLOTS; i++) {
        struct cq_key its;
        uint64_t w;
        bool is_exemption = exempt_read(t, i, &w, &its);

        if (is_exemption && cq_key_compare(&its, net) == 0) {
            *packed = w;
            return i;
        }
        /* one that has expired, by what may be a wrong clock, comes last */
        if (!is_exemption && !is_being_written(w, now_s)
            ? *spare == NO_PLACE || expired
            : *spare == NO_PLACE && is_exemption
              && exempt_until_s(w) <= now_s) {
            *spare = i;
            *spare_packed = w;
            expired = is_exemption;
        }
    }
    return NO_PLACE;
}

/* @return false: another writer has acquired the place */
static bool claim_place(struct cq_table *t, uint32_t place, uint64_t packed,
                        const struct cq_key *net, int64_t until_s,
                        int64_t now_s)
{
    struct cq_exempt_slot *slot = &t->exemptions[place];
    uint64_t address[2];
    uint64_t claimed = ((packed >> CQ_EXEMPT_TURN_SHIFT) + 1)
                        << CQ_EXEMPT_TURN_SHIFT
        | (uint64_t)net->family << CQ_EXEMPT_FAMILY_SHIFT
        | (uint64_t)net->prefix << CQ_EXEMPT_PREFIX_SHIFT;

    claimed = exempt_in_state(claimed, CQ_EXEMPT_WRITING, now_s);
    if (!atomic_compare_exchange_strong(&slot->packed, &packed, claimed)) {
        return false;
    }
    CQ_POINT("exempt-taken");
    invalidate_answers(t, place + 1);
    CQ_POINT("exempt-told");
    memcpy(address, net->bytes, sizeof(address));
    atomic_store(&slot->address[0], address[0]);
    CQ_POINT("exempt-half");
    atomic_store(&slot->address[1], address[1]);
    atomic_store(&slot->seal, exempt_seal(t, claimed, address));
    CQ_POINT("exempt-sealed");
    return atomic_compare_exchange_strong(
        &slot->packed, &claimed, exempt_in_state(claimed, CQ_EXEMPT_LIVE,
                                               until_s));
}

/* Frees the places of a network from one on.
 * @return how many of them lasted */
static int free_places(struct cq_table *t, const struct cq_key *net,
                       uint32_t from, int64_t now_s)
{
    int lasted = 0;
    uint32_t i;

    for (i = from; i < CQ_EXEMPT_SLOTS; i++) {
        struct cq_key its;
        uint64_t packed;

        while (exempt_read(t, i, &packed, &its)
               && cq_key_compare(&its, net) == 0) {
            if (atomic_compare_exchange_strong(
                    &t->exemptions[i].packed, &packed,
                    exempt_in_state(packed, CQ_EXEMPT_FREE, 0))) {
                lasted += exempt_until_s(packed) > now_s;
            }
        }
    }
    return lasted;
}

static void note_exemption(struct cq_table *t, const struct cq_key *net,
                           int64_t until_s, int64_t now_s)
{
    struct cq_change change = {
        .kind = until_s > 0 ? CQ_CHANGE_EXEMPT : CQ_CHANGE_EXEMPT_END,
        .at_s = now_s, .net = *net, .pool = CQ_ANY_POOL, .until_s = until_s
    };

    cq_change_note(t, &change);
}

/* Sets it in this table alone. */
static enum cq_status set_locally(struct cq_table *t, const struct cq_key *net,
                                  int64_t until_s, int64_t now_s)
{
    bool is_new = false;

    for (;;) {
        uint64_t packed = 0, spare_packed = 0;
        uint32_t spare;
        uint32_t place = find_place(t, net, now_s, &packed, &spare,
                                    &spare_packed);

        if (place == NO_PLACE && spare == NO_PLACE) {
            return CQ_EFULL;
        }
        if (place == NO_PLACE) {
            is_new = true;
            (void)claim_place(t, spare, spare_packed, net, until_s, now_s);
            continue;           /* it is found now, or another one's is */
        }
        if (atomic_compare_exchange_strong(
                &t->exemptions[place].packed, &packed,
                exempt_in_state(packed, CQ_EXEMPT_LIVE, until_s))) {
            CQ_POINT("exempt-set");
            free_places(t, net, place + 1, now_s);
            invalidate_answers(t, place + 1);
            if (is_new || exempt_until_s(packed) != until_s) {
                note_exemption(t, net, until_s, now_s);
            }
            return CQ_OK;
        }
    }
}

enum cq_status cq_exempt_apply(struct cq_table *t, const struct cq_key *net,
                               int64_t until_s, int64_t now_s)
{
    if (until_s > now_s && until_s <= CQ_EXEMPT_UNTIL_MAX_S) {
        return set_locally(t, net, until_s, now_s);
    }
    if (free_places(t, net, 0, now_s) == 0) {
        return CQ_ENOENT;
    }
    invalidate_answers(t, 0);
    note_exemption(t, net, 0, now_s);
    return CQ_OK;
}

/* ---- readers ---- */

static int by_net(const void *a, const void *b)
{
    const struct cq_exemption *x = a, *y = b;

    return cq_key_compare(&x->net, &y->net);
}

size_t cq_exempt_list(const struct cq_table *t, int64_t now_s,
                      struct cq_exemption *list)
{
    uint32_t i, places = count_places(atomic_load(&t->header->exempt));
    size_t n = 0, kept = 0, k;

    for (i = 0; i < places; i++) {
        uint64_t packed;

        if (exempt_read(t, i, &packed, &list[n].net)
            && exempt_until_s(packed) > now_s) {
            list[n++].until_s = exempt_until_s(packed);
        }
    }
    qsort(list, n, sizeof(*list), by_net);
    for (k = 0; k < n; k++) {   /* of two places the later end counts */
        if (kept > 0 && by_net(&list[kept - 1], &list[k]) == 0) {
            if (list[kept - 1].until_s < list[k].until_s) {
                list[kept - 1].until_s = list[k].until_s;
            }
        }
        else {
            list[kept++] = list[k];
        }
    }
    return kept;
}

enum cq_status cq_exempt_nets(const struct cq_table *t, int64_t now_s,
                              struct cq_net_list *nets)
{
    struct cq_exemption *list;
    enum cq_status status = CQ_OK;
    size_t i, n;

    memset(nets, 0, sizeof(*nets));
    if (count_places(atomic_load(&t->header->exempt)) == 0) {
        return cq_net_seal(nets, NULL);
    }
    list = malloc(CQ_EXEMPTIONS_MAX * sizeof(*list));
    if (list == NULL) {
        return CQ_ENOMEM;
    }
    n = cq_exempt_list(t, now_s, list);
    for (i = 0; i < n && status == CQ_OK; i++) {
        status = cq_net_add(nets, &list[i].net, list[i].until_s);
    }
    free(list);
    if (status != CQ_OK) {
        cq_net_free(nets);
        return status;
    }
    return cq_net_seal(nets, NULL);
}

/* cq_key_touches() for a whole list: a fifth of its instructions. */
static bool may_touch(const struct cq_exempt_slot *slot, uint64_t packed,
                      const struct cq_key *client, const uint64_t address[2])
{
    unsigned bits = (unsigned)(packed >> CQ_EXEMPT_PREFIX_SHIFT) & 0xffu;
    uint64_t high, low;

    if (((packed >> CQ_EXEMPT_FAMILY_SHIFT) & 7) != client->family) {
        return false;
    }
    bits = bits < client->prefix ? bits : client->prefix;
    high = be64toh(address[0] ^ atomic_load_explicit(&slot->address[0],
                                                     memory_order_relaxed));
    if (bits <= 64) {
        return bits == 0 || high >> (64 - bits) == 0;
    }
    low = be64toh(address[1] ^ atomic_load_explicit(&slot->address[1],
                                                    memory_order_relaxed));
    return high == 0 && low >> (128 - bits) == 0;
}

int64_t cq_exempt_until(const struct cq_table *t, const struct cq_key *client)
{
    uint64_t own[2];
    uint32_t i, places = count_places(atomic_load(&t->header->exempt));
    int64_t until_s = 0;

    memcpy(own, client->bytes, sizeof(own));
    for (i = 0; i < places; i++) {
        const struct cq_exempt_slot *slot = &t->exemptions[i];
        uint64_t packed = atomic_load_explicit(&slot->packed,
                                             memory_order_acquire);
        struct cq_key net;

        if (exempt_state(packed) == CQ_EXEMPT_LIVE
            && exempt_until_s(packed) > until_s
            && may_touch(slot, packed, client, own)
            && exempt_read(t, i, &packed, &net)
            && cq_key_touches(&net, client)) {
            until_s = exempt_until_s(packed);
        }
    }
    return until_s;
}

bool cq_exempt_covers(const struct cq_table *t, const struct cq_key *client,
                      int64_t now_s, struct cq_exempt_answer *answer)
{
    uint32_t word = atomic_load_explicit(&t->header->exempt,
                                         memory_order_acquire);

    if (count_places(word) == 0) {
        return false;
    }
    if (answer->seen != word) {
        /* an exemption that has ended by the clock is an answer, too: the
         * clock may come back */
        answer->until_s = cq_exempt_until(t, client);
        answer->seen = word;
    }
    return answer->until_s > now_s;
}

/* ---- housekeeping ---- */

void cq_exempt_expire(struct cq_table *t, const struct cq_clock *clock)
{
    uint32_t word = atomic_load(&t->header->exempt);
    uint32_t i, used = 0;
    bool freed = false;

    /* a clock outside the period in force ends nothing: it may be wrong */
    if (count_places(word) == 0 || clock->now_s < clock->day_start_s
        || clock->now_s >= clock->next_day_s) {
        return;
    }
    for (i = 0; i < count_places(word); i++) {
        struct cq_key net;
        uint64_t packed;
        bool is_exemption = exempt_read(t, i, &packed, &net);

        if (!is_being_written(packed, clock->now_s)
            && exempt_until_s(packed) <= clock->now_s
            && exempt_state(packed) != CQ_EXEMPT_FREE
            && atomic_compare_exchange_strong(
                &t->exemptions[i].packed, &packed,
                exempt_in_state(packed, CQ_EXEMPT_FREE, 0))) {
            freed = true;
            if (is_exemption) {
                note_exemption(t, &net, 0, clock->now_s);
            }
        }
        else if (exempt_state(packed) != CQ_EXEMPT_FREE) {
            used = i + 1;
        }
    }
    /* only if no writer has changed the list since */
    if (freed || used < count_places(word)) {
        atomic_compare_exchange_strong(&t->header->exempt, &word,
                                       exempt_next(word, used));
    }
}

const char *cq_exempt_fault(const struct cq_table *t, uint32_t place)
{
    uint64_t packed;
    struct cq_key net;
    bool is_exemption = exempt_read(t, place, &packed, &net);
    bool is_within;

    if (exempt_state(packed) == CQ_EXEMPT_FREE
        || exempt_state(packed) == CQ_EXEMPT_WRITING) {
        return NULL;
    }
    if (exempt_state(packed) != CQ_EXEMPT_LIVE) {
        return "has an unknown state";
    }
    is_within = place < count_places(atomic_load(&t->header->exempt));
    /* a writer that came in between has changed it */
    if ((is_exemption && is_within)
        || atomic_load(&t->exemptions[place].packed) != packed) {
        return NULL;
    }
    return is_exemption ? "lies past the mark: it exempts no client"
                        : "is not sealed: it exempts no client";
}

void cq_exempt_repair(struct cq_table *t)
{
    uint32_t word = atomic_load(&t->header->exempt);
    uint32_t i, used = 0;

    for (i = 0; i < CQ_EXEMPT_SLOTS; i++) {
        uint64_t packed;
        struct cq_key net;

        if (exempt_read(t, i, &packed, &net)) {
            used = i + 1;
        }
        else if (exempt_state(packed) != CQ_EXEMPT_FREE) {
            atomic_store(&t->exemptions[i].packed,
                         exempt_in_state(packed, CQ_EXEMPT_FREE, 0));
        }
    }
    if (used != count_places(word)) {
        atomic_store(&t->header->exempt, exempt_next(word, used));
    }
}
