/* state_text - the state file's lines, written and read back.
 *
 * The reader takes exactly what the writer makes: what it believes decides
 * who is taken out of a jail. */
#include "sync/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_LINE "clamquota-sync state 1"

/* the largest number that is written: 2^53, the year 285,000,000 */
#define NUMBER_MAX (INT64_C(1) << 53)

/* ---- writing ---- */

void state_write(const struct state *state, const struct say_lines *said,
                 const char *boot, FILE *out)
{
    char text[CQ_KEY_TEXT_SIZE];
    size_t i, j, lines = 3;

    fprintf(out, FIRST_LINE "\nboot %s\n", boot);
    for (i = 0; i < state->jail_n; i++) {
        const struct state_jail *jail = &state->jails[i];

        if (jail->owned_n == 0) {
            continue;
        }
        fprintf(out, "jail %" PRIu64 " %s\n", jail->netns, jail->spec);
        for (j = 0; j < jail->owned_n; j++) {
            fprintf(out, "own %s %" PRId64 "\n",
                    cq_key_format_cidr(&jail->owned[j].key, text,
                                       sizeof(text)),
                    jail->owned[j].renewed_at_s);
        }
        lines += 1 + jail->owned_n;
    }
    for (i = 0; i < state->file_n; i++) {
        const struct state_file *file = &state->files[i];

        fprintf(out, "file %s\n", file->path);
        for (j = 0; j < file->keys.count; j++) {
            fprintf(out, "key %s\n", cq_key_format_cidr(&file->keys.keys[j],
                                                        text, sizeof(text)));
        }
        lines += 1 + file->keys.count;
    }
    for (i = 0; i < said->count; i++) {
        fprintf(out, "said %s\n", said->lines[i]);
    }
    fprintf(out, "end %zu\n", lines + said->count);
}

/* ---- reading ---- */

struct reader {
    struct state *state;
    struct say *say;
    enum { IN_NOTHING, IN_JAIL, IN_FILE } in;
    struct state_jail *jail;
    struct state_file *file;
    size_t owned_capacity;
};

static bool read_number(const char *text, char end, int64_t *number,
                        const char **rest)
{
    int64_t n = 0;
    const char *at = text;

    if (*at < '0' || *at > '9' || (*at == '0' && at[1] != end)) {
        return false;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        n = n * 10 + (*at - '0');
        if (n > NUMBER_MAX) {
            return false;
        }
    }
    if (*at != end) {
        return false;
    }
    *number = n;
    *rest = at;
    return true;
}

static bool is_text(const char *text)
{
    const char *at;

    for (at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            return false;
        }
    }
    return at > text;
}

/* Room for one more at the end of an array, all zero bytes. */
static void *one_more(void **array, size_t n, size_t size)
{
    char *grown = reallocarray(*array, n + 1, size);

    if (grown == NULL) {
        return NULL;
    }
    *array = grown;
    return memset(grown + n * size, 0, size);
}

static const char *read_jail(struct reader *r, const char *text)
{
    struct state *state = r->state;
    void *jails = state->jails;
    const char *spec;
    int64_t netns;
    size_t i;

    if (!read_number(text, ' ', &netns, &spec) || !is_text(spec + 1)) {
        return "expected a network namespace and a jail";
    }
    for (i = 0; i < state->jail_n; i++) {
        if (state->jails[i].netns == (uint64_t)netns
            && strcmp(state->jails[i].spec, spec + 1) == 0) {
            return "this jail stands twice";
        }
    }
    r->jail = one_more(&jails, state->jail_n, sizeof(state->jails[0]));
    if (r->jail == NULL) {
        return "out of memory";
    }
    state->jails = jails;
    r->jail->netns = (uint64_t)netns;
    r->jail->spec = strdup(spec + 1);
    if (r->jail->spec == NULL) {
        return "out of memory";
    }
    state->jail_n++;
    r->owned_capacity = 0;
    r->in = IN_JAIL;
    return NULL;
}

static const char *read_own(struct reader *r, char *text)
{
    char *blank = strchr(text, ' ');
    struct plan_owned owned;
    struct state_jail *jail = r->jail;
    const char *rest;

    if (r->in != IN_JAIL) {
        return "expected after a jail";
    }
    if (blank == NULL
        || !read_number(blank + 1, '\0', &owned.renewed_at_s, &rest)) {
        return "expected an address and a time";
    }
    *blank = '\0';
    if (strchr(text, '/') == NULL
        || cq_key_parse(&owned.key, text, NULL) != CQ_OK) {
        return "expected an address with its prefix";
    }
    if (jail->owned_n > 0
        && cq_key_compare(&jail->owned[jail->owned_n - 1].key, &owned.key)
            >= 0) {
        return "not in order";
    }
    if (jail->owned_n == r->owned_capacity) {
        size_t capacity = r->owned_capacity > 0 ? 2 * r->owned_capacity : 64;
        struct plan_owned *grown = reallocarray(jail->owned, capacity,
                                                sizeof(owned));

        if (grown == NULL) {
            return "out of memory";
        }
        jail->owned = grown;
        r->owned_capacity = capacity;
    }
    jail->owned[jail->owned_n++] = owned;
    return NULL;
}

