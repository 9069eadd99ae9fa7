/* family - user agents by the program that made them. */
#include "clamquota/replay.h"

#include <string.h>
#include <strings.h>

/* How agents begin, in any case: freshclam says "ClamAV/1.4.6 (OS: ...)". */
static const struct {
    const char *begins;
    enum cq_family family;
} agents[] = {
    { "clamav/", CQ_FAMILY_FRESHCLAM }, { "freshclam", CQ_FAMILY_FRESHCLAM },
    { "cvdupdate", CQ_FAMILY_CVDUPDATE }, { "debian apt", CQ_FAMILY_APT },
    { "apt/", CQ_FAMILY_APT }, { "curl/", CQ_FAMILY_CURL },
    { "wget", CQ_FAMILY_WGET }, { "mozilla/", CQ_FAMILY_BROWSER },
    { "opera/", CQ_FAMILY_BROWSER }
};

const char *cq_family_word(enum cq_family family)
{
    static const char *const words[] = { "freshclam", "cvdupdate", "apt",
        "curl", "wget", "browsers", "others" };

    return words[family];
}

/* Robots are "Mozilla/5.0 (compatible; ...)"; so was MSIE. */
static bool is_robot(const char *agent, size_t length)
{
    static const char words[] = "compatible; ";
    const char *at = memmem(agent, length, words, sizeof(words) - 1);

    return at != NULL
        && memmem(at, length - (size_t)(at - agent), "MSIE", 4) == NULL;
}

enum cq_family cq_family_find(const char *agent, size_t length)
{
    size_t i;

    for (i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
        const char *begins = agents[i].begins;

        if (length > 0 && (agent[0] | 0x20) == begins[0]
            && length >= strlen(begins)
            && strncasecmp(agent, begins, strlen(begins)) == 0) {
            return agents[i].family == CQ_FAMILY_BROWSER
                && is_robot(agent, length) ? CQ_FAMILY_OTHER
                                           : agents[i].family;
        }
    }
    return CQ_FAMILY_OTHER;
}
