/* window - the rows in which a client may be found.
 *
 * Two buckets of 16 rows, both from the client's hash; in each the search
 * begins at a row of the client's own and wraps around, so that a client is
 * mostly found in the first line looked at. */
#include "table/layout.h"

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

void cq_window_of(const struct cq_table *table, uint64_t hash,
                  struct cq_window *window)
{
    /* an odd constant (2^64 / golden ratio) makes another number of the hash
     * for the second choice */
    uint64_t first = scale(hash, table->buckets_n);
    uint64_t second = scale(hash * UINT64_C(0x9e3779b97f4a7c15),
                            table->buckets_n);
    uint32_t home = (uint32_t)(hash >> 2) % CQ_BUCKET_ROWS;
    uint32_t i;

    if (second == first) {
        second = (first + 1) % table->buckets_n;
    }
    for (i = 0; i < CQ_BUCKET_ROWS; i++) {
        uint32_t offset = (home + i) % CQ_BUCKET_ROWS;

        window->row[i] = (uint32_t)(first * CQ_BUCKET_ROWS) + offset;
        window->row[CQ_BUCKET_ROWS + i] =
            (uint32_t)(second * CQ_BUCKET_ROWS) + offset;
    }
}
