/*
 * A decoder block: its two branches, one after the other. Internal to the model.
 */
#ifndef MPILORA_MODEL_BLOCK_H
#define MPILORA_MODEL_BLOCK_H

#include "step.h"

/* acts->residual: the block's input, replaced by its output. */
void block_forward(const struct step *s, size_t layer);
/* acts->dh: the gradient of the block's output, replaced by that of its input, unless backward ends in this layer.
 * First recomputes the activations that the recompute mode has not kept. */
void block_backward(const struct step *s, size_t layer);

#endif
