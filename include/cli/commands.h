/*
 * The commands of the program: one function for each row of run/commands.def.
 *
 * The function of a command runs on all ranks (for an ALONE command, on one process). Its options have been read,
 * and each has been checked separately. It writes its result to stdout, only on rank 0, and returns a code and a
 * message on which all ranks have agreed: main() prints the message once and derives the exit status from the code.
 */
#ifndef MPILORA_CLI_COMMANDS_H
#define MPILORA_CLI_COMMANDS_H

#include "base/err.h"
#include "ranks/dist.h"
#include "run/options.h"

typedef enum err_code command_function(const struct options *o, struct dist *d, struct err *e);

#define COMMAND(NAME, name, ranks, signals, config, argument, help, example) command_function cmd_##name;
#include "run/commands.def"
#undef COMMAND

#endif
