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

/** Badges of all that holds for a client: its state, near, jailed, copies. */
void cq_html_badges(struct cq_writer *writer,
                    const struct cq_view_client *client);

/** Links to the pages that reset and exempt a client. */
void cq_html_change_links(struct cq_writer *writer, const struct cq_view *view,
                          const struct cq_view_client *client);

/** A table of files whose copies are used up. */
void cq_html_copies(struct cq_writer *writer,
                    const struct cq_view_copy *copies, size_t count,
                    int64_t next_day_s);

/** Sections for the client that was asked for; none where it was not one. */
void cq_html_client(struct cq_writer *writer, const struct cq_view *view);

/** A section with the kernel's list; there is one. */
void cq_html_jail(struct cq_writer *writer, const struct cq_view *view);

/** A section with what is exempt for a time; something is. */
void cq_html_exemptions(struct cq_writer *writer, const struct cq_view *view);

/** The title of the column that this sorts by. */
const char *cq_html_sort_title(enum cq_sort sort);

/** The form and the links above the table. */
void cq_html_filter(struct cq_writer *writer, const struct cq_view *view);

/** Links to the pages beside this one; nothing if it is the only one. */
void cq_html_paging(struct cq_writer *writer, const struct cq_view *view,
                    int64_t shown, int64_t matched);

/** The table of networks. */
void cq_html_networks(struct cq_writer *writer, const struct cq_view *view);

/** A meter element: used of allowance, which is > 0. */
void cq_html_meter(struct cq_writer *writer, int64_t used,
                   int64_t allowance);

/** A section with plots of the last hours and days. */
void cq_html_history(struct cq_writer *writer, const struct cq_view *view);

/** A section with the nodes and servers of a cluster. */
void cq_html_cluster(struct cq_writer *writer,
                     const struct cq_cluster_status *cluster, int64_t now_s);

/** A section with filters, paging and the table of clients or networks. */
void cq_html_clients(struct cq_writer *writer, const struct cq_view *view);

#endif
