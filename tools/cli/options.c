/* options - command lines from a table. */
#include "cli/options.h"

#include "core/units.h"
#include "core/version.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#define OPTIONS_MAX 40

/* as in table.h: CQ_POOL_NAME_SIZE with its NUL */
#define POOL_NAME_MAX 31

/* getopt's numbers of the options without a letter */
#define FIRST_NUMBER 256
#define HELP 'h'
#define VERSION 'V'

struct reader {
    const struct cq_program *program;
    void *into;
    FILE *err;
};

static bool wrong(const struct reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints the sentence, on one line whatever bytes it quotes. */
static bool wrong(const struct reader *r, const char *format, ...)
{
    char text[1024], *at;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            *at = '?';
        }
    }
    fprintf(r->err, "%s: %s\n", r->program->name, text);
    return false;
}

/* ---- values ---- */

static bool read_file_name(const struct reader *r, const struct cq_option *o,
                           const char *text, const char **file)
{
    const char *at;

    for (at = text; *at != '\0'; at++) {
        /* messages show names, one a line */
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            break;
        }
    }
    if (at == text || *at != '\0') {
        return wrong(r, "--%s \"%s\": expected the name of a file, without "
                     "control characters", o->name, text);
    }
    *file = text;
    return true;
}

static bool append(const struct reader *r, const struct cq_option *o,
                   const char *text, struct cq_texts *list)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (strcmp(list->texts[i], text) == 0) {
            return wrong(r, "--%s %s: given twice, expected each once",
                         o->name, text);
        }
    }
    if (list->count == CQ_TEXTS_MAX) {
        return wrong(r, "--%s %s: expected at most %d of these", o->name, text,
                     CQ_TEXTS_MAX);
    }
    list->texts[list->count++] = text;
    return true;
}

static bool read_pool(const struct reader *r, const struct cq_option *o,
                      const char *text, struct cq_texts *pools)
{
    if (*text == '\0' || strlen(text) > POOL_NAME_MAX
        || text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "abcdefghijklmnopqrstuvwxyz0123456789._-")] != '\0') {
        return wrong(r, "--%s \"%s\": expected the name of a pool, 1 to %d "
                     "letters, digits, dots, _ or -, e.g. --%s default",
                     o->name, text, POOL_NAME_MAX, o->name);
    }
    return append(r, o, text, pools);
}

/* Digits only, up to what the option allows. */
static bool parse_number(const char *text, int64_t most, int64_t *number)
{
    int64_t n = 0;
    const char *at;

    for (at = text; *at >= '0' && *at <= '9' && n <= most; at++) {
        n = n > INT64_MAX / 10 - 1 ? INT64_MAX : n * 10 + (*at - '0');
    }
    *number = n;
    return at != text && *at == '\0';
}

static bool read_amount(const struct reader *r, const struct cq_option *o,
                        const char *text, int64_t *amount)
{
    int64_t n = 0;
    bool good = o->kind == CQ_OPTION_NUMBER
        ? parse_number(text, o->most, &n)
        : (o->kind == CQ_OPTION_SIZE ? cq_size_parse
                                     : cq_duration_parse_s)(text, &n) == CQ_OK;

    if (!good || n < o->least || n > o->most) {
        return wrong(r, "--%s \"%s\": expected %s", o->name, text,
                     o->expected);
    }
    *amount = n;
    return true;
}

static bool read_text(const struct reader *r, const struct cq_option *o,
                      const char *text, const char **into)
{
    int64_t length = 0;

    while (text[length] >= ' ' && text[length] <= '~') {
        length++;
    }
    if (text[length] != '\0' || length < o->least || length > o->most) {
        return wrong(r, "--%s \"%s\": expected %s", o->name, text,
                     o->expected);
    }
    *into = text;
    return true;
}

static bool read_net(const struct reader *r, const struct cq_option *o,
                     const char *text, struct cq_net_list *nets)
{
    const char *why = NULL;
    struct cq_key key;

    if (cq_key_parse(&key, text, &why) != CQ_OK) {
        return wrong(r, "--%s \"%s\": %s, e.g. --%s 192.0.2.0/24", o->name,
                     text, why, o->name);
    }
    return cq_net_has(nets, &key) || cq_net_add(nets, &key, 0) == CQ_OK
        || wrong(r, "--%s %s: out of memory", o->name, text);
}

static bool read_value(const struct reader *r, const struct cq_option *o,
                       const char *text)
{
    void *at = (char *)r->into + o->offset;

    switch (o->kind) {
    case CQ_OPTION_FLAG:
        *(bool *)at = true;
        return true;
    case CQ_OPTION_FILE:
        return read_file_name(r, o, text, at);
    case CQ_OPTION_NUMBER:
    case CQ_OPTION_DURATION:
    case CQ_OPTION_SIZE:
        return read_amount(r, o, text, at);
    case CQ_OPTION_TEXT:
        return read_text(r, o, text, at);
    case CQ_OPTION_TEXTS:
        return append(r, o, text, at);
    case CQ_OPTION_FILES:
        return read_file_name(r, o, text, &text) && append(r, o, text, at);
    case CQ_OPTION_POOLS:
        return read_pool(r, o, text, at);
    case CQ_OPTION_NETS:
        return read_net(r, o, text, at);
    }
    return false;
}

