/* jail_nftoverlap - networks that overlap, which a set with intervals cannot
 * hold.
 *
 * The kernel refuses most of them, but a network over another one that has
 * the same end it takes, and what comes out is neither (Linux 6.18; nft looks
 * before it sends, too). */
#include "sync/jail_nft.h"

#include <errno.h>

/* Is there a network in the listing with this key inside, but the key? */
static bool is_covered(const struct jail_listing *all,
                       const struct cq_key *key)
{
    uint8_t bits;

    for (bits = 0; bits < key->prefix; bits++) {
        struct cq_key around = cq_key_network(key, bits);

        if (jail_listing_find(all, &around) != NULL) {
            return true;
        }
    }
    return false;
}

/* Is there something in the listing inside of this network, but what is to
 * go? In order, it stands behind the network. */
static bool covers(const struct jail_listing *all,
                   const struct jail_listing *going,
                   const struct cq_key *net)
{
    size_t low = 0, high = all->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (cq_key_compare(&all->entries[middle].key, net) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < all->count
           && cq_key_contains(net, &all->entries[low].key); low++) {
        const struct cq_key *key = &all->entries[low].key;

        if (cq_key_compare(key, net) != 0
            && jail_listing_find(going, key) == NULL) {
            return true;
        }
    }
    return false;
}

/* The keys of the steps that do this and have no error, in order. */
static bool gather(const struct nft_step *steps, size_t count,
                   enum jail_op op, struct jail_listing *listing)
{
    size_t i, room = listing->count;

    for (i = 0; i < count; i++) {
        if (steps[i].change->op == op && steps[i].error == 0
            && !jail_listing_put(listing, &room, &steps[i].change->key, 0)) {
            return false;
        }
    }
    jail_listing_sort(listing);
    return true;
}

/* What is to be taken out of the middle of a network is not in the set. */
static bool is_settled(const struct jail_listing *all,
                       const struct nft_step *step)
{
    const struct cq_key *key = &step->change->key;

    if (step->change->op == JAIL_RENEW) {
        return false;
    }
    if (step->change->op == JAIL_REMOVE
        && jail_listing_find(all, key) != NULL) {
        return false;
    }
    return is_covered(all, key);
}

/* The listing less what is to go. */
static void leave_out(struct jail_listing *all,
                      const struct jail_listing *going)
{
    size_t i, n = 0;

    for (i = 0; i < all->count; i++) {
        if (jail_listing_find(going, &all->entries[i].key) == NULL) {
            all->entries[n++] = all->entries[i];
        }
    }
    all->count = n;
}

size_t nft_without_overlaps(struct nft *nft, struct nft_step *steps,
                            size_t count)
{
    struct jail_listing all = { .entries = NULL };
    struct jail_listing going = { .entries = NULL };
    struct jail_why why;
    size_t i, n = count;

    /* what is wrong now will show when the transaction is tried */
    if (nft_list(nft, &all, &why) != JAIL_OK
        || !gather(steps, count, JAIL_REMOVE, &going)) {
        jail_listing_free(&going);
        jail_listing_free(&all);
        return count;
    }
    for (i = 0; i < count; i++) {
        if (steps[i].change->op == JAIL_ADD && steps[i].error == 0
            && covers(&all, &going, &steps[i].change->key)) {
            steps[i].error = ENOTEMPTY;
        }
    }
    for (i = 0, n = 0; i < count; i++) {
        /* removals first: they look at what is there now */
        if (steps[i].change->op != JAIL_REMOVE
            || !is_settled(&all, &steps[i])) {
            steps[n++] = steps[i];
        }
    }
    count = n;
    leave_out(&all, &going);
    if (gather(steps, count, JAIL_ADD, &all)) {
        for (i = 0, n = 0; i < count; i++) {
            if (steps[i].change->op != JAIL_ADD
                || !is_settled(&all, &steps[i])) {
                steps[n++] = steps[i];
            }
        }
    }
    jail_listing_free(&going);
    jail_listing_free(&all);
    return n;
}
