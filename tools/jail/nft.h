/* nft - the jail of nft's sets: what its files share.
 *
 * Directly over netlink: libnftables takes quadratic time for some changes and
 * of a transaction that fails it names one element; libnftnl above it takes
 * several hundred bytes for each element. */
#ifndef CQ_NFT_H
#define CQ_NFT_H

#include "jail/kind.h"
#include "jail/netlink.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

struct cq_nft {
    struct cq_jail jail;
    char place[NFT_NAME_MAXLEN + 64];   /* jail.place */
    uint8_t family;                 /* NFPROTO_INET */
    const char *table;
    int64_t timeout_s[2];           /* of a client's element that says nothing;
                                     * 0: none */

    /* The generation at which the sets' headers were checked; 0: none. A
     * listing holds at that generation until has_expired_s, as elements expire
     * without a new one. */
    uint32_t generation;
    int64_t has_expired_s;          /* 0: nothing is listed */
    int64_t changed_s;              /* when others' change was seen */
};

/** Begins a message about the table. */
struct nlmsghdr *cq_nft_begin(struct cq_nft *nft, int type, uint16_t flags);

/** Asks for the kernel's generation. @return 0 or an errno */
int cq_nft_read_generation(struct cq_nft *nft, uint32_t *generation);

/** Asks for the generation and, if that is another one than nft->generation,
 * forgets what was listed and reads the sets' headers: type, flags, size.
 * @return 0 or an errno, of kind.h */
int cq_nft_check_sets(struct cq_nft *nft);

/** Reads elements and networks, in the order of the edges.
 * @return 0 or an errno; EINTR: others changed them meanwhile */
int cq_nft_read_contents(struct cq_nft *nft);

/** The address behind a network.
 * @return false: there is none, it ends with the last address */
bool cq_nft_range_end(const struct cq_key *net, uint8_t end[16]);

#endif
