/* parse - reads old .htaccess files and plain lists, line by line.
 *
 * A line is what httpd takes for one: a backslash at its end continues it on
 * the next. The text is cut into words in place. */
#include "core/net.h"
#include "deny/deny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EXAMPLE "expected an address or a network, e.g. 192.0.2.7 or " \
                "198.51.100.0/24"

/* The largest networks that one holder was ever given: IPv4's class A, and of
 * IPv6 no holder has more than a /16 of 2000::/3. */
#define LEAST_V4_BITS 8
#define LEAST_V6_BITS 16

#define BLANKS " \t\r\v\f"

struct parser {
    const char *path;
    enum cq_deny_form form;
    cq_deny_report *report;
    void *baton;
    size_t line;
    size_t complaints;
    bool no_memory;
    struct cq_deny_list found;
    /* sections that do not hold for all requests */
    size_t depth;
    char section[24];           /* the outermost one */
    /* "Deny from" and "Require not ip", which the directives of httpd beside
     * them may lift */
    struct cq_deny_list denied, required;
    struct cq_net_list allowed; /* value: the line of the Allow */
    size_t satisfies_any;       /* line; 0: none */
    bool deny_is_last;          /* Order allow,deny: no Allow lifts a Deny */
};

/* ---- what is reported ---- */

static void report(struct parser *p, enum cq_deny_finding finding, size_t line,
                   const char *word, const char *why)
{
    char text[CQ_DENY_SENTENCE_SIZE];

    if (p->report == NULL
        || (finding != CQ_DENY_NOTE
            && p->complaints++ >= CQ_DENY_COMPLAINTS_MAX)) {
        return;
    }
    switch (finding) {
    case CQ_DENY_WRONG:
        snprintf(text, sizeof(text), "%s:%zu: \"%.80s\": %s; this is passed "
                 "over", p->path, line, word, why);
        break;
    case CQ_DENY_LEFT_OUT:
        snprintf(text, sizeof(text), "%s:%zu: is left out: %s; to jail these "
                 "addresses, put them into a file of their own", p->path,
                 line, why);
        break;
    case CQ_DENY_NOTE:
        snprintf(text, sizeof(text), "%s:%zu: \"%.80s\" is left out: %s",
                 p->path, line, word, why);
        break;
    }
    p->report(p->baton, finding, text);
}

static void complain(struct parser *p, const char *word, const char *why)
{
    report(p, CQ_DENY_WRONG, p->line, word, why);
}

static void note(struct parser *p, const char *word, const char *why)
{
    report(p, CQ_DENY_NOTE, p->line, word, why);
}

/* A line that may not hold for every request. */
static void leave_out(struct parser *p, size_t line, const char *why)
{
    report(p, CQ_DENY_LEFT_OUT, line, "", why);
}

/* ---- addresses ---- */

/* Cuts the next word out of a line: in quotes, or between blanks. NULL at the
 * end of the line and at a comment. */
static char *next_word(char **line)
{
    char *word = *line + strspn(*line, BLANKS);
    char *end;

    if (*word == '\0' || *word == '#') {
        return NULL;
    }
    if (*word == '"' || *word == '\'') {
        end = strchr(word + 1, *word);
        if (end != NULL) {
            *end = '\0';
            *line = end + 1;
            return word + 1;
        }
    }
    end = word + strcspn(word, BLANKS);
    *line = *end != '\0' ? end + 1 : end;
    *end = '\0';
    return word;
}

static bool is_word(const char *word, const char *expected)
{
    return word != NULL && strcasecmp(word, expected) == 0;
}

static void add_address(struct parser *p, struct cq_deny_list *list,
                        const struct cq_key *key, const char *word)
{
    const struct cq_deny_entry entry = { .net = *key,
                                         .line = (uint32_t)p->line };
    bool is_vast = key->prefix < (key->family == 4 ? LEAST_V4_BITS
                                                   : LEAST_V6_BITS);

    if (key->prefix == 0 && p->form == CQ_DENY_FILE) {
        note(p, word, "that is every address");
    }
    else if (is_vast && p->form == CQ_DENY_FILE) {
        complain(p, word, "that network is too large, expected a prefix of "
                 "8 or more bits (IPv6: 16)");
    }
    else {
        p->no_memory |= !cq_deny_add(list, &entry);
    }
}

