/* html - the parts of the operator's page, for html.c only. */
#ifndef CQ_HTML_H
#define CQ_HTML_H

#include "render/link.h"
#include "render/words.h"

/** The content of the page's style element. */
void cq_html_style(struct cq_writer *writer);

/** A section with the bar plots of the last hours. */
void cq_html_history(struct cq_writer *writer, const struct cq_view *view);

/** A section with the filter form and the table of clients. */
void cq_html_clients(struct cq_writer *writer, const struct cq_view *view);

#endif