/* ---- the line ---- */

static void print_usage(const struct cq_program *program, FILE *out)
{
    static const struct cq_option ours[] = {
        { .letter = HELP, .name = "help", .help = "this text" },
        { .letter = VERSION, .name = "version", .help = CQ_VERSION }
    };
    size_t i;

    fputs(program->usage, out);
    for (i = 0; i < program->option_n + 2; i++) {
        const struct cq_option *o = i < program->option_n
            ? &program->options[i] : &ours[i - program->option_n];
        const char *help = o->help, *end;
        char words[80] = "";

        snprintf(words, sizeof(words), "%s%.1s%s%s%s%s%s",
                 o->letter != 0 ? "-" : "",
                 o->letter != 0 ? &o->letter : "",
                 o->letter != 0 && o->name != NULL ? ", " : "",
                 o->name != NULL ? "--" : "", o->name != NULL ? o->name : "",
                 o->value != NULL ? " " : "",
                 o->value != NULL ? o->value : "");
        for (; help != NULL; help = end) {
            end = strchr(help, '\n');
            fprintf(out, "  %-19s%.*s\n", help == o->help ? words : "",
                    end != NULL ? (int)(end - help) : (int)strlen(help), help);
            end = end != NULL ? end + 1 : NULL;
        }
    }
    fputs(program->more, out);
}

/* Makes getopt's two tables. */
static void make_tables(const struct cq_program *program, char *letters,
                        struct option *words)
{
    size_t i, n = 0;

    *letters++ = ':';
    *letters++ = HELP;
    *letters++ = VERSION;
    words[n++] = (struct option){ "help", no_argument, NULL, HELP };
    words[n++] = (struct option){ "version", no_argument, NULL, VERSION };
    for (i = 0; i < program->option_n && i < OPTIONS_MAX; i++) {
        const struct cq_option *o = &program->options[i];

        if (o->letter != 0) {
            *letters++ = o->letter;
            if (o->value != NULL) {
                *letters++ = ':';
            }
        }
        if (o->name != NULL) {
            words[n++] = (struct option){
                o->name, o->value != NULL ? required_argument : no_argument,
                NULL, FIRST_NUMBER + (int)i
            };
        }
    }
    *letters = '\0';
    memset(&words[n], 0, sizeof(words[n]));
}

/* One that getopt did not understand. */
static bool refuse(const struct reader *r, int option, const char *given)
{
    const char *name = r->program->name;

    if (option == ':') {
        return wrong(r, "%s: expected a value behind it; see %s --help",
                     given, name);
    }
    /* a letter that is none, a word that is none or of several, or a value
     * where none is taken */
    if (optopt > 0 && optopt < FIRST_NUMBER) {
        return wrong(r, "-%c: no such option; see %s --help", optopt, name);
    }
    return wrong(r, optopt != 0 ? "%s: takes no value; see %s --help"
                                : "%s: no such option; see %s --help", given,
                 name);
}

static const struct cq_option *find_option(const struct cq_program *program,
                                           int option)
{
    size_t i;

    for (i = 0; i < program->option_n; i++) {
        if (option == FIRST_NUMBER + (int)i
            || (option == program->options[i].letter && option != 0)) {
            return &program->options[i];
        }
    }
    return NULL;
}

enum cq_options_result cq_options_read(const struct cq_program *program,
                                       void *into, int argc, char **argv,
                                       int *first, FILE *out, FILE *err)
{
    const struct reader r = { program, into, err };
    struct option words[OPTIONS_MAX + 3];
    char letters[2 * OPTIONS_MAX + 4];
    int option;

    make_tables(program, letters, words);
    /* glibc: begin anew, also after a line that was not read to its end */
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, letters, words, NULL)) != -1) {
        const struct cq_option *o = find_option(program, option);

        if (option == HELP) {
            print_usage(program, out);
            return CQ_OPTIONS_DONE;
        }
        if (option == VERSION) {
            fprintf(out, "%s " CQ_VERSION "\n", program->name);
            return CQ_OPTIONS_DONE;
        }
        if (o == NULL ? !refuse(&r, option, argv[optind - 1])
                      : !read_value(&r, o, optarg)) {
            return CQ_OPTIONS_WRONG;
        }
    }
    if (argc - optind > program->operand_n) {
        wrong(&r, program->operand_n == 0
              ? "\"%s\": expected only options; see %s --help"
              : "\"%s\": one operand too many; see %s --help",
              argv[optind + program->operand_n], program->name);
        return CQ_OPTIONS_WRONG;
    }
    *first = optind;
    return CQ_OPTIONS_RUN;
}
