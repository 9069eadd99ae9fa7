/* exchanger - the process that shares counters with other nodes.
 *
 * It stands beside httpd's children: the parent makes it where there is a
 * ClamQuotaMemcached, and another one when it dies, as libmemcached may abort;
 * a restart brings new code and a new configuration, and with them a new
 * process. It ends with the parent, however that ends. No request waits for
 * it or notices that it is gone: the table is all that they have in common. */
#include "httpd/exchanger.h"
#include "table/guard.h"
#include "table/tablefile.h"

#include <ap_listen.h>
#include <mpm_common.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* for ps and top; prctl(2) takes 15 bytes */
#define PROCESS_NAME "clamquota-share"

/* The successor of one that lived for less than this pauses before it begins,
 * each time twice as long: its fault is probably that of the last one. */
#define SHORT_LIFE_S 10
#define PAUSE_MAX_S 60

/* At a stop of httpd its last round may take this long. */
#define LAST_ROUND_MS 2000
#define WAIT_MS 10

/* A round ends after this many intervals at the latest. */
#define ROUND_INTERVALS 10

/* The parent's, of this configuration */
static struct {
    apr_proc_t process;         /* pid 0: there is none */
    apr_pool_t *pconf;
    apr_time_t begins;          /* after its pause */
    int pause_s;
} exchanger;

/* ---- in the process ---- */

/* A port stays taken as long as some process holds it, and those of a
 * ListenCoresBucketsRatio are in no list that a module can see. */
static void close_listening_sockets(void)
{
    DIR *descriptors = opendir("/proc/self/fd");
    struct dirent *entry;

    if (descriptors == NULL) {
        ap_close_listeners();
        return;
    }
    while ((entry = readdir(descriptors)) != NULL) {
        /* "." is 0, which is no socket */
        int fd = (int)strtol(entry->d_name, NULL, 10);
        int listens = 0;
        socklen_t size = sizeof(listens);

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0
            && listens) {
            close(fd);
        }
    }
    closedir(descriptors);
}

/* Blocked, they are seen between two rounds only. Without handlers: those of
 * the parent are for a parent. */
static void block_signals(sigset_t *ends)
{
    static const int ignored[] = { SIGINT, SIGPIPE, SIGUSR1, SIGWINCH };
    static const int ending[] = { SIGTERM, SIGHUP };
    size_t i;

    sigemptyset(ends);
    for (i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
        signal(ending[i], SIG_DFL);
        sigaddset(ends, ending[i]);
    }
    sigprocmask(SIG_SETMASK, ends, NULL);
    for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        signal(ignored[i], SIG_IGN);
    }
    signal(SIGCHLD, SIG_DFL);
}

static int64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t unix_ms(void)
{
    return apr_time_as_msec(apr_time_now());
}

/* @return false: the process is to end */
static bool sleep_until(int64_t at_ms, const sigset_t *ends)
{
    int64_t left_ms;
    struct timespec left;

    while ((left_ms = at_ms - monotonic_ms()) > 0) {
        left.tv_sec = (time_t)(left_ms / 1000);
        left.tv_nsec = (long)(left_ms % 1000) * 1000000;
        if (sigtimedwait(ends, NULL, &left) > 0) {
            return false;
        }
    }
    left = (struct timespec){ 0, 0 };
    return sigtimedwait(ends, NULL, &left) <= 0;
}

static void publish_last(struct cq_exchange *exchange)
{
    if (cq_table_health(cq_site.table) != CQ_HEALTH_LOST) {
        (void)cq_exchange_round(exchange, unix_ms(), LAST_ROUND_MS / 2);
    }
}

/* A round for each interval. One that takes longer delays the next ones and
 * makes none of them more frequent. */
static void exchange_rounds(struct cq_exchange *exchange, int64_t interval_ms,
                            const sigset_t *ends)
{
    int64_t next_ms = monotonic_ms();
    bool complete;

    while (sleep_until(next_ms, ends)) {
        /* zeros in the place of a lost page are no counters */
        complete = cq_table_health(cq_site.table) == CQ_HEALTH_LOST
            || cq_exchange_round(exchange, unix_ms(),
                                 ROUND_INTERVALS * interval_ms);
        next_ms += interval_ms;
        if (!complete || next_ms < monotonic_ms()) {
            next_ms = monotonic_ms() + (complete ? interval_ms : 0);
        }
    }
    publish_last(exchange);
}

static struct cq_exchange *start_exchange(const struct cq_server_conf *conf)
{
    const struct cq_exchange_want want = { .options = conf->cluster,
                                           .label = conf->node,
                                           .interval_ms = conf->sync_ms,
                                           .report = cq_exchanger_log,
                                           .baton = cq_site.base };
    struct cq_exchange *exchange = NULL;
    char why[CQ_WHY_SIZE];

