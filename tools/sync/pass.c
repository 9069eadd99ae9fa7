/* pass - what every way to run clamquota-sync is made of: open, start, prepare,
 * act, end. */
#include "sync/sync.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The module stops ringing this long after we were seen last. */
#define WATCH_S 300

enum cq_exit cq_sync_open(struct cq_sync *sync,
                          const struct cq_sync_options *options, FILE *out,
                          FILE *err)
{
    enum cq_jail_access access = options->dry_run || options->status
        ? CQ_JAIL_READ : CQ_JAIL_WRITE;
    size_t i;

    /* The system gets the arrays of a pass back when they are freed. Without
     * this malloc() keeps blocks as large as the largest one freed. */
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    memset(sync, 0, sizeof(*sync));
    sync->options = sync->source.options = options;
    sync->source.lists = &sync->lists;
    sync->out = out;
    cq_say_open(&sync->say, "clamquota-sync", err, options->verbose);
    /* by hand each trouble is reported, whatever an earlier pass said */
    sync->say.repeats = options->verbose || options->dry_run
        || isatty(fileno(err)) != 0;
    sync->jails = calloc(options->jails.count, sizeof(sync->jails[0]));
    if (sync->jails == NULL || !cq_lists_open(&sync->lists, options)) {
        cq_say_trouble(&sync->say, "out of memory");
        return CQ_EXIT_PARTLY;
    }
    for (i = 0; i < options->jails.count; i++) {
        struct cq_jail_why why;

        if (cq_jail_parse(options->jails.texts[i], access, options->lease_s,
                          &sync->jails[i].jail, &why) != CQ_JAIL_OK) {
            cq_say_trouble(&sync->say, "%s", why.text);
            return CQ_EXIT_USAGE;
        }
        sync->jail_n++;
    }
    return CQ_EXIT_DONE;
}

/* Remembers what went wrong. */
static void fail(struct cq_sync *sync, enum cq_exit exit)
{
    sync->exit = cq_exit_worse(sync->exit, exit);
}

/* ---- the table ---- */

/* Unmaps it, e.g. one that is not current any more. */
static void detach(struct cq_sync *sync)
{
    cq_source_forget(&sync->source);
    cq_bell_close(&sync->bell);
    cq_tablefile_close(sync->table);
    sync->table = sync->source.table = NULL;
}

/* Maps the table that has the name now.
 * @return false after a sentence, except with --flush, which needs none */
static bool attach(struct cq_sync *sync)
{
    const struct cq_sync_options *o = sync->options;
    char why[CQ_WHY_SIZE];
    enum cq_exit result;

    if (sync->table != NULL && cq_attach_is_current(sync->table)) {
        return true;
    }
    detach(sync);
    result = cq_attach_open(o->table, o->dry_run || o->status
                            ? CQ_ATTACH_READ : CQ_ATTACH_WRITE, &sync->table,
                            why, sizeof(why));
    if (result != CQ_EXIT_DONE) {
        if (!o->flush) {
            cq_say_trouble(&sync->say, "%s", why);
            fail(sync, result);
        }
        return false;
    }
    sync->source.table = sync->table;
    if (o->watch && cq_bell_open(&sync->bell, sync->table) != CQ_OK) {
        cq_say_state(&sync->say, "no bell", "%s: may not be written, so "
                     "offenders are found when all of it is looked at",
                     o->table);
    }
    return true;
}

/* ---- a pass ---- */

bool cq_sync_start(struct cq_sync *sync, const volatile sig_atomic_t *stop)
{
    const struct cq_sync_options *o = sync->options;

    if (o->dry_run) {
        return true;
    }
    switch (cq_memory_lock(&sync->memory, o->state, stop, &sync->say)) {
    case CQ_LOCK_HELD:
        if (!o->flush) {
            /* a --watch begins with what its first pass has said before */
            *(o->watch ? &sync->say.now : &sync->say.before) =
                cq_memory_load(&sync->memory, &sync->say);
        }
        return true;
    case CQ_LOCK_NONE:
        return true;
    case CQ_LOCK_REFUSED:
        fail(sync, CQ_EXIT_NOT_PERMITTED);
        /* a missing table comes first in the order of exit codes */
        (void)attach(sync);
        return false;
    case CQ_LOCK_BUSY:
        break;
    }
    if (o->flush) {
        cq_say_trouble(&sync->say, "another clamquota-sync is at work with %s "
                       "and would fill the jails again: stop it first",
                       o->state);
    }
    else if (o->verbose) {
        cq_say_info(&sync->say, "another clamquota-sync is at work with %s",
                    o->state);
    }
    return false;
}

