/* round - an exchange: start, rounds, stop.
 *
 *   a client's sum on this node = own row + what the last fetch of its item had
 *   of the other nodes
 *
 * A round writes heartbeats, merges acts, reads hints, exchanges rows, stores
 * hints; nothing of it is kept but what the table and parts.h name. A server
 * that fails leaves sums too small, never too large. Only the exchanger calls
 * this, one round at a time. */
#include "cluster/parts.h"
#include "cluster/list.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cq_seed name_seed = {
    /* more digits of pi: the same on every node */
    UINT64_C(0x452821e638d01377), UINT64_C(0xbe5466cf34e90c6c)
};

uint64_t cq_cluster_machine(void)
{
    char text[64];
    int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

    if (fd >= 0) {
        close(fd);
    }
    return n >= 32 ? cq_hash_text(&name_seed, text, 32, NULL, 0) : 0;
}

/* ---- start and stop ---- */

static void set_servers(struct cq_exchange *x)
{
    size_t i;

    x->servers_n = x->options.servers_n;
    for (i = 0; i < x->servers_n; i++) {
        struct cq_server *s = &x->servers[i];

        s->where = x->options.servers[i];
        s->seed = cq_hash_text(&name_seed, s->where.name,
                               strlen(s->where.name), NULL, 0);
        x->server_seeds[i] = s->seed;
        x->servers_hash += s->seed;     /* in any order */
    }
}

static bool allocate(struct cq_exchange *x)
{
    size_t i;

    x->rows_n = cq_rows_n(x->table);
    x->confirmed = calloc(x->rows_n, sizeof(*x->confirmed));
    x->hinted = calloc(x->rows_n / 8 + 1, 1);
    x->hints = calloc(CQ_HINTS_MAX, sizeof(*x->hints));
    for (i = 0; i < x->servers_n; i++) {
        x->servers[i].pending = calloc(CQ_BATCH,
                                       sizeof(*x->servers[i].pending));
        if (x->servers[i].pending == NULL) {
            return false;
        }
    }
    return x->confirmed != NULL && x->hinted != NULL && x->hints != NULL;
}

enum cq_status cq_exchange_start(struct cq_table *table,
                                 const struct cq_exchange_want *want,
                                 struct cq_exchange **exchange, char *why,
                                 size_t why_size)
{
    const struct cq_transport *transport =
        want->transport != NULL ? want->transport : cq_memcached();
    struct cq_exchange *x;

    *exchange = NULL;
    if (!cq_table_has_cluster(table) || transport == NULL) {
        snprintf(why, why_size, "%s", transport == NULL
                 ? "this module was built without libmemcached"
                 : "the table has no section for a cluster");
        return CQ_EINVAL;
    }
    x = calloc(1, sizeof(*x));
    if (x != NULL) {
        x->table = table;
        x->want = *want;
        x->options = *want->options;
        x->transport = transport;
        x->world = want->world;
        snprintf(x->label, sizeof(x->label), "%s", want->label);
        cq_label_clean(x->label);
        set_servers(x);
    }
    if (x == NULL || !allocate(x)) {
        cq_exchange_stop(x);
        snprintf(why, why_size, "out of memory");
        return CQ_ENOMEM;
    }
    x->node = cq_table_node(table);
    x->session = cq_node_session(table, &x->since_ms);
    x->sweep_n = x->rows_n;
    x->complete_ms = cq_steady_ms(x);
    *exchange = x;
    return CQ_OK;
}

void cq_exchange_stop(struct cq_exchange *x)
{
    size_t i;

    if (x == NULL) {
        return;
    }
    for (i = 0; i < x->servers_n; i++) {
        x->transport->close(x->world, x->servers[i].link);
        free(x->servers[i].pending);
    }
    cq_rules_free(&x->rules);
    cq_net_free(&x->resets);
    cq_net_free(&x->forgotten);
    free(x->confirmed);
    free(x->hinted);
    free(x->hints);
    free(x);
}

/* ---- a round ---- */

/* Another period: other keys, and no row of it was seen yet. Another day: the
 * list of clients over quota begins anew. */
