/* report - clamquota report: the clients of this period, as the page lists
 * them. */
#include "clamquota/command.h"

#include "clamquota/client_table.h"
#include "clamquota/look.h"
#include "clamquota/csv.h"
#include "render/query.h"

#include <string.h>

#define LIMIT_MAX 1000000
#define NET_EXPECTED "two prefixes, 0 to 32 and 0 to 128, e.g. --by-net 24,48"
#define SORT_EXPECTED "used, today, refused, hits or last, e.g. --sort last"

struct report {
    const char *table;
    bool over;
    struct cq_texts pools;
    const char *sort;
    const char *by_net;
    int64_t limit;
    bool json;
    bool csv;
    struct cq_query query;      /* what the above ask for */
};

static const struct cq_option options[] = {
    { .name = "over", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct report, over),
      .help = "only clients over quota" },
    { .name = "pool", .value = "NAME", .kind = CQ_OPTION_POOLS,
      .offset = offsetof(struct report, pools),
      .help = "only this pool [all]" },
    { .name = "sort", .value = "KEY", .kind = CQ_OPTION_TEXT,
      .offset = offsetof(struct report, sort), .least = 1, .most = 9,
      .expected = SORT_EXPECTED,
      .help = "used, today, refused, hits or last [used]" },
    { .name = "by-net", .value = "V4,V6", .kind = CQ_OPTION_TEXT,
      .offset = offsetof(struct report, by_net), .least = 3, .most = 6,
      .expected = NET_EXPECTED,
      .help = "networks of these prefixes instead of clients" },
    { .name = "limit", .value = "N", .kind = CQ_OPTION_NUMBER,
      .offset = offsetof(struct report, limit), .least = 1, .most = LIMIT_MAX,
      .expected = "a number of clients from 1 to 1000000, e.g. --limit 20",
      .help = "at most N clients [100]" },
    { .name = "json", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct report, json),
      .help = "as the page's ?json" },
    { .name = "csv", .kind = CQ_OPTION_FLAG,
      .offset = offsetof(struct report, csv),
      .help = "comma-separated values, with exact numbers" },
    CQ_LOOK_TABLE
};

static const struct cq_program program = {
    .name = "clamquota report",
    .usage = "Usage: clamquota report [OPTION]...\n"
        "Lists the clients of this period.\n\n",
    .more = "\nExit status: 0 done, 2 usage, 4 not permitted, 6 no table.\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0])
};

/* ---- what was asked for ---- */

static bool read_sort(const char *text, enum cq_sort *sort)
{
    int i;

    for (i = CQ_SORT_USED; i <= CQ_SORT_LAST; i++) {
        if (strcmp(text, cq_query_sort_word((enum cq_sort)i)) == 0) {
            *sort = (enum cq_sort)i;
            return true;
        }
    }
    return false;
}

/* "24,48" */
static bool read_prefixes(const char *text, struct cq_prefixes *prefixes)
{
    unsigned v4, v6;
    int end = 0;

    if (text[strspn(text, "0123456789,")] != '\0'
        || sscanf(text, "%3u,%3u%n", &v4, &v6, &end) != 2
        || text[end] != '\0' || v4 > 32 || v6 > 128) {
        return false;
    }
    prefixes->v4_bits = (uint8_t)v4;
    prefixes->v6_bits = (uint8_t)v6;
    return true;
}

static bool make_query(void *command, struct cq_look *look,
                       const char *operand, enum cq_attach_access *access)
{
    struct report *r = command;
    struct cq_query *query = &r->query;

    (void)operand;
    (void)access;
    query->limit = (int)r->limit;
    query->filter = r->over ? CQ_FILTER_OVER : CQ_FILTER_ALL;
    query->pool = r->pools.count > 0 ? r->pools.texts[0] : NULL;
    if (!read_sort(r->sort, &query->sort)) {
        cq_say_trouble(&look->say, "--sort \"%s\": expected " SORT_EXPECTED,
                       r->sort);
        return false;
    }
    query->by_net = r->by_net != NULL;
    if (query->by_net && !read_prefixes(r->by_net, &query->net_bits)) {
        cq_say_trouble(&look->say, "--by-net \"%s\": expected " NET_EXPECTED,
                       r->by_net);
        return false;
    }
    if (r->pools.count > 1) {
        cq_say_trouble(&look->say, "--pool %s: expected one pool, or none for "
                       "all of them", r->pools.texts[1]);
        return false;
    }
    if (r->json && r->csv) {
        cq_say_trouble(&look->say, "--json and --csv: expected one of them");
        return false;
    }
    return true;
}

