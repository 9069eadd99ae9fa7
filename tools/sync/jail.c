/* jail - what all kinds of jails share: which kinds there are, and lists. */
#include "sync/jail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum jail_status jail_fail(struct jail_why *why, enum jail_status status,
                           const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    return status;
}

/* Has a kind read what stands after the colon. */
static enum jail_status parse_rest(const struct jail_kind *kind,
                                   const char *spec, struct jail **jail,
                                   struct jail_why *why)
{
    struct jail *made = NULL;
    enum jail_status status =
        kind->parse(spec + strlen(kind->name) + 1, &made, why);

    if (status != JAIL_OK) {
        return status;
    }
    made->kind = kind;
    made->spec = strdup(spec);
    if (made->spec == NULL) {
        kind->close(made);
        return jail_fail(why, JAIL_USAGE, "no memory");
    }
    *jail = made;
    return JAIL_OK;
}

enum jail_status jail_parse(const char *spec, struct jail **jail,
                            struct jail_why *why)
{
    static const struct jail_kind *const kinds[] = {
        &jail_recent, &jail_nft, &jail_ipset
    };
    size_t name = strcspn(spec, ":");
    size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (spec[name] == ':' && strlen(kinds[i]->name) == name
            && strncmp(spec, kinds[i]->name, name) == 0) {
            return parse_rest(kinds[i], spec, jail, why);
        }
    }
    return jail_fail(why, JAIL_USAGE,
                     "--jail \"%.100s\": no such kind of jail, expected "
                     "recent:NAME[,NAME6], nft:FAMILY/TABLE/SET4[,SET6] or "
                     "ipset:SET4[,SET6], e.g. recent:DenyAccessClamAV", spec);
}

static int compare(const void *a, const void *b)
{
    const struct jail_present *one = a;
    const struct jail_present *other = b;

    return cq_key_compare(&one->key, &other->key);
}

void jail_listing_sort(struct jail_listing *listing)
{
    size_t i, n = 0;

    if (listing->count > 0) {
        qsort(listing->entries, listing->count, sizeof(listing->entries[0]),
              compare);
    }
    for (i = 0; i < listing->count; i++) {
        if (n == 0 || compare(&listing->entries[n - 1],
                              &listing->entries[i]) != 0) {
            listing->entries[n++] = listing->entries[i];
        }
    }
    listing->count = n;
}

void jail_listing_free(struct jail_listing *listing)
{
    free(listing->entries);
    listing->entries = NULL;
    listing->count = 0;
}
