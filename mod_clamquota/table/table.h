/* table - the shared counters, as the rest of the house sees them.
 *
 * One memory-mapped file holds a row for each client; layout.h shows it. No
 * call here takes a lock, blocks, allocates or makes a system call, except
 * where said. All of them are safe between threads and processes that map the
 * same file, and a process may be killed at any instruction. */
#ifndef CQ_TABLE_H
#define CQ_TABLE_H

#include "core/hash.h"
#include "core/key.h"
#include "core/period.h"
#include "core/policy.h"

struct cq_table;            /* a mapping; private to the room, see layout.h */

/** Gives this process a ticket, by which it is known in the ledger, and the
 * lock that proves it alive. To be called once by every process after fork,
 * before it opens accounts; opening a table file does it for the opener. Needs
 * nothing but the descriptor that was inherited: neither /proc nor a path. A
 * process that opens the same file a second time and closes it loses the lock
 * (fcntl(2)), and its reservations are released.
 * @return false: the lock failed and errno is set; nothing is counted through
 *         this table then */
bool cq_table_enter(struct cq_table *table);

/* ---- health ---- */

enum cq_table_health {
    CQ_HEALTH_OK = 0,
    /* The file of the table's name is gone, or another one. Requests are
     * counted, but tools see nothing of it and a restart begins with what
     * bears the name then. */
    CQ_HEALTH_DETACHED,
    /* Pages of the file were lost: it was cut short or overwritten, or its
     * disk is full. Nothing is counted until a restart, and the figures that
     * readers still find are not to be shown as the truth. */
    CQ_HEALTH_LOST
};

/** The condition of a table since it was opened or attached: the same answer
 * in the opener and in all its children. For each request
 * cheap enough: two loads. */
enum cq_table_health cq_table_health(const struct cq_table *table);

/** Looks whether the file of the table's name is still the one that is mapped
 * and as long as it was: one stat() and one fstat(), for the housekeeping.
 * @return true: the health got worse and was not reported yet: the caller
 *         does */
bool cq_table_inspect(struct cq_table *table);

/* ---- time ---- */

/* one look at the calendar, shared by the steps of one request */
struct cq_clock {
    int64_t now_s;          /* unix seconds */
    int64_t day_start_s;    /* midnight of this day */
    int64_t next_day_s;     /* next midnight */
    uint16_t period_id;     /* period in force */
    uint16_t day_stamp;     /* the civil day, as cq_period.first_day counts */
    int day;                /* day number in the period, from 1 */
};

/** What day it is by the table's calendar; steps into the next period when
 * its time has come. Never calls localtime. */
void cq_table_clock(struct cq_table *table, int64_t now_s,
                    struct cq_clock *clock);

/** Copies the period in force. */
void cq_table_period(const struct cq_table *table, struct cq_period *period);

/** Housekeeping, to be called by one process (httpd's parent, every few
 * seconds): makes the next period ready, watches for a clock that jumped,
 * writes the history, settles what dead processes left.
 * May call localtime_r().
 * @return CQ_CLOCK_DOUBT or CQ_CLOCK_ADOPT, which the caller logs, or
 *         CQ_CLOCK_STAY */
enum cq_clock_step cq_table_tick(struct cq_table *table,
                                 struct cq_clock_watch *watch, int64_t wall_s,
                                 int64_t boot_s);

/** Settles what dead processes left in the ledger: releases their reservations,
 * finishes or empties rows they were making. Only for the process that
 * holds the table's lock; one system call for each other process.
 * @return how many entries were settled */
int cq_table_settle(struct cq_table *table);

/* ---- pools and policies ---- */

#define CQ_POOLS_MAX 64
#define CQ_POOL_NAME_SIZE 32    /* with NUL; names are [A-Za-z0-9._-]+ */
#ifndef CQ_POLICIES_MAX
#define CQ_POLICIES_MAX 4096
#endif
#define CQ_RULE_SIZE 72         /* "ClamQuotaClient " + CIDR + NUL */

/** Whether a pool can have this name. */
bool cq_table_is_pool_name(const char *name);

/** Finds a pool by name or adds it. Indexes stay for the life of the file.
 * Only the process that holds the table's lock may add (httpd's parent).
 * @return CQ_OK; CQ_EFULL; CQ_EINVAL (name) */
enum cq_status cq_table_pool(struct cq_table *table, const char *name,
                             uint16_t *pool);

/* the pool of a ClamQuotaClient rule, which holds in all of them */
#define CQ_ANY_POOL UINT16_MAX

