/* main - clamquota-sync: has the kernel drop who keeps asking. */
#include "sync/sync.h"

int main(int argc, char **argv)
{
    struct options options;
    struct sync sync;
    enum sync_exit result;

    switch (options_read(&options, argc, argv, stdout, stderr)) {
    case OPTIONS_DONE:
        options_free(&options);
        return SYNC_DONE;
    case OPTIONS_WRONG:
        options_free(&options);
        return SYNC_USAGE;
    case OPTIONS_RUN:
        break;
    }
    result = sync_setup(&sync, &options, stdout, stderr);
    if (result == SYNC_DONE) {
        result = options.status ? sync_status(&sync)
            : options.flush ? sync_flush(&sync)
            : options.watch ? sync_watch(&sync) : sync_once(&sync);
    }
    sync_free(&sync);
    options_free(&options);
    return (int)result;
}
