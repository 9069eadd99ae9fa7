/* policy - the quota arithmetic, in one place.
 *
 * Pure: usage, policy and calendar in, verdict out; no state, no clock. The
 * module, the page and the tools all decide through this room. */
#ifndef CQ_POLICY_H
#define CQ_POLICY_H

#include "core/period.h"

#include <stdbool.h>
#include <stdint.h>

/* daily_bytes of a client on the whitelist */
#define CQ_UNLIMITED INT64_C(-1)

/* Allowances saturate here: what 48 bits of a counter can hold. */
#define CQ_BYTES_MAX ((INT64_C(1) << 48) - 1)

/* Waiting time when only what is in flight stands in the way, and the most
 * that is added to it (the contract: 30 s, up to 10 s more). */
#define CQ_BUSY_RETRY_S 30
#define CQ_BUSY_JITTER_S 10

struct cq_policy {
    int64_t daily_bytes;    /* CQ_UNLIMITED or 1..CQ_SIZE_MAX_BYTES */
    int64_t grace_bytes;    /* 0..CQ_SIZE_MAX_BYTES, once a period */
};

struct cq_usage {
    int64_t used_bytes;         /* in this period, >= 0 */
    int64_t in_flight_bytes;    /* reserved and not yet used, >= 0 */
};

enum cq_state {
    CQ_STATE_OK = 0,
    CQ_STATE_OVER,      /* used has reached the allowance */
    CQ_STATE_BUSY,      /* used + in flight has, used has not */
    CQ_STATE_COPIES,    /* this version of this file was downloaded as
                         * often as it may be */
    CQ_STATE_FREE,      /* counted apart, never refused */
    CQ_STATE_EXEMPT,    /* Unlimited, or exempt for a time */
    CQ_STATE_LOGONLY,   /* would have been refused */
    CQ_STATE_ERROR      /* our own trouble: served, not counted */
};

/** "ok", "over", "busy", "copies", "free", "exempt", "logonly", "error". */
const char *cq_state_word(enum cq_state state);

/** What a client may have used by the end of this day of the period:
 * day x daily + grace, saturating at CQ_BYTES_MAX (which also stands for
 * unlimited).
 * @param day  1..31 */
int64_t cq_policy_allowance(const struct cq_policy *policy, int day);

/** Where a client stands before a request: CQ_STATE_OK, OVER, BUSY or
 * EXEMPT. A request is refusable in OVER and BUSY. */
enum cq_state cq_policy_state(const struct cq_policy *policy,
                              const struct cq_usage *usage, int day);

struct cq_retry {
    int64_t max_s;      /* ClamQuotaRetryMax, >= 1 */
    int64_t jitter_s;   /* ClamQuotaRetryJitter, >= 0 */
    uint64_t spread;    /* any number that is the client's own: the same
                         * client always gets the same part of the jitter,
                         * so its Retry-After counts down honestly */
};

/** Whole seconds, >= 1, until this client would be admitted: to the first
 * midnight at which day x daily + grace exceeds used, or to the end
 * of the period. BUSY: CQ_BUSY_RETRY_S plus spread % (CQ_BUSY_JITTER_S + 1).
 * COPIES: to the next midnight, whatever used is.
 * Else spread % (jitter + 1) is added. The sum is capped by max_s.
 * @param state  CQ_STATE_OVER, BUSY or COPIES; 0 is returned for others
 * @param retry  NULL: no cap and no jitter (what the page shows) */
int64_t cq_policy_retry_after_s(const struct cq_policy *policy,
                                int64_t used_bytes, enum cq_state state,
                                const struct cq_period *period, int64_t now_s,
                                const struct cq_retry *retry);

#endif
