/* window - the rows in which a client may be found.
 *
 * Two buckets of 16 rows, both from the client's hash; in each the search
 * begins at a row of the client's own and goes on by exclusive or: first its
 * neighbour in the same pair of cache lines, which processors fetch together
 * and which costs no second look into the page table, then the next pair. */
#include "table/parts.h"

/* the upper half of a 64 x 64 bit product spreads a hash over n evenly */
static uint64_t scale(uint64_t hash, uint64_t n)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;

    return (uint64_t)(((wide)hash * n) >> 64);
#else
    return ((hash >> 32) * n) >> 32;
#endif
}

static uint32_t home_offset(uint64_t hash)
{
    return (uint32_t)(hash >> 2) % CQ_BUCKET_ROWS;
}

/* the first row of the client's first bucket */
static uint32_t first_bucket(const struct cq_region *r, uint64_t hash)
{
    return r->first + (uint32_t)(scale(hash, r->buckets_n) * CQ_BUCKET_ROWS);
}

static uint32_t second_bucket(const struct cq_region *r, uint64_t hash)
{
    /* an odd constant (2^64 / golden ratio) makes another number of the hash
     * for the second choice */
    uint64_t first = scale(hash, r->buckets_n);
    uint64_t second = scale(hash * UINT64_C(0x9e3779b97f4a7c15),
                            r->buckets_n);

    if (second == first) {
        second = (first + 1) % r->buckets_n;
    }
    return r->first + (uint32_t)(second * CQ_BUCKET_ROWS);
}

void cq_window_fill(const struct cq_region *region, uint64_t hash,
                    struct cq_window *window)
{
    uint32_t first = first_bucket(region, hash);
    uint32_t second = second_bucket(region, hash);
    uint32_t home = home_offset(hash);
    uint32_t i;

    for (i = 0; i < CQ_BUCKET_ROWS; i++) {
        uint32_t offset = home ^ i;

        window->row[i] = first + offset;
        window->row[CQ_BUCKET_ROWS + i] = second + offset;
    }
}

struct cq_homes cq_window_homes(const struct cq_region *r, uint64_t hash)
{
    uint32_t home = home_offset(hash);

    return (struct cq_homes){
        { first_bucket(r, hash) + home, second_bucket(r, hash) + home }
    };
}

static bool has_identity(const struct cq_table *t, uint32_t row,
                         uint64_t identity)
{
    return atomic_load_explicit(&t->hot[row].identity, memory_order_acquire)
        == identity;
}

uint32_t cq_window_find(const struct cq_table *t, const struct cq_homes *homes,
                        uint64_t hash)
{
    uint64_t identity = hash | CQ_LIVE;
    uint32_t b, i;

    for (b = 0; b < 2; b++) {
        /* no branch on which of the pair it is: no processor predicts that;
         * row numbers of a bucket differ in the low bits only (a region
         * begins with a whole bucket) */
        uint32_t row = homes->row[b]
            ^ (uint32_t)!has_identity(t, homes->row[b], identity);

        if (has_identity(t, row, identity)) {
            return row;
        }
    }
    for (b = 0; b < 2; b++) {
        for (i = 2; i < CQ_BUCKET_ROWS; i++) {
            if (has_identity(t, homes->row[b] ^ i, identity)) {
                return homes->row[b] ^ i;
            }
        }
    }
    return CQ_NO_ROW;
}
