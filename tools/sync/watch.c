/* watch - stays, and acts at once.
 *
 * When the bell rings, the rows that rang are looked at, and an offender is
 * jailed. Every LOOK_S all rows are looked at, and each jail is asked whether
 * others changed it; that releases clients and finds those whose --grace has
 * ended. Every FULL_S the files are read and the jails listed anew. The bell
 * wakes us at most 1000 / REST_MS times a second: it makes the module's system
 * calls, not only ours. */
#include "sync/sync.h"

#include "table/bell.h"

#include <signal.h>
#include <time.h>

#define LOOK_S 2
#define FULL_S 60               /* the contract: "reconciles each minute" */
#define REST_MS 50              /* 20 wakes a second */
#define SHARE 50                /* at most 1/50 of the time goes into looks */

#define RINGS_MAX 1024          /* read at once: four times what is kept */
#define ROWS_MAX 64

/* The module stops ringing this long after we were seen last. */
#define WATCH_S 300

static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t reread_asked;

struct watch {
    struct cq_sync *sync;
    struct cq_bell bell;
    int64_t now_s;              /* unix seconds */
    int64_t full_s;             /* when the next full pass is due */
    int64_t looked_ms;          /* since the boot: end of the last look at all
                                 * rows */
    int64_t woken_ms;
    int64_t look_ms;            /* how long it took */
    bool has_missed;            /* more rang than is known */
    bool has_failed;            /* the last pass did: try all again soon */
    uint32_t rows[ROWS_MAX];    /* that rang */
    size_t row_n;
};

static void on_signal(int signal)
{
    if (signal == SIGHUP) {
        reread_asked = 1;
    }
    else {
        stop_asked = 1;
    }
}

/* Without SA_RESTART, so that a wait ends. */
static void catch_signals(void)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    struct sigaction action = { .sa_handler = on_signal };
    size_t i;

    sigemptyset(&action.sa_mask);
    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void)sigaction(signals[i], &action, NULL);
    }
}

static int64_t boot_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void rest(int64_t ms)
{
    struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

    if (ms > 0) {
        (void)nanosleep(&ts, NULL);
    }
}

/* Reads which rows rang. The bell is in others' hands: one that never stops
 * ringing must not keep us from looking, nor from a SIGTERM. */
static void read_rings(struct watch *w)
{
    enum cq_ring ring = CQ_RING_NONE;
    uint32_t row;
    size_t n, i;

    for (n = 0; n < RINGS_MAX && w->bell.table != NULL
         && (ring = cq_bell_next(&w->bell, &row)) != CQ_RING_NONE; n++) {
        for (i = 0; i < w->row_n && w->rows[i] != row; i++) {
        }
        if (ring == CQ_RING_MISSED || i == ROWS_MAX) {
            w->has_missed = true;
        }
        else if (i == w->row_n) {
            w->rows[w->row_n++] = row;
        }
    }
    w->has_missed |= n == RINGS_MAX;
}

/* ---- passes ---- */

/* Maps the table that has the name now, with its bell. */
static bool make_ready(struct watch *w)
{
    struct cq_sync *sync = w->sync;

    if (sync->table != NULL && !cq_attach_is_current(sync->table)) {
        cq_bell_close(&w->bell);
        cq_sync_detach(sync);
    }
    if (sync->table == NULL && !cq_sync_attach(sync, CQ_ATTACH_WRITE)) {
        return false;
    }
    if (w->bell.table == NULL
        && cq_bell_open(&w->bell, sync->table) != CQ_OK) {
        cq_say_state(&sync->say, "no bell", "%s: may not be written, so it is "
                     "looked at every %d seconds", sync->options->table,
                     LOOK_S);
    }
    if (w->bell.table != NULL) {
        cq_bell_watch(&w->bell, (uint32_t)sync->options->after,
                      w->now_s + WATCH_S);
    }
    return true;
}