    cq_table_guard(cq_site.table);
    if (!cq_table_enter(cq_site.table)) {
        apr_snprintf(why, sizeof(why), "%s: cannot be locked: %s",
                     conf->table_path, strerror(errno));
    }
    else {
        (void)cq_exchange_start(cq_site.table, &want, &exchange, why,
                                sizeof(why));
    }
    if (exchange == NULL) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, cq_site.base, CQNO("0152")
                     "counters are not shared with other nodes: %s", why);
    }
    return exchange;
}

/* Its end is the process's. */
static void run_exchanger(pid_t parent, int pause_s)
{
    struct cq_exchange *exchange;
    sigset_t ends;

    block_signals(&ends);
    close_listening_sockets();
    exchange = start_exchange(cq_site.conf);
    if (exchange == NULL
        || ap_run_drop_privileges(exchanger.pconf, cq_site.base) != OK
        /* not earlier: a change of privileges clears it */
        || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(EXIT_FAILURE);
    }
    prctl(PR_SET_NAME, PROCESS_NAME);
    if (sleep_until(monotonic_ms() + (int64_t)pause_s * 1000, &ends)) {
        exchange_rounds(exchange, cq_site.conf->sync_ms, &ends);
    }
    _exit(EXIT_SUCCESS);
}

/* ---- in the parent ---- */

static void maintain(int reason, void *data, int status);

static void start_process(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0) {
        run_exchanger(parent, exchanger.pause_s);
    }
    if (pid < 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, cq_site.base, CQNO("0150")
                     "the process that shares counters with the other nodes "
                     "of the cluster cannot be started");
        return;
    }
    exchanger.process.pid = pid;
    exchanger.begins = apr_time_now() + apr_time_from_sec(exchanger.pause_s);
    apr_proc_other_child_register(&exchanger.process, maintain, &exchanger,
                                  NULL, exchanger.pconf);
}

/* At a stop the last round publishes what was used since the one before. At a
 * restart the next process does that, and nothing waits for this one. */
static void end_process(void)
{
    pid_t pid = exchanger.process.pid;
    bool gone = false;
    int left_ms;

    exchanger.process.pid = 0;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_EXITING) {
        kill(pid, SIGTERM);
        for (left_ms = LAST_ROUND_MS; !gone && left_ms > 0;
             left_ms -= WAIT_MS) {
            apr_sleep(apr_time_from_msec(WAIT_MS));
            gone = waitpid(pid, NULL, WNOHANG) != 0;
        }
    }
    if (!gone) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

/* Its parent has read its end already. */
static void replace_process(int status)
{
    bool short_life = apr_time_now() - exchanger.begins
                      < apr_time_from_sec(SHORT_LIFE_S);
    pid_t pid = exchanger.process.pid;
    int mpm_state = AP_MPMQ_STOPPING;

    exchanger.process.pid = 0;
    apr_proc_other_child_unregister(&exchanger);
    (void)ap_mpm_query(AP_MPMQ_MPM_STATE, &mpm_state);
    /* A signal to all processes of httpd may reach this one first. If it was
     * for this one alone, cq_exchanger_watch() starts another. */
    if (mpm_state == AP_MPMQ_STOPPING || status == EXIT_SUCCESS) {
        return;
    }
    (void)cq_table_settle(cq_site.table);
    exchanger.pause_s = !short_life ? 0
        : exchanger.pause_s == 0 ? 1
        : exchanger.pause_s * 2 < PAUSE_MAX_S ? exchanger.pause_s * 2
        : PAUSE_MAX_S;
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, cq_site.base, CQNO("0151")
                 "process %" APR_PID_T_FMT ", which exchanges counters with "
                 "other nodes, ended (signal or status %d): the next one "
                 "starts in %d s", pid, status, exchanger.pause_s);
    start_process();
}

static void maintain(int reason, void *data, int status)
{
    (void)data;
    switch (reason) {
    case APR_OC_REASON_DEATH:
    case APR_OC_REASON_LOST:
        replace_process(status);
        break;
    case APR_OC_REASON_UNREGISTER:
        if (exchanger.process.pid != 0) {
            end_process();
        }
        break;
    default:                    /* it lives until the configuration ends */
        break;
    }
}

void cq_exchanger_start(apr_pool_t *pconf)
{
    memset(&exchanger, 0, sizeof(exchanger));
    exchanger.pconf = pconf;
    start_process();
}

void cq_exchanger_watch(void)
{
    if (exchanger.pconf != NULL && exchanger.process.pid == 0) {
        start_process();
    }
}
