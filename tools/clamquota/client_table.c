/* client_table - clients of a view as a table for people. */
#include "clamquota/client_table.h"

#include "clamquota/client_words.h"
#include "clamquota/columns.h"
#include "core/units.h"
#include "render/link.h"
#include "render/words.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cq_column of_clients[] = {
    { "CLIENT", false }, { "POOL", false }, { "LAST HIT", false },
    { "USED", true }, { "SHARE", true }, { "TODAY", true }, { "HITS", true },
    { "REFUSED", true }, { "STATE", false }
};

static const struct cq_column of_networks[] = {
    { "NETWORK", false }, { "CLIENTS", true }, { "LAST HIT", false },
    { "USED", true }, { "TODAY", true }, { "HITS", true },
    { "REFUSED", true }, { "OVER", true }
};

static void add_last_hit(struct cq_columns *c, const struct cq_view *view,
                         int64_t when_s)
{
    struct cq_writer *w = cq_columns_cell(c, CQ_STYLE_PLAIN);

    if (when_s > 0) {
        w->period = &view->period;
        cq_words_time(w, when_s, CQ_TIME_MINUTE);
    }
    else {
        cq_write_raw(w, "-");
    }
}

static void add_client(struct cq_columns *c, const struct cq_view *view,
                       const struct cq_view_client *client)
{
    char text[CQ_KEY_TEXT_SIZE];

    cq_columns_text(c, CQ_STYLE_PLAIN,
                    cq_link_client(&client->client, text, sizeof(text)));
    cq_columns_text(c, CQ_STYLE_PLAIN, client->pool);
    add_last_hit(c, view, client->last_hit_s);
    cq_columns_bytes(c, client->used_bytes);
    cq_client_share(cq_columns_cell(c, CQ_STYLE_PLAIN), client);
    cq_columns_bytes(c, client->today_bytes);
    cq_columns_count(c, client->hits);
    cq_columns_count(c, client->refused);
    cq_client_state(cq_columns_cell(c, cq_client_style(client)), client);
}

static void write_summary(struct cq_writer *w, const struct cq_view *view)
{
    int64_t over = 0, exempt = 0;
    size_t i;

    for (i = 0; i < view->pool_count; i++) {
        over += view->pools[i].clients_over;
        exempt += view->pools[i].clients_exempt;
    }
    if (view->query.by_net) {
        cq_client_count(w, (int64_t)view->network_count, " of ");
        cq_client_count(w, view->networks_matched, view->networks_exact
                        ? " networks of " : " networks (figures are lower "
                        "bounds) of ");
    }
    else {
        cq_client_count(w, (int64_t)view->client_count, " of ");
    }
    cq_client_count(w, view->clients_matched, " clients; of all ");
    cq_client_count(w, view->table_used, ", ");
    cq_client_count(w, over, " are over quota, ");
    cq_client_count(w, exempt, " exempt\nDay ");
    cq_client_count(w, view->day, " of ");
    cq_client_count(w, view->period.days, ", times are ");
    w->period = &view->period;
    cq_words_zone(w, view->now_s);
    cq_write_raw(w, "; since the table was made ");
    cq_client_bytes(w, view->totals.sent_bytes, " sent, ");
    cq_client_bytes(w, view->totals.free_bytes, " free, ");
    cq_client_count(w, view->totals.hits, " hits, ");
    cq_client_count(w, view->totals.refused, " refused\nAt the rate of this "
                    "period this server will have sent ");
    cq_client_bytes(w, view->forecast_sent_bytes + view->forecast_free_bytes,
                    " by ");
    cq_client_moment(w, &view->period,
                     view->period.midnight_s[view->period.days]);
    cq_write_raw(w, "\n");
}

static void add_network(struct cq_columns *c, const struct cq_view *view,
                        const struct cq_view_network *network)
{
    char text[CQ_KEY_TEXT_SIZE];

    cq_columns_text(c, CQ_STYLE_PLAIN,
                    cq_link_client(&network->net, text, sizeof(text)));
    cq_columns_count(c, network->clients);
    add_last_hit(c, view, network->last_hit_s);
    cq_columns_bytes(c, network->used_bytes);
    cq_columns_bytes(c, network->today_bytes);
    cq_columns_count(c, network->hits);
    cq_columns_count(c, network->refused);
    cq_words_count(cq_columns_cell(c, network->over > 0 ? CQ_STYLE_BAD
                                                        : CQ_STYLE_PLAIN),
                   network->over);
}

bool cq_client_table(const struct cq_view *view, struct cq_output *output)
{
    struct cq_columns c;
    struct cq_writer writer;
    size_t i;

    if (view->query.by_net) {
        cq_columns_begin(&c, of_networks, COUNT(of_networks));
        for (i = 0; i < view->network_count; i++) {
            add_network(&c, view, &view->networks[i]);
        }
    }
    else {
        cq_columns_begin(&c, of_clients, COUNT(of_clients));
        for (i = 0; i < view->client_count; i++) {
            add_client(&c, view, &view->clients[i]);
        }
    }
    if (!cq_columns_end(&c, output)) {
        return false;
    }
    cq_write_begin(&writer, &output->sink);
    write_summary(&writer, view);
    cq_write_end(&writer);
    return true;
}
