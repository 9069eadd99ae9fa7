/* write - the thin layer between renderers and a sink.
 *
 * Owns every escape that output of ours needs, so that no renderer has one of
 * its own. Buffers a few KiB in the writer itself, allocates nothing, can't
 * fail. Text may be NULL (then nothing is written) or hold any bytes. */
#ifndef CQ_WRITE_H
#define CQ_WRITE_H

#include "render/view.h"

#define CQ_WRITE_BUFFER_SIZE 4096

/* lives on the renderer's stack; begin, write, end */
struct cq_writer {
    const struct cq_sink *sink;
    const struct cq_period *period;     /* whose zone times are shown in; NULL,
                                         * as at first: UTC */
    size_t used;
    char buffer[CQ_WRITE_BUFFER_SIZE];
};

/** Starts writing to a sink that stays valid until cq_write_end(). */
void cq_write_begin(struct cq_writer *writer, const struct cq_sink *sink);

/** Hands over what is still buffered. */
void cq_write_end(struct cq_writer *writer);

/** Writes bytes as they are. */
void cq_write_data(struct cq_writer *writer, const char *data, size_t size);

/** Writes our own text as it is: never anything that came from outside. */
void cq_write_raw(struct cq_writer *writer, const char *text);

/** Writes the exact number, without grouping. */
void cq_write_int(struct cq_writer *writer, int64_t number);

/** Writes text for HTML element content and for quoted attribute values.
 * Invalid UTF-8, control characters and those that change the direction of
 * writing become U+FFFD. */
void cq_write_html(struct cq_writer *writer, const char *text);

/** Writes a JSON string with its quotes (RFC 8259). Invalid UTF-8 becomes
 * U+FFFD; <, > and & are written as \u00XX so that a browser that guesses the
 * type finds no markup. */
void cq_write_json(struct cq_writer *writer, const char *text);

/** Writes an OpenMetrics label value with its quotes. Invalid UTF-8 and
 * control characters other than line feed become U+FFFD. */
void cq_write_label(struct cq_writer *writer, const char *text);

/** Writes text for a line of plain text whose reader may assume any ASCII
 * superset: what is not printable ASCII becomes '?'. */
void cq_write_line(struct cq_writer *writer, const char *text);

/** Percent-encodes a value for the query of a URL; the result is safe in
 * HTML too. */
void cq_write_query_value(struct cq_writer *writer, const char *text);

/** Percent-encodes a decoded path for a URL; the result is safe in HTML
 * too. */
void cq_write_path(struct cq_writer *writer, const char *text);

#endif
