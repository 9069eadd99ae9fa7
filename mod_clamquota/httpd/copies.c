/* copies - ClamQuotaCopies: the same version of a file, N times a day.
 *
 * Judged when the default handler is about to send a file that the client's
 * own allowance lets through. Booked by the meter: body bytes of that file,
 * whatever was predicted; what turns out not to be the file is left alone. A
 * client over quota may finish a version that it was admitted to: a large image
 * whose download broke off is resumed, not fetched anew when its day has
 * come. */
#include "httpd/request.h"
#include "table/copies.h"

/* What a request has to do with the copies of one version. */
struct cq_pair {
    const request_rec *r;       /* whose answer is this file */
    const struct cq_clock *clock;
    struct cq_version version;
    struct cq_account account;
    bool at_the_end;            /* booked then: its length is not known */
    int64_t head_bytes;         /* of the response, not yet booked */
    int64_t body_bytes;         /* to be booked at the end */
    struct cq_account finishing;        /* what the client finished today; open
                                         * where it finishes this */
};

/* Opens the pair of this request's client and file.
 * @return NULL: nothing is counted, for want of room */
static struct cq_pair *open_pair(request_rec *r,
                                 const struct cq_client *client)
{
    struct cq_pair *pair = apr_pcalloc(cq_request_first(r)->pool,
                                       sizeof(*pair));
    uint64_t identity = cq_table_identity(cq_site.table, client->pool->index,
                                          &client->key);

    pair->finishing.entry = CQ_NO_ENTRY;
    pair->r = r;
    pair->clock = &client->clock;
    cq_version_make(cq_site.table, r->filename, r->finfo.size, r->finfo.mtime,
                    &pair->version);
    if (cq_copies_open(cq_site.table, identity, &pair->version, pair->clock,
                       &pair->account) != CQ_OK) {
        pair = NULL;
    }
    cq_notices_log(r->server);
    return pair;
}

enum cq_state cq_copies_judge(request_rec *r, const struct cq_client *client,
                              int64_t n, int64_t body_bytes,
                              struct cq_pair **pair, int64_t *used_bytes)
{
    struct cq_copies copies;

    *pair = open_pair(r, client);
    if (*pair == NULL) {
        return CQ_STATE_OK;
    }
    cq_copies_note(&(*pair)->account, n);
    if (cq_copies_admit(&(*pair)->account, (*pair)->clock, n,
                        &(*pair)->version, body_bytes) == CQ_OK) {
        return CQ_STATE_OK;
    }
    cq_copies_usage(&(*pair)->account, (*pair)->clock, &copies);
    *used_bytes = copies.today_bytes;
    /* what is under way may break off, and is then to be resumed today */
    return copies.today_bytes < n * r->finfo.size ? CQ_STATE_BUSY
                                                  : CQ_STATE_COPIES;
}

void cq_copies_allow(struct cq_pair *pair, int64_t body_bytes)
{
    (void)cq_copies_admit(&pair->account, pair->clock, 0, &pair->version,
                          body_bytes);
}

/* ---- over quota ---- */

/* Counts and reserves what the client finishes today, as if it were copies of
 * a file of daily_bytes: a version without a path. */
static bool may_finish_today(struct cq_pair *pair,
                             const struct cq_client *client,
                             int64_t daily_bytes, int64_t body_bytes)
{
    struct cq_version all;

    cq_version_make(cq_site.table, "", daily_bytes, 0, &all);
    return cq_copies_open(cq_site.table,
                          cq_table_identity(cq_site.table,
                                            client->pool->index,
                                            &client->key),
                          &all, pair->clock, &pair->finishing) == CQ_OK
        && cq_copies_admit(&pair->finishing, pair->clock, 1, &all, body_bytes)
            == CQ_OK;
}

bool cq_copies_finish(request_rec *r, struct cq_client *client,
                      int64_t daily_bytes, int64_t body_bytes,
                      struct cq_pair **pair)
{
    struct cq_usage usage;
    struct cq_copies copies;
    int64_t had_bytes;

    *pair = open_pair(r, client);
    if (*pair == NULL) {
        return false;
    }
    cq_copies_usage(&(*pair)->account, (*pair)->clock, &copies);
    had_bytes = copies.today_bytes + copies.yesterday_bytes;
    cq_account_usage(&client->account, &client->clock, &usage);
    if (had_bytes > 0 && had_bytes < r->finfo.size
        && cq_copies_admit(&(*pair)->account, (*pair)->clock, 1,
                           &(*pair)->version, body_bytes) == CQ_OK
        && may_finish_today(*pair, client, daily_bytes, body_bytes)
        /* in one atomic step: nothing is in flight, and this is now */
        && cq_account_admit(&client->account, &client->clock,
                            usage.used_bytes + 1, body_bytes, NULL)
            == CQ_OK) {
        return true;
    }
    cq_copies_end(pair);
    return false;
}

/* ---- the response ---- */

void cq_copies_begin(struct cq_pair **pair_at, const request_rec *r,
                     int64_t length, int64_t head_bytes)
{
    struct cq_pair *pair = *pair_at;
    bool is_part = r->status == HTTP_PARTIAL_CONTENT;
    bool is_encoded = r->content_encoding != NULL
        || apr_table_get(r->headers_out, "Content-Encoding") != NULL;

    /* A filter that puts something else in its place makes the length unknown
     * or another. So does one that encodes it: that is the file still. */
    if (pair->r != r || !(is_part || length == r->finfo.size
                          || (is_encoded && length < r->finfo.size))) {
        cq_copies_end(pair_at);
        return;
    }
    pair->at_the_end = length < 0 && !is_part;
    pair->head_bytes = head_bytes;
    if (length >= 0) {
        cq_copies_reserve_at_most(pair, length);
    }
}

static void charge(struct cq_pair *pair, int64_t bytes)
{
    cq_copies_charge(&pair->account, pair->clock, bytes);
    cq_copies_charge(&pair->finishing, pair->clock, bytes);
}

void cq_copies_book(struct cq_pair *pair, int64_t bytes)
{
    int64_t head_bytes = bytes < pair->head_bytes ? bytes : pair->head_bytes;

    pair->head_bytes -= head_bytes;
    if (pair->at_the_end) {
        pair->body_bytes += bytes - head_bytes;
    }
    else if (bytes > head_bytes) {
        charge(pair, bytes - head_bytes);
    }
}

void cq_copies_reserve_at_most(struct cq_pair *pair, int64_t bytes)
{
    bytes += pair->body_bytes;  /* not yet charged */
    cq_account_reserve_at_most(&pair->account, bytes);
    cq_account_reserve_at_most(&pair->finishing, bytes);
}

void cq_copies_end(struct cq_pair **pair_at)
{
    struct cq_pair *pair = *pair_at;

    if (pair == NULL) {
        return;
    }
    *pair_at = NULL;
    /* more than the file is not the file, and less may be a part of it */
    if (pair->body_bytes > 0 && pair->body_bytes <= pair->version.size_bytes) {
        charge(pair, pair->body_bytes);
    }
    cq_account_close(&pair->account);
    cq_account_close(&pair->finishing);
}
