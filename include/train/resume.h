/*
 * Going on from a checkpoint, or refusing to.
 */
#ifndef MPILORA_TRAIN_RESUME_H
#define MPILORA_TRAIN_RESUME_H

#include "base/err.h"
#include "run/ckpt.h"
#include "train/session.h"

/* Collective. `trace` gets the checkpoint's trace on rank 0, the caller's to release; it is zeroed otherwise.
 * Finds the checkpoint that --resume asks for, and brings its adapter, moments, step and cursor
 * to all ranks. Rank 0 reads and decides. *resumed is false when the run begins at the start: then state is
 * zero. *here: the checkpoint is one of --output's own. ERR_MISMATCH when the checkpoint is of another base,
 * tokenizer, data, LoRA shape or of other options, with both values; ERR_USAGE when the output folder holds
 * checkpoints that this run would get mixed up with.
 */
enum err_code resume_load(struct session *s, struct lora_moments *moments,
                          const struct ckpt_identity *identity, struct ckpt_state *state, bool *resumed,
                          bool *here, struct trace_record *trace, struct err *e);

#endif
