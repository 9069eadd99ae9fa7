/* deny - reads old .htaccess files and plain lists, line by line.
 *
 * A line is what httpd takes for one: a backslash at its end continues it on
 * the next. The text is cut into words in place. */
#include "sync/deny.h"
#include "sync/lift.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EXAMPLE "expected an address or a network, e.g. 192.0.2.7 or " \
                "198.51.100.0/24"

/* The largest networks that one holder was ever given: IPv4's class A, and of
 * IPv6 no holder has more than a /16 of 2000::/3. */
#define LEAST_V4_BITS 8
#define LEAST_V6_BITS 16

/* sections one in another that are named in messages */
#define DEPTH_MAX 16
#define SECTION_SIZE 24

struct parser {
    const char *path;
    enum cq_deny_form form;
    struct cq_deny_list found;
    struct cq_say *say;
    size_t line;
    size_t complaints;
    bool no_memory;
    /* the sections that the line stands in, those that hold for all requests
     * left out: what is in one of these may not */
    char sections[DEPTH_MAX][SECTION_SIZE];
    size_t depth;
    struct cq_lift lift;
};

/* Marks the line of an entry that was in "Deny from", which others may
 * lift. */
#define BY_DENY 0x80000000u

/* ---- what is reported ---- */

static void complain(struct parser *p, const char *word, const char *why)
{
    if (p->complaints++ < CQ_DENY_COMPLAINTS_MAX) {
        cq_say_trouble(p->say, "%s:%zu: \"%.80s\": %s; this is passed over",
                       p->path, p->line, word, why);
    }
}

static void note(const struct parser *p, const char *word, const char *why)
{
    cq_say_note(p->say, "%s:%zu: \"%.80s\" is left out: %s", p->path, p->line,
                word, why);
}

/* A line that may not hold for every request: no failure, reported once. */
static void leave_out(struct parser *p, size_t line, const char *why)
{
    char topic[CQ_SAY_SIZE];

    if (p->complaints++ < CQ_DENY_COMPLAINTS_MAX) {
        snprintf(topic, sizeof(topic), "%s:%zu: left out: %s", p->path, line,
                 why);
        cq_say_state(p->say, topic, "%s:%zu: is left out: %s; to jail these "
                     "addresses, put them into a file of their own", p->path,
                     line, why);
    }
}

/* ---- addresses ---- */

static void add_entry(struct parser *p, const struct cq_key *key,
                      uint32_t mark)
{
    struct cq_deny_list *list = &p->found;

    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        struct cq_deny_entry *entries =
            reallocarray(list->entries, capacity, sizeof(entries[0]));

        if (entries == NULL) {
            p->no_memory = true;
            return;
        }
        list->entries = entries;
        list->capacity = capacity;
    }
    list->entries[list->count].key = *key;
    list->entries[list->count++].line = (uint32_t)p->line | mark;
}

static void add_address(struct parser *p, const struct cq_key *key,
                        const char *word, uint32_t mark)
{
    bool is_vast = key->prefix < (key->family == 4 ? LEAST_V4_BITS
                                                   : LEAST_V6_BITS);

    if (key->prefix == 0 && p->form == CQ_DENY_ANY_FORM) {
        note(p, word, "that is everybody");
    }
    else if (is_vast && p->form == CQ_DENY_ANY_FORM) {
        complain(p, word, "that is far too many to shut out, expected a "
                 "prefix of 8 or more bits (IPv6: 16)");
    }
    else {
        add_entry(p, key, mark);
    }
}

/* What may stand behind "Deny from" beside addresses. */
static const char *no_address(const char *word)
{
    if (strcasecmp(word, "all") == 0) {
        return "that is everybody";
    }
    if (strncasecmp(word, "env=", 4) == 0) {
        return "only httpd knows which clients these are";
    }
    /* what httpd takes for an address has only these */
    if (word[strspn(word, "0123456789abcdefABCDEF.:/")] != '\0'
        || (strchr(word, ':') == NULL
            && word[strspn(word, "0123456789./")] != '\0')) {
        return "names are not looked up";
    }
    return NULL;
}

/* The rest of "Deny from" (mark BY_DENY) or "Require not ip". */
static void read_addresses(struct parser *p, char *line, uint32_t mark)
{
    char why_text[128];
    char *word = cq_deny_word(&line);

    if (word == NULL) {
        complain(p, "", "no address follows; " EXAMPLE);
    }
    else if (p->depth > 0) {
        snprintf(why_text, sizeof(why_text), "it stands inside of <%s>, so "
                 "not every request is denied",
                 p->sections[p->depth <= DEPTH_MAX ? p->depth - 1
                                                   : DEPTH_MAX - 1]);
        leave_out(p, p->line, why_text);
        return;
    }
    for (; word != NULL; word = cq_deny_word(&line)) {
        const char *why = mark != 0 ? no_address(word) : NULL;
        struct cq_key key;

        if (why != NULL) {
            note(p, word, why);
        }
        else if (cq_deny_address(word, &key, &why) == CQ_OK) {
            add_address(p, &key, word, mark);
        }
        else {
            complain(p, word, why);
        }
    }
}

/* Require not ip ... is ours; what else is required is httpd's business. */
static void read_require(struct parser *p, char *line)
{
    char *word = cq_deny_word(&line);

    if (word == NULL || strcasecmp(word, "not") != 0) {
        return;
    }
    word = cq_deny_word(&line);
    if (word == NULL) {
        return;
    }
    if (strcasecmp(word, "ip") == 0) {
        read_addresses(p, line, 0);
    }
    else {
        note(p, word, "only \"Require not ip\" names addresses");
    }
}

