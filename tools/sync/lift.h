/* lift - the directives of httpd beside which a "Deny from" may not hold:
 * Order, Allow, Satisfy. */
#ifndef CQ_SYNC_LIFT_H
#define CQ_SYNC_LIFT_H

#include "core/net.h"

/* All zero bytes: nothing lifts anything. */
struct cq_lift {
    struct cq_net_list allowed; /* value: the line */
    size_t allows_others;       /* line of an Allow from a name or env= */
    size_t allows_all;
    size_t satisfies_any;
    bool deny_is_last;          /* Order allow,deny: no Allow lifts a Deny */
    bool no_memory;
};

/** Cuts the next word out of a line: in quotes, or between blanks.
 * @param line  moves behind the word; the text is changed
 * @return NULL at the end of the line and at a comment */
char *cq_deny_word(char **line);

/** Reads a line if it is one of these directives.
 * @param directive  its first word
 * @param rest       what follows
 * @param line       its number
 * @return false: it is another one */
bool cq_lift_read(struct cq_lift *lift, const char *directive, char **rest,
                  size_t line);

/** To be called after the last line, before the first question. */
void cq_lift_finish(struct cq_lift *lift);

/** May "Deny from" of this address or network be lifted?
 * @param why  result, if so: a clause that names the line */
bool cq_lift_may(const struct cq_lift *lift, const struct cq_key *key,
                 char *why, size_t size);

void cq_lift_free(struct cq_lift *lift);

#endif
