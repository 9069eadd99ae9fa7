/* layout - the table file, byte for byte. Private to table/: no other room
 * includes it, and no process writes a word of it but by a call of this room.
 *
 *   0         +--------------------------------------------------+
 *             | header: geometry (fixed when the file is made,   |
 *             | under a checksum), then words that change        |
 *   pools_at  +--------------------------------------------------+
 *             | 64 pools: name, policy                           |
 *   stripes_at  64 x 16 stripes of totals, a cache line each     |
 *   policies_at --------------------------------------------------+
 *             | 4096 policies: rule, daily                       |
 *   history_at +--------------------------------------------------+
 *             | 768 hours, by hour number modulo 768             |
 *   days_at   | 416 days, by day stamp modulo 416                |
 *   exempt_at +--------------------------------------------------+
 *             | 1,024 exemptions (layout_exempt.h)               |
 *   changes_at +--------------------------------------------------+
 *             | 8,192 changes of state, a ring                   |
 *   ledger_at +--------------------------------------------------+
 *             | entries, 64 bytes: one for each open request     |
 *   names_at  +--------------------------------------------------+
 *             | names of file versions, 256 bytes each           |
 *   hot_at    +--------------------------------------------------+
 *             | a 64-byte line for each row: what requests touch |
 *             |   rows_n of clients, network_rows_n of networks  |
 *             |   (0: not in use), file_rows_n of pairs (client, |
 *             |   file version)                                  |
 *   cold_at   +--------------------------------------------------+
 *             | a 64-byte line for each row of a client or a     |
 *             | network: the rest                                |
 *   cluster_at +--------------------------------------------------+
 *             | cluster_size bytes, 0 without ClamQuotaMemcached |
 *             | (layout_shares.h)                                |
 *   file_size +--------------------------------------------------+
 *
 * Every section starts on a page. It has indexes, never pointers; numbers are
 * in the machine's own byte order, which the magic shows.
 *
 * A client's row (r) is hot[r] and cold[r]:
 *
 *   hot   identity   62 bits of keyed hash of (pool, client), 2 of state
 *         committed  stamp:16 bytes:48   used + reserved: admits a request
 *         used       stamp:16 bytes:48   bytes that left: the truth
 *         before     stamp:16 bytes:48   used of the period before
 *         day_base   day:16   bytes:48   used when this day began
 *         free_range day:16   bytes:48   small free ranges of this day
 *         holders    open requests and idle connections that hold the
 *                    row:20, turns:12 (counts holders and reclaimers that
 *                    began)
 *         mark       policy:16 flags:4 refusals noted by the jail:12
 *         others     stamp:16 bytes:48   used and in flight on the other
 *                    nodes of a cluster; the exchanger writes it
 *   cold  address
 *         pool_prefix                    pool:16 family:8 prefix:8
 *         free, hits, refused    stamp:16 count:48
 *         seen       would_refuse:29 last_hit_s:35
 *         over       since:35 day:5 refusals of it:24
 *
 * A pair's row is hot[r] alone. Its period is a day, as ClamQuotaCopies counts
 * by days; committed, used and before are body bytes. These words differ:
 *
 *         identity   62 bits of keyed hash of (client's identity, version)
 *         client                         the client's identity
 *         mark                           ClamQuotaCopies:15
 *         name_number                    number of the version's name
 * The rows of the two kinds lie apart; the same calls serve both.
 * A stamp is the id of a period, or of a day. A byte counts under the stamp in
 * force when it left: a clock that jumps and comes back finds its counts again.
 *
 * In a quiet table, for each row r (repair.c establishes this at a cold open,
 * whatever pages the disk kept; check.c reports what does not hold):
 *   holders(r)   = entries HELD that name r
 *   committed(r) = used(r) + sum of left_bytes of those entries
 *   identity(r) is LIVE, or the whole row is zero but for the turns
 *   LIVE:  r lies in its window, no other row there has its identity
 *   LIVE client: hash(pool, address of cold[r]) = identity(r)
 *
 * An operation may break the first two while the ledger entry of its process is
 * in motion or CLAIMING; it restores them before it ends the motion. A killed
 * process leaves them broken until cq_table_settle() (settle.c).
 *
 * A process is known in the ledger by its ticket, a number that the file gives
 * out; it lives as long as the kernel keeps its lock on that byte of the file.
 * So a copy, a snapshot or a machine that was switched off has no living
 * owners, and neither chroot nor a container hides a living one. Byte 0 is the
 * server's lock.
 *
 * Life of an identity word (h: a hash, state in the low two bits):
 *
 *        EMPTY ----claim----> CLAIM(h) --only one in its window-> LIVE(h)
 *          ^                   |   ^                                |
 *          |    lost the race  |   | zeroed                         | re-use
 *          +----- KILLED(h) <--+   +------- RECLAIM(old) <----------+
 *
 * Only the claimant makes its KILLED row EMPTY again, only the reclaimer leaves
 * RECLAIM. Each writes its ledger entry first; should it die, cq_table_settle()
 * finishes by that entry. */
