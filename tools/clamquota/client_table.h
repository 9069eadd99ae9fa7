/* client_table - clients of a view as a table for people. */
#ifndef CQ_CLAMQUOTA_CLIENT_TABLE_H
#define CQ_CLAMQUOTA_CLIENT_TABLE_H

#include "cli/output.h"

/** Prints the clients of a view, or its networks, and two lines of totals.
 * @return false: no memory */
bool cq_client_table(const struct cq_view *view, struct cq_output *output);

#endif
