/* render_sample - the view that the renderers' tests show, once plain and once
 * with names that try to break out. Included by one test program each. */
#ifndef RENDER_SAMPLE_H
#define RENDER_SAMPLE_H

#include "render/view.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTILE "<script>\"&'\\\n\r\x01\x7f{} 1\n# EOF\n\xff\xc3"

struct text {
    char data[262144];
    size_t size;
};

static struct text out;

static void append(void *baton, const char *data, size_t size)
{
    struct text *text = baton;

    ck_assert_uint_lt(text->size + size, sizeof(text->data));
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

typedef void (*render_fn)(const struct cq_view *view,
                          const struct cq_sink *sink);

static inline const char *rendered(render_fn render, const struct cq_view *view)
{
    struct cq_sink sink = { append, &out };

    out.size = 0;
    out.data[0] = '\0';
    render(view, &sink);
    ck_assert_uint_eq(strlen(out.data), out.size);
    return out.data;
}

static struct cq_view view;
static struct cq_view_pool pools[1];
static struct cq_view_hour hours[1];
static struct cq_exemption exemption;
static struct cq_view_client clients[2];
static struct cq_view_copy copies[1];

static void make_client(struct cq_view_client *client, const char *cidr)
{
    ck_assert_int_eq(cq_key_parse(&client->client, cidr, NULL), CQ_OK);
    client->pool = "default";
    client->rule = "ClamQuotaDaily";
}

/* 2026-11-23 12:00 UTC, day 23 of 30; one client over, one exempt */
static void make_view(void)
{
    const int64_t now_s = INT64_C(1795435200);

    memset(&view, 0, sizeof(view));
    memset(clients, 0, sizeof(clients));
    memset(pools, 0, sizeof(pools));
    view.facts = (struct cq_view_facts){ .version = "1.2.3",
                                         .engine = "On", .counts = true,
                                         .readable = true, .changes = true,
                                         .self = "/clamquota" };
    view.now_s = now_s;
    ck_assert_int_eq(
        cq_period_at(CQ_PERIOD_MONTH, CQ_ZONE_UTC, now_s, &view.period),
        CQ_OK);
    view.day = 23;
    view.next_day_s = now_s + 43200;
    view.query.limit = 100;
    view.table_capacity = 1000;
    view.table_used = 2;
    view.evictions = 3;
    view.untracked = 4;
    view.totals = (struct cq_view_totals){ 11, 12, 13, 14, 15, 16, 17, 18,
                                           19 };
    pools[0].name = "default";
    pools[0].daily_bytes = 52428800;
    pools[0].grace_bytes = 7;
    pools[0].totals = view.totals;
    pools[0].clients_over = 1;
    pools[0].clients_exempt = 1;
    view.pools = pools;
    view.pool_count = 1;
    hours[0] = (struct cq_view_hour){ now_s - 3600, 21, 22, 23, 24 };
    view.jail = (struct cq_view_jail){ "ipset:a,b", 41, 0, 43, now_s - 60 };
    view.history = hours;
    view.history_count = 1;
    view.days = hours;
    view.day_count = 1;
    view.forecast_since_s = view.period.midnight_s[0];
    view.forecast_sent_bytes = 51;
    view.forecast_free_bytes = 52;
    view.shares[CQ_VIEW_SHARES - 1] = 1;
    copies[0] = (struct cq_view_copy){ "/main.cvd", 61, 62, 63, 64 };
    make_client(&clients[0], "2001:db8::/64");
    clients[0].used_bytes = INT64_C(9007199254740993);
    clients[0].today_bytes = 31;
    clients[0].free_bytes = 32;
    clients[0].in_flight_bytes = 33;
    clients[0].daily_bytes = 52428800;
    clients[0].allowance_bytes = 1205862400;
    clients[0].hits = 34;
    clients[0].refused = 35;
    clients[0].last_hit_s = now_s - 60;
    clients[0].state = CQ_STATE_OVER;
    clients[0].over_since_s = now_s - 120;
    clients[0].retry_after_s = 43200;
    clients[0].jailed = true;
    clients[0].would_refuse = 36;
    clients[0].refused_today = 37;
    clients[0].copies = copies;
    clients[0].copies_n = 1;
    make_client(&clients[1], "192.0.2.7");
    clients[1].daily_bytes = CQ_UNLIMITED;
    clients[1].allowance_bytes = CQ_BYTES_MAX;
    clients[1].rule = "ClamQuotaClient 192.0.2.0/24";
    clients[1].state = CQ_STATE_EXEMPT;
    clients[1].spared = CQ_SPARED_EXEMPT;
    clients[1].exempt_until_s = now_s + 100;
    exemption.net = cq_key_network(&clients[1].client, 24);
    exemption.until_s = now_s + 100;
    view.exemptions = &exemption;
    view.exemption_count = 1;
    view.clients = clients;
    view.client_count = 2;
    view.clients_matched = 2;
}

static inline void make_hostile(void)
{
    make_view();
    view.facts.version = HOSTILE;
    view.facts.engine = HOSTILE;
    view.facts.self = "/" HOSTILE;
    view.jail.spec = HOSTILE;
    pools[0].name = HOSTILE;
    view.query.pool = HOSTILE;
    clients[0].pool = HOSTILE;
    clients[0].rule = HOSTILE;
    memcpy(copies[0].path, HOSTILE, sizeof(HOSTILE));
    view.query.filter = CQ_FILTER_OVER;
}

/* copies what stands before one of the characters of end */
static inline const char *word(const char *at, const char *end, char *to,
                               size_t size)
{
    size_t length = strcspn(at, end);

    ck_assert_uint_gt(length, 0);
    ck_assert_uint_lt(length, size);
    memcpy(to, at, length);
    to[length] = '\0';
    return at + length;
}

#endif
