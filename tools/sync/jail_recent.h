/* jail_recent - one list of xt_recent as a file, and the jail of one or two. */
#ifndef CQ_SYNC_JAIL_RECENT_H
#define CQ_SYNC_JAIL_RECENT_H

#include "sync/jail_parts.h"

/* XT_RECENT_NAME_LEN 200 with its NUL, linux/netfilter/xt_recent.h; the name
 * becomes a path, so it has no slash and does not begin with a dot */
#define RECENT_NAME_LONGEST 199
#define RECENT_NAME_ALSO "-."

#define RECENT_BITS_DEFAULT 64      /* ClamQuotaPrefix 32 64 */

struct recent_list {
    char path[sizeof("/proc/net/xt_recent/") + RECENT_NAME_LONGEST];
                            /* "": there is none */
    int fd;                 /* -1: not open */
    uint8_t bits;           /* 0: single addresses; else networks of so many */
    int64_t taken;          /* places that are taken, whoever took them; -1:
                             * not counted yet */
    bool changed;           /* since it was counted */
};

struct recent {
    struct jail jail;
    struct recent_list addresses;
    struct recent_list networks;
    bool to_write;
    int64_t places;         /* of each list */
    char other_bits[64];    /* a clause for cannot_hold() */
};

/** Makes an unopened list; name NULL: one that does not exist. */
void recent_list_name(struct recent_list *list, const char *name, size_t len);

/** Opens it, or opens it anew. */
enum jail_status recent_list_open(struct recent_list *list, bool to_write,
                                  struct jail_why *why);

/** Reads the list, counts it, and puts what could be ours into a listing,
 * which may be NULL. Opens it once more where it was deleted and made anew. */
enum jail_status recent_list_read(struct recent_list *list,
                                  struct jail_listing *listing, size_t *room,
                                  bool to_write, struct jail_why *why);

/** Writes one command, such as "+192.0.2.7". Opens the list once more where
 * it was deleted and made anew. */
enum jail_status recent_list_command(struct recent_list *list,
                                     const char *command,
                                     struct jail_why *why);

void recent_list_close(struct recent_list *list);

#endif
