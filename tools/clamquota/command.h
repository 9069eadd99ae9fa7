/* command - the subcommands of clamquota: one file each, one row each in
 * main.c's table. */
#ifndef CQ_CLAMQUOTA_COMMAND_H
#define CQ_CLAMQUOTA_COMMAND_H

#include "cli/exit.h"

#include <stdio.h>

/** A subcommand.
 * @param argv  argv[0] is the subcommand's own name; its order may be changed
 * @param out   for what was asked; flushed and checked by main()
 * @param err   for one sentence about what is wrong
 * @return the exit code */
typedef enum cq_exit cq_command_fn(int argc, char **argv, FILE *out,
                                   FILE *err);

cq_command_fn cq_command_report;
cq_command_fn cq_command_show;
cq_command_fn cq_command_reset;
cq_command_fn cq_command_exempt;
cq_command_fn cq_command_top;
cq_command_fn cq_command_cluster;
cq_command_fn cq_command_check;
cq_command_fn cq_command_replay;
cq_command_fn cq_command_feed;
cq_command_fn cq_command_export;

#endif
