/* jail - what all kinds of jails share: which kinds there are, and lists. */
#include "sync/jail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum jail_status jail_fail(struct jail_why *why, enum jail_status status,
                           const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    return status;
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
