/* check - clamquota check: verifies the table of counters. */
#include "clamquota/command.h"

#include "clamquota/look.h"
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

/* What a server that was killed leaves is no damage: its next start puts it
 * right, and what must hold in motion holds. */
static enum cq_exit check(struct cq_look *look, FILE *out)
{
    bool in_use = cq_tablefile_is_in_use(look->table);
    int wrong = cq_table_check(look->table, false, out);
    enum cq_exit result = cq_look_confirm(look);

    if (result != CQ_EXIT_DONE) {
        return result;
    }
    if (wrong > 0) {
        cq_say_trouble(&look->say, "%s: is damaged; the next start of httpd "
                       "repairs it or sets it aside", look->path);
        return CQ_EXIT_NO_TABLE;
    }
    if (!in_use && cq_table_check(look->table, true, out) > 0) {
        fprintf(out, "%s: in order but for the above, which a server that was "
                "killed left; the next start of httpd repairs it\n",
                look->path);
        return CQ_EXIT_DONE;
    }
    fprintf(out, "%s: in order%s\n", look->path,
            in_use ? ", as far as can be seen while it is in use" : "");
    return CQ_EXIT_DONE;
}

enum cq_exit cq_command_check(int argc, char **argv, FILE *out, FILE *err)
{
    struct check c = { .table = CQ_TABLE_PATH };
    struct cq_look look;
    enum cq_exit result;
    int first;

    if (cq_look_begin(&look, &program, &c, argc, argv, &first, out, err,
                      &result)) {
        result = cq_look_open(&look, c.table, CQ_ATTACH_READ);
        if (result == CQ_EXIT_DONE) {
            result = check(&look, out);
        }
    }
    cq_look_close(&look);
    return result;
}
