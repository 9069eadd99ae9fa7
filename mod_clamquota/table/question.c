/* question - which node has how much of a client: asked by a tool, answered by
 * the exchanger (layout_shares.h). */
#include "table/exchange.h"
#include "table/parts.h"

uint32_t cq_shares_ask(struct cq_table *t, uint16_t pool,
                       const struct cq_key *client)
{
    struct cq_question *q;
    uint64_t address[2];

    if (t->cluster == NULL || !t->writable) {
        return 0;
    }
    q = &t->cluster->question;
    memcpy(address, client->bytes, sizeof(address));
    atomic_store(&q->address[0], address[0]);
    atomic_store(&q->address[1], address[1]);
    atomic_store(&q->pool_prefix, (uint64_t)pool << 48 | cq_key_pack(client));
    return atomic_fetch_add(&q->asked, 1) + 1;
}

bool cq_question_read(const struct cq_table *t,
                      struct cq_node_shares *question)
{
    const struct cq_question *q = &t->cluster->question;
    uint64_t address[2], packed;

    memset(question, 0, sizeof(*question));
    question->asked = atomic_load(&q->asked);
    if (question->asked == q->answer.asked) {
        return false;
    }
    address[0] = atomic_load(&q->address[0]);
    address[1] = atomic_load(&q->address[1]);
    packed = atomic_load(&q->pool_prefix);
    question->client = cq_key_unpack(address, packed);
    question->pool = (uint16_t)(packed >> 48);
    return true;
}

void cq_question_answer(struct cq_table *t,
                        const struct cq_node_shares *answer)
{
    struct cq_question *q = &t->cluster->question;
    uint32_t motion = cq_record_begin(&q->motion);

    q->answer = *answer;
    cq_record_end(&q->motion, motion);
}

bool cq_shares_answer(const struct cq_table *t, uint32_t asked, uint16_t pool,
                      const struct cq_key *client,
                      struct cq_node_shares *answer)
{
    const struct cq_question *q;
    uint32_t motion;

    if (t->cluster == NULL) {
        return false;
    }
    q = &t->cluster->question;
    motion = atomic_load(&q->motion);
    *answer = q->answer;
    atomic_thread_fence(memory_order_seq_cst);
    /* no byte of a file is trusted */
    answer->shares_n = answer->shares_n < CQ_CLUSTER_NODES_MAX
        ? answer->shares_n : CQ_CLUSTER_NODES_MAX;
    return motion % 2 == 0 && atomic_load(&q->motion) == motion
        && (int32_t)(answer->asked - asked) >= 0 && answer->pool == pool
        && cq_key_compare(&answer->client, client) == 0;
}
