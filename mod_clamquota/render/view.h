/* view - what an operator is shown, as plain data.
 *
 * Filled from the table by render/collect, written by the renderers; no file
 * here knows httpd. All bytes, seconds and unix seconds are exact integers.
 * Strings belong to the caller that filled the view and may hold anything:
 * renderers escape them. */
#ifndef CQ_VIEW_H
#define CQ_VIEW_H

#include "core/net.h"
#include "core/offence.h"
#include "core/policy.h"
#include "table/changes.h"
#include "table/exempt.h"
#include "table/shares.h"

#include <stddef.h>

struct cq_view_client {
    struct cq_key client;
    const char *pool;
    int64_t used_bytes;
    int64_t today_bytes;
    int64_t free_bytes;
    int64_t in_flight_bytes;
    int64_t daily_bytes;        /* CQ_UNLIMITED: exempt */
    int64_t allowance_bytes;    /* today's; CQ_BYTES_MAX when unlimited */
    const char *rule;           /* "ClamQuotaDaily" or "ClamQuotaClient CIDR" */
    int64_t hits;
    int64_t refused;
    int64_t last_hit_s;
    enum cq_state state;        /* OK, OVER, EXEMPT */
    int64_t over_since_s;       /* 0: not over */
    int64_t retry_after_s;      /* 0: not over */
    enum cq_spared spared;      /* CQ_SPARED_NOT: jailable */
    bool jailed;
    int64_t exempt_until_s;     /* 0: not exempt for a time */
    int64_t would_refuse;       /* by LogOnly */
    int64_t refused_today;      /* while over quota; not for a file's copies */
    /* versions of files of which it has used up ClamQuotaCopies today; NULL:
     * not looked for (render/copies.h) */
    const struct cq_view_copy *copies;
    size_t copies_n;
    /* In a cluster used_bytes and in_flight_bytes are the sum of all nodes, and
     * state and waiting time follow from it; these are this node's part. */
    bool shared;
    int64_t here_used_bytes;
    int64_t here_in_flight_bytes;
};

/* one version of a file, as a client downloaded it today */
struct cq_view_copy {
    char path[216];             /* below facts.document_root, or whole; the end
                                 * of a longer one, after "..." */
    int64_t size_bytes;
    int64_t mtime_s;
    int64_t used_bytes;
    int64_t allowance_bytes;    /* ClamQuotaCopies x size */
};

/* of all clients in a network that match the query */
struct cq_view_network {
    struct cq_key net;
    int64_t clients;
    int64_t over;               /* of these over quota */
    int64_t used_bytes;
    int64_t today_bytes;
    int64_t free_bytes;
    int64_t hits;
    int64_t refused;
    int64_t last_hit_s;
};

/* counted since the table was made; each node counts its own */
struct cq_view_totals {
    int64_t sent_bytes;         /* the used column */
    int64_t free_bytes;
    int64_t hits;
    int64_t refused;
    int64_t would_refuse;       /* LogOnly */
    int64_t refused_bytes;      /* what our refusals cost */
    int64_t handler_bytes;      /* of the page itself */
    int64_t in_flight_bytes;
    int64_t dropped;            /* connections, by ClamQuotaDropAfter */
};

struct cq_view_pool {
    const char *name;
    int64_t daily_bytes;        /* of the policy last set for this pool; 0:
                                 * the present configuration has none */
    int64_t grace_bytes;
    struct cq_view_totals totals;   /* in_flight_bytes unused */
    /* clients of this pool with a row in this period, by state */
    int64_t clients_ok;
    int64_t clients_over;
    int64_t clients_exempt;
};

/* as clamquota-sync wrote it into the table; all zero bytes: there is none */
struct cq_view_jail {
    const char *spec;           /* NULL: no jail */
    int64_t jailed;             /* clients and networks in it */
    int64_t capacity;           /* 0: without a limit */
    int64_t dropped_packets;    /* -1: not known */
    int64_t as_of_s;
};

/* an hour, or a day from midnight to midnight */
struct cq_view_hour {
    int64_t start_s;
    int64_t sent_bytes;
    int64_t free_bytes;
    int64_t hits;
    int64_t refused;
};

/* history that is shown where nothing else is asked for, and the most: 32
 * days, 13 months */
#define CQ_VIEW_HOURS 48
#define CQ_VIEW_HOURS_MAX 768
#define CQ_VIEW_DAYS 396
#define CQ_VIEW_DAYS_MAX 416

/* clients by the share of their allowance that they have used: ten tenths, and
 * those that have reached it */
#define CQ_VIEW_SHARES 11

enum cq_sort { CQ_SORT_USED = 0, CQ_SORT_TODAY, CQ_SORT_REFUSED,
               CQ_SORT_HITS, CQ_SORT_LAST };

/* ?state=; NEAR: ok and above 80 % of the allowance; REFUSED: today, because
 * it was over quota */
enum cq_filter { CQ_FILTER_ALL = 0, CQ_FILTER_OK, CQ_FILTER_OVER,
                 CQ_FILTER_EXEMPT, CQ_FILTER_NEAR, CQ_FILTER_REFUSED,
                 CQ_FILTER_JAILED };

