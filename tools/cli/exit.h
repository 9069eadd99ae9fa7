/* exit - exit codes of the tools: the contract's numbers. */
#ifndef CQ_CLI_EXIT_H
#define CQ_CLI_EXIT_H

enum cq_exit {
    CQ_EXIT_DONE = 0,
    CQ_EXIT_PARTLY = 1,         /* some of it failed */
    CQ_EXIT_USAGE = 2,
    CQ_EXIT_MISSING = 3,        /* the jail's list or set */
    CQ_EXIT_NOT_PERMITTED = 4,
    CQ_EXIT_READ_ONLY = 5,      /* /proc */
    CQ_EXIT_NO_TABLE = 6
};

/** Of two codes the one that a tool ends with: the first in the order 2, 6, 4,
 * 5, 3, 1, 0. */
enum cq_exit cq_exit_worse(enum cq_exit a, enum cq_exit b);

/** Writes what is left of standard output; if that fails, or something before
 * it did, reports it.
 * @return result, or CQ_EXIT_PARTLY if that is worse */
enum cq_exit cq_exit_flush(const char *program, enum cq_exit result);

#endif
