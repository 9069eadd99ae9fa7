/* key - the only constructor and the only formatter of a client.
 *
 * Owns what an address means to the quota: folding of IPv6 addresses that hold
 * an IPv4 address, cutting to a prefix, its text. Pure; no name lookups, no
 * sockets. */
#include "core/key.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The two prefixes behind which an IPv6 address holds an IPv4 address. */
#define FOLDED_BITS 96
static const uint8_t mapped_prefix[FOLDED_BITS / 8] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff    /* RFC 4291, 2.5.5.2 */
};
static const uint8_t translated_prefix[FOLDED_BITS / 8] = {
    0, 0x64, 0xff, 0x9b                         /* RFC 6052, 2.1 */
};

static bool is_mapped(const uint8_t bytes[16])
{
    return memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static bool is_translated(const uint8_t bytes[16])
{
    return memcmp(bytes, translated_prefix, sizeof(translated_prefix)) == 0;
}

static bool holds_ipv4(const uint8_t bytes[16])
{
    return is_mapped(bytes) || is_translated(bytes);
}

/* Bits of a whole address; 0 for a family that is none of ours. */
static unsigned family_bits(unsigned family)
{
    return family == 4 ? 32 : family == 6 ? 128 : 0;
}

/* Clears everything behind the first `bits` of 128 bits. */
static void cut(uint8_t bytes[16], unsigned bits)
{
    unsigned whole = bits / 8;

    if (whole < 16) {
        bytes[whole] &= (uint8_t)(0xff00u >> (bits % 8));
        memset(bytes + whole + 1, 0, 16 - whole - 1);
    }
}

/* Are the first `bits` (0..128) the same? */
static bool prefixes_match(const uint8_t a[16], const uint8_t b[16],
                           unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned mask = 0xff00u >> (bits % 8) & 0xffu;

    return memcmp(a, b, whole) == 0
           && (mask == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

enum cq_status cq_key_make(struct cq_key *key, const void *addr,
                           size_t addr_len, struct cq_prefixes prefixes)
{
    struct cq_key made = { .family = 6, .prefix = prefixes.v6_bits };

    if ((addr_len != 4 && addr_len != 16)
        || prefixes.v4_bits > 32 || prefixes.v6_bits > 128) {
        return CQ_EINVAL;
    }
    memcpy(made.bytes, addr, addr_len);
    if (addr_len == 16 && holds_ipv4(made.bytes)) {
        memmove(made.bytes, made.bytes + FOLDED_BITS / 8, 4);
        addr_len = 4;
    }
    if (addr_len == 4) {
        made.family = 4;
        made.prefix = prefixes.v4_bits;
    }
    /* also clears what a folded address left behind its four bytes */
    cut(made.bytes, made.prefix);
    *key = made;
    return CQ_OK;
}

bool cq_key_is_translated(const void *addr, size_t addr_len)
{
    return addr_len == 16 && is_translated(addr);
}

/* Reads the digits behind the slash. Returns -1 for anything that is not a
 * plain number of one to three digits; "08" is none. */
static int parse_bits(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    int bits = 0;

    if (digits == 0 || digits > 3 || text[digits] != '\0'
        || (text[0] == '0' && digits > 1)) {
        return -1;
    }
    for (size_t i = 0; i < digits; i++) {
        bits = bits * 10 + (text[i] - '0');
    }
    return bits;
}

/* Reads the address in text[0..len) into key with the prefix of a whole one,
 * not folded. Returns NULL or what is wrong. */
static const char *parse_address(struct cq_key *key, const char *text,
                                 size_t len)
{
    char address[INET6_ADDRSTRLEN];

    if (len == 0) {
        return "the address is missing, expected 192.0.2.7, 10.0.0.0/8 or "
               "2001:db8::/32 style";
    }
    if (memchr(text, '%', len) != NULL) {
        return "a zone is given, expected an address without %zone";
    }
    if (len < sizeof(address)) {
        memcpy(address, text, len);
        address[len] = '\0';
        if (inet_pton(AF_INET, address, key->bytes) == 1) {
            key->family = 4;
            key->prefix = 32;
            return NULL;
        }
        if (inet_pton(AF_INET6, address, key->bytes) == 1) {
            key->family = 6;
            key->prefix = 128;
            return NULL;
        }
    }
    return "not an address, expected 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32 "
           "style";
}

/* Puts the prefix behind the slash into a key that parse_address() made.
 * Returns NULL or what is wrong. */
static const char *parse_prefix(struct cq_key *key, const char *text)
{
    int bits = parse_bits(text);

    if (bits < 0) {
        return "the prefix is not a number, expected 10.0.0.0/8 style";
    }
    if (key->family == 4 && bits > 32) {
        return "the prefix is too long, expected 0 to 32 for IPv4";
    }
    if (bits > 128) {
        return "the prefix is too long, expected 0 to 128 for IPv6";
    }
    key->prefix = (uint8_t)bits;
    return NULL;
}

/* Turns a parsed key into a canonical one. A mapped network that is shorter
 * than /96 has ffff bits behind its prefix, so it is malformed like any other
 * with host bits; only its sentence differs. A shorter network around
 * 64:ff9b::/96 is an IPv6 network: it has other addresses, too. Returns NULL or
 * what is wrong. */
static const char *canonicalize(struct cq_key *key)
{
    uint8_t network[16];

    if (key->family == 6 && key->prefix < FOLDED_BITS
        && is_mapped(key->bytes)) {
        return "an IPv4-mapped network has a prefix of 96 to 128, expected "
               "10.0.0.0/8 style";
    }
    if (key->family == 6 && key->prefix >= FOLDED_BITS
        && holds_ipv4(key->bytes)) {
        memmove(key->bytes, key->bytes + FOLDED_BITS / 8, 4);
        memset(key->bytes + 4, 0, 12);
        key->family = 4;
        key->prefix = (uint8_t)(key->prefix - FOLDED_BITS);
    }
    memcpy(network, key->bytes, sizeof(network));
    cut(network, key->prefix);
    if (memcmp(network, key->bytes, sizeof(network)) != 0) {
        return "host bits are set, expected 10.0.0.0/8 style";
    }
    return NULL;
}

enum cq_status cq_key_parse(struct cq_key *key, const char *text,
                            const char **why)
{
    struct cq_key parsed = { .family = 0 };
    size_t len = strcspn(text, "/");
    const char *wrong = parse_address(&parsed, text, len);

    if (wrong == NULL && text[len] == '/') {
        wrong = parse_prefix(&parsed, text + len + 1);
    }
    if (wrong == NULL) {
        wrong = canonicalize(&parsed);
    }
    if (wrong != NULL) {
        if (why != NULL) {
            *why = wrong;
        }
        return CQ_EINVAL;
    }
    *key = parsed;
    return CQ_OK;
}

/* A key read from a damaged file may be of no family: "?" for that one. */
static void format_address(const struct cq_key *key,
                           char text[INET6_ADDRSTRLEN])
{
    int family = key->family == 4 ? AF_INET : AF_INET6;

    if (family_bits(key->family) == 0
        || inet_ntop(family, key->bytes, text, INET6_ADDRSTRLEN) == NULL) {
        memcpy(text, "?", sizeof("?"));
    }
}

const char *cq_key_format(const struct cq_key *key, char *text, size_t size)
{
    char address[INET6_ADDRSTRLEN];

    format_address(key, address);
    snprintf(text, size, "%s", address);
    return text;
}

const char *cq_key_format_cidr(const struct cq_key *key, char *text,
                               size_t size)
{
    char address[INET6_ADDRSTRLEN];

    format_address(key, address);
    snprintf(text, size, "%s/%u", address, (unsigned)key->prefix);
    return text;
}

bool cq_key_is_valid(const struct cq_key *key)
{
    uint8_t network[16];

    if (family_bits(key->family) == 0
        || key->prefix > family_bits(key->family)) {
        return false;
    }
    /* the same visitor in a form that no constructor makes */
    if (key->family == 6 && key->prefix >= FOLDED_BITS
        && holds_ipv4(key->bytes)) {
        return false;
    }
    memcpy(network, key->bytes, sizeof(network));
    cut(network, key->prefix);
    return memcmp(network, key->bytes, sizeof(network)) == 0;
}

struct cq_key cq_key_network(const struct cq_key *key, uint8_t bits)
{
    struct cq_key network = *key;

    if (bits < key->prefix) {
        network.prefix = bits;
        cut(network.bytes, bits);
    }
    return network;
}

bool cq_key_contains(const struct cq_key *net, const struct cq_key *key)
{
    return net->family == key->family
           && net->prefix <= key->prefix
           && net->prefix <= family_bits(net->family)
           && prefixes_match(net->bytes, key->bytes, net->prefix);
}

bool cq_key_touches(const struct cq_key *a, const struct cq_key *b)
{
    return a->prefix <= b->prefix ? cq_key_contains(a, b)
                                  : cq_key_contains(b, a);
}

int cq_key_compare(const struct cq_key *a, const struct cq_key *b)
{
    int order = (a->family > b->family) - (a->family < b->family);

    if (order == 0) {
        order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
    }
    if (order == 0) {
        order = (a->prefix > b->prefix) - (a->prefix < b->prefix);
    }
    return order;
}
