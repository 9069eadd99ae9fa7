/* address - an address as httpd's access directives write it. */
#include "deny/deny.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_only(const char *text, const char *set)
{
    return text[strspn(text, set)] == '\0';
}

/* Makes "10.1.0.0" of "10.1" and "10.1."; returns the bits that were given. */
static int complete(char *text, size_t size)
{
    size_t length = strlen(text);
    int octets = 1;
    const char *at;

    for (at = text; (at = strchr(at, '.')) != NULL && at[1] != '\0'; at++) {
        octets++;
    }
    if (octets < 4) {
        length -= length > 0 && text[length - 1] == '.';
        snprintf(text + length, size - length, "%s",
                 &".0.0.0"[2 * (octets - 1)]);
    }
    return 8 * octets;
}

/* "16" or "255.255.0.0" in bits; -1 for anything else. */
static int read_mask(const char *mask, int most, const char **why)
{
    struct in_addr netmask;
    uint32_t holes;
    int bits;

    if (*mask != '\0' && strlen(mask) <= 3 && has_only(mask, "0123456789")
        && (*mask != '0' || mask[1] == '\0')) {
        *why = most == 32 ? "the prefix is longer than 32 bits"
                          : "the prefix is longer than 128 bits";
        bits = (int)strtol(mask, NULL, 10);
        return bits <= most ? bits : -1;
    }
    *why = "after the slash, expected a prefix or a netmask";
    if (most != 32 || inet_pton(AF_INET, mask, &netmask) != 1) {
        return -1;
    }
    *why = "a netmask with a hole in it is no network";
    holes = ~ntohl(netmask.s_addr);
    if ((holes & (holes + 1)) != 0) {
        return -1;
    }
    for (bits = 32; holes != 0; holes >>= 1) {
        bits--;
    }
    return bits;
}

enum cq_status cq_deny_address(const char *word, struct cq_key *key,
                               const char **why)
{
    const char *mask = strchr(word, '/');
    bool is_v6 = strchr(word, ':') != NULL;
    char text[128];             /* longer than any address */
    struct cq_key whole;
    int bits = 128;

    if (strlen(word) >= sizeof(text) - sizeof(".0.0.0")
        || !has_only(word, is_v6 ? "0123456789abcdefABCDEF.:/"
                                   : "0123456789./")) {
        *why = "not an address (names are not looked up)";
        return CQ_EINVAL;
    }
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(word, "/"), word);
    if (!is_v6) {
        bits = complete(text, sizeof(text));
    }
    if (cq_key_parse(&whole, text, NULL) != CQ_OK) {
        *why = is_v6 ? "not an IPv6 address" : "not an IPv4 address";
        return CQ_EINVAL;
    }
    if (mask != NULL) {
        const char *reason;

        bits = read_mask(mask + 1, is_v6 ? 128 : 32, &reason);
        if (bits < 0) {
            *why = reason;
            return CQ_EINVAL;
        }
    }
    if (is_v6 && whole.family == 4) {       /* ::ffff:192.0.2.7 */
        bits -= 96;
    }
    if (bits < 0) {
        *why = "a network that holds all of IPv4";
        return CQ_EINVAL;
    }
    *key = cq_key_network(&whole, (uint8_t)bits);
    return CQ_OK;
}
