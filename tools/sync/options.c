/* options - the command line of clamquota-sync: every value is checked whole
 * and refused with one sentence that shows a good one. */
#include "sync/options.h"

#include "core/offence.h"
#include "core/units.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* the module's; t/51-sync.t compares */
#define VERSION "0.1.0"

/* An ipset entry's timeout ends at 2,147,483 s (UINT_MAX / 2 milliseconds,
 * ip_set_timeout.h), nearly 25 days. */
#define LEASE_MAX_S (INT64_C(24) * 86400)

/* more refusals than the table counts for a client since he is over are
 * never reached: 24 bits (table/layout.h) */
#define AFTER_MAX INT64_C(16777215)

/* as in table.h: CQ_POOL_NAME_SIZE with its NUL */
#define POOL_NAME_MAX 31

enum {
    OPT_TABLE = 256, OPT_JAIL, OPT_POOL, OPT_AFTER, OPT_GRACE, OPT_NEVER,
    OPT_NEVER_FILE, OPT_DENY_FILE, OPT_LEASE, OPT_WATCH, OPT_STATUS, OPT_JSON,
    OPT_FLUSH, OPT_STATE
};

static const struct option long_options[] = {
    { "dry-run", no_argument, NULL, 'n' },
    { "verbose", no_argument, NULL, 'v' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { "table", required_argument, NULL, OPT_TABLE },
    { "jail", required_argument, NULL, OPT_JAIL },
    { "pool", required_argument, NULL, OPT_POOL },
    { "after", required_argument, NULL, OPT_AFTER },
    { "grace", required_argument, NULL, OPT_GRACE },
    { "never", required_argument, NULL, OPT_NEVER },
    { "never-file", required_argument, NULL, OPT_NEVER_FILE },
    { "deny-file", required_argument, NULL, OPT_DENY_FILE },
    { "lease", required_argument, NULL, OPT_LEASE },
    { "watch", no_argument, NULL, OPT_WATCH },
    { "status", no_argument, NULL, OPT_STATUS },
    { "json", no_argument, NULL, OPT_JSON },
    { "flush", no_argument, NULL, OPT_FLUSH },
    { "state", required_argument, NULL, OPT_STATE },
    { NULL, 0, NULL, 0 }
};

static const char help[] =
"Usage: clamquota-sync [-n] [-v] [OPTION]...\n"
"Has the kernel drop new connections of clients that keep asking after they\n"
"were refused, and lets them in again when their quota allows.\n"
"\n"
"  -n                 print what would be done, as +ADDRESS and -ADDRESS\n"
"  -v                 say what is done and what is left out\n"
"  --table FILE       " OPTIONS_TABLE "\n"
"  --jail JAIL        recent:NAME[,NAME6], nft:FAMILY/TABLE/SET4[,SET6] or\n"
"                     ipset:SET4[,SET6]; " OPTIONS_JAIL "\n"
"  --pool NAME        only clients that are over in this pool; all pools\n"
"  --after N          refused so often since they are over; 200\n"
"  --grace DURATION   over for so long; 60s\n"
"  --never CIDR       nobody in this network is jailed\n"
"  --never-file FILE  nor in these, one a line\n"
"  --deny-file FILE   jail these too: \"Deny from\", \"Require not ip\", or "
"one\n"
"                     address a line\n"
"  --lease DURATION   how long an entry outlives this program; 1h\n"
"  --watch            stay and act at once\n"
"  --status [--json]  show who is jailed and who should be\n"
"  --flush            empty the jails\n"
"  --state FILE       " OPTIONS_STATE "\n"
"  -h, --help         this text\n"
"  -V, --version      " VERSION "\n"
"\n"
"Exit status: 0 done, 1 partly failed, 2 usage, 3 no such list or set,\n"
"4 not permitted, 5 /proc is read-only, 6 no table. See clamquota-sync(8).\n";

struct reader {
    struct options *options;
    FILE *err;
};

static bool wrong(const struct reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool wrong(const struct reader *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("clamquota-sync: ", r->err);
    vfprintf(r->err, format, args);
    fputc('\n', r->err);
    va_end(args);
    return false;
}

/* ---- values ---- */

static bool read_file_name(const struct reader *r, const char *name,
                           const char *text, const char **file)
{
    const char *at;

    for (at = text; *at != '\0'; at++) {
        /* the state file keeps names, one a line */
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            break;
        }
    }
    if (at == text || *at != '\0') {
        return wrong(r, "%s \"%s\": expected the name of a file, e.g. %s",
                     name, *at == '\0' ? text : "...", OPTIONS_TABLE);
    }
    *file = text;
    return true;
}

static bool append(const struct reader *r, const char *name,
                   struct options_list *list, const char *text)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (strcmp(list->texts[i], text) == 0) {
            return wrong(r, "%s %s: given twice, expected each once", name,
                         text);
        }
    }
    if (list->count == OPTIONS_LIST_MAX) {
        return wrong(r, "%s %s: expected at most %d of these", name, text,
                     OPTIONS_LIST_MAX);
    }
    list->texts[list->count++] = text;
    return true;
}

