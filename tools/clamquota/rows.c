/* rows - open addressing with steps of one; at most three quarters full. */
#include "clamquota/rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_SLOTS 4096

static uint32_t first_slot(const struct cq_rows *rows, const uint64_t *key)
{
    return (uint32_t)cq_hash_words(&rows->seed, key, CQ_ROWS_KEY_WORDS)
        & (rows->slot_n - 1);
}

/* Twice the slots; the old ones go before the new ones come. */
static bool grow_slots(struct cq_rows *rows)
{
    uint32_t slot_n = rows->slot_n != 0 ? 2 * rows->slot_n : FIRST_SLOTS, i;

    if (slot_n == 0) {
        return false;
    }
    free(rows->slots);
    rows->slots = calloc(slot_n, sizeof(*rows->slots));
    if (rows->slots == NULL) {
        return false;
    }
    rows->slot_n = slot_n;
    for (i = 0; i < rows->row_n; i++) {
        uint32_t at = first_slot(rows, cq_rows_at(rows, i));

        while (rows->slots[at] != 0) {
            at = (at + 1) & (slot_n - 1);
        }
        rows->slots[at] = i + 1;
    }
    return true;
}

static void *append(struct cq_rows *rows, const uint64_t *key)
{
    char *row;

    if (rows->row_n == rows->capacity) {
        /* a half more: realloc() moves pages, it copies nothing */
        uint64_t capacity = rows->capacity + rows->capacity / 2 + FIRST_SLOTS;

        if (capacity > UINT32_MAX - 1) {
            return NULL;
        }
        row = realloc(rows->rows, capacity * rows->row_size);
        if (row == NULL) {
            return NULL;
        }
        rows->rows = row;
        rows->capacity = (uint32_t)capacity;
    }
    row = cq_rows_at(rows, rows->row_n++);
    memset(row, 0, rows->row_size);
    memcpy(row, key, CQ_ROWS_KEY_WORDS * sizeof(*key));
    return row;
}

bool cq_rows_open(struct cq_rows *rows, size_t row_size)
{
    memset(rows, 0, sizeof(*rows));
    rows->row_size = row_size;
    /* without entropy the table is one that can be slowed down, no more */
    (void)!getrandom(&rows->seed, sizeof(rows->seed), GRND_NONBLOCK);
    return grow_slots(rows);
}

void *cq_rows_find(struct cq_rows *rows,
                   const uint64_t key[CQ_ROWS_KEY_WORDS], uint32_t *index)
{
    uint32_t at;
    void *row;

    if (rows->slots == NULL) {
        return NULL;
    }
    at = first_slot(rows, key);
    while (rows->slots[at] != 0) {
        *index = rows->slots[at] - 1;
        row = cq_rows_at(rows, *index);
        if (memcmp(row, key, CQ_ROWS_KEY_WORDS * sizeof(*key)) == 0) {
            return row;
        }
        at = (at + 1) & (rows->slot_n - 1);
    }
    *index = rows->row_n;
    row = append(rows, key);
    if (row == NULL) {
        return NULL;
    }
    rows->slots[at] = *index + 1;
    if (rows->row_n > rows->slot_n / 4 * 3 && !grow_slots(rows)) {
        return NULL;
    }
    return row;
}

void cq_rows_close(struct cq_rows *rows)
{
    free(rows->rows);
    free(rows->slots);
}
