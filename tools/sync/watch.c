/* watch - stays, and acts at once.
 *
 * Three rhythms. When the bell rings, the rows that rang are looked at and
 * who is an offender goes in. Every LOOK_S all rows are looked at, which
 * makes no change in the kernel unless there is one to make: that lets people
 * go and finds those whose --grace is over. Every FULL_S the jails are listed
 * anew and the files read again, so whatever was done behind our back is made
 * good. The bell wakes us at most 1000 / REST_MS times a second: it makes the
 * module's system calls, not only ours. */
#include "sync/sync.h"

#include "table/bell.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define LOOK_S 2
#define FULL_S 60               /* the contract: "reconciles each minute" */
#define REST_MS 50              /* 20 wakes a second */
#define SHARE 50                /* of the time at most 1/50 goes into looks */

#define RINGS_MAX 1024          /* taken at once: four times what is kept */

/* The module stops ringing so long after we were seen last. */
#define WATCH_S 300

static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t reread_asked;

struct watch {
    struct sync *sync;
    struct cq_bell *bell;       /* NULL: none, e.g. the table is away */
    int64_t now_s;
    int64_t full_s;             /* when the next full pass is due */
    bool missed;                /* more rang than can be told */
    bool failed;                /* the last pass did: try all again soon */
    uint32_t rows[64];          /* that rang; more than that is missed */
    size_t row_n;
    int wait_ms;
    int64_t look_ms;            /* how long a look at all rows took */
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

/* ---- the bell; its words are in the mapped file ---- */

static void open_bell(void *data)
{
    struct watch *w = data;
    char why[CQ_WHY_SIZE] = "";

    if (cq_bell_open(w->sync->options->table, w->sync->source.table, &w->bell,
                     why, sizeof(why)) == CQ_EACCES) {
        say_state(&w->sync->say, "no bell", "%s; so the table is looked at "
                  "every %d seconds", why, LOOK_S);
    }
}

static void close_bell(void *data)
{
    struct watch *w = data;
    struct cq_bell *bell = w->bell;

    w->bell = NULL;             /* once, also when the file is cut short */
    cq_bell_close(bell);
}

static void say_watching(void *data)
{
    struct watch *w = data;

    cq_bell_watch(w->bell, (uint32_t)w->sync->options->after,
                  w->now_s + WATCH_S);
}

static void take_rings(void *data)
{
    struct watch *w = data;
    enum cq_ring ring;
    uint32_t row;
    size_t taken;

    /* The bell is in others' hands: who never stops ringing must not keep us
     * from looking, nor from a SIGTERM. A look tells what was missed. */
    for (taken = 0; (ring = cq_bell_next(w->bell, &row)) != CQ_RING_NONE;
         taken++) {
        bool known = false;
        size_t i;

        if (taken == RINGS_MAX) {
            w->missed = true;
            return;
        }
        for (i = 0; i < w->row_n && !known; i++) {
            known = w->rows[i] == row;
        }
        if (ring == CQ_RING_MISSED
            || (!known
                && w->row_n == sizeof(w->rows) / sizeof(w->rows[0]))) {
            w->missed = true;
        }
        else if (!known) {
            w->rows[w->row_n++] = row;
        }
    }
}

static void wait_for_ring(void *data)
{
    struct watch *w = data;

    cq_bell_wait(w->bell, w->wait_ms);
}

/* Does something with the bell; a file that was cut short has none. */
static void with_bell(struct watch *w, void (*work)(void *))
{
    if (w->bell != NULL && !source_guarded(work, w)) {
        w->bell = NULL;
        source_detach(&w->sync->source);
    }
}

/* ---- passes ---- */

/* Maps the table that has the name now, with its bell. */
static bool ready(struct watch *w)
{
    struct sync *sync = w->sync;
    bool same = sync->source.table != NULL && source_is_named(&sync->source);

    if (!same) {
        with_bell(w, close_bell);
    }
    if (!sync_attach(sync)) {
        return false;
    }
    if (w->bell == NULL && !source_guarded(open_bell, w)) {
        source_detach(&sync->source);
        return false;
    }
    with_bell(w, say_watching);
    return sync->source.table != NULL;
}

/* All rows; with files and jails anew when a full pass is due. */
static void pass(struct watch *w)
{
    struct sync *sync = w->sync;
    bool full = w->failed || reread_asked || w->now_s >= w->full_s
        || w->full_s - w->now_s > FULL_S;

    /* Between full passes nothing that was said has ended, and what is left
     * out is told once a minute. */
    sync->say.verbose = sync->options->verbose && full;
    if (full) {
        reread_asked = 0;
        w->full_s = w->now_s + FULL_S;
        sync_begin(sync);
    }
    w->row_n = 0;
    w->missed = false;
    if (ready(w)) {
        if (full) {
            sync_read_lists(sync);
        }
        if (sync_gather(sync, w->now_s)) {
            sync_plan(sync, w->now_s, true, full);
            sync_apply(sync, w->now_s);
        }
    }
    w->failed = sync_end(sync) >= SYNC_MISSING;
}

/* Only the rows that rang, beside those of the last pass. */
static void quick_pass(struct watch *w)
{
    struct sync *sync = w->sync;
    const struct options *o = sync->options;
    struct source_terms terms = {
        .limits = { .grace_s = o->grace_s, .after = o->after },
        .pools = o->pools.texts,
        .pool_n = o->pools.count
    };
    size_t i, before = sync->wanted.count;
    enum cq_status status = CQ_OK;

    for (i = 0; i < w->row_n && status == CQ_OK; i++) {
        status = source_row(&sync->source, &terms, w->now_s, w->rows[i],
                            &sync->wanted);
    }
    w->row_n = 0;
    if (status != CQ_OK) {
        w->missed = true;       /* the next look will tell why */
    }
    if (sync->wanted.count > before) {
        (void)wanted_finish(&sync->wanted);
    }
    if (sync->wanted.count > before) {
        sync_unsettle(sync);
        sync_plan(sync, w->now_s, true, false);
        sync_apply(sync, w->now_s);
        (void)sync_end(sync);
    }
}

/* ---- the loop ---- */

/* Until the next look: LOOK_S, or sooner when somebody's grace ends. */
static int wait_ms(const struct watch *w)
{
    int64_t due_s = w->sync->wanted.due_s;
    int64_t ms = LOOK_S * 1000;
    struct timespec now;

    /* a table that is long to look at must not keep a processor busy */
    ms = ms < SHARE * w->look_ms ? SHARE * w->look_ms : ms;
    ms = ms < FULL_S * 1000 ? ms : FULL_S * 1000;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (due_s > 0) {
        int64_t until_ms = (due_s - (int64_t)now.tv_sec) * 1000
            - now.tv_nsec / 1000000 + 1;

        ms = until_ms < ms ? until_ms : ms;
    }
    return ms > REST_MS ? (int)ms : REST_MS;
}

/* One turn: sleep, then look at who rang or at all. */
static void turn(struct watch *w, int64_t *looked_ms, int64_t *woken_ms)
{
    int64_t left_ms;

    rest(REST_MS - (boot_ms() - *woken_ms));
    left_ms = wait_ms(w) - (boot_ms() - *looked_ms);
    w->wait_ms = left_ms > 0 ? (int)left_ms : 0;
    if (!stop_asked && !reread_asked && w->wait_ms > 0) {
        if (w->bell != NULL) {
            with_bell(w, wait_for_ring);
        }
        else {
            rest(w->wait_ms);
        }
    }
    *woken_ms = boot_ms();
    w->now_s = (int64_t)time(NULL);
    if (stop_asked) {
        return;
    }
    with_bell(w, take_rings);
    if (w->missed || reread_asked || w->wait_ms == 0
        || w->sync->source.table == NULL
        || *woken_ms - *looked_ms >= wait_ms(w)) {
        pass(w);
        *looked_ms = boot_ms();
        w->look_ms = *looked_ms - *woken_ms;
    }
    else if (w->row_n > 0) {
        quick_pass(w);
    }
}

enum sync_exit sync_watch(struct sync *sync)
{
    struct watch w = { .sync = sync };
    int64_t looked_ms, woken_ms = 0;

    catch_signals();
    switch (sync_load(sync, false)) {
    case STATE_OK:
        break;
    case STATE_BUSY:
        return SYNC_DONE;
    case STATE_NOT_PERMITTED:
    case STATE_READ_ONLY:
    case STATE_FAILED:
        (void)sync_attach(sync);
        return sync->exit;
    }
    w.now_s = (int64_t)time(NULL);
    w.full_s = w.now_s;
    /* what the state file says was said before is what stands there now */
    sync->say.now = sync->say.before;
    memset(&sync->say.before, 0, sizeof(sync->say.before));
    pass(&w);
    looked_ms = boot_ms();
    while (!stop_asked) {
        turn(&w, &looked_ms, &woken_ms);
    }
    with_bell(&w, close_bell);
    return SYNC_DONE;
}