#ifndef CQ_LAYOUT_H
#define CQ_LAYOUT_H

#include "table/layout_bell.h"
#include "table/layout_exempt.h"
#include "table/layout_shares.h"

#include <stdatomic.h>
#include <stddef.h>

/* shared between processes: only lock-free atomics will do */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "32-bit atomics must be lock-free");

/* "CLAMQUOT" read as a number of this machine's byte order */
#define CQ_MAGIC UINT64_C(0x544f55514d414c43)
#define CQ_LAYOUT_VERSION 3u

#define CQ_PAGE 4096u
#define CQ_BUCKET_ROWS 16u      /* rows that are looked through together */
#ifndef CQ_STRIPES
#define CQ_STRIPES 16u
#endif
#define CQ_CALENDAR 4u          /* period id modulo this */
#define CQ_HOURS 768u           /* 32 days */
#define CQ_LEDGER_DEFAULT 65536u
#define CQ_DAYS 416u            /* 13 months and a few days */

/* row numbers are 32 bits: 1.5 x (this + this) is below */
#define CQ_CLIENTS_MAX (UINT32_MAX / 4u)
#define CQ_FILES_MAX (UINT32_MAX / 4u)

/* More versions than that a day have no name on reports; they are counted all
 * the same. 4 MiB. */
#ifndef CQ_NAMES
#define CQ_NAMES 16384u
#endif

/* Rows for each client of capacity. Two choices of 16 rows each, filled to
 * 2/3: t/unit/table_fill.c shows that N clients then evict no client; 1.5 x
 * 128 bytes x 10 million = 1.92 GB. */
#define CQ_ROWS_FOR(clients) ((clients) + (clients) / 2u)

struct cq_hot {                 /* of a client or of a pair, see above */
    cq_word identity;
    cq_word committed;
    cq_word used;
    cq_word before;
    cq_word day_base;
    union {
        cq_word free_range;
        cq_word client;         /* of a pair */
    };
    _Atomic uint32_t holders;
    _Atomic uint32_t mark;
    union {
        cq_word others;
        cq_word name_number;    /* of a pair */
    };
};
_Static_assert(sizeof(struct cq_hot) == 64, "a hot row is a cache line");

/* The turns show a settling process that no holder came and went between two
 * snapshots of a row; they wrap around. */
#define CQ_HOLDERS 0x000fffffu
#define CQ_TURN 0x00100000u
_Static_assert(CQ_LEDGER_MAX <= CQ_HOLDERS / 2u, "holders can't overflow");

#define CQ_MARK_POLICY 0x00007fffu
#define CQ_MARK_COPIES CQ_MARK_POLICY   /* of a pair */
#define CQ_MARK_DROPPED 0x00008000u     /* ClamQuotaDropAfter closed one of its
                                         * connections */
