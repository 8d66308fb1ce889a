/*
 * Runs a rank's packs of a batch: passes them from the loader to the model.
 */
#ifndef MPILORA_TRAIN_BATCH_H
#define MPILORA_TRAIN_BATCH_H

#include "base/err.h"
#include "data/examples/loader.h"
#include "model/model.h"
#include "train/tally.h"

/* Increases a plan of the model's memory to what the loader's packs may need. */
void batch_plan(const struct loader *l, struct model_plan *plan);

/* A pack as input of the model; its arrays belong to the pack. */
struct model_input batch_input(const struct pack *p);

/* What this rank's packs of the current batch have. */
struct batch_share {
    uint64_t examples, supervised, chosen; /* the others are tokens, as in struct batcher */
};
struct batch_share batch_count_share(const struct loader *l);

/* The work on one pack: model_step_grad() or model_evaluate(), and what belongs to it. */
typedef enum err_code batch_work(void *context, size_t pack, const struct model_input *in,
                                 struct model_result *result, struct err *e);

/* Calls `work` for this rank's packs of the current batch, in order, and adds the results to the tally. An error
 * names the examples that it concerns. */
enum err_code batch_run(struct loader *l, struct tally *t, batch_work *work, void *context, struct err *e);

#endif
