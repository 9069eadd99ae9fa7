/* options - the argument of ClamQuotaMemcached, taken apart.
 *
 * The spelling is libmemcached's; its own parser is not used, which knows no
 * IPv6 and takes --SERVER=a:11211 for a syntax error. Knows no network. */
#include "cluster/cluster.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define EXAMPLE "e.g. \"--SERVER=10.0.0.1:11211 --SERVER=10.0.0.2:11211\""

struct why {
    char *text;
    size_t size;
};

static bool fail(const struct why *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool fail(const struct why *why, const char *format, ...)
{
    va_list args;

    if (why->size > 0) {
        va_start(args, format);
        vsnprintf(why->text, why->size, format, args);
        va_end(args);
    }
    return false;
}

/* libmemcached's options that would break what the exchange relies on */
static const struct {
    const char *name;
    const char *reason;
} refused[] = {
    { "DISTRIBUTION", "every node must place a client on the same server, and "
                      "this module does so itself" },
    { "HASH", "every node must place a client on the same server, and this "
              "module does so itself" },
    { "HASH-WITH-NAMESPACE", "every node must place a client on the same "
                             "server, and this module does so itself" },
    { "REPLICAS", "a second copy of an item can be older than the first, and "
                  "nothing is lost without one: each node keeps its share" },
    { "RANDOMIZE-REPLICA-READ", "there are no replicas" },
    { "USE-UDP", "an answer that is lost looks like a client that downloaded "
                 "nothing" },
    { "UDP", "an answer that is lost looks like a client that downloaded "
             "nothing" },
    { "NOREPLY", "this module decides itself which requests need no answer" },
    { "BUFFER-REQUESTS", "a buffered request that is lost leaves no trace" },
    { "SOCKET", "a socket of this machine is shared with no other node" },
    { "POOL-MIN", "the exchange is one process with one connection" },
    { "POOL-MAX", "the exchange is one process with one connection" },
};

/* ---- --SERVER= ---- */

static bool is_name(const char *host)
{
    size_t n = strlen(host);

    return n > 0 && strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == n
        && isalnum((unsigned char)host[0]);
}

static bool is_dotted(const char *host)
{
    return strspn(host, "0123456789.") == strlen(host);
}

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned long n = 0;
    size_t i;

    for (i = 0; text[i] != '\0'; i++) {
        if (!isdigit((unsigned char)text[i]) || i >= 5) {
            return false;
        }
        n = n * 10 + (unsigned long)(text[i] - '0');
    }
    *port = (uint16_t)n;
    return i > 0 && n >= 1 && n <= 65535;
}

/* "[::1]:11211" -> host and what follows. An address is written as
 * inet_ntop() does, so that two nodes that spell it differently agree. */
static bool parse_bracketed(char *text, struct cq_cluster_server *server,
                            char **rest)
{
    char *end = strchr(text, ']');
    unsigned char address[16];

    if (end == NULL) {
        return false;
    }
    *end = '\0';
    *rest = end + 1;
    return inet_pton(AF_INET6, text + 1, address) == 1
        && inet_ntop(AF_INET6, address, server->host, sizeof(server->host))
               != NULL;
}

static bool parse_plain(char *text, struct cq_cluster_server *server,
                        char **rest)
{
    size_t n = strcspn(text, ":/");
    unsigned char address[4];
    size_t i;

    if (n >= sizeof(server->host)) {
        return false;
    }
    for (i = 0; i < n; i++) {
        server->host[i] = (char)tolower((unsigned char)text[i]);
    }
    server->host[n] = '\0';
    *rest = text + n;
    return is_dotted(server->host)
        ? inet_pton(AF_INET, server->host, address) == 1
        : is_name(server->host);
}

