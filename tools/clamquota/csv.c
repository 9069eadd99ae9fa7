/* csv - comma-separated values. */
#include "clamquota/csv.h"

#include <inttypes.h>
#include <string.h>

static void begin_cell(struct cq_csv *csv)
{
    if (csv->has_cell) {
        fputc(',', csv->file);
    }
    csv->has_cell = true;
}

/* What spreadsheets look for, also behind blanks. */
static bool is_formula(const char *text)
{
    text += strspn(text, " ");
    return *text != '\0' && strchr("=+-@\t\r\n", *text) != NULL;
}

void cq_csv_text(struct cq_csv *csv, const char *text)
{
    const char *at;
    bool quotes;

    begin_cell(csv);
    if (text == NULL) {
        return;
    }
    quotes = strpbrk(text, "\",") != NULL || *text == ' ';
    if (quotes) {
        fputc('"', csv->file);
    }
    if (is_formula(text)) {
        fputc('\'', csv->file);
    }
    for (at = text; *at != '\0'; at++) {
        if (*at == '"') {
            fputc('"', csv->file);
        }
        fputc((unsigned char)*at < ' ' || *at == 0x7f ? '?' : *at,
              csv->file);
    }
    if (quotes) {
        fputc('"', csv->file);
    }
}

void cq_csv_number(struct cq_csv *csv, int64_t number)
{
    begin_cell(csv);
    fprintf(csv->file, "%" PRId64, number);
}

void cq_csv_end(struct cq_csv *csv)
{
    fputs("\r\n", csv->file);
    csv->has_cell = false;
}

void cq_csv_header(struct cq_csv *csv, const char *const *names, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        cq_csv_text(csv, names[i]);
    }
    cq_csv_end(csv);
}
