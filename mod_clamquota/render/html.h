/* html - the parts that our HTML pages are made of. */
#ifndef CQ_HTML_H
#define CQ_HTML_H

#include "render/link.h"
#include "render/words.h"

/** The content of the operator's page's style element. */
void cq_html_style(struct cq_writer *writer);

/** "Month, day 23 of 30", and when which counters start anew. */
void cq_html_period(struct cq_writer *writer, const struct cq_period *period,
                    int day, int64_t next_day_s, int64_t now_s);

/** A badge with the word of a state. */
void cq_html_state(struct cq_writer *writer, enum cq_state state);

/** A meter element: used of allowance, which is > 0. */
void cq_html_meter(struct cq_writer *writer, int64_t used,
                   int64_t allowance);

/** A section with the bar plots of the last hours. */
void cq_html_history(struct cq_writer *writer, const struct cq_view *view);

/** A section with the nodes and servers of a cluster. */
void cq_html_cluster(struct cq_writer *writer,
                     const struct cq_cluster_status *cluster, int64_t now_s);

/** A section with the filter form and the table of clients. */
void cq_html_clients(struct cq_writer *writer, const struct cq_view *view);

#endif
