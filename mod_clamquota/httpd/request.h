/* request - what gate, meter, refusal and variables know of one request.
 *
 * There is one struct cq_request for each request that came over the wire;
 * internal redirects, subrequests and ErrorDocuments find their first one.
 * Marker buckets may outlive it and its pool: it knows the markers that are
 * under way and lets them go when it ends. */
#ifndef CQ_HTTPD_REQUEST_H
#define CQ_HTTPD_REQUEST_H

#include "httpd/private.h"

#include <ap_expr.h>

enum cq_verdict {
    CQ_VERDICT_NONE = 0,        /* not decided (yet): nothing to refuse */
    CQ_VERDICT_ADMITTED,        /* counts; may have a reservation */
    CQ_VERDICT_REFUSED
};

/* An HTTP/1.x connection's part. */
struct cq_connection {
    bool closing;               /* its pool goes: buckets that are destroyed
                                 * from now on were not sent */

    bool proxy;                 /* mod_remoteip found another's request */

    /* whose it is, for the next request: unless mod_remoteip says otherwise it
     * is the same client */
    bool known;
    uint16_t pool;
    uint64_t identity;          /* of client in pool */
    struct cq_key client;
    const struct cq_client_decl *override;
    struct cq_clock clock;      /* as last looked up */
};

struct cq_request {
    conn_rec *c;
    struct cq_connection *connection;   /* NULL on HTTP/2 */
    struct cq_marker *markers;  /* under way, newest first */

    /* the account */
    bool account_tried;
    bool account_open;
    bool proxied;
    bool handed_over;           /* to another protocol on this connection */
    const struct cq_pool_decl *pool;
    const struct cq_client_decl *override;  /* ClamQuotaClient, or NULL */

    /* the decision */
    enum cq_verdict verdict;
    enum cq_state state;
    int64_t allowance_bytes;
    int64_t used_bytes;         /* when it was decided */
    int64_t retry_after_s;      /* 0: not refused */

    /* the response */
    enum cq_column column;
    bool free_range;            /* free as a small range */
    int lenient;                /* over, and let through as looking free: how
                                 * often its bytes count if it is not */
    struct cq_pair *pair;       /* with Copies: (client, file); or NULL */
    const request_rec *unpaired;        /* with Copies: looks free, and so */
    int unpaired_weight;                /* has no pair; lenient, then */
    bool of_file;               /* the refusal: of this file only */
    int64_t sent_bytes;         /* booked so far, in whatever column */
    int64_t rest_bytes;         /* HTTP/1.x: handed on behind the last marker */
    int64_t piece_bytes;        /* HTTP/1.x: size of the next piece */
    apr_bucket_brigade *piece_bb;       /* HTTP/2 */

    /* the variables */
    const request_rec *told;    /* the request that got them last */

    /* Not zeroed when the request is made, so that it costs less: */
    struct cq_key client;       /* once account_tried */
    struct cq_clock clock;      /* as last looked up, once account_tried */
    struct cq_account account;  /* once account_open */
    char sent_text[24];         /* CLAMQUOTA_SENT, once told */
};

/** The request that came over the wire. */
static inline const request_rec *cq_request_first(const request_rec *r)
{
    while (r->main != NULL || r->prev != NULL) {
        r = r->main != NULL ? r->main : r->prev;
    }
    return r;
}

/** State of the request that came over the wire.
 * @return NULL if none was made (yet) */
static inline struct cq_request *cq_request_of(const request_rec *r)
{
    return ap_get_module_config(cq_request_first(r)->request_config,
                                &clamquota_module);
}

/** The same, made if need be; NULL where nothing is counted: no table. */
struct cq_request *cq_request_make(request_rec *r);

/** Finds out whose request it is and opens the client's account in the pool of
 * this scope; once per request.
 * @return whether there is an account; else the request is served uncounted */
bool cq_request_account(struct cq_request *q, const request_rec *r,
                        const struct cq_dir_conf *conf);

/** What holds for this client in this scope. */
struct cq_policy cq_request_policy(const struct cq_request *q,
                                   const struct cq_dir_conf *conf);

/** The client of a request as a key, and its ClamQuotaClient if there is
 * one.
 * @return false: an address that is no IP address */
bool cq_request_client(const request_rec *r, struct cq_key *key,
                       const struct cq_client_decl **override);

