/* reset - clamquota reset: what clients have used is forgotten. */
#include "clamquota/command.h"

#include "clamquota/target.h"
#include "render/link.h"

#include <inttypes.h>

struct reset {
    const char *table;
    bool all;
    bool yes;
    struct cq_key nets[2];
};

static const struct cq_option options[] = {
    { .name = "all", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct reset, all),
      .help = "every client" },
    { .name = "yes", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct reset, yes),
      .help = "do not ask before more than one client is reset" },
    CQ_LOOK_TABLE
};

static const struct cq_program program = {
    .name = "clamquota reset",
    .usage = "Usage: clamquota reset ADDR|CIDR|--all [OPTION]...\n"
        "Sets the used bytes of a client to zero, in every pool and on every\n"
        "node of a cluster: it may download again at once.\n\n",
    .more = "\nExit status: 0 done, 1 the answer was no, 2 usage, 4 not\n"
        "permitted, 6 no table.\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0]),
    .operand_n = 1
};

static bool check_usage(void *command, struct cq_look *look,
                        const char *operand, enum cq_attach_access *access)
{
    struct reset *r = command;

    *access = CQ_ATTACH_WRITE;
    if (!r->all) {
        return cq_target_read(look, operand, &r->nets[0]);
    }
    if (operand != NULL) {
        cq_say_trouble(&look->say, "\"%s\" and --all: expected one of the "
                       "two", operand);
    }
    return operand == NULL;
}

static enum cq_exit run(void *command, struct cq_look *look)
{
    struct reset *r = command;
    struct cq_key *nets = r->nets;
    size_t net_n = r->all ? 2 : 1;
    FILE *out = look->output.file;
    bool is_client = net_n == 1 && cq_target_is_client(look, &nets[0]);
    enum cq_exit result = CQ_EXIT_DONE;
    int64_t clients = 0, rows = 0;
    char name[CQ_KEY_TEXT_SIZE] = "all clients";
    size_t i;

    if (net_n == 1) {
        cq_link_client(&nets[0], name, sizeof(name));
    }
    for (i = 0; !is_client && i < net_n && result == CQ_EXIT_DONE; i++) {
        int64_t n;

        result = cq_target_count_clients(look, &nets[i], &n);
        clients += n;
    }
    if (result == CQ_EXIT_DONE && clients > 1 && !r->yes) {
        result = cq_target_ask(look, "reset %s, %" PRId64 " clients", name,
                               clients);
    }
    if (result != CQ_EXIT_DONE) {
        return result;
    }
    for (i = 0; i < net_n; i++) {
        rows += cq_table_reset(look->table, &nets[i], &look->clock);
    }
    if (rows > 0) {
        fprintf(out, "%s: reset, %" PRId64 " row%s", name, rows,
                rows > 1 ? "s" : "");
    }
    else {
        fprintf(out, "%s: nothing was counted here", name);
    }
    fputs(cq_table_has_cluster(look->table)
          ? "; the other nodes reset it, too\n" : "\n", out);
    return cq_look_confirm(look);
}

enum cq_exit cq_command_reset(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct cq_look_command command = { &program, check_usage,
                                                    run };
    struct reset r = { .table = CQ_TABLE_PATH,
                       .nets = { { .family = 4 }, { .family = 6 } } };

    return cq_look_run(&command, &r, argc, argv, out, err);
}
