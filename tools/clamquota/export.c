/* export - clamquota export: the counters as SQL for mysql, psql or sqlite3.
 *
 * One transaction with many rows a statement; rows go straight from the table
 * to the output, so that memory does not grow with their number. A string
 * holds printable ASCII only and each quote in it twice: a script's first
 * lines make a backslash an ordinary character in all three databases. */
#include "clamquota/command.h"

#include "clamquota/look.h"
#include "render/scan.h"
#include "table/exempt.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

/* about 50 KiB of text: MySQL's max_allowed_packet was 1 MiB once */
#define ROWS_PER_STATEMENT 500

/* as VARCHAR(64) below */
#define SITE_MAX 64

#define MAKE_TABLE \
    "CREATE TABLE IF NOT EXISTS clamquota (\n" \
    "  site VARCHAR(64) NOT NULL, pool VARCHAR(64) NOT NULL,\n" \
    "  client VARCHAR(64) NOT NULL, prefix BIGINT NOT NULL,\n" \
    "  period_start BIGINT NOT NULL, used BIGINT NOT NULL,\n" \
    "  free BIGINT NOT NULL, hits BIGINT NOT NULL,\n" \
    "  refused BIGINT NOT NULL, last_hit BIGINT NOT NULL,\n" \
    "  over_since BIGINT NOT NULL,\n" \
    "  PRIMARY KEY (site, pool, client, prefix, period_start))"

/* The post's table was emptied when a period began: each site's newest. */
#define FROM_NEWEST \
    " FROM clamquota JOIN (SELECT site AS of_site," \
    " MAX(period_start) AS newest FROM clamquota GROUP BY site) AS latest" \
    " ON of_site = site AND newest = period_start"

#define ON_CONFLICT \
    "\nON CONFLICT (site, pool, client, prefix, period_start) DO UPDATE SET" \
    " used = excluded.used, free = excluded.free, hits = excluded.hits," \
    " refused = excluded.refused, last_hit = excluded.last_hit," \
    " over_since = excluded.over_since;\n"

struct database {
    const char *name;
    const char *begin;          /* up to the first row */
    const char *upsert;         /* behind the rows of a statement */
};

/* A name that exists is left alone, also when it is the post's own table.
 * Only MySQL has no words for that: there the statement is made or not. */
static const struct database databases[] = {
    { "mysql",
      "SET sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES';\n"
      MAKE_TABLE " CHARACTER SET ascii COLLATE ascii_bin;\n"
      "SET @clamquota = IF((SELECT COUNT(*) FROM information_schema.tables\n"
      "  WHERE table_schema = DATABASE() AND table_name = 'clamavtraffic')"
      " > 0,\n"
      "  'DO 0', 'CREATE VIEW clamavtraffic AS SELECT INET_ATON(client) AS"
      " source, FROM_UNIXTIME(MAX(last_hit)) AS last_hit,"
      " CAST(SUM(used) AS SIGNED) AS bytes, CAST(SUM(hits) AS SIGNED) AS hits"
      FROM_NEWEST " WHERE IS_IPV4(client) GROUP BY client');\n"
      "PREPARE clamquota FROM @clamquota;\n"
      "EXECUTE clamquota;\n"
      "DEALLOCATE PREPARE clamquota;\n"
      "START TRANSACTION;\n",
      "\nON DUPLICATE KEY UPDATE used = VALUES(used), free = VALUES(free),"
      " hits = VALUES(hits), refused = VALUES(refused),"
      " last_hit = VALUES(last_hit), over_since = VALUES(over_since);\n" },
    { "pgsql",
      "\\set ON_ERROR_STOP on\n"
      "\\set QUIET on\n"
      "SET client_min_messages = warning;\n"
      "SET standard_conforming_strings = on;\n"
      "BEGIN;\n"
      MAKE_TABLE ";\n"
      "DO $$BEGIN IF to_regclass('clamavtraffic') IS NULL THEN\n"
      "CREATE VIEW clamavtraffic AS SELECT client AS source,"
      " to_timestamp(MAX(last_hit)) AS last_hit,"
      " SUM(used)::bigint AS bytes, SUM(hits)::bigint AS hits"
      FROM_NEWEST " GROUP BY client;\n"
      "END IF; END$$;\n",
      ON_CONFLICT },
    { "sqlite",
      ".bail on\n"
      ".timeout 10000\n"
      "BEGIN IMMEDIATE;\n"
      MAKE_TABLE ";\n"
      "CREATE VIEW IF NOT EXISTS clamavtraffic AS SELECT client AS source,"
      " datetime(MAX(last_hit), 'unixepoch', 'localtime') AS last_hit,"
      " SUM(used) AS bytes, SUM(hits) AS hits"
      FROM_NEWEST " GROUP BY client;\n",
      ON_CONFLICT }
};

#define DATABASE_N (sizeof(databases) / sizeof(databases[0]))

struct export {
    const char *table;
    const char *site;
    const struct database *database;
};

static const struct cq_option options[] = {
    { .name = "site", .value = "NAME", .kind = CQ_OPTION_TEXT,
      .offset = offsetof(struct export, site), .least = 1, .most = SITE_MAX,
      .expected = "1 to 64 printable ASCII characters, e.g. --site mirror1",
      .help = "column \"site\" [the node's name in its cluster, else\n"
              "the host's name]" },
    CQ_LOOK_TABLE
};

static const struct cq_program program = {
    .name = "clamquota export",
    .usage = "Usage: clamquota export mysql|pgsql|sqlite [OPTION]...\n"
        "Prints SQL that puts all counters of the period into a database,\n"
        "e.g. clamquota export mysql | mysql statistics\n\n",
    .more = "\nExit status: 0 done, 1 standard output could not be written,\n"
        "2 usage, 4 not permitted, 6 no table.\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0]),
    .operand_n = 1
};

