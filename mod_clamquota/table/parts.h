/* parts - what the files of this room offer one another. Private to table/.
 *
 * layout.h has the file's words; this has the functions on them, by file. */
#ifndef CQ_TABLE_PARTS_H
#define CQ_TABLE_PARTS_H

#include "core/seldom.h"
#include "table/changes.h"
#include "table/copies.h"
#include "table/layout.h"

#include <string.h>

/* ---- points at which a test build dies ---- */

#ifdef CQ_TEST_POINTS
void cq_test_point(const char *name);
#define CQ_POINT(name) cq_test_point(name)
#else
#define CQ_POINT(name) ((void)0)
#endif

/* the hash part of an identity; never 0, which would be EMPTY */
static inline uint64_t cq_identity(const struct cq_table *table, uint16_t pool,
                                   const struct cq_key *key)
{
    uint64_t h = cq_hash_key(&table->header->geometry.seed, pool, key)
                 & ~CQ_STATE_MASK;
    return h != 0 ? h : 4;
}

/* A key in the file: two words of address; family and prefix in the low 16 bits
 * of a word that has something else above. */
static inline uint64_t cq_key_pack(const struct cq_key *key)
{
    return (uint64_t)key->family << 8 | key->prefix;
}

static inline struct cq_key cq_key_unpack(const uint64_t address[2],
                                          uint64_t packed)
{
    struct cq_key key = { .family = (uint8_t)(packed >> 8),
                          .prefix = (uint8_t)packed };

    memcpy(key.bytes, address, sizeof(key.bytes));
    return key;
}

/* A record that one process writes and others copy:
 *
 *   motion was even before the copy and is the same after  =>  it is whole
 *
 * Odd while the record is written, or since its writer died; the next writer
 * goes on from there. */
static inline uint32_t cq_record_begin(_Atomic uint32_t *motion)
{
    uint32_t odd = atomic_load(motion) | 1u;

    atomic_store(motion, odd);
    atomic_thread_fence(memory_order_seq_cst);
    return odd;
}

static inline void cq_record_end(_Atomic uint32_t *motion, uint32_t odd)
{
    atomic_thread_fence(memory_order_seq_cst);
    atomic_store(motion, odd + 1);
}

/* ---- between the files ---- */

/* window.c: where a client's row is or may be made */
#define CQ_NO_ROW UINT32_MAX
#define CQ_WINDOW_ROWS (2u * CQ_BUCKET_ROWS)

struct cq_window {
    uint32_t row[CQ_WINDOW_ROWS];   /* in the order of looking */
};

void cq_window_fill(const struct cq_region *region, uint64_t hash,
                    struct cq_window *window);

/* Where the search in each of the two buckets begins: there and in the line
 * beside it nine of ten clients are found. */
struct cq_homes {
    uint32_t row[2];
};

struct cq_homes cq_window_homes(const struct cq_region *region, uint64_t hash);

/** The live row of this identity or CQ_NO_ROW: the way nearly all requests
 * take, without a list of the window. */
uint32_t cq_window_find(const struct cq_table *table,
                        const struct cq_homes *homes, uint64_t hash);

/* claim.c */

/* what a row is made for: a client in a pool, or a pair */
struct cq_subject {
    const struct cq_region *region;
    uint64_t hash;              /* its identity */
    uint64_t facts[3];          /* of a client: address, pool_prefix; of a pair:
                                 * the client's identity, name_number */
    bool guest;                 /* only other nodes know the client: it gets a
                                 * row that is free, and evicts no other */
};

static inline struct cq_subject cq_subject_make(const struct cq_table *table,
                                                uint64_t identity,
                                                uint16_t pool,
                                                const struct cq_key *key)
{
    struct cq_subject subject = {
        &table->clients, identity, { 0, 0, 0 }, false
    };

    memcpy(subject.facts, key->bytes, 16);
    subject.facts[2] = (uint64_t)pool << 16 | cq_key_pack(key);
    return subject;
}

/** The row of this subject, made if need be and not held yet.
 * @param entry  an own ledger entry, purpose IDLE before and after
 * @param stamp  the period in force, or the day
 * @return CQ_NO_ROW when none can be had */
uint32_t cq_claim_row(struct cq_table *table, uint32_t entry,
                      const struct cq_subject *subject, uint16_t stamp);

/** Empties a row that no entry holds and whose counts are of no period that is
 * kept: of neither this one nor the one before.
 * @param entry  an own ledger entry, purpose IDLE before and after
 * @param stamp  the period in force, or the day
 * @return false: it is not such a row */