static void begin_period(struct cq_exchange *x)
{
    bool is_new_period = x->period_id != x->clock.period_id;
    size_t i, n = cq_table_pool_count(x->table);

    if (is_new_period) {
        x->acts_loaded = false;     /* their items have other keys */
        memset(x->confirmed, 0, x->rows_n * sizeof(*x->confirmed));
    }
    if (is_new_period || x->hints_day != x->clock.day) {
        memset(x->hinted, 0, x->rows_n / 8 + 1);
        x->hints_n = 0;
        x->hints_stored_n = 0;
        x->hints_day = x->clock.day;
        x->hints_epoch = (uint64_t)x->now_ms;
        x->sweep_n = x->rows_n;
    }
    for (i = is_new_period ? 0 : x->pools_n; i < n; i++) {
        struct cq_pool_info info;

        cq_table_pool_info(x->table, (uint16_t)i, &info);
        x->seeds[i] = cq_item_seeds(info.name, x->period.midnight_s[0],
                                    x->period.midnight_s[x->period.days],
                                    cq_table_prefixes(x->table));
        x->pool_hashes[i] = cq_hash_text(&name_seed, info.name,
                                         strlen(info.name), NULL, 0);
    }
    x->pools_n = n;
    x->period_id = x->clock.period_id;
}

static bool begin_round(struct cq_exchange *x, int64_t now_ms)
{
    if (cq_table_health(x->table) == CQ_HEALTH_LOST) {
        return false;           /* what is left of it is no share of ours */
    }
    x->now_ms = now_ms;
    x->failed = false;
    x->beat = (uint64_t)now_ms > x->beat ? (uint64_t)now_ms : x->beat + 1;
    cq_table_clock(x->table, now_ms / 1000, &x->clock);
    cq_table_period(x->table, &x->period);
    /* not while the housekeeping writes another one */
    if (x->period.id != x->clock.period_id
        || x->clock.now_s < x->period.midnight_s[0]) {
        return false;
    }
    cq_rules_free(&x->rules);
    if (cq_rules_read(x->table, x->now_ms / 1000, &x->rules) != CQ_OK) {
        return false;
    }
    begin_period(x);
    cq_acts_apply(x->table, &x->clock);
    return cq_acts_load(x);
}

static void exchange_nodes(struct cq_exchange *x)
{
    size_t i;

    for (i = 0; i < x->servers_n; i++) {
        if (cq_server_try(x, &x->servers[i])) {
            cq_nodes_exchange(x, &x->servers[i]);
        }
    }
    cq_nodes_judge(x);
}

static void write_status(struct cq_exchange *x)
{
    struct cq_cluster_status *status = &x->status;
    size_t i;

    status->node = x->node;
    memcpy(status->label, x->label, sizeof(status->label));
    status->nodes_n = 0;
    for (i = 0; i < x->nodes_n; i++) {
        if (!cq_node_is_forgotten(x, x->nodes[i].shown.id)) {
            status->nodes[status->nodes_n++] = x->nodes[i].shown;
        }
    }
    status->servers_n = x->servers_n;
    for (i = 0; i < x->servers_n; i++) {
        memcpy(status->servers[i].name, x->servers[i].where.name,
               sizeof(status->servers[i].name));
        status->servers[i].up = x->servers[i].up;
        status->servers[i].errors = x->servers[i].errors;
    }
    cq_cluster_status_write(x->table, status);
}

bool cq_exchange_round(struct cq_exchange *x, int64_t now_ms,
                       int64_t deadline_ms)
{
    int64_t start_ms = cq_steady_ms(x);
    bool complete = true;
    size_t i;

    if (!begin_round(x, now_ms)) {
        x->failed = true;
    }
    else {
        exchange_nodes(x);
        for (i = 0; i < x->servers_n; i++) {
            cq_acts_exchange(x, &x->servers[i]);
        }
        cq_hints_read(x);
        complete = cq_rows_exchange(x, start_ms + deadline_ms);
        if (cq_hints_store(x)) {
            exchange_nodes(x);
        }
    }
    cq_servers_report(x);
    x->status.lag_ms = cq_steady_ms(x) - x->complete_ms;
    if (complete) {
        x->complete_ms = start_ms;
    }
    x->status.rounds++;
    x->status.failed_rounds += x->failed || !complete;
    x->status.last_round_s = now_ms / 1000;
    write_status(x);
    return complete;
}
