/* top - clamquota top: which clients download now, shown anew each second. */
#include "clamquota/command.h"

#include "clamquota/activity.h"
#include "clamquota/client_words.h"
#include "clamquota/columns.h"
#include "clamquota/look.h"
#include "core/units.h"
#include "render/link.h"
#include "render/words.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* clients that a pipe gets, and the most that a terminal does */
#define PIPE_CLIENTS 20
#define CLIENTS_MAX 200

/* of a block, beside the clients: heads, and where the cursor stays */
#define OTHER_LINES 5

/* from the top left corner; a line that is too long is cut, not wrapped */
#define BEGIN_SCREEN "\033[H\033[J\033[?7l"
#define END_SCREEN "\033[?7h"

struct top {
    const char *table;
    int64_t every_s;
};

static const struct cq_option options[] = {
    { .name = "every", .value = "S", .kind = CQ_OPTION_DURATION,
      .offset = offsetof(struct top, every_s), .least = 1, .most = 3600,
      .expected = "a duration from 1s to 1h, e.g. --every 5s",
      .help = "time from one view to the next [1s]" },
    CQ_LOOK_TABLE
};

static const struct cq_program program = {
    .name = "clamquota top",
    .usage = "Usage: clamquota top [OPTION]...\n"
        "Shows which clients download now. q or Ctrl-C ends it. In a pipe it\n"
        "prints one view after the other.\n\n",
    .more = "\nExit status: 0 done, 2 usage, 4 not permitted, 6 no table.\n",
    .options = options,
    .option_n = sizeof(options) / sizeof(options[0])
};

static volatile sig_atomic_t is_stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    is_stopped = 1;
}

/* ---- the terminal ---- */

struct keyboard {
    bool is_there;
    struct termios before;
};

/* Single keys, without echo. */
static void open_keyboard(struct keyboard *keyboard, const FILE *out)
{
    struct termios raw;

    keyboard->is_there = out == stdout && isatty(STDIN_FILENO) != 0
        && isatty(STDOUT_FILENO) != 0
        && tcgetattr(STDIN_FILENO, &keyboard->before) == 0;
    if (keyboard->is_there) {
        raw = keyboard->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
}

static void close_keyboard(const struct keyboard *keyboard)
{
    if (keyboard->is_there) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &keyboard->before);
    }
}

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until then, and looks for a key and a signal at least once: a view
 * of a large table can take longer than --every. A signal comes only here
 * (run()), where it ends the wait.
 * @return false: the end is asked for */
static bool wait_until(const struct keyboard *keyboard, int64_t until_ms)
{
    struct pollfd input = { STDIN_FILENO, POLLIN, 0 };
    sigset_t none;
    int64_t left_ms;
    char key;

    sigemptyset(&none);
    do {
        struct timespec left = { 0, 0 };

        left_ms = until_ms - now_ms();
        if (left_ms > 0) {
            left.tv_sec = left_ms / 1000;
            left.tv_nsec = left_ms % 1000 * 1000000;
        }
        if (ppoll(&input, keyboard->is_there ? 1 : 0, &left, &none) > 0
            && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q')) {
            return false;
        }
    } while (!is_stopped && left_ms > 0);
    return !is_stopped;
}

/* Asked for each view: the window may have another size by now. */
static size_t clients_that_fit(const struct cq_output *output)
{
    struct winsize size;

    if (isatty(fileno(output->file)) == 0
        || ioctl(fileno(output->file), TIOCGWINSZ, &size) != 0
        || size.ws_row <= OTHER_LINES) {
        return PIPE_CLIENTS;
    }
    return size.ws_row - OTHER_LINES < CLIENTS_MAX
        ? (size_t)(size.ws_row - OTHER_LINES) : CLIENTS_MAX;
}

/* ---- a view ---- */

static const struct cq_column columns[] = {
    { "CLIENT", false }, { "POOL", false }, { "RATE", true },
    { "IN FLIGHT", true }, { "USED", true }, { "SHARE", true },
    { "REFUSED", true }, { "STATE", false }
};

static void write_rate(struct cq_writer *w, int64_t bytes, int64_t took_ms)
{
    char text[CQ_SIZE_TEXT_SIZE];

    cq_write_raw(w, cq_size_format_human(
        (int64_t)((double)bytes * 1000 / (double)took_ms), text,
        sizeof(text)));
    cq_write_raw(w, "/s");
}

