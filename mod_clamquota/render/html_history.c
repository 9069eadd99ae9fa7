/* html_history - bar plots of what left hour by hour, as inline SVG.
 *
 * Text stays outside of the SVG, which is stretched to the width of its place
 * and would stretch letters too. A place on the time axis is an hour: hours
 * that the history lacks show as gaps. */
#include "render/html.h"

#include <inttypes.h>
#include <stdio.h>

#define HOUR_S 3600

/* a day at least, so that a young history isn't one fat bar; two weeks at
 * most */
#define SLOTS_MIN 24
#define SLOTS_MAX 336

/* units of the SVG: a slot's width, the height of the plot */
#define SLOT_WIDTH 10
#define PLOT_HEIGHT 1000

struct plot {
    const struct cq_view *view;
    const char *title;
    const char *bar_class;
    bool in_bytes;
    int64_t (*value)(const struct cq_view_hour *hour);
    int64_t peak;
    int64_t first_s;    /* start of the leftmost hour */
    int64_t slots;
};

static int64_t sent_of(const struct cq_view_hour *hour)
{
    return hour->sent_bytes;
}

static int64_t refused_of(const struct cq_view_hour *hour)
{
    return hour->refused;
}

/* where the hour stands, or -1 if left of the plot (right of it can't be) */
static int64_t slot_of(const struct plot *plot,
                       const struct cq_view_hour *hour)
{
    int64_t slot = (hour->start_s - plot->first_s) / HOUR_S;

    return hour->start_s >= plot->first_s && slot < plot->slots ? slot : -1;
}

static void frame(struct plot *plot)
{
    const struct cq_view *view = plot->view;
    int64_t oldest_s = view->history[0].start_s;
    int64_t newest_s = view->history[view->history_count - 1].start_s;
    size_t i;

    plot->slots = (newest_s - oldest_s) / HOUR_S + 1;
    if (plot->slots < SLOTS_MIN) {
        plot->slots = SLOTS_MIN;
    }
    if (plot->slots > SLOTS_MAX) {
        plot->slots = SLOTS_MAX;
    }
    plot->first_s = newest_s - (plot->slots - 1) * HOUR_S;
    plot->peak = 0;
    for (i = 0; i < view->history_count; i++) {
        int64_t value = plot->value(&view->history[i]);

        if (slot_of(plot, &view->history[i]) >= 0 && value > plot->peak) {
            plot->peak = value;
        }
    }
}

/* 0..PLOT_HEIGHT; what is not nothing is never invisible */
static int height_of(const struct plot *plot, int64_t value)
{
    double share = (double)value / (double)plot->peak;
    int height = (int)(share * PLOT_HEIGHT);

    if (value <= 0) {
        return 0;
    }
    return height < PLOT_HEIGHT / 50 ? PLOT_HEIGHT / 50 : height;
}

static void bar(struct cq_writer *w, const struct plot *plot,
                const struct cq_view_hour *hour)
{
    int64_t x = slot_of(plot, hour) * SLOT_WIDTH;
    int height = height_of(plot, plot->value(hour));
    char text[160];

    if (x < 0) {
        return;
    }
    cq_write_raw(w, "<g><title>");
    cq_words_utc(w, hour->start_s);
    cq_write_raw(w, ": ");
    cq_words_count(w, hour->sent_bytes);
    cq_write_raw(w, " bytes sent, ");
    cq_words_count(w, hour->free_bytes);
    cq_write_raw(w, " free, ");
    cq_words_count(w, hour->hits);
    cq_write_raw(w, " hits, ");
    cq_words_count(w, hour->refused);
    cq_write_raw(w, " refused</title>");
    snprintf(text, sizeof(text),
             "<rect class=\"hit\" x=\"%" PRId64
             "\" y=\"0\" width=\"%d\" height=\"%d\"/>",
             x, SLOT_WIDTH, PLOT_HEIGHT);
    cq_write_raw(w, text);
    if (height > 0) {
        snprintf(text, sizeof(text),
                 "<rect class=\"%s\" x=\"%" PRId64
                 "\" y=\"%d\" width=\"%d\" height=\"%d\"/>",
                 plot->bar_class, x + 1, PLOT_HEIGHT - height, SLOT_WIDTH - 2,
                 height);
        cq_write_raw(w, text);
    }
    cq_write_raw(w, "</g>\n");
}

