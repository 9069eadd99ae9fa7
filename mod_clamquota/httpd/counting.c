/* counting - are requests counted, and if not, what to do about it.
 *
 * The one place that answers this for the page, a client's own page and
 * mod_status. start.c logs it. */
#include "httpd/private.h"

/* Sentences without quotes: formats escape these in different ways. */

#define AGAIN "then stop and start httpd; a graceful restart is not enough."

static const char *advice(enum cq_trouble trouble)
{
    switch (trouble) {
    case CQ_TROUBLE_STALE:
        return "Requests are not counted: mod_clamquota was replaced while "
               "httpd was running. Stop and start httpd; a graceful restart is "
               "not enough.";
    case CQ_TROUBLE_UNUSABLE:
        return "Requests are not counted: the table could not be opened; the "
               "error log has the reason (CQ0120). Correct it, " AGAIN;
    case CQ_TROUBLE_UNLOCKED:
        return "Requests are not counted by this child of httpd: it could not "
               "lock the table; the error log has the reason (CQ0138). Correct "
               "it; a graceful restart is enough.";
    case CQ_TROUBLE_LOST:
        return "Requests are not counted: the file of the table was cut short "
               "or overwritten, or its disk is full (CQ0127). Correct that, "
               AGAIN;
    case CQ_TROUBLE_NONE:
        break;
    }
    return NULL;
}

static enum cq_trouble find_trouble(void)
{
    return cq_site.table != NULL
        && cq_table_health(cq_site.table) == CQ_HEALTH_LOST
        ? CQ_TROUBLE_LOST : cq_site.trouble;
}

void cq_counting_now(struct cq_counting *now)
{
    enum cq_engine engine = cq_site.conf->strongest;
    enum cq_trouble trouble = find_trouble();

    now->engine = cq_engine_word(engine);
    now->readable = cq_site.table != NULL && trouble == CQ_TROUBLE_NONE;
    now->counts = now->readable && engine != CQ_ENGINE_OFF;
    now->notice = NULL;
    if (engine == CQ_ENGINE_OFF) {
        now->notice = "Requests are not counted: ClamQuotaEngine is Off. "
            "ClamQuotaEngine On and ClamQuotaDaily 50M in the server config, "
            "a virtual host or a <Location> switch the quota on.";
    }
    else if (trouble != CQ_TROUBLE_NONE) {
        now->engine = trouble == CQ_TROUBLE_STALE ? "stale" : "unusable";
        now->notice = advice(trouble);
    }
    else if (now->readable
             && cq_table_health(cq_site.table) == CQ_HEALTH_DETACHED) {
        now->notice = "The file of the table was removed or replaced (CQ0128): "
            "requests are counted in the old one, which tools do not see and a "
            "restart forgets. Restart httpd to use the new file.";
    }
}
