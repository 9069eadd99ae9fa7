/* options - the command line of clamquota-sync, as a table. */
#include "sync/options.h"

#include "core/offence.h"

#include <string.h>

/* An ipset entry's timeout ends at 2,147,483 s (UINT_MAX / 2 milliseconds,
 * ip_set_timeout.h), nearly 25 days. */
#define LEASE_MAX_S (INT64_C(24) * 86400)

/* the table counts no more refusals of a client: 24 bits (table/layout.h) */
#define AFTER_MAX INT64_C(16777215)

#define AT(member) offsetof(struct cq_sync_options, member)

static const struct cq_option options[] = {
    { .letter = 'n', .name = "dry-run", .offset = AT(dry_run),
      .help = "print what would be done, as +ADDRESS and -ADDRESS" },
    { .letter = 'v', .name = "verbose", .offset = AT(verbose),
      .help = "report each client that is jailed or released, and what\n"
              "is left out" },
    { .name = "table", .value = "FILE", .kind = CQ_OPTION_FILE,
      .offset = AT(table), .help = "ClamQuotaTable [" CQ_TABLE_PATH "]" },
    { .name = "jail", .value = "JAIL", .kind = CQ_OPTION_TEXTS,
      .offset = AT(jails), .help = "recent:NAME[,NAME6],\n"
      "nft:FAMILY/TABLE/SET4[,SET6[,DENY4,DENY6]] or\n"
      "ipset:SET4[,SET6] [" CQ_SYNC_JAIL "]" },
    { .name = "pool", .value = "NAME", .kind = CQ_OPTION_POOLS,
      .offset = AT(pools),
      .help = "only clients over quota in this pool [all pools]" },
    { .name = "after", .value = "N", .kind = CQ_OPTION_NUMBER,
      .offset = AT(after), .least = 1, .most = AFTER_MAX,
      .expected = "a number of refusals from 1 to 16777215, e.g. --after 200",
      .help = "jail after N refusals in a day [200]" },
    { .name = "grace", .value = "DURATION", .kind = CQ_OPTION_DURATION,
      .offset = AT(grace_s), .least = 0, .most = INT64_MAX,
      .expected = "how long a client must be over quota, up to 366d, e.g. "
                  "--grace 60s",
      .help = "jail a client over quota for this long [60s]" },
    { .name = "never", .value = "CIDR", .kind = CQ_OPTION_NETS,
      .offset = AT(never), .help = "never jail these addresses" },
    { .name = "never-file", .value = "FILE", .kind = CQ_OPTION_FILES,
      .offset = AT(never_files), .help = "nor these, one a line" },
    { .name = "deny-file", .value = "FILE", .kind = CQ_OPTION_FILES,
      .offset = AT(deny_files),
      .help = "jail these too: \"Deny from\", \"Require not ip\", or one\n"
              "address a line" },
    { .name = "lease", .value = "DURATION", .kind = CQ_OPTION_DURATION,
      .offset = AT(lease_s), .least = 1, .most = LEASE_MAX_S,
      .expected = "how long an entry lasts without being renewed, from 1s to "
                  "24d, e.g. --lease 1h",
      .help = "time that an entry outlives this program [1h]" },
    { .name = "watch", .offset = AT(watch), .help = "stay and act at once" },
    { .name = "status", .offset = AT(status),
      .help = "show the jails against the clients that are wanted" },
    { .name = "json", .offset = AT(json), .help = "with --status: as JSON" },
    { .name = "flush", .offset = AT(flush), .help = "empty the jails" },
    { .name = "state", .value = "FILE", .kind = CQ_OPTION_FILE,
      .offset = AT(state),
      .help = "what was reported [" CQ_SYNC_STATE "]" }
};

static const struct cq_program program = {
    .name = "clamquota-sync",
    .usage =
        "Usage: clamquota-sync [OPTION]...\n"
        "Has the kernel drop new connections of clients that keep sending\n"
        "requests after they were refused, until their quota allows more.\n"
        "\n",
    .more =
        "\n"
        "Exit status: 0 done, 1 partly failed, 2 usage, 3 no such list or\n"
        "set, 4 not permitted, 5 /proc is read-only, 6 no table. See\n"
        "clamquota-sync(8).\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0])
};

static bool is_consistent(const struct cq_sync_options *o, FILE *err)
{
    const char *wrong = NULL;

    if (o->json && !o->status) {
        wrong = "--json: expected with --status, e.g. clamquota-sync --status "
                "--json";
    }
    else if (o->watch + o->status + o->flush > 1) {
        wrong = "expected one of --watch, --status and --flush, e.g. "
                "clamquota-sync --status";
    }
    else if (o->dry_run && (o->watch || o->status)) {
        wrong = "-n: expected without --watch and --status, e.g. "
                "clamquota-sync -n";
    }
    if (wrong != NULL) {
        fprintf(err, "clamquota-sync: %s\n", wrong);
    }
    return wrong == NULL;
}

enum cq_options_result cq_sync_options_read(struct cq_sync_options *o,
                                            int argc, char **argv, FILE *out,
                                            FILE *err)
{
    enum cq_options_result result;
    int first;

    memset(o, 0, sizeof(*o));
    o->table = CQ_TABLE_PATH;
    o->state = CQ_SYNC_STATE;
    o->after = CQ_OFFENCE_AFTER;
    o->grace_s = CQ_OFFENCE_GRACE_S;
    o->lease_s = CQ_SYNC_LEASE_S;
    result = cq_options_read(&program, o, argc, argv, &first, out, err);
    if (result == CQ_OPTIONS_RUN && !is_consistent(o, err)) {
        result = CQ_OPTIONS_WRONG;
    }
    if (o->jails.count == 0) {
        o->jails.texts[o->jails.count++] = CQ_SYNC_JAIL;
    }
    return result;
}

void cq_sync_options_free(struct cq_sync_options *options_read)
{
    cq_net_free(&options_read->never);
}