static void caption(struct cq_writer *w, const struct plot *plot)
{
    cq_write_raw(w, "<figcaption><b>");
    cq_write_raw(w, plot->title);
    cq_write_raw(w, "</b><span class=\"soft\">");
    if (plot->peak == 0) {
        cq_write_raw(w, "none in these hours");
    }
    else {
        cq_write_raw(w, "top line ");
        if (plot->in_bytes) {
            cq_words_bytes(w, plot->peak);
        }
        else {
            cq_words_count(w, plot->peak);
        }
    }
    cq_write_raw(w, "</span></figcaption>\n");
}

static void axis(struct cq_writer *w, const struct plot *plot)
{
    cq_write_raw(w, "<div class=\"axis\">");
    cq_words_moment(w, plot->first_s);
    cq_words_moment(w, plot->first_s + plot->slots * HOUR_S);
    cq_write_raw(w, "</div></figure>\n");
}

static void draw(struct cq_writer *w, struct plot *plot)
{
    static const char *const grid[] = { "0", "500", "1000" };
    char text[128];
    int64_t width;
    size_t i;

    frame(plot);
    width = plot->slots * SLOT_WIDTH;
    cq_write_raw(w, "<figure>");
    caption(w, plot);
    cq_write_raw(w, "<svg role=\"img\" aria-label=\"");
    cq_write_raw(w, plot->title);
    snprintf(text, sizeof(text),
             ", %" PRId64 " hours\" preserveAspectRatio=\"none\" "
             "viewBox=\"0 0 %" PRId64 " %d\">\n",
             plot->slots, width, PLOT_HEIGHT);
    cq_write_raw(w, text);
    for (i = 0; i < sizeof(grid) / sizeof(grid[0]); i++) {
        cq_write_raw(w, "<path class=\"grid\" d=\"M0 ");
        cq_write_raw(w, grid[i]);
        cq_write_raw(w, "H");
        cq_write_int(w, width);
        cq_write_raw(w, "\"/>");
    }
    cq_write_raw(w, "\n");
    for (i = 0; i < plot->view->history_count; i++) {
        bar(w, plot, &plot->view->history[i]);
    }
    cq_write_raw(w, "</svg>\n");
    axis(w, plot);
}

/* Sums of the whole history tell an idle mirror from a young one. */
static bool is_idle(const struct cq_view *view)
{
    size_t i;

    for (i = 0; i < view->history_count; i++) {
        if (view->history[i].sent_bytes > 0 ||
            view->history[i].refused > 0) {
            return false;
        }
    }
    return true;
}

void cq_html_history(struct cq_writer *w, const struct cq_view *view)
{
    struct plot sent = { .view = view, .title = "Bytes sent per hour",
                         .bar_class = "bar", .in_bytes = true,
                         .value = sent_of };
    struct plot refused = { .view = view, .title = "Refusals per hour",
                            .bar_class = "bad", .value = refused_of };

    cq_write_raw(w, "<section class=\"card\"><h2>History</h2>\n");
    if (view->history_count == 0) {
        cq_write_raw(w, "<p class=\"empty\">No hour has been recorded yet. "
                        "Plots of bytes sent and refusals per hour appear "
                        "here as the mirror is used.</p>\n");
    }
    else if (is_idle(view)) {
        cq_write_raw(w, "<p class=\"empty\">Nothing counted was sent and "
                        "nothing refused since ");
        cq_words_moment(w, view->history[0].start_s);
        cq_write_raw(w, ".</p>\n");
    }
    else {
        cq_write_raw(w, "<div class=\"plots\">\n");
        draw(w, &sent);
        draw(w, &refused);
        cq_write_raw(w, "</div>\n");
    }
    cq_write_raw(w, "</section>\n");
}
