/* rules - what the firewall's rules do with a list: whether one refers to it,
 * how it masks addresses, what it has dropped. For nft rules and those of
 * iptables-nft; the kernel does not tell of iptables-legacy this way. */
#ifndef CQ_RULES_H
#define CQ_RULES_H

#include "jail/netlink.h"

/* One list, and what the rules that refer to it say together. */
struct cq_rules_use {
    const char *name;           /* of an nft set or an xt_recent list */
    int rules;                  /* how many refer to it */
    uint8_t bits[2];            /* of IPv4 and IPv6 addresses that are
                                 * compared, the shortest mask; 32 and 128
                                 * without a mask or without a rule */
    int64_t seconds;            /* the shortest --seconds; 0: none */
    int64_t dropped_packets;    /* by rules that count and drop */
};

/** Reads the rules of one nft table for its sets.
 * @param family  NFPROTO_..., of the table
 * @param uses    with their names filled in; "" is none
 * @return 0 or an errno, the uses are then as without a rule */
int cq_rules_of_sets(struct cq_netlink *link, uint8_t family,
                     const char *table, struct cq_rules_use *uses, int count);

/** Reads all rules of iptables-nft for a list of xt_recent. Without the rights
 * to do so, as without a rule. */
void cq_rules_of_recent(const char *name, struct cq_rules_use *use);

#endif
