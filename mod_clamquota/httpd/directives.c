/* directives - how the directives are read.
 *
 * One setter for each type of value; a directive is a line of cq_directives.
 * Its last column is the expected form with an example, and every complaint
 * names it, so that -t and -L say the same. Setters never depend on the order
 * of directives: cross-checks are in conf_check.c. */
#include "core/paths.h"
#include "httpd/directives.h"

#include <stddef.h>
#include <string.h>

/* far below what a row counts to (2^24): more would never be reached */
#define DROP_AFTER_MAX 1000000
#define CLIENTS_MAX 100000000   /* 1.5 rows of 128 bytes each: 19.2 GB */
#define FILES_MAX 400000000     /* 1.5 rows of 64 bytes each: 38.4 GB */
#define COPIES_MAX 1000         /* more is as good as Off */

/* for directives of a scope: remembers it for cq_conf_check() */
static const char *enter_scope(cmd_parms *cmd, struct cq_dir_conf *conf)
{
    const char *error = ap_check_cmd_context(cmd, NOT_IN_HTACCESS |
                                                  NOT_IN_LIMIT);
    struct cq_server_conf *server_conf;

    if (error != NULL) {
        return error;
    }
    if (conf->server == NULL) {
        conf->server = cmd->server;
        server_conf = cq_server_conf(cmd->server);
        APR_ARRAY_PUSH(server_conf->scopes, struct cq_dir_conf *) = conf;
    }
    return NULL;
}

/* the third column of cq_directives: which member of a scope's conf, and
 * whether it may be 0 */
#define MEMBER(name) ((void *)offsetof(struct cq_dir_conf, name))
#define MEMBER_OR_ZERO(name) \
    ((void *)(offsetof(struct cq_dir_conf, name) | OR_ZERO))
#define OR_ZERO ((size_t)1 << 16)
_Static_assert(sizeof(struct cq_dir_conf) < OR_ZERO, "offsets stay below");

static void *member(const cmd_parms *cmd, void *conf)
{
    return (char *)conf + ((size_t)cmd->info & ~OR_ZERO);
}

/* ---- words ---- */

struct choice {
    const char *directive;
    const char *word;
    int value;
};

static const struct choice choices[] = {
    { "ClamQuotaEngine", "On", CQ_ENGINE_ON },
    { "ClamQuotaEngine", "Off", CQ_ENGINE_OFF },
    { "ClamQuotaEngine", "LogOnly", CQ_ENGINE_LOGONLY },
    { "ClamQuotaPeriod", "Month", CQ_PERIOD_MONTH },
    { "ClamQuotaPeriod", "Week", CQ_PERIOD_WEEK },
    { "ClamQuotaPeriod", "Day", CQ_PERIOD_DAY },
    { "ClamQuotaTimezone", "Local", CQ_ZONE_LOCAL },
    { "ClamQuotaTimezone", "UTC", CQ_ZONE_UTC },
    { "ClamQuotaFree", "On", 1 },
    { "ClamQuotaFree", "Off", 0 },
    { "ClamQuotaChanges", "On", 1 },
    { "ClamQuotaChanges", "Off", 0 },
    { "ClamQuotaVariables", "On", 1 },
    { "ClamQuotaVariables", "Off", 0 },
    { "ClamQuotaStatus", "429", 429 },
    { "ClamQuotaStatus", "403", 403 },
    { "ClamQuotaStatus", "503", 503 },
    { "ClamQuotaStatus", "509", 509 },
};

static bool choose(const cmd_parms *cmd, int argc, char *const argv[],
                   int *value)
{
    size_t i;

    for (i = 0; argc == 1 && i < sizeof(choices) / sizeof(choices[0]); i++) {
        if (strcmp(choices[i].directive, cmd->cmd->name) == 0 &&
            ap_cstr_casecmp(choices[i].word, argv[0]) == 0) {
            *value = choices[i].value;
            return true;
        }
    }
    return false;
}

static const char *set_choice(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[])
{
    const char *error = enter_scope(cmd, conf);

    if (error != NULL) {
        return error;
    }
    return choose(cmd, argc, argv, member(cmd, conf))
        ? NULL : cq_directive_refuse(cmd, argc, argv);
}

static const char *set_variables(cmd_parms *cmd, void *conf, int argc,
                                 char *const argv[])
{
    cq_variables_expect();
    return set_choice(cmd, conf, argc, argv);
}

/* for what must not hold for a whole server by oversight */
static const char *set_in_section(cmd_parms *cmd, void *conf, int argc,
                                  char *const argv[])
{
    if (cmd->path == NULL) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " belongs inside "
                           "<Location>, <Directory> or <Files>, such as ",
                           cmd->info == MEMBER(free)
                           ? "<FilesMatch \"[.]cdiff$\">"
                           : "<Location \"/clamquota\">", NULL);
    }
    return set_choice(cmd, conf, argc, argv);
}

