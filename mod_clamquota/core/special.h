/* special - addresses of no single host of the Internet, and private ones.
 * Pure; any thread. */
#ifndef CQ_SPECIAL_H
#define CQ_SPECIAL_H

#include "core/key.h"

/** What kind of address that must never be shut out a client has: "loopback",
 * "link-local", "multicast", "broadcast" or "unspecified"; NULL for all
 * others. A network is special if it is inside of such a range or holds one
 * (0.0.0.0/0 is "unspecified").
 * Pure; the text is static. */
const char *cq_special_word(const struct cq_key *key);

/** Is this an address of a private network (RFC 1918, RFC 4193) or of those
 * between a provider and its customers (RFC 6598)? */
bool cq_special_is_private(const struct cq_key *key);

#endif
