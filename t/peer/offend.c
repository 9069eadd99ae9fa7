/* offend - a table with offenders in it, made and changed without an httpd.
 *
 *     offend TABLE WORD...
 *
 * does in turn (the table is made if there is none; its day is a whole period):
 *     daily POOL BYTES     the pool's ClamQuotaDaily, in force from now on
 *     rule CIDR BYTES|-1   a ClamQuotaClient, -1: Unlimited
 *     logonly POOL         the pool refuses no client
 *     draw POOL ADDR BYTES REFUSALS AGE_S   as many, N seconds ago
 *     proxied POOL ADDR
 *     reset ADDR
 * What the words before the last "daily", "rule" and "logonly" set is one
 * configuration; what they don't set is no longer in force.
 * "node LABEL" adds another node of a cluster, silent for a day. */
#include "table/exchange.h"
#include "table/tablefile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct cq_table *table;
static struct cq_prefixes prefixes = { 32, 64 };

static void stop(const char *what)
{
    fprintf(stderr, "offend: %s\n", what);
    exit(2);
}

static struct cq_key client(const char *text)
{
    struct cq_key key;

    if (cq_key_parse(&key, text, NULL) != CQ_OK
        || cq_key_make(&key, key.bytes, key.family == 4 ? 4 : 16, prefixes)
            != CQ_OK) {
        stop(text);
    }
    return key;
}

static uint16_t pool_of(const char *name)
{
    uint16_t pool;

    if (cq_table_pool(table, name, &pool) != CQ_OK) {
        stop(name);
    }
    return pool;
}

static void open_at(const char *pool, const char *address, int64_t age_s,
                    struct cq_clock *clock, struct cq_account *account)
{
    struct cq_key key = client(address);

    cq_table_clock(table, (int64_t)time(NULL) - age_s, clock);
    if (cq_account_open(table, pool_of(pool), &key, clock, account)
        != CQ_OK) {
        stop(address);
    }
}

static void draw(char **words)
{
    struct cq_clock clock;
    struct cq_account account;
    long refusals = strtol(words[3], NULL, 10);

    open_at(words[0], words[1], strtoll(words[4], NULL, 10), &clock,
            &account);
    cq_account_charge(&account, &clock, strtoll(words[2], NULL, 10));
    while (refusals-- > 0) {
        cq_account_count_refusal(&account, &clock, CQ_STATE_OVER);
    }
    cq_account_close(&account);
}

static void proxied(char **words)
{
    struct cq_clock clock;
    struct cq_account account;

    open_at(words[0], words[1], 0, &clock, &account);
    cq_account_mark(&account, 0, CQ_ORIGIN_PROXIED);
    cq_account_close(&account);
}

static void set_daily(char **words)
{
    struct cq_policy policy = { strtoll(words[1], NULL, 10), 0 };
    uint16_t pool = pool_of(words[0]), index;

    if (cq_table_policy(table, pool, "ClamQuotaDaily", &policy, &index)
        != CQ_OK) {
        stop(words[0]);
    }
    cq_table_pool_refuses(table, pool, true);
}

static void set_rule(char **words)
{
    struct cq_policy policy = { strtoll(words[1], NULL, 10), 0 };
    char rule[CQ_RULE_SIZE];
    uint16_t index;

    snprintf(rule, sizeof(rule), "ClamQuotaClient %s", words[0]);
    if (cq_table_policy(table, CQ_ANY_POOL, rule, &policy, &index) != CQ_OK) {
        stop(rule);
    }
}

static void set_logonly(char **words)
{
    cq_table_pool_refuses(table, pool_of(words[0]), false);
}

static void reset(char **words)
{
    struct cq_key key = client(words[0]);
    struct cq_clock clock;

    cq_table_clock(table, (int64_t)time(NULL), &clock);
    (void)cq_table_reset(table, &key, &clock);
}

static void add_node(char **words)
{
    struct cq_cluster_status status = { .node = cq_table_node(table),
                                        .label = "here", .nodes_n = 1 };
    struct cq_cluster_node *node = &status.nodes[0];

    node->id = 77;
    node->last_seen_s = (int64_t)time(NULL) - 86400;
    snprintf(node->label, sizeof(node->label), "%s", words[0]);
    cq_cluster_status_write(table, &status);
}

static const struct {
    const char *name;
    int words;
    bool configures;
    void (*act)(char **words);
} acts[] = {
    { "daily", 2, true, set_daily }, { "rule", 2, true, set_rule },
    { "logonly", 1, true, set_logonly }, { "draw", 5, false, draw },
    { "proxied", 2, false, proxied }, { "reset", 1, false, reset },
    { "node", 1, false, add_node }
};

static void run(int argc, char **argv)
{
    bool configuring = false;
    int at = 2;

    while (at < argc) {
        size_t i = 0, n = sizeof(acts) / sizeof(acts[0]);

        while (i < n && strcmp(acts[i].name, argv[at]) != 0) {
            i++;
        }
        if (i == n || at + acts[i].words >= argc) {
            stop(argv[at]);
        }
        if (acts[i].configures != configuring) {
            configuring = acts[i].configures;
            (configuring ? cq_table_policies_begin
                         : cq_table_policies_end)(table);
        }
        acts[i].act(argv + at + 1);
        at += 1 + acts[i].words;
    }
    if (configuring) {
        cq_table_policies_end(table);
    }
}

int main(int argc, char **argv)
{
    char why[CQ_WHY_SIZE];
    enum cq_status status;
    struct cq_tablefile_want want = {
        .clients = 1024, .ledger_entries = 64, .kind = CQ_PERIOD_DAY,
        .zone = CQ_ZONE_UTC, .prefixes = prefixes,
        .now_s = (int64_t)time(NULL)
    };
    int i;

    if (argc < 2) {
        stop("usage: offend TABLE WORD...");
    }
    want.path = argv[1];
    for (i = 2; i < argc; i++) {
        want.cluster = want.cluster || strcmp(argv[i], "node") == 0;
    }
    /* a server may hold it: then it is only changed */
    status = cq_tablefile_open(&want, &table, NULL, why, sizeof(why));
    if (status == CQ_ELOCKED) {
        status = cq_tablefile_attach(argv[1], true, &table, why, sizeof(why));
    }
    if (status != CQ_OK) {
        stop(why);
    }
    run(argc, argv);
    cq_tablefile_close(table);
    return 0;
}
