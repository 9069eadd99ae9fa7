/* table - fuzzes the table's file: words of a good one are changed, also by
 * a program that knows what they mean and puts the checksum right. Then one of
 * its users comes: a tool that reads or writes, or a server, whose start
 * repairs it. The first byte says which. */
#include "table_image.h"

#include "../unit/table_use.h"
#include "table/exchange.h"
#include "table/rules.h"

enum user { TOOL, READER, SERVER, OTHER_SERVER, USERS };

static bool is_text(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static void read_rows(struct cq_table *t, const struct cq_clock *clock)
{
    struct cq_row row;
    struct cq_copies_row copies;
    struct cq_copies_name names[CQ_COPIES_NAMES_MAX];
    struct cq_key key;
    uint64_t position = 0;
    uint32_t number;
    size_t i, n;

    while (cq_table_next_row(t, clock, &position, &row)) {
        struct cq_policy_info policy;

        HOLDS(cq_key_is_valid(&row.key));
        HOLDS(row.used_bytes >= 0 && row.in_flight_bytes >= 0);
        cq_table_policy_info(t, row.pool, row.policy_index, &policy);
        HOLDS(is_text(policy.rule, sizeof(policy.rule)));
        (void)cq_table_seen_proxied(t, &row.key, clock);
        (void)cq_table_refused_in_jail(t, &row.key);
    }
    for (position = 0; cq_table_next_over(t, &position, &number);) {
        (void)cq_table_row_at(t, number, clock, &row);
    }
    for (position = 0; cq_table_next_jailed(t, clock, &position, &key);) {
        HOLDS(cq_key_is_valid(&key));
    }
    for (position = 0; cq_copies_next(t, clock, &position, &copies);) {
        HOLDS(is_text(copies.path, sizeof(copies.path)));
    }
    n = cq_copies_names(t, clock, names);
    HOLDS(n <= CQ_COPIES_NAMES_MAX);
    for (i = 0; i < n; i++) {
        (void)cq_copies_find(t, clock, 1, &names[i], &copies);
    }
}

static void read_cluster(struct cq_table *t)
{
    struct cq_cluster_status status;
    struct cq_act acts[CQ_ACTS_MAX];

    if (!cq_table_has_cluster(t)) {
        return;
    }
    if (cq_cluster_status_read(t, &status)) {
        HOLDS(status.nodes_n <= CQ_CLUSTER_NODES_MAX);
    }
    HOLDS(cq_acts_read(t, acts) <= CQ_ACTS_MAX);
}

/* Everything that is read without a word changed: the pages of a reader are
 * mapped so. */
static void read_all(struct cq_table *t)
{
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_table_figures figures;
    struct cq_exemption exemptions[CQ_EXEMPTIONS_MAX];
    struct cq_change changes[16];
    struct cq_jail_report jail;
    struct cq_hour hours[CQ_HOURS];
    struct cq_rules rules;
    size_t i, n;

    read_rows(t, &clock);
    read_cluster(t);
    cq_table_check(t, false, NULL);
    cq_table_figures(t, &figures);
    HOLDS(cq_table_history(t, hours, CQ_HOURS) <= CQ_HOURS);
    HOLDS(cq_table_days(t, hours, CQ_HOURS) <= CQ_HOURS);
    n = cq_exempt_list(t, NOON_S, exemptions);
    HOLDS(n <= CQ_EXEMPTIONS_MAX);
    for (i = 0; i < n; i++) {
        HOLDS(cq_key_is_valid(&exemptions[i].net)
              && exemptions[i].until_s > NOON_S);
    }
    n = cq_changes_read(t, NULL, changes, 16);
    HOLDS(n <= 16);
    for (i = 0; i < n; i++) {
        HOLDS(cq_change_word(changes[i].kind) != NULL);
    }
    if (cq_table_jail(t, &jail)) {
        const char *next = NULL;
        char path[CQ_JAIL_FILES_SIZE];

        HOLDS(is_text(jail.spec, sizeof(jail.spec)));
        while (cq_jail_report_next(&jail, &next, path)) {
            HOLDS(path[0] == '/');
        }
    }
    if (cq_rules_read(t, NOON_S, &rules) == CQ_OK) {
        cq_rules_free(&rules);
    }
}

/* A server may have set the file aside, or put another one in its place. */
static void put_name_back(unsigned events)
{
    static const char *const suffixes[] = { ".damaged", ".v1", ".v2" };
    char name[128];
    struct stat now, kept;
    size_t i;

    for (i = 0; i < 3; i++) {
        if ((events & (CQ_TABLE_DAMAGED | CQ_TABLE_SET_ASIDE)) == 0) {
            break;
        }
        snprintf(name, sizeof(name), "%s%s", fixture.path, suffixes[i]);
        unlink(name);
    }
    HOLDS(stat(kept_path, &kept) == 0 && (size_t)kept.st_size == size_bytes);
    if (stat(fixture.path, &now) != 0 || now.st_ino != kept.st_ino) {
        unlink(fixture.path);
        HOLDS(link(kept_path, fixture.path) == 0);
    }
}

static void use_as_reader(bool writable, void (*use)(struct cq_table *))
{
    struct cq_table *t;

    if (cq_tablefile_attach(fixture.path, writable, &t, why, sizeof(why))
        == CQ_OK) {
        use(t);
        cq_tablefile_close(t);
    }
    else {
        HOLDS(t == NULL && why[0] != '\0');
    }
}

/* Whatever was found, a server has a table without fault, or says why not. */
static void use_as_server(bool is_other)
{
    struct fixture f = fixture;
    unsigned events = 0;
    struct cq_table *t;

    if (is_other) {
        f.want.clients = 2 * CLIENTS;
        f.want.files = 0;
    }
    if (try_open(&f, &t, &events) == CQ_OK) {
        HOLDS(cq_table_check(t, true, stderr) == 0);
        use_all(t);
        HOLDS(cq_table_check(t, true, stderr) == 0 && "after its use");
        cq_tablefile_close(t);
    }
    else {
        HOLDS(t == NULL && why[0] != '\0');
    }
    put_name_back(events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    uint64_t flags = take(&in, 1);

    damage(&in, (flags & 1) != 0);
    switch ((flags >> 1) % USERS) {
    case TOOL:
        use_as_reader(true, use_all);
        break;
    case READER:
        use_as_reader(false, read_all);
        break;
    default:
        use_as_server((flags >> 1) % USERS == OTHER_SERVER);
        break;
    }
    return 0;
}