bool cq_row_erase(struct cq_table *table, uint32_t entry, uint32_t row,
                  uint16_t stamp);

/** Sets every word of a row but identity and holders to zero. */
void cq_row_zero(struct cq_table *table, uint32_t row);

static inline bool cq_row_is_pair(const struct cq_table *table, uint32_t row)
{
    return row >= table->cold_rows_n;
}

/** What the other nodes have in flight for a row's client; NULL: there is no
 * cluster, or the row is none of a client. */
static inline cq_word *cq_row_flight(const struct cq_table *table, uint32_t row)
{
    return table->flights != NULL && row < table->rows_n
        ? &table->flights[row] : NULL;
}

/* jail.c: marks beside CQ_MARK_JAILED that only clamquota-sync uses */
#define CQ_MARK_HELD 0x00100000u        /* was when it last looked, too */
#define CQ_MARK_NOTED_SHIFT 21          /* its refusals then, modulo 2^11 */
#define CQ_MARK_NOTED 0xffe00000u
#define CQ_MARK_OF_JAIL (CQ_MARK_JAILED | CQ_MARK_HELD | CQ_MARK_NOTED)
_Static_assert((CQ_MARK_OF_JAIL & (CQ_MARK_POLICY | CQ_MARK_PROXIED
                                   | CQ_MARK_OVER | CQ_MARK_RAISED
                                   | CQ_MARK_DROPPED)) == 0,
               "each bit of a mark is one's own");

/* row.c */

/** Takes a row's words into the period in force. */
CQ_SELDOM uint16_t cq_row_roll(struct cq_table *table, uint32_t row,
                     uint16_t period_id);

/* Changes committed alone, under whatever stamp it has: bytes in flight move on
 * from period to period, so they can be refunded in any.
 * Returns by how much it changed: less than n where it would pass
 * CQ_BYTES_MAX. */
static inline int64_t cq_row_commit(struct cq_hot *hot, int64_t n)
{
    uint64_t c = atomic_load_explicit(&hot->committed, memory_order_relaxed);
    uint64_t new;

    do {
        new = cq_stamped(cq_stamp(c), cq_bytes(c) + n);
    } while (!atomic_compare_exchange_weak(&hot->committed, &c, new));
    return cq_bytes(new) - cq_bytes(c);
}

/* Marks a row as moved, after it did (layout_shares.h). */
static inline void cq_row_mark_moved(struct cq_table *table, uint32_t row)
{
    _Atomic uint8_t *moved;

    if (table->moved == NULL) {
        return;
    }
    moved = &table->moved[row / CQ_MOVED_ROWS];
    if (atomic_load(moved) != CQ_MOVED) {
        atomic_store(moved, CQ_MOVED);
    }
}

/* A sum of this node's and the others' count, below CQ_BYTES_MAX, which stands
 * for unlimited. */
static inline int64_t cq_sum_bytes(int64_t own_bytes, int64_t others_bytes)
{
    int64_t sum = own_bytes + others_bytes;

    return others_bytes == 0 || sum < CQ_BYTES_MAX ? sum
         : own_bytes < CQ_BYTES_MAX - 1 ? CQ_BYTES_MAX - 1 : own_bytes;
}

/** What other nodes have of a client: used, and in flight unless that has
 * lapsed. All zero for a pair and without a cluster. */
struct cq_usage cq_row_others(const struct cq_table *table, uint32_t row,
                              uint16_t period_id, int64_t now_s);

/** What a row has used in this period: the count that bears its stamp. */
int64_t cq_row_used(const struct cq_hot *hot, uint16_t period_id);

/** Does the row count in this period, or in one of a clock that was ahead
 * (else it is of a past one)? */
static inline bool cq_row_is_current(const struct cq_hot *hot,
                                     uint16_t period_id)
{
    return cq_stamp(atomic_load(&hot->used)) >= period_id
        || cq_stamp(atomic_load(&hot->before)) >= period_id;
}

/* The word cold.over: 35 bits of unix seconds last until the year 3058, 5 hold
 * a day of a period (1..31), 24 of refusals stop at 16 million. Refusals are
 * those of the last day that had one. So a program that asks some times a day
 * does not become an offender by asking for weeks, and an offender that is shut
 * out, which makes no refusals, stays an offender. */
#define CQ_OVER_REFUSALS_MAX ((UINT64_C(1) << 24) - 1)
#define CQ_OVER_DAY_SHIFT 24
#define CQ_OVER_SINCE_SHIFT 29

static inline uint64_t cq_over(int64_t since_s, int day, uint64_t refusals)
{
    return ((uint64_t)since_s << CQ_OVER_SINCE_SHIFT)
        | ((uint64_t)(day & 31) << CQ_OVER_DAY_SHIFT) | refusals;
}

