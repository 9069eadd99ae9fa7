/* servers - links to servers: opened, closed after any failure, opened again
 * after a pause that doubles. */
#include "cluster/parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PAUSE_FIRST_MS 1000
#define PAUSE_MAX_MS 30000

int64_t cq_steady_ms(const struct cq_exchange *x)
{
    return x->transport->clock_ms(x->world);
}

int64_t cq_lapse_ms(const struct cq_exchange *x)
{
    return 20 * x->want.interval_ms + 5000;
}

void cq_report(const struct cq_exchange *x, enum cq_cluster_event event,
               const char *format, ...)
{
    char text[512];
    va_list args;
    size_t i;

    if (x->want.report == NULL) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (i = 0; text[i] != '\0'; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            text[i] = '?';
        }
    }
    x->want.report(x->want.baton, event, text);
}

bool cq_server_try(struct cq_exchange *x, struct cq_server *s)
{
    if (s->link == NULL && cq_steady_ms(x) >= s->retry_ms) {
        s->link = x->transport->open(x->world, &s->where,
                                     x->options.name_space);
    }
    return s->link != NULL;
}

bool cq_server_fail(struct cq_exchange *x, struct cq_server *s)
{
    x->failed = true;
    s->errors++;
    if (!s->reported_down) {
        s->reported_down = true;
        cq_report(x, CQ_CLUSTER_SERVER_DOWN, "%s: %s", s->where.name,
                  s->link != NULL && s->link->why[0] != '\0'
                   ? s->link->why : "no answer");
    }
    s->up = false;
    s->has_written = false;
    s->first_ms = 0;
    s->has_acts = false;
    x->transport->close(x->world, s->link);
    s->link = NULL;
    s->pause_ms = s->pause_ms == 0 ? PAUSE_FIRST_MS
        : s->pause_ms < PAUSE_MAX_MS / 2 ? 2 * s->pause_ms : PAUSE_MAX_MS;
    s->retry_ms = cq_steady_ms(x) + s->pause_ms;
    return false;
}

void cq_server_answered(struct cq_exchange *x, struct cq_server *s)
{
    if (!s->up) {
        s->up = true;
        x->sweep_n = x->rows_n;
        x->away_n = 0;
    }
    s->pause_ms = 0;
    if (s->reported_down) {
        s->reported_down = false;
        cq_report(x, CQ_CLUSTER_SERVER_UP, "%s", s->where.name);
    }
}

void cq_servers_report(struct cq_exchange *x)
{
    size_t i, up = 0, unsure = 0;

    for (i = 0; i < x->servers_n; i++) {
        up += x->servers[i].up;
        unsure += !x->servers[i].up && x->servers[i].first_ms != 0;
    }
    if (unsure > 0) {
        return;
    }
    if (up == 0 && !x->all_down) {
        cq_report(x, CQ_CLUSTER_ALL_DOWN, "no server answers");
    }
    if (up == x->servers_n && x->any_down) {
        cq_report(x, CQ_CLUSTER_ALL_UP, "every server answers");
    }
    x->all_down = up == 0;
    x->any_down = up < x->servers_n;
}

struct cq_server *cq_server_find(struct cq_exchange *x, uint64_t hash)
{
    return &x->servers[cq_item_place(hash, x->server_seeds, x->servers_n)];
}

static void copy_value(void *baton, size_t i, const unsigned char *bytes,
                       size_t size, uint64_t cas)
{
    struct cq_value *value = baton;

    (void)i;
    value->cas = cas;
    value->size = size <= sizeof(value->bytes) ? size : 0;
    memcpy(value->bytes, bytes, value->size);
}

bool cq_server_fetch(struct cq_exchange *x, struct cq_server *s,
                     const struct cq_item_key *key, struct cq_value *value)
{
    struct cq_key_text text = { key->text, sizeof(key->text) };

    value->size = 0;
    value->cas = 0;
    return x->transport->fetch(x->world, s->link, &text, 1, copy_value, value)
        || cq_server_fail(x, s);
}

bool cq_server_store(struct cq_exchange *x, struct cq_server *s,
                   const struct cq_item_key *key, struct cq_value *value,
                   int64_t expiry_s)
{
    struct cq_key_text text = { key->text, sizeof(key->text) };

    cq_seal(value->bytes, value->size, &key->hash);
    return (x->transport->store(x->world, s->link, &text, value->bytes,
                                value->size, (uint32_t)expiry_s, value->cas)
            && x->transport->flush(x->world, s->link))
        || cq_server_fail(x, s);
}

uint32_t cq_expiry_s(const struct cq_exchange *x)
{
    int64_t rest_s = x->period.midnight_s[x->period.days] - x->now_ms / 1000;

    rest_s = rest_s < 0 ? 0 : rest_s;
    return (uint32_t)(rest_s < 29 * 86400 ? rest_s + 86400 : 30 * 86400);
}
