/*
 * A decoder block: its two branches, one after the other. Internal to the model.
 */
#ifndef MPILORA_MODEL_BLOCK_H
#define MPILORA_MODEL_BLOCK_H

#include "step.h"

/* acts->residual: the block's input, then its output. */
void block_forward(const struct step *s, size_t layer);
/* acts->dh: gradient of the block's output, then of its input, unless backward ends in this layer. What the mode
 * of recomputation has not kept is recomputed first. */
void block_backward(const struct step *s, size_t layer);

#endif
