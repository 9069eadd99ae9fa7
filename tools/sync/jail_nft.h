/* jail_nft - two sets of an nft table.
 *
 * Over netfilter's own libmnl and libnftnl, which write and read the kernel's
 * messages. Not over libnftables above them: 1.0.6 takes quadratic time to
 * delete from a set with intervals (10,000 out of 10,000: minutes), and of a
 * transaction that fails it names one element. */
#ifndef CQ_SYNC_JAIL_NFT_H
#define CQ_SYNC_JAIL_NFT_H

#include "sync/jail_parts.h"

#include <libmnl/libmnl.h>

/* NFT_NAME_MAXLEN 256 with its NUL, linux/netfilter/nf_tables.h. The
 * characters that nft's grammar takes in a name, less the slash and the
 * backslash; so nothing can be slipped into a command. */
#define NFT_NAME_LONGEST 255
#define NFT_NAME_ALSO "-."

struct nft_set {
    char name[NFT_NAME_LONGEST + 1];    /* "": not named */
    uint8_t family;             /* 4 or 6 */
    bool holds_networks;        /* flags interval */
    bool has_timeouts;          /* flags timeout */
    int64_t timeout_s;          /* of an element that says nothing; 0: none */
    int64_t size;               /* -1: no limit */
    uint32_t type;              /* of its keys, nft's number; 0: no such set */
};

/* the last listing, as long as the kernel says that nothing has changed */
struct nft_known {
    bool valid;
    uint32_t generation;
    int64_t read_s;             /* when the kernel was asked; monotonic */
    int64_t at_s;               /* what the times in the listing count from */
    struct jail_listing listing;
};

struct nft {
    struct jail jail;
    const char *family;         /* "inet" */
    uint16_t family_number;     /* NFPROTO_INET */
    char table[NFT_NAME_LONGEST + 1];
    struct nft_set sets[2];     /* of IPv4, of IPv6 */
    struct nft_known known;
};

/** What an errno of the kernel says about the table, in a sentence. */
enum jail_status nft_fail(const struct nft *nft, int error,
                          struct jail_why *why);

/** Asks the kernel, and reads its answers to their end; from the beginning
 * where others changed something meanwhile.
 * @param question  from nftnl_nlmsg_build_hdr(), with the sequence number 0
 * @param begin     called before each try with `data`, to forget what there
 *                  was; NULL: there is only one answer
 * @param take      as for mnl_cb_run(): called for each answer
 * @return 0 or an errno; EINTR: there was no end to the changes */
int nft_ask(const struct nlmsghdr *question, void (*begin)(void *data),
            mnl_cb_t take, void *data);

/* enough for a question: its headers and two names */
#define NFT_QUESTION_SIZE 1024

/** Asks the kernel for a set's type, flags and size. */
enum jail_status nft_read_sets(struct nft *nft, struct jail_why *why);

/* a change on its way into a transaction */
struct nft_step {
    struct jail_change *change;
    bool alone;         /* in a message of its own, so that its error is
                         * known to be its own */
    int error;          /* errno of the kernel; 0: none */
    size_t message;     /* nft_commit()'s own */
};

/** Carries out one transaction: all of it or nothing.
 * @param steps  after a failure: the bad ones have their errors, or some have
 *               become alone; if neither, there is no use in another try
 * @param learnt  was that so?
 * @return 0 or an errno; nothing was done then */
int nft_commit(const struct nft *nft, struct nft_step *steps, size_t count,
               int64_t lease_s, bool *learnt);

/** Empties the sets.
 * @return 0 or an errno */
int nft_flush(const struct nft *nft);

/** Looks for additions that overlap with what is in the sets, which the
 * kernel refuses or, worse, mixes up: a network over something that is there
 * gets the error ENOTEMPTY; what lies in a network that is there, or is about
 * to be, is taken out of the steps, as done: it is in the jail with it.
 * @return how many steps are left */
size_t nft_without_overlaps(struct nft *nft, struct nft_step *steps,
                            size_t count);

/** Lists both sets, in order. */
enum jail_status nft_read_elements(const struct nft *nft,
                                   struct jail_listing *listing,
                                   struct jail_why *why);

/** Adds up the counters of the table's rules that drop who is in a set. */
enum jail_status nft_read_counters(const struct nft *nft, int64_t *packets,
                                   int64_t *bytes, struct jail_why *why);

/** The address behind the last one of a network, where the kernel wants its
 * range to end.
 * @return false: there is none */
bool nft_range_end(const struct cq_key *net, uint8_t end[16]);

/** The number that the kernel gives each change of its rules and sets.
 * @return 0, or an errno: EPERM for who may not even look */
int nft_generation(uint32_t *generation);

/** nft_read_elements(), or the last one again with less time to stay where
 * the kernel's generation is still the same.
 * @param listing  the caller's own copy */
enum jail_status nft_list(struct nft *nft, struct jail_listing *listing,
                          struct jail_why *why);

/** Brings what is known up to date after a transaction of our own; forgets
 * it where somebody else's came in between.
 * @param before  the generation before it; a wrong one does no harm */
void nft_known_changed(struct nft *nft, uint32_t before,
                       const struct nft_step *steps, size_t count,
                       int64_t lease_s);

void nft_known_forget(struct nft *nft);

#endif
