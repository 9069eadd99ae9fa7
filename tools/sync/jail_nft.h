/* jail_nft - two sets of an nft table.
 *
 * What sets there are and what their rules have dropped is libnftables' to
 * tell. The elements go over the kernel's own protocol: libnftables 1.0.6
 * takes quadratic time to delete from a set with intervals (10,000 out of
 * 10,000: minutes), and for a transaction that fails names one element. */
#ifndef CQ_SYNC_JAIL_NFT_H
#define CQ_SYNC_JAIL_NFT_H

#include "sync/jail_parts.h"

#include <jansson.h>

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
    char family[8];             /* "inet" */
    char table[NFT_NAME_LONGEST + 1];
    struct nft_set sets[2];     /* of IPv4, of IPv6 */
    struct nft_known known;
};

/** Has libnftables carry out one transaction.
 * @param flags   NFT_CTX_OUTPUT_..., with JSON for output
 * @param output  parsed, to be json_decref()'d; NULL: there is none
 * @return JAIL_OK; JAIL_MISSING, JAIL_NOT_PERMITTED; JAIL_PARTLY for anything
 *         else: nothing of it was done */
enum jail_status nft_run(const struct nft *nft, const char *command,
                         unsigned flags, json_t **output,
                         struct jail_why *why);

/** Asks the kernel for a set's type, flags and size. */
enum jail_status nft_read_sets(struct nft *nft, struct jail_why *why);

/* a change on its way into a transaction */
struct nft_step {
    struct jail_change *change;
    bool alone;         /* in a message of its own, so that its error is
                         * known to be its own */
    int error;          /* errno of the kernel; 0: none */
};

/** Carries out one transaction: all of it or nothing.
 * @param steps  after a failure: the bad ones have their errors, or some have
 *               become alone; if neither, there is no use in another try
 * @param learnt  was that so?
 * @return 0 or an errno; nothing was done then */
int nft_commit(const struct nft *nft, struct nft_step *steps, size_t count,
               int64_t lease_s, bool *learnt);

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

/* What stands behind the messages, in jail_nftlink.c. */

/** A socket to the kernel's nf_tables; -1 with errno. */
int nft_link_open(void);

/* nlmsg_type of NFT_MSG_...; those of NFNL_MSG_BATCH_... are as they are. */
#define NFT_LINK_TYPE(message) \
    ((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | (message)))

/** Begins a message or an attribute with others inside; returns where it
 * begins, for nft_link_end_...(). */
size_t nft_link_begin_message(struct jail_text *text, uint16_t type,
                              uint16_t flags, uint32_t sequence,
                              uint8_t family);
void nft_link_end_message(struct jail_text *text, size_t at);
size_t nft_link_begin_nest(struct jail_text *text, uint16_t type);
void nft_link_end_nest(struct jail_text *text, size_t at);

/** One attribute with its padding. */
void nft_link_put(struct jail_text *text, uint16_t type, const void *value,
                  size_t length);

/** The next attribute in bytes[*at..length): its type without flags, and its
 * value, which is not aligned.
 * @return false at the end, or for what is none */
bool nft_link_next(const char *bytes, size_t length, size_t *at,
                   uint16_t *type, const char **value, size_t *value_length);

/** nfgen_family of the table's family. */
uint8_t nft_link_family(const struct nft *nft);

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
