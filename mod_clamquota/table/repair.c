/* repair - the invariants of a row in a quiet table (layout.h), and repairing
 * rows that break them.
 *
 * cq_row_fault() is the one list of what can be wrong with a row: check.c
 * reports it, a cold open repairs by it. After a power failure, or in a copy
 * or snapshot, the disk holds a mixture of old and new pages, which may break
 * every invariant. A row that cannot be proved right is emptied, so that no
 * client is charged for another. Only a start calls this, while no other
 * process uses the table. */
#include "table/exchange.h"
#include "table/parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool cq_holdings_read(const struct cq_table *t, struct cq_holdings *h)
{
    uint32_t i;

    h->left_bytes = calloc(t->all_rows_n, sizeof(*h->left_bytes));
    h->holders = calloc(t->all_rows_n, sizeof(*h->holders));
    if (h->left_bytes == NULL || h->holders == NULL) {
        cq_holdings_free(h);
        return false;
    }
    for (i = 0; i < t->ledger_n; i++) {
        const struct cq_entry *e = &t->ledger[i];
        uint32_t row = atomic_load(&e->row);

        if (atomic_load(&e->owner) != 0 && row < t->all_rows_n
            && atomic_load(&e->purpose) == CQ_ENTRY_HELD) {
            /* as unsigned: a damaged file's sums may overflow */
            h->left_bytes[row] += (uint64_t)atomic_load(&e->left_bytes);
            h->holders[row]++;
        }
    }
    return true;
}

void cq_holdings_free(struct cq_holdings *h)
{
    free(h->left_bytes);
    free(h->holders);
    memset(h, 0, sizeof(*h));
}

/* ---- what can be wrong ---- */

static bool is_zero(const struct cq_table *t, uint32_t row)
{
    const struct cq_hot *hot = &t->hot[row];
    cq_word *flight = cq_row_flight(t, row);
    uint64_t sum = atomic_load(&hot->committed) | atomic_load(&hot->used)
        | atomic_load(&hot->before) | atomic_load(&hot->day_base)
        | atomic_load(&hot->free_range) | atomic_load(&hot->mark)
        | atomic_load(&hot->others)
        | (atomic_load(&hot->holders) & CQ_HOLDERS);

    if (!cq_row_is_pair(t, row)) {
        const struct cq_cold *cold = &t->cold[row];

        sum |= atomic_load(&cold->address[0]) | atomic_load(&cold->address[1])
            | atomic_load(&cold->pool_prefix) | atomic_load(&cold->free)
            | atomic_load(&cold->hits) | atomic_load(&cold->refused)
            | atomic_load(&cold->seen) | atomic_load(&cold->over);
    }
    if (flight != NULL) {
        sum |= atomic_load(flight);
    }
    return sum == 0;
}

/* Of two rows of one client the one with the older or smaller count goes, or
 * the later one. */
static bool is_lesser_twin(const struct cq_table *t, uint32_t row,
                           uint32_t twin)
{
    uint64_t its = atomic_load(&t->hot[row].used);
    uint64_t other = atomic_load(&t->hot[twin].used);

    return its != other ? its < other : row > twin;
}

static enum cq_row_fault place_fault(const struct cq_table *t,
                                     uint32_t row, uint64_t id)
{
    struct cq_window w;
    bool found = false;
    uint32_t i;

    cq_window_fill(cq_row_is_pair(t, row) ? &t->pairs : &t->clients,
                   id & ~CQ_STATE_MASK, &w);
    for (i = 0; i < CQ_WINDOW_ROWS; i++) {
        if (w.row[i] == row) {
            found = true;
        }
        else if (atomic_load(&t->hot[w.row[i]].identity) == id
                 && is_lesser_twin(t, row, w.row[i])) {
            return CQ_ROW_TWIN;
        }
    }
    return found ? CQ_ROW_SOUND : CQ_ROW_MISPLACED;
}

static enum cq_row_fault name_fault(const struct cq_table *t, uint32_t row)
{
    struct cq_clock clock = { 0 };
    struct cq_row copy;
    uint32_t mark = atomic_load(&t->hot[row].mark);

    if (cq_row_is_pair(t, row)) {
        return (mark & CQ_MARK_OVER) != 0 ? CQ_ROW_MARK : CQ_ROW_SOUND;
    }
    if (!cq_row_copy(t, row, &clock, &copy)) {
        return CQ_ROW_UNNAMED;
    }
    if (copy.pool >= cq_table_pool_count(t)) {
        return CQ_ROW_POOL;
    }
    return (mark & CQ_MARK_OVER) != 0 && atomic_load(&t->cold[row].over) == 0
           ? CQ_ROW_MARK : CQ_ROW_SOUND;
}

