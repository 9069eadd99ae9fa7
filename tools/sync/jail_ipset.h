/* jail_ipset - two sets of ipset, through its program. */
#ifndef CQ_SYNC_JAIL_IPSET_H
#define CQ_SYNC_JAIL_IPSET_H

#include "sync/jail_parts.h"

/* IPSET_MAXNAMELEN 32 with its NUL, linux/netfilter/ipset/ip_set.h */
#define IPSET_NAME_LONGEST 31
#define IPSET_NAME_ALSO "-.:"

/* ipset(8): the largest timeout, UINT_MAX milliseconds and a bit */
#define IPSET_TIMEOUT_MAX_S 2147483

struct ipset_set {
    char name[IPSET_NAME_LONGEST + 1];  /* "": not named */
    uint8_t family;             /* 4 or 6 */
    bool holds_networks;        /* hash:net; else hash:ip */
    uint8_t bits;               /* of hash:ip: its netmask, or all */
    bool has_timeouts;
    int64_t maxelem;
    bool full;                  /* an addition has just failed for that */
};

struct ipset {
    struct jail jail;
    struct ipset_set sets[2];   /* of IPv4, of IPv6 */
};

struct ipset_result {
    struct jail_text output;    /* jail_text_free() */
    size_t line;                /* of the input that failed, from 1; 0: none */
    bool full;                  /* because the set is */
};

/** Runs the program and waits for its end.
 * @param argv    its words, ending with NULL; argv[0] is "ipset"
 * @param input   what it reads, `length` bytes
 * @param result  filled in also on failure
 * @return JAIL_OK; JAIL_MISSING (the set, or the program), NOT_PERMITTED, or
 *         PARTLY with ipset's own words */
enum jail_status ipset_run(char *const argv[], const char *input,
                           size_t length, struct ipset_result *result,
                           struct jail_why *why);

/** Reads a set's type and options. */
enum jail_status ipset_read_header(struct ipset_set *set,
                                   struct jail_why *why);

/** Puts what is in a set into a listing. */
enum jail_status ipset_read_set(const struct ipset_set *set,
                                struct jail_listing *listing, size_t *room,
                                struct jail_why *why);

#endif
