/* status - the results that core, table and render report.
 *
 * One enum for all rooms below httpd, so that a caller tests one set of
 * values; its words are for a person to read in a sentence. */
#ifndef CQ_STATUS_H
#define CQ_STATUS_H

enum cq_status {
    CQ_OK = 0,
    CQ_EINVAL,      /* malformed input */
    CQ_ERANGE,      /* well-formed, but outside the range it may have */
    CQ_EDUP,        /* there already */
    CQ_ENOENT,      /* not there */
    CQ_EFULL,       /* no room left in a bounded structure */
    CQ_ENOMEM,      /* the system has no memory */
    CQ_EIO,         /* a system call failed; errno has the reason */
    CQ_EACCES,      /* not permitted */
    CQ_ELOCKED,     /* another server holds the table */
    CQ_ENOTTABLE,   /* a file, but not a table of ours */
    CQ_EVERSION,    /* a table of a newer layout */
    CQ_ECORRUPT     /* a table of ours that is damaged */
};

/** The status in a word or two, e.g. "out of range". Never NULL, also for a
 * value that is no status ("unknown"). The text is static. */
const char *cq_status_word(enum cq_status status);

#endif
