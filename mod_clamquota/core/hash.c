/* hash - SipHash-1-3 over 64-bit words.
 *
 * One round for each word and three at the end; that every message here is
 * whole words spares the byte-wise tail. In the request path: no branch that
 * depends on the data, no memory but the key. */
#include "core/hash.h"

#include <string.h>

/* the four words of state, named as in the paper */
struct sip {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
};

static inline uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate_left(s->v1, 13);
    s->v1 ^= s->v0;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate_left(s->v3, 16);
    s->v3 ^= s->v2;
    s->v0 += s->v3;
    s->v3 = rotate_left(s->v3, 21);
    s->v3 ^= s->v0;
    s->v2 += s->v1;
    s->v1 = rotate_left(s->v1, 17);
    s->v1 ^= s->v2;
    s->v2 = rotate_left(s->v2, 32);
}

static inline struct sip sip_begin(const struct cq_seed *seed)
{
    /* "somepseudorandomlygeneratedbytes" */
    struct sip s = {
        seed->k0 ^ UINT64_C(0x736f6d6570736575),
        seed->k1 ^ UINT64_C(0x646f72616e646f6d),
        seed->k0 ^ UINT64_C(0x6c7967656e657261),
        seed->k1 ^ UINT64_C(0x7465646279746573)
    };

    return s;
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* The last word of a message of whole words: no bytes, and in the top byte
 * the length modulo 256. */
static inline uint64_t sip_end(struct sip *s, size_t words)
{
    sip_word(s, (uint64_t)(words * 8) << 56);
    s->v2 ^= 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Eight bytes as the little-endian number they are, so that a hash is the
 * same on every machine. */
static inline uint64_t load_little_endian(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

uint64_t cq_hash_words(const struct cq_seed *seed, const uint64_t *words,
                       size_t n)
{
    struct sip s = sip_begin(seed);

    for (size_t i = 0; i < n; i++) {
        sip_word(&s, words[i]);
    }
    return sip_end(&s, n);
}

uint64_t cq_hash_text(const struct cq_seed *seed, const char *text,
                      size_t length, const uint64_t *words, size_t n)
{
    struct sip s = sip_begin(seed);
    uint8_t last[8] = { 0 };
    size_t i, at;

    for (i = 0; i < n; i++) {
        sip_word(&s, words[i]);
    }
    sip_word(&s, length);
    for (at = 0; length - at >= sizeof(last); at += sizeof(last)) {
        sip_word(&s, load_little_endian((const uint8_t *)text + at));
    }
    if (length > at) {      /* a text of length 0 may be NULL */
        memcpy(last, text + at, length - at);
    }
    sip_word(&s, load_little_endian(last));
    return sip_end(&s, n + 2 + at / sizeof(last));
}

uint64_t cq_hash_key(const struct cq_seed *seed, uint16_t pool,
                     const struct cq_key *key)
{
    /* cq_hash_words() for three words, unrolled */
    struct sip s = sip_begin(seed);

    sip_word(&s, (uint64_t)pool << 16 | (uint64_t)key->family << 8
                 | key->prefix);
    sip_word(&s, load_little_endian(key->bytes));
    sip_word(&s, load_little_endian(key->bytes + 8));
    return sip_end(&s, 3);
}
