/* kind - what a kind of jail (recent, nft, ipset) offers to jail.c, and what
 * all kinds share. Private to tools/jail/.
 *
 * A kind speaks in errnos; jail.c makes the status and the sentence of them:
 *
 *     EPERM, EACCES    not permitted
 *     EROFS            /proc is mounted read-only
 *     ENOENT           jail->set does not exist
 *     EMEDIUMTYPE      jail->set is made in another way: jail->wrong
 *     ENFILE           jail->set is full
 *     EINTR            others' changes came in between; jail.c tries again
 *     others           as strerror() has them */
#ifndef CQ_JAIL_KIND_H
#define CQ_JAIL_KIND_H

#include "jail/jail.h"

/* The longest time-out that ipset takes (IPSET_MAX_TIMEOUT, UINT_MAX / 1000,
 * linux/netfilter/ipset/ip_set_timeout.h); 49 days are enough for nft too. */
#define CQ_JAIL_LEASE_MOST_S (UINT32_MAX / 1000)

/* Clients of IPv4 and IPv6, networks of IPv4 and IPv6. */
enum { CQ_JAIL_V4, CQ_JAIL_V6, CQ_JAIL_DENY4, CQ_JAIL_DENY6, CQ_JAIL_SETS };

/* An array that grows; all zero bytes: empty. Of equal keys the one that
 * expires last counts, and none if one of them was removed. */
struct cq_jail_elements {
    struct cq_jail_element *list;
    size_t count, room;
    bool is_sorted;
};

/* as expires_at_s, before all others: the element of this key was removed */
#define CQ_JAIL_GONE 0

struct cq_netlink;

struct cq_jail_kind {
    const char *prefix;         /* of a spec, with its colon */
    const char *expected;       /* form and example, for a bad spec */
    size_t size;                /* of its struct, whose first member is the
                                 * struct cq_jail */
    size_t batch;               /* changes of one commit */
    size_t name_size;           /* of a set, with its NUL */
    const char *place;          /* what stands before the name of a set in a
                                 * sentence, unless parse() changes it */
    const char *how_to_make[CQ_JAIL_SETS];      /* a set; clauses */
    const char *how_to_raise;   /* the capacity; a clause */

    /* Reads what stands before the names; NULL: nothing does.
     * @param at  moved behind it
     * @return NULL, or a clause that says what is wrong */
    const char *(*parse)(struct cq_jail *jail, char **at);

    /* Checks the sets, and brings elements and networks up to date, in any
     * order; and capacity, bits, dropped_packets. */
    int (*list)(struct cq_jail *jail);

    /* Carries out changes[0..count), count <= batch, except those that have
     * failed already. On an error the others may have been done, and can be
     * repeated. */
    int (*commit)(struct cq_jail *jail, const struct cq_jail_change *changes,
                  size_t count);

    /* See jail.h; NULL in a kind without networks. */
    int (*deny)(struct cq_jail *jail, const struct cq_key *networks,
                size_t count);

    bool (*has_changed)(struct cq_jail *jail);  /* NULL: it cannot tell */
    void (*close)(struct cq_jail *jail);    /* frees all but jail.c's part;
                                             * NULL: there is nothing more */
};

/* The part of a jail that all kinds have. [0] is of IPv4, [1] of IPv6. */
struct cq_jail {
    const struct cq_jail_kind *kind;
    char *spec;
    char *words;                /* of the spec, which names are part of */
    const char *place;
    const char *names[CQ_JAIL_SETS];    /* NULL: there is no such set */
    enum cq_jail_access access;
    int64_t lease_s;
    bool is_listed;
    int64_t now_s;              /* at the beginning of a listing */
    int set;                    /* that an error is about */
    const char *wrong;          /* EMEDIUMTYPE: a clause, e.g. "is constant" */
    int64_t capacity[2];        /* -1: no limit; 0: no set */
    bool shares_capacity;       /* [0] is for both families together */
    uint8_t bits[2];            /* prefix of a client that a packet's address
                                 * is masked to; 0: no set */
    int64_t rule_s[CQ_JAIL_SETS];       /* the shortest --seconds of the rules
                                         * of a list of xt_recent; 0: none */
    int64_t dropped_packets;    /* -1: no rule is known */
    struct cq_jail_elements elements, networks;
    struct cq_netlink *link;    /* to the kernel's netfilter */
};

extern const struct cq_jail_kind cq_jail_recent;
extern const struct cq_jail_kind cq_jail_nft;
extern const struct cq_jail_kind cq_jail_ipset;

/** Whether it is a name: letters, digits and _, behind the first also - . :
 * @param size  for which there is room, with its NUL */
bool cq_jail_is_name(const char *text, size_t size);

/** Does this for each set that is named, as jail->set.
 * @return 0, an error of it, or EMEDIUMTYPE when it set jail->wrong */
int cq_jail_for_sets(struct cq_jail *jail, int (*read)(struct cq_jail *jail));

/** CLOCK_MONOTONIC, which like the kernel's time-outs does not count while
 * the machine sleeps. */
int64_t cq_jail_now_s(void);

/** Index of a family in arrays of two, and of its set of clients. */
static inline int cq_jail_index(const struct cq_key *key)
{
    return key->family == 6;
}

/** The key of an address, which is not folded.
 * @param bytes  in network order, 4 or 16
 * @param set    whose family it is of */
struct cq_key cq_jail_address(const void *bytes, int set);

/** Appends to elements or, if jail->set is one of networks, to these. A client
 * that is in no packet is left out: an IPv4-mapped address.
 * @return false: no memory */
bool cq_jail_add_element(struct cq_jail *jail, const struct cq_key *key,
                         bool is_operators, int64_t expires_at_s);

/** Sorts by key, so that each is there once and none that was removed. */
void cq_jail_elements_sort(struct cq_jail_elements *elements);

/** Reads the rules of nft and of iptables-nft that refer to the jail's sets:
 * bits, rule_s, dropped_packets. The kernel does not show those of
 * iptables-legacy. A set that no rule refers to is masked as the rules of
 * conf/ do it.
 * @param family  NFPROTO_..., of the table
 * @param table   of nft, or NULL: all tables, for lists of xt_recent
 * @return 0 or an errno, the jail is then as without a rule */
int cq_jail_read_rules(struct cq_jail *jail, uint8_t family, const char *table);

#endif
