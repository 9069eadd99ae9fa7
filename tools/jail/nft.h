/* nft - the jail of nft's sets: what its files share.
 *
 * Directly over netlink: libnftables takes quadratic time for some changes and
 * of a transaction that fails it names one element; libnftnl above it takes
 * several hundred bytes for each element. */
#ifndef CQ_NFT_H
#define CQ_NFT_H

#include "jail/kind.h"
#include "jail/netlink.h"
#include "jail/rules.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define CQ_NFT_MESSAGE(type) (NFNL_SUBSYS_NFTABLES << 8 | (type))

/* tries, if changes of other programs interrupt a reading or come before a
 * transaction */
#define CQ_NFT_TRIES 3

/* what a name takes in a message: its header, its NUL, and the gap behind */
#define CQ_NFT_NAME_ROOM (NFT_NAME_MAXLEN + 8)

enum { CQ_NFT_JAIL4, CQ_NFT_JAIL6, CQ_NFT_DENY4, CQ_NFT_DENY6, CQ_NFT_SETS };

struct cq_nft_set {
    char name[NFT_NAME_MAXLEN];     /* "": not named */
    int64_t timeout_s;              /* of an element that says nothing; 0:
                                     * none */
    int64_t size;                   /* -1: no limit */
};

struct cq_nft {
    struct cq_jail jail;
    const char *family_name;        /* "inet" */
    uint8_t family;                 /* NFPROTO_INET */
    char table[NFT_NAME_MAXLEN];
    struct cq_nft_set sets[CQ_NFT_SETS];
    struct cq_netlink link;

    /* The generation at which headers, elements and networks were read.
     * Elements expire without a new one. */
    uint32_t generation;
    bool has_elements, has_networks;
    int64_t changed_s;              /* when another's change was seen */
    int64_t read_s;                 /* when the elements were read */
    int64_t first_expiry_s;         /* of the elements */
    size_t sorted_n;                /* elements in order; others follow */
};

/** What an errno of the kernel says about the table. */
enum cq_jail_status cq_nft_fail(const struct cq_nft *nft, int error,
                                struct cq_jail_why *why);

/** Asks about one set of the table, or about nothing in particular (NULL).
 * @return 0 or an errno */
int cq_nft_ask(struct cq_nft *nft, uint16_t type, uint16_t flags,
               const char *set, mnl_cb_t answer, void *data);

/** Asks for the kernel's generation and, if that is another one than
 * nft->generation, forgets elements and networks and reads the sets' headers:
 * type, flags, size.
 * @return CQ_JAIL_OK; CQ_JAIL_MISSING for a set that is not there or of a kind
 *         that cannot be used; CQ_JAIL_NOT_PERMITTED, CQ_JAIL_PARTLY */
enum cq_jail_status cq_nft_read_sets(struct cq_nft *nft,
                                     struct cq_jail_why *why);

/** Asks for the generation. @return 0 or an errno */
int cq_nft_read_generation(struct cq_nft *nft, uint32_t *generation);

/** Reads the elements of the two plain sets into the jail's list.
 * @return 0 or an errno; EINTR: others changed them meanwhile */
int cq_nft_read_elements(struct cq_nft *nft);

/** Reads the networks of the interval sets, in order. @return as above */
int cq_nft_read_networks(struct cq_nft *nft);

/** The address behind a network.
 * @return false: there is none, it ends with the last address */
bool cq_nft_range_end(const struct cq_key *net, uint8_t end[16]);

/** Carries out changes in one transaction, on condition that the generation is
 * still nft->generation, and notes the new one.
 * @return 0 or an errno: nothing was done then. ERESTART: it is another one */
int cq_nft_send_changes(struct cq_nft *nft,
                        const struct cq_jail_change *changes, size_t count);

/** How many changes one transaction may have: what the socket takes. */
size_t cq_nft_batch(const struct cq_nft *nft);

/** Empties the interval sets and puts these networks in, on the same
 * condition.
 * @return 0 or an errno */
int cq_nft_send_networks(struct cq_nft *nft, const struct cq_key *networks,
                         size_t count);

#endif
