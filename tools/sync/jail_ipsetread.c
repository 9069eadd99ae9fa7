/* jail_ipsetread - what `ipset list -o save` says of a set and its elements:
 *
 *     create clamquota4 hash:net family inet hashsize 1024 maxelem 65536 ...
 *     add clamquota4 10.0.0.0/8 timeout 3599 */
#include "sync/jail_ipset.h"

#include <stdlib.h>
#include <string.h>

/* The n-th word of a line, from 0; its end if there are fewer. */
static const char *nth_word(const char *line, int n)
{
    while (n-- > 0 && *line != '\0' && *line != '\n') {
        line += strcspn(line, " \n");
        line += *line == ' ';
    }
    return line;
}

/* The word behind an option of a line, or NULL. Options come behind the
 * command, the set's name, and its type or an address. */
static const char *word_after(const char *line, const char *option)
{
    size_t length = strlen(option);
    const char *at = nth_word(line, 3);

    for (; *at != '\0' && *at != '\n'; at = nth_word(at, 1)) {
        if (strcspn(at, " \n") == length
            && strncmp(at, option, length) == 0) {
            return nth_word(at, 1);
        }
    }
    return NULL;
}

static bool word_is(const char *at, const char *expected)
{
    return at != NULL && strcspn(at, " \n") == strlen(expected)
           && strncmp(at, expected, strlen(expected)) == 0;
}

static int64_t number_after(const char *line, const char *word,
                            int64_t otherwise)
{
    const char *at = word_after(line, word);

    return at == NULL ? otherwise : strtoll(at, NULL, 10);
}

/* Which of the types that we know, and can an address of ours be in it? */
static bool read_type(struct ipset_set *set, const char *line)
{
    const char *type = nth_word(line, 2);
    const char *family = set->family == 4 ? "inet" : "inet6";
    int64_t whole = set->family == 4 ? 32 : 128;

    set->holds_networks = word_is(type, "hash:net");
    if (!set->holds_networks && !word_is(type, "hash:ip")) {
        return false;
    }
    set->bits = (uint8_t)number_after(line, "netmask", whole);
    set->has_timeouts = word_after(line, "timeout") != NULL;
    set->maxelem = number_after(line, "maxelem", -1);
    return word_is(word_after(line, "family"), family);
}

enum jail_status ipset_read_header(struct ipset_set *set,
                                   struct jail_why *why)
{
    char *argv[] = { (char[]){"ipset"}, (char[]){"list"}, (char[]){"-t"},
                     (char[]){"-o"}, (char[]){"save"}, set->name, NULL };
    struct ipset_result result;
    enum jail_status status = ipset_run(argv, "", 0, &result, why);

    if (status == JAIL_MISSING && strstr(why->text, "a set does") != NULL) {
        jail_fail(why, status, "ipset: the set %s does not exist; create it "
                  "first, e.g. ipset restore -exist <clamquota.ipset",
                  set->name);
    }
    if (status == JAIL_OK
        && (result.output.bytes == NULL
            || !read_type(set, result.output.bytes))) {
        status = jail_fail(why, JAIL_MISSING,
                           "ipset: the set %s is neither hash:net nor hash:ip "
                           "of family %s; create it as in clamquota.ipset",
                           set->name, set->family == 4 ? "inet" : "inet6");
    }
    jail_text_free(&result.output);
    return status;
}

/* "add NAME 10.0.0.0/8 timeout 3599". In a set that cuts addresses itself an
 * address stands for its network. */
static bool read_line(const struct ipset_set *set, const char *line,
                      struct cq_key *key, int64_t *expires_in_s)
{
    const char *at = strncmp(line, "add ", 4) == 0
                     ? nth_word(line, 2) : NULL;
    size_t length = at == NULL ? 0 : strcspn(at, " \n");
    char text[CQ_KEY_TEXT_SIZE];

    if (length == 0 || length >= sizeof(text)) {
        return false;
    }
    memcpy(text, at, length);
    text[length] = '\0';
    /* a mapped address folds: no packet's, and nothing of ours */
    if (cq_key_parse(key, text, NULL) != CQ_OK || key->family != set->family
        || word_after(line, "nomatch") != NULL) {
        return false;
    }
    if (!set->holds_networks) {
        key->prefix = set->bits;
    }
    *expires_in_s = number_after(line, "timeout", 0);
    if (*expires_in_s == 0) {       /* none, or "timeout 0": for ever */
        *expires_in_s = JAIL_NO_EXPIRY;
    }
    return cq_key_valid(key);
}

enum jail_status ipset_read_set(const struct ipset_set *set,
                                struct jail_listing *listing, size_t *room,
                                struct jail_why *why)
{
    struct ipset_set copy = *set;       /* argv is not const */
    char *argv[] = { (char[]){"ipset"}, (char[]){"save"}, copy.name, NULL };
    struct ipset_result result;
    enum jail_status status = ipset_run(argv, "", 0, &result, why);
    const char *line = result.output.bytes;

    while (status == JAIL_OK && line != NULL && *line != '\0') {
        int64_t expires_in_s;
        struct cq_key key;

        if (read_line(set, line, &key, &expires_in_s)
            && !jail_listing_put(listing, room, &key, expires_in_s)) {
            status = jail_no_memory(why);
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    jail_text_free(&result.output);
    return status;
}
