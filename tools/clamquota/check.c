/* check - clamquota check: verifies the table of counters. */
#include "clamquota/command.h"

#include "cli/attach.h"
#include "cli/options.h"
#include "core/paths.h"

struct check {
    const char *table;
};

static const struct cq_option options[] = {
    { .name = "table", .value = "FILE", .kind = CQ_OPTION_FILE,
      .offset = offsetof(struct check, table),
      .help = "the counters [" CQ_TABLE_PATH "]" }
};

static const struct cq_program program = {
    .name = "clamquota check",
    .usage = "Usage: clamquota check [OPTION]...\n"
        "Verifies the table of counters, also of a running server.\n\n",
    .more = "\nExit status: 0 the table is in order, 2 usage, 4 not\n"
        "permitted, 6 no table, or a damaged one.\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0])
};

enum cq_exit cq_command_check(int argc, char **argv, FILE *out, FILE *err)
{
    struct check c = { .table = CQ_TABLE_PATH };
    struct cq_table *table;
    char why[CQ_WHY_SIZE];
    enum cq_exit result;
    int first, wrong;

    switch (cq_options_read(&program, &c, argc, argv, &first, out, err)) {
    case CQ_OPTIONS_RUN:
        break;
    case CQ_OPTIONS_DONE:
        return CQ_EXIT_DONE;
    case CQ_OPTIONS_WRONG:
        return CQ_EXIT_USAGE;
    }
    result = cq_attach_open(c.table, CQ_ATTACH_READ, &table, why, sizeof(why));
    if (result != CQ_EXIT_DONE) {
        fprintf(err, "clamquota check: %s\n", why);
        return result;
    }
    wrong = cq_table_check(table, false, out);
    cq_tablefile_close(table);
    return wrong == 0 ? CQ_EXIT_DONE : CQ_EXIT_NO_TABLE;
}
