/* clamquota: no byte of the table is trusted. Words of a good table are
 * changed at random, and each subcommand ends in time, with an exit code
 * that its manual page has, a sentence where something is wrong, and no
 * control character of the file on the terminal. CQ_TEST_SEED=n begins with
 * another table, CQ_TEST_FLIPS=n sets their number. */
#include "clamquota/command.h"
#include "table/copies.h"
#include "table/exchange.h"
#include "table/exempt.h"
#include "table/jail.h"
#include "table_fileops.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#define CLIENTS 40
#define FLIPS 60
#define LIMIT_S 20              /* under valgrind, too */
#define TOP_EACH 30             /* top needs a second */

/* TABLE and LOG stand for the names of files */
#define T "--table", "TABLE"

/* for all that read lines */
#define LINE "10.0.0.3 - - [29/Nov/2026:01:00:00 +0000] \"GET / HTTP/1.1\" " \
             "200 1000\n"

static const struct {
    cq_command_fn *run;
    const char *argv[9];
} commands[] = {
    { cq_command_report, { "report", T } },
    { cq_command_report, { "report", "--json", T } },
    { cq_command_report, { "report", "--csv", "--sort", "last", T } },
    { cq_command_report, { "report", "--by-net", "24,48", "--over", T } },
    { cq_command_show, { "show", "10.0.0.3", "--deny-file", "LOG", T } },
    { cq_command_show, { "show", "10.0.0.35", T } },
    { cq_command_show, { "show", "10.0.0.0/24", T } },
    { cq_command_cluster, { "cluster", T } },
    { cq_command_check, { "check", T } },
    { cq_command_export, { "export", "sqlite", T } },
    { cq_command_replay, { "replay", "LOG", "--daily", "1M", T } },
    { cq_command_exempt, { "exempt", "--list", T } },
    { cq_command_exempt, { "exempt", "10.0.0.4", "--for", "1h", T } },
    { cq_command_exempt, { "exempt", "10.0.0.9", "--end", T } },
    { cq_command_cluster, { "cluster", "--forget", "b", T } },
    { cq_command_reset, { "reset", "10.0.0.3", T } },
    { cq_command_feed, { "feed", "--format", "common", "--daily", "1M", T } },
    { cq_command_reset, { "reset", "--all", "--yes", T } },
    { cq_command_top, { "top", T } }
};

#define COMMAND_N (sizeof(commands) / sizeof(commands[0]))

static struct fixture f;
static char log_path[112], out_path[112], err_path[112];

/* ---- a good table ---- */

static void put_cluster(struct cq_table *t)
{
    struct cq_cluster_status status = { .node = cq_table_node(t),
                                        .label = "a", .nodes_n = 2,
                                        .servers_n = 1, .rounds = 7 };

    status.nodes[0] = (struct cq_cluster_node){ .id = status.node,
                                                .label = "a", .self = true };
    status.nodes[1] = (struct cq_cluster_node){ .id = 77, .label = "b",
                                                .last_seen_s = 5 };
    snprintf(status.servers[0].name, sizeof(status.servers[0].name),
             "127.0.0.1:11211");
    cq_cluster_status_write(t, &status);
}

static void put_files(struct cq_table *t, const struct cq_clock *clock)
{
    struct cq_key key = client(3);
    struct cq_version version;
    struct cq_account a;

    cq_version_make(t, "/srv/main.cvd", 1000, 5, &version);
    ck_assert_int_eq(cq_copies_open(t, cq_table_identity(t, 0, &key), &version,
                                    clock, &a), CQ_OK);
    ck_assert_int_eq(cq_copies_admit(&a, clock, 1, &version, 1000), CQ_OK);
    cq_copies_charge(&a, clock, 1000);
    cq_account_close(&a);
}

static void draw_clients(struct cq_table *t, const struct cq_clock *clock)
{
    uint32_t k;

    for (k = 0; k < CLIENTS; k++) {
        struct cq_account a = open_client(t, k, clock);

        cq_account_charge(&a, clock, 100000 * k);
        cq_account_count_hit(&a, clock);
        if (k > 30) {
            cq_account_count_refusal(&a, clock, CQ_STATE_OVER);
        }
        cq_account_close(&a);
    }
}