#define CQ_MARK_PROXIED 0x00010000u     /* seen through mod_remoteip */
#define CQ_MARK_OVER 0x00020000u        /* cold.over is set */
#define CQ_MARK_JAILED 0x00040000u      /* clamquota-sync has jailed it */
#define CQ_MARK_RAISED 0x00080000u      /* used was raised by memcached */

struct cq_cold {
    cq_word address[2];         /* 16 bytes as in struct cq_key */
    cq_word pool_prefix;        /* pool:16 family:8 prefix:8 */
    cq_word free;
    cq_word hits;
    cq_word refused;
    cq_word seen;
    cq_word over;
};
_Static_assert(sizeof(struct cq_cold) == 64, "a cold row is a cache line");

enum cq_purpose {
    CQ_ENTRY_IDLE = 0,          /* names no row */
    CQ_ENTRY_CLAIMING,          /* its owner may have made the row CLAIM, KILLED
                                 * or RECLAIM */
    CQ_ENTRY_HELD               /* the row is held, left_bytes is reserved */
};

struct cq_entry {
    cq_word owner;              /* ticket of the process; 0 = free */
    _Atomic uint32_t motion;    /* odd while row, left_bytes and the row's words
                                 * may disagree */
    _Atomic uint32_t row;
    _Atomic uint32_t purpose;
    uint32_t reserved32;
    _Atomic int64_t left_bytes; /* reserved and not yet used */
    uint64_t reserved[4];
};
_Static_assert(sizeof(struct cq_entry) == 64, "an entry is a cache line");

struct cq_stripe {
    _Atomic int64_t count[8];   /* by enum cq_total */
};
_Static_assert(CQ_TOTALS <= 8, "a stripe is a cache line");

struct cq_pool_slot {
    char name[CQ_POOL_NAME_SIZE];
    _Atomic int64_t daily_bytes;        /* 0: no ClamQuotaDaily now */
    _Atomic int64_t grace_bytes;
    _Atomic uint32_t config;            /* as in cq_policy_slot */
    _Atomic uint32_t refuses;           /* some scope of it is On, not only
                                         * LogOnly */
    uint64_t reserved;
};

struct cq_policy_slot {
    char rule[CQ_RULE_SIZE];
    _Atomic int64_t daily_bytes;
    uint32_t pool;
    /* Number of the configuration that set it last. The policy is in force
     * unless the header's number is higher: one that is set again at a restart
     * is in force all the time, one that is not set ends with the restart. */
    _Atomic uint32_t config;
};

struct cq_hour_slot {
    _Atomic int64_t start_s;
    _Atomic int64_t count[4];   /* sent, free, hits, refused */
    uint64_t reserved[3];
};

struct cq_day_slot {
    _Atomic uint32_t day;       /* stamp; 0 while being written */
    uint32_t reserved32;
    _Atomic int64_t start_s;
    _Atomic int64_t count[4];   /* as of an hour */
    uint64_t reserved[2];
};
_Static_assert(sizeof(struct cq_day_slot) == 64, "a cache line");

/* What a version's hash stands for, for people only. A process that finds a
 * past day here acquires the place by changing the day. */
struct cq_name_slot {
    cq_word version;            /* 0 while being written */
    cq_word day;
    cq_word checksum;           /* of all below under the version */
    int64_t size_bytes;
    int64_t mtime_us;
    char path[216];             /* the end of a longer one, after "..." */
};
_Static_assert(sizeof(struct cq_name_slot) == 256, "four cache lines");

/* fixed when the file is made */
struct cq_geometry {
    uint64_t magic;
    uint32_t version;
    uint32_t ledger_n;
    uint64_t file_size;
    uint64_t clients_n;         /* ClamQuotaClients */
    uint64_t rows_n;            /* a multiple of CQ_BUCKET_ROWS */
    uint64_t networks_n;        /* 0: networks are not counted */
    uint64_t network_rows_n;    /* a multiple too, or 0 */
    uint64_t files_n;           /* ClamQuotaFiles; 0: no scope has Copies */
    uint64_t file_rows_n;       /* a multiple too, or 0 */
    uint64_t names_n;
    uint64_t pools_at;
    uint64_t stripes_at;
    uint64_t policies_at;
    uint64_t history_at;
    uint64_t days_at;
    uint64_t exempt_at;
    uint64_t changes_at;
    uint64_t ledger_at;
    uint64_t names_at;
    uint64_t hot_at;
    uint64_t cold_at;
    uint64_t cluster_at;
    uint64_t cluster_size;
    struct cq_seed seed;
    uint8_t period_kind;
    uint8_t zone;
    struct cq_prefixes prefixes;
    uint32_t reserved;
    uint64_t checksum;          /* cq_hash_words() of all before, seed 0 */
};

