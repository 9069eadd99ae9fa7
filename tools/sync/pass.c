/* pass - what every way to run clamquota-sync is made of: open, start, look,
 * act, end. */
#include "sync/sync.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The module stops ringing this long after we were seen last. */
#define WATCH_S 300

enum cq_exit cq_sync_open(struct cq_sync *sync,
                          const struct cq_sync_options *options, FILE *out,
                          FILE *err)
{
    static const struct cq_texts none;
    enum cq_jail_access access = options->dry_run || options->status
        ? CQ_JAIL_READ : CQ_JAIL_WRITE;
    size_t i;

    memset(sync, 0, sizeof(*sync));
    sync->options = options;
    sync->out = out;
    cq_say_open(&sync->say, "clamquota-sync", err, options->verbose);
    /* by hand each trouble is reported, whatever an earlier pass said */
    sync->say.repeats = options->verbose || options->dry_run
        || isatty(fileno(err)) != 0;
    sync->jails = calloc(options->jails.count, sizeof(sync->jails[0]));
    /* --flush asks no list: nothing is wanted */
    sync->knows_never = sync->knows_denied = options->flush;
    if (sync->jails == NULL
        || !cq_lists_open(&sync->lists,
                          options->flush ? &none : &options->deny_files,
                          options->flush ? &none : &options->never_files)) {
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

void cq_sync_failed(struct cq_sync *sync, enum cq_exit exit)
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
    sync->table = NULL;
}

/* Maps the table that has the name now.
 * @return false after a sentence */
static bool attach(struct cq_sync *sync, enum cq_attach_access access)
{
    const char *path = sync->options->table;
    char why[CQ_WHY_SIZE];
    enum cq_exit result;

    if (sync->table != NULL && cq_attach_is_current(sync->table)) {
        return true;
    }
    detach(sync);
    result = cq_attach_open(path, access, &sync->table, why, sizeof(why));
    if (result != CQ_EXIT_DONE) {
        if (!sync->options->flush) {
            cq_say_trouble(&sync->say, "%s", why);
            cq_sync_failed(sync, result);
        }
        return false;
    }
    if (sync->options->watch
        && cq_bell_open(&sync->bell, sync->table) != CQ_OK) {
        cq_say_state(&sync->say, "no bell", "%s: may not be written, so "
                     "offenders are found when all of it is looked at", path);
    }
    return true;
}

/* ---- a pass ---- */

bool cq_sync_start(struct cq_sync *sync, const volatile sig_atomic_t *stop)
{
    const struct cq_sync_options *o = sync->options;
    char **lines = o->watch ? &sync->say.now : &sync->say.before;

    if (o->dry_run) {
        return true;
    }
    switch (cq_memory_lock(&sync->memory, o->state, stop, &sync->say)) {
    case CQ_LOCK_HELD:
        if (!o->flush) {
            *lines = cq_memory_load(&sync->memory, &sync->say);
        }
        return true;
    case CQ_LOCK_NONE:
        return true;
    case CQ_LOCK_REFUSED:
        cq_sync_failed(sync, CQ_EXIT_NOT_PERMITTED);
        /* a missing table comes first in the order of exit codes */
        (void)attach(sync, CQ_ATTACH_READ);
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

bool cq_sync_prepare(struct cq_sync *sync, enum cq_depth depth, int64_t now_s)
{
    const struct cq_sync_options *o = sync->options;
    bool changed = true;

    if (!attach(sync, o->dry_run || o->status ? CQ_ATTACH_READ
                                              : CQ_ATTACH_WRITE)) {
        if (!o->flush) {
            return false;
        }
    }
    if (sync->bell.table != NULL) {
        cq_bell_watch(&sync->bell, (uint32_t)o->after, now_s + WATCH_S);
    }
    if (!o->flush && !cq_sync_gather(sync, depth, now_s, &changed)) {
        return false;
    }
    cq_sync_plan(sync, depth, changed);
    return true;
}

void cq_sync_act(struct cq_sync *sync, enum cq_depth depth)
{
    bool changed = cq_sync_apply(sync, depth);

    if (sync->table != NULL && cq_table_is_writable(sync->table)) {
        cq_sync_mark(sync, depth, changed);
    }
}

enum cq_exit cq_sync_end(struct cq_sync *sync)
{
    if (!sync->options->flush) {
        cq_memory_save(&sync->memory, &sync->say);
    }
    if (sync->say.troubles > 0) {
        cq_sync_failed(sync, CQ_EXIT_PARTLY);
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
    cq_net_free(&sync->own);
    cq_net_free(&sync->never);
    cq_wanted_free(&sync->wanted);
    cq_memory_close(&sync->memory);
    cq_say_close(&sync->say);
}
