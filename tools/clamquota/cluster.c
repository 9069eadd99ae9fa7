/* cluster - clamquota cluster: the nodes and servers that share counters. */
#include "clamquota/command.h"

#include "clamquota/columns.h"
#include "clamquota/look.h"
#include "render/words.h"

#include <inttypes.h>
#include <string.h>

struct cluster {
    const char *table;
    const char *forget;         /* a node's label or id; NULL: none */
};

static const struct cq_option options[] = {
    CQ_LOOK_TABLE,
    { .name = "forget", .value = "NODE", .kind = CQ_OPTION_TEXT,
      .offset = offsetof(struct cluster, forget), .least = 1,
      .most = CQ_CLUSTER_LABEL_SIZE - 1,
      .expected = "a label or an id as in clamquota cluster, e.g. --forget "
          "mirror3",
      .help = "a node that is gone for good: its shares count no\n"
              "more. A label, or an id where two have the label" }
};

static const struct cq_program program = {
    .name = "clamquota cluster",
    .usage = "Usage: clamquota cluster [OPTION]...\n"
        "Shows the nodes that share counters, and their servers.\n\n",
    .more = "\nExit status: 0 done, 1 there is no such node, or it lives, 2\n"
        "usage, 4 not permitted, 6 no table.\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0])
};

static const struct cq_column node_columns[] = {
    { "NODE", false }, { "ID", false }, { "SEEN", false }, { "CLOCK", true },
    { "SETTINGS", false }
};

static const struct cq_column server_columns[] = {
    { "SERVER", false }, { "STATE", false }, { "ERRORS", true }
};

static void add_seen(struct cq_columns *c, const struct cq_cluster_node *node,
                     int64_t now_s)
{
    struct cq_writer *w;

    if (node->self) {
        cq_columns_text(c, CQ_STYLE_PLAIN, "this node");
        return;
    }
    if (node->last_seen_s == 0) {
        cq_columns_text(c, CQ_STYLE_BAD, "never");
        return;
    }
    w = cq_columns_cell(c, node->alive ? CQ_STYLE_GOOD : CQ_STYLE_BAD);
    cq_words_duration(w, now_s - node->last_seen_s);
    cq_write_raw(w, node->alive ? " ago" : " ago, silent");
}

static void add_settings(struct cq_columns *c,
                         const struct cq_cluster_node *node)
{
    if (node->other_period) {
        cq_columns_text(c, CQ_STYLE_BAD,
                        "other period, zone or prefix: shares nothing");
    }
    else if (node->other_servers) {
        cq_columns_text(c, CQ_STYLE_BAD, "other servers");
    }
    else {
        cq_columns_text(c, CQ_STYLE_PLAIN,
                        node->other_daily ? "other quota" : "as here");
    }
}

static void add_node(struct cq_columns *c, const struct cq_cluster_node *node,
                     int64_t now_s)
{
    char id[20];
    struct cq_writer *w;

    cq_columns_text(c, CQ_STYLE_PLAIN, node->label);
    snprintf(id, sizeof(id), "%016" PRIx64, node->id);
    cq_columns_text(c, CQ_STYLE_PLAIN, id);
    add_seen(c, node, now_s);
    w = cq_columns_cell(c, CQ_STYLE_PLAIN);
    cq_words_count(w, node->offset_ms);
    cq_write_raw(w, " ms");
    add_settings(c, node);
}

static void print_number(struct cq_output *output, const char *label,
                         int64_t number, const char *unit)
{
    struct cq_writer writer;

    cq_output_label(output, label);
    cq_write_begin(&writer, &output->sink);
    cq_words_count(&writer, number);
    cq_write_raw(&writer, unit);
    cq_write_end(&writer);
}

static bool print(const struct cq_cluster_status *status, int64_t now_s,
                  struct cq_output *output)
{
    struct cq_columns c;
    bool good;
    size_t i;

