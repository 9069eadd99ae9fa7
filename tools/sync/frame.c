/* frame - what every way to run clamquota-sync begins and ends with. */
#include "sync/sync.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t cq_sync_now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

const char *cq_sync_text(const struct cq_key *key, char *text, size_t size)
{
    return key->prefix == (key->family == 4 ? 32 : 128)
        ? cq_key_format(key, text, size)
        : cq_key_format_cidr(key, text, size);
}

enum cq_exit cq_sync_open(struct cq_sync *sync,
                          const struct cq_sync_options *options, FILE *out,
                          FILE *err)
{
    size_t i;

    memset(sync, 0, sizeof(*sync));
    sync->options = options;
    sync->out = out;
    cq_say_open(&sync->say, "clamquota-sync", err, options->verbose);
    sync->jails = calloc(options->jails.count, sizeof(sync->jails[0]));
    if (sync->jails == NULL
        || !cq_lists_open(&sync->lists, &options->deny_files,
                          &options->never_files)) {
        cq_say_trouble(&sync->say, "out of memory");
        return CQ_EXIT_PARTLY;
    }
    for (i = 0; i < options->jails.count; i++) {
        struct cq_jail_why why;

        if (cq_jail_parse(options->jails.texts[i],
                          options->dry_run || options->status
                          ? CQ_JAIL_READ : CQ_JAIL_WRITE, options->lease_s,
                          &sync->jails[i].jail, &why) != CQ_JAIL_OK) {
            cq_say_trouble(&sync->say, "%s", why.text);
            return CQ_EXIT_USAGE;
        }
        sync->jail_n++;
    }
    return CQ_EXIT_DONE;
}

void cq_sync_detach(struct cq_sync *sync)
{
    cq_source_forget(&sync->source);
    cq_tablefile_close(sync->table);
    sync->table = sync->source.table = NULL;
    sync->has_marked = false;
}

void cq_sync_close(struct cq_sync *sync)
{
    size_t i;

    for (i = 0; i < sync->jail_n; i++) {
        cq_jail_close(sync->jails[i].jail);
        cq_plan_free(&sync->jails[i].plan);
        free(sync->jails[i].networks);
        free(sync->jails[i].network_changes);
    }
    free(sync->jails);
    cq_sync_detach(sync);
    cq_lists_close(&sync->lists);
    cq_net_free(&sync->own);
    cq_net_free(&sync->never);
    cq_wanted_free(&sync->wanted);
    cq_wanted_free(&sync->networks);
    cq_memory_close(&sync->memory);
    cq_say_close(&sync->say);
}

void cq_sync_failed(struct cq_sync *sync, enum cq_exit exit)
{
    sync->exit = cq_exit_worse(sync->exit, exit);
}

bool cq_sync_attach(struct cq_sync *sync, enum cq_attach_access access)
{
    char why[CQ_WHY_SIZE];
    enum cq_exit result;

    result = cq_attach_open(sync->options->table, access, &sync->table, why,
                            sizeof(why));
    sync->source.table = sync->table;
    if (result != CQ_EXIT_DONE) {
        cq_say_trouble(&sync->say, "%s", why);
        cq_sync_failed(sync, result);
    }
    return result == CQ_EXIT_DONE;
}

void cq_sync_begin(struct cq_sync *sync)
{
    cq_say_begin(&sync->say);
    sync->exit = CQ_EXIT_DONE;
}

enum cq_exit cq_sync_end(struct cq_sync *sync)
{
    cq_memory_save(&sync->memory, &sync->say);
    if (sync->say.troubles > 0) {
        cq_sync_failed(sync, CQ_EXIT_PARTLY);
    }
    return sync->exit;
}