static bool find_database(void *command, struct cq_look *look,
                          const char *operand, enum cq_attach_access *access)
{
    struct export *e = command;
    size_t i;

    (void)access;
    for (i = 0; operand != NULL && i < DATABASE_N; i++) {
        if (strcmp(databases[i].name, operand) == 0) {
            e->database = &databases[i];
            return true;
        }
    }
    cq_say_trouble(&look->say, "\"%s\": expected mysql, pgsql or sqlite, e.g. "
                   "clamquota export mysql", operand != NULL ? operand : "");
    return false;
}

/* ---- one row ---- */

static void write_string(struct cq_writer *writer, const char *text)
{
    cq_write_raw(writer, "'");
    for (; *text != '\0'; text++) {
        char c = *text >= ' ' && *text <= '~' ? *text : '?';

        cq_write_data(writer, "''", c == '\'' ? 2 : 0);
        cq_write_data(writer, &c, c == '\'' ? 0 : 1);
    }
    cq_write_raw(writer, "'");
}

static void write_client(struct cq_writer *writer, const char *site,
                         int64_t period_start_s,
                         const struct cq_view_client *c)
{
    const int64_t figures[] = {
        c->client.prefix, period_start_s, c->here_used_bytes, c->free_bytes,
        c->hits, c->refused, c->last_hit_s, c->over_since_s
    };
    char address[CQ_KEY_TEXT_SIZE];
    size_t i;

    cq_write_raw(writer, "(");
    write_string(writer, site);
    cq_write_raw(writer, ",");
    write_string(writer, c->pool);
    cq_write_raw(writer, ",");
    write_string(writer,
                 cq_key_format(&c->client, address, sizeof(address)));
    for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        cq_write_raw(writer, ",");
        cq_write_int(writer, figures[i]);
    }
    cq_write_raw(writer, ")");
}

/* ---- all of them ---- */

/* The period whose counters the rows hold: no process may have stepped into
 * the next one since it began. Then this is the last second of the old one. */
static void find_period(struct cq_table *table, struct cq_period *period,
                        struct cq_clock *clock)
{
    cq_table_clock(table, (int64_t)time(NULL), clock);
    cq_table_period(table, period);
    if (clock->period_id != period->id) {
        cq_table_clock(table, period->midnight_s[period->days] - 1, clock);
    }
}

static void write_rows(struct cq_writer *writer,
                       const struct database *database, const char *site,
                       struct cq_table *table)
{
    struct cq_period period;
    struct cq_clock clock;
    struct cq_scan scan;
    struct cq_row row;
    uint64_t position = 0;
    size_t rows = 0;

    find_period(table, &period, &clock);
    memset(&scan, 0, sizeof(scan));
    scan.period = &period;
    scan.now_s = clock.now_s;
    scan.day = clock.day;
    scan.prefixes = cq_table_prefixes(table);
    while (cq_table_next_row(table, &clock, &position, &row)) {
        struct cq_pool_info pool;
        struct cq_policy_info policy;
        struct cq_view_client client;

        if (!cq_scan_has_figures(&row)
            || row.pool >= cq_table_pool_count(table)) {
            continue;
        }
        cq_table_pool_info(table, row.pool, &pool);
        cq_table_policy_info(table, row.pool, row.policy_index, &policy);
        cq_scan_judge(&scan, &row, pool.name, &policy,
                      cq_exempt_until(table, &row.key), &client);
        cq_write_raw(writer, rows % ROWS_PER_STATEMENT != 0 ? ",\n"
                     : "INSERT INTO clamquota (site, pool, client, prefix, "
                       "period_start, used, free, hits, refused, last_hit, "
                       "over_since) VALUES\n");
        write_client(writer, site, period.midnight_s[0], &client);
        if (++rows % ROWS_PER_STATEMENT == 0) {
            cq_write_raw(writer, database->upsert);
        }
    }
    if (rows % ROWS_PER_STATEMENT != 0) {
        cq_write_raw(writer, database->upsert);
    }
}

/* How the cluster calls this node, else the host's name. */
static void find_site(const struct cq_table *table, char *site, size_t size)
{
    static struct cq_cluster_status cluster;    /* large for a stack */

    site[0] = '\0';
    if (cq_cluster_status_read(table, &cluster)) {
        snprintf(site, size, "%s", cluster.label);
    }
    if (site[0] == '\0' && gethostname(site, size) != 0) {
        snprintf(site, size, "localhost");
    }
    site[size - 1] = '\0';
}

static enum cq_exit run(void *command, struct cq_look *look)
{
    const struct export *e = command;
    char site[SITE_MAX + 1];
    struct cq_writer writer;
    bool is_whole;

    find_site(look->table, site, sizeof(site));
    cq_write_begin(&writer, &look->output.sink);
    cq_write_raw(&writer, e->database->begin);
    write_rows(&writer, e->database, e->site != NULL ? e->site : site,
               look->table);
    is_whole = cq_attach_is_current(look->table);
    cq_write_raw(&writer, is_whole ? "COMMIT;\n" : "ROLLBACK;\n");
    cq_write_end(&writer);
    if (is_whole) {
        return CQ_EXIT_DONE;
    }
    cq_say_trouble(&look->say, "%s: was cut short or replaced meanwhile, so "
                   "nothing was exported; try again", e->table);
    return CQ_EXIT_NO_TABLE;
}

enum cq_exit cq_command_export(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct cq_look_command command = { &program, find_database,
                                                    run };
    struct export e = { .table = CQ_TABLE_PATH };

    return cq_look_run(&command, &e, argc, argv, out, err);
}
