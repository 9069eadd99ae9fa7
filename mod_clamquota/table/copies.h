/* copies - how much of one version of a file a client has used today.
 *
 * ClamQuotaCopies counts body bytes, not requests, so aborts, resumes and
 * segments come out right by themselves. A version is a path, a size and a
 * time of modification: a new one begins at nothing. A pair (client, version)
 * has a row of its own among the table's (layout.h), in rows that lie apart
 * from the clients'; an account on it works like a client's, by days. */
#ifndef CQ_COPIES_H
#define CQ_COPIES_H

#include "table/table.h"

/* one version of one file */
struct cq_version {
    uint64_t hash;              /* keyed, of all below */
    const char *path;           /* as long as the version is used */
    int64_t size_bytes;
    int64_t mtime_us;
};

/** Makes a version.
 * @param path  as the server knows the file, without a query; not copied */
void cq_version_make(const struct cq_table *table, const char *path,
                     int64_t size_bytes, int64_t mtime_us,
                     struct cq_version *version);

/* what a pair has used, body bytes */
struct cq_copies {
    int64_t today_bytes;
    int64_t in_flight_bytes;
    int64_t yesterday_bytes;    /* 0: nothing, or nothing was used today and
                                 * it is longer ago */
};

/** Has this table room for pairs at all (ClamQuotaFiles)? */
bool cq_table_has_copies(const struct cq_table *table);

/** Finds or makes the row of a pair and holds it until cq_account_close().
 * @param client   from cq_table_identity(): the client in its pool
 * @param clock    the request's; here and in the calls below
 * @param account  result; for cq_copies_...(), cq_account_reserve_at_most()
 *                 and cq_account_close() only
 * @return CQ_OK; CQ_EFULL or CQ_ENOMEM: no room in the rows or the ledger,
 *         serve without; that is tallied */
enum cq_status cq_copies_open(struct cq_table *table, uint64_t client,
                              const struct cq_version *version,
                              const struct cq_clock *clock,
                              struct cq_account *account);

/** What was used today and is in flight. */
void cq_copies_usage(struct cq_account *account,
                     const struct cq_clock *clock, struct cq_copies *copies);

/** Admits a response: if what was used and is in flight today is below n
 * copies, reserves its body, in one atomic step.
 * @param n      ClamQuotaCopies, >= 1; 0: admit in any case
 * @param bytes  body bytes the response will have
 * @return CQ_OK; CQ_EFULL: n copies were used or are in flight */
enum cq_status cq_copies_admit(struct cq_account *account,
                               const struct cq_clock *clock, int64_t n,
                               const struct cq_version *version,
                               int64_t bytes);

/** Notes for readers by which ClamQuotaCopies a pair is judged. */
void cq_copies_note(struct cq_account *account, int64_t n);

/** Books body bytes that left. */
void cq_copies_charge(struct cq_account *account,
                      const struct cq_clock *clock, int64_t bytes);

/** Forgets what a client has used of all versions, today and yesterday; what
 * is in flight stays so. Looks at all pairs: for an operator, not for a
 * request that is served.
 * @param client  as cq_copies_open() */
void cq_copies_forget(struct cq_table *table, uint64_t client);

/* ---- readers ---- */

struct cq_copies_row {
    uint64_t client;            /* as cq_table_identity() */
    char path[216];             /* "": forgotten; "...end" of a longer one */
    int64_t size_bytes;         /* 0 when forgotten */
    int64_t mtime_us;
    int64_t today_bytes;
    int64_t in_flight_bytes;
    int64_t copies_n;           /* ClamQuotaCopies that it was last judged by,
                                 * at most 32,767; 0: none */
};

/** Copies the next pair that has used something today.
 * @param position  0 to begin; updated
 * @return false at the end */
bool cq_copies_next(const struct cq_table *table,
                    const struct cq_clock *clock, uint64_t *position,
                    struct cq_copies_row *row);

/* a version whose name was used today: a place among the names */
struct cq_copies_name {
    uint32_t number;
    int64_t size_bytes;
};

/* the most that cq_copies_names() finds */
#ifndef CQ_COPIES_NAMES_MAX
#define CQ_COPIES_NAMES_MAX 16384
#endif

/** Lists the versions that were downloaded today, in no order: for readers
 * that ask for a few clients and need not look at all pairs.
 * @param names  CQ_COPIES_NAMES_MAX of them
 * @return how many */
size_t cq_copies_names(const struct cq_table *table,
                       const struct cq_clock *clock,
                       struct cq_copies_name *names);

/** Copies the pair of a client and a version, in two buckets' time.
 * @param client  as cq_table_identity()
 * @return false: it downloaded nothing of this version today */
bool cq_copies_find(const struct cq_table *table,
                    const struct cq_clock *clock, uint64_t client,
                    const struct cq_copies_name *name,
                    struct cq_copies_row *row);

#endif
