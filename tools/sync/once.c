/* once - a single pass, as cron starts it; also -n and --flush. */
#include "sync/sync.h"

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

enum cq_exit cq_sync_once(struct cq_sync *sync)
{
    if (cq_sync_start(sync)
        && cq_sync_look(sync, CQ_FULL, (int64_t)time(NULL))) {
        if (sync->options->dry_run) {
            print_plans(sync);
        }
        else {
            cq_sync_act(sync, CQ_FULL);
        }
    }
    return cq_sync_end(sync);
}
