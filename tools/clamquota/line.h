/* line - the column that the module would have counted a response in, by its
 * line in an access log. */
#ifndef CQ_CLAMQUOTA_LINE_H
#define CQ_CLAMQUOTA_LINE_H

#include "log/log.h"

#include <regex.h>

enum cq_line_column {
    CQ_LINE_USED,           /* counted, and refused to a client over quota */
    CQ_LINE_FREE,           /* counted apart, never refused */
    CQ_LINE_SMALL_RANGE     /* free while ClamQuotaFreeRangeDaily lasts */
};

/* ClamQuotaFreeRange and ClamQuotaFreeRangeDaily, their defaults */
#define CQ_LINE_RANGE_BYTES INT64_C(4096)
#define CQ_LINE_RANGE_DAILY_BYTES (INT64_C(10) << 20)

/** The column of a line. A line without a status is a whole response.
 * @param free  paths that ClamQuotaFree covers; NULL: none */
enum cq_line_column cq_line_find_column(const struct cq_log_record *line,
                                        const regex_t *free);

#endif
