/* look - a subcommand's look at a table. */
#include "clamquota/look.h"

#include "core/version.h"
#include "host/own.h"
#include "render/scan.h"
#include "table/rules.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct cq_block {
    struct cq_block *next;
    max_align_t memory[];
};

static void free_blocks(struct cq_look *look)
{
    struct cq_block *block, *next;

    for (block = look->blocks; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    look->blocks = NULL;
}

void *cq_look_alloc(struct cq_look *look, size_t size)
{
    struct cq_block *block = malloc(sizeof(*block) + size);

    if (block == NULL) {
        return NULL;
    }
    block->next = look->blocks;
    look->blocks = block;
    return block->memory;
}

static void *alloc(void *baton, size_t size)
{
    return cq_look_alloc(baton, size);
}

/* "root or www-data": the two that may write a table as httpd makes it. */
static void report_not_writable(struct cq_look *look)
{
    const struct passwd *owner = NULL;
    struct stat st;

    /* a read-only file system is so for root, too */
    if (access(look->path, W_OK) != 0 && errno != EACCES) {
        cq_say_trouble(&look->say, "%s: cannot be written: %s", look->path,
                       strerror(errno));
        return;
    }
    if (stat(look->path, &st) == 0 && st.st_uid != 0) {
        owner = getpwuid(st.st_uid);
    }
    cq_say_trouble(&look->say, "%s: may not be written by this user, expected "
                   "root%s%s, e.g. sudo %s ...", look->path,
                   owner != NULL ? " or " : "",
                   owner != NULL ? owner->pw_name : "", look->say.program);
}

static enum cq_exit attach(struct cq_look *look, const char *path,
                           enum cq_attach_access access)
{
    char why[CQ_WHY_SIZE];
    enum cq_exit result;
    struct cq_key twice;

    look->path = path;
    result = cq_attach_open(path, access, &look->table, why, sizeof(why));
    if (result != CQ_EXIT_DONE) {
        cq_say_trouble(&look->say, "%s", why);
        return result;
    }
    if (access == CQ_ATTACH_WRITE && !cq_table_is_writable(look->table)) {
        report_not_writable(look);
        return CQ_EXIT_NOT_PERMITTED;
    }
    if (cq_own_collect(&look->own) != CQ_OK
        || cq_net_seal(&look->own, &twice) != CQ_OK) {
        cq_say_trouble(&look->say, "this machine's own addresses are not "
                       "known: a client that has one of them is shown as any "
                       "other");
        cq_net_free(&look->own);
    }
    cq_look_read_clock(look);
    return CQ_EXIT_DONE;
}

enum cq_exit cq_look_run(const struct cq_look_command *command, void *into,
                         int argc, char **argv, FILE *out, FILE *err)
{
    enum cq_attach_access access = CQ_ATTACH_READ;
    enum cq_exit result = CQ_EXIT_USAGE;
    struct cq_look look;
    int first;

    memset(&look, 0, sizeof(look));
    cq_say_open(&look.say, command->program->name, err, false);
    cq_output_begin(&look.output, out);
    switch (cq_options_read(command->program, into, argc, argv, &first, out,
                            err)) {
    case CQ_OPTIONS_RUN:
        if (command->check == NULL
            || command->check(into, &look, first < argc ? argv[first] : NULL,
                              &access)) {
            result = attach(&look, *(const char **)into, access);
            if (result == CQ_EXIT_DONE) {
                result = cq_exit_worse(command->run(into, &look),
                    look.say.troubles > 0 ? CQ_EXIT_PARTLY : CQ_EXIT_DONE);
            }
        }
        break;
    case CQ_OPTIONS_DONE:
        result = CQ_EXIT_DONE;
        break;
    case CQ_OPTIONS_WRONG:
        break;
    }
    free_blocks(&look);
    cq_net_free(&look.own);
    cq_tablefile_close(look.table);
    cq_say_close(&look.say);
    return result;
}

void cq_look_read_clock(struct cq_look *look)
{
    cq_table_clock(look->table, (int64_t)time(NULL), &look->clock);
}

/* The module's mode, as far as the table shows it. */
static const char *engine_word(const struct cq_look *look)
{
    size_t i, n = cq_table_pool_count(look->table);

    if (!cq_tablefile_is_served(look->table)) {
        return "Off";
    }
    for (i = 0; i < n; i++) {
        struct cq_pool_info info;

        cq_table_pool_info(look->table, (uint16_t)i, &info);
        if (info.refuses) {
            return "On";
        }
    }
    return "LogOnly";
}

struct cq_arena cq_look_arena(struct cq_look *look)
{
    return (struct cq_arena){ alloc, look };
}

typedef enum cq_status collect_fn(struct cq_view *view,
                                  const struct cq_table *table,
                                  const struct cq_clock *clock,
                                  const struct cq_query *query,
                                  const struct cq_view_facts *facts,
                                  const struct cq_arena *arena);

static enum cq_exit collect(struct cq_look *look, collect_fn *collector,
                            const struct cq_query *query)
{
    const struct cq_arena arena = cq_look_arena(look);
    const struct cq_view_facts facts = { .version = CQ_VERSION,
                                         .engine = engine_word(look),
                                         .counts =
                                             cq_tablefile_is_served(
                                                 look->table),
                                         .readable = true,
                                         .own = &look->own };

    free_blocks(look);
    if (collector(&look->view, look->table, &look->clock, query, &facts,
                  &arena) != CQ_OK) {
        return cq_look_report_no_memory(look);
    }
    return cq_look_confirm(look);
}

enum cq_exit cq_look_collect(struct cq_look *look,
                             const struct cq_query *query)
{
    return collect(look, cq_collect, query);
}

enum cq_exit cq_look_totals(struct cq_look *look)
{
    const struct cq_query all = { .limit = 1 };

    return collect(look, cq_collect_totals, &all);
}

void cq_look_judge(const struct cq_look *look, const struct cq_row *row,
                   struct cq_look_client *judged)
{
    const struct cq_table *table = look->table;
    const struct cq_scan scan = {
        .period = &look->view.period, .now_s = look->clock.now_s,
        .day = look->clock.day, .prefixes = cq_table_prefixes(table),
        .own = &look->own, .shared = cq_table_has_cluster(table)
    };
    struct cq_row copy = *row;

    copy.proxied = cq_table_seen_proxied(table, &row->key, &look->clock);
    cq_table_pool_info(table, row->pool, &judged->pool);
    cq_table_policy_info(table, row->pool,
                         cq_rules_index(table, row->pool, &row->key),
                         &judged->policy);
    cq_scan_judge(&scan, &copy, judged->pool.name, &judged->policy,
                  cq_exempt_until(table, &row->key), &judged->client);
}

enum cq_exit cq_look_confirm(struct cq_look *look)
{
    if (cq_attach_is_current(look->table)) {
        return CQ_EXIT_DONE;
    }
    cq_say_trouble(&look->say, "%s: was cut short or replaced while it was "
                   "read, expected a whole table; try again", look->path);
    return CQ_EXIT_NO_TABLE;
}

enum cq_exit cq_look_report_no_memory(struct cq_look *look)
{
    cq_say_trouble(&look->say, "out of memory");
    return CQ_EXIT_PARTLY;
}
