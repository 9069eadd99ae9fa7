/* say - what a tool reports on standard error, and what it reported before.
 *
 * cron mails each line: a trouble that lasts is reported when it begins and
 * again when its sentence changes, not each minute. A pass is what lies
 * between two calls of cq_say_begin(). Under systemd (standard error is the
 * journal) lines carry a priority, and those at info are written without -v.
 * Exit codes and counts are the same whether something was printed or not. */
#ifndef CQ_CLI_SAY_H
#define CQ_CLI_SAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* a sentence with a path in it fits; longer ones are cut */
#define CQ_SAY_SIZE 1024

/* Bytes that are remembered of a pass, about a thousand sentences; further ones
 * are printed each time. */
#define CQ_SAY_KEPT_MAX 131072

/* Begun by cq_say_open(). */
struct cq_say {
    const char *program;        /* stands before each line */
    FILE *err;
    bool verbose;               /* -v */
    bool is_journal;
    bool is_silent_on_states;   /* --status shows them itself */
    bool repeats;               /* report what the pass before did, too */
    /* "said SENTENCE" in lines, malloc'd; NULL: none */
    char *now;                  /* of this pass */
    char *before;               /* of the pass before: not printed again */
    size_t troubles;            /* since cq_say_begin(), printed or not */
};

void cq_say_open(struct cq_say *say, const char *program, FILE *err,
                 bool verbose);

/** Reports trouble, on one line, unless the pass before did. Control
 * characters (of a file's name, of a line in it) are shown as "?". */
void cq_say_trouble(struct cq_say *say, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Reports a state that is no failure, once while it lasts.
 * @param topic  what it is about: the sentence may change (numbers in it)
 *               without being printed again */
void cq_say_state(struct cq_say *say, const char *topic,
                  const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Reports what was done, each time: with -v, and in the journal. */
void cq_say_info(struct cq_say *say, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Was this topic kept, in this pass or the one before? */
bool cq_say_has(const struct cq_say *say, const char *topic);

/** Keeps a topic for the next pass, without a word. */
void cq_say_keep(struct cq_say *say, const char *topic);

/** A new pass begins: what was said becomes what was said before. */
void cq_say_begin(struct cq_say *say);

void cq_say_close(struct cq_say *say);

#endif
