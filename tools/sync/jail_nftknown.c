/* jail_nftknown - what is in the sets, without asking for all of it again.
 *
 * Listing 100,000 elements takes a good part of a second, and a pass with
 * nothing to do shall cost next to nothing. The kernel numbers each
 * change of rules and sets (NFT_MSG_GETGEN): while the number stays, only
 * time has passed. */
#include "sync/jail_nft.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A rule of somebody's own may put addresses in or take them out as packets
 * come, which is no change to the kernel: they show after so long. */
#define KNOWN_LONGEST_S 600

static int64_t monotonic_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

void nft_known_forget(struct nft *nft)
{
    jail_listing_free(&nft->known.listing);
    nft->known.valid = false;
}

/* Takes off what time has passed, and drops who has gone by it. */
static void pass_time(struct nft_known *known)
{
    int64_t now_s = monotonic_s();
    int64_t passed_s = now_s - known->at_s;
    struct jail_listing *listing = &known->listing;
    size_t i, n = 0;

    if (passed_s == 0) {
        return;
    }
    for (i = 0; i < listing->count; i++) {
        struct jail_present *entry = &listing->entries[i];

        if (entry->expires_in_s != JAIL_NO_EXPIRY) {
            /* the rest of a second is its own: it may have gone */
            if (entry->expires_in_s <= passed_s) {
                continue;
            }
            entry->expires_in_s -= passed_s;
        }
        listing->entries[n++] = *entry;
    }
    listing->count = n;
    known->at_s = now_s;
}

static enum jail_status copy_known(const struct nft_known *known,
                                   struct jail_listing *listing,
                                   struct jail_why *why)
{
    size_t count = known->listing.count;

    *listing = (struct jail_listing){ .entries = NULL };
    if (count > 0) {
        listing->entries = reallocarray(NULL, count,
                                        sizeof(listing->entries[0]));
        if (listing->entries == NULL) {
            return jail_no_memory(why);
        }
        memcpy(listing->entries, known->listing.entries,
               count * sizeof(listing->entries[0]));
        listing->count = count;
    }
    return JAIL_OK;
}

enum jail_status nft_list(struct nft *nft, struct jail_listing *listing,
                          struct jail_why *why)
{
    struct nft_known *known = &nft->known;
    uint32_t before, after;
    enum jail_status status;
    bool counted = nft_generation(&before) == 0;

    if (!known->valid || !counted || known->generation != before
        || monotonic_s() - known->read_s > KNOWN_LONGEST_S) {
        nft_known_forget(nft);
        *listing = (struct jail_listing){ .entries = NULL };
        known->read_s = known->at_s = monotonic_s();
        status = nft_read_elements(nft, &known->listing, why);
        if (status != JAIL_OK) {
            return status;
        }
        known->valid = counted && nft_generation(&after) == 0
                       && after == before;
        known->generation = before;
    }
    pass_time(known);
    return copy_known(known, listing, why);
}

static int compare_changes(const void *a, const void *b)
{
    const struct jail_change *const *one = a;
    const struct jail_change *const *other = b;

    return cq_key_compare(&(*one)->key, &(*other)->key);
}

/* Removed and renewed ones go; added and renewed ones come, in order. */
static bool merge(struct nft *nft, const struct nft_step *steps,
                  size_t count, int64_t lease_s)
{
    struct jail_listing *listing = &nft->known.listing;
    struct jail_change **sorted = calloc(count + 1, sizeof(*sorted));
    size_t i, c = 0, n = 0, room;

    if (sorted == NULL) {
        return false;
    }
    for (i = 0; i < count; i++) {
        sorted[i] = steps[i].change;
    }
    qsort(sorted, count, sizeof(*sorted), compare_changes);
    for (i = 0; i < listing->count; i++) {
        while (c < count && cq_key_compare(&sorted[c]->key,
                                           &listing->entries[i].key) < 0) {
            c++;
        }
        if (c == count || cq_key_compare(&sorted[c]->key,
                                         &listing->entries[i].key) != 0
            || sorted[c]->op == JAIL_ADD) {
            listing->entries[n++] = listing->entries[i];
        }
    }
    room = listing->count;
    listing->count = n;
    for (i = 0; i < count; i++) {
        const struct nft_set *set = &nft->sets[sorted[i]->key.family == 6];

        if (sorted[i]->op != JAIL_REMOVE
            && !jail_listing_put(listing, &room, &sorted[i]->key,
                                 set->has_timeouts ? lease_s
                                                   : JAIL_NO_EXPIRY)) {
            break;
        }
    }
    free(sorted);
    jail_listing_sort(listing);
    return i == count;
}

void nft_known_changed(struct nft *nft, uint32_t before,
                       const struct nft_step *steps, size_t count,
                       int64_t lease_s)
{
    uint32_t after;

    /* exactly our own transaction since the listing */
    if (!nft->known.valid || nft->known.generation != before
        || nft_generation(&after) != 0 || after != before + 1) {
        nft_known_forget(nft);
        return;
    }
    pass_time(&nft->known);
    if (!merge(nft, steps, count, lease_s)) {
        nft_known_forget(nft);
        return;
    }
    nft->known.generation = after;
}