static bool read_pool(const struct reader *r, const char *text)
{
    if (*text == '\0' || strlen(text) > POOL_NAME_MAX
        || text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "abcdefghijklmnopqrstuvwxyz0123456789._-")] != '\0') {
        return wrong(r, "--pool \"%s\": expected the name of a pool, 1 to %d "
                     "letters, digits, dots, _ or -, e.g. --pool default",
                     text, POOL_NAME_MAX);
    }
    return append(r, "--pool", &r->options->pools, text);
}

static bool read_after(const struct reader *r, const char *text)
{
    int64_t n = 0;
    const char *at;

    for (at = text; *at >= '0' && *at <= '9' && n <= AFTER_MAX; at++) {
        n = n * 10 + (*at - '0');
    }
    if (at == text || *at != '\0' || n < 1 || n > AFTER_MAX) {
        return wrong(r, "--after \"%s\": expected a number of refusals from 1 "
                     "to %lld, e.g. --after 200", text, (long long)AFTER_MAX);
    }
    r->options->after = n;
    return true;
}

static bool read_duration(const struct reader *r, const char *name,
                          const char *text, int64_t least_s, int64_t most_s,
                          const char *expected, int64_t *seconds)
{
    int64_t s;

    if (cq_duration_parse_s(text, &s) != CQ_OK || s < least_s || s > most_s) {
        return wrong(r, "%s \"%s\": expected %s", name, text, expected);
    }
    *seconds = s;
    return true;
}

static bool read_never(const struct reader *r, const char *text)
{
    const char *why = NULL;
    struct cq_key key;

    if (cq_key_parse(&key, text, &why) != CQ_OK) {
        return wrong(r, "--never \"%s\": %s, e.g. --never 192.0.2.0/24", text,
                     why);
    }
    return key_list_add(&r->options->never, &key)
        || wrong(r, "--never %s: out of memory", text);
}

/* ---- the line ---- */

static bool take_flag(struct options *o, int option)
{
    switch (option) {
    case 'n':
        o->dry_run = true;
        break;
    case 'v':
        o->verbose = true;
        break;
    case OPT_WATCH:
        o->watch = true;
        break;
    case OPT_STATUS:
        o->status = true;
        break;
    case OPT_JSON:
        o->json = true;
        break;
    case OPT_FLUSH:
        o->flush = true;
        break;
    default:
        return false;
    }
    return true;
}

static bool take_list(const struct reader *r, int option)
{
    struct options *o = r->options;
    const char *file = NULL;

    switch (option) {
    case OPT_JAIL:
        return append(r, "--jail", &o->jails, optarg);
    case OPT_DENY_FILE:
        return read_file_name(r, "--deny-file", optarg, &file)
            && append(r, "--deny-file", &o->deny_files, file);
    case OPT_NEVER_FILE:
        return read_file_name(r, "--never-file", optarg, &file)
            && append(r, "--never-file", &o->never_files, file);
    default:
        return read_pool(r, optarg);
    }
}