/** Sets the policy that rows of this pool and rule refer to, in place when it
 * is known, so that rows decided before a graceful restart show the new
 * figures. Only the process that holds the lock.
 * @param pool  a pool's index with "ClamQuotaDaily"; CQ_ANY_POOL with
 *              "ClamQuotaClient 192.0.2.0/24", whose grace is not used: the
 *              pool's own counts
 * @return CQ_OK; CQ_EFULL */
enum cq_status cq_table_policy(struct cq_table *table, uint16_t pool,
                               const char *rule,
                               const struct cq_policy *policy,
                               uint16_t *policy_index);

/** Between these two a configuration sets its policies; what it doesn't set
 * is no longer in force after the second, nor is the Daily of such a pool.
 * Only the process that holds the lock. */
void cq_table_policies_begin(struct cq_table *table);
void cq_table_policies_end(struct cq_table *table);

/** Sets whether some scope of a pool refuses (Engine On), or all of them only
 * log: then no client is an offender there. Only the process that holds the
 * lock. */
void cq_table_pool_refuses(struct cq_table *table, uint16_t pool,
                           bool refuses);

/* ---- an account: one request's hold on its client's row ---- */

struct cq_account {
    struct cq_table *table;
    uint32_t row;
    uint32_t entry;             /* of the ledger; CQ_NO_ENTRY: none held */
    int64_t allowance_bytes;    /* as last admitted under: a charge that crosses
                                 * it marks the client as over quota */
};

#define CQ_NO_ENTRY UINT32_MAX

/* open requests that a ledger can be made for (tablefile.h) */
#define CQ_LEDGER_MAX 500000u

/** What a client in a pool is known by in this table. */
uint64_t cq_table_identity(const struct cq_table *table, uint16_t pool,
                           const struct cq_key *key);

/** Finds or makes the row of a client and holds it until cq_account_close():
 * a held row is never given to another client.
 * @param account  result; on failure all other calls do nothing with it
 * @param pool     from cq_table_pool()
 * @return CQ_OK; otherwise the request is to be served uncounted. CQ_EFULL: no
 *         row could be had, which is tallied as untracked; CQ_ENOMEM: the
 *         ledger is full, tallied as that; CQ_EIO: the table is lost
 *         (cq_table_health()) */
enum cq_status cq_account_open(struct cq_table *table, uint16_t pool,
                               const struct cq_key *key,
                               const struct cq_clock *clock,
                               struct cq_account *account);

/** Is the account open? Without it nothing below counts or reserves. */
static inline bool cq_account_is_open(const struct cq_account *account)
{
    return account->entry != CQ_NO_ENTRY;
}

/** Is used + in flight of an open account below the allowance, here and on the
 * other nodes of a cluster? */
bool cq_account_has_room(const struct cq_account *account,
                         const struct cq_clock *clock,
                         int64_t allowance_bytes);

/* how a request of an address came */
enum cq_origin {
    CQ_ORIGIN_PEER = 0,         /* over a connection of its own */
    CQ_ORIGIN_PROXIED           /* through mod_remoteip, or it is the proxy */
};

/** Remembers which policy was applied, and whether the address has been seen
 * as the connection's own peer only (a proxied address is never jailable). */
void cq_account_mark(struct cq_account *account, uint16_t policy_index,
                     enum cq_origin origin);

/** The client's usage now, with what other nodes of a cluster know of it: what
 * cq_account_admit() decides by. */
void cq_account_usage(struct cq_account *account,
                      const struct cq_clock *clock, struct cq_usage *usage);

/** Admits a request: in one atomic step, if used + in flight is below the
 * allowance, reserves bytes.
 * @param bytes  what the response will cost if known, else 0
 * @param usage  what the decision saw, also when refused; may be NULL
 * @return CQ_OK: admitted; CQ_EFULL: used + in flight has reached it */
enum cq_status cq_account_admit(struct cq_account *account,
                                const struct cq_clock *clock,
                                int64_t allowance_bytes, int64_t bytes,
                                struct cq_usage *usage);

/** Lowers what this request has reserved and not yet used to at most this. */
void cq_account_reserve_at_most(struct cq_account *account, int64_t bytes);

/** Raises what this request has reserved and not yet used to at least this:
 * for a response that was admitted before its length was known. */
void cq_account_reserve_at_least(struct cq_account *account, int64_t bytes);

/** Books bytes that left, in the used column: out of the reservation as far
 * as it reaches, the rest on top. Saturates at CQ_BYTES_MAX. */
void cq_account_charge(struct cq_account *account,
                       const struct cq_clock *clock, int64_t bytes);

/** Books bytes that left, in the free column. */
void cq_account_charge_free(struct cq_account *account,
                            const struct cq_clock *clock,
                            int64_t bytes);

/** Bytes of small ranges that were free today; adds some. (FreeRangeDaily)
 * @param bytes  0 to only look
 * @return the sum of today after adding */
