/* status_section - our part of mod_status's page.
 *
 * A fragment without a style of its own, in the plain markup of the page
 * around it (which may be XHTML-like: empty elements are closed). Totals only:
 * mod_status's page is asked for often, and the rows may be many. */
#include "render/words.h"

static void row_start(struct cq_writer *w, const char *title)
{
    cq_write_raw(w, "<dt>");
    cq_write_raw(w, title);
    cq_write_raw(w, " ");
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

static void cluster_row(struct cq_writer *w,
                        const struct cq_cluster_status *cluster)
{
    row_start(w, "Cluster:");
    cq_write_raw(w, "node ");
    cq_write_html(w, cluster->label);
    cq_write_raw(w, " of ");
    cq_words_count(w, (int64_t)cluster->nodes_n);
    cq_write_raw(w, ", memcached ");
    cq_words_count(w, cq_view_servers_up(cluster));
    cq_write_raw(w, " of ");
    cq_words_count(w, (int64_t)cluster->servers_n);
    cq_write_raw(w, ", lag ");
    cq_words_count(w, cluster->lag_ms);
    cq_write_raw(w, " ms</dt>\n");
}

void cq_render_status_section(const struct cq_view *view,
                              const struct cq_sink *sink)
{
    struct cq_writer writer;
    struct cq_writer *w = &writer;

    cq_write_begin(w, sink);
    w->period = &view->period;
    cq_write_raw(w, "<hr />\n<h2>ClamQuota</h2>\n<dl>");
    row_start(w, "Engine:");
    cq_write_html(w, view->facts.engine);
    cq_write_raw(w, ", version ");
    cq_write_html(w, view->facts.version);
    cq_write_raw(w, "</dt>\n");
    if (view->facts.notice) {
        row_start(w, "<b>Notice:</b>");
        cq_write_html(w, view->facts.notice);
        cq_write_raw(w, "</dt>\n");
    }
    if (!view->facts.readable) {
        cq_write_raw(w, "</dl>\n");
        cq_write_end(w);
        return;
    }
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
    cq_write_raw(w, "</dt>\n");
    if (view->cluster) {
        cluster_row(w, view->cluster);
    }
    cq_write_raw(w, "</dl>\n");
    cq_write_end(w);
}
