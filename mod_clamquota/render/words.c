/* words - numbers and times for the eye. Asks no clock and no locale. */
#include "render/words.h"

#include "core/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_S 86400
#define HOUR_S 3600
#define MINUTE_S 60

void cq_words_count(struct cq_writer *writer, int64_t number)
{
    char digits[24];
    const char *at = digits;
    size_t left;

    snprintf(digits, sizeof(digits), "%" PRId64, number);
    if (*at == '-') {
        cq_write_raw(writer, "-");
        at++;
    }
    for (left = strlen(at); left > 0; left--) {
        cq_write_data(writer, at++, 1);
        if (left > 1 && (left - 1) % 3 == 0) {
            cq_write_raw(writer, ",");
        }
    }
}

void cq_words_bytes(struct cq_writer *writer, int64_t bytes)
{
    char text[CQ_SIZE_TEXT_SIZE];

    cq_write_raw(writer, "<data value=\"");
    cq_write_int(writer, bytes);
    cq_write_raw(writer, "\" title=\"");
    cq_words_count(writer, bytes);
    cq_write_raw(writer, " bytes\">");
    cq_write_raw(writer, cq_size_format_human(bytes, text, sizeof(text)));
    cq_write_raw(writer, "</data>");
}

static void unit(struct cq_writer *writer, int64_t number, const char *name)
{
    cq_write_int(writer, number);
    cq_write_raw(writer, name);
}

/* the two largest units, the smaller only if it is not 0 */
void cq_words_duration(struct cq_writer *writer, int64_t seconds)
{
    int64_t large_s = DAY_S;
    int64_t small_s = HOUR_S;
    const char *large = " d";
    const char *small = " h";

    if (seconds < MINUTE_S) {
        unit(writer, seconds < 0 ? 0 : seconds, " s");
        return;
    }
    if (seconds < HOUR_S) {
        unit(writer, seconds / MINUTE_S, " min");
        return;
    }
    if (seconds < DAY_S) {
        large_s = HOUR_S;
        small_s = MINUTE_S;
        large = " h";
        small = " min";
    }
    unit(writer, seconds / large_s, large);
    if (seconds % large_s >= small_s) {
        cq_write_raw(writer, " ");
        unit(writer, seconds % large_s / small_s, small);
    }
}

int64_t cq_words_offset_s(const struct cq_writer *writer, int64_t when_s)
{
    return writer->period ? cq_period_offset_s(writer->period, when_s) : 0;
}

/* The compiler checks each form of strftime() as a literal. */
static size_t format_time(char *text, size_t size, enum cq_time_form form,
                          const struct tm *parts)
{
    switch (form) {
    case CQ_TIME_MINUTE:
        return strftime(text, size, "%Y-%m-%d %H:%M", parts);
    case CQ_TIME_SECOND:
        return strftime(text, size, "%Y-%m-%dT%H:%M:%S", parts);
    case CQ_TIME_DATE:
        return strftime(text, size, "%Y-%m-%d", parts);
    case CQ_TIME_DAY_MINUTE:
        return strftime(text, size, "%d %b %H:%M", parts);
    case CQ_TIME_DAY:
        return strftime(text, size, "%d %b", parts);
    case CQ_TIME_MONTH:
        return strftime(text, size, "%b", parts);
    case CQ_TIME_CLOCK:
        return strftime(text, size, "%H:%M", parts);
    }
    return 0;
}

void cq_words_time(struct cq_writer *writer, int64_t when_s,
                   enum cq_time_form form)
{
    time_t when = (time_t)(when_s + cq_words_offset_s(writer, when_s));
    struct tm parts;
    char text[64];
    size_t length = 0;

    if (gmtime_r(&when, &parts)) {
        length = format_time(text, sizeof(text), form, &parts);
    }
    if (length == 0) {
        /* a year that no struct tm holds: a number is better than none */
        cq_write_int(writer, when_s);
        return;
    }
    cq_write_data(writer, text, length);
}

void cq_words_zone(struct cq_writer *writer, int64_t when_s)
{
    int64_t offset_s = cq_words_offset_s(writer, when_s);
    int64_t minutes = (offset_s < 0 ? -offset_s : offset_s) / MINUTE_S;
    char text[16];

    if (offset_s == 0) {
        cq_write_raw(writer, "UTC");
        return;
    }
    snprintf(text, sizeof(text), "%c%02d:%02d", offset_s < 0 ? '-' : '+',
             (int)(minutes / 60 % 24), (int)(minutes % 60));
    cq_write_raw(writer, text);
}

void cq_words_local(struct cq_writer *writer, int64_t when_s)
{
    cq_words_time(writer, when_s, CQ_TIME_MINUTE);
    cq_write_raw(writer, " ");
    cq_words_zone(writer, when_s);
}

void cq_words_iso(struct cq_writer *writer, int64_t when_s)
{
    const struct cq_period *period = writer->period;

    writer->period = NULL;
    cq_words_time(writer, when_s, CQ_TIME_SECOND);
    cq_write_raw(writer, "Z");
    writer->period = period;
}

void cq_words_moment(struct cq_writer *writer, int64_t when_s)
{
    cq_write_raw(writer, "<time datetime=\"");
    cq_words_iso(writer, when_s);
    cq_write_raw(writer, "\">");
    cq_words_local(writer, when_s);
    cq_write_raw(writer, "</time>");
}

void cq_words_relative(struct cq_writer *writer, int64_t when_s,
                       int64_t now_s)
{
    cq_write_raw(writer, "<time datetime=\"");
    cq_words_iso(writer, when_s);
    cq_write_raw(writer, "\" title=\"");
    cq_words_iso(writer, when_s);
    cq_write_raw(writer, "\">");
    if (when_s == now_s) {
        cq_write_raw(writer, "now");
    }
    else if (when_s > now_s) {
        cq_write_raw(writer, "in ");
        cq_words_duration(writer, when_s - now_s);
    }
    else {
        cq_words_duration(writer, now_s - when_s);
        cq_write_raw(writer, " ago");
    }
    cq_write_raw(writer, "</time>");
}

void cq_words_percent(struct cq_writer *writer, int64_t part, int64_t whole)
{
    double percent = whole > 0 ? 100.0 * (double)part / (double)whole : 0;
    /* a damaged table's may be larger than any number */
    int64_t tenths = percent < 1e9 ? (int64_t)(percent * 10)
                                   : INT64_C(10000000000);

    cq_write_int(writer, tenths / 10);
    if (tenths % 10 > 0) {
        cq_write_raw(writer, ".");
        cq_write_int(writer, tenths % 10);
    }
    cq_write_raw(writer, " %");
}