static bool take_value(const struct reader *r, int option)
{
    struct options *o = r->options;

    switch (option) {
    case OPT_TABLE:
        return read_file_name(r, "--table", optarg, &o->table);
    case OPT_STATE:
        o->own_state = true;
        return read_file_name(r, "--state", optarg, &o->state);
    case OPT_AFTER:
        return read_after(r, optarg);
    case OPT_GRACE:
        return read_duration(r, "--grace", optarg, 0, INT64_MAX,
                             "how long a client must be over, up to 366d, "
                             "e.g. --grace 60s", &o->grace_s);
    case OPT_LEASE:
        return read_duration(r, "--lease", optarg, 1, LEASE_MAX_S,
                             "how long an entry lasts without being renewed, "
                             "from 1s to 24d, e.g. --lease 1h", &o->lease_s);
    case OPT_NEVER:
        return read_never(r, optarg);
    default:
        return take_list(r, option);
    }
}

static bool fits_together(const struct reader *r)
{
    const struct options *o = r->options;

    if (o->json && !o->status) {
        return wrong(r, "--json: expected with --status, e.g. clamquota-sync "
                     "--status --json");
    }
    if (o->watch + o->status + o->flush > 1) {
        return wrong(r, "expected one of --watch, --status and --flush, e.g. "
                     "clamquota-sync --status");
    }
    if (o->dry_run && (o->watch || o->status)) {
        return wrong(r, "-n: expected without --watch and --status, e.g. "
                     "clamquota-sync -n");
    }
    return true;
}

/* One option; true: go on. */
static bool take(const struct reader *r, int option, char **argv)
{
    const char *given = argv[optind - 1];

    if (option == ':') {
        return wrong(r, "%s: expected a value behind it; see clamquota-sync "
                     "--help", given);
    }
    if (option == '?') {
        /* a letter that is none, a word that is none or of several, or a
         * value where none is taken */
        if (optopt > 0 && optopt < 256) {
            return wrong(r, "-%c: no such option; see clamquota-sync --help",
                         optopt);
        }
        return wrong(r, optopt != 0
                     ? "%s: takes no value; see clamquota-sync --help"
                     : "%s: no such option; see clamquota-sync --help", given);
    }
    return take_flag(r->options, option) || take_value(r, option);
}

static void set_defaults(struct options *o)
{
    memset(o, 0, sizeof(*o));
    o->table = OPTIONS_TABLE;
    o->state = OPTIONS_STATE;
    o->after = CQ_OFFENCE_AFTER;
    o->grace_s = CQ_OFFENCE_GRACE_S;
    o->lease_s = OPTIONS_LEASE_S;
}

enum options_result options_read(struct options *o, int argc, char **argv,
                                 FILE *out, FILE *err)
{
    struct reader r = { .options = o, .err = err };
    int option;

    set_defaults(o);
    /* glibc: begin anew, also after a line that was not read to its end */
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":nvhV", long_options, NULL))
           != -1) {
        if (option == 'h' || option == 'V') {
            fputs(option == 'h' ? help : "clamquota-sync " VERSION "\n", out);
            return OPTIONS_DONE;
        }
        if (!take(&r, option, argv)) {
            return OPTIONS_WRONG;
        }
    }
    if (optind < argc) {
        wrong(&r, "\"%s\": expected only options; see clamquota-sync --help",
              argv[optind]);
        return OPTIONS_WRONG;
    }
    if (!fits_together(&r)) {
        return OPTIONS_WRONG;
    }
    if (o->jails.count == 0) {
        o->jails.texts[o->jails.count++] = OPTIONS_JAIL;
    }
    key_list_sort(&o->never);
    return OPTIONS_RUN;
}

void options_free(struct options *options)
{
    key_list_free(&options->never);
}
