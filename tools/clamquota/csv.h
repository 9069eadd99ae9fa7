/* csv - comma-separated values (RFC 4180), for spreadsheets and programs.
 *
 * No cell is taken for a formula: one of text that begins as a formula does
 * gets an apostrophe, which spreadsheets know as "this is text". */
#ifndef CQ_CLAMQUOTA_CSV_H
#define CQ_CLAMQUOTA_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Begin with { file }. */
struct cq_csv {
    FILE *file;
    bool has_cell;              /* in the present line */
};

/** Writes a cell of text, in quotes where it needs them. NULL is empty; control
 * characters become "?". */
void cq_csv_text(struct cq_csv *csv, const char *text);

/** Writes the exact number. */
void cq_csv_number(struct cq_csv *csv, int64_t number);

/** Ends the line. */
void cq_csv_end(struct cq_csv *csv);

/** Writes a header line of these names, of which none needs quotes. */
void cq_csv_header(struct cq_csv *csv, const char *const *names, size_t n);

#endif
