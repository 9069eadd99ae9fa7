/* cluster - clamquota cluster: the nodes and servers that share counters. */
#include "clamquota/command.h"

#include "clamquota/columns.h"
#include "clamquota/look.h"
#include "render/cluster_cells.h"

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
      .help = "a node that is gone for good: its bytes no longer\n"
              "count. A label, or an id where two have the label" }
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

static const struct cq_column figure_columns[] = {
    { "FIGURE", false }, { "VALUE", false }
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct cq_writer *begin_cell(void *columns, enum cq_tone tone)
{
    return cq_columns_cell(columns, tone == CQ_TONE_GOOD ? CQ_STYLE_GOOD
                                    : tone == CQ_TONE_BAD ? CQ_STYLE_BAD
                                    : CQ_STYLE_PLAIN);
}

static enum cq_exit print_cluster(struct cq_look *look)
{
    static const struct {
        const struct cq_column *columns;
        size_t n;
    } parts[] = {
        [CQ_CLUSTER_NODES] = { node_columns, COUNT(node_columns) },
        [CQ_CLUSTER_SERVERS] = { server_columns, COUNT(server_columns) },
        [CQ_CLUSTER_FIGURES] = { figure_columns, COUNT(figure_columns) }
    };
    int i;

    for (i = CQ_CLUSTER_NODES; i <= CQ_CLUSTER_FIGURES; i++) {
        struct cq_columns columns;
        const struct cq_cells cells = { &columns, begin_cell, cq_write_line };

        fputs(i > 0 ? "\n" : "", look->output.file);
        cq_columns_begin(&columns, parts[i].columns, parts[i].n);
        cq_cluster_cells(&cells, (enum cq_cluster_part)i, look->view.cluster,
                         look->clock.now_s);
        if (!cq_columns_end(&columns, &look->output)) {
            return cq_look_report_no_memory(look);
        }
    }
    return CQ_EXIT_DONE;
}

/* The node of a label or an id.
 * @return NULL after a sentence */
static const struct cq_cluster_node *
find_node(struct cq_look *look, const struct cq_cluster_status *status,
          const char *name)
{
    const struct cq_cluster_node *found = NULL;
    char id[CQ_NODE_ID_SIZE];
    size_t i, n = 0;

    for (i = 0; i < status->nodes_n; i++) {
        const struct cq_cluster_node *node = &status->nodes[i];

        if (strcmp(cq_node_id(node->id, id), name) == 0) {
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

static enum cq_exit forget_node(struct cq_look *look, const char *name)
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

static bool check_usage(void *command, struct cq_look *look,
                        const char *operand, enum cq_attach_access *access)
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
        return forget_node(look, cluster->forget);
    }
    if (look->view.cluster == NULL) {
        fputs("No cluster: httpd counts alone, without ClamQuotaMemcached.\n",
              look->output.file);
        return CQ_EXIT_DONE;
    }
    return print_cluster(look);
}

enum cq_exit cq_command_cluster(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct cq_look_command command = { &program, check_usage,
                                                    run };
    struct cluster cluster = { .table = CQ_TABLE_PATH };

    return cq_look_run(&command, &cluster, argc, argv, out, err);
}
