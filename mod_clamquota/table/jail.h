/* jail - figures of the kernel jail that clamquota-sync leaves in a table, for
 * the page and the tools.
 *
 * Only clamquota-sync writes them; nothing that httpd decides depends on
 * them. Of two that write the same table the last one is shown. */
#ifndef CQ_TABLE_JAIL_H
#define CQ_TABLE_JAIL_H

#include "table/table.h"

#define CQ_JAIL_SPEC_SIZE 88    /* with NUL; a longer spec is cut */
#define CQ_JAIL_FILES_SIZE 232  /* with NUL */

struct cq_jail_report {
    char spec[CQ_JAIL_SPEC_SIZE];   /* as --jail has it */
    int64_t jailed;             /* addresses and networks in it */
    int64_t capacity;           /* 0: without a limit */
    int64_t dropped_packets;    /* -1: not known */
    int64_t as_of_s;            /* unix seconds, > 0 */
    char deny_files[CQ_JAIL_FILES_SIZE];    /* absolute names, a line each */
};

/** Copies the report that was written last.
 * @return false: there is none, or it is being written (or its writer was
 *         killed while it was) */
bool cq_table_jail(const struct cq_table *table,
                   struct cq_jail_report *report);

/** Appends the name of a deny file to a report, if it is absolute and there is
 * room. */
void cq_jail_report_file(struct cq_jail_report *report, const char *path);

/** The names, one after the other.
 * @param next  NULL to begin; updated
 * @param path  result
 * @return false at the end */
bool cq_jail_report_next(const struct cq_jail_report *report,
                         const char **next,
                         char path[CQ_JAIL_FILES_SIZE]);

/** Writes a report. Only into a table that is attached writable. */
void cq_table_jail_set(struct cq_table *table,
                       const struct cq_jail_report *report);

/** Marks the rows of a client, in all pools, as jailed or not, and notes their
 * refusals. Only into a table that is attached writable. A row that becomes
 * another client's at this moment may keep a wrong mark until the next look.
 * @param key  of a client; without a row nothing happens
 * @return true: it was jailed at each of the two calls before, and was refused
 *         since the last one: no rule drops its connections */
bool cq_table_mark_jailed(struct cq_table *table, const struct cq_key *key,
                          bool jailed);

/** Marks a client's row as one whose connections are closed at once
 * (ClamQuotaDropAfter), until it is not over quota any more. Once it is, costs
 * one load. */
void cq_table_mark_dropped(struct cq_table *table, uint16_t pool,
                           const struct cq_key *key,
                           const struct cq_clock *clock,
                           int64_t allowance_bytes);

/** The same question without an answer noted: for a reader. */
bool cq_table_refused_in_jail(const struct cq_table *table,
                              const struct cq_key *key);

/** The next client that a row marks as jailed.
 * @param position  0 to begin; updated
 * @return false at the end */
bool cq_table_next_jailed(const struct cq_table *table,
                          const struct cq_clock *clock, uint64_t *position,
                          struct cq_key *key);

#endif