/* Fills in sync->wanted from the table and, at CQ_FULL, the lists anew.
 * @return false: the table was lost meanwhile, or there is no memory; after a
 *         sentence */
static bool gather(struct cq_sync *sync, enum cq_depth depth, int64_t now_s)
{
    struct cq_say *say = depth == CQ_FULL ? &sync->say : NULL;

    if (depth == CQ_FULL) {
        cq_lists_read(&sync->lists, sync->options, say);
    }
    sync->wanted.count = 0;
    if (cq_source_scan(&sync->source, now_s, &sync->wanted, say) != CQ_OK
        || !cq_lists_add_denied(&sync->lists, &sync->source.rules.exempt,
                                &sync->wanted, say)) {
        cq_source_forget(&sync->source);
        cq_say_trouble(&sync->say, "out of memory: nothing is done");
        return false;
    }
    /* what follows needs memory, and has no use for the rows */
    cq_table_unmap_rows(sync->table);
    cq_wanted_finish(&sync->wanted);
    return true;
}

/* Is what was read still the file's? A lost page reads as no offenders. */
static bool is_whole(struct cq_sync *sync)
{
    if (cq_attach_is_current(sync->table)) {
        return true;
    }
    cq_source_forget(&sync->source);
    cq_say_trouble(&sync->say, "%s: was cut short or replaced while it was "
                   "read; nothing is done until the next look",
                   sync->options->table);
    fail(sync, CQ_EXIT_NO_TABLE);
    return false;
}

bool cq_sync_prepare(struct cq_sync *sync, enum cq_depth depth, int64_t now_s)
{
    const struct cq_sync_options *o = sync->options;
    bool is_there = attach(sync), changed;

    if (depth == CQ_FULL) {
        cq_sync_keep_takeovers(sync);
    }
    if (!is_there && !o->flush) {
        return false;
    }
    if (sync->bell.table != NULL) {
        cq_bell_watch(&sync->bell, (uint32_t)o->after, now_s + WATCH_S);
    }
    changed = depth == CQ_FULL
        || !cq_source_is_unchanged(&sync->source, now_s);
    if (!o->flush && ((changed && !gather(sync, depth, now_s))
                      || !is_whole(sync))) {
        return false;
    }
    if (!o->flush && depth == CQ_FULL) {
        cq_source_check_pools(&sync->source, &sync->say);
    }
    cq_sync_plan(sync, depth, changed);
    return true;
}

void cq_sync_act(struct cq_sync *sync, enum cq_depth depth)
{
    bool changed = depth == CQ_FULL;
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        if (sync->jails[i].is_planned) {
            changed |= cq_sync_apply(sync, &sync->jails[i], depth);
        }
    }
    if (changed && sync->table != NULL && cq_table_is_writable(sync->table)) {
        cq_sync_mark(sync, depth);
    }
}

enum cq_exit cq_sync_end(struct cq_sync *sync)
{
    if (!sync->options->flush) {
        cq_memory_save(&sync->memory, &sync->say);
    }
    if (sync->say.troubles > 0) {
        fail(sync, CQ_EXIT_PARTLY);
    }
    return sync->exit;
}

void cq_sync_close(struct cq_sync *sync)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        cq_jail_close(sync->jails[i].jail);
        cq_plan_free(&sync->jails[i].plan);
    }
    free(sync->jails);
    detach(sync);
    cq_lists_close(&sync->lists);
    cq_wanted_free(&sync->wanted);
    cq_memory_close(&sync->memory);
    cq_say_close(&sync->say);
}
