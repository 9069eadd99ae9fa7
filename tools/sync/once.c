/* once - a single pass, as cron starts it; and the frame of every pass. */
#include "sync/sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum sync_exit sync_setup(struct sync *sync, const struct options *options,
                          FILE *out, FILE *err)
{
    size_t i;

    memset(sync, 0, sizeof(*sync));
    sync->options = options;
    sync->out = out;
    sync->say.err = err;
    sync->say.verbose = options->verbose;
    sync->jails = calloc(options->jails.count, sizeof(sync->jails[0]));
    if (sync->jails == NULL) {
        say_trouble(&sync->say, "out of memory");
        return SYNC_PARTLY;
    }
    for (i = 0; i < options->jails.count; i++) {
        struct jail_why why = { "" };

        if (jail_parse(options->jails.texts[i], &sync->jails[i].jail, &why)
            != JAIL_OK) {
            say_trouble(&sync->say, "%s", why.text);
            return SYNC_USAGE;
        }
        sync->jail_n++;
    }
    return SYNC_DONE;
}

void sync_free(struct sync *sync)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        struct sync_jail *sj = &sync->jails[i];

        sj->jail->kind->close(sj->jail);
        jail_listing_free(&sj->listing);
        wanted_free(&sj->wanted);
        plan_free(&sj->plan);
    }
    free(sync->jails);
    source_detach(&sync->source);
    cq_net_free(&sync->never);
    key_list_free(&sync->never_keys);
    wanted_free(&sync->wanted);
    state_free(&sync->state);
    say_free(&sync->say);
}

void sync_failed(struct sync *sync, enum sync_exit exit)
{
    static const enum sync_exit order[] = {
        SYNC_USAGE, SYNC_NO_TABLE, SYNC_NOT_PERMITTED, SYNC_READ_ONLY,
        SYNC_MISSING, SYNC_PARTLY
    };
    size_t i;

    for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (order[i] == exit || order[i] == sync->exit) {
            sync->exit = order[i];
            return;
        }
    }
}

enum state_result sync_load(struct sync *sync, bool read_only)
{
    const char *path = sync->options->state;
    enum state_result result = STATE_OK;

    if (read_only && access(path, R_OK) != 0 && errno != ENOENT) {
        say_note(&sync->say, "%s: cannot be read (%s), so who is ours is not "
                 "known", path, strerror(errno));
        return STATE_OK;
    }
    if (!read_only) {
        result = state_lock(&sync->state, path, !sync->options->own_state,
                            &sync->say);
    }
    if (result == STATE_OK) {
        result = state_load(&sync->state, path, &sync->say);
        sync->said_sum = say_lines_sum(&sync->say.before);
        if (read_only) {
            say_begin(&sync->say);      /* who looks is always told */
        }
    }
    if (result == STATE_BUSY) {
        say_note(&sync->say, "another clamquota-sync is at work with %s",
                 path);
    }
    else if (result != STATE_OK) {
        sync_failed(sync, result == STATE_NOT_PERMITTED ? SYNC_NOT_PERMITTED
                    : result == STATE_READ_ONLY ? SYNC_READ_ONLY
                                                : SYNC_PARTLY);
    }
    return result;
}

void sync_begin(struct sync *sync)
{
    say_begin(&sync->say);
    sync->exit = SYNC_DONE;
}

bool sync_save(struct sync *sync)
{
    uint64_t sum = say_lines_sum(&sync->say.now);

    if (!sync->state.changed && sum == sync->said_sum) {
        return true;
    }
    if (state_save(&sync->state, &sync->say.now, &sync->say) != STATE_OK) {
        return false;
    }
    sync->said_sum = sum;
    return true;
}

enum sync_exit sync_end(struct sync *sync)
{
    if (sync->state.locked) {
        (void)sync_save(sync);
    }
    if (sync->say.troubles > 0) {
        sync_failed(sync, SYNC_PARTLY);
    }
    return sync->exit;
}

enum sync_exit sync_once(struct sync *sync)
{
    bool dry = sync->options->dry_run;
    int64_t now_s = (int64_t)time(NULL);

    switch (sync_load(sync, dry)) {
    case STATE_OK:
        break;
    case STATE_BUSY:
        return SYNC_DONE;
    case STATE_NOT_PERMITTED:
    case STATE_READ_ONLY:
    case STATE_FAILED:
        /* a table that is missing comes first in the order of exit codes */
        (void)sync_attach(sync);
        return sync->exit;
    }
    if (sync_attach(sync)) {
        sync_read_lists(sync);
        if (sync_gather(sync, now_s)) {
            sync_plan(sync, now_s, !dry, true);
            if (dry) {
                sync_print(sync);
            }
            else {
                sync_apply(sync, now_s);
            }
        }
    }
    return sync_end(sync);
}

/* Empties a jail, or tells what is in it. */
static void flush_one(struct sync *sync, struct sync_jail *sj)
{
    const struct jail_kind *kind = sj->jail->kind;
    bool dry = sync->options->dry_run;
    struct jail_why why = { "" };
    enum jail_status status = kind->open(sj->jail, !dry, &why);
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    if (status == JAIL_OK && dry) {
        status = kind->list(sj->jail, &sj->listing, &why);
        for (i = 0; i < sj->listing.count; i++) {
            fprintf(sync->out, "-%s\n",
                    sync_key_text(sj, &sj->listing.entries[i].key, text,
                                  sizeof(text)));
        }
    }
    else if (status == JAIL_OK) {
        status = kind->flush(sj->jail, &why);
        if (status == JAIL_OK) {
            (void)state_own(&sync->state, sj->jail->spec, NULL, 0);
            say_note(&sync->say, "%s is empty now", sj->jail->spec);
        }
    }
    if (status != JAIL_OK) {
        say_trouble(&sync->say, "%s", why.text);
        sync_failed(sync, (enum sync_exit)status);
    }
}

enum sync_exit sync_flush(struct sync *sync)
{
    enum state_result result = sync_load(sync, sync->options->dry_run);
    size_t i;

    if (result == STATE_BUSY) {
        say_trouble(&sync->say, "another clamquota-sync is at work with %s "
                    "and would fill the jails again: stop it first",
                    sync->options->state);
        return SYNC_PARTLY;
    }
    if (result != STATE_OK) {
        return sync->exit;
    }
    for (i = 0; i < sync->jail_n; i++) {
        flush_one(sync, &sync->jails[i]);
    }
    return sync_end(sync);
}
