/* shares - this node's id, its acts, and the figures of the exchange.
 *
 *   of acts of one kind on one network the one with the latest at_ms counts
 *   state(slot) NEW or DONE  =>  all other words of the slot are one act's
 *
 * A writer acquires a slot by compare-and-swap (WRITING), writes it, then makes
 * it NEW. One that was stopped for longer than CQ_ACT_WRITING_S may write into
 * a slot that another has acquired since: a reader believes an act only if its
 * state stayed while it was read and its network is valid. Children, tools and
 * the exchanger note acts; only the exchanger applies and frees them. */
#include "table/exchange.h"
#include "table/parts.h"

#include <sys/random.h>

bool cq_table_has_cluster(const struct cq_table *t)
{
    return t->cluster != NULL;
}

uint64_t cq_table_node(const struct cq_table *t)
{
    return t->cluster != NULL ? atomic_load(&t->header->node) : 0;
}

uint64_t cq_node_session(const struct cq_table *t, int64_t *opened_ms)
{
    *opened_ms = atomic_load(&t->cluster->opened_ms);
    return atomic_load(&t->header->session);
}

static uint64_t random_id(void)
{
    uint64_t id = 0;

    while (id == 0
           && getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id)) {
        id = 0;
    }
    return id;
}

static void forget_clients(struct cq_table *t)
{
    uint64_t row;

    for (row = 0; row < t->rows_n; row++) {
        uint64_t id = atomic_load(&t->hot[row].identity);
        struct cq_account a;

        if ((id & CQ_STATE_MASK) == CQ_LIVE
            && cq_account_open_row(t, (uint32_t)row, id & ~CQ_STATE_MASK,
                                   &a)) {
            cq_account_reset(&a);
            cq_account_close(&a);
        }
    }
}

void cq_node_renew(struct cq_table *t)
{
    /* The id last: should this process die before, the next one finds that two
     * nodes have the old id and begins again. With the new id first, rows that
     * were not yet forgotten would count a second time under it. */
    forget_clients(t);
    atomic_store(&t->header->node, random_id());
}

bool cq_shares_begin(struct cq_table *t, uint64_t machine, int64_t now_s)
{
    uint64_t made_by = atomic_load(&t->header->machine);
    bool copied = made_by != 0 && machine != 0 && made_by != machine;

    if (made_by == 0) {
        atomic_store(&t->header->machine, machine);
    }
    if (t->cluster == NULL) {
        return false;
    }
    atomic_store(&t->cluster->opened_ms, now_s * 1000);
    if (copied) {
        cq_node_renew(t);
        atomic_store(&t->header->machine, machine);
    }
    else if (atomic_load(&t->header->node) == 0) {
        atomic_store(&t->header->node, random_id());
    }
    return copied;
}

/* ---- acts ---- */

#define STATE_MASK UINT64_C(3)

static uint64_t state_at(int64_t now_s, enum cq_act_state state)
{
    return (uint64_t)now_s << 2 | (uint64_t)state;
}

static bool copy_act(const struct cq_act_slot *slot, struct cq_act *act,
                     uint64_t *state)
{
    uint64_t address[2], packed;

    *state = atomic_load_explicit(&slot->state, memory_order_acquire);
    if ((*state & STATE_MASK) != CQ_ACT_NEW
        && (*state & STATE_MASK) != CQ_ACT_DONE) {
        return false;
    }
    memset(act, 0, sizeof(*act));
    address[0] = atomic_load(&slot->address[0]);
    address[1] = atomic_load(&slot->address[1]);
    packed = atomic_load(&slot->packed);
    act->net = cq_key_unpack(address, packed);
    act->kind = (uint32_t)(packed >> 32);
    act->at_ms = atomic_load(&slot->at_ms);
    act->until_s = atomic_load(&slot->until_s);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load(&slot->state) == *state && cq_key_is_valid(&act->net);
}

/* Does a make b needless? */
static bool covers(const struct cq_act *a, const struct cq_act *b)
{
    return a->kind == b->kind && a->at_ms >= b->at_ms
        && (a->kind == CQ_ACT_RESET ? cq_key_contains(&a->net, &b->net)
                                    : cq_key_compare(&a->net, &b->net) == 0);
}

/* A slot that is free, was left in the middle of writing, or else holds the
 * oldest act.
 * @param known  result: an act that covers this one is there */
