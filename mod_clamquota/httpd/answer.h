/* answer - how the operator's page, its changes and a client's own page reach
 * the client: what page.c, change.c and me.c have in common. */
#ifndef CQ_HTTPD_ANSWER_H
#define CQ_HTTPD_ANSWER_H

#include "httpd/private.h"
#include "render/collect.h"
#include "render/view.h"

/** An answer of one sentence, or the operator's ErrorDocument instead.
 * @return as a handler */
int cq_page_answer(request_rec *r, int status, const char *sentence);

/** The path of this page, for links and Location. */
const char *cq_page_path(const request_rec *r);

/** Where renderers write: the response. */
struct cq_sink cq_page_sink(request_rec *r);

/** Memory for as long as the request lasts. */
struct cq_arena cq_page_arena(const request_rec *r);

#endif
