/* deny - files that name addresses: old .htaccess files and plain lists.
 *
 * Three forms may stand in one file:
 *     Deny from 192.0.2.7 198.51.100.0/24 10.1 10.1.0.0/255.255.0.0
 *     Require not ip 192.0.2.7 2001:db8::/32
 *     192.0.2.7            one address or network, also with a comment # here
 * Other directives of httpd are passed over. A line that httpd may not apply to
 * every request is reported and left out, never guessed at: one inside of a
 * section such as <Files>, <Limit> or <If>, or beside an Allow or Satisfy that
 * may lift it. */
#ifndef CQ_SYNC_DENY_H
#define CQ_SYNC_DENY_H

#include "cli/say.h"
#include "sync/wanted.h"

enum cq_deny_form {
    CQ_DENY_ANY_FORM,   /* --deny-file */
    CQ_DENY_PLAIN_ONLY  /* --never-file */
};

/* Lines of one file that are complained of by themselves; the rest is
 * counted in one sentence. */
#define CQ_DENY_COMPLAINTS_MAX 20

/** Reads a file's text. A line that cannot be understood is trouble, with
 * file, line and reason, and the others are used; an address that httpd
 * understands and a jail cannot hold (all, names, env=) is noted with -v.
 * @param path  stands in the sentences
 * @param list  result, replaced, in any order, with the lines that they are
 *              from; untouched on failure
 * @return CQ_OK or CQ_ENOMEM */
enum cq_status cq_deny_parse(const char *path, const char *text, size_t size,
                             enum cq_deny_form form,
                             struct cq_wanted_list *list, struct cq_say *say);

/** Reads one address as httpd's "Deny from" and "Require ip" do: whole,
 * partial ("10.1"), with a prefix or a netmask; bits behind the prefix are cut
 * off. These are the forms of APR's apr_ipsubnet_create().
 * @param why  on failure a static clause; untouched otherwise
 * @return CQ_OK or CQ_EINVAL */
enum cq_status cq_deny_address(const char *word, struct cq_key *key,
                               const char **why);

#endif