static const char *set_engine(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[])
{
    struct cq_dir_conf *scope = conf;
    const char *error = enter_scope(cmd, conf);
    int value;

    if (error != NULL) {
        return error;
    }
    if (!choose(cmd, argc, argv, &value)) {
        return cq_directive_refuse(cmd, argc, argv);
    }
    scope->engine = (enum cq_engine)value;
    return NULL;
}

static const char *choose_server(cmd_parms *cmd, int argc,
                                 char *const argv[], int *value)
{
    const char *error = cq_directive_enter_server(cmd);

    if (error == NULL && !choose(cmd, argc, argv, value)) {
        error = cq_directive_refuse(cmd, argc, argv);
    }
    return error;
}

static const char *set_period(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[])
{
    int value = 0;
    const char *error = choose_server(cmd, argc, argv, &value);

    (void)conf;
    if (error == NULL) {
        cq_server_conf(cmd->server)->period_kind = (enum cq_period_kind)value;
    }
    return error;
}

static const char *set_timezone(cmd_parms *cmd, void *conf, int argc,
                                char *const argv[])
{
    int value = 0;
    const char *error = choose_server(cmd, argc, argv, &value);

    (void)conf;
    if (error == NULL) {
        cq_server_conf(cmd->server)->zone = (enum cq_zone)value;
    }
    return error;
}

/* ---- numbers, into an int64_t member of a scope ---- */

/* decimal digits only, 1..max */
static bool parse_count(const char *text, int64_t max, int64_t *count)
{
    int64_t n = 0;

    if (*text == '\0') {
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        n = n * 10 + (*text - '0');
        if (n > max) {
            return false;
        }
    }
    *count = n;
    return n >= 1;
}

static bool parse_size(const char *text, int64_t *bytes)
{
    return cq_size_parse(text, bytes) == CQ_OK;
}

static bool parse_size_or_off(const char *text, int64_t *bytes)
{
    if (ap_cstr_casecmp(text, "Off") == 0) {
        *bytes = 0;
        return true;
    }
    return parse_size(text, bytes) && *bytes != 0;
}

static bool parse_duration(const char *text, int64_t *seconds)
{
    return cq_duration_parse_s(text, seconds) == CQ_OK;
}

static const char *set_number(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[],
                              bool (*take)(const char *text, int64_t *number))
{
    const char *error = enter_scope(cmd, conf);
    int64_t number;

    if (error != NULL) {
        return error;
    }
    if (argc != 1 || !take(argv[0], &number) ||
        (number == 0 && ((size_t)cmd->info & OR_ZERO) == 0)) {
        return cq_directive_refuse(cmd, argc, argv);
    }
    *(int64_t *)member(cmd, conf) = number;
    return NULL;
}

static const char *set_size(cmd_parms *cmd, void *conf, int argc,
                            char *const argv[])
{
    const char *error = set_number(cmd, conf, argc, argv, parse_size);

    if (error == NULL) {
        cq_directive_doubt_size(cmd, argv[0]);
    }
    return error;
}

static const char *set_size_or_off(cmd_parms *cmd, void *conf, int argc,
                                   char *const argv[])
{
    return set_number(cmd, conf, argc, argv, parse_size_or_off);
}

static const char *set_duration(cmd_parms *cmd, void *conf, int argc,
                                char *const argv[])
{
    return set_number(cmd, conf, argc, argv, parse_duration);
}

static bool parse_copies_or_off(const char *text, int64_t *copies)
{
    if (ap_cstr_casecmp(text, "Off") == 0) {
        *copies = 0;
        return true;
    }
    return parse_count(text, COPIES_MAX, copies);
}

static const char *set_copies(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[])
{
    return set_number(cmd, conf, argc, argv, parse_copies_or_off);
}

/* ---- the ones of their own kind ---- */

/* a number of the server config */
static const char *set_count(cmd_parms *cmd, int argc, char *const argv[],
                             int64_t max, int64_t *count)
{
    const char *error = cq_directive_enter_server(cmd);

    if (error == NULL && (argc != 1 || !parse_count(argv[0], max, count))) {
        error = cq_directive_refuse(cmd, argc, argv);
    }
    return error;
}

static const char *set_clients(cmd_parms *cmd, void *conf, int argc,
                               char *const argv[])
{
    (void)conf;
    return set_count(cmd, argc, argv, CLIENTS_MAX,
                     &cq_server_conf(cmd->server)->clients_n);
}

