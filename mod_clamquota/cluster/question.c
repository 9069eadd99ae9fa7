/* question - answers which node has how much of a client: with the client's
 * item, which is asked for in the round after the question. */
#include "cluster/parts.h"

/* A question whose server is away waits without a row: the row would wait to
 * be exchanged, and count anew in each round. */
static bool can_be_asked(struct cq_exchange *x,
                         const struct cq_node_shares *question)
{
    struct cq_item_key key;

    if (question->pool >= x->pools_n) {
        return true;            /* and has no answer */
    }
    cq_item_key(&x->seeds[question->pool], &question->client, &key);
    return cq_server_find(x, key.hash.k0)->up;
}

void cq_question_begin(struct cq_exchange *x)
{
    struct cq_node_shares *answer = &x->answer;

    x->has_question = cq_question_read(x->table, answer)
        && can_be_asked(x, answer);
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

    /* the row may have become another client's since */
    if (!x->has_question || share->row != x->question_row
        || share->pool != answer->pool
        || cq_key_compare(&share->key, &answer->client) != 0) {
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
