/* link - the page's links to itself.
 *
 * A link keeps what the operator has asked for and changes one thing; what is
 * at its default is left out. */
#ifndef CQ_LINK_H
#define CQ_LINK_H

#include "render/write.h"

/* what a link leads to; starts as what the view shows */
struct cq_link {
    const char *self;
    const char *format;     /* "json", "auto", "openmetrics"; NULL: HTML */
    struct cq_query query;
    int refresh_s;
    const char *change;     /* an action that is to be asked for; NULL: none */
    const char *on;         /* of this client or network */
};

/** A link to the very page that the view is. */
struct cq_link cq_link_find(const struct cq_view *view);

/** Writes the link as the value of an attribute, without the quotes. */
void cq_link_write(struct cq_writer *writer, const struct cq_link *link);

/** The client as ?client= takes it: ADDR for a whole address, else a CIDR.
 * @param text  CQ_KEY_TEXT_SIZE is enough
 * @return text */
const char *cq_link_client(const struct cq_key *client, char *text,
                           size_t size);

#endif
