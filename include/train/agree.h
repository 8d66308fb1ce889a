/*
 * What must be the same on all ranks, before anything is computed. An error names the first rank that
 * differs, its host, and what differs from rank 0. All functions are Collective.
 */
#ifndef MPILORA_TRAIN_AGREE_H
#define MPILORA_TRAIN_AGREE_H

#include "base/err.h"
#include "train/dist.h"
#include "train/options.h"

/* ERR_MISMATCH unless `text`, which is called `what`, is the same on all ranks. */
enum err_code agree_same(struct dist *d, const char *what, const char *text, struct err *e);

/* Likewise texts of lines "name: value": the line that differs is named, with both values. */
enum err_code agree_lines(struct dist *d, const char *what, const char *text, struct err *e);

/* The program, to the byte, and its options. */
enum err_code agree_program(struct dist *d, const struct options *o, struct err *e);

#endif
