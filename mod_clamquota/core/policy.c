/* policy - the quota arithmetic.
 *
 * Pure and total: figures out of a damaged table give some answer, never an
 * overflow; of two possible answers the one that serves the request. */
#include "core/policy.h"

#include <stddef.h>

/* Any negative Daily is the whitelist's: only CQ_UNLIMITED is ever set. */
static bool is_unlimited(const struct cq_policy *policy)
{
    return policy->daily_bytes < 0;
}

const char *cq_state_word(enum cq_state state)
{
    switch (state) {
    case CQ_STATE_OK:
        return "ok";
    case CQ_STATE_OVER:
        return "over";
    case CQ_STATE_BUSY:
        return "busy";
    case CQ_STATE_COPIES:
        return "copies";
    case CQ_STATE_FREE:
        return "free";
    case CQ_STATE_EXEMPT:
        return "exempt";
    case CQ_STATE_LOGONLY:
        return "logonly";
    case CQ_STATE_ERROR:
        return "error";
    }
    return "unknown";
}

int64_t cq_policy_allowance(const struct cq_policy *policy, int day)
{
    int64_t grace_bytes = policy->grace_bytes > 0 ? policy->grace_bytes : 0;

    if (is_unlimited(policy) || grace_bytes >= CQ_BYTES_MAX) {
        return CQ_BYTES_MAX;
    }
    if (day < 1) {
        day = 1;
    }
    if (day > CQ_PERIOD_MAX_DAYS) {
        day = CQ_PERIOD_MAX_DAYS;
    }
    if (policy->daily_bytes > (CQ_BYTES_MAX - grace_bytes) / day) {
        return CQ_BYTES_MAX;
    }
    return policy->daily_bytes * day + grace_bytes;
}

enum cq_state cq_policy_state(const struct cq_policy *policy,
                              const struct cq_usage *usage, int day)
{
    int64_t allowance_bytes = cq_policy_allowance(policy, day);
    int64_t used_bytes = usage->used_bytes > 0 ? usage->used_bytes : 0;

    if (is_unlimited(policy)) {
        return CQ_STATE_EXEMPT;
    }
    if (used_bytes >= allowance_bytes) {
        return CQ_STATE_OVER;
    }
    /* not used + in flight: the sum could overflow */
    if (usage->in_flight_bytes >= allowance_bytes - used_bytes) {
        return CQ_STATE_BUSY;
    }
    return CQ_STATE_OK;
}

/* When a client that has used this much is admitted again. */
static int64_t admitted_at_s(const struct cq_policy *policy,
                             int64_t used_bytes,
                             const struct cq_period *period, int64_t now_s)
{
    int days = period->days;

    if (days > CQ_PERIOD_MAX_DAYS) {
        days = CQ_PERIOD_MAX_DAYS;
    }
    for (int day = cq_period_day(period, now_s); day <= days; day++) {
        if (cq_policy_allowance(policy, day) > used_bytes) {
            return period->midnight_s[day - 1];
        }
    }
    return period->midnight_s[days];
}

/* The next midnight: copies are counted by days. */
static int64_t day_ends_s(const struct cq_period *period, int64_t now_s)
{
    return period->midnight_s[cq_period_day(period, now_s)];
}

/* later - earlier, at least 1, saturating */
static int64_t wait_s(int64_t earlier_s, int64_t later_s)
{
    uint64_t wait;

    if (later_s <= earlier_s) {
        return 1;
    }
    wait = (uint64_t)later_s - (uint64_t)earlier_s;
    return wait > INT64_MAX ? INT64_MAX : (int64_t)wait;
}

/* The client's own share, 0..most_s. */
static int64_t share_s(uint64_t spread, int64_t most_s)
{
    return most_s > 0 ? (int64_t)(spread % ((uint64_t)most_s + 1)) : 0;
}

int64_t cq_policy_retry_after_s(const struct cq_policy *policy,
                                int64_t used_bytes, enum cq_state state,
                                const struct cq_period *period, int64_t now_s,
                                const struct cq_retry *retry)
{
    int64_t retry_s;
    int64_t jitter_s;
    int64_t max_s;

    if (state != CQ_STATE_OVER && state != CQ_STATE_BUSY
        && state != CQ_STATE_COPIES) {
        return 0;
    }
    retry_s = state == CQ_STATE_BUSY ? CQ_BUSY_RETRY_S
        : state == CQ_STATE_COPIES ? wait_s(now_s, day_ends_s(period, now_s))
        : wait_s(now_s, admitted_at_s(policy, used_bytes, period, now_s));
    if (retry == NULL) {
        return retry_s;
    }
    jitter_s = share_s(retry->spread, state == CQ_STATE_BUSY
                                      ? CQ_BUSY_JITTER_S : retry->jitter_s);
    max_s = retry->max_s > 1 ? retry->max_s : 1;
    if (retry_s >= max_s || jitter_s >= max_s - retry_s) {
        return max_s;
    }
    return retry_s + jitter_s;
}
