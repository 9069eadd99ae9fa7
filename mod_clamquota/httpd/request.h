/* request - what gate, meter, refusal and variables know of one request.
 *
 * There is one struct cq_request for each request that came over the wire;
 * internal redirects, subrequests and ErrorDocuments find their first one.
 * It lives in the connection's bucket allocator and is counted by reference,
 * because marker buckets may outlive the request's pool. */
#ifndef CQ_HTTPD_REQUEST_H
#define CQ_HTTPD_REQUEST_H

#include "httpd/private.h"

#include <ap_expr.h>

enum cq_verdict {
    CQ_VERDICT_NONE = 0,        /* not decided (yet): nothing to refuse */
    CQ_VERDICT_ADMITTED,        /* counts; may have a reservation */
    CQ_VERDICT_REFUSED
};

/* a connection's part: markers must tell bytes that were sent from bytes that
 * were dropped because the connection's pool goes */
struct cq_connection {
    bool closing;
};

struct cq_request {
    conn_rec *c;
    struct cq_connection *connection;   /* NULL on HTTP/2 */
    unsigned references;        /* the request's own and one per marker */
    bool finished;              /* settled: later bytes are not booked */

    /* the account */
    bool account_tried;
    bool account_open;
    struct cq_account account;
    struct cq_key client;
    const struct cq_pool_decl *pool;
    bool proxied;
    const struct cq_client_decl *override;  /* ClamQuotaClient, or NULL */

    /* the decision */
    enum cq_verdict verdict;
    enum cq_state state;
    int64_t allowance_bytes;
    int64_t used_bytes;         /* when it was decided */
    int64_t retry_after_s;      /* 0: not refused */

    /* the response */
    bool begun;                 /* the meter has seen its first bytes */
    enum cq_column column;
    bool free_range;            /* free as a small range */
    int64_t sent_bytes;         /* booked so far, in whatever column */
};

/** The request that came over the wire. */
const request_rec *cq_request_first(const request_rec *r);

/** State of the request that came over the wire.
 * @return NULL if none was made (yet) */
struct cq_request *cq_request_of(const request_rec *r);

/** The same, made if need be; NULL where nothing is counted: no table. */
struct cq_request *cq_request_make(request_rec *r);

/** One reference less; the last one frees it. */
void cq_request_release(struct cq_request *q);

/** Finds out whose request it is and opens the client's account in the pool of
 * this scope; once per request.
 * @return whether there is an account; else the request is served uncounted */
bool cq_request_account(struct cq_request *q, const request_rec *r,
                        const struct cq_dir_conf *conf,
                        const struct cq_clock *clock);

/** What holds for this client in this scope. */
struct cq_policy cq_request_policy(const struct cq_request *q,
                                   const struct cq_dir_conf *conf);

/** The client of a request as a key, and its ClamQuotaClient if there is
 * one.
 * @return false: an address that is no IP address */
bool cq_request_client(const request_rec *r, struct cq_key *key,
                       const struct cq_client_decl **override);

static inline void cq_request_clock(struct cq_clock *clock)
{
    /* not r->request_time: bytes that flow after midnight are the new day's */
    cq_table_clock(cq_site.table, (int64_t)apr_time_sec(apr_time_now()),
                   clock);
}

/* ---- predict ---- */

/** What a plain file would cost: its size, or that of the one valid range
 * asked for. 0: not a plain file, unknown. */
int64_t cq_predict_bytes(const request_rec *r);

/** Is this a GET with exactly one closed range of at most so many bytes and
 * no If-Range? */
bool cq_predict_small_range(const request_rec *r, int64_t at_most_bytes);

/** Will the default handler answer this with 304? Only to be asked in fixups,
 * when the handler is known. */
bool cq_predict_not_modified(request_rec *r);

/** Is it the default handler that will answer, with a regular file? Only to
 * be asked in fixups. */
bool cq_predict_plain_file(const request_rec *r);

/* ---- gate ---- */

/** Is this a small closed range, and has the client some left today of what
 * is free of these? */
bool cq_gate_is_free_range(struct cq_request *q, const request_rec *r,
                           const struct cq_dir_conf *conf,
                           const struct cq_clock *clock);
int cq_gate_header_parser(request_rec *r);
int cq_gate_fixups(request_rec *r);

/* ---- refuse ---- */

/** Answers instead of the resource.
 * @return DONE when the answer was written, else the status for ap_die() */
int cq_refuse(request_rec *r, struct cq_request *q,
              const struct cq_dir_conf *conf, const struct cq_clock *clock);

/* ---- meter ---- */
void cq_meter_register(void);
int cq_meter_create_request(request_rec *r);

/* ---- variables ---- */
int cq_variables_lookup(ap_expr_lookup_parms *parms);
int cq_variables_fixups(request_rec *r);
int cq_variables_log(request_rec *r);

#endif
