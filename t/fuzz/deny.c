/* deny - fuzzes deny and never files: first a byte that says which of them,
 * then the text. Each entry is a network that a line of it can have, and is
 * found; each sentence fits, and not too many come. */
#include "input.h"

#include "deny/deny.h"

struct heard {
    size_t found_n[CQ_DENY_NOTE + 1];
};

static void hear(void *baton, enum cq_deny_finding finding,
                 const char *sentence)
{
    struct heard *heard = baton;

    HOLDS(finding <= CQ_DENY_NOTE);
    HOLDS(strlen(sentence) < CQ_DENY_SENTENCE_SIZE);
    heard->found_n[finding]++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    enum cq_deny_form form = (take(&in, 1) & 1) != 0 ? CQ_NEVER_FILE
                                                      : CQ_DENY_FILE;
    struct cq_deny_list list = { NULL, 0, 0 };
    struct heard heard = { { 0 } };
    /* without a NUL behind it */
    char *text = malloc(in.size > 0 ? in.size : 1);
    size_t i, line_n = 1;

    HOLDS(text != NULL);
    memcpy(text, in.at, in.size);
    for (i = 0; i < in.size; i++) {
        line_n += text[i] == '\n';
    }
    HOLDS(cq_deny_parse("file", text, in.size, form, &list, hear, &heard)
          == CQ_OK);
    for (i = 0; i < list.count; i++) {
        const struct cq_deny_entry *entry = &list.entries[i];
        const struct cq_deny_entry *found = cq_deny_find(&list, &entry->net);

        HOLDS(cq_key_is_valid(&entry->net));
        HOLDS(entry->line >= 1 && entry->line <= line_n);
        HOLDS(found != NULL && found->line <= entry->line
              && cq_key_compare(&found->net, &entry->net) == 0);
        if (i > 64) {
            break;              /* it looks through all of them */
        }
    }
    /* notes are for -v, and have no limit */
    HOLDS(heard.found_n[CQ_DENY_WRONG] + heard.found_n[CQ_DENY_LEFT_OUT]
          <= CQ_DENY_COMPLAINTS_MAX + 1);
    cq_deny_free(&list);
    free(text);
    return 0;
}
