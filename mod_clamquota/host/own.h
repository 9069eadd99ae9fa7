/* own - the addresses that stand for this machine and must never be shut
 * out: its own, and its default gateways. */
#ifndef CQ_OWN_H
#define CQ_OWN_H

#include "core/net.h"

/* the value of a rule that cq_own_collect() adds */
enum cq_own {
    CQ_OWN_INTERFACE = 0,       /* an address of this machine */
    CQ_OWN_GATEWAY              /* a default gateway: where it masquerades, as
                                 * in a container, it is every client's
                                 * address */
};

/** Adds each address of this machine's network interfaces and each default
 * gateway of its main routing table to a list, as a single address (the
 * network that a client is may hold several: ask with cq_net_touches()).
 * Makes system calls (getifaddrs) and reads /proc/net/route and ipv6_route;
 * where these are missing there are no gateways.
 * @param list  not sealed; addresses that it has already are not added again
 * @return CQ_OK; CQ_EIO (errno has the reason); CQ_ENOMEM. On failure the list
 *         keeps the addresses that were added. */
enum cq_status cq_own_collect(struct cq_net_list *list);

#endif