static void add_client(struct cq_columns *c, const struct cq_look *look,
                       const struct cq_active *active, int64_t took_ms)
{
    char text[CQ_KEY_TEXT_SIZE];
    struct cq_look_client judged;
    const struct cq_view_client *client = &judged.client;

    cq_look_judge(look, &active->row, &judged);
    cq_columns_text(c, CQ_STYLE_PLAIN,
                    cq_link_client(&client->client, text, sizeof(text)));
    cq_columns_text(c, CQ_STYLE_PLAIN, client->pool);
    write_rate(cq_columns_cell(c, CQ_STYLE_PLAIN), active->bytes, took_ms);
    cq_columns_bytes(c, client->in_flight_bytes);
    cq_columns_bytes(c, client->used_bytes);
    cq_client_share(cq_columns_cell(c, CQ_STYLE_PLAIN), client);
    cq_columns_count(c, active->refused);
    cq_client_state(cq_columns_cell(c, cq_client_style(client)), client);
}

static void write_per_second(struct cq_writer *w, int64_t n, int64_t took_ms,
                             const char *what)
{
    int64_t tenths = (n * 10000 + took_ms / 2) / took_ms;

    cq_words_count(w, tenths / 10);
    cq_write_raw(w, ".");
    cq_write_int(w, tenths % 10);
    cq_write_raw(w, what);
}

static void write_head(struct cq_writer *w, const struct cq_look *look,
                       const struct cq_activity *activity,
                       const struct cq_view_totals *before, int64_t took_ms)
{
    const struct cq_view_totals *now = &look->view.totals;

    cq_client_moment(w, &look->view.period, look->clock.now_s);
    cq_write_raw(w, ": ");
    write_rate(w, now->sent_bytes + now->free_bytes - before->sent_bytes
               - before->free_bytes, took_ms);
    cq_write_raw(w, ", ");
    write_per_second(w, now->hits - before->hits, took_ms, " hits/s, ");
    write_per_second(w, now->refused - before->refused, took_ms,
                     " refused/s\n");
    cq_words_count(w, activity->clients);
    cq_write_raw(w, " clients are active, ");
    cq_words_count(w, cq_table_transfers(look->table));
    cq_write_raw(w, " transfers open\n\n");
}

static enum cq_exit print_view(struct cq_look *look,
                               const struct cq_activity *activity,
                               const struct cq_view_totals *before,
                               int64_t took_ms)
{
    FILE *out = look->output.file;
    bool is_terminal = isatty(fileno(out)) != 0;
    struct cq_writer writer;
    struct cq_columns c;
    size_t i, fit = clients_that_fit(&look->output);

    cq_columns_begin(&c, columns, sizeof(columns) / sizeof(columns[0]));
    for (i = 0; i < activity->active_n && i < fit; i++) {
        add_client(&c, look, &activity->active[i], took_ms);
    }
    fputs(is_terminal ? BEGIN_SCREEN : "", out);
    cq_write_begin(&writer, &look->output.sink);
    write_head(&writer, look, activity, before, took_ms);
    cq_write_end(&writer);
    if (!cq_columns_end(&c, &look->output)) {
        return cq_look_report_no_memory(look);
    }
    fputs(is_terminal ? END_SCREEN : "\n", out);
    return CQ_EXIT_DONE;
}

/* ---- one after the other ---- */

static enum cq_exit read_view(struct cq_look *look,
                              struct cq_activity *activity)
{
    cq_look_read_clock(look);
    if (cq_activity_read(activity, look->table, &look->clock, CLIENTS_MAX)
        != CQ_OK) {
        return cq_look_report_no_memory(look);
    }
    return cq_look_totals(look);
}

static enum cq_exit redraw(const struct top *top, struct cq_look *look,
                           const struct keyboard *keyboard)
{
    struct cq_activity activity = { .rows = NULL };
    struct cq_view_totals before;
    int64_t at_ms = now_ms(), took_ms;
    int64_t pause_ms = 1000;    /* to the first view, which has rates, too */
    enum cq_exit result = read_view(look, &activity);

    while (result == CQ_EXIT_DONE
           && wait_until(keyboard, at_ms + pause_ms)) {
        pause_ms = top->every_s * 1000;
        before = look->view.totals;
        took_ms = now_ms() - at_ms;
        at_ms += took_ms;
        result = read_view(look, &activity);
        if (result == CQ_EXIT_DONE) {
            result = print_view(look, &activity, &before, took_ms);
        }
        if (!cq_output_end(&look->output)) {
            break;              /* main() reports it */
        }
    }
    cq_activity_free(&activity);
    return result;
}

static enum cq_exit run(void *command, struct cq_look *look)
{
    const struct sigaction ends = { .sa_handler = stop };
    struct keyboard keyboard;
    sigset_t blocked, before;
    enum cq_exit result;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &blocked, &before);
    (void)sigaction(SIGINT, &ends, NULL);
    (void)sigaction(SIGTERM, &ends, NULL);
    open_keyboard(&keyboard, look->output.file);
    result = redraw(command, look, &keyboard);
    close_keyboard(&keyboard);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return result;
}

enum cq_exit cq_command_top(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct cq_look_command command = { &program, NULL, run };
    struct top top = { .table = CQ_TABLE_PATH, .every_s = 1 };

    return cq_look_run(&command, &top, argc, argv, out, err);
}
