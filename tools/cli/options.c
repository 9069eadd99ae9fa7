/* options - command lines from a table. */
#include "cli/options.h"

#include "cli/say.h"
#include "core/units.h"
#include "core/version.h"
#include "table/table.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 40

/* getopt's numbers of the options without a letter */
#define FIRST_NUMBER 256

/* Those that every program has, behind its own. */
static const struct cq_option common[] = {
    { .letter = 'h', .name = "help", .help = "this text" },
    { .letter = 'V', .name = "version", .help = CQ_VERSION }
};
static const struct cq_option *const help = &common[0];
static const struct cq_option *const version = &common[1];

struct reader {
    const struct cq_program *program;
    void *into;
    struct cq_say *say;
};

/* A sentence; the value of the expression is false. */
#define WRONG(reader, ...) (cq_say_trouble((reader)->say, __VA_ARGS__), false)

/* ---- values ---- */

/* Digits only. */
static bool parse_number(const char *text, int64_t *number)
{
    *number = strtoll(text, NULL, 10);      /* INT64_MAX for more than that */
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static bool is_amount(const struct cq_option *o, const char *text,
                      int64_t *amount)
{
    bool good = o->kind == CQ_OPTION_NUMBER ? parse_number(text, amount)
        : o->kind == CQ_OPTION_SIZE ? cq_size_parse(text, amount) == CQ_OK
        : cq_duration_parse_s(text, amount) == CQ_OK;

    return good && *amount >= o->least && *amount <= o->most;
}

/* Messages show names of files, one a line. */
static bool is_file_name(const char *text)
{
    const char *at = text;

    while ((unsigned char)*at >= ' ' && *at != 0x7f) {
        at++;
    }
    return at != text && *at == '\0';
}

static bool is_text(const struct cq_option *o, const char *text)
{
    int64_t length = 0;

    while (text[length] >= ' ' && text[length] <= '~') {
        length++;
    }
    return text[length] == '\0' && length >= o->least && length <= o->most;
}

static bool append(const struct reader *r, const struct cq_option *o,
                   const char *text, struct cq_texts *list)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (strcmp(list->texts[i], text) == 0) {
            return WRONG(r, "--%s %s: given twice, expected each once",
                         o->name, text);
        }
    }
    if (list->count == CQ_TEXTS_MAX) {
        return WRONG(r, "--%s %s: expected at most %d of these", o->name, text,
                     CQ_TEXTS_MAX);
    }
    list->texts[list->count++] = text;
    return true;
}

static bool read_net(const struct reader *r, const struct cq_option *o,
                     const char *text, struct cq_net_list *nets)
{
    const char *why = NULL;
    struct cq_key key;

    if (cq_key_parse(&key, text, &why) != CQ_OK) {
        return WRONG(r, "--%s \"%s\": %s, e.g. --%s 192.0.2.0/24", o->name,
                     text, why, o->name);
    }
    return cq_net_has(nets, &key) || cq_net_add(nets, &key, 0) == CQ_OK
        || WRONG(r, "--%s %s: out of memory", o->name, text);
}

static bool read_value(const struct reader *r, const struct cq_option *o,
                       const char *text)
{
    void *at = (char *)r->into + o->offset;
    const char *expected = o->expected;
    bool good = true, is_list = false;
    int64_t amount = -1;            /* none is less than 0 */

    switch (o->kind) {
    case CQ_OPTION_FLAG:
        *(bool *)at = true;
        return true;
    case CQ_OPTION_NETS:
        return read_net(r, o, text, at);
    case CQ_OPTION_NUMBER:
    case CQ_OPTION_DURATION:
    case CQ_OPTION_SIZE:
        good = is_amount(o, text, &amount);
        break;
    case CQ_OPTION_TEXT:
        good = is_text(o, text);
        break;
    case CQ_OPTION_FILE:
    case CQ_OPTION_FILES:
        good = is_file_name(text);
        expected = "the name of a file, without control characters";
        is_list = o->kind == CQ_OPTION_FILES;
        break;
    case CQ_OPTION_POOLS:
        good = cq_table_is_pool_name(text);
        expected = "the name of a pool, 1 to 31 letters, digits, dots, _ or "
                   "-, e.g. --pool default";
        is_list = true;
        break;
    case CQ_OPTION_TEXTS:
        is_list = true;
        break;
    }
    if (!good) {
        return WRONG(r, "--%s \"%s\": expected %s", o->name, text, expected);
    }
    if (is_list) {
        return append(r, o, text, at);
    }
    if (amount >= 0) {
        *(int64_t *)at = amount;
    }
    else {
        *(const char **)at = text;
    }
    return true;
}

