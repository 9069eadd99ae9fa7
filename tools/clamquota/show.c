/* show - clamquota show: one client, why it is refused, and the commands that
 * free it. */
#include "clamquota/show.h"

#include "clamquota/client_table.h"
#include "clamquota/client_words.h"
#include "clamquota/command.h"
#include "clamquota/target.h"
#include "core/units.h"
#include "render/copies.h"
#include "render/link.h"
#include "render/scan.h"
#include "render/words.h"
#include "table/changes.h"

#include <string.h>

/* clients that are shown of a network */
#define CLIENTS_SHOWN 20
#define CHANGES_SHOWN 10

struct show {
    const char *table;
    struct cq_show lines;
    struct cq_key address;      /* as it was asked for */
    struct cq_key target;       /* its client, or network */
    bool is_over;               /* something that a reset ends */
    bool is_jailed;
    bool is_denied;             /* by a deny file */
};

static const struct cq_option options[] = {
    { .name = "deny-file", .value = "FILE", .kind = CQ_OPTION_FILES,
      .offset = offsetof(struct show, lines.deny_files),
      .help = "where to look for the line that denies it; may be\n"
              "repeated [the files that clamquota-sync reported]" },
    { .name = "jail", .value = "JAIL", .kind = CQ_OPTION_TEXTS,
      .offset = offsetof(struct show, lines.jails),
      .help = "where to look for it, as clamquota-sync takes it; may\n"
              "be repeated [the jail that clamquota-sync reported]" },
    CQ_LOOK_TABLE
};

static const struct cq_program program = {
    .name = "clamquota show",
    .usage = "Usage: clamquota show ADDR|CIDR [OPTION]...\n"
        "Shows why a client is refused, since when, until when, and the\n"
        "commands that admit it again; for a network, its clients. For root\n"
        "it asks the kernel whether a jail holds the client.\n\n",
    .more = "\nExit status: 0 done, 2 usage, 4 not permitted, 6 no table.\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0]),
    .operand_n = 1
};

/* ---- lines ---- */

struct cq_writer *cq_show_line(struct cq_show *s, const char *label)
{
    cq_output_label(&s->look->output, label);
    cq_write_begin(&s->writer, &s->look->output.sink);
    return &s->writer;
}

void cq_show_end(struct cq_show *s)
{
    cq_write_raw(&s->writer, "\n");
    cq_write_end(&s->writer);
}

void cq_show_moment(struct cq_show *s, int64_t when_s)
{
    int64_t now_s = s->look->clock.now_s;

    cq_client_moment(&s->writer, &s->look->view.period, when_s);
    cq_write_raw(&s->writer, when_s > now_s ? ", in " : ", ");
    cq_words_duration(&s->writer, when_s > now_s ? when_s - now_s
                                                 : now_s - when_s);
    cq_write_raw(&s->writer, when_s > now_s ? "" : " ago");
}

/* ---- a client in a pool ---- */

static void show_state(struct show *s, const struct cq_look_client *judged)
{
    const struct cq_view_client *c = &judged->client;
    const struct cq_usage usage = { c->used_bytes, c->in_flight_bytes };
    struct cq_writer *w = cq_show_line(&s->lines, "state");

    if (c->exempt_until_s > 0) {
        cq_write_raw(w, "exempt until ");
        cq_show_moment(&s->lines, c->exempt_until_s);
    }
    else if (judged->policy.policy.daily_bytes == 0) {
        cq_write_raw(w, "ok: no ClamQuotaDaily applies in this pool now");
    }
    else if (c->state == CQ_STATE_EXEMPT) {
        cq_write_raw(w, "ok: no quota applies to it");
    }
    else if (c->state == CQ_STATE_OVER) {
        cq_write_raw(w, judged->pool.refuses ? "over quota, refused"
                     : "over quota, not refused: this pool only logs");
        if (c->over_since_s > 0) {
            cq_write_raw(w, ", since ");
            cq_show_moment(&s->lines, c->over_since_s);
        }
        s->is_over = true;
    }
    else if (cq_policy_state(&judged->policy.policy, &usage,
                             s->lines.look->clock.day) == CQ_STATE_BUSY) {
        cq_write_raw(w, "busy: its open transfers reserve the rest of its "
                        "allowance; refused until one of them ends");
    }
    else {
        cq_write_raw(w, "ok");
    }
    cq_show_end(&s->lines);
}

