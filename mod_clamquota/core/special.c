/* special - addresses that are nobody's on the other side of the world.
 *
 * The ranges are those of RFC 6890 (special-purpose address registries) that
 * name this host, this link or a group; private networks (RFC 1918, RFC 4193)
 * are none of them: a mirror inside of a company has clients there. */
#include "core/special.h"

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

bool cq_special_is_near(const struct cq_key *key)
{
    static const struct cq_key near[] = {
        { { 10 }, 4, 8 }, { { 172, 16 }, 4, 12 }, { { 192, 168 }, 4, 16 },
        { { 127 }, 4, 8 }, { { 0xfc }, 6, 7 }, { { 0xfe, 0x80 }, 6, 10 },
        { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 6, 128 },
    };
    size_t i;

    for (i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
        if (cq_key_contains(&near[i], key)
            || cq_key_contains(key, &near[i])) {
            return true;
        }
    }
    return false;
}
