/* request - all that is known of one request that came over the wire, in parts
 * with an owner each; and what gate and meter call of the layer below them.
 *
 * Internal redirects, subrequests and ErrorDocuments find their first one.
 * Calls go downwards only:
 *
 *     gate, meter                 the hooks; request.c makes and ends
 *     copies, refuse, variables   verdicts, answers, words
 *     account                     whose, how much, booking
 *     predict | marker            httpd's request | buckets */
#ifndef CQ_HTTPD_REQUEST_H
#define CQ_HTTPD_REQUEST_H

#include "httpd/account.h"
#include "httpd/marker.h"
#include "httpd/predict.h"

#include <ap_expr.h>

enum cq_verdict {
    CQ_VERDICT_NONE = 0,        /* not decided (yet): nothing to refuse */
    CQ_VERDICT_ADMITTED,        /* counts; may have a reservation */
    CQ_VERDICT_REFUSED
};

/* gate's: what was decided, and on which figures */
struct cq_decision {
    enum cq_verdict verdict;
    enum cq_state state;
    const struct cq_dir_conf *conf;     /* whose policy it is; NULL: none */
    bool exempt;                /* the client is, for a time */
    struct cq_policy policy;
    int64_t allowance_bytes;
    struct cq_usage usage;
    int64_t retry_after_s;      /* 0: not refused */
    int64_t reserved_bytes;     /* if it is the file as it was predicted */
    const char *file;           /* the refusal is of this one only; or NULL */
};

/* meter's: what is sent */
struct cq_response {
    bool begun;
    bool failed;                /* a filter behind us: nothing more is sent */
    enum cq_column column;
    int64_t sent_bytes;         /* booked so far, in whatever column */
    apr_bucket_brigade *piece_bb;       /* HTTP/2 */
};

/* What the requests of a connection have in common; of one stream on HTTP/2. */
struct cq_connection {
    bool http2;
    bool by_proxy;              /* its requests are marked as a proxy's */
    bool peer_refused;          /* cq_peer_refused() knows */
    bool closing;               /* its pool goes: buckets that are destroyed
                                 * from now on were not sent */
    struct cq_request *spare;   /* of requests that have ended */
};

struct cq_request {
    /* of this request */
    bool handed_over;           /* to another protocol on this connection */
    struct cq_pair *pair;       /* copies': NULL where there are none */
    const request_rec *set_for; /* variables': the last one that got them */
    struct cq_decision decision;
    struct cq_prediction prediction;    /* that the decision rests on */
    struct cq_response response;
    struct cq_client client;
    char state_text[16];        /* variables': CLAMQUOTA_STATE and */
    char sent_text[24];         /* CLAMQUOTA_SENT, once set */

    /* of the connection, which uses it again when the request has ended */
    conn_rec *c;
    struct cq_connection *connection;
    struct cq_request *next;    /* spare one */
    struct cq_markers markers;  /* HTTP/1.x */
    apr_table_t *variables;     /* variables': in use again; or NULL */
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
static inline struct cq_request *cq_request_find(const request_rec *r)
{
    return ap_get_module_config(cq_request_first(r)->request_config,
                                &clamquota_module);
}

/** The same, made if need be; NULL where nothing is counted: no table. */
struct cq_request *cq_request_make(request_rec *r);

/** A request that another protocol takes over (Upgrade: h2c): its stream is
 * counted there. */
int cq_request_hand_over(conn_rec *c, request_rec *r, server_rec *s,
                         const char *protocol);

/* ---- gate ---- */
int cq_gate_header_parser(request_rec *r);
int cq_gate_handler(request_rec *r);
void cq_gate_register(void);

/* ---- meter ---- */
int cq_meter_create_request(request_rec *r);
void cq_meter_register(void);

/* ---- copies ---- */

/** What ClamQuotaCopies says of a file that the client's allowance lets
 * through. Where it says OK, the body is reserved.
 * @param n   how often a day, >= 1
 * @param pair  result, to be ended; NULL: not counted
 * @param used_bytes  of this file today: result where it doesn't say OK
 * @return CQ_STATE_OK; CQ_STATE_BUSY: others are under way; CQ_STATE_COPIES */
enum cq_state cq_copies_judge(request_rec *r, const struct cq_client *client,
                              int64_t n, int64_t body_bytes,
                              struct cq_pair **pair, int64_t *used_bytes);

/** Reserves it all the same. */
void cq_copies_allow(struct cq_pair *pair, int64_t body_bytes);

/** May a client over quota have this, as the rest of a file version that it
 * was admitted to and has not had whole? One such response at a time, and no
 * more of them a day than daily_bytes; then it is reserved. */
CQ_SELDOM bool cq_copies_finish(request_rec *r, struct cq_client *client,
                                int64_t daily_bytes, int64_t body_bytes,
                                struct cq_pair **pair);

/** The response begins. One that is not the file ends the pair.
 * @param length      of its body; -1: unknown
 * @param head_bytes  of it, before the body */
void cq_copies_begin(struct cq_pair **pair, const request_rec *r,
                     int64_t length, int64_t head_bytes);

/** Lowers the reservation to the bytes of its body that may still come. */
void cq_copies_reserve_at_most(struct cq_pair *pair, int64_t bytes);

/** Books bytes of the response that left. */
void cq_copies_book(struct cq_pair *pair, int64_t bytes);

/** Releases the reservation; no pair is left. */
void cq_copies_end(struct cq_pair **pair);

/* ---- refuse ---- */

/** How Retry-After is capped and spread in a scope, for this client. */
void cq_refuse_retry(const struct cq_dir_conf *conf,
                     const struct cq_key *client, struct cq_retry *retry);

enum cq_answer_time {
    CQ_ANSWER_INSTEAD = 0,      /* of the resource: by an ErrorDocument where
                                 * there is one */
    CQ_ANSWER_NOW               /* with our own text: a response has begun, or
                                 * an ErrorDocument is refused */
};

/** Answers instead of the resource, with the operator's ErrorDocument if
 * there is one for it on this server.
 * @return DONE when the answer was written, else the status for ap_die() */
int cq_refuse(request_rec *r, const struct cq_request *q,
              const struct cq_dir_conf *conf, const struct cq_period *period,
              enum cq_answer_time when);

/* ---- variables ---- */
int cq_variables_lookup(ap_expr_lookup_parms *parms);
CQ_SELDOM void cq_variables_set(request_rec *r, struct cq_request *q);

#endif