static void make_table(void)
{
    struct cq_jail_report report = { .spec = "nft:inet/clamquota/a,b",
                                     .jailed = 1, .dropped_packets = 5,
                                     .as_of_s = (int64_t)time(NULL) };
    struct cq_policy policy = { 1000000, 0 };
    struct cq_key exempt = client(9), jailed = client(35);
    struct cq_clock clock;
    struct cq_table *t;
    uint16_t pool, index;

    fixture_begin(&f, CLIENTS);
    f.want.now_s = (int64_t)time(NULL);
    f.want.cluster = true;
    f.want.machine = 1;
    f.want.files = CLIENTS;
    t = fixture_open(&f, NULL);
    cq_table_policies_begin(t);
    ck_assert_int_eq(cq_table_pool(t, "default", &pool), CQ_OK);
    ck_assert_int_eq(cq_table_policy(t, pool, "ClamQuotaDaily", &policy,
                                     &index), CQ_OK);
    cq_table_pool_refuses(t, pool, true);
    cq_table_policies_end(t);
    clock = clock_at(t, f.want.now_s);
    draw_clients(t, &clock);
    put_files(t, &clock);
    put_cluster(t);
    ck_assert_int_eq(cq_exempt_set(t, &exempt, f.want.now_s + 9000,
                                   f.want.now_s), CQ_OK);
    cq_jail_report_file(&report, "/nonexistent/deny");
    cq_table_jail_set(t, &report);
    cq_table_mark_jailed(t, &jailed, true);
    cq_tablefile_close(t);
}

/* ---- changed words ---- */

/* A word of a section: each is chosen as often as any other.
 * @param first  0: of the geometry, too; 1: not, so that the table is read */
static size_t pick_word(const struct cq_geometry *g, size_t first,
                        uint64_t *seed)
{
    const uint64_t from[] = {
        0, sizeof(*g), offsetof(struct cq_header, jail), g->pools_at,
        g->stripes_at, g->policies_at,
        g->history_at, g->days_at, g->exempt_at, g->changes_at, g->ledger_at,
        g->names_at, g->hot_at, g->hot_at, g->cold_at, g->cluster_at,
        g->cluster_at + sizeof(struct cq_cluster_head) - 2048, g->file_size
    };
    const uint64_t sizes[] = { 64, 1024, UINT64_MAX };
    size_t n = sizeof(from) / sizeof(from[0]) - 1;
    size_t i = first + xorshift(seed) % (n - first);
    uint64_t size = from[i + 1] > from[i] ? from[i + 1] - from[i] : 4096;
    uint64_t most;

    /* most of what is in use stands at a section's beginning */
    most = sizes[xorshift(seed) % 3];
    size = size < most ? size : most;
    return (from[i] + xorshift(seed) % size) / 8 * 8;
}

static void flip(unsigned char *bytes, const struct cq_geometry *g,
                 uint64_t *seed)
{
    size_t first = xorshift(seed) % 8 != 0;
    int times = 1 + (int)(xorshift(seed) % 40);

    while (times-- > 0) {
        unsigned char *at = bytes + pick_word(g, first, seed);
        uint64_t word, drawn = xorshift(seed);

        memcpy(&word, at, 8);
        word = drawn % 5 == 0 ? word ^ UINT64_C(1) << (drawn >> 8) % 64
            : drawn % 5 == 1 ? xorshift(seed)
            : drawn % 5 == 2 ? word + (drawn >> 8) % 16 - 8
            : drawn % 5 == 3 ? UINT64_MAX >> (drawn >> 8) % 64
            : UINT64_C(0x1b5b324a1b5d3041);      /* escapes of a terminal */
        memcpy(at, &word, 8);
    }
    if (xorshift(seed) % 4 == 0) {
        struct cq_geometry *its = (struct cq_geometry *)(void *)bytes;

        its->checksum = cq_geometry_checksum(its);
    }
}

/* ---- a command ---- */

static _Noreturn void run_command(size_t c)
{
    FILE *out = freopen(out_path, "w", stdout);
    FILE *err = freopen(err_path, "w", stderr);
    char *argv[10] = { NULL };
    char words[9][112];
    int argc = 0, result;

    if (!freopen(log_path, "r", stdin) || out == NULL || err == NULL) {
        _exit(99);
    }
    alarm(LIMIT_S);
    for (; commands[c].argv[argc] != NULL; argc++) {
        const char *word = commands[c].argv[argc];

        snprintf(words[argc], sizeof(words[argc]), "%s",
                 strcmp(word, "TABLE") == 0 ? f.path
                 : strcmp(word, "LOG") == 0 ? log_path : word);
        argv[argc] = words[argc];
    }
    result = (int)commands[c].run(argc, argv, out, err);
    fflush(out);
    fflush(err);
    _exit(result);
}

