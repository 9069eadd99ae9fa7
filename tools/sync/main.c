/* main - clamquota-sync: has the kernel drop clients that keep sending requests
 * after they were refused. */
#include "sync/sync.h"

int main(int argc, char **argv)
{
    struct cq_sync_options options;
    struct cq_sync sync;
    enum cq_exit result = CQ_EXIT_DONE;

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
                : options.watch ? cq_sync_watch(&sync) : cq_sync_once(&sync);
        }
        cq_sync_close(&sync);
        break;
    }
    cq_sync_options_free(&options);
    return (int)result;
}