/* All rows; with files and jails anew when a full pass is due. */
static void pass(struct watch *w)
{
    struct cq_sync *sync = w->sync;
    enum cq_depth depth = w->has_failed || reread_asked
        || w->now_s >= w->full_s || w->full_s - w->now_s > FULL_S
        || sync->lists.is_restless ? CQ_FULL : CQ_LOOK;
    bool changed;

    /* Between full passes nothing that was reported has ended, and what is
     * left out is reported once a minute. */
    if (depth == CQ_FULL) {
        reread_asked = 0;
        w->full_s = w->now_s + FULL_S;
        cq_sync_begin(sync);
    }
    w->row_n = 0;
    w->has_missed = false;
    if (make_ready(w)) {
        if (depth == CQ_FULL) {
            cq_sync_read_lists(sync, false);
        }
        if (cq_sync_gather(sync, w->now_s, &changed)) {
            cq_sync_plan(sync, depth, changed);
            cq_sync_apply(sync, depth);
        }
    }
    w->has_failed = cq_sync_end(sync) >= CQ_EXIT_MISSING;
}

/* Only the rows that rang, beside those of the last pass. */
static void pass_rows(struct watch *w)
{
    struct cq_sync *sync = w->sync;
    bool added = false;

    w->has_missed = !cq_sync_add_rows(sync, w->rows, w->row_n, w->now_s,
                                      &added);
    w->row_n = 0;
    if (added && !w->has_missed) {
        cq_sync_plan(sync, CQ_LOOK, true);
        cq_sync_apply(sync, CQ_LOOK);
        (void)cq_sync_end(sync);
    }
}

/* ---- the loop ---- */

/* Until the next look: LOOK_S, or sooner when a client's grace ends. */
static int64_t pause_ms(const struct watch *w)
{
    int64_t due_s = w->sync->source.due_s;
    int64_t ms = LOOK_S * 1000;
    struct timespec now;

    /* a table that is long to look at must not keep a processor busy */
    ms = ms < SHARE * w->look_ms ? SHARE * w->look_ms : ms;
    ms = ms < FULL_S * 1000 ? ms : FULL_S * 1000;
    if (due_s > 0) {
        int64_t until_ms;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        until_ms = (due_s - now.tv_sec) * 1000 - now.tv_nsec / 1000000 + 1;
        ms = until_ms < ms ? until_ms : ms;
    }
    return ms > REST_MS ? ms : REST_MS;
}

/* One turn: sleep, then look at the rows that rang or at all. */
static void turn(struct watch *w)
{
    int64_t left_ms;

    rest(REST_MS - (boot_ms() - w->woken_ms));
    left_ms = pause_ms(w) - (boot_ms() - w->looked_ms);
    if (!stop_asked && !reread_asked && left_ms > 0) {
        if (w->bell.table != NULL) {
            cq_bell_wait(&w->bell, (int)left_ms);
        }
        else {
            rest(left_ms);
        }
    }
    if (stop_asked) {
        return;
    }
    w->woken_ms = boot_ms();
    w->now_s = (int64_t)time(NULL);
    read_rings(w);
    if (w->has_missed || reread_asked || w->sync->table == NULL
        || w->woken_ms - w->looked_ms >= pause_ms(w)) {
        pass(w);
        w->looked_ms = boot_ms();
        w->look_ms = w->looked_ms - w->woken_ms;
    }
    else if (w->row_n > 0) {
        pass_rows(w);
    }
}

enum cq_exit cq_sync_watch(struct cq_sync *sync)
{
    const struct cq_sync_options *o = sync->options;
    struct watch w = { .sync = sync, .has_missed = true };

    catch_signals();
    switch (cq_memory_lock(&sync->memory, o->state, !o->has_own_state, true,
                           &sync->say)) {
    case CQ_LOCK_HELD:
        cq_memory_load(&sync->memory, o->state, &sync->say);
        break;
    case CQ_LOCK_NONE:
        break;
    case CQ_LOCK_BUSY:
    case CQ_LOCK_INTERRUPTED:
        return CQ_EXIT_DONE;
    case CQ_LOCK_REFUSED:
        cq_sync_failed(sync, CQ_EXIT_NOT_PERMITTED);
        (void)cq_sync_attach(sync, CQ_ATTACH_READ);
        return sync->exit;
    }
    cq_say_resume(&sync->say);
    while (!stop_asked) {
        turn(&w);
    }
    cq_bell_close(&w.bell);
    return CQ_EXIT_DONE;
}