static struct cq_act_slot *find_slot(struct cq_table *t,
                                     const struct cq_act *act, int64_t now_s,
                                     uint64_t *state, bool *known)
{
    struct cq_act_slot *found = NULL;
    int64_t oldest_ms = INT64_MIN;      /* of the slot found */
    uint32_t i;

    *known = false;
    for (i = 0; i < CQ_ACTS_MAX; i++) {
        struct cq_act_slot *slot = &t->cluster->acts[i];
        struct cq_act other;
        uint64_t other_state;

        if (copy_act(slot, &other, &other_state)) {
            *known = *known || covers(&other, act);
            if (other.at_ms < act->at_ms
                && (found == NULL || other.at_ms < oldest_ms)) {
                found = slot;
                oldest_ms = other.at_ms;
                *state = other_state;
            }
        }
        else if (oldest_ms != INT64_MIN || found == NULL) {
            if ((other_state & STATE_MASK) == CQ_ACT_FREE
                || (int64_t)(other_state >> 2) + CQ_ACT_WRITING_S < now_s) {
                found = slot;
                oldest_ms = INT64_MIN;
                *state = other_state;
            }
        }
    }
    return found;
}

static int64_t latest_ms(const struct cq_table *t)
{
    int64_t latest = 0;
    uint32_t i;

    for (i = 0; i < CQ_ACTS_MAX; i++) {
        struct cq_act act;
        uint64_t state;

        if (copy_act(&t->cluster->acts[i], &act, &state)
            && act.at_ms > latest) {
            latest = act.at_ms;
        }
    }
    return latest;
}

static void write_act(struct cq_act_slot *slot, const struct cq_act *act,
                      int64_t now_s)
{
    uint64_t address[2];

    CQ_POINT("round-act-writing");
    memcpy(address, act->net.bytes, sizeof(address));
    atomic_store(&slot->address[0], address[0]);
    atomic_store(&slot->address[1], address[1]);
    atomic_store(&slot->packed, (uint64_t)act->kind << 32
                                    | cq_key_pack(&act->net));
    atomic_store(&slot->at_ms, act->at_ms);
    atomic_store(&slot->until_s, act->until_s);
    atomic_store(&slot->state, state_at(now_s, CQ_ACT_NEW));
}

enum cq_status cq_act_note(struct cq_table *t, const struct cq_act *act,
                           int64_t now_ms)
{
    struct cq_act own = *act;
    bool known;

    if (t->cluster == NULL || !cq_key_is_valid(&act->net)) {
        return CQ_EINVAL;
    }
    if (own.at_ms == 0) {
        own.at_ms = latest_ms(t) + 1;
        own.at_ms = own.at_ms > now_ms ? own.at_ms : now_ms;
    }
    for (;;) {
        uint64_t state = 0;
        struct cq_act_slot *slot = find_slot(t, &own, now_ms / 1000, &state,
                                             &known);

        if (known) {
            return CQ_OK;
        }
        if (slot == NULL) {
            return CQ_EFULL;
        }
        if (atomic_compare_exchange_strong(
                &slot->state, &state,
                state_at(now_ms / 1000, CQ_ACT_WRITING))) {
            write_act(slot, &own, now_ms / 1000);
            return CQ_OK;
        }
    }
}

size_t cq_acts_read(const struct cq_table *t, struct cq_act *acts)
{
    size_t n = 0;
    uint32_t i;

    for (i = 0; t->cluster != NULL && i < CQ_ACTS_MAX; i++) {
        uint64_t state;

        n += copy_act(&t->cluster->acts[i], &acts[n], &state);
    }
    return n;
}

struct cq_key cq_node_net(uint64_t node)
{
    struct cq_key net = { .family = 6, .prefix = 128 };

    memcpy(net.bytes, &node, sizeof(node));
    return net;
}

enum cq_status cq_node_forget(struct cq_table *t, uint64_t node,
                              int64_t now_ms)
{
    struct cq_act act = { cq_node_net(node), CQ_ACT_FORGET, 0, 0 };
    struct cq_cluster_status status;
    size_t i;

    if (!t->writable) {
        return CQ_EACCES;
    }
    if (!cq_cluster_status_read(t, &status)) {
        return CQ_EINVAL;
    }
    for (i = 0; i < status.nodes_n && status.nodes[i].id != node; i++) {
    }
    if (i == status.nodes_n) {
        return CQ_ENOENT;
    }
    return status.nodes[i].self || status.nodes[i].alive
        ? CQ_EDUP : cq_act_note(t, &act, now_ms);
}

/* Has all that it stands for ended? */
static bool is_past(const struct cq_act *act, int64_t period_start_s,
                    int64_t now_s)
{
    return act->kind == CQ_ACT_EXEMPT
        ? act->until_s < now_s && act->at_ms / 1000 < period_start_s
        : act->at_ms / 1000 < period_start_s;
}

static bool is_covered(const struct cq_table *t, uint32_t own,
                       const struct cq_act *act)
{
    uint32_t i;

    for (i = 0; i < CQ_ACTS_MAX; i++) {
        struct cq_act other;
        uint64_t state;

        if (i != own && copy_act(&t->cluster->acts[i], &other, &state)
            && covers(&other, act) && (!covers(act, &other) || i < own)) {
            return true;
        }
    }
    return false;
}