struct cq_calendar_slot {
    _Atomic uint32_t id;        /* 0 while being written */
    uint32_t reserved;
    struct cq_period period;
};

struct cq_header {
    struct cq_geometry geometry;
    uint8_t gap[256 - sizeof(struct cq_geometry)];

    _Alignas(64) _Atomic uint32_t period_id;    /* in force */
    _Atomic uint32_t pool_n;
    _Atomic uint32_t policy_n;
    _Atomic uint32_t notices;       /* raised since the start, low 16 bits;
                                     * of these not yet logged, high 16 */
    _Atomic uint32_t ledger_high;   /* entries ever used: bounds a scan */
    _Atomic uint32_t config;        /* number of the configuration in force */
    _Atomic uint32_t exempt;        /* layout_exempt.h; its places are 0: no
                                     * client is exempt */
    _Atomic uint32_t ticket;        /* the last one given to a process */
    cq_word session;                /* random, of the server that opened it:
                                     * another one shows that the file was
                                     * overwritten since */
    _Atomic uint32_t turned_id;     /* the last period for which turnover.c went
                                     * through the rows */
    _Atomic uint32_t erased_id;     /* and the last for which old ones were
                                     * erased */
    _Atomic int64_t turned_s;       /* unix second of turned_id */
    cq_word closed;                 /* which file was closed in order, in which
                                     * life of the machine: repair.c. 0: none */

    struct cq_bell_words bell;
    _Alignas(64) cq_word clients_now;       /* stamp:16 clients:48 */
    _Atomic int64_t evictions;
    _Atomic int64_t untracked;
    _Atomic int64_t ledger_full;
    _Atomic int64_t pairs_lost;     /* pairs of this day that were evicted or
                                     * found no room */
    _Atomic int64_t counted[4];     /* totals the history has seen */
    _Atomic int64_t hour_start_s;   /* the hour that is being filled */
    _Atomic uint32_t day_stamp;     /* and the day */
    _Atomic uint32_t change_n;      /* changes of state ever noted */

    _Alignas(64) struct cq_calendar_slot calendar[CQ_CALENDAR];
    struct cq_jail_words jail;
    /* In the header and not in the cluster's section, so that a node that
     * leaves its cluster for a while finds its own shares again. */
    cq_word node;               /* this node's id; 0: none yet */
    cq_word machine;            /* that the table was made on */
    _Atomic uint32_t changes_logged; /* of change_n: are in the log */
    uint32_t reserved;
    char deny_files[232];           /* of cq_jail_words, under its motion */
};
_Static_assert(sizeof(struct cq_geometry) <= 256, "see gap");
_Static_assert(sizeof(struct cq_header) <= CQ_PAGE, "the header is a page");

/* The rows in which one kind of subject is looked for. */
struct cq_region {
    uint32_t first;
    uint64_t buckets_n;         /* 0: there are none */
};

/* What happened to the file since it was mapped. It lies in memory that the
 * children of the opener share, not in the file, which may be gone. */
struct cq_condition {
    _Atomic uint32_t lost;      /* a page of the mapping was (guard.h) */
    _Atomic uint32_t detached;  /* its name is gone or another file's */
    _Atomic uint32_t reported;  /* enum cq_table_health that was reported */
};

