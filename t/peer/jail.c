/* peer/jail: one jail, driven line by line from standard input, so that a test
 * can do things to the kernel between two steps of an open jail.
 *
 *     jail SPEC
 *     open r|w      can KEY       + KEY, - KEY, * KEY   (note a change)
 *     apply LEASE   list          flush                 figures
 *
 * Each line is answered by lines of results and one that begins with '=',
 * the status, and a sentence. The first such line is the answer to SPEC. */
#include "sync/jail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct jail_change *changes;
static size_t change_n, change_room;

static enum jail_status note(char op, const char *text, struct jail_why *why)
{
    struct jail_change change = {
        .op = op == '+' ? JAIL_ADD : op == '-' ? JAIL_REMOVE : JAIL_RENEW
    };
    const char *wrong;

    if (cq_key_parse(&change.key, text, &wrong) != CQ_OK) {
        return jail_fail(why, JAIL_USAGE, "%s: %s", text, wrong);
    }
    if (change_n == change_room) {
        change_room = change_room == 0 ? 64 : change_room * 2;
        changes = reallocarray(changes, change_room, sizeof(*changes));
        if (changes == NULL) {
            abort();
        }
    }
    changes[change_n++] = change;
    return JAIL_OK;
}

static enum jail_status apply(struct jail *jail, int64_t lease_s,
                              struct jail_why *why)
{
    enum jail_status status =
        jail->kind->apply(jail, changes, change_n, lease_s, why);
    char text[CQ_KEY_TEXT_SIZE];

    for (size_t i = 0; i < change_n; i++) {
        if (changes[i].failed) {
            printf("failed %c%s\n", "+*-"[changes[i].op],
                   cq_key_format_cidr(&changes[i].key, text, sizeof(text)));
        }
    }
    change_n = 0;
    return status;
}

static enum jail_status list(struct jail *jail, struct jail_why *why)
{
    struct jail_listing listing;
    enum jail_status status = jail->kind->list(jail, &listing, why);
    char text[CQ_KEY_TEXT_SIZE];

    for (size_t i = 0; i < listing.count; i++) {
        printf("%s %" PRId64 "\n",
               cq_key_format_cidr(&listing.entries[i].key, text,
                                  sizeof(text)),
               listing.entries[i].expires_in_s);
    }
    jail_listing_free(&listing);
    return status;
}

static enum jail_status figures(struct jail *jail, struct jail_why *why)
{
    struct jail_figures f;
    enum jail_status status = jail->kind->figures(jail, true, &f, why);

    if (status == JAIL_OK) {
        printf("v4 %" PRId64 " v6 %" PRId64 " shared %d packets %" PRId64
               " bytes %" PRId64 "\n%s\n", f.places_v4, f.places_v6,
               f.shared_places, f.dropped_packets, f.dropped_bytes,
               f.how_to_raise);
    }
    return status;
}

static enum jail_status can(struct jail *jail, const char *text,
                            struct jail_why *why)
{
    struct cq_key key;
    const char *clause;

    if (cq_key_parse(&key, text, &clause) != CQ_OK) {
        return jail_fail(why, JAIL_USAGE, "%s: %s", text, clause);
    }
    clause = jail->kind->cannot_hold(jail, &key);
    puts(clause == NULL ? "yes" : clause);
    return JAIL_OK;
}

static enum jail_status run(struct jail *jail, const char *line,
                            struct jail_why *why)
{
    if (strchr("+-*", line[0]) != NULL && line[0] != '\0' && line[1] == ' ') {
        return note(line[0], line + 2, why);
    }
    if (strncmp(line, "apply ", 6) == 0) {
        return apply(jail, strtoll(line + 6, NULL, 10), why);
    }
    if (strncmp(line, "open ", 5) == 0) {
        return jail->kind->open(jail, line[5] == 'w', why);
    }
    if (strncmp(line, "can ", 4) == 0) {
        return can(jail, line + 4, why);
    }
    if (strcmp(line, "list") == 0) {
        return list(jail, why);
    }
    if (strcmp(line, "flush") == 0) {
        return jail->kind->flush(jail, why);
    }
    if (strcmp(line, "figures") == 0) {
        return figures(jail, why);
    }
    return jail_fail(why, JAIL_USAGE, "\"%s\" is no command", line);
}

static void answer(enum jail_status status, const struct jail_why *why)
{
    printf("= %d%s%s\n", (int)status, status == JAIL_OK ? "" : " ",
           status == JAIL_OK ? "" : why->text);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct jail *jail = NULL;
    struct jail_why why;
    enum jail_status status;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    if (argc != 2) {
        fputs("usage: jail SPEC\n", stderr);
        return 2;
    }
    status = jail_parse(argv[1], &jail, &why);
    answer(status, &why);
    while (jail != NULL && (length = getline(&line, &room, stdin)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        /* changes are many; only their mistakes are answered */
        status = run(jail, line, &why);
        if (strchr("+-*", line[0]) == NULL || status != JAIL_OK) {
            answer(status, &why);
        }
    }
    if (jail != NULL) {
        jail->kind->close(jail);
    }
    free(changes);
    free(line);
    return 0;
}
