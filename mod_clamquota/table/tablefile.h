/* tablefile - the file behind a table: create, attach, validate, grow, check.
 *
 * Everything here may block and is called at start-up or by tools, never by a
 * request. */
#ifndef CQ_TABLEFILE_H
#define CQ_TABLEFILE_H

#include "table/table.h"

#include <stdio.h>

struct cq_tablefile_want {
    const char *path;
    uint64_t clients;               /* ClamQuotaClients, >= 1 */
    uint64_t files;                 /* ClamQuotaFiles; 0: no scope has Copies */
    uint32_t ledger_entries;        /* open requests at most; 0: 65,536 */
    enum cq_period_kind kind;
    enum cq_zone zone;
    struct cq_prefixes prefixes;
    int64_t now_s;
    bool cluster;                   /* with the section for the exchange with
                                     * other nodes (shares.h) */
    uint64_t machine;               /* a number for this machine; 0: unknown. A
                                     * table with another one is a copy */
    int lock_wait_ms;               /* a server that ends holds its lock for
                                     * some milliseconds longer than its port */
};

/* what opening found worth logging; several may be set */
enum cq_tablefile_event {
    CQ_TABLE_CREATED = 1u << 0,
    CQ_TABLE_SET_ASIDE = 1u << 1,   /* older layout, now PATH.vN */
    CQ_TABLE_RESIZED = 1u << 2,     /* rows were copied into a new file */
    CQ_TABLE_NOT_SHRUNK = 1u << 3,  /* it holds more clients than wanted */
    CQ_TABLE_RESTARTED = 1u << 4,   /* kind, zone or prefixes changed: counters
                                     * started anew */
    CQ_TABLE_DAMAGED = 1u << 6,     /* set aside as PATH.damaged, or .1 .. */
    CQ_TABLE_IMPORTED = 1u << 7,    /* counters of layout 2 were taken over */
    CQ_TABLE_REPAIRED = 1u << 8,    /* rows were left in the middle of something
                                     * and put right or forgotten */
    CQ_TABLE_COPIED = 1u << 9,      /* made by another machine: this one has a
                                     * new node id and counts from nothing, as
                                     * the cluster still has the shares */
    CQ_TABLE_PERIOD_JUMP = 1u << 5  /* the period in force was not the one
                                     * before or the same: believed, as a start
                                     * does */
};

/* one sentence fits */
#define CQ_WHY_SIZE 512

/** Opens the table at want->path for a server, making it if there is none:
 * locks it against other servers for the life of this process, resizes or
 * restarts it where want differs, clears what dead processes left.
 * @param table   result; NULL on failure
 * @param events  enum cq_tablefile_event bits; may be NULL
 * @param why     on failure one sentence: what, which file, what was
 *                expected, what to do; with CQ_TABLE_SET_ASIDE and
 *                CQ_TABLE_DAMAGED the name under which the file lies now
 * @return CQ_OK; CQ_ELOCKED, CQ_ENOTTABLE, CQ_EVERSION, CQ_ECORRUPT,
 *         CQ_EACCES, CQ_EIO, CQ_EINVAL. On failure a file that was there is
 *         untouched. A file that is empty, all zeros or begins like a table
 *         and is damaged is set aside; one that is none of ours is not. */
enum cq_status cq_tablefile_open(const struct cq_tablefile_want *want,
                                 struct cq_table **table, unsigned *events,
                                 char *why, size_t why_size);

/** Maps an existing table for a tool.
 * @param writable  false maps it read-only: calls that change it must not be
 *                  made then
 * @return as cq_tablefile_open(), CQ_ENOENT when there is none */
enum cq_status cq_tablefile_attach(const char *path, bool writable,
                                   struct cq_table **table, char *why,
                                   size_t why_size);

/** Unmaps; releases the lock of cq_tablefile_open(). NULL does nothing. */
void cq_tablefile_close(struct cq_table *table);

/** Tells views of different builds apart: a mapping that outlives the code that
 * made it is of use to another build only if this is the same.
 * @return a number made of the view's size and the layout's version */
size_t cq_tablefile_view_size(void);

/** Does a server hold the table now? Asks the kernel for its lock, so that one
 * in another container or process namespace is seen, too. */
bool cq_tablefile_is_served(const struct cq_table *table);

/** Does any other process count in the table or change it: a server, its
 * children, or a tool? */
bool cq_tablefile_is_in_use(const struct cq_table *table);

/** Verifies every invariant of the file.
 * @param out    gets one line for each that does not hold; may be NULL
 * @param quiet_table  no other process uses the table: also sums must agree
 * @return number of violations; -1: out of memory, nothing was verified */
int cq_table_check(const struct cq_table *table, bool quiet_table, FILE *out);

#endif