static inline int64_t cq_over_since_s(uint64_t over)
{
    return (int64_t)(over >> CQ_OVER_SINCE_SHIFT);
}

static inline int cq_over_day(uint64_t over)
{
    return (int)(over >> CQ_OVER_DAY_SHIFT) & 31;
}

static inline uint32_t cq_over_refusals(uint64_t over)
{
    return (uint32_t)(over & CQ_OVER_REFUSALS_MAX);
}

/** The word cold.over of a client that is over quota in this period: since
 * when, and its refusals; 0 when it is not. */
uint64_t cq_row_over(const struct cq_table *table, uint32_t row,
                     uint16_t period_id);

/** When the client came over quota in this period, 0 when it did not. */
static inline int64_t cq_row_over_since(const struct cq_table *table,
                                        uint32_t row, uint16_t period_id)
{
    return cq_over_since_s(cq_row_over(table, row, period_id));
}

/* account.c */

/** Opens an account with any subject's row.
 * @return CQ_OK; CQ_EFULL: no row; CQ_ENOMEM: no entry of the ledger */
enum cq_status cq_account_open_subject(struct cq_table *table,
                                       const struct cq_subject *subject,
                                       const struct cq_clock *clock,
                                       struct cq_account *account);

/** Opens an account on a row if it is still of this identity, without making
 * one. */
bool cq_account_open_row(struct cq_table *table, uint32_t row, uint64_t hash,
                         struct cq_account *account);

/** Forgets what the account's client has used; what is in flight stays. */
void cq_account_reset(struct cq_account *account);

/* names.c */

/** The number of a version's name, written if need be; UINT64_MAX when there
 * is no place for it today. */
uint64_t cq_name_keep(struct cq_table *table,
                      const struct cq_version *version, uint16_t day);

/** Copies path, size and time of a name.
 * @return the hash of the version that it is of; 0: there is none */
uint64_t cq_name_copy(const struct cq_table *table, uint64_t number,
                      struct cq_copies_row *copy);

/* ledger.c */
uint32_t cq_entry_acquire(struct cq_table *table);

void cq_entry_release(struct cq_table *table, uint32_t entry);

/** How many entries a scan has to look at; never more than there are. */
uint32_t cq_ledger_high(const struct cq_table *table);

/** Does the process still live that has this ticket? One system call. */
bool cq_owner_lives(const struct cq_table *table, uint64_t owner);

