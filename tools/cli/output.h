/* output - standard output of a tool: bold words on a terminal, the bare text
 * in a pipe, and render/write.h for exact formats. */
#ifndef CQ_CLI_OUTPUT_H
#define CQ_CLI_OUTPUT_H

#include "render/write.h"

#include <stdio.h>

struct cq_output {
    FILE *file;
    bool has_style;             /* a terminal, and NO_COLOR is not set */
    struct cq_sink sink;        /* for cq_write_begin() */
};

/** Opens /dev/null in the place of each standard stream that is closed, so that
 * it still can be neither read nor written: a table that was opened there would
 * be read as a log, and get the sentences.
 * @return false: that failed, after a sentence */
bool cq_output_fill_streams(const char *program);

/** Makes an output of an open file. The output must not be moved. */
void cq_output_begin(struct cq_output *output, FILE *file);

/** Writes out what is buffered.
 * @return false: something could not be written, e.g. the pipe was closed or
 *         the disk is full */
bool cq_output_end(struct cq_output *output);

enum cq_style { CQ_STYLE_PLAIN = 0, CQ_STYLE_BOLD, CQ_STYLE_GOOD,
                CQ_STYLE_NEAR, CQ_STYLE_BAD };

/** The escape sequence that begins a style, or with CQ_STYLE_PLAIN ends it; ""
 * where there is none. Static. */
const char *cq_output_style(const struct cq_output *output,
                            enum cq_style style);

/** Prints a heading: bold on a terminal. */
void cq_output_heading(struct cq_output *output, const char *text);

/** Prints the label of a line: two blanks, and padded to a column. */
void cq_output_label(struct cq_output *output, const char *label);

#endif