/* What may stand behind "Deny from" beside addresses. */
static const char *no_address(const char *word)
{
    if (is_word(word, "all")) {
        return "that is every address";
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

/* The rest of "Deny from" (into p->denied) or "Require not ip" (into
 * p->required). */
static void read_addresses(struct parser *p, char *line,
                           struct cq_deny_list *list)
{
    char *word = next_word(&line);

    if (word == NULL) {
        complain(p, "", "no address follows; " EXAMPLE);
    }
    else if (p->depth > 0) {
        char why[96];

        snprintf(why, sizeof(why), "it is inside <%s>, so it does not "
                 "deny every request", p->section);
        leave_out(p, p->line, why);
        return;
    }
    for (; word != NULL; word = next_word(&line)) {
        const char *why = list == &p->denied ? no_address(word) : NULL;
        struct cq_key key;

        if (why != NULL) {
            note(p, word, why);
        }
        else if (cq_deny_address(word, &key, &why) == CQ_OK) {
            add_address(p, list, &key, word);
        }
        else {
            complain(p, word, why);
        }
    }
}

/* Require not ip ... is ours; what else is required is httpd's business. */
static void read_require(struct parser *p, char *line)
{
    char *word = next_word(&line);

    if (!is_word(word, "not")) {
        return;
    }
    word = next_word(&line);
    if (is_word(word, "ip")) {
        read_addresses(p, line, &p->required);
    }
    else if (word != NULL) {
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
    else if (next_word(&line) != NULL) {
        complain(p, word, "more follows; expected one address or network a "
                 "line");
    }
    else if (p->depth > 0) {
        leave_out(p, p->line, "it is inside a section of httpd");
    }
    else {
        add_address(p, &p->found, &key, word);
    }
}

/* ---- directives beside which a "Deny from" may not hold ---- */

/* Names and env= may match any client. */
static void read_allow(struct parser *p, char *line)
{
    static const struct cq_key everybody[] = { { .family = 4 },
                                               { .family = 6 } };
    char *word = next_word(&line);
    const char *why;

    if (!is_word(word, "from")) {
        return;
    }
    while ((word = next_word(&line)) != NULL) {
        struct cq_key key;
        bool is_address = cq_deny_address(word, &key, &why) == CQ_OK;
        const struct cq_key *keys = is_address ? &key : everybody;
        size_t i;

        for (i = 0; i < (is_address ? 1 : 2); i++) {
            p->no_memory |= !cq_net_has(&p->allowed, &keys[i])
                && cq_net_add(&p->allowed, &keys[i], (int64_t)p->line)
                    == CQ_ENOMEM;
        }
    }
}

/* Reads Order, Allow and Satisfy; false: it is another directive. What one
 * inside of a section takes back holds only there: of those, only what lifts
 * counts. */
static bool read_lift(struct parser *p, const char *directive, char *line)
{
    bool is_outside = p->depth == 0;

    if (is_word(directive, "allow")) {
        read_allow(p, line);
    }
    else if (is_word(directive, "order")) {
        /* httpd's default is deny,allow; mutual-failure is as allow,deny */
        p->deny_is_last = !is_word(next_word(&line), "deny,allow")
            && (is_outside || p->deny_is_last);
    }
    else if (is_word(directive, "satisfy")) {
        if (is_word(next_word(&line), "any")) {
            p->satisfies_any = p->line;
        }
        else if (is_outside) {
            p->satisfies_any = 0;
        }
    }
    else {
        return false;
    }
    return true;
}

/* The line of an Allow that touches an address; 0: there is none. */
static size_t find_allow(const struct parser *p, const struct cq_key *key)
{
    const struct cq_net_rule *rule = p->allowed.rules;

    if (p->deny_is_last || !cq_net_touches(&p->allowed, key)) {
        return 0;
    }
    while (!cq_key_contains(&rule->net, key)
           && !cq_key_contains(key, &rule->net)) {
        rule++;
    }
    return (size_t)rule->value;
}

/* Of one list what none of them may lift. An Allow lifts no Require, unless
 * there is a "Satisfy Any".
 * @param is_denied  the list is p->denied */
static void add_list(struct parser *p, const struct cq_deny_list *list,
                     bool is_denied)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        const struct cq_deny_entry *entry = &list->entries[i];
        size_t line = p->satisfies_any != 0 ? p->satisfies_any
            : is_denied ? find_allow(p, &entry->net) : 0;
        char why[64];

        if (line == 0) {
            p->no_memory |= !cq_deny_add(&p->found, entry);
            continue;
        }
        snprintf(why, sizeof(why), "\"%s\" in line %zu may lift it",
                 p->satisfies_any != 0 ? "Satisfy Any" : "Allow", line);
        leave_out(p, entry->line, why);
    }
}

static void add_denied(struct parser *p)
{
    (void)cq_net_seal(&p->allowed, NULL);       /* none is in it twice */
    add_list(p, &p->required, false);
    add_list(p, &p->denied, true);
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
    }
    else if (p->depth++ == 0) {
        snprintf(p->section, sizeof(p->section), "%.*s",
                 (int)(length < 64 ? length : 64), name);
    }
}