static bool parse_server(const char *value, struct cq_cluster_options *o,
                         const struct why *why)
{
    struct cq_cluster_server *server = &o->servers[o->servers_n];
    char text[CQ_CLUSTER_SERVER_SIZE];
    char *rest = text;
    size_t i;

    if (o->servers_n == CQ_CLUSTER_SERVERS_MAX) {
        return fail(why, "names more than %d servers", CQ_CLUSTER_SERVERS_MAX);
    }
    if (strlen(value) >= sizeof(text)) {
        return fail(why, "has a server with a name of more than 255 letters");
    }
    memset(server, 0, sizeof(*server));
    memcpy(text, value, strlen(value) + 1);
    if (text[0] != '[' && strchr(text, ':') != strrchr(text, ':')) {
        return fail(why, "--SERVER=%s: an IPv6 address stands in brackets, "
                    "e.g. --SERVER=[2001:db8::1]:11211", value);
    }
    if (!(text[0] == '[' ? parse_bracketed(text, server, &rest)
                         : parse_plain(text, server, &rest))) {
        return fail(why, "--SERVER=%s: expected a name, an IPv4 address or an "
                    "IPv6 address in brackets, " EXAMPLE, value);
    }
    server->port = CQ_CLUSTER_PORT;
    if (strstr(rest, "/?") != NULL) {
        return fail(why, "--SERVER=%s: all servers have the same weight; leave "
                    "out the part from /? on", value);
    }
    if (rest[0] != '\0'
        && (rest[0] != ':' || !parse_port(rest + 1, &server->port))) {
        return fail(why, "--SERVER=%s: expected a port from 1 to 65535 after "
                    "the colon, e.g. --SERVER=10.0.0.1:11211", value);
    }
    snprintf(server->name, sizeof(server->name),
             strchr(server->host, ':') != NULL ? "[%s]:%u" : "%s:%u",
             server->host, server->port);
    for (i = 0; i < o->servers_n; i++) {
        if (strcmp(o->servers[i].name, server->name) == 0) {
            return fail(why, "names the server %s twice", server->name);
        }
    }
    o->servers_n++;
    return true;
}

/* ---- options ---- */

static bool parse_namespace(const char *value, struct cq_cluster_options *o,
                            const struct why *why)
{
    size_t n = strlen(value);
    size_t i;

    for (i = 0; i < n; i++) {
        if (!isalnum((unsigned char)value[i])
            && strchr("._:-", value[i]) == NULL) {
            break;
        }
    }
    if (n == 0 || i < n || n >= sizeof(o->name_space)) {
        return fail(why, "--NAMESPACE=%s: expected 1 to %d letters, digits or "
                    "any of . _ : -, e.g. --NAMESPACE=mirror-", value,
                    CQ_CLUSTER_NAMESPACE_SIZE - 1);
    }
    if (o->name_space[0] != '\0') {
        return fail(why, "has --NAMESPACE= twice");
    }
    memcpy(o->name_space, value, n + 1);
    return true;
}

/* The value of an option, if this is the one of that name. */
static const char *option_value(const char *option, const char *name)
{
    size_t n = strlen(name);

    return strncasecmp(option, name, n) == 0 && option[n] == '='
        ? option + n + 1 : NULL;
}

static bool parse_option(const char *option, struct cq_cluster_options *o,
                         const struct why *why)
{
    const char *value = option_value(option, "--SERVER");
    size_t i;

    if (value != NULL) {
        return parse_server(value, o, why);
    }
    value = option_value(option, "--NAMESPACE");
    if (value != NULL) {
        return parse_namespace(value, o, why);
    }
    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        size_t n = strlen(refused[i].name);

        if (strncmp(option, "--", 2) == 0
            && strncasecmp(option + 2, refused[i].name, n) == 0
            && (option[2 + n] == '=' || option[2 + n] == '\0')) {
            return fail(why, "--%s cannot be used: %s", refused[i].name,
                        refused[i].reason);
        }
    }
    return fail(why, "%s: expected --SERVER=HOST:PORT or --NAMESPACE=NAME, "
                EXAMPLE, option);
}

enum cq_status cq_cluster_parse(const char *text,
                                struct cq_cluster_options *options,
                                char *why_text, size_t why_size)
{
    struct why why = { why_text, why_size };
    struct cq_cluster_options parsed;

    memset(&parsed, 0, sizeof(parsed));
    for (;;) {
        char option[512];
        size_t n;

        text += strspn(text, " \t");
        n = strcspn(text, " \t");
        if (n == 0) {
            break;
        }
        if (n >= sizeof(option)) {
            fail(&why, "has an option of more than %zu letters",
                 sizeof(option) - 1);
            return CQ_EINVAL;
        }
        memcpy(option, text, n);
        option[n] = '\0';
        if (!parse_option(option, &parsed, &why)) {
            return CQ_EINVAL;
        }
        text += n;
    }
    if (parsed.servers_n == 0) {
        fail(&why, "names no server, expected at least one --SERVER=HOST:PORT, "
             EXAMPLE);
        return CQ_EINVAL;
    }
    *options = parsed;
    return CQ_OK;
}
