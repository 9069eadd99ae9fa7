/* deny_address - an address as httpd's access directives write it.
 *
 * The forms are those of APR's apr_ipsubnet_create(), which mod_access_compat
 * and mod_authz_host hand their words to. */
#include "sync/deny.h"

#include <arpa/inet.h>
#include <string.h>

/* longer than any address with a netmask */
#define WORD_SIZE 128

static bool only_of(const char *text, const char *set)
{
    return text[strspn(text, set)] == '\0';
}

/* Reads a decimal number of up to three digits, none of them a zero in
 * front: some read that as octal. -1: there is none. */
static int read_number(const char **text)
{
    const char *at = *text;
    int n = 0;

    while (*at >= '0' && *at <= '9' && at - *text < 4) {
        n = n * 10 + (*at++ - '0');
    }
    if (at == *text || at - *text > 3 || (**text == '0' && at - *text > 1)) {
        return -1;
    }
    *text = at;
    return n;
}

/* One to four octets, a dot may follow the last but the fourth. Returns how
 * many, 0 for anything else. */
static int read_octets(const char *text, uint8_t octets[4])
{
    int n = 0;

    memset(octets, 0, 4);
    while (n < 4) {
        int octet = read_number(&text);

        if (octet < 0 || octet > 255) {
            return 0;
        }
        octets[n++] = (uint8_t)octet;
        if (*text == '\0') {
            return n;
        }
        if (*text != '.' || n == 4) {
            return 0;
        }
        text++;
        if (*text == '\0') {
            return n;
        }
    }
    return 0;
}

/* "16" or "255.255.0.0" in bits; -1 for anything else. */
static int read_mask(const char *mask, int most, const char **why)
{
    const char *end = mask;
    int bits = read_number(&end);
    uint8_t octets[4];
    uint32_t m;

    if (bits >= 0 && *end == '\0') {
        *why = most == 32 ? "the prefix is longer than 32 bits"
                          : "the prefix is longer than 128 bits";
        return bits <= most ? bits : -1;
    }
    *why = "behind the slash, expected a prefix or a netmask";
    if (most != 32 || !only_of(mask, "0123456789.")
        || read_octets(mask, octets) != 4) {
        return -1;
    }
    m = (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16
        | (uint32_t)octets[2] << 8 | octets[3];
    *why = "a netmask with a hole in it is no network";
    if ((~m & (~m + 1)) != 0) {
        return -1;
    }
    for (bits = 0; (m & UINT32_C(0x80000000)) != 0; m <<= 1) {
        bits++;
    }
    return bits;
}

static enum cq_status v4_address(const char *word, const char *mask,
                                 struct cq_key *key, const char **why)
{
    struct cq_prefixes prefixes = { .v4_bits = 32 };
    uint8_t octets[4];
    int n = read_octets(word, octets);
    int bits = 8 * n;

    if (n == 0) {
        *why = "not an IPv4 address";
        return CQ_EINVAL;
    }
    if (mask != NULL) {
        const char *reason;

        bits = read_mask(mask, 32, &reason);
        if (bits < 0) {
            *why = reason;
            return CQ_EINVAL;
        }
    }
    prefixes.v4_bits = (uint8_t)bits;
    return cq_key_make(key, octets, sizeof(octets), prefixes);
}

static enum cq_status v6_address(const char *word, const char *mask,
                                 struct cq_key *key, const char **why)
{
    struct cq_prefixes prefixes = { .v4_bits = 32, .v6_bits = 128 };
    struct in6_addr address;
    int bits = 128;

    if (inet_pton(AF_INET6, word, &address) != 1) {
        *why = "not an IPv6 address";
        return CQ_EINVAL;
    }
    if (mask != NULL) {
        const char *reason;

        bits = read_mask(mask, 128, &reason);
        if (bits < 0) {
            *why = reason;
            return CQ_EINVAL;
        }
    }
    if (IN6_IS_ADDR_V4MAPPED(&address)) {
        if (bits < 96) {
            *why = "a network that holds all of IPv4";
            return CQ_EINVAL;
        }
        prefixes.v4_bits = (uint8_t)(bits - 96);
    }
    prefixes.v6_bits = (uint8_t)bits;
    return cq_key_make(key, &address, sizeof(address), prefixes);
}

enum cq_status cq_deny_address(const char *word, struct cq_key *key,
                               const char **why)
{
    char buffer[WORD_SIZE];
    char *mask;

    if (strlen(word) >= sizeof(buffer)
        || !only_of(word, "0123456789abcdefABCDEF.:/")
        || (strchr(word, ':') == NULL && !only_of(word, "0123456789./"))) {
        *why = "not an address (names are not looked up)";
        return CQ_EINVAL;
    }
    memcpy(buffer, word, strlen(word) + 1);
    mask = strchr(buffer, '/');
    if (mask != NULL) {
        *mask++ = '\0';
    }
    return strchr(buffer, ':') != NULL ? v6_address(buffer, mask, key, why)
                                       : v4_address(buffer, mask, key, why);
}
