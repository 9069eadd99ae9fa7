/* exempt - clients that no quota refuses until a time: any address or network,
 * in all pools. 0.0.0.0/0 and ::/0 pause the quota.
 *
 * The list lies in the table: it survives restarts and the period's end, and
 * tools change it while httpd runs and while it does not. An exempt client is
 * still counted. A client is an address cut to its prefix: an exemption of a
 * part of it exempts the whole client. */
#ifndef CQ_EXEMPT_H
#define CQ_EXEMPT_H

#include "core/net.h"
#include "table/table.h"

#ifndef CQ_EXEMPTIONS_MAX
#define CQ_EXEMPTIONS_MAX 1024
#endif
#define CQ_EXEMPT_UNTIL_MAX_S ((INT64_C(1) << 35) - 1)

struct cq_exemption {
    struct cq_key net;
    int64_t until_s;            /* unix seconds */
};

/** Exempts a network, or changes until when. In a cluster it is noted for the
 * other nodes (shares.h). Any process that attached the table writable may
 * call this, and be killed within.
 * @param net      canonical, of any prefix
 * @param until_s  > now_s, at most CQ_EXEMPT_UNTIL_MAX_S
 * @return CQ_OK; CQ_EINVAL; CQ_EFULL: CQ_EXEMPTIONS_MAX networks are exempt;
 *         CQ_EACCES: the table is read-only */
enum cq_status cq_exempt_set(struct cq_table *table, const struct cq_key *net,
                             int64_t until_s, int64_t now_s);

/** Ends the exemption of exactly this network.
 * @return CQ_OK; CQ_ENOENT: it is not exempt; CQ_EACCES */
enum cq_status cq_exempt_end(struct cq_table *table, const struct cq_key *net,
                             int64_t now_s);

/** Copies the exemptions that last now, in the order of cq_key_compare().
 * @param list  CQ_EXEMPTIONS_MAX of them
 * @return how many */
size_t cq_exempt_list(const struct cq_table *table, int64_t now_s,
                      struct cq_exemption *list);

/** The same as a sealed list whose values are until_s, for readers of many
 * rows: ask with cq_net_touches(). Allocates.
 * @return CQ_OK, or CQ_ENOMEM (nothing is allocated) */
enum cq_status cq_exempt_nets(const struct cq_table *table, int64_t now_s,
                              struct cq_net_list *nets);

/** Until when a client is exempt at most; it is not if that is past.
 * @return unix seconds; 0: never, or not any longer known */
int64_t cq_exempt_until(const struct cq_table *table,
                        const struct cq_key *client);

/* The last answer for one client; all zero: there is none. */
struct cq_exempt_answer {
    uint32_t seen;              /* when the list was looked through */
    int64_t until_s;
};

/** Is the client exempt now? For each request cheap enough: one load without
 * exemptions, with some a look through the list after each change of it.
 * @param answer  of this client; updated */
bool cq_exempt_covers(const struct cq_table *table,
                      const struct cq_key *client, int64_t now_s,
                      struct cq_exempt_answer *answer);

#endif
