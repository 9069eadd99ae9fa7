/* html_history - plots of what left by hours and by days, and of how far
 * clients are, as inline SVG with axes.
 *
 * A place on the time axis is an hour or a day: those that the history lacks
 * show as gaps. Two series are stacked. Numbers stand in titles, too, for
 * pointers and screen readers. */
#include "render/html.h"

#include "core/units.h"

#include <stdio.h>
#include <time.h>

#define HOUR_S 3600
#define DAY_S 86400

/* Units of the SVG: letters are 12 of them high, so that they can be read
 * where the plot is 360 pixels wide. */
#define WIDTH 480
#define HEIGHT 190
#define LEFT 62
#define RIGHT 8
#define TOP 10
#define BOTTOM 24
#define PLOT_WIDTH (WIDTH - LEFT - RIGHT)
#define PLOT_HEIGHT (HEIGHT - TOP - BOTTOM)

/* a day or a month at least, so that a young history is no fat bar */
#define HOURS_MIN 24
#define DAYS_MIN 31

struct plot {
    const struct cq_view_hour *slots;
    size_t count;
    bool in_days;
    bool in_bytes;
    const char *title;
    const char *low_word;       /* what the lower and the upper series are */
    const char *high_word;
    int64_t first;              /* number of the leftmost place */
    int64_t places;
    int64_t top;                /* the value at the upper end */
    int64_t step;               /* from one line to the next */
};

static int64_t pick_lower(const struct plot *plot,
                          const struct cq_view_hour *slot)
{
    return plot->in_bytes ? slot->sent_bytes : slot->hits;
}

static int64_t pick_upper(const struct plot *plot,
                          const struct cq_view_hour *slot)
{
    return plot->in_bytes ? slot->free_bytes : slot->refused;
}

/* Days have 23 to 25 hours: noon is in the same one whatever the zone. */
static int64_t find_place(const struct plot *plot,
                          const struct cq_view_hour *slot)
{
    return plot->in_days ? (slot->start_s + DAY_S / 2) / DAY_S
                         : slot->start_s / HOUR_S;
}

/* Steps of 1, 2 or 5 times a power of ten, or for bytes a power of two: four
 * at most. */
static void scale(struct plot *plot, int64_t peak)
{
    static const int64_t factors[] = { 2, 5, 10 };
    int64_t unit = 1;
    int i = 0;

    plot->step = 1;
    while (plot->step <= INT64_MAX / 16 && plot->step * 4 < peak) {
        if (plot->in_bytes) {
            plot->step *= 2;
            continue;
        }
        plot->step = unit * factors[i];
        if (++i == 3) {
            unit *= 10;
            i = 0;
        }
    }
    plot->top = (peak + plot->step - 1) / plot->step * plot->step;
    if (plot->top <= 0) {
        plot->top = plot->step;
    }
}

static void frame(struct plot *plot)
{
    int64_t least = plot->in_days ? DAYS_MIN : HOURS_MIN;
    int64_t last = find_place(plot, &plot->slots[plot->count - 1]);
    int64_t peak = 0;
    size_t i;

    plot->places = last - find_place(plot, &plot->slots[0]) + 1;
    if (plot->places < least) {
        plot->places = least;
    }
    if (plot->places > CQ_VIEW_HOURS_MAX) {
        plot->places = CQ_VIEW_HOURS_MAX;
    }
    plot->first = last - plot->places + 1;
    for (i = 0; i < plot->count; i++) {
        int64_t value = pick_lower(plot, &plot->slots[i])
            + pick_upper(plot, &plot->slots[i]);

        if (value > peak) {
            peak = value;
        }
    }
    scale(plot, peak);
}

static int find_x(const struct plot *plot, int64_t place)
{
    return LEFT + (int)((place - plot->first) * PLOT_WIDTH / plot->places);
}

