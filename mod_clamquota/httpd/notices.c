/* notices - what the table has to say once: by the parent's housekeeping, or by
 * a request that comes before it. */
#include "httpd/private.h"

void cq_notices_say(server_rec *s)
{
    uint32_t notices = cq_table_notices(cq_site.table);
    struct cq_table_figures figures;

    if (notices == 0) {
        return;
    }
    cq_table_figures(cq_site.table, &figures);
    if (notices & CQ_NOTICE_FILL) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0130")
                     "80 %% of ClamQuotaClients %" APR_INT64_T_FMT " are in "
                     "use: raise it and restart", figures.capacity);
    }
    if (notices & CQ_NOTICE_EVICT) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0131")
                     "a client of this period was forgotten to make room: "
                     "raise ClamQuotaClients (now %" APR_INT64_T_FMT ") and "
                     "restart", figures.capacity);
    }
    if (notices & CQ_NOTICE_UNTRACKED) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0132")
                     "a client found no room in the table and is served "
                     "uncounted: raise ClamQuotaClients (now %" APR_INT64_T_FMT
                     ") and restart", figures.capacity);
    }
    if (notices & CQ_NOTICE_FILES) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0135")
                     "what a client drew of a file was forgotten to make "
                     "room: raise ClamQuotaFiles (now %" APR_INT64_T_FMT ") "
                     "and restart", figures.files);
    }
    if (notices & CQ_NOTICE_LEDGER) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0133")
                     "more requests are open than the ledger has entries: "
                     "those beyond reserve nothing");
    }
    if (notices & CQ_NOTICE_PROXY) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0134")
                     "a proxy seems to be the client, so that all its "
                     "visitors share one counter: load mod_remoteip and set "
                     "RemoteIPHeader and RemoteIPTrustedProxy");
    }
}
