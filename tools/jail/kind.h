/* kind - what a kind of jail (recent, nft, ipset) offers to jail.c, and what
 * jail.c offers to all kinds. Private to tools/jail/. */
#ifndef CQ_JAIL_KIND_H
#define CQ_JAIL_KIND_H

#include "jail/jail.h"

/* The longest time-out that ipset takes (IPSET_MAX_TIMEOUT, UINT_MAX / 1000,
 * linux/netfilter/ipset/ip_set_timeout.h); 49 days are enough for nft too. */
#define CQ_JAIL_LEASE_MOST_S (UINT32_MAX / 1000)

/* An array that grows; all zero bytes: empty. */
struct cq_jail_elements {
    struct cq_jail_element *list;
    size_t count, room;
};

struct cq_jail_kind {
    const char *name;           /* what stands before the colon */
    const char *expected;       /* form and example, for a bad spec */

    /* Reads the names into a struct whose first member is the struct cq_jail;
     * NULL with a clause about what is wrong. */
    struct cq_jail *(*parse)(const char *names, const char **wrong);

    enum cq_jail_status (*open)(struct cq_jail *jail, struct cq_jail_why *why);

    /* Brings jail->elements up to date, in order, each once. */
    enum cq_jail_status (*list)(struct cq_jail *jail, struct cq_jail_why *why);

    /* Carries out changes[0..count), count <= jail->batch, except those that
     * have failed already. CQ_JAIL_PARTLY: at least one of them cannot be
     * done, the others may have been and can be repeated. Sets jail->is_full
     * for a full list, jail->gives_up if smaller batches would not help. */
    enum cq_jail_status (*commit)(struct cq_jail *jail,
                                  struct cq_jail_change *changes, size_t count,
                                  struct cq_jail_why *why);

    /* Brings jail->networks up to date; NULL in a kind without networks. */
    enum cq_jail_status (*networks)(struct cq_jail *jail,
                                    struct cq_jail_why *why);
    enum cq_jail_status (*deny)(struct cq_jail *jail,
                                const struct cq_key *networks, size_t count,
                                struct cq_jail_why *why);
    bool (*has_networks)(const struct cq_jail *jail, uint8_t family);

    bool (*has_changed)(struct cq_jail *jail);
    enum cq_jail_status (*figures)(struct cq_jail *jail,
                                   struct cq_jail_figures *figures,
                                   struct cq_jail_why *why);
    void (*close)(struct cq_jail *jail);    /* frees all but jail.c's part */
};

/* The part of a jail that all kinds have. [0] is of IPv4, [1] of IPv6. */
struct cq_jail {
    const struct cq_jail_kind *kind;
    char *spec;
    int64_t lease_s;
    enum cq_jail_access access;
    bool is_open;
    size_t batch;               /* changes of one commit; set by open */
    uint8_t bits[2];            /* prefix of a client that a packet's address
                                 * is masked to; 0: no list. Set by open */
    struct cq_jail_elements elements, networks;
    bool is_full[2];
    bool gives_up;
};

extern const struct cq_jail_kind cq_jail_recent;
extern const struct cq_jail_kind cq_jail_nft;
extern const struct cq_jail_kind cq_jail_ipset;

/** Writes the sentence and returns the status. */
enum cq_jail_status cq_jail_fail(struct cq_jail_why *why,
                                 enum cq_jail_status status,
                                 const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Copies a name of [A-Za-z0-9_] and, behind its first character, of `also`.
 * @param at     moved to the first of `ends`, or to the end of the text
 * @param name   buffer of size bytes
 * @return false: empty, too long, or another character */
bool cq_jail_read_name(const char **at, const char *ends, const char *also,
                       char *name, size_t size);

/** Reads "FIRST" or "FIRST,SECOND", two different names.
 * @param also    as above
 * @param first   buffer of size bytes, as is second; "" if there is none
 * @return false, as above or for a name twice */
bool cq_jail_read_names(const char *names, const char *also, char *first,
                        char *second, size_t size);

/** CLOCK_MONOTONIC, which like the kernel's time-outs does not count while
 * the machine sleeps. */
int64_t cq_jail_now_s(void);

/** Index of a family in arrays of two. */
static inline int cq_jail_index(const struct cq_key *key)
{
    return key->family == 6;
}

/** Makes the key of an address.
 * @param bytes  in network order, 4 or 16
 * @return false: IPv4-mapped, which stands in no packet */
bool cq_jail_address(struct cq_key *key, const void *bytes, int family);

/** Appends.
 * @return false: no memory */
bool cq_jail_elements_add(struct cq_jail_elements *elements,
                          const struct cq_key *key, bool is_operators,
                          int64_t expires_at_s);

/** Sorts by key; of equal keys that stays which expires last. */
void cq_jail_elements_sort(struct cq_jail_elements *elements);

/** Finds an element of a sorted list, or returns NULL. */
struct cq_jail_element *cq_jail_elements_find(
    const struct cq_jail_elements *elements, const struct cq_key *key);

#endif
