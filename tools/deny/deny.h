/* deny - files that name addresses: a deny file those to shut out, a never file
 * those not to.
 *
 * Three forms of line may stand in one deny file:
 *     Deny from 192.0.2.7 198.51.100.0/24 10.1 10.1.0.0/255.255.0.0
 *     Require not ip 192.0.2.7 2001:db8::/32
 *     192.0.2.7            one address or network, also with a comment # here
 * Other directives of httpd are passed over. A line that httpd may not apply to
 * every request is reported and left out, never guessed at: one inside of a
 * section such as <Files>, <Limit> or <If>, or beside an Allow or Satisfy that
 * may lift it. A never file has lines of the third form only.
 *
 * Knows core only. One thread. */
#ifndef CQ_DENY_H
#define CQ_DENY_H

#include "core/key.h"

enum cq_deny_form {
    CQ_DENY_FILE,
    CQ_NEVER_FILE
};

/* A file above this is no list that a person keeps: 64 MiB hold four million
 * addresses. */
#define CQ_DENY_SIZE_MAX (INT64_C(64) << 20)

/* Editors truncate a file and write it anew: one that changed less than this
 * time ago is not read yet. */
#define CQ_DENY_QUIET_MS 1000

/* Lines of one file that are complained of by themselves; the rest is counted
 * in one sentence. */
#define CQ_DENY_COMPLAINTS_MAX 20

/* a sentence with a path in it fits; longer ones are cut */
#define CQ_DENY_SENTENCE_SIZE 1024

/* an address or a network that a file names */
struct cq_deny_entry {
    struct cq_key net;
    uint32_t line;              /* from 1 */
};

/* All zero bytes: empty. */
struct cq_deny_list {
    struct cq_deny_entry *entries;      /* in any order; malloc'd */
    size_t count;
    size_t capacity;
};

enum cq_deny_finding {
    CQ_DENY_WRONG,              /* a line or a word cannot be understood; the
                                 * rest of the file is used */
    CQ_DENY_LEFT_OUT,           /* a line may not hold for every request */
    CQ_DENY_NOTE                /* httpd understands a word, and a jail cannot
                                 * hold it: all, names, env= */
};

/** Gets what is found, one sentence each, which names file and line and may
 * hold any byte of the file. */
typedef void cq_deny_report(void *baton, enum cq_deny_finding finding,
                            const char *sentence);

/** Reads a file. Waits for one that is just being written until it is at rest,
 * at most two seconds or until a signal comes.
 * @param list    result, replaced: the third form, "Require not ip", "Deny
 *                from", each in the order of the file; untouched on failure
 * @param report  may be NULL
 * @param why     on failure a clause: "No such file or directory"; valid until
 *                the next call of strerror()
 * @return true: it was read, whatever was reported of its lines */
bool cq_deny_read(const char *path, enum cq_deny_form form,
                  struct cq_deny_list *list, cq_deny_report *report,
                  void *baton, const char **why);

/** The same for a text in memory.
 * @param path  stands in the sentences
 * @return CQ_OK or CQ_ENOMEM */
enum cq_status cq_deny_parse(const char *path, const char *text, size_t size,
                             enum cq_deny_form form,
                             struct cq_deny_list *list,
                             cq_deny_report *report, void *baton);

/** The entry with the longest prefix that holds the whole of a client, of
 * several the one in the first line; NULL: the file does not name it. */
const struct cq_deny_entry *cq_deny_find(const struct cq_deny_list *list,
                                         const struct cq_key *client);

/** Appends.
 * @return false: no memory */
bool cq_deny_add(struct cq_deny_list *list, const struct cq_deny_entry *entry);

void cq_deny_free(struct cq_deny_list *list);

/** Reads one address as httpd's "Deny from" and "Require ip" do: whole,
 * partial ("10.1"), with a prefix or a netmask; bits behind the prefix are cut
 * off. These are the forms of APR's apr_ipsubnet_create().
 * @param why   on failure a static clause; untouched otherwise
 * @return CQ_OK or CQ_EINVAL */
enum cq_status cq_deny_address(const char *word, struct cq_key *key,
                               const char **why);

#endif
