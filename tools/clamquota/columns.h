/* columns - a table of text for people: cells of rows, padded to columns when
 * all of them are known. */
#ifndef CQ_CLAMQUOTA_COLUMNS_H
#define CQ_CLAMQUOTA_COLUMNS_H

#include "cli/output.h"

#define CQ_COLUMNS_MAX 16

struct cq_column {
    const char *title;
    bool is_number;             /* stands at the right */
};

/* begun by cq_columns_begin() */
struct cq_columns {
    const struct cq_column *columns;
    size_t column_n;
    struct cq_writer writer;    /* of the present cell */
    struct cq_sink sink;
    char *text;                 /* of each cell a style, its text and a NUL */
    size_t size;
    size_t capacity;
    size_t cell_n;
    bool is_out_of_memory;
};

/** Begins with a line of titles.
 * @param n  at most CQ_COLUMNS_MAX */
void cq_columns_begin(struct cq_columns *columns,
                      const struct cq_column *titles, size_t n);

/** Begins the next cell, in the order of the columns, row by row.
 * @return writes its text, until the next cell is begun */
struct cq_writer *cq_columns_cell(struct cq_columns *columns,
                                  enum cq_style style);

/** A cell of text; what is not printable ASCII becomes "?". */
void cq_columns_text(struct cq_columns *columns, enum cq_style style,
                     const char *text);

/** "1,234" and "1.5 GiB". */
void cq_columns_count(struct cq_columns *columns, int64_t number);
void cq_columns_bytes(struct cq_columns *columns, int64_t bytes);

/** Prints it, if there was memory, and frees it. Blanks are left out at the
 * ends of lines.
 * @return false: there was not */
bool cq_columns_end(struct cq_columns *columns,
                    const struct cq_output *output);

#endif
