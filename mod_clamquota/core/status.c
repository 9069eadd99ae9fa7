/* status - the words of the results, for the middle of a sentence.
 *
 * Owns only these words; what a caller says around them is the caller's. */
#include "core/status.h"

const char *cq_status_word(enum cq_status status)
{
    /* No default: the compiler names a status that was forgotten here. */
    switch (status) {
    case CQ_OK:
        return "ok";
    case CQ_EINVAL:
        return "malformed";
    case CQ_ERANGE:
        return "out of range";
    case CQ_EDUP:
        return "exists already";
    case CQ_ENOENT:
        return "does not exist";
    case CQ_EFULL:
        return "full";
    case CQ_ENOMEM:
        return "out of memory";
    case CQ_EIO:
        return "input/output error";
    case CQ_EACCES:
        return "not permitted";
    case CQ_ELOCKED:
        return "in use by another server";
    case CQ_ENOTTABLE:
        return "not a table";
    case CQ_EVERSION:
        return "of a newer version";
    case CQ_ECORRUPT:
        return "damaged";
    }
    return "unknown";
}
