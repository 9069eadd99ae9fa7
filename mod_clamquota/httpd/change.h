/* change - what the page changes, for page.c. */
#ifndef CQ_HTTPD_CHANGE_H
#define CQ_HTTPD_CHANGE_H

#include "httpd/private.h"
#include "render/view.h"

/** A POST to the operator's page: changes something, if it may.
 * @return as a handler */
int cq_change(request_rec *r);

/** Does a GET of the page name an action? cq_change_show_form() answers it. */
bool cq_change_is_asked(const request_rec *r);

/** Shows the form that does it.
 * @param nonce  of the style element; NULL: it has none
 * @return as a handler */
int cq_change_show_form(request_rec *r, const char *nonce);

/** What was done, as the query of a 303 says.
 * @return false: nothing */
bool cq_change_read_done(const request_rec *r, enum cq_change_action *action,
                         struct cq_key *net);

#endif
