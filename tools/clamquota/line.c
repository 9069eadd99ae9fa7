/* line - the column of a line, as in mod_clamquota.5's table. */
#include "clamquota/line.h"

#include <string.h>

/* Of a 206's bytes by %O these may be its head. */
#define HEAD_BYTES 512

static bool is_free_path(const struct cq_log_text *path, const regex_t *free)
{
    regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)path->length };

    /* glibc, musl and the BSDs: a text without a NUL */
    return regexec(free, path->at, 1, &range, REG_STARTEND) == 0;
}

enum cq_line_column cq_line_find_column(const struct cq_log_record *line,
                                        const regex_t *free)
{
    int64_t body_bytes = line->body_bytes >= 0 ? line->body_bytes
                                               : line->bytes - HEAD_BYTES;

    if ((line->status >= 300 && line->status <= 599)
        || (line->status >= 100 && line->status < 200) || line->status == 204
        || (line->method.length == 4 && memcmp(line->method.at, "HEAD", 4) == 0)
        || (free != NULL && line->path.length > 0
            && is_free_path(&line->path, free))) {
        return CQ_LINE_FREE;
    }
    return line->status == 206 && body_bytes <= CQ_LINE_RANGE_BYTES
        ? CQ_LINE_SMALL_RANGE : CQ_LINE_USED;
}
