/* question - answers which node has how much of a client: with the client's
 * item, which is asked for in the round after the question. */
#include "cluster/parts.h"

void cq_question_begin(struct cq_exchange *x)
{
    struct cq_node_shares *answer = &x->answer;

    x->has_question = cq_question_read(x->table, answer);
    if (x->has_question
        && !cq_guest_make(x->table, answer->pool, &answer->client, &x->clock,
                          &x->question_row)) {
        /* no such client, or no room for one */
        cq_question_answer(x->table, answer);
        x->has_question = false;
    }
    if (x->has_question) {
        /* as if its share had never been seen there: the item is read */
        x->confirmed[x->question_row] = 0;
    }
}

void cq_question_end(struct cq_exchange *x, const struct cq_share *share,
                     const struct cq_item *item,
                     const struct cq_item_sum *sum)
{
    struct cq_node_shares *answer = &x->answer;
    size_t i;

    if (!x->has_question || share->row != x->question_row) {
        return;
    }
    x->has_question = false;
    answer->shares_n = 0;
    answer->shares[answer->shares_n++] = (struct cq_node_share){
        x->node, share->used_bytes, share->in_flight_bytes };
    for (i = 0; i < item->entries_n
         && answer->shares_n < CQ_CLUSTER_NODES_MAX; i++) {
        const struct cq_item_entry *e = &item->entries[i];

        if (e->node != x->node) {
            answer->shares[answer->shares_n++] = (struct cq_node_share){
                e->node, e->reset_ms == sum->reset_ms ? e->used_bytes : 0,
                cq_node_lives(x, e->node, e->boot) ? e->in_flight_bytes : 0 };
        }
    }
    cq_question_answer(x->table, answer);
}
