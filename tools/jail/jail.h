/* jail - lists in the kernel whose addresses get no new connections.
 *
 * Three kinds behind one interface: an xt_recent list, nft sets, ipset sets.
 * The caller decides which clients belong in a jail; the jail lists what it
 * holds and carries out changes. It holds
 *     clients   with a lease; one that is a network (an IPv6 /64) as its
 *               network address: the firewall rule masks the source address
 *     networks  of deny files, without a lease; only nft has sets for them
 *
 * Knows core only. One process, one thread. */
#ifndef CQ_JAIL_H
#define CQ_JAIL_H

#include "core/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values are the exit codes of clamquota-sync. */
enum cq_jail_status {
    CQ_JAIL_OK = 0,
    CQ_JAIL_PARTLY = 1,         /* some of it failed, e.g. the set is full or
                                 * others changed it three times meanwhile;
                                 * the next look tries again */
    CQ_JAIL_USAGE = 2,          /* malformed spec */
    CQ_JAIL_MISSING = 3,        /* a list or set does not exist, or cannot be
                                 * used as it was made */
    CQ_JAIL_NOT_PERMITTED = 4,
    CQ_JAIL_READ_ONLY = 5       /* /proc is mounted read-only */
};

/* One sentence: what, where, what was expected, an example. Only written when
 * the status is not CQ_JAIL_OK. */
struct cq_jail_why {
    char text[512];
};

enum cq_jail_access {
    CQ_JAIL_READ,       /* all but cq_jail_apply() and cq_jail_deny() */
    CQ_JAIL_WRITE
};

#define CQ_JAIL_PERMANENT INT64_MAX

struct cq_jail_element {
    struct cq_key key;          /* an address: prefix 32 or 128 */
    bool is_operators;          /* without a time-out, or with one longer than
                                 * twice the lease: never change it */
    int64_t expires_at_s;       /* CLOCK_MONOTONIC; CQ_JAIL_PERMANENT */
};

enum cq_jail_op {
    CQ_JAIL_ADD,        /* not in the last listing */
    CQ_JAIL_RENEW,      /* in the last listing: its lease starts anew */
    CQ_JAIL_REMOVE      /* no failure if it is gone already */
};

struct cq_jail_change {
    struct cq_key key;          /* from cq_jail_element_key() */
    enum cq_jail_op op;
    bool has_failed;            /* set by cq_jail_apply() */
};

/* Valid until the next call with the jail. */
struct cq_jail_contents {
    const struct cq_jail_element *elements;     /* clients */
    size_t element_n;
    const struct cq_jail_element *networks;     /* of deny files: the key is
                                                 * the network */
    size_t network_n;
    int64_t capacity_v4;        /* elements; -1: no limit */
    int64_t capacity_v6;        /* 0: no list for IPv6 */
    bool shares_capacity;       /* capacity_v4 is for both families together */
    int64_t dropped_packets;    /* by the rules that refer to it; -1: no rule
                                 * is known */
    const char *how_to_raise;   /* the capacity; a clause, static */
};

struct cq_jail;

/** Reads a spec such as "recent:DenyAccessClamAV", "ipset:a4,a6" or
 * "nft:inet/clamquota/jail4,jail6,deny4,deny6". Touches nothing else.
 * @param lease_s  how long an element stays without being renewed; more than
 *                 4,294,967 s, which ipset holds, is taken as that
 * @param jail  result, to be freed by cq_jail_close(); untouched on failure
 * @return CQ_JAIL_OK or CQ_JAIL_USAGE */
enum cq_jail_status cq_jail_parse(const char *spec, enum cq_jail_access access,
                                  int64_t lease_s, struct cq_jail **jail,
                                  struct cq_jail_why *why);

/** The spec as it was given. */
const char *cq_jail_spec(const struct cq_jail *jail);

/** The element that stands for a client: the first address of its network. */
struct cq_key cq_jail_element_key(const struct cq_key *client);

/** Whether this client can be an element of the jail.
 * @param client  with its prefix, before cq_jail_element_key()
 * @return NULL if so, else a static clause that follows the spec in a
 *         sentence, e.g. "holds IPv6 only in a second set (...)" */
const char *cq_jail_cannot_hold(const struct cq_jail *jail,
                                const struct cq_key *client);

/** Whether this network, or IPv6 address, of a deny file can be one of the
 * jail's networks. (An IPv6 address must not be a client where the rules mask
 * to /64; a single IPv4 address can be either.)
 * @return as cq_jail_cannot_hold() */
const char *cq_jail_cannot_deny(const struct cq_jail *jail,
                                const struct cq_key *network);

/** Checks that the jail exists and can be used, and lists what it holds, each
 * list ordered by cq_key_compare(), each key once, none expired (except in
 * xt_recent, where an expired one takes a place until it is removed or
 * renewed). A range of addresses that is no network stands, at its place, as
 * the one of prefix 0. Needed before everything below, and again after any of
 * it has returned more than CQ_JAIL_PARTLY.
 * @param contents  result; empty on failure
 * @return CQ_JAIL_OK, MISSING, NOT_PERMITTED, READ_ONLY; missing rights are
 *         reported before a missing list. CQ_JAIL_PARTLY: the kernel could not
 *         answer */
enum cq_jail_status cq_jail_list(struct cq_jail *jail,
                                 struct cq_jail_contents *contents,
                                 struct cq_jail_why *why);

/** Carries out changes to the last listing, with the lease as their time-out;
 * one that fails does not keep the others from being done. Put removals first:
 * a full list then has room. Never turns out an element to make room.
 * @return CQ_JAIL_OK; CQ_JAIL_PARTLY with the first reason: has_failed is set
 *         in those changes that were not made; above that, no further change
 *         was tried, and has_failed is set likewise */
enum cq_jail_status cq_jail_apply(struct cq_jail *jail,
                                  struct cq_jail_change *changes, size_t count,
                                  struct cq_jail_why *why);

/** Replaces the networks, all of them, in one transaction as long as that fits
 * into what the socket takes. Not needed if it holds just them.
 * @param networks  ordered by cq_key_compare(), none inside another, all of
 *                  them accepted by cq_jail_cannot_deny()
 * @return CQ_JAIL_OK; CQ_JAIL_PARTLY: they are as they were; or any of
 *         cq_jail_list()'s */
enum cq_jail_status cq_jail_deny(struct cq_jail *jail,
                                 const struct cq_key *networks, size_t count,
                                 struct cq_jail_why *why);

/** Whether another program may have changed the jail since the last listing or
 * change through it. Costs one question to the kernel (some us): ask often.
 * xt_recent: only whether a list was deleted or made anew; ipset: never.
 * @return true: list again. Errors count as true; listing reports them */
bool cq_jail_has_changed(struct cq_jail *jail);

/** Frees it; the kernel's lists stay as they are. NULL does nothing. */
void cq_jail_close(struct cq_jail *jail);

#endif
