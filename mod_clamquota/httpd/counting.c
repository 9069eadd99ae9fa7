/* counting - are requests counted, and if not, what to do about it.
 *
 * The one place that says so, to the page, to a client's own page and to
 * mod_status. The log was told by whoever found out (start.c). */
#include "httpd/private.h"

/* Without quotes: it is shown in formats that escape them in different ways. */
static const char *advice(enum cq_trouble trouble)
{
    return trouble == CQ_TROUBLE_STALE
        ? "Requests are not counted: mod_clamquota was replaced while httpd "
          "was running. Stop and start httpd; a graceful restart is not "
          "enough."
        : "Requests are not counted: the table could not be opened, the error "
          "log says why (CQ0120). Put that right, then stop and start httpd.";
}

void cq_counting_now(struct cq_counting *now)
{
    enum cq_engine engine = cq_site.conf->strongest;

    now->engine = cq_engine_word(engine);
    now->notice = NULL;
    now->readable = cq_site.table != NULL;
    now->counts = now->readable && engine != CQ_ENGINE_OFF;
    if (engine == CQ_ENGINE_OFF) {
        now->notice = "Requests are not counted: ClamQuotaEngine is Off. "
            "ClamQuotaEngine On and ClamQuotaDaily 50M in the server config, "
            "a virtual host or a <Location> switch the quota on.";
    }
    else if (cq_site.trouble != CQ_TROUBLE_NONE) {
        now->engine = cq_site.trouble == CQ_TROUBLE_STALE ? "stale"
                                                          : "unusable";
        now->notice = advice(cq_site.trouble);
    }
}
