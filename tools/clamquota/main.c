/* main - clamquota: the operator's command. Finds the subcommand in a table
 * and runs it. */
#include "clamquota/command.h"

#include "cli/output.h"
#include "cli/say.h"
#include "core/version.h"

#include <string.h>

static const struct command {
    const char *name;
    cq_command_fn *run;
    const char *help;
} commands[] = {
    { "report", cq_command_report, "list the clients of this period" },
    { "show", cq_command_show, "explain why a client is refused" },
    { "reset", cq_command_reset, "set the used bytes of clients to zero" },
    { "exempt", cq_command_exempt, "let clients download without a quota" },
    { "top", cq_command_top, "show which clients download now" },
    { "cluster", cq_command_cluster, "show the nodes that share counters" },
    { "check", cq_command_check, "verify the table of counters" },
    { "replay", cq_command_replay, "show the effect of quotas on access logs" },
    { "feed", cq_command_feed, "count an access log from standard input" },
    { "export", cq_command_export, "print the counters as SQL" }
};

#define COMMAND_N (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
    size_t i;

    fputs("Usage: clamquota COMMAND [OPTION...]\n"
          "Commands (clamquota COMMAND --help prints the options of one):\n",
          out);
    for (i = 0; i < COMMAND_N; i++) {
        fprintf(out, "  %-9s%s\n", commands[i].name, commands[i].help);
    }
    fputs("The manual page is clamquota(8).\n", out);
}

static const struct command *find_command(const char *name)
{
    size_t i;

    for (i = 0; i < COMMAND_N; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static enum cq_exit run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct command *command = find_command(name);
    struct cq_say say;

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_usage(stdout);
        return CQ_EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("clamquota " CQ_VERSION);
        return CQ_EXIT_DONE;
    }
    if (command != NULL) {
        return command->run(argc - 1, argv + 1, stdout, stderr);
    }
    if (argc > 1) {
        cq_say_open(&say, "clamquota", stderr, false);
        cq_say_trouble(&say, "\"%s\": no such command; see clamquota --help, "
                       "e.g. clamquota report", name);
        cq_say_close(&say);
    }
    else {
        print_usage(stderr);
    }
    return CQ_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    return cq_output_fill_streams("clamquota")
        ? (int)cq_exit_flush("clamquota", run(argc, argv)) : CQ_EXIT_PARTLY;
}
