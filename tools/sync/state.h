/* state - what clamquota-sync must know of its own past.
 *
 * An xt_recent list does not tell who put an address in, so we write down
 * what we own, before we put it in: whoever dies in between leaves a note
 * that is too long, never one that is too short. Also what each list file
 * said last, for when it can't be read, and what the operator was told.
 *
 * A text file, one fact a line:
 *     clamquota-sync state 1
 *     boot 1b7a...            of the kernel that "own" lines are about
 *     jail 4026531840 recent:DenyAccessClamAV     network namespace, jail
 *     own 192.0.2.7/32 1763932800                 since (renewed), in order
 *     file /etc/clamquota/deny
 *     key 198.51.100.0/24                         in order
 *     said TEXT
 *     end 7                   lines, this one too: nothing is missing
 */
#ifndef CQ_SYNC_STATE_H
#define CQ_SYNC_STATE_H

#include "sync/keys.h"
#include "sync/plan.h"
#include "sync/say.h"

struct state_jail {
    uint64_t netns;             /* inode of the network namespace */
    char *spec;
    struct plan_owned *owned;   /* ordered by key */
    size_t owned_n;
};

struct state_file {
    char *path;
    struct key_list keys;       /* ordered */
};

/* All zero bytes: knows nothing, holds no lock. */
struct state {
    char *path;
    int lock_fd;                /* only when locked */
    bool locked;
    bool changed;               /* since it was loaded or saved */
    struct state_jail *jails;
    size_t jail_n;
    struct state_file *files;
    size_t file_n;
};

enum state_result {
    STATE_OK,
    STATE_BUSY,                 /* another instance is at work */
    STATE_NOT_PERMITTED,
    STATE_READ_ONLY,
    STATE_FAILED
};

/** Takes the lock, a file beside the state file, until state_free().
 * @param path      of the state file
 * @param make_dir  make its directory if only that is missing
 * @return STATE_OK; STATE_BUSY without a word; else after a sentence */
enum state_result state_lock(struct state *state, const char *path,
                             bool make_dir, struct say *say);

/** Reads the file; none is an empty one. One that is damaged, or that others
 * could have written, is believed in nothing; if locked it is set aside as
 * PATH.damaged. What was owned before a reboot is forgotten.
 * @param say  gets the lines that were said before
 * @return STATE_OK, also when it was damaged; else after a sentence */
enum state_result state_load(struct state *state, const char *path,
                             struct say *say);

/** Writes the file anew if anything changed: a temporary one, on disk before
 * it takes the name.
 * @param said  the lines to be remembered
 * @return STATE_OK; else after a sentence, the old file is as it was */
enum state_result state_save(struct state *state,
                             const struct say_lines *said, struct say *say);

/** The network namespace we are in. */
uint64_t state_netns(void);

/** What we own in a jail, in the network namespace we are in.
 * @return never NULL unless out of memory; changes through state_own() */
const struct state_jail *state_jail(struct state *state, const char *spec);

/** Notes what we own in a jail from now on.
 * @return false: out of memory */
bool state_own(struct state *state, const char *spec,
               const struct plan_owned *owned, size_t owned_n);

/** What a file said last; NULL: it was never read. */
const struct key_list *state_file(const struct state *state,
                                  const char *path);

/** Notes what a file says.
 * @return false: out of memory */
bool state_remember(struct state *state, const char *path,
                    const struct key_list *keys);

/** Lets the lock go and frees all. */
void state_free(struct state *state);

/* ---- in state_text.c ---- */

/** Writes the text of a state to a stream. */
void state_write(const struct state *state, const struct say_lines *said,
                 const char *boot, FILE *out);

/** Reads it back, strictly. What was owned under another boot is left out.
 * @param text  changed; text[size] is NUL
 * @param line  number of the line that is wrong
 * @return NULL or a static clause that tells what is wrong; the state is then
 *         to be freed */
const char *state_read(struct state *state, char *text, size_t size,
                       const char *boot, struct say *say, size_t *line);

#endif