int64_t cq_account_free_range(struct cq_account *account,
                              const struct cq_clock *clock, int64_t bytes);

/** Tallies a hit (a response that counts as one) and the time of it.
 * @return the client's hits in this period, 1 for the first */
int64_t cq_account_count_hit(struct cq_account *account,
                             const struct cq_clock *clock);

/** Tallies a refusal; notes since when the client is over quota, and rings the
 * bell. BUSY refusals count in the totals only; COPIES is the client's
 * refusal, but no offence; LOGONLY is none, and tallied as would_refuse.
 * @param state  CQ_STATE_OVER, BUSY, COPIES or LOGONLY */
void cq_account_count_refusal(struct cq_account *account,
                              const struct cq_clock *clock,
                              enum cq_state state);

/** Refunds what is reserved and releases the row. A second call does
 * nothing. */
void cq_account_close(struct cq_account *account);

/* ---- totals of this node: add-only, striped so that children don't share a
 * cache line ---- */

enum cq_total { CQ_TOTAL_SENT, CQ_TOTAL_FREE, CQ_TOTAL_HITS, CQ_TOTAL_REFUSED,
                CQ_TOTAL_WOULD_REFUSE, CQ_TOTAL_REFUSED_BYTES,
                CQ_TOTAL_HANDLER_BYTES, CQ_TOTAL_DROPPED, CQ_TOTALS };

void cq_table_total_add(struct cq_table *table, uint16_t pool,
                        enum cq_total which, int64_t n);

/** Sums a pool's stripes.
 * @param totals  CQ_TOTALS numbers */
void cq_table_totals(const struct cq_table *table, uint16_t pool,
                     int64_t totals[CQ_TOTALS]);

/* ---- notices: each is logged once ---- */

enum cq_notice {
    CQ_NOTICE_FILL = 1u << 0,       /* 80 % of Clients are in use */
    CQ_NOTICE_UNTRACKED = 1u << 1,  /* a client got no row */
    CQ_NOTICE_LEDGER = 1u << 2,     /* the ledger was full */
    CQ_NOTICE_PROXY = 1u << 3,      /* a proxy seems to be the client: set by
                                     * httpd/ through cq_table_notice() */
    CQ_NOTICE_EVICT = 1u << 4,      /* a client of this period was evicted */
    CQ_NOTICE_FILES = 1u << 5,      /* what a client has used of a file was
                                     * forgotten, or found no room */
    CQ_NOTICE_PROXY_REFUSED = 1u << 6,  /* these three are for */
    CQ_NOTICE_GATEWAY_REFUSED = 1u << 7,    /* cq_table_notice_first() */
    CQ_NOTICE_LOCK = 1u << 8        /* a process got no lock */
};

/** Raises a notice unless it was raised since the server started. */
void cq_table_notice(struct cq_table *table, uint32_t notice);

/** Is this the first time since the server started? Then the caller, no other
 * one, logs it. Always false for a lost table.
 * @param notice  of a kind that cq_table_notice() is not called with */
bool cq_table_notice_first(struct cq_table *table, enum cq_notice notice);

/** Removes and returns the notices that are raised and not yet logged: exactly
 * one caller gets each. 0 almost always, which costs one load; 0 for a lost
 * table. */
uint32_t cq_table_notices(struct cq_table *table);

/* ---- readers: copies, never pointers into the table ---- */

struct cq_row {
    struct cq_key key;
    uint16_t pool;
    uint16_t policy_index;
    int64_t used_bytes;
    int64_t today_bytes;
    int64_t in_flight_bytes;
    int64_t free_bytes;
    int64_t hits;
    int64_t refused;
    int64_t would_refuse;       /* by LogOnly; stops at 2^29 - 1 */
    int64_t last_hit_s;
    int64_t over_since_s;       /* as stamped by a refusal of this period, or
                                 * by the charge that crossed the allowance */
    uint32_t over_refusals;     /* refusals since then, of the last day that
                                 * had one; BUSY, COPIES and LogOnly are none
                                 * of these, nor is any while used_bytes is
                                 * what memcached said */
    uint32_t refused_today;     /* all of this day while over quota */
    bool proxied;
    bool jailed;                /* as clamquota-sync said last */
    /* What the other nodes of a cluster know of the client; 0 without one. All
     * above is this node's alone: whether a client is an offender is decided
     * by that, so that writing to memcached puts no client into a jail. What
     * admits is the sum. */
    int64_t others_used_bytes;
    int64_t others_in_flight_bytes;
};

/** Copies the next row that belongs to a client, whatever its period; figures
 * of a past period read 0. A row whose address does not hash to its identity
 * is skipped.
 * @param position  0 to begin; updated
 * @return false at the end */
