/* bytes - numbers in values, little endian, and the seal that each value
 * begins with: 32 bits of hash of all that follows, under the key's own hash.
 * A value that was cut, altered or copied from another key has another one. */
#ifndef CQ_CLUSTER_BYTES_H
#define CQ_CLUSTER_BYTES_H

#include "core/hash.h"

#define CQ_SEAL_SIZE 4

static inline void cq_encode_number(unsigned char *at, size_t size, uint64_t n)
{
    size_t i;

    for (i = 0; i < size; i++) {
        at[i] = (unsigned char)(n >> (8 * i));
    }
}

static inline uint64_t cq_decode_number(const unsigned char *at, size_t size)
{
    uint64_t n = 0;

    while (size-- > 0) {
        n = n << 8 | at[size];
    }
    return n;
}

static inline uint32_t cq_seal_make(const unsigned char *value, size_t size,
                                  const struct cq_seed *hash)
{
    return (uint32_t)cq_hash_text(hash, (const char *)value + CQ_SEAL_SIZE,
                                  size - CQ_SEAL_SIZE, NULL, 0);
}

static inline void cq_seal(unsigned char *value, size_t size,
                           const struct cq_seed *hash)
{
    cq_encode_number(value, CQ_SEAL_SIZE, cq_seal_make(value, size, hash));
}

static inline bool cq_is_sealed(const unsigned char *value, size_t size,
                                const struct cq_seed *hash)
{
    return size >= CQ_SEAL_SIZE
        && cq_decode_number(value, CQ_SEAL_SIZE)
               == cq_seal_make(value, size, hash);
}

#endif