static void show_allowance(struct show *s, const struct cq_look_client *judged)
{
    const struct cq_view_client *c = &judged->client;
    struct cq_writer *w;
    char text[CQ_SIZE_TEXT_SIZE];

    if (judged->policy.policy.daily_bytes == 0) {
        return;
    }
    w = cq_show_line(&s->lines, "rule");
    cq_write_line(w, c->rule);
    cq_write_raw(w, " ");
    cq_write_raw(w, c->daily_bytes == CQ_UNLIMITED ? "Unlimited"
                 : cq_size_format_exact(c->daily_bytes, text, sizeof(text)));
    cq_show_end(&s->lines);
    w = cq_show_line(&s->lines, "allowance");
    cq_client_sum(w, c, s->lines.look->clock.day,
                  judged->policy.policy.grace_bytes);
    cq_write_raw(w, ", used ");
    cq_client_bytes(w, c->used_bytes, "");
    cq_show_end(&s->lines);
}

static void show_traffic(struct show *s, const struct cq_view_client *c,
                         const struct cq_node_shares *answer)
{
    struct cq_writer *w = cq_show_line(&s->lines, "today");

    cq_client_bytes(w, c->today_bytes, " used, ");
    cq_client_count(w, c->refused_today, " times refused");
    cq_show_end(&s->lines);
    w = cq_show_line(&s->lines, "period");
    cq_client_count(w, c->hits, " hits, ");
    cq_client_count(w, c->refused, " refused");
    if (c->would_refuse > 0) {
        cq_write_raw(w, ", ");
        cq_client_count(w, c->would_refuse, " would have been refused");
    }
    cq_write_raw(w, ", ");
    cq_client_bytes(w, c->free_bytes, " free, ");
    cq_client_bytes(w, c->in_flight_bytes, " in flight");
    cq_show_end(&s->lines);
    if (c->last_hit_s > 0) {
        (void)cq_show_line(&s->lines, "last hit");
        cq_show_moment(&s->lines, c->last_hit_s);
        cq_show_end(&s->lines);
    }
    if (answer != NULL) {
        cq_show_nodes(&s->lines, answer);
    }
    else if (c->shared) {
        w = cq_show_line(&s->lines, "nodes");
        cq_client_bytes(w, c->here_used_bytes, " used here, ");
        cq_client_bytes(w, c->used_bytes - c->here_used_bytes,
                        " on the other nodes; which ones is not known now");
        cq_show_end(&s->lines);
    }
}

static void show_readmission(struct show *s, const struct cq_view_client *c)
{
    if (c->state == CQ_STATE_OVER) {
        (void)cq_show_line(&s->lines, "admitted again");
        cq_show_moment(&s->lines, s->lines.look->clock.now_s
                                  + c->retry_after_s);
        cq_show_end(&s->lines);
    }
}

static void show_copies(struct show *s, struct cq_copies_source *source,
                        const struct cq_row *row)
{
    struct cq_view_copy found[CQ_COPIES_SHOWN_MAX];
    size_t i, n;

    if (!cq_copies_repeated(source, row, found, &n)) {
        return;
    }
    for (i = 0; i < n; i++) {
        bool is_refused = found[i].used_bytes >= found[i].allowance_bytes;
        struct cq_writer *w = cq_show_line(&s->lines, is_refused
                                           ? "refused file" : "repeated file");

        cq_write_line(w, found[i].path);
        cq_write_raw(w, ": ");
        cq_client_bytes(w, found[i].used_bytes, " of ");
        cq_client_bytes(w, found[i].allowance_bytes, " today");
        if (is_refused) {
            cq_write_raw(w, ", until ");
            cq_show_moment(&s->lines, s->lines.look->clock.next_day_s);
            s->is_over = true;
        }
        cq_show_end(&s->lines);
    }
}

/* @param answer  NULL: there is none */
static void show_pool(struct show *s, struct cq_copies_source *source,
                      const struct cq_row *row,
                      const struct cq_node_shares *answer)
{
    struct cq_look_client judged;
    struct cq_writer *w;

    cq_look_judge(s->lines.look, row, &judged);
    if (cq_table_pool_count(s->lines.look->table) > 1) {
        w = cq_show_line(&s->lines, "pool");
        cq_write_line(w, judged.pool.name);
        cq_show_end(&s->lines);
    }
    show_state(s, &judged);
    show_allowance(s, &judged);
    show_readmission(s, &judged.client);
    if (cq_scan_has_figures(row)) {
        show_traffic(s, &judged.client, answer);
        show_copies(s, source, row);
    }
    else {
        cq_write_raw(cq_show_line(&s->lines, "period"),
                     "nothing was counted in this period");
        cq_show_end(&s->lines);
    }
    s->is_jailed |= row->jailed;
    if (judged.client.spared != CQ_SPARED_NOT) {
        w = cq_show_line(&s->lines, "jail");
        cq_write_raw(w, "never jailed: ");
        cq_write_raw(w, cq_spared_text(judged.client.spared));
        cq_show_end(&s->lines);
    }
}

