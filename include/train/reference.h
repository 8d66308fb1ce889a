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
#include "ranks/duty.h"
#include "run/reference_file.h"
#include "train/session.h"
#include "train/tally.h"

struct reference {
    float *given; /* [layout.size] A and B of --adapter, before a checkpoint replaces them; NULL: there is none */
};

/* Keeps the values of --adapter: called when the session has its adapter, before resume_load(). */
enum err_code reference_keep(struct reference *r, const struct session *s, struct arena *a, struct err *e);

struct reference_work {
    const char *what; /* names the data in messages */
    uint64_t end;     /* measured up to this sample of the first epoch, the end of a batch */
    uint64_t every;   /* samples after which what has been measured is kept; 0: only at the end, or at a stop */
    const struct duty *keep; /* writes the set; NULL: it is not kept */
};

/* Collective. Measures set->log_prob, to the same bits on all ranks and on any number of them, for the samples of the
 * first epoch from set->samples to the end of the work. Rank 0 has the values of the samples before; if there are none,
 * all others become 0. It runs the batches of the first epoch, whose packs are those in which the policy computes the
 * same pairs, so that a policy that has learnt nothing agrees with its reference to the bit. The loader's cursor is
 * moved; the adapter is as before. ERR_STOPPED, after what there is was kept, if a rank wants to stop; t->stop says
 * why. */
enum err_code reference_measure(struct reference_set *set, const struct reference *r, struct session *s,
                                struct loader *l, struct tally *t, const struct reference_work *work, struct err *e);

/* This rank's packs of the loader's present batch, the same way; not collective. */
enum err_code reference_batch(double *log_prob, const struct reference *r, struct session *s, struct loader *l,
                              struct tally *t, struct err *e);

#endif
