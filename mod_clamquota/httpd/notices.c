/* notices - lines that are logged once for a table: when it is opened, by the
 * parent's housekeeping, or by a request that comes before it. */
#include "httpd/private.h"
#include "table/tablefile.h"

void cq_notices_log(server_rec *s)
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
                     "the copies that a client had used of a file were "
                     "forgotten to make room: raise ClamQuotaFiles (now %"
                     APR_INT64_T_FMT ") and restart", figures.files);
    }
    if (notices & CQ_NOTICE_LEDGER) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0133")
                     "more requests are open at once than the table has "
                     "entries for: the others are not counted. Lower "
                     "H2MaxSessionStreams or raise MaxRequestWorkers, and "
                     "restart (stop and start)");
    }
    if (notices & CQ_NOTICE_PROXY) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CQNO("0134")
                     "a client seems to be a proxy, whose visitors share one "
                     "counter: load mod_remoteip and set RemoteIPHeader and "
                     "RemoteIPTrustedProxy");
    }
}

void cq_notices_opened(server_rec *s, const char *path, const char *aside,
                       unsigned events)
{
    if (events & CQ_TABLE_CREATED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0111")
                     "made a new table in %s", path);
    }
    if (events & CQ_TABLE_SET_ASIDE) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0112")
                     "%s had an older layout and is set aside as %s: the "
                     "counters start at zero", path, aside);
    }
    if (events & CQ_TABLE_DAMAGED) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, CQNO("0129")
                     "%s was damaged and is set aside as %s: the counters "
                     "start at zero", path, aside);
    }
    if (events & CQ_TABLE_IMPORTED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0136")
                     "%s had the older layout 2: its counters were kept",
                     path);
    }
    if (events & CQ_TABLE_REPAIRED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0137")
                     "%s was not closed in order: reservations of processes "
                     "that are gone were released, and inconsistent rows "
                     "were forgotten", path);
    }
    if (events & CQ_TABLE_RESIZED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0113")
                     "%s was copied into a table of the new size", path);
    }
    if (events & CQ_TABLE_NOT_SHRUNK) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0114")
                     "%s holds more clients than ClamQuotaClients: it keeps "
                     "its size", path);
    }
    if (events & CQ_TABLE_RESTARTED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0115")
                     "ClamQuotaPeriod, ClamQuotaTimezone or ClamQuotaPrefix "
                     "changed: the counters in %s are reset", path);
    }
    if (events & CQ_TABLE_COPIED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0161")
                     "%s comes from another machine: this node has a new "
                     "identity in the cluster and counts from zero", path);
    }
    if (events & CQ_TABLE_PERIOD_JUMP) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0116")
                     "the clock is neither in the period in which %s was last "
                     "used nor in the next one: it is accepted", path);
    }
}
