/* offence - who may be shut out before he is answered. */
#include "core/offence.h"

#include <stddef.h>

enum cq_offence cq_offence_of(const struct cq_offence_facts *facts,
                              const struct cq_policy *policy, bool refuses,
                              int day, int64_t now_s,
                              const struct cq_offence_limits *limits,
                              int64_t *due_s)
{
    struct cq_usage usage = { facts->used_bytes, 0 };
    enum cq_state state = cq_policy_state(policy, &usage, day);

    if (!refuses || policy->daily_bytes == 0 || state == CQ_STATE_EXEMPT) {
        return CQ_OFFENCE_EXEMPT;
    }
    if (state != CQ_STATE_OVER || facts->over_since_s <= 0
        || facts->refusals <= 0) {
        return CQ_OFFENCE_NONE;
    }
    if (facts->proxied) {
        return CQ_OFFENCE_PROXIED;
    }
    if (facts->refusals < limits->after) {
        return CQ_OFFENCE_FEW;
    }
    if (now_s - facts->over_since_s < limits->grace_s) {
        if (due_s != NULL) {
            *due_s = facts->over_since_s + limits->grace_s;
        }
        return CQ_OFFENCE_RECENT;
    }
    return CQ_OFFENCE_OFFENDER;
}

const char *cq_offence_word(enum cq_offence offence)
{
    switch (offence) {
    case CQ_OFFENCE_NONE:
        return "none";
    case CQ_OFFENCE_EXEMPT:
        return "exempt";
    case CQ_OFFENCE_PROXIED:
        return "proxied";
    case CQ_OFFENCE_FEW:
        return "few";
    case CQ_OFFENCE_RECENT:
        return "recent";
    case CQ_OFFENCE_OFFENDER:
        return "offender";
    }
    return "unknown";
}
