/* target - the clients that a subcommand is for: ADDR or CIDR, and the question
 * before more than one of them is changed. */
#ifndef CQ_CLAMQUOTA_TARGET_H
#define CQ_CLAMQUOTA_TARGET_H

#include "clamquota/look.h"

/** Reads an operand, before the table is there.
 * @param text  NULL: it is missing
 * @return false after a sentence: exit 2 */
bool cq_target_read(struct cq_look *look, const char *text,
                    struct cq_key *net);

/** Is it one client of this table? Then it is cut to it.
 * @param net  from cq_target_read(); updated */
bool cq_target_is_client(const struct cq_look *look, struct cq_key *net);

/** Counts the clients of this period in a network.
 * @return as cq_look_collect() */
enum cq_exit cq_target_count_clients(struct cq_look *look,
                                     const struct cq_key *net,
                                     int64_t *clients);

/** Asks on the terminal whether to go on.
 * @return CQ_EXIT_DONE: go on; CQ_EXIT_PARTLY: no; CQ_EXIT_USAGE: there is no
 *         terminal. After a sentence */
enum cq_exit cq_target_ask(struct cq_look *look, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
