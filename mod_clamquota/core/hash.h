/* hash - a keyed hash under the table's secret seed.
 *
 * SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"; the
 * 1-3 variant is what Rust's and Python's tables use): without the seed no
 * client can choose addresses that meet in one bucket. Pure; any thread. */
#ifndef CQ_HASH_H
#define CQ_HASH_H

#include "core/key.h"

struct cq_seed {
    uint64_t k0;
    uint64_t k1;
};

/** Hash of n 64-bit words (as SipHash of their little-endian bytes). */
uint64_t cq_hash_words(const struct cq_seed *seed, const uint64_t *words,
                       size_t n);

/** Hash of a text and some words that belong to it: of the words, the text's
 * length and its bytes, filled up with zeros.
 * @param length  bytes of text, no limit */
uint64_t cq_hash_text(const struct cq_seed *seed, const char *text,
                      size_t length, const uint64_t *words, size_t n);

/** Hash of a client in a pool: pool, family and prefix in one word, then the
 * address in two.
 * @param pool  index of the pool in the table, 0..65535 */
uint64_t cq_hash_key(const struct cq_seed *seed, uint16_t pool,
                     const struct cq_key *key);

#endif
