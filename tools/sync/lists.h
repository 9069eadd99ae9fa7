/* lists - the deny and never files: what they say, kept for as long as this
 * process lives, so that a file that cannot be read changes nothing. */
#ifndef CQ_SYNC_LISTS_H
#define CQ_SYNC_LISTS_H

#include "cli/options.h"
#include "cli/say.h"
#include "deny/deny.h"

struct cq_list {
    const char *path;           /* the caller's */
    enum cq_deny_form form;
    struct cq_deny_list entries;
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

/** Reads the files (cq_deny_read()). One that cannot be read is trouble; what
 * it said before stays. */
void cq_lists_read(struct cq_lists *lists, struct cq_say *say);

/** Is each file of this form known, so that what none of them names can be
 * acted on? */
bool cq_lists_know(const struct cq_lists *lists, enum cq_deny_form form);

void cq_lists_close(struct cq_lists *lists);

#endif