bool cq_table_next_row(const struct cq_table *table,
                       const struct cq_clock *clock, uint64_t *position,
                       struct cq_row *row);

/** As cq_table_next_row(), but without the proof that the address hashes to
 * the row's identity, which costs as much as all the rest: for readers that
 * count or rank many rows, and look up by cq_table_row() each that they
 * show. */
bool cq_table_next_row_unproven(const struct cq_table *table,
                                const struct cq_clock *clock,
                                uint64_t *position, struct cq_row *row);

/** Copies one row by its number.
 * @return false: it is no client's, or no row of this table */
bool cq_table_row_at(const struct cq_table *table, uint32_t row,
                     const struct cq_clock *clock, struct cq_row *copy);

/** The number of the next row whose client came over quota in some period,
 * whether it still is or not: for tools that look at all of them each few
 * seconds.
 * @param position  0 to begin; updated
 * @return false at the end */
bool cq_table_next_over(const struct cq_table *table, uint64_t *position,
                        uint32_t *row);

/** Unmaps the rows: their pages stay in the page cache, and are mapped again
 * when they are read. For a tool that has read all of them and needs memory of
 * its own for what follows. */
void cq_table_unmap_rows(const struct cq_table *table);

/* The words of a row that make its client an offender or none: the same words
 * are the same client with the same figures, and need no hash to be believed
 * again. layout.h has their meaning. */
struct cq_row_words {
    uint64_t words[9];
};

void cq_table_row_words(const struct cq_table *table, uint32_t row,
                        struct cq_row_words *words);

/** Was this address ever seen through mod_remoteip, or as the proxy, in any
 * pool? Then it must not be shut out: it is the same address in all pools.
 * Costs a look-up for each pool. */
bool cq_table_seen_proxied(const struct cq_table *table,
                           const struct cq_key *key,
                           const struct cq_clock *clock);

/** The row of one client, without making one.
 * @return CQ_OK or CQ_ENOENT */
enum cq_status cq_table_row(const struct cq_table *table, uint16_t pool,
                            const struct cq_key *key,
                            const struct cq_clock *clock, struct cq_row *row);

struct cq_pool_info {
    char name[CQ_POOL_NAME_SIZE];
    struct cq_policy policy;    /* of ClamQuotaDaily; daily 0: none now */
    bool refuses;               /* false: LogOnly, or no Daily now */
};

size_t cq_table_pool_count(const struct cq_table *table);
void cq_table_pool_info(const struct cq_table *table, uint16_t pool,
                        struct cq_pool_info *info);

struct cq_policy_info {
    char rule[CQ_RULE_SIZE];
    struct cq_policy policy;
};

/** The policy that holds for a row: the rule's daily, the pool's grace.
 * @param pool          of the row
 * @param policy_index  of the row */
void cq_table_policy_info(const struct cq_table *table, uint16_t pool,
                          uint16_t policy_index, struct cq_policy_info *info);

struct cq_table_figures {
    int64_t capacity;           /* ClamQuotaClients */
    int64_t rows;               /* rows that exist in the file */
    int64_t clients;            /* clients of the period in force */
    int64_t evictions;
    int64_t untracked;
    int64_t ledger_full;
    int64_t files;              /* ClamQuotaFiles; 0: no scope has Copies */
    int64_t pairs_lost;         /* pairs whose copies were not counted */
};

void cq_table_figures(const struct cq_table *table,
                      struct cq_table_figures *figures);

/** How many transfers are open: requests that still reserve bytes. */
int64_t cq_table_transfers(const struct cq_table *table);

/** Was it attached writable? A reader's table must not be changed. */
bool cq_table_is_writable(const struct cq_table *table);

/** How much of an address is a client in this table. */
struct cq_prefixes cq_table_prefixes(const struct cq_table *table);

struct cq_hour {
    int64_t start_s;
    int64_t sent_bytes;
    int64_t free_bytes;
    int64_t hits;
    int64_t refused;
};

/** The last hours, oldest first, at most max.
 * @return how many */
size_t cq_table_history(const struct cq_table *table, struct cq_hour *hours,
                        size_t max);

/** The last days, of at most 13 months, oldest first, at most max.
 * @param days  start_s: midnight
 * @return how many */
size_t cq_table_days(const struct cq_table *table, struct cq_hour *days,
                     size_t max);

/** Forgets what a client, or each client of a network, has used, in every pool
 * that it has a row in. Bytes in flight stay so. In a cluster it is an act
 * for all nodes (shares.h).
 * @param net  canonical, of any prefix: of a part of a client's addresses, the
 *             client. A network looks through all rows.
 * @return how many rows were reset */
int cq_table_reset(struct cq_table *table, const struct cq_key *net,
                   const struct cq_clock *clock);

#endif
