/* special - addresses of no single host of the Internet.
 *
 * The ranges are those of RFC 6890 (special-purpose address registries) that
 * name this host, this link or a group; private networks are none of them: a
 * mirror inside of a company has clients there. */
#include "core/special.h"

#include <string.h>

struct range {
    const char *word;
    struct cq_key net;
};

static const struct range ranges[] = {
    { "unspecified", { { 0 }, 4, 8 } },             /* 0.0.0.0/8 */
    { "loopback", { { 127 }, 4, 8 } },
    { "link-local", { { 169, 254 }, 4, 16 } },
    { "multicast", { { 224 }, 4, 4 } },
    { "broadcast", { { 255, 255, 255, 255 }, 4, 32 } },
    { "unspecified", { { 0 }, 6, 128 } },           /* :: */
    { "loopback", { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 6,
                    128 } },                        /* ::1 */
    { "link-local", { { 0xfe, 0x80 }, 6, 10 } },
    { "multicast", { { 0xff }, 6, 8 } },
};

static const struct cq_key private_nets[] = {
    { { 10 }, 4, 8 }, { { 172, 16 }, 4, 12 }, { { 192, 168 }, 4, 16 },
    { { 100, 64 }, 4, 10 },
    { { 0xfc }, 6, 7 }
};

bool cq_special_is_private(const struct cq_key *key)
{
    size_t i;

    for (i = 0; i < sizeof(private_nets) / sizeof(private_nets[0]); i++) {
        if (cq_key_contains(&private_nets[i], key)) {
            return true;
        }
    }
    return false;
}

const char *cq_special_word(const struct cq_key *key)
{
    size_t i;

    for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (cq_key_contains(&ranges[i].net, key)
            || cq_key_contains(key, &ranges[i].net)) {
            return ranges[i].word;
        }
    }
    return NULL;
}
