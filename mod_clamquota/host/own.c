/* own - this machine's own addresses and its default gateways. */
#include "host/own.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static const struct cq_prefixes whole = { 32, 128 };

static enum cq_status make_key(const struct sockaddr *address,
                               struct cq_key *key)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;

        return cq_key_make(key, &in->sin_addr, sizeof(in->sin_addr), whole);
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;

        return cq_key_make(key, &in6->sin6_addr, sizeof(in6->sin6_addr),
                           whole);
    }
    return CQ_EINVAL;
}

static enum cq_status add_address(struct cq_net_list *list,
                                  const struct cq_key *key,
                                  enum cq_own own)
{
    return cq_net_has(list, key) ? CQ_OK : cq_net_add(list, key, own);
}

static enum cq_status add_interfaces(struct cq_net_list *list)
{
    struct ifaddrs *interfaces, *at;
    enum cq_status status = CQ_OK;

    if (getifaddrs(&interfaces) != 0) {
        return CQ_EIO;
    }
    for (at = interfaces; at != NULL && status == CQ_OK; at = at->ifa_next) {
        struct cq_key key;

        if (at->ifa_addr != NULL && make_key(at->ifa_addr, &key) == CQ_OK) {
            status = add_address(list, &key, CQ_OWN_INTERFACE);
        }
    }
    freeifaddrs(interfaces);
    return status;
}

/* ---- default gateways: the kernel's text, one route a line ---- */

#define LINE_SIZE 512           /* the kernel's are below 200 */

/* "eth0 00000000 010011AC 0003 0 0 0 00000000 ...": destination, gateway and
 * mask are words in network order, printed as the host's numbers. */
static bool read_v4(const char *line, struct cq_key *key)
{
    unsigned destination, gateway, flags, mask;
    uint32_t word;

    if (sscanf(line, "%*s %8x %8x %4x %*d %*d %*d %8x", &destination,
               &gateway, &flags, &mask) != 4
        || destination != 0 || mask != 0 || (flags & RTF_GATEWAY) == 0) {
        return false;
    }
    word = gateway;
    return word != 0
        && cq_key_make(key, &word, sizeof(word), whole) == CQ_OK;
}

/* destination, its length, source, its length, next hop, metric, references,
 * use, flags, device: in hex, addresses of 32 digits */
static bool read_v6(const char *line, struct cq_key *key)
{
    char digits[33];
    uint8_t hop[16];
    unsigned length, flags, byte;
    size_t i;

    if (sscanf(line, "%*32s %2x %*32s %*2x %32s %*8x %*8x %*8x %8x", &length,
               digits, &flags) != 3
        || length != 0 || (flags & RTF_GATEWAY) == 0) {
        return false;
    }
    for (i = 0; i < sizeof(hop); i++) {
        if (sscanf(digits + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        hop[i] = (uint8_t)byte;
    }
    return cq_key_make(key, hop, sizeof(hop), whole) == CQ_OK;
}

static enum cq_status add_gateways(struct cq_net_list *list, const char *path,
                                   bool (*read)(const char *line,
                                                struct cq_key *key))
{
    FILE *routes = fopen(path, "re");
    enum cq_status status = CQ_OK;
    char line[LINE_SIZE];

    if (routes == NULL) {
        /* no Linux, no IPv6, no /proc; but with any other reason a gateway
         * that is there would be missing, and it can be every client */
        return errno == ENOENT || errno == EACCES ? CQ_OK : CQ_EIO;
    }
    while (status == CQ_OK && fgets(line, sizeof(line), routes) != NULL) {
        struct cq_key key;

        if (read(line, &key)) {
            status = add_address(list, &key, CQ_OWN_GATEWAY);
        }
    }
    if (ferror(routes)) {
        status = CQ_EIO;
    }
    fclose(routes);
    return status;
}

enum cq_status cq_own_collect(struct cq_net_list *list)
{
    enum cq_status status = add_interfaces(list);

    if (status == CQ_OK) {
        status = add_gateways(list, "/proc/net/route", read_v4);
    }
    if (status == CQ_OK) {
        status = add_gateways(list, "/proc/net/ipv6_route", read_v6);
    }
    return status;
}