static enum cq_row_fault sums_fault(const struct cq_table *t, uint32_t row,
                                    const struct cq_holdings *h)
{
    const struct cq_hot *hot = &t->hot[row];
    cq_word *flight = cq_row_flight(t, row);
    uint64_t committed = atomic_load(&hot->committed);
    uint64_t used = atomic_load(&hot->used);

    if ((atomic_load(&hot->holders) & CQ_HOLDERS) != h->holders[row]) {
        return CQ_ROW_HOLDERS;
    }
    if (cq_stamp(committed) != cq_stamp(used)) {
        return CQ_ROW_STAMPS;
    }
    /* the next step would take them for bytes in flight */
    if (cq_stamp(used) == 0 && cq_bytes(used) != 0) {
        return CQ_ROW_NO_PERIOD;
    }
    if ((uint64_t)(cq_bytes(committed) - cq_bytes(used))
        != h->left_bytes[row]) {
        return CQ_ROW_IN_FLIGHT;
    }
    /* what the others have in flight is part of their sum */
    return flight != NULL
            && (int64_t)(atomic_load(flight) >> CQ_FLIGHT_SHIFT << 10)
                   > cq_bytes(atomic_load(&hot->others))
           ? CQ_ROW_OTHERS : CQ_ROW_SOUND;
}

enum cq_row_fault cq_row_fault(const struct cq_table *t, uint32_t row,
                               const struct cq_holdings *h)
{
    uint64_t id = atomic_load(&t->hot[row].identity);
    enum cq_row_fault fault;

    if ((id & CQ_STATE_MASK) != CQ_LIVE) {
        if (h == NULL || (id == CQ_EMPTY && is_zero(t, row))) {
            return CQ_ROW_SOUND;
        }
        return id == CQ_EMPTY ? CQ_ROW_NOT_EMPTY : CQ_ROW_UNFINISHED;
    }
    fault = place_fault(t, row, id);
    /* in motion an address may be read while the row becomes another's */
    if (fault == CQ_ROW_SOUND) {
        fault = name_fault(t, row);
    }
    if (h == NULL) {
        return fault == CQ_ROW_UNNAMED || fault == CQ_ROW_MARK
               ? CQ_ROW_SOUND : fault;
    }
    return fault == CQ_ROW_SOUND ? sums_fault(t, row, h) : fault;
}

const char *cq_row_fault_text(enum cq_row_fault fault)
{
    switch (fault) {
    case CQ_ROW_SOUND: return "is sound";
    case CQ_ROW_NOT_EMPTY: return "is empty and has figures";
    case CQ_ROW_UNFINISHED: return "is half made";
    case CQ_ROW_MISPLACED: return "is in a place where no search finds it";
    case CQ_ROW_TWIN: return "has the client or pair of another row";
    case CQ_ROW_UNNAMED: return "has an address that is not its client's";
    case CQ_ROW_POOL: return "belongs to a pool that does not exist";
    case CQ_ROW_MARK: return "is marked as over quota and is not";
    case CQ_ROW_HOLDERS: return "has other holders than the ledger";
    case CQ_ROW_STAMPS: return "has reserved in one period and used in another";
    case CQ_ROW_NO_PERIOD: return "has used bytes of no period";
    case CQ_ROW_OTHERS:
        return "has more bytes in flight on other nodes than their shares";
    case CQ_ROW_IN_FLIGHT: return "has other bytes in flight than the ledger";
    default: return "has an unknown fault";
    }
}

/* ---- repairing ---- */

static void repair_row(struct cq_table *t, uint32_t row,
                       enum cq_row_fault fault, const struct cq_holdings *h)
{
    struct cq_hot *hot = &t->hot[row];
    uint64_t used = atomic_load(&hot->used);
    uint32_t turns = atomic_load(&hot->holders) & ~CQ_HOLDERS;

    switch (fault) {
    case CQ_ROW_MARK:
        atomic_fetch_and(&hot->mark, ~CQ_MARK_OVER);
        break;
    case CQ_ROW_HOLDERS:
    case CQ_ROW_STAMPS:
    case CQ_ROW_IN_FLIGHT:
        atomic_store(&hot->committed,
                     cq_stamped(cq_stamp(used), cq_bytes(used)
                                + (int64_t)h->left_bytes[row]));
        atomic_store(&hot->holders, turns | h->holders[row]);
        break;
    case CQ_ROW_NO_PERIOD:
        atomic_store(&hot->used, 0);
        break;
    case CQ_ROW_OTHERS:
        atomic_store(&t->flights[row], 0);
        break;
    case CQ_ROW_NOT_EMPTY:
    case CQ_ROW_UNFINISHED:
    case CQ_ROW_MISPLACED:
    case CQ_ROW_TWIN:
    case CQ_ROW_UNNAMED:
    case CQ_ROW_POOL:
    case CQ_ROW_SOUND:
    default:
        cq_row_zero(t, row);
        atomic_store(&hot->identity, CQ_EMPTY);
        atomic_store(&hot->holders, turns);
        break;
    }
}