/* New ones stay until they were applied. */
static void free_covered(struct cq_table *t)
{
    uint32_t i;

    for (i = 0; i < CQ_ACTS_MAX; i++) {
        struct cq_act_slot *slot = &t->cluster->acts[i];
        struct cq_act act;
        uint64_t state;

        if (copy_act(slot, &act, &state)
            && (state & STATE_MASK) == CQ_ACT_DONE && is_covered(t, i, &act)) {
            atomic_compare_exchange_strong(&slot->state, &state, CQ_ACT_FREE);
        }
    }
}

int cq_acts_apply(struct cq_table *t, const struct cq_clock *clock)
{
    int64_t start_s = cq_calendar_start(t, clock->period_id);
    int applied = 0;
    uint32_t i;

    for (i = 0; t->cluster != NULL && i < CQ_ACTS_MAX; i++) {
        struct cq_act_slot *slot = &t->cluster->acts[i];
        struct cq_act act;
        uint64_t state;
        bool is_new;

        if (!copy_act(slot, &act, &state)) {
            continue;
        }
        is_new = (state & STATE_MASK) == CQ_ACT_NEW;
        if (is_past(&act, start_s, clock->now_s)) {
            atomic_compare_exchange_strong(&slot->state, &state, CQ_ACT_FREE);
        }
        else if (is_new) {
            if (act.kind == CQ_ACT_RESET) {
                cq_reset_locally(t, &act.net, clock);
            }
            else if (act.kind == CQ_ACT_EXEMPT && !is_covered(t, i, &act)) {
                (void)cq_exempt_apply(t, &act.net, act.until_s, clock->now_s);
            }
            CQ_POINT("round-act-applied");
            atomic_compare_exchange_strong(
                &slot->state, &state,
                (state & ~STATE_MASK) | CQ_ACT_DONE);
            applied++;
        }
    }
    if (applied > 0) {
        free_covered(t);
    }
    return applied;
}

/* ---- figures ---- */

void cq_cluster_status_write(struct cq_table *t,
                             const struct cq_cluster_status *status)
{
    struct cq_cluster_head *head = t->cluster;
    uint32_t motion = cq_record_begin(&head->motion);

    CQ_POINT("round-status");
    head->status = *status;
    cq_record_end(&head->motion, motion);
}

/* A byte of a file that is neither 0 nor 1 is no bool of C's. */
static void make_bool(bool *b)
{
    unsigned char byte;

    memcpy(&byte, b, 1);
    *b = byte != 0;
}

/* What a number of the status can be: small enough to be added, and to be
 * multiplied by 1000. */
static void make_figure(int64_t *n, int64_t least)
{
    static const int64_t most = INT64_C(1) << 50;

    *n = *n < least ? least : *n < most ? *n : most;
}

bool cq_cluster_status_read(const struct cq_table *t,
                            struct cq_cluster_status *status)
{
    const struct cq_cluster_head *head = t->cluster;
    int tries;
    size_t i;

    memset(status, 0, sizeof(*status));
    if (head == NULL) {
        return false;
    }
    for (tries = 0; tries < 1000; tries++) {
        uint32_t motion = atomic_load(&head->motion);

        *status = head->status;
        atomic_thread_fence(memory_order_seq_cst);
        if (motion % 2 == 0 && atomic_load(&head->motion) == motion) {
            break;
        }
    }
    /* no byte of a file is trusted */
    status->label[sizeof(status->label) - 1] = '\0';
    status->nodes_n = status->nodes_n < CQ_CLUSTER_NODES_MAX
        ? status->nodes_n : CQ_CLUSTER_NODES_MAX;
    status->servers_n = status->servers_n < CQ_CLUSTER_SERVERS_MAX
        ? status->servers_n : CQ_CLUSTER_SERVERS_MAX;
    for (i = 0; i < CQ_CLUSTER_NODES_MAX; i++) {
        struct cq_cluster_node *node = &status->nodes[i];

        node->label[CQ_CLUSTER_LABEL_SIZE - 1] = '\0';
        make_figure(&node->last_seen_s, 0);
        make_figure(&node->offset_ms, -(INT64_C(1) << 50));
        make_bool(&node->self);
        make_bool(&node->alive);
        make_bool(&node->other_period);
        make_bool(&node->other_servers);
        make_bool(&node->other_daily);
    }
    for (i = 0; i < CQ_CLUSTER_SERVERS_MAX; i++) {
        status->servers[i].name[CQ_CLUSTER_SERVER_SIZE - 1] = '\0';
        make_figure(&status->servers[i].errors, 0);
        make_bool(&status->servers[i].up);
    }
    make_figure(&status->lag_ms, 0);
    make_figure(&status->last_round_s, 0);
    make_figure(&status->rounds, 0);
    make_figure(&status->failed_rounds, 0);
    make_figure(&status->waiting, 0);
    make_figure(&status->missing, 0);
    make_figure(&status->raised, 0);
    return true;
}