/* Which rows, in which order; all zero and limit 100 is the default page. */
struct cq_query {
    enum cq_sort sort;
    int limit;                  /* 1..10000 rows, default 100 */
    int offset;                 /* 0..10000: rows left out before these */
    enum cq_filter filter;
    bool by_net;                /* networks instead of clients */
    struct cq_prefixes net_bits;
    int hours;                  /* of history; 0: CQ_VIEW_HOURS */
    int days;                   /* 0: CQ_VIEW_DAYS */
    bool has_client;            /* ?client=ADDR|CIDR: rows inside of it, and
                                 * the row that an ADDR belongs to */
    struct cq_key client;
    const char *pool;           /* NULL: all */
};

/* what the page can do (html_change.h) */
enum cq_change_action { CQ_ACTION_NONE = 0, CQ_ACTION_RESET, CQ_ACTION_EXEMPT,
                        CQ_ACTION_UNEXEMPT };

/* what no table can know */
struct cq_view_facts {
    const char *version;
    const char *engine;         /* "On", "Off", "LogOnly", "stale",
                                 * "unusable" */
    const char *notice;         /* what is wrong and what to do, without
                                 * quotes or line ends; NULL: nothing */
    bool counts;                /* requests are counted */
    bool readable;              /* there are figures to show */
    bool changes;               /* the page accepts changes: has forms */
    enum cq_change_action done; /* was done just now; NONE: nothing */
    struct cq_key done_on;
    /* sealed; NULL or empty: none are known */
    const struct cq_net_list *own;      /* host/own.h */
    const struct cq_net_list *proxies;  /* that mod_remoteip lists */
    const char *self;           /* the page's own path, decoded, for links and
                                 * forms; NULL: unknown */
    const char *nonce;          /* of the style element; NULL: none */
    int refresh_s;              /* 0: none */
    const char *document_root;  /* is not shown in paths of files; NULL: they
                                 * are shown whole */
};

struct cq_view {
    struct cq_view_facts facts;
    int64_t now_s;
    struct cq_period period;    /* the one in force */
    int day;
    int64_t next_day_s;         /* next midnight */

    const struct cq_view_pool *pools;
    size_t pool_count;

    int64_t table_capacity;     /* ClamQuotaClients */
    int64_t table_used;         /* clients of this period */
    int64_t evictions;
    int64_t untracked;

    struct cq_view_totals totals;
    struct cq_view_jail jail;

    const struct cq_exemption *exemptions;
    size_t exemption_count;

    const struct cq_cluster_status *cluster;    /* NULL: there is none; its
                                                 * lag_ms is as of now_s */

    const struct cq_view_hour *history; /* hours, oldest first */
    size_t history_count;
    const struct cq_view_hour *days;    /* the same of days */
    size_t day_count;

    /* What this node will have sent by the period's end at the pace since
     * forecast_since_s: cq_forecast_bytes(). */
    struct cq_view_hour this_period;    /* what it has sent so far: start_s as
                                         * the next */
    int64_t forecast_since_s;
    int64_t forecast_sent_bytes;
    int64_t forecast_free_bytes;

    const struct cq_view_client *clients;   /* sorted, at most limit; none
                                             * with by_net */
    size_t client_count;
    int64_t clients_matched;    /* by the query, shown or not */
    const struct cq_change *changes;    /* of the client that was asked for,
                                         * the newest first */
    size_t change_count;
    int64_t shares[CQ_VIEW_SHARES];     /* of these, but for the filter's
                                         * state; without unlimited ones */

    const struct cq_view_network *networks; /* sorted, at most limit */
    size_t network_count;
    int64_t networks_matched;
    bool networks_exact;        /* false: figures are lower bounds */
    struct cq_query query;
};

/** How many servers of a cluster answered in the last round. */
static inline int64_t
cq_view_servers_up(const struct cq_cluster_status *cluster)
{
    int64_t up = 0;
    size_t i;

    for (i = 0; i < cluster->servers_n; i++) {
        up += cluster->servers[i].up;
    }
    return up;
}

/* where renderers write to */
struct cq_sink {
    void (*write)(void *baton, const char *data, size_t size);
    void *baton;
};

/** A complete HTML5 page (no script, styles inline in a <style> element, SVG
 * plots of the history), with a reset form (POST action=reset, client=ADDR)
 * for each row where facts.changes is set. Where facts.readable is not, the
 * notice is all there is. */
void cq_render_html(const struct cq_view *view, const struct cq_sink *sink);

/** The ?json of the contract, one object; further members only added. */
void cq_render_json(const struct cq_view *view, const struct cq_sink *sink);

/** "Key: value" lines, keys starting with "ClamQuota"; the same lines serve
 * mod_status's ?auto. Only totals, no addresses: cq_collect_totals() fills in
 * all of it. */
void cq_render_auto(const struct cq_view *view, const struct cq_sink *sink);

/** OpenMetrics 1.0 text, ends with "# EOF"; no address labels. Content type:
 * CQ_OPENMETRICS_TYPE. */
void cq_render_openmetrics(const struct cq_view *view,
                           const struct cq_sink *sink);

#define CQ_OPENMETRICS_TYPE \
    "application/openmetrics-text; version=1.0.0; charset=utf-8"

/** A section for mod_status's HTML page: heading, period and totals;
 * cq_collect_totals() fills in all of it. */
void cq_render_status_section(const struct cq_view *view,
                              const struct cq_sink *sink);

#endif