static void read_plain(struct parser *p, const char *word, char *line)
{
    const char *why = NULL;
    struct cq_key key;

    if (cq_key_parse(&key, word, &why) != CQ_OK) {
        complain(p, word, why);
    }
    else if (cq_deny_word(&line) != NULL) {
        complain(p, word, "more follows; expected one address or network a "
                 "line");
    }
    else if (p->depth > 0) {
        leave_out(p, p->line, "it stands inside of a section of httpd's");
    }
    else {
        add_address(p, &key, word, 0);
    }
}

/* Removes the entries that an Allow or Satisfy of the same file may lift. */
static void remove_lifted(struct parser *p)
{
    struct cq_deny_list *list = &p->found;
    size_t i, n = 0;
    char why[64];

    cq_lift_finish(&p->lift);
    for (i = 0; i < list->count; i++) {
        struct cq_deny_entry entry = list->entries[i];
        bool is_deny = (entry.line & BY_DENY) != 0;

        entry.line &= ~BY_DENY;
        if (is_deny && cq_lift_may(&p->lift, &entry.key, why, sizeof(why))) {
            leave_out(p, entry.line, why);
        }
        else {
            list->entries[n++] = entry;
        }
    }
    list->count = n;
}

/* ---- lines ---- */

/* <NAME or </NAME: sections that hold for all requests change nothing. */
static void read_section(struct parser *p, const char *word)
{
    static const char *const open[] = { "RequireAll", "IfModule",
                                        "IfVersion" };
    bool is_end = word[1] == '/';
    const char *name = word + (is_end ? 2 : 1);
    size_t i, length = strcspn(name, ">");

    for (i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        if (strlen(open[i]) == length
            && strncasecmp(name, open[i], length) == 0) {
            return;
        }
    }
    if (is_end) {
        p->depth -= p->depth > 0;
        return;
    }
    if (p->depth < DEPTH_MAX) {
        snprintf(p->sections[p->depth], SECTION_SIZE, "%.*s",
                 length < SECTION_SIZE ? (int)length : SECTION_SIZE - 1,
                 name);
    }
    p->depth++;
}

static void read_line(struct parser *p, char *line)
{
    char *word = cq_deny_word(&line);

    if (word == NULL) {
        return;
    }
    if (p->form == CQ_DENY_PLAIN_ONLY) {
        read_plain(p, word, line);
    }
    else if (*word == '<') {
        read_section(p, word);
    }
    else if (strcasecmp(word, "deny") == 0) {
        word = cq_deny_word(&line);
        if (word == NULL || strcasecmp(word, "from") != 0) {
            complain(p, word != NULL ? word : "Deny",
                     "expected Deny from, e.g. Deny from 192.0.2.7");
        }
        else {
            read_addresses(p, line, BY_DENY);
        }
    }
    else if (strcasecmp(word, "require") == 0) {
        read_require(p, line);
    }
    else if (cq_lift_read(&p->lift, word, &line, p->line)) {
        return;
    }
    /* A directive is a word with something behind it. */
    else if ((*word >= '0' && *word <= '9') || strchr(word, ':') != NULL
             || cq_deny_word(&line) == NULL) {
        read_plain(p, word, line);
    }
}

/* Cuts the next line out of the text and joins what a backslash joins. */
static char *next_line(struct parser *p, char **text, size_t *lines_after)
{
    char *line = *text, *at = line;

    p->line += *lines_after;
    *lines_after = 1;
    while (*at != '\0') {
        if (*at == '\n') {
            char *before = at;

            if (before > line && before[-1] == '\r') {
                before--;
            }
            if (before == line || before[-1] != '\\') {
                *at++ = '\0';
                break;
            }
            memset(before - 1, ' ', (size_t)(at - before) + 2);
            (*lines_after)++;
        }
        at++;
    }
    if (*at == '\0' && at > line && at[-1] == '\\') {
        at[-1] = ' ';       /* of the last line there is nothing to join */
    }
    *text = at;
    return line;
}

static void read_text(struct parser *p, char *rest)
{
    size_t lines_after = 1;

    /* an editor's byte order mark */
    if (strncmp(rest, "\xef\xbb\xbf", 3) == 0) {
        rest += 3;
    }
    while (*rest != '\0' && !p->no_memory) {
        read_line(p, next_line(p, &rest, &lines_after));
    }
}

enum cq_status cq_deny_parse(const char *path, const char *text, size_t size,
                             enum cq_deny_form form,
                             struct cq_deny_list *list, struct cq_say *say)
{
    struct parser p = { .path = path, .form = form, .say = say };
    char *copy = malloc(size + 1);
    size_t i;

    if (copy == NULL) {
        return CQ_ENOMEM;
    }
    for (i = 0; i < size; i++) {
        /* a NUL would end the text; no word is right with a ? in it */
        copy[i] = text[i] != '\0' ? text[i] : '?';
    }
    copy[size] = '\0';
    read_text(&p, copy);
    free(copy);
    remove_lifted(&p);
    p.no_memory |= p.lift.no_memory;
    cq_lift_free(&p.lift);
    if (p.no_memory) {
        cq_deny_free(&p.found);
        return CQ_ENOMEM;
    }
    if (p.complaints > CQ_DENY_COMPLAINTS_MAX) {
        cq_say_trouble(say, "%s: %zu more lines or words like these", path,
                       p.complaints - CQ_DENY_COMPLAINTS_MAX);
    }
    cq_deny_free(list);
    *list = p.found;
    return CQ_OK;
}

void cq_deny_free(struct cq_deny_list *list)
{
    free(list->entries);
    memset(list, 0, sizeof(*list));
}