/** A client as text: "192.0.2.7", "2001:db8::/64"; its prefix only where it
 * has one. */
const char *cq_request_client_text(apr_pool_t *p, const struct cq_key *key);

/** A request that another protocol takes over (Upgrade: h2c): its stream is
 * counted there. */
int cq_request_hand_over(conn_rec *c, request_rec *r, server_rec *s,
                         const char *protocol);

/* ---- predict ---- */

/** What a plain file would cost: its size, or that of the one valid range
 * asked for. 0: not a plain file, unknown. */
int64_t cq_predict_bytes(const request_rec *r);

/** Is this a GET with exactly one closed range of at most so many bytes and
 * no If-Range? */
bool cq_predict_small_range(const request_rec *r, int64_t at_most_bytes);

/** Is this a GET with one open range that does not begin at 0 ("bytes=N-"),
 * which the file as it is now will answer with 206? Only to be asked in
 * fixups. */
bool cq_predict_open_range(request_rec *r);

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
                           const struct cq_dir_conf *conf);

/** Will nothing large come of this file: is it such a range, or has the file
 * not changed? Bounded alike, as it may come out otherwise. Only to be asked
 * in fixups.
 * @return 0: no; else how often its bytes count against the bound if it does
 *         come out otherwise */
int cq_gate_looks_free(struct cq_request *q, request_rec *r,
                       const struct cq_dir_conf *conf);

/** A refusal, or what LogOnly makes of one: tallies and answers.
 * @return as a hook */
int cq_gate_over(request_rec *r, struct cq_request *q,
                 const struct cq_dir_conf *conf);
int cq_gate_header_parser(request_rec *r);
int cq_gate_fixups(request_rec *r);

/* ---- copies ---- */

/** Refuses a plain file of which this client has drawn his copies; else
 * reserves what it will draw. In fixups, for an admitted request.
 * @return as a hook; DECLINED: admitted, or no matter of copies */
int cq_copies_decide(request_rec *r, struct cq_request *q,
                     const struct cq_dir_conf *conf);

/** May a client that is over have this, because it is the rest of a file
 * version that he was admitted to and has not drawn whole? Then it is
 * reserved. In fixups. */
bool cq_copies_may_finish(request_rec *r, struct cq_request *q,
                          const struct cq_dir_conf *conf);

/** The response begins.
 * @param head_bytes  of it, before the body */
void cq_copies_begin(struct cq_request *q, request_rec *r,
                     const struct cq_dir_conf *conf, int64_t head_bytes);

/** So much of its body is still to come at most. */
void cq_copies_reserve_at_most(struct cq_request *q, int64_t bytes);

/** So many bytes of the response left. */
void cq_copies_book(struct cq_request *q, int64_t bytes);

/** Gives back what is reserved; a second call does nothing. */
void cq_copies_end(struct cq_request *q);

/* ---- refuse ---- */

/** How Retry-After is capped and spread in a scope, for this client. */
void cq_refuse_retry(const struct cq_dir_conf *conf,
                     const struct cq_key *client, struct cq_retry *retry);

/** Answers instead of the resource.
 * @return DONE when the answer was written, else the status for ap_die() */
int cq_refuse(request_rec *r, struct cq_request *q,
              const struct cq_dir_conf *conf);

/* ---- meter ---- */

/** Books bytes that left in the request's column. */
void cq_meter_book(struct cq_request *q, int64_t bytes);

void cq_meter_register(void);
int cq_meter_create_request(request_rec *r);
int cq_meter_log(request_rec *r);

/* ---- marker: HTTP/1.x ---- */

/** Cuts a brigade into pieces with markers behind them. */
apr_status_t cq_marker_cut(struct cq_request *q, apr_bucket_brigade *bb);

/** Reads a bucket of unknown length: it then has one. */
apr_status_t cq_marker_known_length(apr_bucket *b);

/** Books what is behind the last marker: to be called when httpd's end of
 * request bucket is destroyed, i.e. all of it was sent or the connection is
 * known to be aborted. */
void cq_marker_end(struct cq_request *q);

/** Lets the markers go that are still under way: their bytes are not booked
 * any more. */
void cq_marker_let_go(struct cq_request *q);

/* ---- variables ---- */
int cq_variables_lookup(ap_expr_lookup_parms *parms);
void cq_variables_set(request_rec *r);
void cq_variables_log(request_rec *r, struct cq_request *q);

#endif
