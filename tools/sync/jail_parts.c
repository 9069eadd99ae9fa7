/* jail_parts - what the kinds of jails are built from. */
#include "sync/jail_parts.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool jail_is_name(const char *text, size_t len, const char *also,
                  size_t longest)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz_0123456789";
    size_t i;

    if (len == 0 || len > longest) {
        return false;
    }
    for (i = 0; i < len; i++) {
        if (text[i] == '\0'
            || (strchr(letters, text[i]) == NULL
                && (i == 0 || strchr(also, text[i]) == NULL))) {
            return false;
        }
    }
    return true;
}

char *jail_copy(const char *text, size_t len)
{
    char *copy = malloc(len + 1);

    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

bool jail_listing_put(struct jail_listing *listing, size_t *room,
                      const struct cq_key *key, int64_t expires_in_s)
{
    if (listing->count >= *room) {
        size_t more = *room == 0 ? 128 : *room * 2;
        struct jail_present *grown =
            reallocarray(listing->entries, more, sizeof(*grown));

        if (grown == NULL) {
            return false;
        }
        listing->entries = grown;
        *room = more;
    }
    listing->entries[listing->count].key = *key;
    listing->entries[listing->count].expires_in_s = expires_in_s;
    listing->count++;
    return true;
}

static int compare_with(const void *key, const void *entry)
{
    const struct jail_present *present = entry;

    return cq_key_compare(key, &present->key);
}

const struct jail_present *jail_listing_find(const struct jail_listing *listing,
                                             const struct cq_key *key)
{
    if (listing->count == 0) {
        return NULL;
    }
    return bsearch(key, listing->entries, listing->count,
                   sizeof(listing->entries[0]), compare_with);
}

enum jail_status jail_no_memory(struct jail_why *why)
{
    return jail_fail(why, JAIL_PARTLY, "no memory for the jail's addresses");
}

/* Makes room for `more` bytes and a NUL. */
static bool make_room(struct jail_text *text, size_t more)
{
    size_t needed = text->length + more + 1;
    size_t room = text->room == 0 ? 256 : text->room;
    char *grown;

    if (text->failed || needed <= text->room) {
        return !text->failed;
    }
    while (room < needed) {
        room *= 2;
    }
    grown = realloc(text->bytes, room);
    if (grown == NULL) {
        text->failed = true;
        return false;
    }
    text->bytes = grown;
    text->room = room;
    return true;
}

void jail_text_put(struct jail_text *text, const void *what, size_t length)
{
    if (make_room(text, length)) {
        memcpy(text->bytes + text->length, what, length);
        text->length += length;
        text->bytes[text->length] = '\0';
    }
}

void jail_text_add(struct jail_text *text, const char *what)
{
    jail_text_put(text, what, strlen(what));
}

void jail_text_add_format(struct jail_text *text, const char *format, ...)
{
    char line[1024];    /* nft's longest: family and three names of 255 */
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof(line)) {
        text->failed = true;
        return;
    }
    jail_text_add(text, line);
}

void jail_text_add_key(struct jail_text *text, const struct cq_key *key)
{
    int family = key->family == 4 ? AF_INET : AF_INET6;
    unsigned whole = key->family == 4 ? 32 : 128;

    if (!make_room(text, INET6_ADDRSTRLEN)) {
        return;
    }
    if (inet_ntop(family, key->bytes, text->bytes + text->length,
                  INET6_ADDRSTRLEN) == NULL) {
        text->failed = true;
        return;
    }
    text->length += strlen(text->bytes + text->length);
    if (key->prefix != whole) {
        jail_text_add_format(text, "/%u", (unsigned)key->prefix);
    }
}

void jail_text_free(struct jail_text *text)
{
    free(text->bytes);
    *text = (struct jail_text){ .bytes = NULL };
}
