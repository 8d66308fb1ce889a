/*
 * Resumes a run from a checkpoint, or refuses to.
 */
#ifndef MPILORA_TRAIN_RESUME_H
#define MPILORA_TRAIN_RESUME_H

#include "base/err.h"
#include "run/ckpt.h"
#include "train/schedule.h"
#include "train/session.h"

/* The checkpoint from which a run is resumed. */
struct resume {
    bool found, here; /* there is a checkpoint; it is in the folder --output */
    /* Only on rank 0: */
    struct trace_record trace; /* the caller's to release */
    struct schedule schedule;  /* the recorded one, without `total`, which follows from the next two: */
    double epochs;
    int64_t max_steps;
    uint64_t early_stop; /* the recorded one */
    const char *other_measure; /* an option without which the eval losses cannot be compared differs; NULL: none */
};

/* Collective. Finds the checkpoint that --resume asks for, and sends its adapter, moments, step and cursor to all
 * ranks. Rank 0 reads and decides. Without a checkpoint, r and state are zero. ERR_MISMATCH if the checkpoint has
 * another base, tokenizer, data, LoRA shape or other options, with both values; ERR_USAGE if the output folder
 * contains checkpoints of another run, which would be mixed with those of this run. */
enum err_code resume_load(struct session *s, struct lora_moments *moments,
                          const struct ckpt_identity *identity, struct ckpt_state *state, struct resume *r,
                          struct err *e);

#endif
