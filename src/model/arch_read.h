/* The two sources of struct arch. Internal to arch*.c. */
#ifndef MPILORA_MODEL_ARCH_READ_H
#define MPILORA_MODEL_ARCH_READ_H

#include "model/arch.h"

enum err_code arch_read_hf(struct arch *a, const struct store *store, struct err *e);
enum err_code arch_read_gguf(struct arch *a, const struct store *store, struct err *e);

#endif
