/* changes - one line in the log for each change of a client's state.
 *
 * The parent reads them from the table every few seconds, those of requests,
 * of tools and of other nodes. So no request waits for the log, and a change
 * is logged once. Thousands at midnight, or of an attack, are a number. */
#include "httpd/private.h"
#include "render/link.h"
#include "table/changes.h"

/* of a kind at a time: a screen of lines */
#define LINES_MAX 40

static const char *format_figures(const struct cq_change *c, char *text,
                                  size_t size)
{
    struct cq_pool_info pool;
    struct cq_policy_info policy;
    char allowance[32] = "unlimited";

    cq_table_pool_info(cq_site.table, c->pool, &pool);
    cq_table_policy_info(cq_site.table, c->pool, c->policy_index, &policy);
    if (c->allowance_bytes < CQ_BYTES_MAX) {
        apr_snprintf(allowance, sizeof(allowance), "%" APR_INT64_T_FMT,
                     c->allowance_bytes);
    }
    apr_snprintf(text, size, "used %" APR_INT64_T_FMT " of %s bytes in pool "
                 "%s (%s)", c->used_bytes, allowance, pool.name, policy.rule);
    return text;
}

/* "2026-11-28 21:00:00 UTC" */
static const char *format_moment(int64_t at_s, char *text, size_t size)
{
    apr_time_exp_t t;
    apr_size_t length;

    if (apr_time_exp_gmt(&t, apr_time_from_sec(at_s)) != APR_SUCCESS
        || apr_strftime(text, &length, size, "%Y-%m-%d %H:%M:%S UTC", &t)
            != APR_SUCCESS) {
        apr_cpystrn(text, "?", size);
    }
    return text;
}

static void log_change(server_rec *s, const struct cq_change *c)
{
    char name[CQ_KEY_TEXT_SIZE], text[256];
    const char *net;

    if (c->net.family == 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0218")
                     "a new period began: %" APR_INT64_T_FMT " clients that "
                     "were over quota are admitted again", c->clients);
        return;
    }
    net = cq_link_client(&c->net, name, sizeof(name));
    switch (c->kind) {
    case CQ_CHANGE_OVER:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0210")
                     "%s is over quota: %s", net,
                     format_figures(c, text, sizeof(text)));
        break;
    case CQ_CHANGE_AGAIN:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0211")
                     "%s is admitted again: %s", net,
                     format_figures(c, text, sizeof(text)));
        break;
    case CQ_CHANGE_DROPPED:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0212")
                     "%s is over quota and its connections are closed: %s",
                     net, format_figures(c, text, sizeof(text)));
        break;
    case CQ_CHANGE_JAILED:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0213")
                     "%s is jailed: %s", net, format_figures(c, text,
                                                             sizeof(text)));
        break;
    case CQ_CHANGE_RELEASED:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0214")
                     "%s is no longer jailed: %s", net,
                     format_figures(c, text, sizeof(text)));
        break;
    case CQ_CHANGE_EXEMPT:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0215")
                     "%s is exempt until %s", net,
                     format_moment(c->until_s, text, sizeof(text)));
        break;
    case CQ_CHANGE_EXEMPT_END:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0216")
                     "%s is no longer exempt", net);
        break;
    case CQ_CHANGE_RESET:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0217")
                     "%s is reset: it had used %" APR_INT64_T_FMT " bytes",
                     net, c->used_bytes);
        break;
    case CQ_CHANGE_PERIOD:
    case CQ_CHANGE_KINDS:
        break;
    }
}

void cq_changes_log(server_rec *s)
{
    int64_t lines[CQ_CHANGE_KINDS] = { 0 };
    int64_t lost = 0;
    struct cq_change change;
    int kind;

    if (cq_table_health(cq_site.table) == CQ_HEALTH_LOST) {
        return;
    }
    while (cq_changes_next(cq_site.table, &change, &lost)) {
        if (lines[change.kind]++ < LINES_MAX) {
            log_change(s, &change);
        }
    }
    for (kind = 1; kind < CQ_CHANGE_KINDS; kind++) {
        if (lines[kind] > LINES_MAX) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0219")
                         "%" APR_INT64_T_FMT " more clients changed: %s",
                         lines[kind] - LINES_MAX,
                         cq_change_word((enum cq_change_kind)kind));
        }
    }
    if (lost > 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, CQNO("0220")
                     "%" APR_INT64_T_FMT " changes of clients' states came "
                     "too fast to be logged", lost);
    }
}
