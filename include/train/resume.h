/*
 * Going on from a checkpoint, or refusing to.
 */
#ifndef MPILORA_TRAIN_RESUME_H
#define MPILORA_TRAIN_RESUME_H

#include "base/err.h"
#include "run/ckpt.h"
#include "train/schedule.h"
#include "train/session.h"

/* What a run goes on from. */
struct resume {
    bool found, here; /* there is a checkpoint; it is one of --output's own */
    /* Only on rank 0: */
    struct trace_record trace; /* the caller's to release */
    struct schedule schedule;  /* as it was, but for `total`, which follows from these: */
    double epochs;
    int64_t max_steps;
    uint64_t early_stop; /* as it was */
};

/* Collective. Finds the checkpoint that --resume asks for, and brings its adapter, moments, step and cursor to all
 * ranks. Rank 0 reads and decides. Without a checkpoint, r and state are zero. ERR_MISMATCH when the checkpoint is of
 * another base, tokenizer, data, LoRA shape or of other options, with both values; ERR_USAGE when the output folder
 * holds checkpoints that this run would get mixed up with. */
enum err_code resume_load(struct session *s, struct lora_moments *moments,
                          const struct ckpt_identity *identity, struct ckpt_state *state, struct resume *r,
                          struct err *e);

#endif
