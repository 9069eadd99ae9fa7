/* layout_shares - the section for the cluster, byte for byte. Private to
 * table/; layout.h shows where it lies:
 *
 *   head     figures of the exchange, 1,024 acts, a question
 *   flights  8 bytes for each row of a client: what its others' sum has in
 *            flight, and until when
 *   moved    a byte for 16 rows, those of pairs too
 *
 * Each of the three starts on a page. */
#ifndef CQ_LAYOUT_SHARES_H
#define CQ_LAYOUT_SHARES_H

#include "table/shares.h"

#include <stdatomic.h>

/* Which rows moved, a byte for 16 of them:
 *
 *   a row differs from what its item was seen to hold  =>  its byte is not 0
 *
 * A request changes the row, then looks at the byte; the exchanger swaps the
 * byte, then reads the rows. Both are sequentially consistent, so one of the
 * two sees the other. A child that is killed between its change and the byte
 * breaks the line until its ledger entry is settled, which marks the row.
 * IN_EXCHANGE of an exchanger that died counts as MOVED. */
#define CQ_MOVED_ROWS 16u
enum cq_moved { CQ_READ_BACK = 0, CQ_MOVED = 1, CQ_IN_EXCHANGE = 2 };

/* What of hot.others is in flight: KiB:29, counted until an unix second:35. It
 * lapses by itself: a node that died, or an exchanger that did, locks no client
 * out. Only a request that would be refused looks here. */
#define CQ_FLIGHT_SHIFT 35
#define CQ_FLIGHT_KIB_MAX ((INT64_C(1) << 29) - 1)

/* An act's state: the second at which its slot was acquired:62, a state:2.
 * One that is WRITING for longer is of a dead process, and free. NEW: the rows
 * that it covers may still have what it resets. */
enum cq_act_state { CQ_ACT_FREE = 0, CQ_ACT_WRITING = 1, CQ_ACT_NEW = 2,
                    CQ_ACT_DONE = 3 };
#define CQ_ACT_WRITING_S 60

struct cq_act_slot {
    _Atomic uint64_t state;
    _Atomic uint64_t address[2];
    _Atomic uint64_t packed;    /* kind:32 reserved:16 family:8 prefix:8 */
    _Atomic int64_t at_ms;
    _Atomic int64_t until_s;
};

/* Which node has how much of a client: a tool asks, the exchanger answers, the
 * last question counts. asked = answer.asked: there is nothing to do. The
 * client's words are written before asked; two tools that ask at once may mix
 * them, and each finds that the answer is about another client. */
struct cq_question {
    _Atomic uint32_t asked;     /* goes up by one with each question */
    _Atomic uint32_t motion;    /* odd while the answer is being written */
    _Atomic uint64_t address[2];
    _Atomic uint64_t pool_prefix; /* pool:16 reserved:32 family:8 prefix:8 */
    struct cq_node_shares answer;
};

struct cq_cluster_head {
    _Atomic int64_t opened_ms;  /* when this server opened the table */
    _Atomic uint32_t motion;    /* odd while the figures are being written */
    uint32_t reserved;
    struct cq_cluster_status status;
    _Alignas(64) struct cq_act_slot acts[CQ_ACTS_MAX];
    struct cq_question question;        /* zeros in a file that was made before
                                         * there were questions */
};
_Static_assert(sizeof(struct cq_cluster_head) <= 15 * 4096,
               "layout 3 has 15 pages for it");

#endif
