/* peer/jail: one jail, driven line by line from standard input, so that a test
 * can do things to the kernel between two steps of an open jail.
 *
 *     jail SPEC [LEASE]
 *     open r|w      can KEY       + KEY, - KEY, * KEY   (note a change)
 *     apply         list          flush                 figures
 *     can-deny KEY  deny KEY...   networks              changed
 *
 * Each line is answered by lines of results and one that begins with '=',
 * the status, and a sentence. The first such line is the answer to SPEC. */
#include "jail/jail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *spec;
static int64_t lease_s = 3600;
static struct cq_jail *jail;
static struct cq_jail_change *changes;
static size_t change_n, change_room;

static enum cq_jail_status misused(struct cq_jail_why *why, const char *text,
                                   const char *wrong)
{
    snprintf(why->text, sizeof(why->text), "%s: %s", text, wrong);
    return CQ_JAIL_USAGE;
}

static enum cq_jail_status note(enum cq_jail_op op, const struct cq_key *key)
{
    if (change_n == change_room) {
        change_room = change_room == 0 ? 64 : change_room * 2;
        changes = reallocarray(changes, change_room, sizeof(*changes));
        if (changes == NULL) {
            abort();
        }
    }
    changes[change_n++] = (struct cq_jail_change){
        .op = op, .key = cq_jail_element_key(key)
    };
    return CQ_JAIL_OK;
}

static enum cq_jail_status apply(struct cq_jail_why *why)
{
    enum cq_jail_status status = cq_jail_apply(jail, changes, change_n, why);
    char text[CQ_KEY_TEXT_SIZE];

    for (size_t i = 0; i < change_n; i++) {
        if (changes[i].has_failed) {
            printf("failed %c%s\n", "+*-"[changes[i].op],
                   cq_key_format(&changes[i].key, text, sizeof(text)));
        }
    }
    change_n = 0;
    return status;
}

/* A jail of its own: what the last one knew is gone. */
static enum cq_jail_status open_jail(enum cq_jail_access access,
                                     struct cq_jail_why *why)
{
    struct cq_jail_contents contents;
    struct cq_jail *made;
    enum cq_jail_status status = cq_jail_parse(spec, access, lease_s, &made,
                                               why);

    if (status != CQ_JAIL_OK) {
        return status;
    }
    cq_jail_close(jail);
    jail = made;
    return cq_jail_list(jail, &contents, why);
}

static enum cq_jail_status list(struct cq_jail_why *why)
{
    struct cq_jail_contents contents;
    enum cq_jail_status status = cq_jail_list(jail, &contents, why);
    char text[CQ_KEY_TEXT_SIZE];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    for (size_t i = 0; i < contents.element_n; i++) {
        const struct cq_jail_element *element = &contents.elements[i];

        printf("%s %" PRId64 "%s\n",
               cq_key_format(&element->key, text, sizeof(text)),
               element->expires_at_s == CQ_JAIL_PERMANENT ? -1
               : element->expires_at_s - now.tv_sec,
               element->is_operators ? " operator's" : "");
    }
    return status;
}

/* What --flush does: all but the operator's. */
static enum cq_jail_status flush(struct cq_jail_why *why)
{
    struct cq_jail_contents contents;
    enum cq_jail_status status = cq_jail_list(jail, &contents, why);

    for (size_t i = 0; i < contents.element_n; i++) {
        if (!contents.elements[i].is_operators) {
            note(CQ_JAIL_REMOVE, &contents.elements[i].key);
        }
    }
    return status != CQ_JAIL_OK ? status : apply(why);
}

static enum cq_jail_status networks(struct cq_jail_why *why)
{
    struct cq_jail_contents contents;
    enum cq_jail_status status = cq_jail_list(jail, &contents, why);
    char text[CQ_KEY_TEXT_SIZE];

    for (size_t i = 0; i < contents.network_n; i++) {
        puts(cq_key_format_cidr(&contents.networks[i].key, text,
                                sizeof(text)));
    }
    return status;
}

