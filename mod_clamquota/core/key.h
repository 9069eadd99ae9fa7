/* key - an address cut to its prefix: what the quota calls a client.
 *
 * The only constructor and the only formatter of a client in the house. The
 * IPv4-mapped ::ffff:a.b.c.d and NAT64's 64:ff9b::a.b.c.d fold to a.b.c.d
 * everywhere: one visitor is one client on a dual-stack socket and through a
 * translator. A zone (%eth0) is no part of a key. A key is canonical: host bits
 * and unused bytes are zero, so two keys are equal exactly when their bytes
 * are. */
#ifndef CQ_KEY_H
#define CQ_KEY_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* INET6_ADDRSTRLEN (46) + "/128" */
#define CQ_KEY_TEXT_SIZE 52

struct cq_key {
    uint8_t bytes[16];  /* network order; IPv4 in the first four */
    uint8_t family;     /* 4 or 6 */
    uint8_t prefix;     /* bits that count: 0..32 or 0..128 */
};

/* how much of an address is a client (ClamQuotaPrefix) */
struct cq_prefixes {
    uint8_t v4_bits;    /* 0..32, default 32 */
    uint8_t v6_bits;    /* 0..128, default 64 */
};

/** Makes the key of an address.
 * @param key       result; untouched on failure
 * @param addr      the address in network order
 * @param addr_len  4 or 16 bytes; 16 with ::ffff:0:0/96 or 64:ff9b::/96 give
 *                  an IPv4 key
 * @param prefixes  how many bits to keep
 * @return CQ_OK; CQ_EINVAL for another length or prefixes out of range
 * Pure; any thread. */
enum cq_status cq_key_make(struct cq_key *key, const void *addr,
                           size_t addr_len, struct cq_prefixes prefixes);

/** Is this an IPv6 address that a translator (NAT64, SIIT) made of an IPv4
 * address? Its key is that of the IPv4 address, which the kernel sees in no
 * packet of the connection: a kernel jail has no use for the key.
 * @param addr      in network order
 * @param addr_len  4 or 16 bytes */
bool cq_key_is_translated(const void *addr, size_t addr_len);

/** Reads "192.0.2.7", "10.0.0.0/8", "2001:db8::/32". Without a prefix the
 * whole address counts (32 or 128). ::ffff:10.0.0.0/104 and
 * 64:ff9b::10.0.0.0/104 fold to 10.0.0.0/8.
 * @param key   result; untouched on failure
 * @param text  whole string; no blanks, no zone, no name
 * @param why   on failure a static clause that says what is wrong and what
 *              was expected, e.g. "host bits are set, expected 10.0.0.0/8
 *              style"; may be NULL
 * @return CQ_OK or CQ_EINVAL */
enum cq_status cq_key_parse(struct cq_key *key, const char *text,
                            const char **why);

/** Writes the address without its prefix ("192.0.2.7", "2001:db8::").
 * @param text  buffer; always NUL-terminated when size > 0
 * @param size  CQ_KEY_TEXT_SIZE is always enough
 * @return text */
const char *cq_key_format(const struct cq_key *key, char *text, size_t size);

/** Like cq_key_format(), with "/prefix" always appended. */
const char *cq_key_format_cidr(const struct cq_key *key, char *text,
                               size_t size);

/** Is this key canonical: known family, prefix in range, no bit set past it?
 * For keys read back from a file, no byte of which is trusted. */
bool cq_key_is_valid(const struct cq_key *key);

/** The network of this many bits that a key lies in; the key itself if it has
 * no more bits. */
struct cq_key cq_key_network(const struct cq_key *key, uint8_t bits);

/** Does the network contain the whole of the other key? Families differ: no. */
bool cq_key_contains(const struct cq_key *net, const struct cq_key *key);

/** Does one of the two contain the other? */
bool cq_key_touches(const struct cq_key *a, const struct cq_key *b);

/** Order for sorting: family, bytes, prefix. 0 only for equal keys. */
int cq_key_compare(const struct cq_key *a, const struct cq_key *b);

#endif
