/*
 * Where an adapter comes from: what is known of the run that trained it, for the model card and the trainer_state.json
 * of an export.
 *
 *     struct origin o = {0};     nothing is known: an adapter of another program
 *     origin_set                 what a checkpoint says, or the run that has just written one
 *     origin_read_log            what the folder of the run says, if it is there
 *     origin_release
 */
#ifndef MPILORA_RUN_ORIGIN_H
#define MPILORA_RUN_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "run/ckpt.h"
#include "run/metrics.h"
#include "run/options.h"

struct origin {
    bool known;                    /* false: all else is empty */
    uint64_t step;                 /* after which the run had this adapter */
    struct ckpt_state state;       /* of the run */
    struct ckpt_identity identity; /* of its base, tokenizer and data */
    bool has_options;              /* false: another version of the program has recorded what this one does not know */
    struct options options;        /* of the run */
    struct metrics_log log;        /* of the steps up to state.step, the last one; empty if they are not known */
};

/* `config`: the resolved options of the run (options_write_yaml()); `name` is for messages. An origin with options must
 * not be moved. */
void origin_set(struct origin *o, const char *name, const char *config, const struct ckpt_state *state,
                const struct ckpt_identity *identity);

/* Reads the metrics of the run from its folder. They are left out if the line of the run's last step is not there: they
 * are of another run, or were deleted; and if they cannot be read, which is warned of: an adapter is exported all the
 * same. */
void origin_read_log(struct origin *o, const char *folder);

/* The objective of the run; that of supervised fine-tuning if it is not known. */
struct objective origin_objective(const struct origin *o);

/* Is there all that transformers' record of a training says? */
bool origin_has_history(const struct origin *o);

void origin_release(struct origin *o); /* a zeroed one is fine */

#endif
