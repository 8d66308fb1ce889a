/* Which linear layers --target-modules means. Internal to lora*.c. */
#ifndef MPILORA_MODEL_LORA_CHOOSE_H
#define MPILORA_MODEL_LORA_CHOOSE_H

#include <stdbool.h>

#include "model/arch.h"

/* chosen[layers * LINEAR_COUNT + 1]: by layer, then linear.def's order, then lm_head. */
enum err_code lora_choose(bool *chosen, const struct arch *a, const char *targets, struct err *e);

#endif
