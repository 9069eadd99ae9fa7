/* watch - stays, and acts at once.
 *
 * When the bell rings, and every LOOK_S, all rows are looked at, and each jail
 * is asked whether others changed it; that jails offenders, releases clients
 * and finds those whose --grace has ended. Every FULL_S the files are read and
 * the jails listed anew. The bell wakes us at most 1000 / REST_MS times a
 * second: it makes the module's system calls, not only ours. */
#include "sync/sync.h"

#include <signal.h>
#include <time.h>

#define LOOK_S 2
#define FULL_S 60               /* the contract: "reconciles each minute" */
#define REST_MS 50              /* 20 wakes a second */

/* Looks take at most this share of a processor: 1/50, while it rings 1/5. To
 * wait for a file that an editor writes takes none. */
#define SHARE 50
#define SHARE_RINGING 5

/* Rings that are read at once. The bell is in others' hands: one that never
 * stops must not keep us from looking, nor from a SIGTERM. */
#define RINGS_MAX 1024

static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t reread_asked;

struct watch {
    struct cq_sync *sync;
    int64_t full_s;             /* unix second of the next full pass */
    int64_t looked_ms;          /* since the boot: end of the last look */
    int64_t look_ms;            /* processor time that it took */
    bool has_failed;            /* the last pass did: try all again soon */
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
    const struct sigaction action = { .sa_handler = on_signal };

    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void rest(int64_t ms)
{
    struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

    if (ms > 0) {
        (void)nanosleep(&ts, NULL);
    }
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* From one look to the next: LOOK_S, or sooner when a client's grace ends; a
 * table that is long to look at must not keep a processor busy. */
static int64_t pause_ms(const struct watch *w)
{
    int64_t due_s = w->sync->source.due_s;
    int64_t ms = larger(LOOK_S * 1000, SHARE * w->look_ms);

    ms = ms < FULL_S * 1000 ? ms : FULL_S * 1000;
    if (due_s > 0) {
        int64_t until_ms = due_s * 1000 - clock_ms(CLOCK_REALTIME) + 1;

        ms = until_ms < ms ? until_ms : ms;
    }
    return larger(ms, REST_MS);
}

/* Sleeps until it rings or something is due. */
static void wait_for_work(struct watch *w)
{
    struct cq_bell *bell = &w->sync->bell;
    int64_t least_ms = larger(REST_MS, SHARE_RINGING * w->look_ms);
    int64_t left_ms;
    uint32_t row;
    int n = 0;

    rest(least_ms - (clock_ms(CLOCK_BOOTTIME) - w->looked_ms));
    left_ms = pause_ms(w) - (clock_ms(CLOCK_BOOTTIME) - w->looked_ms);
    if (left_ms > 0 && !stop_asked && !reread_asked) {
        if (bell->table != NULL) {
            cq_bell_wait(bell, (int)left_ms);
        }
        else {
            rest(left_ms);
        }
    }
    /* which row rang is found by the look at all of them */
    while (n++ < RINGS_MAX && bell->table != NULL
           && cq_bell_next(bell, &row) != CQ_RING_NONE) {
    }
}

/* All rows; with files and jails anew when a full pass is due. */
static void pass(struct watch *w)
{
    struct cq_sync *sync = w->sync;
    int64_t now_s = (int64_t)time(NULL);
    int64_t begun_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    enum cq_depth depth = w->has_failed || reread_asked || now_s >= w->full_s
        || w->full_s - now_s > FULL_S ? CQ_FULL : CQ_LOOK;

    /* Between full passes nothing that was reported has ended, and what is
     * left out is reported once a minute. */
    if (depth == CQ_FULL) {
        reread_asked = 0;
        w->full_s = now_s + FULL_S;
        cq_say_begin(&sync->say);
        sync->exit = CQ_EXIT_DONE;
    }
    if (cq_sync_prepare(sync, depth, now_s)) {
        cq_sync_act(sync, depth);
    }
    w->has_failed = cq_sync_end(sync) >= CQ_EXIT_MISSING;
    w->looked_ms = clock_ms(CLOCK_BOOTTIME);
    w->look_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - begun_ms;
}

enum cq_exit cq_sync_watch(struct cq_sync *sync)
{
    struct watch w = { .sync = sync };

    catch_signals();
    sync->say.repeats = false;
    if (!cq_sync_start(sync, &stop_asked)) {
        return sync->exit;
    }
    while (!stop_asked) {
        pass(&w);
        wait_for_work(&w);
    }
    return CQ_EXIT_DONE;
}
