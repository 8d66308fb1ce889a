/*
 * What `generate` and `compare` are asked: the text of --prompt, or the examples of --data.
 */
#ifndef MPILORA_CLI_PROMPT_H
#define MPILORA_CLI_PROMPT_H

#include "base/err.h"
#include "data/examples/dataset.h"
#include "train/session.h"

/* ERR_USAGE unless exactly one of them is given. `also`: what else --data needs, for the message (" with --output
 * FILE"). */
enum err_code prompt_check_options(const struct options *o, const char *also, struct err *e);

/* The tokens of --prompt: the text as it stands, or with --chat as a user's message with the assistant's turn begun.
 * ERR_USAGE if there are none. Warns if prompt and answer may be too long for the model. The caller calls
 * ids_release(). */
enum err_code prompt_encode(struct ids *ids, const struct session *s, struct err *e);

/* Warns of prompts that with their answers may be too long for the model. */
void prompt_warn_of_positions(const struct session *s, const struct dataset *data);

#endif
