/* deny - reads old .htaccess files and plain lists, line by line.
 *
 * A line is what httpd takes for one: a backslash at its end goes on with the
 * next. The text is cut into words in place. */
#include "sync/deny.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLANKS " \t\r\v\f"
#define EXAMPLE "expected an address or a network, e.g. 192.0.2.7 or " \
                "198.51.100.0/24"

struct parser {
    const char *path;
    enum deny_form form;
    struct key_list found;
    struct say *say;
    size_t line;
    size_t complaints;
    bool no_memory;
};

/* The next word of a line, or NULL at its end or a comment. Cuts the line. */
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
    *line = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

static void complain(struct parser *p, const char *word, const char *why)
{
    if (p->complaints++ < DENY_COMPLAINTS_MAX) {
        say_trouble(p->say, "%s:%zu: \"%.80s\": %s; this is passed over",
                    p->path, p->line, word, why);
    }
}

static void leave_out(const struct parser *p, const char *word,
                      const char *why)
{
    say_note(p->say, "%s:%zu: \"%.80s\" is left out: %s", p->path, p->line,
             word, why);
}

static void take(struct parser *p, const struct cq_key *key, const char *word)
{
    if (key->prefix == 0 && p->form == DENY_ANY_FORM) {
        leave_out(p, word, "that is everybody");
    }
    else if (key_is_vast(key) && p->form == DENY_ANY_FORM) {
        complain(p, word, "that is far too many to shut out, expected a "
                 "prefix of 8 or more bits (IPv6: 16)");
    }
    else if (!key_list_add(&p->found, key)) {
        p->no_memory = true;
    }
}

/* What may stand behind "Deny from" beside addresses. */
static const char *no_address(const char *word)
{
    if (strcasecmp(word, "all") == 0) {
        return "that is everybody";
    }
    if (strncasecmp(word, "env=", 4) == 0) {
        return "only httpd knows who that is";
    }
    /* what httpd takes for an address has only these */
    if (word[strspn(word, "0123456789abcdefABCDEF.:/")] != '\0'
        || (strchr(word, ':') == NULL
            && word[strspn(word, "0123456789./")] != '\0')) {
        return "names are not looked up";
    }
    return NULL;
}

static void addresses(struct parser *p, char *line, bool names_allowed)
{
    char *word = next_word(&line);

    if (word == NULL) {
        complain(p, "", "no address follows; " EXAMPLE);
    }
    for (; word != NULL; word = next_word(&line)) {
        const char *why = names_allowed ? no_address(word) : NULL;
        struct cq_key key;

        if (why != NULL) {
            leave_out(p, word, why);
        }
        else if (deny_address(word, &key, &why) == CQ_OK) {
            take(p, &key, word);
        }
        else {
            complain(p, word, why);
        }
    }
}

/* Require not ip ... is ours; what else is required is httpd's business. */
static void require(struct parser *p, char *line)
{
    char *word = next_word(&line);

    if (word == NULL || strcasecmp(word, "not") != 0) {
        return;
    }
    word = next_word(&line);
    if (word == NULL) {
        return;
    }
    if (strcasecmp(word, "ip") == 0) {
        addresses(p, line, false);
    }
    else {
        leave_out(p, word, "only \"Require not ip\" names addresses");
    }
}

static void plain(struct parser *p, const char *word, char *line)
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
    else {
        take(p, &key, word);
    }
}

