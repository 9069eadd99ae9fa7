/* status_section - our part of mod_status's page.
 *
 * A fragment without a style of its own, in the plain markup of the page
 * around it (which may be XHTML-like: empty elements are closed). */
#include "render/link.h"
#include "render/words.h"

/* the ten worst: the view is sorted */
#define WORST_MAX 10

static void row_start(struct cq_writer *w, const char *title)
{
    cq_write_raw(w, "<dt>");
    cq_write_raw(w, title);
    cq_write_raw(w, " ");
}

static void worst_row(struct cq_writer *w, const struct cq_view *view,
                      const struct cq_view_client *client)
{
    char text[CQ_KEY_TEXT_SIZE];

    cq_write_raw(w, "<tr><td>");
    cq_write_html(w, cq_link_client(&client->client, text, sizeof(text)));
    cq_write_raw(w, "</td><td>");
    cq_write_html(w, client->pool);
    cq_write_raw(w, "</td><td>");
    cq_write_raw(w, cq_state_word(client->state));
    cq_write_raw(w, "</td><td>");
    cq_words_bytes(w, client->used_bytes);
    cq_write_raw(w, "</td><td>");
    if (client->daily_bytes < 0) {
        cq_write_raw(w, "unlimited");
    }
    else {
        cq_words_bytes(w, client->allowance_bytes);
    }
    cq_write_raw(w, "</td><td>");
    cq_words_count(w, client->refused);
    cq_write_raw(w, "</td><td>");
    if (client->last_hit_s > 0) {
        cq_words_relative(w, client->last_hit_s, view->now_s);
    }
    cq_write_raw(w, "</td><td>");
    cq_write_html(w, client->rule);
    cq_write_raw(w, "</td></tr>\n");
}

static void worst(struct cq_writer *w, const struct cq_view *view)
{
    size_t i;

    if (view->client_count == 0) {
        return;
    }
    cq_write_raw(w, "<table border=\"0\"><tr><th>Client</th><th>Pool</th>"
                    "<th>State</th><th>Used</th><th>Allowance</th>"
                    "<th>Refused</th><th>Last hit</th><th>Rule</th></tr>\n");
    for (i = 0; i < view->client_count && i < WORST_MAX; i++) {
        worst_row(w, view, &view->clients[i]);
    }
    cq_write_raw(w, "</table>\n");
}

static void period_row(struct cq_writer *w, const struct cq_view *view)
{
    row_start(w, "Period:");
    cq_write_raw(w, cq_period_kind_word(
                        (enum cq_period_kind)view->period.kind));
    cq_write_raw(w, ", day ");
    cq_write_int(w, view->day);
    cq_write_raw(w, " of ");
    cq_write_int(w, view->period.days);
    cq_write_raw(w, ", next midnight ");
    cq_words_relative(w, view->next_day_s, view->now_s);
    cq_write_raw(w, "</dt>\n");
}

static void totals_row(struct cq_writer *w,
                       const struct cq_view_totals *totals)
{
    row_start(w, "Sent:");
    cq_words_bytes(w, totals->sent_bytes);
    cq_write_raw(w, ", free ");
    cq_words_bytes(w, totals->free_bytes);
    cq_write_raw(w, ", in flight ");
    cq_words_bytes(w, totals->in_flight_bytes);
    cq_write_raw(w, "; hits ");
    cq_words_count(w, totals->hits);
    cq_write_raw(w, ", refused ");
    cq_words_count(w, totals->refused);
    cq_write_raw(w, ", would have been refused ");
    cq_words_count(w, totals->would_refuse);
    cq_write_raw(w, ", connections dropped ");
    cq_words_count(w, totals->dropped);
    cq_write_raw(w, "</dt>\n");
}

void cq_render_status_section(const struct cq_view *view,
                              const struct cq_sink *sink)
{
    struct cq_writer writer;
    struct cq_writer *w = &writer;
    struct cq_link page = cq_link_of(view);

    cq_write_begin(w, sink);
    cq_write_raw(w, "<hr />\n<h2>ClamQuota</h2>\n<dl>");
    row_start(w, "Engine:");
    cq_write_html(w, view->engine);
    cq_write_raw(w, ", version ");
    cq_write_html(w, view->version);
    if (view->self) {
        cq_write_raw(w, ", <a href=\"");
        cq_link_write(w, &page);
        cq_write_raw(w, "\">details</a>");
    }
    cq_write_raw(w, "</dt>\n");
    period_row(w, view);
    totals_row(w, &view->totals);
    row_start(w, "Clients:");
    cq_words_count(w, view->table_used);
    cq_write_raw(w, " of ");
    cq_words_count(w, view->table_capacity);
    cq_write_raw(w, ", evictions ");
    cq_words_count(w, view->evictions);
    cq_write_raw(w, ", untracked requests ");
    cq_words_count(w, view->untracked);
    cq_write_raw(w, "</dt></dl>\n");
    worst(w, view);
    cq_write_end(w);
}
