/* copies - asks for each version that was downloaded today, not each pair. */
#include "render/copies.h"

#include <string.h>

/* 0.1 s or so */
#define LOOKUPS_MAX 1000000

enum cq_status cq_copies_source_begin(struct cq_copies_source *source,
                                      const struct cq_table *table,
                                      const struct cq_clock *clock,
                                      const char *document_root,
                                      const struct cq_arena *arena)
{
    memset(source, 0, sizeof(*source));
    source->table = table;
    source->clock = clock;
    source->document_root = document_root ? document_root : "";
    source->lookups_left = LOOKUPS_MAX;
    if (!cq_table_has_copies(table)) {
        return CQ_OK;
    }
    source->names = arena->alloc(
        arena->baton, CQ_COPIES_NAMES_MAX * sizeof(*source->names));
    if (!source->names) {
        return CQ_ENOMEM;
    }
    source->names_n = cq_copies_names(table, clock, source->names);
    return CQ_OK;
}

static bool is_used_up(const struct cq_copies_row *pair)
{
    return pair->today_bytes / pair->copies_n >= pair->size_bytes;
}

static bool is_repeated(const struct cq_copies_row *pair)
{
    return pair->today_bytes > pair->size_bytes || is_used_up(pair);
}

static const char *below(const char *root, const char *path)
{
    size_t length = strlen(root);

    while (length > 0 && root[length - 1] == '/') {
        length--;
    }
    return strncmp(path, root, length) == 0 && path[length] == '/'
        ? path + length : path;
}

static void describe(const struct cq_copies_source *source,
                     const struct cq_copies_row *pair,
                     struct cq_view_copy *copy)
{
    const char *path = below(source->document_root, pair->path);

    memset(copy, 0, sizeof(*copy));
    memcpy(copy->path, path, strlen(path));
    copy->size_bytes = pair->size_bytes;
    copy->mtime_s = pair->mtime_us / 1000000;
    copy->used_bytes = pair->today_bytes;
    copy->allowance_bytes = pair->size_bytes * pair->copies_n;
}

static bool find(struct cq_copies_source *source, const struct cq_row *row,
                 bool (*is_shown)(const struct cq_copies_row *pair),
                 struct cq_view_copy *found, size_t *n)
{
    uint64_t client = cq_table_identity(source->table, row->pool, &row->key);
    struct cq_copies_row pair;
    size_t i;

    *n = 0;
    for (i = 0; i < source->names_n && *n < CQ_COPIES_SHOWN_MAX; i++) {
        /* with less than a file's length today, none of it is used up */
        if (source->names[i].size_bytes > row->today_bytes) {
            continue;
        }
        if (source->lookups_left-- <= 0) {
            return false;
        }
        if (cq_copies_find(source->table, source->clock, client,
                           &source->names[i], &pair)
            && pair.path[0] != '\0' && pair.copies_n > 0
            && is_shown(&pair)) {
            describe(source, &pair, &found[(*n)++]);
        }
    }
    return true;
}

bool cq_copies_used_up(struct cq_copies_source *source,
                       const struct cq_row *row, struct cq_view_copy *found,
                       size_t *n)
{
    return find(source, row, is_used_up, found, n);
}

bool cq_copies_repeated(struct cq_copies_source *source,
                        const struct cq_row *row, struct cq_view_copy *found,
                        size_t *n)
{
    return find(source, row, is_repeated, found, n);
}
