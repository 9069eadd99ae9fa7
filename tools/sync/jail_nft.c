/* jail_nft - stub. */
#include "sync/jail_parts.h"
static enum jail_status parse(const char *spec, struct jail **jail,
                              struct jail_why *why)
{
    (void)jail;
    return jail_fail(why, JAIL_USAGE, "%s: not built", spec);
}
const struct jail_kind jail_nft = { .name = "nft", .parse = parse };
