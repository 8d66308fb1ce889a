/*
 * The commands of the program: one function for each row of run/commands.def.
 *
 * A command's function runs on all ranks (a command that is ALONE: on one process) with its options read and
 * checked one by one. It writes its result to stdout, on rank 0 only, and returns a code and message that all
 * ranks have agreed on: main() prints them once and turns the code into the exit status.
 */
#ifndef MPILORA_CLI_COMMANDS_H
#define MPILORA_CLI_COMMANDS_H

#include "base/err.h"
#include "ranks/dist.h"
#include "run/options.h"

typedef enum err_code command_function(const struct options *o, struct dist *d, struct err *e);

#define COMMAND(NAME, name, ranks, signals, config, argument, help) command_function cmd_##name;
#include "run/commands.def"
#undef COMMAND

#endif
