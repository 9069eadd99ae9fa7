/* copies - ClamQuotaCopies: the same version of a file, so often a day.
 *
 * Decided in fixups, when it is known that a plain file will be the answer,
 * for a request that the client's own allowance lets through. Booked by the
 * meter: body bytes of that file, whatever was predicted. A client that is
 * over may finish a version that he was admitted to: a large image whose
 * download broke off is resumed, not fetched anew when his day has come. */
#include "httpd/request.h"
#include "table/copies.h"

/* What a request has to do with the copies of one version. */
struct cq_pair {
    const request_rec *r;       /* whose answer is this file */
    struct cq_version version;
    struct cq_account account;
    int64_t head_bytes;         /* of the response, not yet booked */
    bool sends_file;            /* the meter has seen its first byte */
};

static int64_t copies_of(const struct cq_dir_conf *conf)
{
    return conf->copies_n > 0 ? conf->copies_n : 0;
}

/* Opens the pair of this request's client and file.
 * @return false: nothing is counted, for want of room */
static bool open_pair(request_rec *r, struct cq_request *q)
{
    struct cq_pair *pair = apr_palloc(cq_request_first(r)->pool,
                                      sizeof(*pair));
    uint64_t client = cq_table_identity(cq_site.table, q->pool->index,
                                        &q->client);

    pair->r = r;
    pair->head_bytes = 0;
    pair->sends_file = false;
    cq_version_make(cq_site.table, r->filename, r->finfo.size, r->finfo.mtime,
                    &pair->version);
    if (cq_copies_open(cq_site.table, client, &pair->version, &q->clock,
                       &pair->account) != CQ_OK) {
        return false;
    }
    q->pair = pair;
    return true;
}

/* Is this a question of copies at all? */
static bool is_asked(const request_rec *r, const struct cq_request *q,
                     const struct cq_dir_conf *conf)
{
    return copies_of(conf) > 0 && q->account_open && q->pair == NULL
        && conf->free != 1 && q->state != CQ_STATE_EXEMPT
        && r->main == NULL && cq_predict_plain_file(r);
}

bool cq_copies_may_finish(request_rec *r, struct cq_request *q,
                          const struct cq_dir_conf *conf)
{
    struct cq_copies copies;
    int64_t drawn_bytes;

    if (!is_asked(r, q, conf) || !cq_predict_open_range(r)
        || !open_pair(r, q)) {
        return false;
    }
    cq_copies_usage(&q->pair->account, &q->clock, &copies);
    drawn_bytes = copies.today_bytes + copies.yesterday_bytes;
    if (drawn_bytes > 0 && drawn_bytes < r->finfo.size
        && cq_copies_admit(&q->pair->account, &q->clock, 1,
                           &q->pair->version, cq_predict_bytes(r)) == CQ_OK) {
        return true;
    }
    cq_copies_end(q);
    return false;
}

int cq_copies_decide(request_rec *r, struct cq_request *q,
                     const struct cq_dir_conf *conf)
{
    struct cq_copies copies;
    int64_t n = copies_of(conf);

    if (q->verdict != CQ_VERDICT_ADMITTED || q->lenient > 0
        || !is_asked(r, q, conf)) {
        return DECLINED;
    }
    q->unpaired_weight = cq_gate_looks_free(q, r, conf);
    if (q->unpaired_weight > 0) {
        q->unpaired = r;
        return DECLINED;
    }
    if (!open_pair(r, q)
        || cq_copies_admit(&q->pair->account, &q->clock, n,
                           &q->pair->version, cq_predict_bytes(r)) == CQ_OK) {
        return DECLINED;
    }
    cq_copies_usage(&q->pair->account, &q->clock, &copies);
    if (q->state == CQ_STATE_LOGONLY) {     /* said once is enough */
        (void)cq_copies_admit(&q->pair->account, &q->clock, 0,
                              &q->pair->version, cq_predict_bytes(r));
        return DECLINED;
    }
    /* what a refusal speaks of: the file, not all that he drew */
    q->of_file = true;
    q->used_bytes = copies.today_bytes;
    q->allowance_bytes = n * r->finfo.size;
    /* what is under way may break off, and is then to be resumed today */
    q->state = q->used_bytes < q->allowance_bytes ? CQ_STATE_BUSY
                                                  : CQ_STATE_COPIES;
    cq_account_reserve_at_most(&q->account, 0);
    if (cq_dir_conf_engine(conf) == CQ_ENGINE_LOGONLY) {
        (void)cq_copies_admit(&q->pair->account, &q->clock, 0,
                              &q->pair->version, cq_predict_bytes(r));
        cq_account_reserve_at_least(&q->account, cq_predict_bytes(r));
    }
    else {
        cq_copies_end(q);
    }
    return cq_gate_over(r, q, conf);
}

/* It looked small, or as if nothing had changed, and a filter made the whole
 * of it. Who has had all his copies by now has that bound left which there is
 * to such looks. */
static void pair_late(request_rec *r, struct cq_request *q,
                      const struct cq_dir_conf *conf)
{
    if (open_pair(r, q)
        && cq_copies_admit(&q->pair->account, &q->clock, copies_of(conf),
                           &q->pair->version, 0) != CQ_OK) {
        q->lenient = q->unpaired_weight;
    }
}

void cq_copies_begin(struct cq_request *q, request_rec *r,
                     const struct cq_dir_conf *conf, int64_t head_bytes)
{
    bool sends_file = q->column == CQ_COLUMN_USED
        && (r->status == HTTP_OK || r->status == HTTP_PARTIAL_CONTENT);
    struct cq_pair *pair;

    if (q->pair == NULL && q->unpaired == r && sends_file) {
        pair_late(r, q, conf);
    }
    pair = q->pair;
    if (pair == NULL) {
        return;
    }
    if (pair->r != r || !sends_file) {
        cq_copies_end(q);       /* something else is sent */
        return;
    }
    pair->sends_file = true;
    pair->head_bytes = head_bytes;
    if (r->clength > 0) {
        cq_account_reserve_at_most(&pair->account, r->clength);
    }
}

void cq_copies_book(struct cq_request *q, int64_t bytes)
{
    struct cq_pair *pair = q->pair;
    int64_t head_bytes;

    if (pair == NULL || !pair->sends_file) {
        return;
    }
    head_bytes = bytes < pair->head_bytes ? bytes : pair->head_bytes;
    pair->head_bytes -= head_bytes;
    if (bytes > head_bytes) {
        cq_copies_charge(&pair->account, &q->clock, bytes - head_bytes);
    }
}

void cq_copies_reserve_at_most(struct cq_request *q, int64_t bytes)
{
    if (q->pair != NULL) {
        cq_account_reserve_at_most(&q->pair->account, bytes);
    }
}

void cq_copies_end(struct cq_request *q)
{
    if (q->pair != NULL) {
        cq_account_close(&q->pair->account);
        q->pair = NULL;
    }
}