/* ---- the line ---- */

/* @param i  below option_n + 2 */
static const struct cq_option *option_at(const struct cq_program *program,
                                         size_t i)
{
    return i < program->option_n ? &program->options[i]
                                 : &common[i - program->option_n];
}

static void print_usage(const struct cq_program *program, FILE *out)
{
    size_t i;

    fputs(program->usage, out);
    for (i = 0; i < program->option_n + 2; i++) {
        const struct cq_option *o = option_at(program, i);
        const char *line = o->help, *end;
        char words[80];

        snprintf(words, sizeof(words), "%s%.1s%s--%s%s%s",
                 o->letter != 0 ? "-" : "", &o->letter,
                 o->letter != 0 ? ", " : "", o->name,
                 o->value != NULL ? " " : "",
                 o->value != NULL ? o->value : "");
        for (; line != NULL; line = *end == '\n' ? end + 1 : NULL) {
            end = strchrnul(line, '\n');
            fprintf(out, "  %-19s%.*s\n", line == o->help ? words : "",
                    (int)(end - line), line);
        }
    }
    fputs(program->more, out);
}

/* Makes getopt's two tables. */
static void make_tables(const struct cq_program *program, char *letters,
                        struct option *words)
{
    size_t i;

    *letters++ = ':';
    for (i = 0; i < program->option_n + 2; i++) {
        const struct cq_option *o = option_at(program, i);

        if (o->letter != 0) {
            *letters++ = o->letter;
            if (o->value != NULL) {
                *letters++ = ':';
            }
        }
        words[i] = (struct option){
            o->name, o->value != NULL ? required_argument : no_argument, NULL,
            FIRST_NUMBER + (int)i
        };
    }
    *letters = '\0';
    memset(&words[i], 0, sizeof(words[i]));
}

/* One that getopt did not understand. */
static bool refuse(const struct reader *r, int option, const char *given)
{
    const char *name = r->program->name;

    if (option == ':') {
        return WRONG(r, "%s: expected a value behind it; see %s --help",
                     given, name);
    }
    /* a letter that is none, a word that is none or of several, or a value
     * where none is taken */
    if (optopt > 0 && optopt < FIRST_NUMBER) {
        return WRONG(r, "-%c: no such option; see %s --help", optopt, name);
    }
    return WRONG(r, optopt != 0 ? "%s: takes no value; see %s --help"
                                : "%s: no such option; see %s --help", given,
                 name);
}

static const struct cq_option *find_option(const struct cq_program *program,
                                           int option)
{
    size_t i;

    for (i = 0; i < program->option_n + 2; i++) {
        const struct cq_option *o = option_at(program, i);

        if (option == FIRST_NUMBER + (int)i
            || (option == o->letter && option != 0)) {
            return o;
        }
    }
    return NULL;
}

static enum cq_options_result read_line(const struct reader *r, int argc,
                                        char **argv, FILE *out)
{
    const struct cq_program *program = r->program;
    struct option words[OPTIONS_MAX + 3];
    char letters[2 * OPTIONS_MAX + 6];
    int option;

    make_tables(program, letters, words);
    /* glibc: begin anew, also after a line that was not read to its end */
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, letters, words, NULL)) != -1) {
        const struct cq_option *o = find_option(program, option);

        if (o == help) {
            print_usage(program, out);
            return CQ_OPTIONS_DONE;
        }
        if (o == version) {
            fprintf(out, "%s " CQ_VERSION "\n", program->name);
            return CQ_OPTIONS_DONE;
        }
        if (o == NULL ? !refuse(r, option, argv[optind - 1])
                      : !read_value(r, o, optarg)) {
            return CQ_OPTIONS_WRONG;
        }
    }
    if (argc - optind > program->operand_n) {
        (void)WRONG(r, program->operand_n == 0
                    ? "\"%s\": expected only options; see %s --help"
                    : "\"%s\": one operand too many; see %s --help",
                    argv[optind + program->operand_n], program->name);
        return CQ_OPTIONS_WRONG;
    }
    return CQ_OPTIONS_RUN;
}

enum cq_options_result cq_options_read(const struct cq_program *program,
                                       void *into, int argc, char **argv,
                                       int *first, FILE *out, FILE *err)
{
    struct cq_say say;
    const struct reader r = { program, into, &say };
    enum cq_options_result result;

    cq_say_open(&say, program->name, err, false);
    result = read_line(&r, argc, argv, out);
    cq_say_close(&say);
    *first = optind;
    return result;
}
