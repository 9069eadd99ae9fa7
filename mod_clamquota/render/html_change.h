/* html_change - the page that asks before something is changed, and the line
 * that says that it was. */
#ifndef CQ_HTML_CHANGE_H
#define CQ_HTML_CHANGE_H

#include "render/html.h"

/* how long an exemption lasts, as a form has it at first and at most */
#define CQ_CHANGE_FOR "1w"
#define CQ_CHANGE_FOR_S (INT64_C(7) * 86400)
#define CQ_CHANGE_FOR_MAX_S (INT64_C(366) * 86400)

/** "reset", "exempt", "unexempt". */
const char *cq_change_action_word(enum cq_change_action action);

/** @param text  may be NULL
 * @return false: it is none of them */
bool cq_change_action_parse(const char *text, enum cq_change_action *action);

struct cq_change_form {
    enum cq_change_action action;
    struct cq_key net;
    struct cq_prefixes prefixes;    /* of the table */
    const char *self;           /* the page's own path, decoded */
    const char *query;          /* of the page to return to; "" for none */
    const char *lasts;          /* of an exemption, as it was typed */
    const char *nonce;          /* of the style element; NULL: none is made */
};

/** A complete HTML5 page with the one form that does it, and a way back. */
void cq_render_change_form(const struct cq_change_form *form,
                           const struct cq_sink *sink);

/** A paragraph, class "done", for the top of the page. */
void cq_html_done(struct cq_writer *writer, enum cq_change_action action,
                  const struct cq_key *net);

#endif
