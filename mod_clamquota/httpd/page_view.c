/* page_view - what the operator's page shows, and for how long it is kept.
 *
 * A view costs one pass over the table, whatever is asked: milliseconds, or
 * 0.3 s of a large one. Those are kept for two seconds and shared by the
 * requests of a child, so that a page that many people refresh does not
 * search a gigabyte for each of them. Figures of a smaller table are always
 * of the moment. */
#include "httpd/private.h"
#include "render/collect.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Rows from which on a view is kept: 128 MB to read. */
#define KEEP_ROWS 1000000
#define KEEP_S 2

/* Views kept at a time; the largest takes 12 MB. */
#define KEPT_MAX 3

struct block {
    struct block *next;
    max_align_t bytes[];
};

struct kept {
    struct cq_view view;
    char pool[CQ_POOL_NAME_SIZE];       /* that view.query.pool points to */
    struct block *blocks;
    apr_time_t until;                   /* 0: not to be found any more */
    int users;                          /* requests that show it, and one for
                                         * its place */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept *places[KEPT_MAX];

/* ---- one view ---- */

static void *alloc_block(void *baton, size_t size)
{
    struct kept *kept = baton;
    struct block *block = malloc(sizeof(*block) + size);

    if (block == NULL) {
        return NULL;
    }
    block->next = kept->blocks;
    kept->blocks = block;
    return block->bytes;
}

static void release(struct kept *kept)
{
    if (--kept->users > 0) {
        return;
    }
    while (kept->blocks != NULL) {
        struct block *block = kept->blocks;

        kept->blocks = block->next;
        free(block);
    }
    free(kept);
}

static apr_status_t release_later(void *kept)
{
    pthread_mutex_lock(&lock);
    release(kept);
    pthread_mutex_unlock(&lock);
    return APR_SUCCESS;
}

/* @return NULL: there is no memory */
static struct kept *collect_view(const request_rec *r,
                                 const struct cq_query *query,
                                 const struct cq_view_facts *facts)
{
    struct kept *kept = calloc(1, sizeof(*kept));
    const struct cq_arena arena = { alloc_block, kept };
    struct cq_query own = *query;
    struct cq_clock clock;

    if (kept == NULL) {
        return NULL;
    }
    kept->users = 1;
    if (own.pool != NULL) {
        apr_cpystrn(kept->pool, own.pool, sizeof(kept->pool));
        own.pool = kept->pool;
    }
    cq_table_clock(cq_site.table, apr_time_sec(r->request_time), &clock);
    if (cq_collect(&kept->view, cq_site.table, &clock, &own, facts, &arena)
        != CQ_OK) {
        release(kept);
        return NULL;
    }
    return kept;
}

/* ---- kept ones ---- */

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_same_query(const struct cq_query *a, const struct cq_query *b)
{
    return a->sort == b->sort && a->limit == b->limit
        && a->offset == b->offset && a->filter == b->filter
        && a->by_net == b->by_net
        && a->net_bits.v4_bits == b->net_bits.v4_bits
        && a->net_bits.v6_bits == b->net_bits.v6_bits
        && a->hours == b->hours && a->days == b->days
        && is_same_text(a->pool, b->pool) && a->has_client == b->has_client
        && (!a->has_client || cq_key_compare(&a->client, &b->client) == 0);
}

static struct kept *find_kept(const struct cq_query *query,
                              const struct cq_view_facts *facts, apr_time_t now)
{
    int i;

    for (i = 0; i < KEPT_MAX; i++) {
        struct kept *kept = places[i];

        if (kept != NULL && now < kept->until
            && now + apr_time_from_sec(KEEP_S) >= kept->until
            && is_same_query(&kept->view.query, query)
            && is_same_text(kept->view.facts.document_root,
                            facts->document_root)) {
            return kept;
        }
    }
    return NULL;
}

/* The place of the view that ends first, or has ended. */
static void keep_view(struct kept *kept, apr_time_t now)
{
    struct cq_table_figures figures;
    int i, oldest = 0;

    cq_table_figures(cq_site.table, &figures);
    if (figures.rows < KEEP_ROWS) {
        return;
    }
    for (i = 0; i < KEPT_MAX; i++) {
        if (places[i] != NULL && now >= places[i]->until) {
            release(places[i]);
            places[i] = NULL;
        }
        if (places[i] == NULL || (places[oldest] != NULL
            && places[i]->until < places[oldest]->until)) {
            oldest = i;
        }
    }
    if (places[oldest] != NULL) {
        release(places[oldest]);
    }
    kept->users++;
    kept->until = now + apr_time_from_sec(KEEP_S);
    places[oldest] = kept;
}

const struct cq_view *cq_page_view(request_rec *r,
                                   const struct cq_query *query,
                                   const struct cq_view_facts *facts)
{
    apr_time_t now = apr_time_now();
    struct kept *kept;

    /* others that ask meanwhile wait for this pass instead of each making
     * its own; none of them is a download */
    pthread_mutex_lock(&lock);
    /* what was just changed here is shown as it is */
    kept = facts->done == CQ_ACTION_NONE ? find_kept(query, facts, now) : NULL;
    if (kept != NULL) {
        kept->users++;
    }
    else {
        kept = collect_view(r, query, facts);
        if (kept != NULL) {
            keep_view(kept, apr_time_now());
        }
    }
    pthread_mutex_unlock(&lock);
    if (kept == NULL) {
        return NULL;
    }
    apr_pool_cleanup_register(r->pool, kept, release_later,
                              apr_pool_cleanup_null);
    return &kept->view;
}
