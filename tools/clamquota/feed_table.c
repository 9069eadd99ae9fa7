/* feed_table - opening and keeping a table without httpd. */
#include "clamquota/feed_table.h"

#include "table/shares.h"

#include <string.h>
#include <time.h>

/* ClamQuotaClients, its default */
#define CLIENTS_DEFAULT 262144

/* A feed that ends holds its lock until it has counted what it read. */
#define LOCK_WAIT_MS 2000

/* of 1024 bytes a line */
#define SENTENCE_SIZE 600

static void report(const struct cq_feed_table *t, const char *sentence)
{
    fprintf(t->err, "clamquota feed: %s: %s\n", t->path, sentence);
}

static void report_events(const struct cq_feed_table *t, unsigned events,
                          const char *aside)
{
    static const struct {
        unsigned event;
        const char *sentence;
    } sentences[] = {
        { CQ_TABLE_CREATED, "made a new table" },
        { CQ_TABLE_IMPORTED, "had the older layout 2: its counters were kept" },
        { CQ_TABLE_REPAIRED, "was not closed in order: reservations of "
                             "processes that are gone were released" },
        { CQ_TABLE_RESIZED, "was copied into a table of the new size" },
        { CQ_TABLE_NOT_SHRUNK, "holds more clients than --clients: it keeps "
                               "its size" },
        { CQ_TABLE_RESTARTED, "another period: the counters are reset" },
        { CQ_TABLE_PERIOD_JUMP, "the clock is neither in the period in which "
                                "it was last used nor in the next one: it is "
                                "accepted" }
    };
    char sentence[SENTENCE_SIZE];
    size_t i;

    if ((events & (CQ_TABLE_SET_ASIDE | CQ_TABLE_DAMAGED)) != 0) {
        snprintf(sentence, sizeof(sentence), "%s and is set aside as %s: "
                 "the counters start at zero", (events & CQ_TABLE_DAMAGED) != 0
                 ? "was damaged" : "had an older layout", aside);
        report(t, sentence);
    }
    for (i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
        if ((events & sentences[i].event) != 0) {
            report(t, sentences[i].sentence);
        }
    }
}

static void report_notices(const struct cq_feed_table *t)
{
    uint32_t notices = cq_table_notices(t->table);

    if ((notices & CQ_NOTICE_FILL) != 0) {
        report(t, "80 % of its clients are in use: raise --clients");
    }
    if ((notices & CQ_NOTICE_EVICT) != 0) {
        report(t, "a client of this period was forgotten to make room: raise "
               "--clients");
    }
    if ((notices & CQ_NOTICE_UNTRACKED) != 0) {
        report(t, "a client found no room and is not counted: raise --clients");
    }
}

/* A table that is there keeps what the command line does not change.
 * @return not CQ_OK: it cannot be read now, so opening it with defaults might
 *         start its counters anew */
static enum cq_status adopt_settings(const struct cq_feed_table *t,
                                     struct cq_tablefile_want *want, char *why,
                                     size_t why_size)
{
    struct cq_table_figures figures;
    struct cq_period period;
    struct cq_table *table;
    enum cq_status status = cq_tablefile_attach(t->path, false, &table, why,
                                                why_size);

    if (status != CQ_OK) {
        /* none, none of ours or a damaged one: opening it deals with that */
        return status == CQ_EIO || status == CQ_ENOMEM || status == CQ_EACCES
            ? status : CQ_OK;
    }
    cq_table_figures(table, &figures);
    cq_table_period(table, &period);
    want->prefixes = cq_table_prefixes(table);
    want->files = (uint64_t)figures.files;
    want->cluster = cq_table_has_cluster(table);
    if (t->clients_n == 0) {
        want->clients = (uint64_t)figures.capacity;
    }
    if (t->kind == 0 && cq_period_is_valid(&period)) {
        want->kind = (enum cq_period_kind)period.kind;
    }
    if (cq_period_is_valid(&period)) {
        want->zone = (enum cq_zone)period.zone;
    }
    cq_tablefile_close(table);
    return CQ_OK;
}

