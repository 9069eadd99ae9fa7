/* deny - files that name addresses: old .htaccess files and plain lists.
 *
 * Three forms may stand in one file:
 *     Deny from 192.0.2.7 198.51.100.0/24 10.1 10.1.0.0/255.255.0.0
 *     Require not ip 192.0.2.7 2001:db8::/32
 *     192.0.2.7            one address or network, also with a comment # here
 * Other directives of httpd and its section tags are passed over. */
#ifndef CQ_SYNC_DENY_H
#define CQ_SYNC_DENY_H

#include "core/status.h"
#include "sync/keys.h"
#include "sync/say.h"

enum deny_form {
    DENY_ANY_FORM,      /* --deny-file */
    DENY_PLAIN_ONLY     /* --never-file */
};

/* A file above this is no list that somebody keeps: 64 MiB hold four million
 * addresses. */
#define DENY_SIZE_MAX (INT64_C(64) << 20)

/* Lines of one file that are complained of by themselves; the rest is
 * counted in one sentence. */
#define DENY_COMPLAINTS_MAX 20

/** Reads a file. A line that can't be understood is said, with file, line and
 * why, and the others are used; what httpd understands and a jail can't hold
 * (all, names, env=) is noted with -v.
 * @param list  the file's addresses, in order, each once; untouched on failure
 * @return CQ_OK; CQ_ENOENT, CQ_EACCES, CQ_EIO, CQ_ERANGE (too large),
 *         CQ_ENOMEM, after one sentence */
enum cq_status deny_read(const char *path, enum deny_form form,
                         struct key_list *list, struct say *say);

/** The same from memory.
 * @param path  stands in the sentences
 * @return CQ_OK or CQ_ENOMEM; on failure the list is untouched */
enum cq_status deny_parse(const char *path, const char *text, size_t size,
                          enum deny_form form, struct key_list *list,
                          struct say *say);

/** Reads one address as httpd's "Deny from" and "Require ip" do: whole,
 * partial ("10.1"), with a prefix or a netmask; bits behind the prefix are cut
 * off.
 * @param why  on failure a static clause; untouched otherwise
 * @return CQ_OK or CQ_EINVAL */
enum cq_status deny_address(const char *word, struct cq_key *key,
                            const char **why);

#endif
