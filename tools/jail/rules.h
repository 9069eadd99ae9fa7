/* rules - what the firewall's rules do with a jail's lists: how they mask
 * addresses, what they have dropped. For nft rules and those of iptables-nft;
 * the kernel does not tell of iptables-legacy this way. */
#ifndef CQ_RULES_H
#define CQ_RULES_H

#include "jail/kind.h"

/** Reads the rules that refer to the jail's lists into jail->bits and
 * jail->dropped_packets. A set that no rule refers to is masked as the rules
 * of conf/ do it.
 * @param family     NFPROTO_..., of the table
 * @param table      of nft, or NULL: all tables, for lists of xt_recent
 * @param seconds    NULL, or for each list the shortest --seconds; 0: none
 * @return 0 or an errno, the jail is then as without a rule */
int cq_jail_read_rules(struct cq_jail *jail, uint8_t family, const char *table,
                       int64_t seconds[2]);

#endif