static const char *set_files(cmd_parms *cmd, void *conf, int argc,
                             char *const argv[])
{
    (void)conf;
    return set_count(cmd, argc, argv, FILES_MAX,
                     &cq_server_conf(cmd->server)->files_n);
}

static const char *set_drop_after(cmd_parms *cmd, void *conf, int argc,
                                  char *const argv[])
{
    int64_t *drop_after_n = &cq_server_conf(cmd->server)->drop_after_n;

    (void)conf;
    if (argc == 1 && ap_cstr_casecmp(argv[0], "Off") == 0) {
        *drop_after_n = 0;
        return cq_directive_enter_server(cmd);
    }
    return set_count(cmd, argc, argv, DROP_AFTER_MAX, drop_after_n);
}

static const char *set_prefix(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[])
{
    const char *error = cq_directive_enter_server(cmd);
    struct cq_prefixes *prefixes;
    int64_t v4_bits, v6_bits;

    (void)conf;
    if (error != NULL) {
        return error;
    }
    if (argc != 2 || !parse_count(argv[0], 32, &v4_bits) ||
        !parse_count(argv[1], 128, &v6_bits)) {
        return cq_directive_refuse(cmd, argc, argv);
    }
    prefixes = &cq_server_conf(cmd->server)->prefixes;
    prefixes->v4_bits = (uint8_t)v4_bits;
    prefixes->v6_bits = (uint8_t)v6_bits;
    return NULL;
}

static const char *set_table(cmd_parms *cmd, void *conf, int argc,
                             char *const argv[])
{
    const char *error = cq_directive_enter_server(cmd);
    const char *path = NULL;

    (void)conf;
    if (error != NULL) {
        return error;
    }
    if (argc == 1 && argv[0][0] != '\0') {
        path = ap_server_root_relative(cmd->pool, argv[0]);
    }
    if (path == NULL || path[strlen(path) - 1] == '/') {
        return cq_directive_refuse(cmd, argc, argv);
    }
    cq_server_conf(cmd->server)->table_path = path;
    return NULL;
}

static const char *set_pool(cmd_parms *cmd, void *conf, int argc,
                            char *const argv[])
{
    struct cq_dir_conf *scope = conf;
    const char *error = enter_scope(cmd, conf);

    if (error != NULL) {
        return error;
    }
    if (argc != 1 || !cq_table_is_pool_name(argv[0])) {
        return cq_directive_refuse(cmd, argc, argv);
    }
    scope->pool = cq_conf_pool(cmd->pool, cq_server_conf(cmd->server),
                               argv[0]);
    if (scope->pool == NULL) {
        return apr_psprintf(cmd->pool, "ClamQuotaPool \"%s\": there are %d "
                            "pools already, expected at most that many, "
                            "among them one called " CQ_POOL_DEFAULT,
                            argv[0], CQ_POOLS_MAX);
    }
    return NULL;
}

/* ---- the directives ---- */

#define SIZE_EXAMPLES "50M, 1.5G or 400k"
#define DURATION_EXAMPLES "90s, 15m, 6h or 1d"

/* The setter of each refuses the places where it may not stand, with a
 * sentence. .htaccess is out because neither of these is an override. */
#define ANYWHERE (RSRC_CONF | ACCESS_CONF)

