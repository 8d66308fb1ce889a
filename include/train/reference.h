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

/* Collective. Sets log_prob[2 * examples of the data set], chosen and rejected of each pair in the order of the index,
 * to the same bits on all ranks and on any number of them. It runs the batches of the first epoch, whose packs are
 * those in which the policy computes the same pairs, so that a policy that has learnt nothing agrees with its reference
 * to the bit. The loader's cursor is moved; the adapter is as before. ERR_STOPPED if a rank wants to stop before the
 * end; t->stop says why. `what` names the data in progress messages. */
enum err_code reference_measure(double *log_prob, const struct reference *r, struct session *s, struct loader *l,
                                struct tally *t, const char *what, struct err *e);

/* This rank's packs of the loader's present batch, the same way; not collective. */
enum err_code reference_batch(double *log_prob, const struct reference *r, struct session *s, struct loader *l,
                              struct tally *t, struct err *e);

#endif