static inline void cq_entry_begin(struct cq_entry *entry)
{
    /* one writer: the owner; a settling process only reads */
    uint32_t m = atomic_load_explicit(&entry->motion, memory_order_relaxed);
    atomic_store_explicit(&entry->motion, m + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static inline void cq_entry_end(struct cq_entry *entry)
{
    uint32_t m = atomic_load_explicit(&entry->motion, memory_order_relaxed);
    atomic_store_explicit(&entry->motion, m + 1, memory_order_release);
}

/* health.c */

/** Makes the condition of a table: memory that children share, all zero.
 * @return NULL: there is none */
struct cq_condition *cq_condition_make(void);
void cq_condition_free(struct cq_condition *condition);

/** Is this open file the one of this name? */
bool cq_file_is_named(int fd, const char *path);

/* guard.c */

/** Guards any mapping of a table's file.
 * @param lost  raised when a page of it is lost; must outlive the guard */
void cq_guard_begin(void *base, size_t size, _Atomic uint32_t *lost);
void cq_guard_end(const void *base);

/* repair.c */

/* what the ledger says of each row */
struct cq_holdings {
    uint64_t *left_bytes;
    uint32_t *holders;
};

/** Sums up the entries that have an owner. Allocates.
 * @return false: out of memory, nothing is allocated */
bool cq_holdings_read(const struct cq_table *table,
                      struct cq_holdings *holdings);
void cq_holdings_free(struct cq_holdings *holdings);

enum cq_row_fault {
    CQ_ROW_SOUND = 0,
    CQ_ROW_NOT_EMPTY, CQ_ROW_UNFINISHED, CQ_ROW_MISPLACED, CQ_ROW_TWIN,
    CQ_ROW_UNNAMED, CQ_ROW_POOL, CQ_ROW_MARK, CQ_ROW_HOLDERS, CQ_ROW_STAMPS,
    CQ_ROW_NO_PERIOD, CQ_ROW_IN_FLIGHT, CQ_ROW_OTHERS
};

/** The first thing that is wrong with a row.
 * @param holdings  NULL: the table is in use, and only what holds in motion is
 *                  looked at */
enum cq_row_fault cq_row_fault(const struct cq_table *table, uint32_t row,
                               const struct cq_holdings *holdings);

/** "row N" and this make a sentence. */
const char *cq_row_fault_text(enum cq_row_fault fault);

/** Does no living process own an entry? */
bool cq_ledger_is_idle(const struct cq_table *table);

/** Empties the ledger and puts every row right, in a table that no living
 * process but this one uses: afterwards cq_row_fault() finds nothing.
 * @param repaired  result: how many rows had a fault
 * @return CQ_OK or CQ_ENOMEM */
enum cq_status cq_table_repair(struct cq_table *table, int64_t *repaired);

/** Notes in the header that nothing is left to repair, if that holds and this
 * process opened the table as a server. */
void cq_table_leave(struct cq_table *table);

/** Is this the file, in the life of the machine, that cq_table_leave() noted
 * it in? Then it needs no cq_table_repair(). cq_table_enter() removes
 * the note. */
bool cq_table_is_as_left(const struct cq_table *table);

/* turnover.c */

/** Goes through all rows once when another period has come into force. */
void cq_turnover(struct cq_table *table, const struct cq_clock *clock);

/* bell.c */

/** Rings for a row that was just refused, if there is a watcher. The only call
 * of the request path that may make a system call: futex, to wake. */
void cq_bell_ring(struct cq_table *table, uint32_t row, uint32_t refusals,
                  int64_t now_s);

/* readers.c */

/** Copies a row by its number, if it is a client's. */
bool cq_row_copy(const struct cq_table *t, uint32_t i,
                 const struct cq_clock *clock, struct cq_row *row);

/* shares.c */

/** What every opening of a table by a server does for the cluster.
 * @return true: it is another machine's table, and was made this one's own */
bool cq_shares_begin(struct cq_table *table, uint64_t machine, int64_t now_s);

/* calendar.c */
void cq_calendar_set(struct cq_table *table, const struct cq_period *period);
bool cq_calendar_get(const struct cq_table *table, uint16_t id,
                     struct cq_period *period);
void cq_calendar_prepare_next(struct cq_table *table);

/** Are the period in force and the next one what a period can be? For a tool
 * that attaches to a file; a server writes them anew. */
bool cq_calendar_is_sound(const struct cq_table *table);

/** Unix second at which a period began; 0 when it is not in the calendar. */
int64_t cq_calendar_start(const struct cq_table *table, uint16_t id);

/* changes.c */

/** Notes a change of state of a row's client, with what its mark says of it. */
void cq_change_note_row(struct cq_table *table, uint32_t row,
                        enum cq_change_kind kind, int64_t now_s,
                        int64_t used_bytes, int64_t allowance_bytes);

/* reset.c */

/** Does what cq_table_reset() does, in this table alone. */
int cq_reset_locally(struct cq_table *table, const struct cq_key *net,
                     const struct cq_clock *clock);

/* exempt.c */

/** Sets or ends an exemption (until_s 0) in this table alone, as another node's
 * act says. */
enum cq_status cq_exempt_apply(struct cq_table *table,
                               const struct cq_key *net, int64_t until_s,
                               int64_t now_s);

/** Frees the places of exemptions that have ended by a clock that is within
 * the period in force. For the housekeeping. */
void cq_exempt_expire(struct cq_table *table, const struct cq_clock *clock);

/** What is wrong with a place of the list; NULL: nothing. */
const char *cq_exempt_fault(const struct cq_table *table, uint32_t place);

/** Frees what was left in the middle of writing or is not sealed, in a table
 * that no other process uses. */
void cq_exempt_repair(struct cq_table *table);

/* pools.c */

/** Does the configuration in force have this policy? */
bool cq_policy_slot_in_force(const struct cq_table *table, uint32_t index);

/* history.c */
void cq_history_tick(struct cq_table *table, const struct cq_clock *clock);

/** Forgets what the history has counted beyond the totals: they lie on other
 * pages, and those may be older. */
void cq_history_repair(struct cq_table *table);

/* geometry.c */

/** Where everything lies in a file for that many clients and pairs, with a
 * section for the cluster or without. */
void cq_geometry_plan(struct cq_geometry *geometry, uint64_t clients_n,
                      uint64_t files_n, uint32_t ledger_n, bool cluster);
uint64_t cq_geometry_checksum(const struct cq_geometry *geometry);

/** Points a view into a mapping.
 * @param geometry  a copy that has been found sound: the one in the file may
 *                  be another by now */
void cq_table_view(struct cq_table *table, void *base,
                   const struct cq_geometry *geometry);

#endif
