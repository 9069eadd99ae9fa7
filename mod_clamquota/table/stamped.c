/* stamped - the word of 16 bits of stamp and 48 of count. */
#include "table/parts.h"

int64_t cq_stamped_add(cq_word *word, uint16_t stamp, int64_t n)
{
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    uint64_t new;

    /* no sum below can overflow */
    n = n > CQ_BYTES_MAX ? CQ_BYTES_MAX : n < -CQ_BYTES_MAX ? -CQ_BYTES_MAX : n;
    do {
        new = cq_stamped(stamp, (cq_stamp(old) == stamp ? cq_bytes(old) : 0)
                                    + n);
    } while (!atomic_compare_exchange_weak_explicit(word, &old, new,
                                                    memory_order_acq_rel,
                                                    memory_order_relaxed));
    return cq_bytes(new);
}