/* top ends by a signal, once it has shown something or failed. */
static void end_top(pid_t pid)
{
    struct timespec step = { 0, 10000000 };
    struct stat st = { 0 };
    int tries, status;

    for (tries = 0; tries < LIMIT_S * 100; tries++) {
        siginfo_t info = { 0 };

        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0
            && info.si_pid == pid) {
            return;
        }
        if (stat(out_path, &st) == 0 && st.st_size > 0) {
            break;
        }
        nanosleep(&step, NULL);
    }
    status = kill(pid, SIGTERM);
    ck_assert(status == 0 || errno == ESRCH);
}

static void assert_clean(const char *path, const char *what, uint64_t seed,
                         bool is_empty_wrong)
{
    size_t i, size;
    unsigned char *bytes = read_whole(path, &size);

    ck_assert_msg(!is_empty_wrong || size > 0, "%s, CQ_TEST_SEED=%" PRIu64
                  ": no sentence", what, seed);
    for (i = 0; i < size; i++) {
        ck_assert_msg((bytes[i] >= ' ' && bytes[i] != 0x7f)
                      || bytes[i] == '\n' || bytes[i] == '\r',
                      "%s, CQ_TEST_SEED=%" PRIu64 ": a control character %d",
                      what, seed, bytes[i]);
    }
    free(bytes);
}

/* @return exit status */
static int try_command(size_t c, uint64_t seed)
{
    const char *name = commands[c].argv[0];
    int status;
    pid_t pid;

    fflush(NULL);
    unlink(out_path);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        run_command(c);
    }
    if (commands[c].run == cq_command_top) {
        end_top(pid);
    }
    status = wait_for(pid);
    ck_assert_msg(!WIFSIGNALED(status), "%s %s, CQ_TEST_SEED=%" PRIu64
                  ": signal %d", name, commands[c].argv[1], seed,
                  WTERMSIG(status));
    status = WEXITSTATUS(status);
    ck_assert_msg(status == CQ_EXIT_DONE || status == CQ_EXIT_PARTLY
                  || status == CQ_EXIT_NO_TABLE,
                  "%s %s, CQ_TEST_SEED=%" PRIu64 ": exit status %d", name,
                  commands[c].argv[1], seed, status);
    assert_clean(out_path, name, seed, false);
    assert_clean(err_path, name, seed, status != CQ_EXIT_DONE);
    return status;
}

/* ---- tests ---- */

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void begin(void)
{
    make_table();
    snprintf(log_path, sizeof(log_path), "%s/log", f.dir);
    snprintf(out_path, sizeof(out_path), "%s/out", f.dir);
    snprintf(err_path, sizeof(err_path), "%s/err", f.dir);
    write_file(log_path, LINE, sizeof(LINE) - 1);
}

/* Of the good table: what is wrong with others is their words. */
START_TEST(good_table)
{
    size_t c;

    begin();
    for (c = 0; c < COMMAND_N; c++) {
        ck_assert_msg(try_command(c, 0) == CQ_EXIT_DONE, "%s %s",
                      commands[c].argv[0], commands[c].argv[1]);
    }
    fixture_end(&f, NULL);
}
END_TEST

START_TEST(flipped_words)
{
    uint64_t seed = number_from("CQ_TEST_SEED", 1);
    uint64_t end = seed + number_from("CQ_TEST_FLIPS", FLIPS);
    unsigned char *good, *bad;
    struct cq_geometry g;
    size_t c, size;
    int done_n = 0, damaged_n = 0;

    begin();
    good = read_whole(f.path, &size);
    bad = malloc(size);
    ck_assert_ptr_nonnull(bad);
    memcpy(&g, good, sizeof(g));
    for (; seed < end; seed++) {
        uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

        memcpy(bad, good, size);
        flip(bad, &g, &random);
        write_file(f.path, bad, size);
        for (c = 0; c < COMMAND_N; c++) {
            if (commands[c].run != cq_command_top || seed % TOP_EACH == 0) {
                int status = try_command(c, seed);

                done_n += status == CQ_EXIT_DONE;
                damaged_n += status == CQ_EXIT_NO_TABLE;
            }
        }
    }
    /* both sides are tried */
    ck_assert_msg(done_n > damaged_n && damaged_n > 0,
                  "%d done, %d damaged", done_n, damaged_n);
    free(good);
    free(bad);
    fixture_end(&f, NULL);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("clamquota: flipped words");
    TCase *t = tcase_create("flips");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, good_table);
    tcase_add_test(t, flipped_words);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
