/* main - clamquota-sync: has the kernel drop clients that keep sending requests
 * after they were refused. A single pass, as cron starts it, is here; also -n
 * and --flush. */
#include "sync/sync.h"

#include "cli/output.h"

#include <time.h>

/* What the plans would do. */
static void print_plans(const struct cq_sync *sync)
{
    char text[CQ_KEY_TEXT_SIZE];
    size_t i, j;

    for (i = 0; i < sync->jail_n; i++) {
        const struct cq_sync_jail *sj = &sync->jails[i];
        const struct cq_plan *plan = &sj->plan;

        if (sj->is_planned && sync->jail_n > 1) {
            fprintf(sync->out, "# %s\n", cq_jail_spec(sj->jail));
        }
        for (j = 0; j < plan->change_n + plan->network_change_n; j++) {
            if (plan->changes[j].op != CQ_JAIL_RENEW) {
                fprintf(sync->out, "%c%s\n",
                        plan->changes[j].op == CQ_JAIL_ADD ? '+' : '-',
                        cq_sync_text(&plan->changes[j].key, text,
                                     sizeof(text)));
            }
        }
    }
}

static enum cq_exit run_once(struct cq_sync *sync)
{
    if (cq_sync_start(sync, NULL)
        && cq_sync_prepare(sync, CQ_FULL, (int64_t)time(NULL))) {
        if (sync->options->dry_run) {
            print_plans(sync);
        }
        else {
            cq_sync_act(sync, CQ_FULL);
        }
    }
    return cq_sync_end(sync);
}

int main(int argc, char **argv)
{
    struct cq_sync_options options;
    struct cq_sync sync;
    enum cq_exit result = CQ_EXIT_DONE;

    if (!cq_output_fill_streams("clamquota-sync")) {
        return CQ_EXIT_PARTLY;
    }
    switch (cq_sync_options_read(&options, argc, argv, stdout, stderr)) {
    case CQ_OPTIONS_DONE:
        break;
    case CQ_OPTIONS_WRONG:
        result = CQ_EXIT_USAGE;
        break;
    case CQ_OPTIONS_RUN:
        result = cq_sync_open(&sync, &options, stdout, stderr);
        if (result == CQ_EXIT_DONE) {
            result = options.status ? cq_sync_status(&sync)
                : options.watch ? cq_sync_watch(&sync) : run_once(&sync);
        }
        cq_sync_close(&sync);
        break;
    }
    cq_sync_options_free(&options);
    return (int)cq_exit_flush("clamquota-sync", result);
}