static void one_line(struct parser *p, char *line)
{
    char *word = next_word(&line);

    if (word == NULL) {
        return;
    }
    if (p->form == DENY_PLAIN_ONLY) {
        plain(p, word, line);
    }
    else if (*word == '<') {
        return;
    }
    else if (strcasecmp(word, "deny") == 0) {
        word = next_word(&line);
        if (word == NULL || strcasecmp(word, "from") != 0) {
            complain(p, word != NULL ? word : "Deny",
                     "expected Deny from, e.g. Deny from 192.0.2.7");
        }
        else {
            addresses(p, line, true);
        }
    }
    else if (strcasecmp(word, "require") == 0) {
        require(p, line);
    }
    /* A directive is a word with something behind it. */
    else if ((*word >= '0' && *word <= '9') || strchr(word, ':') != NULL
             || next_word(&line) == NULL) {
        plain(p, word, line);
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

enum cq_status deny_parse(const char *path, const char *text, size_t size,
                          enum deny_form form, struct key_list *list,
                          struct say *say)
{
    struct parser p = { .path = path, .form = form, .say = say };
    char *copy = malloc(size + 1);
    size_t i, lines_after = 1;
    char *rest = copy;

    if (copy == NULL) {
        say_trouble(say, "%s: out of memory", path);
        return CQ_ENOMEM;
    }
    for (i = 0; i < size; i++) {
        /* a NUL would end the text; no word is right with a ? in it */
        copy[i] = text[i];
        if (copy[i] == '\0') {
            copy[i] = '?';
        }
    }
    copy[size] = '\0';
    /* an editor's byte order mark */
    if (strncmp(rest, "\xef\xbb\xbf", 3) == 0) {
        rest += 3;
    }
    while (*rest != '\0' && !p.no_memory) {
        one_line(&p, next_line(&p, &rest, &lines_after));
    }
    free(copy);
    if (p.no_memory) {
        key_list_free(&p.found);
        say_trouble(say, "%s: out of memory", path);
        return CQ_ENOMEM;
    }
    if (p.complaints > DENY_COMPLAINTS_MAX) {
        say_trouble(say, "%s: %zu more lines or words like these", path,
                    p.complaints - DENY_COMPLAINTS_MAX);
    }
    key_list_sort(&p.found);
    key_list_free(list);
    *list = p.found;
    return CQ_OK;
}

/* Opens a regular file and nothing else. What is in the place of a list may
 * be a link that somebody put there: even to open a device can do something,
 * /dev/watchdog resets the machine. O_PATH opens nothing of it. */
static int open_regular(const char *path)
{
    char name[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
    int at = open(path, O_PATH | O_CLOEXEC);
    int fd = -1, error;
    struct stat st;

    if (at < 0) {
        return -1;
    }
    if (fstat(at, &st) == 0) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        if (S_ISREG(st.st_mode)) {
            snprintf(name, sizeof(name), "/proc/self/fd/%d", at);
            fd = open(name, O_RDONLY | O_CLOEXEC);
        }
    }
    error = errno;
    close(at);
    errno = error;
    return fd;
}

/* Reads an open file whole. */
static enum cq_status read_all(int fd, char **text, size_t *size)
{
    struct stat st;
    size_t done = 0;
    ssize_t n = 1;

    if (fstat(fd, &st) != 0) {
        return CQ_EIO;
    }
    if (st.st_size > DENY_SIZE_MAX) {
        return CQ_ERANGE;
    }
    *size = (size_t)st.st_size;
    *text = malloc(*size + 1);
    if (*text == NULL) {
        return CQ_ENOMEM;
    }
    while (done < *size && n > 0) {
        n = read(fd, *text + done, *size - done);
        if (n < 0 && errno == EINTR) {
            n = 1;
        }
        else if (n > 0) {
            done += (size_t)n;
        }
    }
    *size = done;
    if (n < 0) {
        free(*text);
        return CQ_EIO;
    }
    return CQ_OK;
}

static enum cq_status status_of_errno(void)
{
    return errno == ENOENT || errno == ENOTDIR ? CQ_ENOENT
        : errno == EACCES || errno == EPERM ? CQ_EACCES : CQ_EIO;
}

enum cq_status deny_read(const char *path, enum deny_form form,
                         struct key_list *list, struct say *say)
{
    int fd = open_regular(path);
    enum cq_status status;
    char *text = NULL;
    size_t size = 0;

    if (fd < 0) {
        status = status_of_errno();
        say_trouble(say, "%s: cannot be read: %s; what it said before still "
                    "holds", path, errno == EINVAL ? "it is no regular file"
                                                   : strerror(errno));
        return status;
    }
    status = read_all(fd, &text, &size);
    if (status == CQ_ERANGE) {
        say_trouble(say, "%s: is larger than %lld MiB, expected a list of "
                    "addresses; what it said before still holds", path,
                    (long long)(DENY_SIZE_MAX >> 20));
    }
    else if (status != CQ_OK) {
        say_trouble(say, "%s: cannot be read: %s; what it said before still "
                    "holds", path, status == CQ_ENOMEM ? "out of memory"
                    : strerror(errno));
    }
    close(fd);
    if (status == CQ_OK) {
        status = deny_parse(path, text, size, form, list, say);
        free(text);
    }
    return status;
}
