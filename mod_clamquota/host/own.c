/* own - this machine's own addresses. */
#include "host/own.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

static enum cq_status key_of(const struct sockaddr *address,
                             struct cq_key *key)
{
    struct cq_prefixes whole = { 32, 128 };

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

static bool is_in(const struct cq_net_list *list, const struct cq_key *key)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (cq_key_compare(&list->rules[i].net, key) == 0) {
            return true;
        }
    }
    return false;
}

enum cq_status cq_own_addresses(struct cq_net_list *list)
{
    struct ifaddrs *interfaces, *at;
    enum cq_status status = CQ_OK;

    if (getifaddrs(&interfaces) != 0) {
        return CQ_EIO;
    }
    for (at = interfaces; at != NULL && status == CQ_OK; at = at->ifa_next) {
        struct cq_key key;

        if (at->ifa_addr != NULL && key_of(at->ifa_addr, &key) == CQ_OK
            && !is_in(list, &key)) {
            status = cq_net_add(list, &key, 0);
        }
    }
    freeifaddrs(interfaces);
    return status;
}

bool cq_own_contains(const struct cq_net_list *list, const struct cq_key *key)
{
    size_t i;

    if (cq_net_find(list, key) != NULL) {
        return true;
    }
    /* few: a server has some addresses, an operator some networks */
    for (i = 0; i < list->count; i++) {
        if (cq_key_contains(key, &list->rules[i].net)) {
            return true;
        }
    }
    return false;
}
