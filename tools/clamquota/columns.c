/* columns - a table of text for people. */
#include "clamquota/columns.h"

#include "core/units.h"
#include "render/words.h"

#include <stdlib.h>
#include <string.h>

static void append(void *baton, const char *data, size_t size)
{
    struct cq_columns *c = baton;

    if (size > c->capacity - c->size) {
        size_t capacity = 2 * (c->capacity + size);
        char *text = c->is_out_of_memory ? NULL : realloc(c->text, capacity);

        if (text == NULL) {
            c->is_out_of_memory = true;
            return;
        }
        c->text = text;
        c->capacity = capacity;
    }
    memcpy(c->text + c->size, data, size);
    c->size += size;
}

static void end_cell(struct cq_columns *c)
{
    if (c->cell_n > 0) {
        cq_write_end(&c->writer);
        append(c, "", 1);
    }
}

struct cq_writer *cq_columns_cell(struct cq_columns *c, enum cq_style style)
{
    const char first = (char)style;

    end_cell(c);
    c->cell_n++;
    append(c, &first, 1);
    cq_write_begin(&c->writer, &c->sink);
    return &c->writer;
}

void cq_columns_begin(struct cq_columns *c, const struct cq_column *titles,
                      size_t n)
{
    size_t i;

    memset(c, 0, sizeof(*c));
    c->columns = titles;
    c->column_n = n;
    c->sink.write = append;
    c->sink.baton = c;
    for (i = 0; i < n; i++) {
        cq_columns_text(c, CQ_STYLE_BOLD, titles[i].title);
    }
}

void cq_columns_text(struct cq_columns *c, enum cq_style style,
                     const char *text)
{
    cq_write_line(cq_columns_cell(c, style), text);
}

void cq_columns_count(struct cq_columns *c, int64_t number)
{
    cq_words_count(cq_columns_cell(c, CQ_STYLE_PLAIN), number);
}

void cq_columns_bytes(struct cq_columns *c, int64_t bytes)
{
    char text[CQ_SIZE_TEXT_SIZE];

    cq_columns_text(c, CQ_STYLE_PLAIN,
                    cq_size_format_human(bytes, text, sizeof(text)));
}

static void print_cell(const struct cq_columns *c,
                       const struct cq_output *output, size_t column,
                       const char *cell, int width)
{
    const char *text = cell + 1;
    int pad = width - (int)strlen(text);
    bool is_number = c->columns[column].is_number;
    const char *style = cq_output_style(output, (enum cq_style)*cell);
    const char *end = cq_output_style(output, CQ_STYLE_PLAIN);

    if (*cell == CQ_STYLE_PLAIN) {
        style = end = "";
    }
    /* nothing is padded at the end of a line */
    if (column + 1 == c->column_n && !is_number) {
        pad = 0;
    }
    fprintf(output->file, "%*s%s%s%s%*s%s", is_number ? pad : 0, "", style,
            text, end, is_number ? 0 : pad, "",
            column + 1 == c->column_n ? "\n" : "  ");
}

bool cq_columns_end(struct cq_columns *c, const struct cq_output *output)
{
    int widths[CQ_COLUMNS_MAX] = { 0 };
    const char *at;
    size_t i;

    end_cell(c);
    for (i = 0, at = c->text; !c->is_out_of_memory && i < c->cell_n; i++) {
        int width = (int)strlen(at + 1);
        int *most = &widths[i % c->column_n];

        *most = width > *most ? width : *most;
        at += width + 2;
    }
    for (i = 0, at = c->text; !c->is_out_of_memory && i < c->cell_n; i++) {
        print_cell(c, output, i % c->column_n, at, widths[i % c->column_n]);
        at += strlen(at + 1) + 2;
    }
    free(c->text);
    return !c->is_out_of_memory;
}
