/* check - clamquota check: verifies the table of counters. */
#include "clamquota/command.h"

#include "clamquota/look.h"

static const struct cq_option options[] = {
    CQ_LOOK_TABLE
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
static enum cq_exit run(void *command, struct cq_look *look)
{
    FILE *out = look->output.file;
    bool in_use = cq_tablefile_is_in_use(look->table);
    int wrong = cq_table_check(look->table, false, out);
    enum cq_exit result = cq_look_confirm(look);

    (void)command;
    if (result != CQ_EXIT_DONE) {
        return result;
    }
    if (wrong > 0) {
        cq_say_trouble(&look->say, "%s: is damaged; the next start of httpd "
                       "repairs it or sets it aside", look->path);
        return CQ_EXIT_NO_TABLE;
    }
    if (!in_use) {
        wrong = cq_table_check(look->table, true, out);
    }
    if (wrong < 0) {
        cq_say_trouble(&look->say, "out of memory");
        return CQ_EXIT_PARTLY;
    }
    if (wrong > 0) {
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
    static const struct cq_look_command command = { &program, NULL, run };
    const char *table = CQ_TABLE_PATH;

    return cq_look_run(&command, &table, argc, argv, out, err);
}