/* Reports it, if it is one. */
static enum cq_exit report_failure(const struct cq_feed_table *t,
                                   enum cq_status status, const char *why)
{
    if (status == CQ_OK) {
        return CQ_EXIT_DONE;
    }
    fprintf(t->err, "clamquota feed: %s\n", why);
    return status == CQ_EACCES ? CQ_EXIT_NOT_PERMITTED : CQ_EXIT_NO_TABLE;
}

static enum cq_status set_policy(struct cq_feed_table *t, char *why,
                                 size_t why_size)
{
    enum cq_status status;

    cq_table_policies_begin(t->table);
    status = cq_table_pool(t->table, t->pool_name, &t->pool);
    if (status == CQ_OK) {
        status = cq_table_policy(t->table, t->pool, "ClamQuotaDaily",
                                 &t->policy, &t->policy_index);
    }
    if (status == CQ_OK) {
        cq_table_pool_refuses(t->table, t->pool, true);
    }
    else {
        snprintf(why, why_size, "%s: holds as many pools and rules as it can: "
                 "move it away and start again", t->path);
    }
    cq_table_policies_end(t->table);
    return status;
}

enum cq_exit cq_feed_table_open(struct cq_feed_table *t)
{
    struct cq_tablefile_want want = {
        .path = t->path,
        .clients = t->clients_n > 0 ? (uint64_t)t->clients_n
                                    : CLIENTS_DEFAULT,
        .kind = t->kind != 0 ? t->kind : CQ_PERIOD_MONTH,
        .zone = CQ_ZONE_LOCAL,
        .prefixes = { 32, 64 },
        .now_s = (int64_t)time(NULL),
        .lock_wait_ms = LOCK_WAIT_MS
    };
    char why[CQ_WHY_SIZE] = "";
    unsigned events = 0;
    enum cq_status status = adopt_settings(t, &want, why, sizeof(why));

    if (status == CQ_OK) {
        status = cq_tablefile_open(&want, &t->table, &events, why,
                                   sizeof(why));
    }
    if (status == CQ_OK) {
        report_events(t, events, why);
        t->has_lock = true;
        memset(&t->watch, 0, sizeof(t->watch));
        status = set_policy(t, why, sizeof(why));
    }
    return report_failure(t, status, why);
}

/* Pools and policies keep their numbers for the life of the file. */
static enum cq_exit attach(struct cq_feed_table *t)
{
    char why[CQ_WHY_SIZE];
    enum cq_status status = cq_tablefile_attach(t->path, true, &t->table, why,
                                                sizeof(why));

    t->has_lock = false;
    return report_failure(t, status, why);
}

enum cq_exit cq_feed_table_hand_over(struct cq_feed_table *t)
{
    cq_tablefile_close(t->table);
    t->table = NULL;
    return attach(t);
}

static int64_t boot_clock_s(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_BOOTTIME, &now) == 0 ? now.tv_sec : 0;
}

static enum cq_exit reopen(struct cq_feed_table *t)
{
    bool is_lost = cq_table_health(t->table) == CQ_HEALTH_LOST;

    if (t->has_lock) {
        report(t, is_lost
               ? "was cut short or overwritten, or its disk is full: opened "
                 "again"
               : "was removed or replaced: opened again");
    }
    cq_tablefile_close(t->table);
    t->table = NULL;
    return t->has_lock ? cq_feed_table_open(t) : attach(t);
}

enum cq_exit cq_feed_table_tick(struct cq_feed_table *t)
{
    (void)cq_table_inspect(t->table);
    if (cq_table_health(t->table) != CQ_HEALTH_OK) {
        return reopen(t);
    }
    if (!t->has_lock) {
        return CQ_EXIT_DONE;
    }
    switch (cq_table_tick(t->table, &t->watch, (int64_t)time(NULL),
                          boot_clock_s())) {
    case CQ_CLOCK_DOUBT:
        report(t, "the clock jumped into another period: the old one stays in "
               "force for some minutes");
        break;
    case CQ_CLOCK_ADOPT:
        report(t, "another period is in force: its counters start at zero");
        break;
    case CQ_CLOCK_STAY:
        break;
    }
    report_notices(t);
    return CQ_EXIT_DONE;
}
