/* deny_result - the list of a deny file, and what was reported, as texts. */
#ifndef CQ_DENY_RESULT_H
#define CQ_DENY_RESULT_H

#include "deny/deny.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* what was reported, a line each, and the list, in one text */
struct result {
    char *said;
    size_t said_n;
    FILE *to;
    size_t n[CQ_DENY_NOTE + 1];     /* findings of each kind */
    struct cq_deny_list list;
    char keys[4096];
};

static inline struct result *new_result(void)
{
    struct result *r = calloc(1, sizeof(*r));

    ck_assert(r != NULL);
    r->to = open_memstream(&r->said, &r->said_n);
    ck_assert(fflush(r->to) == 0);
    return r;
}

static inline void free_result(struct result *r)
{
    fclose(r->to);
    free(r->said);
    cq_deny_free(&r->list);
    free(r);
}

static inline void note(void *baton, enum cq_deny_finding finding,
                        const char *sentence)
{
    struct result *r = baton;

    r->n[finding]++;
    fprintf(r->to, "%s\n", sentence);
    fflush(r->to);
}

static inline int compare(const void *a, const void *b)
{
    const struct cq_deny_entry *one = a;
    const struct cq_deny_entry *other = b;

    return cq_key_compare(&one->net, &other->net);
}

/* in order, each once */
static inline const char *keys_text(struct result *r)
{
    struct cq_deny_entry sorted[64];
    size_t i, n = 0;

    ck_assert_uint_le(r->list.count, COUNT(sorted));
    r->keys[0] = '\0';
    for (i = 0; i < r->list.count; i++) {
        sorted[i] = r->list.entries[i];
    }
    qsort(sorted, r->list.count, sizeof(sorted[0]), compare);
    for (i = 0; i < r->list.count; i++) {
        char text[CQ_KEY_TEXT_SIZE];

        if (i == 0 || compare(&sorted[i - 1], &sorted[i]) != 0) {
            n += (size_t)snprintf(r->keys + n, sizeof(r->keys) - n, "%s%s",
                                  i > 0 ? " " : "",
                                  cq_key_format_cidr(&sorted[i].net, text,
                                                     sizeof(text)));
        }
    }
    return r->keys;
}

#endif
