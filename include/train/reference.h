/*
 * The reference model of preference training: log-probabilities of both answers of every pair, which an objective
 * compares with the policy's. The reference is the base, with the adapter of --adapter if there is one, as in TRL. That
 * is the model at the start of the run, unless --lora-init begins with a B A that is not zero (both-normal).
 */
#ifndef MPILORA_TRAIN_REFERENCE_H
#define MPILORA_TRAIN_REFERENCE_H

#include "base/arena.h"
#include "base/err.h"
#include "data/examples/loader.h"
#include "train/session.h"
#include "train/tally.h"

struct reference {
    float *given; /* [layout.size] A and B of --adapter, before a checkpoint replaces them; NULL: there is none */
};

/* Keeps the values of --adapter: called when the session has its adapter, before resume_load(). */
enum err_code reference_keep(struct reference *r, const struct session *s, struct arena *a, struct err *e);

/* Samples of the first epoch, from the beginning of a batch to the end of one. */
struct reference_part {
    const char *what; /* names the data in messages */
    uint64_t begin, end;
};

/* Collective. Sets log_prob[2 * examples of the data set], chosen and rejected of each pair in the order of the index,
 * for the pairs of a part of the samples: to the same bits on all ranks and on any number of them. Rank 0 has the
 * values of the samples before that part; those after it become 0 if it is the first. It runs the batches of the first
 * epoch, whose packs are those in which the policy computes the same pairs, so that a policy that has learnt nothing
 * agrees with its reference to the bit. The loader's cursor is then at the end of the batch that reaches the end of the
 * part; the adapter is as before. ERR_STOPPED if a rank wants to stop before that; t->stop says why. */
enum err_code reference_measure(double *log_prob, const struct reference *r, struct session *s, struct loader *l,
                                struct tally *t, const struct reference_part *part, struct err *e);

/* This rank's packs of the loader's present batch, the same way; not collective. */
enum err_code reference_batch(double *log_prob, const struct reference *r, struct session *s, struct loader *l,
                              struct tally *t, struct err *e);

#endif