/* what is not nothing is never invisible */
static int scale_height(const struct plot *plot, int64_t value)
{
    int height = (int)((double)value / (double)plot->top * PLOT_HEIGHT + 0.5);

    return value > 0 && height < 2 ? 2 : height;
}

static void rect(struct cq_writer *w, const char *class_name, int x, int y,
                 int width, int height)
{
    char text[120];

    snprintf(text, sizeof(text), "<rect class=\"%s\" x=\"%d\" y=\"%d\" "
             "width=\"%d\" height=\"%d\"/>", class_name, x, y, width, height);
    cq_write_raw(w, text);
}

static void text_at(struct cq_writer *w, const char *class_name, int x, int y)
{
    char text[80];

    snprintf(text, sizeof(text), "<text class=\"%s\" x=\"%d\" y=\"%d\">",
             class_name, x, y);
    cq_write_raw(w, text);
}

static void figure(struct cq_writer *w, const struct plot *plot, int64_t value)
{
    char text[CQ_SIZE_TEXT_SIZE];

    if (plot->in_bytes) {
        cq_write_raw(w, cq_size_format_human(value, text, sizeof(text)));
    }
    else {
        cq_words_count(w, value);
    }
}

static void value_axis(struct cq_writer *w, const struct plot *plot)
{
    int64_t value;
    char text[80];

    for (value = 0; value <= plot->top; value += plot->step) {
        int y = TOP + PLOT_HEIGHT
            - (int)((double)value / (double)plot->top * PLOT_HEIGHT);

        snprintf(text, sizeof(text), "<path class=\"grid\" d=\"M%d %dH%d\"/>",
                 LEFT, y, WIDTH - RIGHT);
        cq_write_raw(w, text);
        text_at(w, "y", LEFT - 5, y + 4);
        figure(w, plot, value);
        cq_write_raw(w, "</text>\n");
    }
}

/* Is there room for a label at this place, and does it say something? */
static bool has_label(const struct cq_writer *w, const struct plot *plot,
                      int64_t place)
{
    int64_t hour;

    if (plot->in_days) {
        return plot->places <= 62 ? place % 7 == 0 : false;
    }
    hour = place + cq_words_offset_s(w, place * HOUR_S) / HOUR_S;
    return plot->places <= 72 ? hour % 12 == 0
                              : hour % (24 * (1 + plot->places / 200)) == 0;
}

static void time_axis(struct cq_writer *w, const struct plot *plot)
{
    int last_x = -WIDTH;
    int64_t place;
    size_t i;

    for (place = plot->first; place < plot->first + plot->places; place++) {
        int64_t when_s = plot->in_days ? place * DAY_S : place * HOUR_S;
        int x = find_x(plot, place);
        int64_t hour = place
            + cq_words_offset_s(w, place * HOUR_S) / HOUR_S;

        if (!has_label(w, plot, place) || x - last_x < 44
            || x > WIDTH - RIGHT - 30) {
            continue;
        }
        last_x = x;
        text_at(w, "x", x, HEIGHT - 8);
        cq_words_time(w, when_s, plot->in_days || hour % 24 == 0
                      ? CQ_TIME_DAY : CQ_TIME_CLOCK);
        cq_write_raw(w, "</text>\n");
    }
    /* months, where days are too narrow */
    for (i = 0; plot->in_days && plot->places > 62 && i < plot->count; i++) {
        int64_t noon_s = plot->slots[i].start_s + DAY_S / 2;
        time_t noon = (time_t)(noon_s + cq_words_offset_s(w, noon_s));
        struct tm parts;
        int x = find_x(plot, find_place(plot, &plot->slots[i]));

        if (gmtime_r(&noon, &parts) && parts.tm_mday == 1
            && x - last_x >= 28) {     /* February's width */
            last_x = x;
            text_at(w, "x", x, HEIGHT - 8);
            cq_words_time(w, noon_s, CQ_TIME_MONTH);
            cq_write_raw(w, "</text>\n");
        }
    }
}

