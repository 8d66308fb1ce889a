/* Which linear layers --target-modules means. Internal to lora*.c. */
#ifndef MPILORA_MODEL_LORA_CHOOSE_H
#define MPILORA_MODEL_LORA_CHOOSE_H

#include <stdbool.h>

#include "model/arch.h"

/* chosen[layers * modules of a block + 1]: by layer, then in the order of the modules, then the head. */
enum err_code lora_choose(bool *chosen, const struct arch *a, const char *targets, struct err *e);

#endif
