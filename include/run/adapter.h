/*
 * Loads an adapter from disk, from any of the places that can hold one.
 */
#ifndef MPILORA_RUN_ADAPTER_H
#define MPILORA_RUN_ADAPTER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/file.h"
#include "model/lora.h"
#include "model/objective.h"
#include "ranks/dist.h"
#include "run/prompts.h"

struct origin; /* run/origin.h */

struct adapter_check {
    const char *model;          /* that the adapter is for: its path */
    const char *base_hash;      /* its content hash */
    const struct weights *base; /* its weights, or NULL if they are not loaded */
    bool allow_base_mismatch;
    bool silent; /* says nothing of which step it is, nor of another base: that has been said */
    struct origin *origin;      /* an empty one to fill in; NULL: not asked for */
    enum prompts *prompts;      /* gets those that it was trained on; NULL: not asked for */
    bool *continued;            /* gets whether it is known to have started as another adapter; NULL: not asked for */
    struct objective *objective; /* gets that of its run, if that is known and was of pairs; NULL: not asked for */
};

/* Makes `l` from a checkpoint (.h5), a run folder (its newest undamaged checkpoint), a PEFT folder or a GGUF adapter.
 * ERR_MISMATCH if a checkpoint belongs to another base; with allow_base_mismatch this is only a warning. It always is
 * one with a PEFT folder or a GGUF adapter that we have exported: the base's file may have another form than the one
 * that the adapter is for, and so another hash. Adapters of other programs have no hash. The origin is that of a
 * checkpoint, with the log of its run if it lies in the folder of one; other adapters do not say where they come from.
 * The caller calls lora_release(), and origin_release() also after an error. */
enum err_code adapter_load(struct lora *l, const struct arch *a, const char *path,
                           const struct adapter_check *check, struct err *e);

/* XXH3-128 of what the adapter computes: its modules with their ranks and scalings, and all its values. */
enum err_code adapter_hash(char hash[FILE_HASH_SIZE], const struct lora *l, struct err *e);

/* Collective. Sends rank 0's adapter, its modules and values, to all ranks. */
enum err_code adapter_broadcast(struct lora *l, const struct arch *a, struct dist *d, struct err *e);

#endif