bool cq_ledger_is_idle(const struct cq_table *t)
{
    uint64_t dead = 0;
    uint32_t i;

    for (i = 0; i < t->ledger_n; i++) {
        uint64_t owner = atomic_load(&t->ledger[i].owner);

        if (owner != 0 && owner != dead) {
            if (cq_owner_lives(t, owner)) {
                return false;
            }
            dead = owner;
        }
    }
    return true;
}

static int64_t repair_rows(struct cq_table *t, const struct cq_holdings *h)
{
    uint16_t id = (uint16_t)atomic_load(&t->header->period_id);
    int64_t repaired = 0, clients = 0;
    uint64_t row;

    for (row = 0; row < t->all_rows_n; row++) {
        enum cq_row_fault fault = cq_row_fault(t, (uint32_t)row, h);

        repaired += fault != CQ_ROW_SOUND;
        while (fault != CQ_ROW_SOUND) {
            repair_row(t, (uint32_t)row, fault, h);
            fault = cq_row_fault(t, (uint32_t)row, h);
        }
        clients += row < t->rows_n && id != 0
            && cq_stamp(atomic_load(&t->hot[row].used)) == id;
    }
    atomic_store(&t->header->clients_now, cq_stamped(id, clients));
    return repaired;
}

/* A mark that none writes: the rows may have moved. */
static int64_t repair_marks(struct cq_table *t)
{
    int64_t repaired = 0;
    uint64_t g, n = cq_groups_n(t);

    for (g = 0; g < n; g++) {
        if (atomic_load(&t->moved[g]) > CQ_IN_EXCHANGE) {
            atomic_store(&t->moved[g], CQ_MOVED);
            repaired++;
        }
    }
    return repaired;
}

enum cq_status cq_table_repair(struct cq_table *t, int64_t *repaired)
{
    struct cq_holdings nobody;
    uint32_t i;

    for (i = 0; i < t->ledger_n; i++) {
        struct cq_entry *e = &t->ledger[i];

        /* only what was in use, so that a file's pages stay clean */
        if (atomic_load(&e->owner) != 0 || atomic_load(&e->motion) % 2 != 0) {
            memset(e, 0, sizeof(*e));
            atomic_store(&e->row, CQ_NO_ROW);
        }
    }
    atomic_store(&t->header->ledger_high, 0);
    cq_history_repair(t);
    if (t->exemptions != NULL) {
        cq_exempt_repair(t);
    }
    if (!cq_holdings_read(t, &nobody)) {
        return CQ_ENOMEM;
    }
    *repaired = repair_rows(t, &nobody) + repair_marks(t);
    cq_holdings_free(&nobody);
    return CQ_OK;
}

/* ---- was it closed in order? ---- */

/* A number of this file in this life of the machine: within it no page is lost
 * when a process is, and a copy or snapshot that is put in the file's place is
 * another inode. 0: it can't be had. */
static uint64_t identify_file(const struct cq_table *t)
{
    const struct cq_seed *seed = &t->header->geometry.seed;
    uint64_t words[7] = { 0 };
    struct stat file;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    bool known = fd >= 0 && read(fd, words, 36) == 36
        && fstat(t->fd, &file) == 0;

    if (fd >= 0) {
        close(fd);
    }
    if (!known) {
        return 0;
    }
    words[5] = (uint64_t)file.st_dev;
    words[6] = (uint64_t)file.st_ino;
    return cq_hash_words(seed, words, sizeof(words) / sizeof(words[0])) | 1;
}

void cq_table_leave(struct cq_table *t)
{
    struct stat file;
    uint32_t i;

    /* looked at anew: here no guard may stand any more */
    if (t->server_pid != getpid() || fstat(t->fd, &file) != 0
        || (uint64_t)file.st_size < t->size
        || cq_table_health(t) == CQ_HEALTH_LOST) {
        return;
    }
    cq_table_settle(t);
    for (i = 0; i < t->ledger_n; i++) {
        if (atomic_load(&t->ledger[i].owner) != 0) {
            return;
        }
    }
    atomic_store(&t->header->closed, identify_file(t));
}

bool cq_table_is_as_left(const struct cq_table *t)
{
    uint64_t closed = atomic_load(&t->header->closed);

    return closed != 0 && closed == identify_file(t);
}