static void bar(struct cq_writer *w, const struct plot *plot,
                const struct cq_view_hour *slot)
{
    int64_t place = find_place(plot, slot);
    int x = find_x(plot, place);
    int width = find_x(plot, place + 1) - x;
    int low = scale_height(plot, pick_lower(plot, slot));
    int high = scale_height(plot, pick_upper(plot, slot));
    int gap = width > 4 ? 1 : 0;

    if (place < plot->first || (low == 0 && high == 0)) {
        return;
    }
    width = width < 1 ? 1 : width;
    cq_write_raw(w, "<g><title>");
    cq_words_time(w, slot->start_s + (plot->in_days ? DAY_S / 2 : 0),
                  plot->in_days ? CQ_TIME_DATE : CQ_TIME_MINUTE);
    cq_write_raw(w, ": ");
    figure(w, plot, pick_lower(plot, slot));
    cq_write_raw(w, " ");
    cq_write_raw(w, plot->low_word);
    cq_write_raw(w, ", ");
    figure(w, plot, pick_upper(plot, slot));
    cq_write_raw(w, " ");
    cq_write_raw(w, plot->high_word);
    cq_write_raw(w, "</title>");
    if (low > 0) {
        rect(w, "low", x, TOP + PLOT_HEIGHT - low, width - gap, low);
    }
    if (high > 0) {
        rect(w, plot->in_bytes ? "free" : "bad", x,
             TOP + PLOT_HEIGHT - low - high, width - gap, high);
    }
    cq_write_raw(w, "</g>\n");
}

static void begin_figure(struct cq_writer *w, const char *title)
{
    cq_write_raw(w, "<figure><figcaption><b>");
    cq_write_raw(w, title);
    cq_write_raw(w, "</b>");
}

static void begin_svg(struct cq_writer *w, const char *title)
{
    char text[64];

    cq_write_raw(w, "</figcaption>\n<svg role=\"img\" aria-label=\"");
    cq_write_raw(w, title);
    snprintf(text, sizeof(text), "\" viewBox=\"0 0 %d %d\">\n", WIDTH, HEIGHT);
    cq_write_raw(w, text);
}

static void legend(struct cq_writer *w, const char *class_name,
                   const char *word)
{
    cq_write_raw(w, "<span class=\"key ");
    cq_write_raw(w, class_name);
    cq_write_raw(w, "\">");
    cq_write_raw(w, word);
    cq_write_raw(w, "</span>");
}

static void draw(struct cq_writer *w, struct plot *plot)
{
    size_t i;

    if (plot->count == 0) {
        return;
    }
    frame(plot);
    begin_figure(w, plot->title);
    cq_write_raw(w, "<span>");
    legend(w, "k-low", plot->low_word);
    cq_write_raw(w, " ");
    legend(w, plot->in_bytes ? "k-free" : "k-bad", plot->high_word);
    cq_write_raw(w, "</span>");
    begin_svg(w, plot->title);
    value_axis(w, plot);
    for (i = 0; i < plot->count; i++) {
        bar(w, plot, &plot->slots[i]);
    }
    time_axis(w, plot);
    cq_write_raw(w, "</svg></figure>\n");
}