    cq_columns_begin(&c, node_columns, 5);
    for (i = 0; i < status->nodes_n; i++) {
        add_node(&c, &status->nodes[i], now_s);
    }
    good = cq_columns_end(&c, output);
    fputc('\n', output->file);
    cq_columns_begin(&c, server_columns, 3);
    for (i = 0; i < status->servers_n; i++) {
        cq_columns_text(&c, CQ_STYLE_PLAIN, status->servers[i].name);
        cq_columns_text(&c, status->servers[i].up ? CQ_STYLE_GOOD
                                                  : CQ_STYLE_BAD,
                        status->servers[i].up ? "up" : "down");
        cq_columns_count(&c, status->servers[i].errors);
    }
    good = cq_columns_end(&c, output) && good;
    fputc('\n', output->file);
    print_number(output, "lag", status->lag_ms, " ms\n");
    print_number(output, "rounds", status->rounds, "");
    fprintf(output->file, ", %" PRId64 " of them failed\n",
            status->failed_rounds);
    print_number(output, "waiting", status->waiting, " groups of 16 rows\n");
    print_number(output, "lost shares", status->missing,
                 " own ones that a server had lost, written again\n");
    print_number(output, "raised", status->raised,
                 " rows raised to what the cluster knew\n");
    return good;
}

/* The node of a label or an id.
 * @return NULL after a sentence */
static const struct cq_cluster_node *
find_node(struct cq_look *look, const struct cq_cluster_status *status,
          const char *name)
{
    const struct cq_cluster_node *found = NULL;
    char id[20];
    size_t i, n = 0;

    for (i = 0; i < status->nodes_n; i++) {
        const struct cq_cluster_node *node = &status->nodes[i];

        snprintf(id, sizeof(id), "%016" PRIx64, node->id);
        if (strcmp(id, name) == 0) {
            return node;
        }
        if (strcmp(node->label, name) == 0) {
            found = node;
            n++;
        }
    }
    if (n == 1) {
        return found;
    }
    cq_say_trouble(&look->say, n == 0
        ? "--forget \"%.64s\": no node has this label or id, expected one as "
          "in clamquota cluster"
        : "--forget \"%.64s\": several nodes have this label, expected the id "
          "of one as in clamquota cluster", name);
    return NULL;
}

static enum cq_exit forget(struct cq_look *look, const char *name)
{
    const struct cq_cluster_node *node =
        find_node(look, look->view.cluster, name);
    enum cq_status status;

    if (node == NULL) {
        return CQ_EXIT_PARTLY;
    }
    status = cq_node_forget(look->table, node->id, look->clock.now_s * 1000);
    if (status == CQ_EDUP) {
        cq_say_trouble(&look->say, node->self
            ? "--forget %s: is this node, expected one that is gone for good"
            : "--forget %s: lives, expected a node that is silent: stop its "
              "httpd first", node->label);
        return CQ_EXIT_PARTLY;
    }
    if (status != CQ_OK) {
        cq_say_trouble(&look->say, "--forget %s: %s", node->label,
                       cq_status_word(status));
        return CQ_EXIT_PARTLY;
    }
    fprintf(look->output.file, "%s: is forgotten, its shares count no more\n",
            node->label);
    return cq_look_confirm(look);
}

static bool check(void *command, struct cq_look *look, const char *operand,
                  enum cq_attach_access *access)
{
    const struct cluster *cluster = command;

    (void)look;
    (void)operand;
    *access = cluster->forget != NULL ? CQ_ATTACH_WRITE : CQ_ATTACH_READ;
    return true;
}

static enum cq_exit run(void *command, struct cq_look *look)
{
    const struct cluster *cluster = command;
    enum cq_exit result = cq_look_totals(look);

    if (result != CQ_EXIT_DONE) {
        return result;
    }
    if (look->view.cluster == NULL && cluster->forget != NULL) {
        cq_say_trouble(&look->say, "--forget: there is no cluster, httpd "
                       "counts alone, without ClamQuotaMemcached");
        return CQ_EXIT_PARTLY;
    }
    if (cluster->forget != NULL) {
        return forget(look, cluster->forget);
    }
    if (look->view.cluster == NULL) {
        fputs("No cluster: httpd counts alone, without ClamQuotaMemcached.\n",
              look->output.file);
        return CQ_EXIT_DONE;
    }
    return print(look->view.cluster, look->clock.now_s, &look->output)
        ? CQ_EXIT_DONE : cq_look_no_memory(look);
}

enum cq_exit cq_command_cluster(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct cq_look_command command = { &program, check, run };
    struct cluster cluster = { .table = CQ_TABLE_PATH };

    return cq_look_run(&command, &cluster, argc, argv, out, err);
}
