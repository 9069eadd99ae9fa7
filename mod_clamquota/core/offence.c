/* offence - the one verdict on a row. */
#include "core/offence.h"
#include "core/special.h"

#include <stddef.h>

enum cq_offence cq_offence_judge(const struct cq_offence_facts *facts,
                                 const struct cq_policy *policy, bool refuses,
                                 int day, int64_t now_s,
                                 const struct cq_offence_limits *limits,
                                 int64_t *due_s)
{
    struct cq_usage usage = { facts->used_bytes, 0 };
    enum cq_state state = cq_policy_state(policy, &usage, day);

    if (facts->exempt || !refuses || policy->daily_bytes == 0
        || state == CQ_STATE_EXEMPT) {
        return CQ_OFFENCE_EXEMPT;
    }
    if (state != CQ_STATE_OVER || facts->over_since_s <= 0
        || facts->refusals <= 0) {
        return CQ_OFFENCE_NONE;
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

enum cq_spared cq_spared_reason(const struct cq_address_facts *facts)
{
    if (facts->exempt) {
        return CQ_SPARED_EXEMPT;
    }
    if (facts->proxied) {
        return CQ_SPARED_PROXIED;
    }
    if (cq_special_word(facts->key) != NULL) {
        return CQ_SPARED_RESERVED;
    }
    if (facts->own) {
        return CQ_SPARED_OWN;
    }
    if (facts->never) {
        return CQ_SPARED_NEVER;
    }
    if (facts->client_bits >= 0
        && facts->key->prefix != facts->client_bits) {
        return CQ_SPARED_PREFIX;
    }
    return CQ_SPARED_NOT;
}

static const struct {
    const char *word;
    const char *text;
} spared_words[] = {
    [CQ_SPARED_NOT] = { NULL, NULL },
    [CQ_SPARED_EXEMPT] = { "exempt", "it is exempt" },
    [CQ_SPARED_PROXIED] = { "proxied", "other clients share its address" },
    [CQ_SPARED_RESERVED] = { "reserved", "a reserved address, e.g. loopback" },
    [CQ_SPARED_OWN] = { "own", "this machine or its default gateway" },
    [CQ_SPARED_NEVER] = { "never", "it is on a never list" },
    [CQ_SPARED_PREFIX] = { "prefix", "not the prefix of a client" }
};

#define SPARED_N (sizeof(spared_words) / sizeof(spared_words[0]))

const char *cq_spared_word(enum cq_spared spared)
{
    return spared < SPARED_N ? spared_words[spared].word : "unknown";
}

const char *cq_spared_text(enum cq_spared spared)
{
    return spared < SPARED_N ? spared_words[spared].text : "unknown";
}
