/* jail_parts - what the kinds of jails are built from, and nobody else needs:
 * names, listings that grow, commands that grow. */
#ifndef CQ_SYNC_JAIL_PARTS_H
#define CQ_SYNC_JAIL_PARTS_H

#include "sync/jail.h"

/** Is text[0..len) a name that can stand in a path or a command as it is?
 * Letters, digits and underscore; the characters of `also` too, but not as
 * the first one.
 * @param longest  how many characters it may have */
bool jail_is_name(const char *text, size_t len, const char *also,
                  size_t longest);

/** Copies text[0..len); NULL without memory. */
char *jail_copy(const char *text, size_t len);

/** Puts an entry behind the others; jail_listing_sort() brings order.
 * @param room  how many entries have been allocated; 0 for an empty listing
 * @return false without memory; the listing is as before */
bool jail_listing_put(struct jail_listing *listing, size_t *room,
                      const struct cq_key *key, int64_t expires_in_s);

/** The entry with this key in a sorted listing, or NULL. */
const struct jail_present *jail_listing_find(const struct jail_listing *listing,
                                             const struct cq_key *key);

/** "no memory" in a sentence. */
enum jail_status jail_no_memory(struct jail_why *why);

/* A text that grows. A failed allocation is remembered, so that only the end
 * of a long chain of additions needs to look. All zero bytes: empty. */
struct jail_text {
    char *bytes;            /* always with a NUL behind; NULL while empty */
    size_t length;
    size_t room;
    bool failed;
};

void jail_text_add(struct jail_text *text, const char *what);

/** Adds bytes as they are. */
void jail_text_put(struct jail_text *text, const void *what, size_t length);

void jail_text_add_format(struct jail_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Adds an address, and its prefix where it is not a whole one. */
void jail_text_add_key(struct jail_text *text, const struct cq_key *key);

void jail_text_free(struct jail_text *text);

#endif
