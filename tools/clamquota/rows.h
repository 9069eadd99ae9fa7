/* rows - a table that grows: rows of one size, found by a key of three words.
 * For clients, files and pairs of these in clamquota replay. */
#ifndef CQ_CLAMQUOTA_ROWS_H
#define CQ_CLAMQUOTA_ROWS_H

#include "core/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CQ_ROWS_KEY_WORDS 3

/* Each row begins with its key. Rows move when the table grows, their indexes
 * do not. */
struct cq_rows {
    size_t row_size;
    char *rows;
    uint32_t *slots;            /* index + 1 of a row; 0: empty */
    uint32_t row_n;
    uint32_t capacity;
    uint32_t slot_n;            /* a power of two */
    struct cq_seed seed;
};

/** Begins an empty table.
 * @param row_size  bytes, the key's 24 included, a multiple of 8
 * @return false: out of memory */
bool cq_rows_open(struct cq_rows *rows, size_t row_size);

/** Finds the row of a key, or makes one that is zero behind its key.
 * @param index  result
 * @return NULL: out of memory, or 2^32 - 1 rows */
void *cq_rows_find(struct cq_rows *rows,
                   const uint64_t key[CQ_ROWS_KEY_WORDS], uint32_t *index);

static inline void *cq_rows_at(const struct cq_rows *rows, uint32_t index)
{
    return rows->rows + (size_t)index * rows->row_size;
}

void cq_rows_close(struct cq_rows *rows);

#endif
