/* lists - the deny and never files: what they say, kept for as long as this
 * process lives, so that a file that cannot be read changes nothing. */
#ifndef CQ_SYNC_LISTS_H
#define CQ_SYNC_LISTS_H

#include "cli/options.h"
#include "sync/deny.h"

/* A file above this is no list that a person keeps: 64 MiB hold four million
 * addresses. */
#define CQ_LIST_SIZE_MAX (INT64_C(64) << 20)

/* Editors truncate a file and write it anew: one that changed less than this
 * time ago is not read yet. */
#define CQ_LIST_QUIET_MS 1000

struct cq_list {
    const char *path;           /* the caller's */
    enum cq_deny_form form;
    struct cq_wanted_list entries;
    bool is_known;              /* it was read, now or before */
};

/* All zero bytes: none. */
struct cq_lists {
    struct cq_list *files;      /* deny files in the options' order, then never
                                 * files */
    size_t deny_n;
    size_t count;
};

/** Makes lists of the files' names, nothing read yet.
 * @return false: out of memory */
bool cq_lists_open(struct cq_lists *lists, const struct cq_texts *deny,
                   const struct cq_texts *never);

/** Reads the files. One that cannot be read is trouble; what it said before
 * stays. Waits for one that is just being written until it is at rest, at most
 * two seconds or until a signal comes; then what it said before stays, too. */
void cq_lists_read(struct cq_lists *lists, struct cq_say *say);

/** Is each file of this form known, so that what none of them names can be
 * acted on? */
bool cq_lists_know(const struct cq_lists *lists, enum cq_deny_form form);

void cq_lists_close(struct cq_lists *lists);

#endif
