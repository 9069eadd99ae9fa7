/* guard - a lost page of a mapped table kills no process.
 *
 * A file that is cut short, overwritten or on a disk that is full (btrfs, a
 * reflinked copy on xfs) answers an access with SIGBUS. The handler here puts
 * zeros in the place of what was lost and notes it; cq_table_health() then
 * reports CQ_HEALTH_LOST and no account is opened any more. Opening and
 * attaching guard a table, closing ends that. Only two moments are left to
 * the caller: after others replaced the process's handlers (httpd does at each
 * start), and before the code is unloaded. */
#ifndef CQ_GUARD_H
#define CQ_GUARD_H

#include "table/table.h"

/** Guards this process against lost pages of a table; may be called again at
 * any time, and costs one system call then. The handler belongs to the
 * process: call it in each one that keeps a mapping and may have had its
 * handlers replaced. Not for two threads at once. */
void cq_table_guard(struct cq_table *table);

/** Ends it; the mapping stays. With the last table the handler that was there
 * before comes back, unless ours was replaced meanwhile. Call it before
 * the code of this library is unloaded while a table stays mapped. */
void cq_table_unguard(struct cq_table *table);

#endif
