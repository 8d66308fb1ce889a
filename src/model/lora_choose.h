/* Finds the linear layers that --target-modules names. Internal to lora*.c. */
#ifndef MPILORA_MODEL_LORA_CHOOSE_H
#define MPILORA_MODEL_LORA_CHOOSE_H

#include <stdbool.h>

#include "model/arch.h"

/* chosen[layers * modules of a block + 1]: by slot (model/arch.h). ERR_USAGE names a name or pattern without
 * match. */
enum err_code lora_choose(bool *chosen, const struct arch *a, const char *targets, struct err *e);

#endif