static bool check_pool(struct cq_look *look, const char *name)
{
    struct cq_pool_info info = { .name = "default" };
    size_t i, n = cq_table_pool_count(look->table);

    for (i = 0; i < n; i++) {
        cq_table_pool_info(look->table, (uint16_t)i, &info);
        if (strcmp(info.name, name) == 0) {
            return true;
        }
    }
    cq_say_trouble(&look->say, "--pool %s: no such pool in %s, expected one "
                   "of its %zu, e.g. --pool %s", name, look->path, n,
                   info.name);
    return false;
}

/* ---- for programs ---- */

static const char *const csv_names[] = {
    "client", "prefix", "pool", "last_hit", "used", "allowance", "daily",
    "today", "free", "in_flight", "hits", "refused", "state", "over_since",
    "retry_after", "jailed", "rule"
};

static void print_csv(const struct cq_view *view, FILE *out)
{
    struct cq_csv csv = { out, false };
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    cq_csv_header(&csv, csv_names, sizeof(csv_names) / sizeof(csv_names[0]));
    for (i = 0; i < view->client_count; i++) {
        const struct cq_view_client *client = &view->clients[i];
        bool is_limited = client->daily_bytes != CQ_UNLIMITED;

        cq_csv_text(&csv, cq_key_format(&client->client, text, sizeof(text)));
        cq_csv_number(&csv, client->client.prefix);
        cq_csv_text(&csv, client->pool);
        cq_csv_number(&csv, client->last_hit_s);
        cq_csv_number(&csv, client->used_bytes);
        /* no number is "unlimited" */
        if (is_limited) {
            cq_csv_number(&csv, client->allowance_bytes);
            cq_csv_number(&csv, client->daily_bytes);
        }
        else {
            cq_csv_text(&csv, NULL);
            cq_csv_text(&csv, NULL);
        }
        cq_csv_number(&csv, client->today_bytes);
        cq_csv_number(&csv, client->free_bytes);
        cq_csv_number(&csv, client->in_flight_bytes);
        cq_csv_number(&csv, client->hits);
        cq_csv_number(&csv, client->refused);
        cq_csv_text(&csv, cq_state_word(client->state));
        cq_csv_number(&csv, client->over_since_s);
        cq_csv_number(&csv, client->retry_after_s);
        cq_csv_number(&csv, client->jailed);
        cq_csv_text(&csv, client->rule);
        cq_csv_end(&csv);
    }
}

static const char *const csv_network_names[] = {
    "network", "prefix", "clients", "over", "last_hit", "used", "today",
    "free", "hits", "refused"
};

static void print_csv_networks(const struct cq_view *view, FILE *out)
{
    struct cq_csv csv = { out, false };
    char text[CQ_KEY_TEXT_SIZE];
    size_t i, j;

    cq_csv_header(&csv, csv_network_names,
                  sizeof(csv_network_names) / sizeof(csv_network_names[0]));
    for (i = 0; i < view->network_count; i++) {
        const struct cq_view_network *n = &view->networks[i];
        const int64_t numbers[] = {
            n->net.prefix, n->clients, n->over, n->last_hit_s, n->used_bytes,
            n->today_bytes, n->free_bytes, n->hits, n->refused
        };

        cq_csv_text(&csv, cq_key_format(&n->net, text, sizeof(text)));
        for (j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++) {
            cq_csv_number(&csv, numbers[j]);
        }
        cq_csv_end(&csv);
    }
}

static enum cq_exit run(void *command, struct cq_look *look)
{
    const struct report *r = command;
    enum cq_exit result;

    if (r->query.pool != NULL && !check_pool(look, r->query.pool)) {
        return CQ_EXIT_USAGE;
    }
    result = cq_look_collect(look, &r->query);
    if (result != CQ_EXIT_DONE) {
        return result;
    }
    if (r->json) {
        cq_render_json(&look->view, &look->output.sink);
    }
    else if (r->csv && r->query.by_net) {
        print_csv_networks(&look->view, look->output.file);
    }
    else if (r->csv) {
        print_csv(&look->view, look->output.file);
    }
    else if (!cq_client_table(&look->view, &look->output)) {
        return cq_look_report_no_memory(look);
    }
    return CQ_EXIT_DONE;
}

enum cq_exit cq_command_report(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct cq_look_command command = { &program, make_query,
                                                    run };
    struct report r = { .table = CQ_TABLE_PATH, .sort = "used", .limit = 100 };

    return cq_look_run(&command, &r, argc, argv, out, err);
}
