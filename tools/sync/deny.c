/* deny - reads old .htaccess files and plain lists, line by line.
 *
 * A line is what httpd takes for one: a backslash at its end continues it on
 * the next. The text is cut into words in place. */
#include "sync/deny.h"

#include "core/net.h"

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

/* Stands for the line feed of a line that goes on. */
#define JOINT '\v'

struct parser {
    const char *path;
    enum cq_deny_form form;
    struct cq_say *say;
    size_t line;
    size_t complaints;
    bool no_memory;
    struct cq_wanted_list found;
    /* sections that do not hold for all requests */
    size_t depth;
    char section[24];           /* the outermost one */
    /* "Deny from", which the directives of httpd beside it may lift */
    struct cq_wanted_list denied;
    struct cq_net_list allowed; /* value: the line of the Allow */
    size_t satisfies_any;       /* line; 0: none */
    bool deny_is_last;          /* Order allow,deny: no Allow lifts a Deny */
};

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
    if (p->say->verbose) {
        cq_say_info(p->say, "%s:%zu: \"%.80s\" is left out: %s", p->path,
                    p->line, word, why);
    }
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

static void add_address(struct parser *p, struct cq_wanted_list *list,
                        const struct cq_key *key, const char *word)
{
    const struct cq_wanted wanted = {
        .client = *key, .from = { .line = (uint32_t)p->line }
    };
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
        p->no_memory |= !cq_wanted_add(list, &wanted);
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

/* The rest of "Deny from" (into p->denied) or "Require not ip". */
static void read_addresses(struct parser *p, char *line,
                           struct cq_wanted_list *list)
{
    char *word = next_word(&line);

    if (word == NULL) {
        complain(p, "", "no address follows; " EXAMPLE);
    }
    else if (p->depth > 0) {
        char why[96];

        snprintf(why, sizeof(why), "it stands inside of <%s>, so not every "
                 "request is denied", p->section);
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

    if (word == NULL || strcasecmp(word, "not") != 0
        || (word = next_word(&line)) == NULL) {
        return;
    }
    if (strcasecmp(word, "ip") == 0) {
        read_addresses(p, line, &p->found);
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
    else if (next_word(&line) != NULL) {
        complain(p, word, "more follows; expected one address or network a "
                 "line");
    }
    else if (p->depth > 0) {
        leave_out(p, p->line, "it stands inside of a section of httpd's");
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

    if (word == NULL || strcasecmp(word, "from") != 0) {
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

/* Reads Order, Allow and Satisfy; false: it is another directive. */
static bool read_lift(struct parser *p, const char *directive, char *line)
{
    char *word;

    if (strcasecmp(directive, "allow") == 0) {
        read_allow(p, line);
        return true;
    }
    if (strcasecmp(directive, "order") == 0) {
        word = next_word(&line);
        /* httpd's default is deny,allow; mutual-failure is as allow,deny */
        p->deny_is_last = word != NULL && strcasecmp(word, "deny,allow") != 0;
        return true;
    }
    if (strcasecmp(directive, "satisfy") == 0) {
        word = next_word(&line);
        p->satisfies_any = word != NULL && strcasecmp(word, "any") == 0
            ? p->line : 0;
        return true;
    }
    return false;
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

/* Of "Deny from" what none of them may lift. */
static void add_denied(struct parser *p)
{
    size_t i;

    (void)cq_net_seal(&p->allowed, NULL);       /* none is in it twice */
    for (i = 0; i < p->denied.count; i++) {
        const struct cq_wanted *denied = &p->denied.entries[i];
        size_t line = p->satisfies_any != 0 ? p->satisfies_any
            : find_allow(p, &denied->client);
        char why[64];

        if (line == 0) {
            p->no_memory |= !cq_wanted_add(&p->found, denied);
            continue;
        }
        snprintf(why, sizeof(why), "\"%s\" in line %zu may lift it",
                 p->satisfies_any != 0 ? "Satisfy Any" : "Allow", line);
        leave_out(p, denied->from.line, why);
    }
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
    if (p->form == CQ_DENY_PLAIN_ONLY) {
        read_plain(p, word, line);
    }
    else if (*word == '<') {
        read_section(p, word);
    }
    else if (strcasecmp(word, "deny") == 0) {
        word = next_word(&line);
        if (word == NULL || strcasecmp(word, "from") != 0) {
            complain(p, word != NULL ? word : "Deny",
                     "expected Deny from, e.g. Deny from 192.0.2.7");
        }
        else {
            read_addresses(p, line, &p->denied);
        }
    }
    else if (strcasecmp(word, "require") == 0) {
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

/* A copy in which a line that goes on has a JOINT in the place of its line
 * feed; NULL: no memory. */
static char *join_lines(const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    size_t i;

    for (i = 0; copy != NULL && i < size; i++) {
        size_t before = i - (i > 0 && text[i - 1] == '\r');

        /* a NUL would end the text; no word is right with a ? in it */
        copy[i] = text[i] == '\0' ? '?' : text[i] == JOINT ? ' ' : text[i];
        if (text[i] == '\n' && before > 0 && text[before - 1] == '\\') {
            copy[before - 1] = ' ';
            copy[i] = JOINT;
        }
    }
    if (copy != NULL) {
        if (size > 0 && copy[size - 1] == '\\') {
            copy[size - 1] = ' ';   /* there is nothing to join */
        }
        copy[size] = '\0';
    }
    return copy;
}

static void read_text(struct parser *p, char *line)
{
    size_t line_n = 1;
    char *end;

    /* an editor's byte order mark */
    if (strncmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
    }
    for (; line != NULL && !p->no_memory; line = end) {
        char *at;

        end = strchr(line, '\n');
        if (end != NULL) {
            *end++ = '\0';
        }
        p->line = line_n++;
        for (at = line; (at = strchr(at, JOINT)) != NULL; at++) {
            line_n++;
        }
        read_line(p, line);
    }
}

enum cq_status cq_deny_parse(const char *path, const char *text, size_t size,
                             enum cq_deny_form form,
                             struct cq_wanted_list *list, struct cq_say *say)
{
    struct parser p = { .path = path, .form = form, .say = say };
    char *copy = join_lines(text, size);

    if (copy == NULL) {
        return CQ_ENOMEM;
    }
    read_text(&p, copy);
    add_denied(&p);
    free(copy);
    cq_wanted_free(&p.denied);
    cq_net_free(&p.allowed);
    if (p.no_memory) {
        cq_wanted_free(&p.found);
        return CQ_ENOMEM;
    }
    if (p.complaints > CQ_DENY_COMPLAINTS_MAX) {
        cq_say_trouble(say, "%s: %zu more lines or words like these", path,
                       p.complaints - CQ_DENY_COMPLAINTS_MAX);
    }
    cq_wanted_free(list);
    *list = p.found;
    return CQ_OK;
}
