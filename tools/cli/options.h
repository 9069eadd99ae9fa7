/* options - command lines from a table: each option is a row, whose value is
 * checked as a whole and refused with one sentence that shows a good one. The
 * usage text is printed from the same table. */
#ifndef CQ_CLI_OPTIONS_H
#define CQ_CLI_OPTIONS_H

#include "core/net.h"

#include <stdio.h>

/* times that an option may be repeated */
#define CQ_TEXTS_MAX 64

struct cq_texts {
    const char *texts[CQ_TEXTS_MAX];    /* of argv, or static */
    size_t count;
};

/* what an option writes at its offset */
enum cq_option_kind {
    CQ_OPTION_FLAG,             /* bool */
    CQ_OPTION_FILE,             /* const char *: the name of a file */
    CQ_OPTION_NUMBER,           /* int64_t, from least to most */
    CQ_OPTION_DURATION,         /* int64_t, seconds from least to most */
    CQ_OPTION_SIZE,             /* int64_t, bytes from least to most */
    CQ_OPTION_TEXT,             /* const char *: least to most printable
                                 * ASCII characters */
    CQ_OPTION_TEXTS,            /* struct cq_texts: each once */
    CQ_OPTION_FILES,            /* struct cq_texts: names of files, each once */
    CQ_OPTION_POOLS,            /* struct cq_texts: names of pools, each once */
    CQ_OPTION_NETS              /* struct cq_net_list, not sealed */
};

struct cq_option {
    char letter;                /* 0: none */
    const char *name;           /* without dashes */
    const char *value;          /* its name in the usage; NULL: a flag */
    enum cq_option_kind kind;
    size_t offset;              /* in what cq_options_read() fills in */
    int64_t least;
    int64_t most;
    /* for the kinds with least and most, what the sentence says is expected:
     * "a number of refusals from 1 to 100, e.g. --after 20" */
    const char *expected;
    const char *help;           /* lines of at most 59 characters */
};

struct cq_program {
    const char *name;
    const char *usage;          /* lines before the table of options */
    const char *more;           /* and after it */
    const struct cq_option *options;
    size_t option_n;            /* at most 40 */
    int operand_n;              /* at most, behind the options */
};

enum cq_options_result {
    CQ_OPTIONS_RUN,
    CQ_OPTIONS_DONE,            /* --help or --version: printed */
    CQ_OPTIONS_WRONG            /* one sentence was printed; exit 2 */
};

/** Reads a command line. --help and --version belong to every program. Not for
 * two threads at once (getopt).
 * @param into   filled in beforehand with the defaults
 * @param argv   its order may be changed: operands go to the end
 * @param first  result: index of the first operand in argv, argc for none
 * @param out    gets --help and --version
 * @param err    gets the sentence */
enum cq_options_result cq_options_read(const struct cq_program *program,
                                       void *into, int argc, char **argv,
                                       int *first, FILE *out, FILE *err);

#endif