/* a process's view of the file */
struct cq_table {
    struct cq_header *header;
    struct cq_pool_slot *pools;
    struct cq_stripe *stripes;
    struct cq_policy_slot *policies;
    struct cq_hour_slot *hours;
    struct cq_day_slot *days;
    struct cq_exempt_slot *exemptions;
    struct cq_change_slot *changes;
    struct cq_entry *ledger;
    struct cq_hot *hot;
    struct cq_cold *cold;
    struct cq_name_slot *names;
    struct cq_cluster_head *cluster;    /* NULL, as the next two: none */
    cq_word *flights;
    _Atomic uint8_t *moved;
    uint64_t rows_n;            /* of clients */
    uint64_t cold_rows_n;       /* with those of networks */
    uint64_t all_rows_n;        /* with those of pairs */
    uint32_t names_n;
    struct cq_region clients;
    struct cq_region pairs;
    uint32_t ledger_n;
    uint32_t stripe;            /* this process's */
    uint64_t owner;             /* this process's ticket; 0: it has none */
    uint64_t session;           /* as in the header, of a server's own view */
    int64_t server_pid;         /* that opened it as a server; 0: a tool's */
    int fd;                     /* holds the locks */
    char *path;                 /* as it was opened */
    struct cq_condition *condition;
    bool writable;              /* false: a tool's view, mapped read-only */
    size_t size;
    uint32_t config;            /* number of the configuration being set */
    /* Written by each open and close; apart from the above, which the other
     * threads read all the time, by what two lines can be. */
    uint8_t gap[128];
    /* Entries freed last, or CQ_NO_ENTRY; two, as a request with Copies takes
     * one for its client and one for the file. */
    _Atomic uint32_t spare[2];
    _Atomic uint32_t cursor;    /* where the search for a free entry goes on */
    uint8_t gap_after[128];
};

/* ---- locks ---- */

/* byte of the file that a server's lock is on; a ticket's is on its own */
#define CQ_SERVER_BYTE 0
#define CQ_TICKET_MAX 0x3fffffffu       /* fits any off_t */

/* ---- the word cold.seen ---- */

#define CQ_SEEN_SHIFT 35        /* unix seconds until the year 3058 */
#define CQ_WOULD_REFUSE_MAX ((UINT64_C(1) << 29) - 1)

static inline int64_t cq_seen_s(uint64_t seen)
{
    return (int64_t)(seen & ((UINT64_C(1) << CQ_SEEN_SHIFT) - 1));
}

/* ---- stamped words ---- */

#define CQ_STAMP_SHIFT 48

static inline uint16_t cq_stamp(uint64_t word)
{
    return (uint16_t)(word >> CQ_STAMP_SHIFT);
}

static inline int64_t cq_bytes(uint64_t word)
{
    return (int64_t)(word & (uint64_t)CQ_BYTES_MAX);
}

static inline uint64_t cq_stamped(uint16_t stamp, int64_t bytes)
{
    if (bytes < 0) {
        bytes = 0;
    }
    if (bytes > CQ_BYTES_MAX) {
        bytes = CQ_BYTES_MAX;
    }
    return ((uint64_t)stamp << CQ_STAMP_SHIFT) | (uint64_t)bytes;
}

/** Adds n (may be negative) to the count under this stamp, starting from 0
 * when the word has another one. Stops at 0 and CQ_BYTES_MAX.
 * @return the count after adding */
int64_t cq_stamped_add(cq_word *word, uint16_t stamp, int64_t n);

/** The count under this stamp, 0 when the word has another one. */
static inline int64_t cq_stamped_get(const cq_word *word, uint16_t stamp)
{
    uint64_t w = atomic_load_explicit(word, memory_order_relaxed);
    return cq_stamp(w) == stamp ? cq_bytes(w) : 0;
}

/* ---- identities ---- */

#define CQ_STATE_MASK UINT64_C(3)
#define CQ_RECLAIM UINT64_C(0)
#define CQ_LIVE UINT64_C(1)
#define CQ_CLAIM UINT64_C(2)
#define CQ_KILLED UINT64_C(3)
#define CQ_EMPTY UINT64_C(0)    /* the whole word */

#endif
