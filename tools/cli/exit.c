/* exit - exit codes of the tools. */
#include "cli/exit.h"

#include <stddef.h>
#include <stdio.h>

enum cq_exit cq_exit_worse(enum cq_exit a, enum cq_exit b)
{
    static const enum cq_exit order[] = {
        CQ_EXIT_USAGE, CQ_EXIT_NO_TABLE, CQ_EXIT_NOT_PERMITTED,
        CQ_EXIT_READ_ONLY, CQ_EXIT_MISSING, CQ_EXIT_PARTLY
    };
    size_t i;

    for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (order[i] == a || order[i] == b) {
            return order[i];
        }
    }
    return CQ_EXIT_DONE;
}

enum cq_exit cq_exit_flush(const char *program, enum cq_exit result)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return result;
    }
    fprintf(stderr, "%s: standard output: could not be written\n", program);
    return cq_exit_worse(result, CQ_EXIT_PARTLY);
}
