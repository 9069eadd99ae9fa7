/* jail - a place in the kernel that drops new connections of an address.
 *
 * Three kinds behind one interface: an xt_recent list, nft sets, ipset sets.
 * A jail lists what is in it and carries out a plan; who belongs in it is
 * none of its business (plan.h). One process, one thread. */
#ifndef CQ_SYNC_JAIL_H
#define CQ_SYNC_JAIL_H

#include "core/key.h"

#include <stddef.h>
#include <stdint.h>

/* Why something with a jail failed, by the contract's exit codes. */
enum jail_status {
    JAIL_OK = 0,
    JAIL_PARTLY = 1,        /* some addresses could not be put in or out */
    JAIL_USAGE = 2,         /* the words after --jail */
    JAIL_MISSING = 3,       /* its list or set does not exist, or is of a
                             * type that holds no addresses */
    JAIL_NOT_PERMITTED = 4,
    JAIL_READ_ONLY = 5      /* /proc is mounted read-only */
};

/* one sentence fits: what, where, what was expected, an example */
#define JAIL_WHY_SIZE 512

struct jail_why {
    char text[JAIL_WHY_SIZE];
};

#define JAIL_NO_EXPIRY INT64_C(-1)

struct jail_present {
    struct cq_key key;      /* a network where the jail holds networks */
    int64_t expires_in_s;   /* JAIL_NO_EXPIRY: not known, or never */
};

/* what is in a jail, ordered by cq_key_compare(), each key once */
struct jail_listing {
    struct jail_present *entries;   /* malloc'd; jail_listing_free() */
    size_t count;
};

enum jail_op {
    JAIL_ADD,
    JAIL_RENEW,             /* it is there: its lease begins anew */
    JAIL_REMOVE             /* that it is gone already is no failure */
};

struct jail_change {
    enum jail_op op;
    struct cq_key key;
    bool failed;            /* set by apply */
};

/* what --status shows */
struct jail_figures {
    int64_t places_v4;      /* -1: no limit */
    int64_t places_v6;
    bool shared_places;     /* places_v4 are for both families together */
    int64_t dropped_packets;    /* -1: the kernel does not tell */
    int64_t dropped_bytes;
    const char *how_to_raise;   /* what to do when places are short, a
                                 * clause; static */
};

struct jail;

struct jail_kind {
    const char *name;       /* "recent", "nft", "ipset": before the colon */

    /** Reads what stands after the colon; touches nothing. Called by
     * jail_parse(), which fills in kind and spec.
     * @param jail  result: malloc'd, to be closed
     * @return JAIL_OK or JAIL_USAGE with a sentence */
    enum jail_status (*parse)(const char *spec, struct jail **jail,
                              struct jail_why *why);

    /** Opens or, after an error, opens anew.
     * @param to_write  false: only list() and figures() will be called, and
     *                  less is needed
     * @return JAIL_OK, MISSING, NOT_PERMITTED, READ_ONLY */
    enum jail_status (*open)(struct jail *jail, bool to_write,
                             struct jail_why *why);

    /** NULL if the jail can hold this key, else a clause that tells why not
     * ("holds single addresses, no networks"). After open. */
    const char *(*cannot_hold)(const struct jail *jail,
                               const struct cq_key *key);

    /** Lists what is in it, as far as it could have been put in through a
     * jail. On failure the listing is empty. */
    enum jail_status (*list)(struct jail *jail, struct jail_listing *listing,
                             struct jail_why *why);

    /** Carries out changes, all of which it can hold, as few steps as it can;
     * a step that fails marks its changes and does not keep the others from
     * being done.
     * @param lease_s  how long an address stays without being renewed, where
     *                 that is the jail's to say; >= 1
     * @return JAIL_OK; JAIL_PARTLY with the first reason; another status when
     *         the jail has gone and nothing more could be done */
    enum jail_status (*apply)(struct jail *jail, struct jail_change *changes,
                              size_t count, int64_t lease_s,
                              struct jail_why *why);

    /** Empties it, whoever put them in (--flush). */
    enum jail_status (*flush)(struct jail *jail, struct jail_why *why);

    /** Tells places, and what was dropped.
     * @param drops  false: that is not asked for and reads -1, which may be
     *               much cheaper */
    enum jail_status (*figures)(struct jail *jail, bool drops,
                                struct jail_figures *figures,
                                struct jail_why *why);

    /** Frees it; what is in the kernel stays. NULL does nothing. */
    void (*close)(struct jail *jail);
};

/* every kind's struct begins with this */
struct jail {
    const struct jail_kind *kind;
    char *spec;             /* as given, e.g. "recent:DenyAccessClamAV" */
};

extern const struct jail_kind jail_recent;
extern const struct jail_kind jail_nft;
extern const struct jail_kind jail_ipset;

/** Finds the kind by what stands before the colon and parses the rest.
 * @param jail  result: to be closed; untouched on failure
 * @return JAIL_OK or JAIL_USAGE with a sentence */
enum jail_status jail_parse(const char *spec, struct jail **jail,
                            struct jail_why *why);

void jail_listing_free(struct jail_listing *listing);

/** Puts a listing in order and drops what stands twice, for list(). */
void jail_listing_sort(struct jail_listing *listing);

/** Writes a sentence and returns the status, so that a failure is one line
 * where it happens. */
enum jail_status jail_fail(struct jail_why *why, enum jail_status status,
                           const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