/* Clients by the tenth of their allowance that they have used. */
static void draw_shares(struct cq_writer *w, const struct cq_view *view)
{
    struct plot plot = { .in_bytes = false, .places = CQ_VIEW_SHARES };
    int64_t peak = 0;
    int i;

    for (i = 0; i < CQ_VIEW_SHARES; i++) {
        peak = view->shares[i] > peak ? view->shares[i] : peak;
    }
    scale(&plot, peak);
    begin_figure(w, "Clients by share of their allowance");
    begin_svg(w, "Clients by share of their allowance");
    value_axis(w, &plot);
    for (i = 0; i < CQ_VIEW_SHARES; i++) {
        bool reached = i == CQ_VIEW_SHARES - 1;
        int x = find_x(&plot, i);
        int width = find_x(&plot, i + 1) - x;
        int height = scale_height(&plot, view->shares[i]);
        char text[64];

        cq_write_raw(w, "<g><title>");
        snprintf(text, sizeof(text), reached ? "over quota: "
                 : "%d to %d %%: ", 10 * i, 10 * i + 10);
        cq_write_raw(w, text);
        cq_words_count(w, view->shares[i]);
        cq_write_raw(w, " clients</title>");
        rect(w, reached ? "bad" : i >= 8 ? "near" : "low", x + 1,
             TOP + PLOT_HEIGHT - height, width - 2, height);
        cq_write_raw(w, "</g>\n");
        if (i % 2 == 0) {
            text_at(w, "x", x, HEIGHT - 8);
            snprintf(text, sizeof(text), reached ? "over" : "%d %%", 10 * i);
            cq_write_raw(w, text);
            cq_write_raw(w, "</text>\n");
        }
    }
    cq_write_raw(w, "</svg></figure>\n");
}

/* no request in any hour or day: an idle mirror, not a young one */
static bool is_idle(const struct cq_view_hour *slots, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (slots[i].sent_bytes + slots[i].free_bytes > 0
            || slots[i].hits + slots[i].refused > 0) {
            return false;
        }
    }
    return true;
}

static void plots(struct cq_writer *w, const struct cq_view *view)
{
    struct plot all[] = {
        { .slots = view->history, .count = view->history_count,
          .in_bytes = true, .title = "Bytes by hour", .low_word = "sent",
          .high_word = "free" },
        { .slots = view->history, .count = view->history_count,
          .title = "Requests by hour", .low_word = "served",
          .high_word = "refused" },
        { .slots = view->days, .count = view->day_count, .in_bytes = true,
          .in_days = true, .title = "Bytes by day", .low_word = "sent",
          .high_word = "free" },
        { .slots = view->days, .count = view->day_count, .in_days = true,
          .title = "Requests by day", .low_word = "served",
          .high_word = "refused" },
    };
    size_t i;

    cq_write_raw(w, "<div class=\"plots\">\n");
    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        draw(w, &all[i]);
    }
    if (view->clients_matched > 1) {
        draw_shares(w, view);
    }
    cq_write_raw(w, "</div>\n");
}

static void range_link(struct cq_writer *w, const struct cq_view *view,
                       int hours, int days, const char *text)
{
    struct cq_link link = cq_link_find(view);

    link.query.hours = hours;
    link.query.days = days;
    cq_write_raw(w, view->query.hours == hours && view->query.days == days
                        ? " <a aria-current=\"true\" href=\"" : " <a href=\"");
    cq_link_write(w, &link);
    cq_write_raw(w, "#history\">");
    cq_write_raw(w, text);
    cq_write_raw(w, "</a>");
}

void cq_html_history(struct cq_writer *w, const struct cq_view *view)
{
    cq_write_raw(w, "<section class=\"card\" id=\"history\"><h2>History "
                    "<small>of this node, all clients</small></h2>\n");
    if (view->history_count == 0) {
        cq_write_raw(w, "<p class=\"empty\">No hour has been recorded yet. "
                        "Plots of bytes and requests appear here as the "
                        "mirror is used.</p>\n");
    }
    else if (is_idle(view->history, view->history_count)
             && is_idle(view->days, view->day_count)) {
        cq_write_raw(w, "<p class=\"empty\">No bytes were counted and no "
                        "request was refused since ");
        cq_words_moment(w, view->history[0].start_s);
        cq_write_raw(w, ".</p>\n");
    }
    else {
        cq_write_raw(w, "<nav class=\"links\" aria-label=\"Range\">");
        range_link(w, view, 0, 0, "2 days, 13 months");
        range_link(w, view, 168, 31, "7 days, a month");
        range_link(w, view, 768, 93, "32 days, 3 months");
        cq_write_raw(w, "</nav>\n");
        plots(w, view);
    }
    cq_write_raw(w, "</section>\n");
}
