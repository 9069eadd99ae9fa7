/* own - this machine's own addresses, which must never be shut out. */
#ifndef CQ_OWN_H
#define CQ_OWN_H

#include "core/net.h"

/** Adds each address of this machine's network interfaces to a list, as a
 * single address (the network that a client is may hold several: ask with
 * cq_own_contains()). Makes system calls (getifaddrs).
 * @param list  not sealed; addresses that stand in it already are left alone
 * @return CQ_OK; CQ_EIO (errno tells); CQ_ENOMEM. What was added stays. */
enum cq_status cq_own_addresses(struct cq_net_list *list);

/** Is a client one of these networks' own, or does it hold an address of
 * theirs? Sealed list; any thread. */
bool cq_own_contains(const struct cq_net_list *list, const struct cq_key *key);

#endif
