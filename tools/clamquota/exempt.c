/* exempt - clamquota exempt: clients that no quota refuses for a time. */
#include "clamquota/command.h"

#include "clamquota/client_words.h"
#include "clamquota/columns.h"
#include "clamquota/target.h"
#include "core/units.h"
#include "render/link.h"
#include "render/words.h"
#include "table/exempt.h"

#include <unistd.h>

struct exempt {
    const char *table;
    int64_t for_s;
    bool end;
    bool list;
    bool yes;
    struct cq_key net;
};

static const struct cq_option options[] = {
    { .name = "for", .value = "DURATION", .kind = CQ_OPTION_DURATION,
      .offset = offsetof(struct exempt, for_s), .least = 1,
      .most = CQ_DURATION_MAX_MS / 1000,
      .expected = "a duration from 1s to 366d, e.g. --for 1d",
      .help = "from now on; also changes until when" },
    { .name = "end", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct exempt, end),
      .help = "ends the exemption of this address or network" },
    { .name = "list", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct exempt, list),
      .help = "prints the exemptions" },
    { .name = "yes", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct exempt, yes),
      .help = "do not ask before more than one client is exempt" },
    CQ_LOOK_TABLE
};

static const struct cq_program program = {
    .name = "clamquota exempt",
    .usage = "Usage: clamquota exempt ADDR|CIDR --for DURATION [--yes]\n"
        "       clamquota exempt ADDR|CIDR --end\n"
        "       clamquota exempt --list\n"
        "No quota refuses an exempt client, and clamquota-sync does not jail\n"
        "it, in any pool, also after a restart. It is still counted.\n"
        "0.0.0.0/0 and ::/0 pause the quota.\n\n",
    .more = "\nExit status: 0 done, 1 the answer was no, the list is full, or\n"
        "there is no such exemption, 2 usage, 4 not permitted, 6 no table.\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0]),
    .operand_n = 1
};

static const struct cq_column columns[] = {
    { "EXEMPT", false }, { "UNTIL", false }, { "LEFT", false }
};

static enum cq_exit list_exemptions(struct cq_look *look)
{
    struct cq_exemption *all = cq_look_alloc(look, CQ_EXEMPTIONS_MAX
                                                   * sizeof(*all));
    char text[CQ_KEY_TEXT_SIZE];
    struct cq_period period;
    struct cq_columns c;
    size_t i, n;

    if (all == NULL) {
        return cq_look_report_no_memory(look);
    }
    cq_table_period(look->table, &period);
    n = cq_exempt_list(look->table, look->clock.now_s, all);
    cq_columns_begin(&c, columns, sizeof(columns) / sizeof(columns[0]));
    for (i = 0; i < n; i++) {
        cq_columns_text(&c, CQ_STYLE_PLAIN,
                        cq_link_client(&all[i].net, text, sizeof(text)));
        cq_client_moment(cq_columns_cell(&c, CQ_STYLE_PLAIN), &period,
                         all[i].until_s);
        cq_words_duration(cq_columns_cell(&c, CQ_STYLE_PLAIN),
                          all[i].until_s - look->clock.now_s);
    }
    if (!cq_columns_end(&c, &look->output)) {
        return cq_look_report_no_memory(look);
    }
    return cq_look_confirm(look);
}

static enum cq_exit report_failure(struct cq_look *look, const char *name,
                                   enum cq_status status)
{
    if (status == CQ_ENOENT) {
        cq_say_trouble(&look->say, "%s: is not exempt, expected an address or "
                       "a network as in clamquota exempt --list", name);
    }
    else if (status == CQ_EFULL) {
        cq_say_trouble(&look->say, "%s: %d networks are exempt already, the "
                       "most there can be; end one with clamquota exempt CIDR "
                       "--end, or exempt a larger network", name,
                       CQ_EXEMPTIONS_MAX);
    }
    else {
        cq_say_trouble(&look->say, "%s: %s", name, cq_status_word(status));
    }
    return CQ_EXIT_PARTLY;
}

static enum cq_exit change_exemption(struct exempt *e, struct cq_look *look)
{
    struct cq_key *net = &e->net;
    bool is_client = cq_target_is_client(look, net);
    char name[CQ_KEY_TEXT_SIZE];
    enum cq_exit result = CQ_EXIT_DONE;
    enum cq_status status;
    struct cq_period period;
    struct cq_writer writer;
    int64_t now_s = look->clock.now_s;

    cq_link_client(net, name, sizeof(name));
    /* without a terminal it needs no --yes: --end takes it back */
    if (!e->end && !is_client && !e->yes && isatty(STDIN_FILENO) != 0) {
        result = cq_target_ask(look, "exempt %s, each client in it", name);
    }
    if (result != CQ_EXIT_DONE) {
        return result;
    }
    status = e->end ? cq_exempt_end(look->table, net, now_s)
                    : cq_exempt_set(look->table, net, now_s + e->for_s, now_s);
    if (status != CQ_OK) {
        return report_failure(look, name, status);
    }
    cq_write_begin(&writer, &look->output.sink);
    cq_write_raw(&writer, name);
    cq_write_raw(&writer, e->end ? ": is no longer exempt"
                                 : ": is exempt until ");
    if (!e->end) {
        cq_table_period(look->table, &period);
        cq_client_moment(&writer, &period, now_s + e->for_s);
    }
    cq_write_raw(&writer, "\n");
    cq_write_end(&writer);
    return cq_look_confirm(look);
}

static bool check_usage(void *command, struct cq_look *look,
                        const char *operand, enum cq_attach_access *access)
{
    struct exempt *e = command;

    *access = e->list ? CQ_ATTACH_READ : CQ_ATTACH_WRITE;
    if (e->list && operand == NULL && !e->end && e->for_s == 0) {
        return true;
    }
    if (e->list || e->end == (e->for_s > 0)) {
        cq_say_trouble(&look->say, "expected ADDR --for DURATION, ADDR --end "
                       "or --list, e.g. clamquota exempt 198.51.100.7 --for "
                       "1d");
        return false;
    }
    return cq_target_read(look, operand, &e->net);
}

static enum cq_exit run(void *command, struct cq_look *look)
{
    struct exempt *e = command;

    return e->list ? list_exemptions(look) : change_exemption(e, look);
}

enum cq_exit cq_command_exempt(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct cq_look_command command = { &program, check_usage,
                                                    run };
    struct exempt e = { .table = CQ_TABLE_PATH };

    return cq_look_run(&command, &e, argc, argv, out, err);
}
