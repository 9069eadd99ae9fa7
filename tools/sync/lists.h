/* lists - the deny and never files: what they say, kept for as long as this
 * process lives, so that a file that cannot be read changes nothing. */
#ifndef CQ_SYNC_LISTS_H
#define CQ_SYNC_LISTS_H

#include "cli/options.h"
#include "sync/deny.h"

#include <sys/stat.h>

/* A file above this is no list that a person keeps: 64 MiB hold four million
 * addresses. */
#define CQ_LIST_SIZE_MAX (INT64_C(64) << 20)

/* Editors truncate a file and write it anew: one that changed less than this
 * time ago is not read yet. */
#define CQ_LIST_QUIET_MS 1000

struct cq_list {
    const char *path;           /* the caller's */
    enum cq_deny_form form;
    struct cq_deny_list entries;
    bool is_known;              /* it was read, now or before */
    struct stat st;             /* of the file that entries are from */
};

/* All zero bytes: none. */
struct cq_lists {
    struct cq_list *files;      /* deny files in the options' order, then never
                                 * files */
    size_t deny_n;
    size_t count;
    bool is_restless;           /* one of them is being written: read again
                                 * soon */
};

/** Makes lists of the files' names, nothing read yet.
 * @return false: out of memory */
bool cq_lists_open(struct cq_lists *lists, const struct cq_texts *deny,
                   const struct cq_texts *never);

/** Reads what has changed. A file that cannot be read is trouble; what it said
 * before stays.
 * @param waits  for a file that is just being written: until it is at rest, at
 *               most two seconds; else it is read at the next call
 * @return true: something may be different */
bool cq_lists_read(struct cq_lists *lists, bool waits, struct cq_say *say);

/** Is each deny file (or each never file) known, so that what none of them
 * names can be acted on? */
bool cq_lists_know_denied(const struct cq_lists *lists);
bool cq_lists_know_never(const struct cq_lists *lists);

void cq_lists_close(struct cq_lists *lists);

#endif
