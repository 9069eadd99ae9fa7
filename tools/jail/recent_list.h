/* recent_list - one file of /proc/net/xt_recent: open, read, one command. */
#ifndef CQ_RECENT_LIST_H
#define CQ_RECENT_LIST_H

#include "jail/kind.h"

#include <sys/types.h>

/* XT_RECENT_NAME_LEN 200 with its NUL, linux/netfilter/xt_recent.h */
#define CQ_RECENT_NAME_SIZE 200

struct cq_recent_list {
    char name[CQ_RECENT_NAME_SIZE];     /* "": there is none */
    char path[32 + CQ_RECENT_NAME_SIZE];
    int fd;                 /* -1: not open */
    ino_t inode;            /* of fd */
    int64_t count;          /* entries, of any program */
};

/** Opens it, or opens it anew. */
enum cq_jail_status cq_recent_open(struct cq_recent_list *list,
                                   enum cq_jail_access access,
                                   struct cq_jail_why *why);

/** Whether the kernel has another list of that name by now. */
bool cq_recent_is_stale(const struct cq_recent_list *list);

/** Calls `entry` for each entry of the list, and counts them.
 * @param bytes        of the address, 4 or 16 by family 4 or 6
 * @param last_seen    jiffies of the youngest stamp
 * @param entry        returns false for lack of memory */
enum cq_jail_status cq_recent_read(struct cq_recent_list *list,
                                   bool (*entry)(void *data, const void *bytes,
                                                 int family,
                                                 uint64_t last_seen),
                                   void *data, struct cq_jail_why *why);

/** Writes '+' or '-' and an address. */
enum cq_jail_status cq_recent_write(const struct cq_recent_list *list,
                                    char sign, const struct cq_key *key,
                                    struct cq_jail_why *why);

void cq_recent_close(struct cq_recent_list *list);

#endif