/* Each pool in which it has a row; without any those where a quota holds. */
static void show_pools(struct show *s, struct cq_copies_source *source)
{
    const struct cq_look *look = s->lines.look;
    size_t pool, n = cq_table_pool_count(look->table), shown = 0;
    struct cq_node_shares answer;
    struct cq_row row;

    for (pool = 0; pool < n; pool++) {
        bool is_answered = cq_show_ask_nodes(&s->lines, (uint16_t)pool,
                                             &s->target, &answer);

        if (cq_table_row(look->table, (uint16_t)pool, &s->target,
                         &look->clock, &row) == CQ_OK
            && cq_scan_has_figures(&row)) {
            show_pool(s, source, &row, is_answered ? &answer : NULL);
            shown++;
        }
    }
    for (pool = 0; pool < n && shown == 0; pool++) {
        memset(&row, 0, sizeof(row));
        row.key = s->target;
        row.pool = (uint16_t)pool;
        show_pool(s, source, &row, NULL);
    }
}

/* Newest first. */
static void show_changes(struct show *s)
{
    struct cq_change list[CHANGES_SHOWN];
    size_t i, n = cq_changes_read(s->lines.look->table, &s->target, list,
                                  CHANGES_SHOWN);

    for (i = 0; i < n; i++) {
        struct cq_writer *w = cq_show_line(&s->lines, i == 0 ? "changes" : "");

        cq_client_moment(w, &s->lines.look->view.period, list[i].at_s);
        cq_write_raw(w, " ");
        cq_write_raw(w, cq_change_word(list[i].kind));
        cq_show_end(&s->lines);
    }
}

/* ---- what frees it ---- */

static void show_command(struct show *s, const char *before,
                         const char *after)
{
    char name[CQ_KEY_TEXT_SIZE];

    fprintf(s->lines.look->output.file, "  clamquota %s %s%s", before,
            cq_link_client(&s->target, name, sizeof(name)), after);
    if (strcmp(s->table, CQ_TABLE_PATH) != 0) {
        cq_write_begin(&s->lines.writer, &s->lines.look->output.sink);
        cq_write_raw(&s->lines.writer, " --table ");
        cq_write_line(&s->lines.writer, s->table);
        cq_write_end(&s->lines.writer);
    }
    fputc('\n', s->lines.look->output.file);
}

static void show_commands(struct show *s)
{
    FILE *out = s->lines.look->output.file;

    if (!s->is_over && !s->is_jailed && !s->is_denied) {
        return;
    }
    cq_output_heading(&s->lines.look->output, "To admit it again:");
    if (s->is_denied) {
        fputs("  remove it from the deny file\n", out);
    }
    if (s->is_over || !s->is_denied) {
        show_command(s, "reset", "");
    }
    show_command(s, "exempt", " --for 1d");
    if (s->is_jailed) {
        fputs("clamquota-sync then releases it at its next pass, within a "
              "minute.\n", out);
    }
}

static enum cq_exit show_client(struct show *s)
{
    struct cq_look *look = s->lines.look;
    const struct cq_arena arena = cq_look_arena(look);
    struct cq_copies_source source;
    char name[CQ_KEY_TEXT_SIZE];
    enum cq_exit result = cq_look_totals(look);

    if (result != CQ_EXIT_DONE) {
        return result;
    }
    if (cq_copies_source_begin(&source, look->table, &look->clock, NULL,
                               &arena) != CQ_OK) {
        return cq_look_report_no_memory(look);
    }
    cq_output_heading(&s->lines.look->output,
                      cq_link_client(&s->target, name, sizeof(name)));
    show_pools(s, &source);
    s->is_jailed = cq_show_jails(&s->lines, &s->target, s->is_jailed);
    s->is_denied = cq_show_denied(&s->lines, &s->address);
    show_changes(s);
    show_commands(s);
    return cq_look_confirm(look);
}

static enum cq_exit show_network(struct show *s)
{
    const struct cq_query query = { .limit = CLIENTS_SHOWN,
                                    .has_client = true,
                                    .client = s->target };
    struct cq_look *look = s->lines.look;
    enum cq_exit result = cq_look_collect(look, &query);

    if (result == CQ_EXIT_DONE
        && !cq_client_table(&look->view, &look->output)) {
        result = cq_look_report_no_memory(look);
    }
    return result;
}

static bool check_usage(void *command, struct cq_look *look,
                        const char *operand, enum cq_attach_access *access)
{
    struct show *s = command;

    (void)access;
    s->lines.look = look;
    return cq_target_read(look, operand, &s->address);
}

static enum cq_exit run(void *command, struct cq_look *look)
{
    struct show *s = command;
    enum cq_exit result;

    s->target = s->address;
    result = cq_target_is_client(look, &s->target) ? show_client(s)
                                                   : show_network(s);

    cq_tablefile_close(s->lines.asking);
    return result;
}

enum cq_exit cq_command_show(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct cq_look_command command = { &program, check_usage,
                                                    run };
    struct show s = { .table = CQ_TABLE_PATH };

    return cq_look_run(&command, &s, argc, argv, out, err);
}