static void read_line(struct parser *p, char *line)
{
    char *word = next_word(&line);

    if (word == NULL) {
        return;
    }
    if (p->form == CQ_NEVER_FILE) {
        read_plain(p, word, line);
    }
    else if (*word == '<') {
        read_section(p, word);
    }
    else if (is_word(word, "deny")) {
        word = next_word(&line);
        if (is_word(word, "from")) {
            read_addresses(p, line, &p->denied);
        }
        else {
            complain(p, word != NULL ? word : "Deny",
                     "expected Deny from, e.g. Deny from 192.0.2.7");
        }
    }
    else if (is_word(word, "require")) {
        read_require(p, line);
    }
    else if (read_lift(p, word, line)) {
        return;
    }
    /* A directive is a word with something behind it. */
    else if ((*word >= '0' && *word <= '9') || strchr(word, ':') != NULL
             || next_word(&line) == NULL) {
        read_plain(p, word, line);
    }
}

/* Cuts off the line at *rest: a backslash at its end continues it on the next.
 * @param rest    moved behind it; NULL behind the last
 * @param line_n  result: lines of the file that it has */
static char *next_line(char **rest, size_t *line_n)
{
    char *line = *rest, *end = line;

    for (*line_n = 1; (end = strchr(end, '\n')) != NULL; (*line_n)++) {
        char *last = end - (end > line && end[-1] == '\r');

        if (last == line || last[-1] != '\\') {
            *end = '\0';
            *rest = end + 1;
            return line;
        }
        last[-1] = *end = ' ';
    }
    end = strchr(line, '\0');
    if (end > line && end[-1] == '\\') {
        end[-1] = ' ';          /* there is nothing to join */
    }
    *rest = NULL;
    return line;
}

static void read_text(struct parser *p, char *text)
{
    size_t line_n = 0;

    /* an editor's byte order mark */
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
    }
    for (p->line = 1; text != NULL && !p->no_memory; p->line += line_n) {
        read_line(p, next_line(&text, &line_n));
    }
}

enum cq_status cq_deny_parse(const char *path, const char *text, size_t size,
                             enum cq_deny_form form,
                             struct cq_deny_list *list,
                             cq_deny_report *to, void *baton)
{
    struct parser p = { .path = path, .form = form, .report = to,
                        .baton = baton };
    char *copy = malloc(size + 1);
    size_t i;

    if (copy == NULL) {
        return CQ_ENOMEM;
    }
    for (i = 0; i < size; i++) {
        /* a NUL would end the text; no word is right with a ? in it */
        copy[i] = text[i] == '\0' ? '?' : text[i];
    }
    copy[size] = '\0';
    read_text(&p, copy);
    add_denied(&p);
    free(copy);
    cq_deny_free(&p.denied);
    cq_deny_free(&p.required);
    cq_net_free(&p.allowed);
    if (p.no_memory) {
        cq_deny_free(&p.found);
        return CQ_ENOMEM;
    }
    if (p.complaints > CQ_DENY_COMPLAINTS_MAX) {
        char sentence[CQ_DENY_SENTENCE_SIZE];

        snprintf(sentence, sizeof(sentence), "%s: %zu more lines or words "
                 "like these", path, p.complaints - CQ_DENY_COMPLAINTS_MAX);
        to(baton, CQ_DENY_WRONG, sentence);
    }
    cq_deny_free(list);
    *list = p.found;
    return CQ_OK;
}
