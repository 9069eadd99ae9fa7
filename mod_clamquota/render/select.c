/* select - a bounded heap of rows, sorted in place at the end. */
#include "render/select.h"

void cq_select_begin(struct cq_select *select, struct cq_row *rows,
                     size_t limit, enum cq_sort sort)
{
    select->rows = rows;
    select->limit = limit;
    select->count = 0;
    select->sort = sort;
}

static int64_t rank(enum cq_sort sort, const struct cq_row *row)
{
    switch (sort) {
    case CQ_SORT_TODAY:
        return row->today_bytes;
    case CQ_SORT_REFUSED:
        return row->refused;
    case CQ_SORT_HITS:
        return row->hits;
    case CQ_SORT_LAST:
        return row->last_hit_s;
    case CQ_SORT_USED:
    default:
        return row->used_bytes + row->others_used_bytes;
    }
}

int cq_select_compare(enum cq_sort sort, const struct cq_row *a,
                      const struct cq_row *b)
{
    int64_t rank_a = rank(sort, a);
    int64_t rank_b = rank(sort, b);
    int order;

    if (rank_a != rank_b) {
        return rank_a > rank_b ? -1 : 1;
    }
    order = cq_key_compare(&a->key, &b->key);
    if (order != 0) {
        return order;
    }
    return (a->pool > b->pool) - (a->pool < b->pool);
}

static void swap(struct cq_row *a, struct cq_row *b)
{
    struct cq_row held = *a;

    *a = *b;
    *b = held;
}

/* Puts row i where it belongs below; children come earlier in the order. */
static void sift_down(struct cq_select *select, size_t i)
{
    struct cq_row *rows = select->rows;

    for (;;) {
        size_t worst = i;
        size_t child = 2 * i + 1;
        size_t last = child + 2 < select->count ? child + 2 : select->count;

        for (; child < last; child++) {
            if (cq_select_compare(select->sort, &rows[child],
                                  &rows[worst]) > 0) {
                worst = child;
            }
        }
        if (worst == i) {
            return;
        }
        swap(&rows[i], &rows[worst]);
        i = worst;
    }
}

static void sift_up(struct cq_select *select, size_t i)
{
    struct cq_row *rows = select->rows;

    while (i > 0) {
        size_t parent = (i - 1) / 2;

        if (cq_select_compare(select->sort, &rows[i], &rows[parent]) <= 0) {
            return;
        }
        swap(&rows[i], &rows[parent]);
        i = parent;
    }
}

bool cq_select_wants(const struct cq_select *select, const struct cq_row *row)
{
    return select->count < select->limit
        || (select->limit > 0
            && cq_select_compare(select->sort, row, &select->rows[0]) < 0);
}

void cq_select_offer(struct cq_select *select, const struct cq_row *row)
{
    if (select->count < select->limit) {
        select->rows[select->count] = *row;
        sift_up(select, select->count++);
    }
    else if (cq_select_wants(select, row)) {
        select->rows[0] = *row;
        sift_down(select, 0);
    }
}

void cq_select_finish(struct cq_select *select)
{
    size_t kept = select->count;

    /* the worst goes to the end, again and again */
    while (select->count > 1) {
        select->count--;
        swap(&select->rows[0], &select->rows[select->count]);
        sift_down(select, 0);
    }
    select->count = kept;
}