static enum cq_jail_status figures(struct cq_jail_why *why)
{
    struct cq_jail_contents f;
    enum cq_jail_status status = cq_jail_list(jail, &f, why);

    if (status == CQ_JAIL_OK) {
        printf("v4 %" PRId64 " v6 %" PRId64 " shared %d packets %" PRId64
               "\n%s\n", f.capacity_v4, f.capacity_v6, f.shares_capacity,
               f.dropped_packets, f.how_to_raise);
    }
    return status;
}

/* A command with a word and then keys, each of them noted as a change. */
static enum cq_jail_status run_with_keys(const char *command, char *words,
                                         struct cq_jail_why *why)
{
    static struct cq_key keys[20000];
    const char *wrong = NULL, *clause;
    size_t n = 0;
    char *end;

    for (char *word = strtok_r(words, " ", &end);
         word != NULL && n < sizeof(keys) / sizeof(keys[0]);
         word = strtok_r(NULL, " ", &end)) {
        if (cq_key_parse(&keys[n++], word, &wrong) != CQ_OK) {
            return misused(why, word, wrong);
        }
    }
    if (strcmp(command, "deny") == 0) {
        return cq_jail_deny(jail, keys, n, why);
    }
    if (strlen(command) == 1 && strchr("+-*", command[0]) != NULL) {
        return note(command[0] == '+' ? CQ_JAIL_ADD
                    : command[0] == '-' ? CQ_JAIL_REMOVE : CQ_JAIL_RENEW,
                    &keys[0]);
    }
    clause = strcmp(command, "can") == 0
             ? cq_jail_cannot_hold(jail, &keys[0])
             : cq_jail_cannot_deny(jail, &keys[0]);
    puts(clause == NULL ? "yes" : clause);
    return CQ_JAIL_OK;
}

static enum cq_jail_status run(char *line, struct cq_jail_why *why)
{
    char *words = line + strcspn(line, " ");

    if (*words == ' ') {
        *words++ = '\0';
    }
    if (strcmp(line, "open") == 0) {
        return open_jail(words[0] == 'w' ? CQ_JAIL_WRITE : CQ_JAIL_READ, why);
    }
    if (strcmp(line, "apply") == 0) {
        return apply(why);
    }
    if (strcmp(line, "list") == 0) {
        return list(why);
    }
    if (strcmp(line, "flush") == 0) {
        return flush(why);
    }
    if (strcmp(line, "networks") == 0) {
        return networks(why);
    }
    if (strcmp(line, "figures") == 0) {
        return figures(why);
    }
    if (strcmp(line, "changed") == 0) {
        puts(cq_jail_has_changed(jail) ? "yes" : "no");
        return CQ_JAIL_OK;
    }
    return run_with_keys(line, words, why);
}

static void answer(enum cq_jail_status status, const struct cq_jail_why *why)
{
    printf("= %d%s%s\n", (int)status, status == CQ_JAIL_OK ? "" : " ",
           status == CQ_JAIL_OK ? "" : why->text);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct cq_jail_why why;
    enum cq_jail_status status;
    char *line = NULL;
    size_t room = 0;

    if (argc != 2 && argc != 3) {
        fputs("usage: jail SPEC [LEASE]\n", stderr);
        return 2;
    }
    spec = argv[1];
    if (argc == 3) {
        lease_s = strtoll(argv[2], NULL, 10);
    }
    status = cq_jail_parse(spec, CQ_JAIL_WRITE, lease_s, &jail, &why);
    answer(status, &why);
    while (jail != NULL && getline(&line, &room, stdin) > 0) {
        bool is_change = strchr("+-*", line[0]) != NULL;

        line[strcspn(line, "\n")] = '\0';
        /* changes are many; only their mistakes are answered */
        status = run(line, &why);
        if (!is_change || status != CQ_JAIL_OK) {
            answer(status, &why);
        }
    }
    cq_jail_close(jail);
    free(changes);
    free(line);
    return 0;
}