static const char *read_file(struct reader *r, const char *text)
{
    struct state *state = r->state;
    void *files = state->files;

    if (!is_text(text)) {
        return "expected a file";
    }
    if (state_file(state, text) != NULL) {
        return "this file stands twice";
    }
    r->file = one_more(&files, state->file_n, sizeof(state->files[0]));
    if (r->file == NULL) {
        return "out of memory";
    }
    state->files = files;
    r->file->path = strdup(text);
    if (r->file->path == NULL) {
        return "out of memory";
    }
    state->file_n++;
    r->in = IN_FILE;
    return NULL;
}

static const char *read_key(struct reader *r, const char *text)
{
    struct cq_key key;
    struct key_list *keys;

    if (r->in != IN_FILE) {
        return "expected after a file";
    }
    keys = &r->file->keys;
    if (strchr(text, '/') == NULL || cq_key_parse(&key, text, NULL) != CQ_OK) {
        return "expected an address with its prefix";
    }
    if (keys->count > 0
        && cq_key_compare(&keys->keys[keys->count - 1], &key) >= 0) {
        return "not in order";
    }
    return key_list_add(keys, &key) ? NULL : "out of memory";
}

static const char *read_said(struct reader *r, const char *text)
{
    if (!is_text(text)) {
        return "expected what was said";
    }
    say_was_said(r->say, text);
    r->in = IN_NOTHING;
    return NULL;
}

/* What begins with this word, or NULL. */
static char *behind(char *line, const char *word)
{
    size_t n = strlen(word);

    return strncmp(line, word, n) == 0 ? line + n : NULL;
}

static const char *read_line(struct reader *r, char *line)
{
    char *text;

    if ((text = behind(line, "own ")) != NULL) {
        return read_own(r, text);
    }
    if ((text = behind(line, "key ")) != NULL) {
        return read_key(r, text);
    }
    if ((text = behind(line, "jail ")) != NULL) {
        return read_jail(r, text);
    }
    if ((text = behind(line, "file ")) != NULL) {
        return read_file(r, text);
    }
    if ((text = behind(line, "said ")) != NULL) {
        return read_said(r, text);
    }
    return "expected boot, jail, own, file, key, said or end";
}

/* The kernel's tables began empty at the boot. */
static void disown(struct state *state)
{
    size_t i;

    for (i = 0; i < state->jail_n; i++) {
        state->changed |= state->jails[i].owned_n > 0;
        state->jails[i].owned_n = 0;
    }
}

/* The lines after the second one, up to the end. */
static const char *read_lines(struct reader *r, char *text, size_t *line)
{
    while (*text != '\0') {
        char *end = strchr(text, '\n');
        const char *why, *rest;
        int64_t lines;
        char *count;

        ++*line;
        if (end == NULL) {
            return "is cut off";
        }
        *end = '\0';
        count = behind(text, "end ");
        if (count != NULL) {
            return !read_number(count, '\0', &lines, &rest)
                || lines != (int64_t)*line ? "lines are missing"
                : end[1] != '\0' ? "more follows" : NULL;
        }
        why = read_line(r, text);
        if (why != NULL) {
            return why;
        }
        text = end + 1;
    }
    ++*line;
    return "the end is missing";
}

const char *state_read(struct state *state, char *text, size_t size,
                       const char *boot, struct say *say, size_t *line)
{
    struct reader r = { .state = state, .say = say };
    const char *why;
    char *second;
    char *end;

    *line = 1;
    if (memchr(text, '\0', size) != NULL) {
        return "holds a NUL";
    }
    second = behind(text, FIRST_LINE "\n");
    if (second == NULL) {
        return "expected \"" FIRST_LINE "\"";
    }
    *line = 2;
    second = behind(second, "boot ");
    end = second == NULL ? NULL : strchr(second, '\n');
    if (end == NULL) {
        return "expected boot";
    }
    *end = '\0';
    why = read_lines(&r, end + 1, line);
    if (why == NULL && strcmp(second, boot) != 0) {
        disown(state);
    }
    return why;
}
