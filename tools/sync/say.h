/* say - what the operator is told, and what he was told before.
 *
 * cron mails every line, so trouble that lasts is said when it begins and
 * again when it changes, not each minute: the sentences of a pass are kept in
 * the state file and the next pass is silent about those. Exit codes and
 * counts are the same whether something was said aloud or not. */
#ifndef CQ_SYNC_SAY_H
#define CQ_SYNC_SAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* a sentence with a path in it fits; longer ones are cut */
#define SAY_SIZE 1024

/* sentences that are remembered; further ones are said each time */
#define SAY_MOST 1000

struct say_lines {
    char **lines;               /* malloc'd, as are they; one line each */
    size_t count;
};

/* All zero bytes but err: nothing said yet. */
struct say {
    FILE *err;
    bool verbose;
    bool no_states;             /* say_state() is silent: --status shows them */
    struct say_lines now;       /* this pass; in the order of saying */
    struct say_lines before;    /* the pass before: not said again */
    size_t troubles;            /* since say_begin(), aloud or not */
};

/** Tells of trouble, on one line, unless the pass before did already.
 * Control characters (a file's name, a line of it) are shown as "?". */
void say_trouble(struct say *say, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Tells of a state that is no failure, once while it lasts.
 * @param topic  what it is about: the sentence may change (numbers in it)
 *               without being said again */
void say_state(struct say *say, const char *topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** With -v: tells what is done or left out, each time. */
void say_note(struct say *say, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** A new pass begins: what was said becomes what was said before. */
void say_begin(struct say *say);

/** Remembers a line as said before, e.g. out of the state file. */
void say_was_said(struct say *say, const char *line);

/** A number that tells whether these are the same lines, in any order: what
 * the state file holds is compared with what it should. */
uint64_t say_lines_sum(const struct say_lines *lines);

void say_free(struct say *say);

#endif
