/* me - what a client is shown of itself, as plain data.
 *
 * Filled from the table by one look-up for each pool, never by a scan: what
 * is not asked for cannot be shown, and no query reaches here. Self-contained
 * and of a fixed size, so that filling it can't fail: without memory to look
 * for them, copies are missing. */
#ifndef CQ_ME_H
#define CQ_ME_H

#include "render/copies.h"
#include "table/table.h"

struct cq_me_pool {
    struct cq_view_client client;   /* retry_after_s as in a refusal */
    int64_t wait_s;                 /* until it is admitted; 0: it is */
    char name[CQ_POOL_NAME_SIZE];
    struct cq_policy_info policy;
    struct cq_view_copy copies[CQ_COPIES_SHOWN_MAX];    /* client.copies */
};

struct cq_me {
    const char *version;
    int64_t now_s;
    struct cq_key client;           /* family 0: no address that is counted */
    struct cq_period period;
    int day;
    int64_t next_day_s;
    bool counted;                   /* there is a table */
    bool log_only;                  /* no scope of this server refuses */
    const char *self;               /* the page's path; NULL: unknown */
    const char *admin;              /* address or URL; NULL: none is set */
    size_t pool_count;
    struct cq_me_pool pools[CQ_POOLS_MAX];
};

/* the scope that the page lies in */
struct cq_me_place {
    uint16_t pool;                  /* CQ_ANY_POOL: the table has none */
    uint16_t policy_index;          /* what holds for this client there now */
    struct cq_retry retry;
    const char *document_root;      /* as in struct cq_view_facts */
    const struct cq_arena *arena;   /* to look for copies with; NULL: don't */
};

/** Fills in day, period and pools: first the pool of the place, whether it has
 * used anything there or not, then the others in which it has a row.
 * @param me  its client is set, the rest of what is not named above is left
 *            alone */
void cq_me_collect(struct cq_me *me, const struct cq_table *table,
                   const struct cq_clock *clock,
                   const struct cq_me_place *place);

/** A complete HTML5 page, without script, form or refresh. */
void cq_render_me_html(const struct cq_me *me, const struct cq_sink *sink);

/** One object: version, now, client, prefix, period and pools; a pool has the
 * members of a client in cq_render_json(). */
void cq_render_me_json(const struct cq_me *me, const struct cq_sink *sink);

#endif