const command_rec cq_directives[] = {
    AP_INIT_TAKE_ARGV("ClamQuotaEngine", set_engine, NULL, ANYWHERE,
        "On, Off or LogOnly, such as ClamQuotaEngine LogOnly"),
    AP_INIT_TAKE_ARGV("ClamQuotaDaily", set_size, MEMBER(daily_bytes),
        ANYWHERE, "a size from 1 byte to 4T such as " SIZE_EXAMPLES),
    AP_INIT_TAKE_ARGV("ClamQuotaPool", set_pool, NULL, ANYWHERE,
        "a name of 1 to 31 letters, digits, dots, underscores or dashes "
        "such as databases"),
    AP_INIT_TAKE_ARGV("ClamQuotaPeriod", set_period, NULL, ANYWHERE,
        "Month, Week or Day, such as ClamQuotaPeriod Month"),
    AP_INIT_TAKE_ARGV("ClamQuotaTimezone", set_timezone, NULL, ANYWHERE,
        "Local or UTC, such as ClamQuotaTimezone UTC"),
    AP_INIT_TAKE_ARGV("ClamQuotaGrace", set_size,
        MEMBER_OR_ZERO(grace_bytes), ANYWHERE,
        "a size from 0 to 4T such as " SIZE_EXAMPLES),
    AP_INIT_TAKE_ARGV("ClamQuotaCopies", set_copies,
        MEMBER_OR_ZERO(copies_n), ANYWHERE,
        "a number from 1 to 1000 or Off, such as ClamQuotaCopies 2"),
    AP_INIT_TAKE_ARGV("ClamQuotaFree", set_in_section, MEMBER(free), ANYWHERE,
        "On or Off, such as ClamQuotaFree On"),
    AP_INIT_TAKE_ARGV("ClamQuotaFreeRange", set_size_or_off,
        MEMBER_OR_ZERO(free_range_bytes), ANYWHERE,
        "a size from 1 byte to 4T or Off, such as 4k"),
    AP_INIT_TAKE_ARGV("ClamQuotaFreeRangeDaily", set_size,
        MEMBER(free_range_daily_bytes), ANYWHERE,
        "a size from 1 byte to 4T such as 10M"),
    AP_INIT_TAKE_ARGV("ClamQuotaClient", cq_directive_client, NULL, ANYWHERE,
        "a network and a size from 1 byte to 4T or Unlimited, such as "
        "ClamQuotaClient 192.0.2.0/24 500M"),
    AP_INIT_TAKE_ARGV("ClamQuotaPrefix", set_prefix, NULL, ANYWHERE,
        "two numbers of bits, 1 to 32 for IPv4 and 1 to 128 for IPv6, such "
        "as ClamQuotaPrefix 32 64"),
    AP_INIT_TAKE_ARGV("ClamQuotaStatus", set_choice, MEMBER(status), ANYWHERE,
        "429, 403, 503 or 509, such as ClamQuotaStatus 429"),
    AP_INIT_TAKE_ARGV("ClamQuotaRetryMax", set_duration, MEMBER(retry_max_s),
        ANYWHERE, "a duration from 1s to 366d such as " DURATION_EXAMPLES),
    AP_INIT_TAKE_ARGV("ClamQuotaRetryJitter", set_duration,
        MEMBER_OR_ZERO(retry_jitter_s), ANYWHERE,
        "a duration from 0 to 366d such as " DURATION_EXAMPLES),
    AP_INIT_TAKE_ARGV("ClamQuotaVariables", set_variables, MEMBER(variables),
        ANYWHERE, "On or Off, such as ClamQuotaVariables On"),
    AP_INIT_TAKE_ARGV("ClamQuotaChanges", set_in_section, MEMBER(changes),
        ANYWHERE, "On or Off, such as ClamQuotaChanges On"),
    AP_INIT_TAKE_ARGV("ClamQuotaTable", set_table, NULL, ANYWHERE,
        "the path of a file, absolute or below ServerRoot, such as "
        CQ_TABLE_PATH),
    AP_INIT_TAKE_ARGV("ClamQuotaClients", set_clients, NULL, ANYWHERE,
        "a number from 1 to 100000000 such as 262144"),
    AP_INIT_TAKE_ARGV("ClamQuotaDropAfter", set_drop_after, NULL, ANYWHERE,
        "a number of refusals from 1 to 1000000 or Off, such as 200"),
    AP_INIT_TAKE_ARGV("ClamQuotaFiles", set_files, NULL, ANYWHERE,
        "a number from 1 to 400000000 such as 1048576"),
    AP_INIT_TAKE_ARGV("ClamQuotaMemcached", cq_directive_memcached, NULL,
        ANYWHERE, "--SERVER=HOST:PORT for each server and at most one "
        "--NAMESPACE=NAME, in quotes, such as ClamQuotaMemcached "
        "\"--SERVER=10.0.0.1:11211 --SERVER=10.0.0.2:11211\""),
    AP_INIT_TAKE_ARGV("ClamQuotaSync", cq_directive_sync, NULL, ANYWHERE,
        "a duration from 50ms to 1m such as 500ms"),
    AP_INIT_TAKE_ARGV("ClamQuotaNode", cq_directive_node, NULL, ANYWHERE,
        "a name of 1 to 47 letters, digits, dots, underscores or dashes such "
        "as mirror1"),
    /* mod_remoteip's: see directive_remoteip.c */
    AP_INIT_ITERATE("RemoteIPInternalProxy", cq_directive_proxy, NULL,
        RSRC_CONF, "addresses or networks of proxies"),
    AP_INIT_ITERATE("RemoteIPTrustedProxy", cq_directive_proxy, NULL,
        RSRC_CONF, "addresses or networks of proxies"),
    AP_INIT_TAKE1("RemoteIPInternalProxyList", cq_directive_proxy_list, NULL,
        RSRC_CONF | EXEC_ON_READ, "a file with addresses of proxies"),
    AP_INIT_TAKE1("RemoteIPTrustedProxyList", cq_directive_proxy_list, NULL,
        RSRC_CONF | EXEC_ON_READ, "a file with addresses of proxies"),
    { NULL, { NULL }, NULL, 0, NO_ARGS, NULL }
};
