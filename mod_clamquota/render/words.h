/* words - numbers and times as people read them, in HTML.
 *
 * Everything here is for the eye; exact figures stand beside it in title and
 * datetime attributes. Times are in the quota's own zone, with their offset:
 * the page is read by people far from the server, and midnights are the
 * quota's. */
#ifndef CQ_WORDS_H
#define CQ_WORDS_H

#include "render/write.h"

/** "1,234,567" */
void cq_words_count(struct cq_writer *writer, int64_t number);

/** <data> element: "1.5 GiB", the exact number of bytes as value and title. */
void cq_words_bytes(struct cq_writer *writer, int64_t bytes);

/** "12 s", "3 h 12 min", "2 d 4 h"; negative as 0. No markup. */
void cq_words_duration(struct cq_writer *writer, int64_t seconds);

/** How far the zone of the times that are shown is east of UTC, then. */
int64_t cq_words_offset_s(const struct cq_writer *writer, int64_t when_s);

enum cq_time_form {
    CQ_TIME_MINUTE,             /* 2026-11-23 18:21 */
    CQ_TIME_SECOND,             /* 2026-11-23T18:21:05 */
    CQ_TIME_DATE,               /* 2026-11-23 */
    CQ_TIME_DAY_MINUTE,         /* 23 Nov 18:21 */
    CQ_TIME_DAY,                /* 23 Nov */
    CQ_TIME_MONTH,              /* Nov */
    CQ_TIME_CLOCK               /* 18:21 */
};

/** A moment in the quota's zone. Names of months are those of the locale. */
void cq_words_time(struct cq_writer *writer, int64_t when_s,
                   enum cq_time_form form);

/** "UTC", "+01:00" */
void cq_words_zone(struct cq_writer *writer, int64_t when_s);

/** "2026-11-23 18:21 +01:00" as text, or in UTC with seconds and T and Z as the
 * datetime attribute wants it. No markup. */
void cq_words_local(struct cq_writer *writer, int64_t when_s);
void cq_words_iso(struct cq_writer *writer, int64_t when_s);

/** <time> element that shows the moment. */
void cq_words_moment(struct cq_writer *writer, int64_t when_s);

/** <time> element that shows "5 min ago", "in 3 h" or "now"; the moment is its
 * title. */
void cq_words_relative(struct cq_writer *writer, int64_t when_s,
                       int64_t now_s);

/** "12.3 %" of whole, without markup; "0 %" when there is no whole. */
void cq_words_percent(struct cq_writer *writer, int64_t part, int64_t whole);

#endif
