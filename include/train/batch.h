/*
 * A rank's share of a batch, between the loader and the model.
 */
#ifndef MPILORA_TRAIN_BATCH_H
#define MPILORA_TRAIN_BATCH_H

#include "base/err.h"
#include "data/examples/loader.h"
#include "model/model.h"
#include "train/tally.h"

/* Raises a plan of the model's memory to what the loader's packs can need. */
void batch_plan(const struct loader *l, struct model_plan *plan);

/* A pack as the model sees it; its arrays are borrowed. */
struct model_input batch_input(const struct pack *p);

/* Supervised tokens of this rank's packs of the current batch. */
uint64_t batch_share_supervised(const struct loader *l);

/* What is done with one pack: model_step_grad() or model_evaluate(), with what belongs around it. */
typedef enum err_code batch_work(void *context, size_t pack, const struct model_input *in,
                                 struct model_result *result, struct err *e);

/* Does the work on this rank's packs of the current batch, in order, and tallies the results. An error names
 * the examples that it is about. */
enum err_code batch_run(struct loader *l, struct tally *t, batch_work *work, void *context, struct err *e);

#endif
